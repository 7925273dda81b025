"""`explain`: why an endpoint serves its version, and how two versions differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema

from reconciler import errors
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
        f"Proved at {proof['at']} by run {proof['run']} of {proof['who']}",
        "proof 2026-10, run",
    ):
        assert sentence in said
    assert f"input1 {data}" in command("explain", NAME, "-o", "markdown").out
    compared = json.loads(command("explain", NAME, "2026-10", "2026-11", "-o", "json").out)
    paths = {each["path"] for each in compared["differences"]}
    assert {"data.input1.file", "data.input1.fingerprint", "metrics.AUC"} <= paths
    assert f"+ data.input1.file: {data}" in command("explain", NAME, "2026-10", "2026-11").out
    assert writes(lab) == before


def test_versions_to_compare_are_two_that_exist(lab: Lab, command: Command) -> None:
    assert command("explain", NAME, "2026-10").code == errors.USAGE
    ran = command("explain", NAME, "2026-10", "2026-11")
    assert ran.code == errors.CONFIGURATION
    assert "no version 2026-10, 2026-11; there is: none" in ran.err
