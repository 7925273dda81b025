"""`explain`: why an endpoint serves its version, and how two versions differ."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema

from reconciler import errors
from reconciler.engine.explanation import comparison
from reconciler.model import History, MadeVersion, VersionState
from reconciler.render.explanation import comparison_json
from tests.cli.test_safety import writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]
NAME = "breast-cancer"
SCHEMAS = Path(__file__).parents[2] / "schemas"


def fits(document: object, name: str) -> None:
    """Fail unless a document is as its schema says."""
    jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


def test_what_serves_is_told_in_sentences_and_json_and_versions_are_compared(
    lab: Lab, command: Command
) -> None:
    for old, new in (("2026-10", "2026-10"), ("2026-10", "2026-11")):
        lab.edit("breast-cancer.yaml", old, new)
        assert command("apply", "--yes").code == errors.SUCCESS
    before = writes(lab)
    ran = command("explain", NAME, "-o", "json")
    assert ran.code == errors.SUCCESS, ran.err
    why = json.loads(ran.out)
    data = "datasets/breast-cancer/2026-11.csv"
    fits(why, "explanation")
    assert all(why[name] is not None for name in ("made", "since", "proof"))
    assert why["gates"]
    assert why["before"]
    assert why["made"]["recipe"]["inputs"] == {"input1": data}
    said = " ".join(command("explain", NAME).out.split())
    since, proof = why["since"], why["proof"]
    for sentence in (
        f"Version 2026-11 has served since {since['at']}: run {since['run']}",
        "swapped it in",
        f"by job {why['made']['job']} (breast-cancer-training of studio)",
        f"Data: input1 {data} (fingerprint {why['made']['inputs'][data]})",
        "✓ atLeast 0.9; AUC",
        f"Proved at {proof['at']} by run {proof['run']} of {proof['who']}: read back; probe ",
        "was answered with 3 rows of Scored Labels",
        "proof 2026-10, run",
    ):
        assert sentence in said
    assert f"input1 {data}" in command("explain", NAME, "-o", "markdown").out
    compared = json.loads(command("explain", NAME, "2026-10", "2026-11", "-o", "json").out)
    fits(compared, "comparison")
    assert (compared["old"]["version"], compared["new"]["version"]) == ("2026-10", "2026-11")
    paths = {each["path"] for each in compared["differences"]}
    assert {"data.input1.file", "data.input1.fingerprint", "metrics.AUC"} <= paths
    assert f"+ data.input1.file: {data}" in command("explain", NAME, "2026-10", "2026-11").out
    assert writes(lab) == before


def test_a_commit_is_told_as_the_clone_knows_it(lab: Lab, command: Command) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    merge = "Merge pull request #7 from acme/cancer"
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", merge)):
        subprocess.run(["git", *words], check=True, capture_output=True)
    assert command("apply", "--yes", "-t", NAME).code == errors.SUCCESS
    why = json.loads(command("explain", NAME, "-o", "json").out)
    fits(why, "explanation")
    assert why["commits"] == {why["since"]["commit"]: f"{merge}, by Ada"}
    for asking in ("explain", "history"):
        assert f"{merge}, by Ada" in " ".join(command(asking, NAME).out.split())
    shutil.rmtree(".git")
    assert f"at commit {why['since']['commit'][:12]}: read" in " ".join(
        command("explain", NAME).out.split()
    )


def test_recipe_data_metrics_and_code_are_compared() -> None:
    recipe = {"engine": "local", "place": "", "parameters": {"c": "1"}, "how": {}, "outputs": {}}
    old = MadeVersion(
        *("1", VersionState.TRAINED, "2026-11-01T00:00:00Z", "a" * 40, "job-1"),
        metrics={"AUC": 0.9},
        recipe={**recipe, "inputs": {"train": "1.csv"}, "code": "0" * 64},
        inputs={"1.csv": "md5:1"},
    )
    changed = {"parameters": {"c": "2", "d": "3"}, "inputs": {"train": "2.csv"}, "code": "f" * 64}
    new = replace(
        old,
        version="2",
        commit="b" * 40,
        metrics={"AUC": 0.91},
        recipe={**recipe, **changed},
        inputs={"2.csv": "md5:2"},
    )
    history = History("m", "files/m", "2", (old, new), ())
    document = json.loads(comparison_json(comparison(history, "1", "2")))
    fits(document, "comparison")
    assert {each["path"]: (each["before"], each["after"]) for each in document["differences"]} == {
        "code": ("0" * 64, "f" * 64),
        "commit": ("a" * 40, "b" * 40),
        "data.train.file": ("1.csv", "2.csv"),
        "data.train.fingerprint": ("md5:1", "md5:2"),
        "metrics.AUC": ("0.9", "0.91"),
        "parameters.c": ("1", "2"),
        "parameters.d": (None, "3"),
    }
    fits(json.loads(comparison_json(comparison(history, "1", "1"))), "comparison")


def test_versions_to_compare_are_two_that_exist(lab: Lab, command: Command) -> None:
    assert command("explain", NAME, "2026-10").code == errors.USAGE
    ran = command("explain", NAME, "2026-10", "2026-11")
    assert ran.code == errors.CONFIGURATION
    assert "no version 2026-10, 2026-11; there is: none" in ran.err
