"""`reconciler.api`: three functions with values of the model, which ask nobody and print nothing."""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.api import apply, load, plan
from reconciler.errors import ConfigurationError, StalePlanError
from reconciler.model import Action

EXAMPLE = Path(__file__).parent.parent / ".github" / "REFERENCE.md"
ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: .reconciler, data: data, local: {}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: ranker}
spec: {file: "${version}.bin", metrics: "${version}.json"}
---
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: ranker}
spec: {path: live/ranker.json, create: true, model: {name: ranker, version: "1"}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of desired state, in which two versions of a model lie ready."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "services" / "home"
    (folder / "data").mkdir(parents=True)
    (folder / ".reconciler").mkdir()
    for version in "12":
        (folder / "data" / f"{version}.bin").write_bytes(version.encode())
        (folder / "data" / f"{version}.json").write_text('{"AUC": 0.9}')
    (folder / "environment.yaml").write_text(ENVIRONMENT)
    return folder


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def served(folder: Path) -> str:
    version: str = json.loads((folder / "live/ranker.json").read_text())["version"]
    return version


def test_the_example_of_the_reference_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section = EXAMPLE.read_text("utf-8").split("## From Python\n")[1]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(example, {})
    assert served(home) == "1"
    assert "ranker" in capsys.readouterr().out


def test_nothing_is_printed_and_a_plan_writes_nothing(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = load("services")["home"]
    before = files(home)
    made = plan(wanted)
    assert [(each.name, each.action) for each in made.to_do] == [("ranker", Action.CREATE)]
    assert files(home) == before
    monkeypatch.setattr(logging.getLogger("reconciler"), "propagate", True)
    with caplog.at_level("INFO", "reconciler.api"):
        report = apply(wanted, made)
    assert (report.failures, served(home)) == ((), "1")
    assert plan(wanted).to_do == ()
    assert capsys.readouterr() == ("", "")
    assert "ranker" in caplog.text


def test_only_what_was_approved_is_applied(home: Path) -> None:
    made = plan(load("services")["home"])
    path = home / "environment.yaml"
    path.write_text(path.read_text().replace('version: "1"', 'version: "2"'))
    now = load("services")["home"]
    with pytest.raises(StalePlanError, match="ranker"):
        apply(now, made)
    assert not (home / "live").exists()
    fresh = plan(now)
    apply(now, fresh)
    assert served(home) == "2"
    with pytest.raises(StalePlanError, match="applied"):
        apply(now, fresh)


def test_a_plan_of_another_environment_approves_nothing(home: Path) -> None:
    wanted = load("services")["home"]
    with pytest.raises(StalePlanError, match="for other on"):
        apply(wanted, replace(plan(wanted), environment="other"))


def test_a_thread_that_takes_no_signals_may_apply(home: Path) -> None:
    wanted = load("services")["home"]
    made, ended = plan(wanted), list[object]()
    thread = threading.Thread(target=lambda: ended.append(apply(wanted, made).failures))
    thread.start()
    thread.join()
    assert (ended, served(home)) == ([()], "1")


def test_what_is_wrong_is_an_error_of_the_package_with_its_place(home: Path) -> None:
    path = home / "environment.yaml"
    path.write_text(path.read_text().replace('version: "1"', "version: 1.10"))
    with pytest.raises(ConfigurationError) as caught:
        load("services")
    assert [(Path(p.path).name, p.line) for p in caught.value.problems] == [
        ("environment.yaml", 14)
    ]
