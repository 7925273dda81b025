"""`plan` in the job of a pull request: what that touches is judged, and all is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from tests.ci.gits import git

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

DEFAULT = ("diabetes.yaml", "endpoint: senior", "endpoint: default")


@pytest.fixture(autouse=True)
def base(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit of main, where one binding is refused for ever."""
    lab.edit(*DEFAULT)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "services")
    git(tmp_path, "commit", "--quiet", "-m", "main")
    commit = git(tmp_path, "rev-parse", "HEAD")
    event = {"pull_request": {"number": 7, "base": {"sha": commit}}}
    Path("event.json").write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    return commit


def change(lab: Lab, *edit: str) -> None:
    lab.edit(*edit)
    git(lab.services.parent, "commit", "--quiet", "-am", "a change")


CANCER = ("breast-cancer.yaml", "2026-10", "2026-11")


def test_a_refusal_that_the_pull_request_does_not_touch_is_shown_and_not_judged(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(lab, *CANCER)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ran = command("plan", "--out", "plan.json")
    assert ran.code == errors.SUCCESS, ran.err
    assert "refused: default_endpoint" in ran.out
    assert "diabetes-senior" not in ran.err, "the plan names it, set apart"
    assert "::error" not in ran.err
    plan = json.loads(Path("plan.json").read_text())
    assert {each["action"]: each["cause"] for each in plan["changes"]} == {
        "BLOCK": "refused",
        "TRAIN": "change",
    }
    now, before = ran.out.split("not from this change:")
    assert "* breast-cancer" in now
    assert "! diabetes-senior" in before
    assert "From this change: 1 binding. From before it: 1 refused before, " in ran.out
    assert command("plan", "--detailed-exitcode").code == errors.CHANGES


def test_what_cannot_be_read_and_is_not_touched_is_shown_and_not_judged(
    lab: Lab, command: Command
) -> None:
    change(lab, *CANCER)
    lab.cloud.faults.script(Fault("classic.endpoint.get", "status", times=1000, status=403))
    lab.cloud.faults.script(Fault("classic.endpoints.get", "status", times=1000, status=403))
    ran = command("plan")
    assert ran.code == errors.SUCCESS, ran.err
    assert "unreadable" in ran.out
    assert "! diabetes-… ×3" in ran.out.split("not from this change:")[1]
    assert command("plan", "--strict").code == errors.ERROR


def test_strict_judges_all(lab: Lab, command: Command) -> None:
    change(lab, *CANCER)
    assert command("plan", "--strict").code == errors.REFUSED


def test_a_refusal_that_the_pull_request_touches_is_judged(lab: Lab, command: Command) -> None:
    change(lab, "diabetes.yaml", "2026-10", "2026-11")
    ran = command("plan")
    assert ran.code == errors.REFUSED


def test_without_a_pull_request_all_is_judged(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(lab, *CANCER)
    Path("event.json").write_text(json.dumps({"before": "0" * 40}))
    assert command("plan").code == errors.REFUSED
    monkeypatch.delenv("GITHUB_EVENT_PATH")
    assert command("plan").code == errors.REFUSED


def test_a_merge_queue_is_judged_from_where_it_begins(
    lab: Lab, command: Command, base: str
) -> None:
    change(lab, *CANCER)
    Path("event.json").write_text(json.dumps({"merge_group": {"base_sha": base}}))
    assert command("plan").code == errors.SUCCESS


def test_main_that_went_on_is_not_what_the_pull_request_touches(
    lab: Lab, command: Command, base: str, tmp_path: Path
) -> None:
    change(lab, *CANCER)
    git(tmp_path, "checkout", "--quiet", "-b", "main-now", base)
    change(lab, "diabetes.yaml", "2026-10", "2026-11")
    newer = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "checkout", "--quiet", "-")
    event = {"pull_request": {"number": 7, "base": {"sha": newer}}}
    Path("event.json").write_text(json.dumps(event))
    assert command("plan").code == errors.SUCCESS


def test_what_cannot_be_told_is_judged_and_said(lab: Lab, command: Command) -> None:
    change(lab, *CANCER)
    event = {"pull_request": {"number": 7, "base": {"sha": "a" * 40}}}
    Path("event.json").write_text(json.dumps(event))
    ran = command("plan")
    assert ran.code == errors.REFUSED
    assert "what this pull request touches is not known, so all is judged" in ran.err
