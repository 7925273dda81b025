"""A person's first hour with endpoints that run already: init, doctor, import, plan, change, proof.

On the emulator, in a fresh folder. Only what `init` says is exported, and the emulator's port.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.cli.test_process import COMMAND
from tests.local.test_first_hour import Newcomer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def emulator(person: Newcomer, seed: str) -> Iterator[None]:
    """The emulator in another terminal, at a free port, where commands look for it."""
    started = subprocess.Popen(
        [*COMMAND, "emulator", "--port", "0", "--speed", "100", "--seed", seed],
        cwd=person.folder,
        env=person.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stderr is not None
        for line in started.stderr:
            if found := re.search(r"export RECONCILER_EMULATOR=(\S+)", line):
                person.environ["RECONCILER_EMULATOR"] = found[1]
                break
        yield
    finally:
        started.terminate()
        started.wait()


def beginning(person: Newcomer, platform: str, environment: str) -> str:
    """The sample, with what `init` says to export; the seed that it says to start with."""
    person.shell("git", "init", "-q")
    said = person.runs("init", "--platform", platform, "--example")
    assert f"reconciler import -e {environment}" in said
    if found := re.search(r"set -a; \. (\S+); set \+a", said):
        lines = (person.folder / found[1]).read_text("utf-8").splitlines()
        person.environ |= dict(line.split("=", 1) for line in lines if "=" in line[1:])
    seed = re.search(r"reconciler emulator --seed (\S+)", said)
    assert seed
    return seed[1]


def only_the_environment(person: Newcomer, name: str) -> Path:
    """The sample's environment, as if nobody had declared an endpoint yet."""
    home = person.folder / "services" / name
    for path in home.rglob("*.yaml"):
        if path.name not in ("environment.yaml", "seed.yaml"):
            path.unlink()
    person.commit("Where our endpoints run")
    return home


@pytest.mark.long
def test_an_online_endpoint_that_runs_already_gets_a_version_that_is_proved(tmp_path: Path) -> None:
    person = Newcomer(tmp_path)
    seed = beginning(person, "azureml", "endpoints")
    home = only_the_environment(person, "endpoints")
    with emulator(person, seed):
        assert "0 bindings. 1 endpoint unmanaged" in person.runs("status")
        assert "all fine." in person.runs("doctor")
        assert "imported 1 endpoint" in person.runs("import")
        person.runs("plan", "--detailed-exitcode")
        person.commit("Declare what runs")
        file = home / "imported" / "endpoints-1.yaml"
        (home / "scoring").rename(home / "imported" / "scoring")
        (home / "probe.json").rename(home / "imported" / "probe.json")
        text = file.read_text("utf-8")
        ours = "  code: scoring\n  verify: {request: probe.json, answer: /predictions}\n"
        text = text.replace("azureml: churn\n", "azureml: churn\n    path: model.json\n")
        file.write_text(text.replace("  paused: true\n", ours).replace('"1"', '"2"'), "utf-8")
        person.commit("churn: 2")
        assert "1 to take in and bind" in person.runs("plan")
        assert "1 changed, 1 proved" in person.runs("apply", "--yes")
        person.runs("plan", "--detailed-exitcode")
        assert "1 proved" in person.runs("verify")


@pytest.mark.long
def test_web_services_that_run_already_are_imported_and_a_change_is_proved(tmp_path: Path) -> None:
    person = Newcomer(tmp_path)
    seed = beginning(person, "studio", "local")
    kept = tmp_path / "services" / "local" / "breast-cancer.yaml"
    with emulator(person, seed):
        text, model = kept.read_text("utf-8"), kept.parent / "models" / kept.name
        of_model = model.read_text("utf-8")
        only_the_environment(person, "local")
        person.runs("doctor")
        assert "imported 4 endpoints" in person.runs("import")
        person.runs("plan", "--detailed-exitcode")
        imported = kept.parent / "imported" / "endpoints-1.yaml"
        documents = imported.read_text("utf-8").split("---\n")
        (one,) = [d for d in documents if "webService: breast-cancer-predictive" in d]
        imported.write_text("---\n".join(d for d in documents if d != one), "utf-8")
        kept.write_text(text, "utf-8")
        model.parent.mkdir(exist_ok=True)
        model.write_text(of_model, "utf-8")
        person.commit("breast-cancer: what makes its versions")
        person.runs("plan", "--detailed-exitcode", code=errors.CHANGES)
        assert "1 changed, 1 proved" in person.runs("apply", "--yes")
        person.runs("plan", "--detailed-exitcode")
