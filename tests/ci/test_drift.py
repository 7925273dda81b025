"""`drift`: what somebody else changed, in one issue that comes and goes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from reconciler.model import Action, Model
from tests.ci.conftest import TOKEN
from tests.ci.standin import PERSON, StandIn, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

BOT = User(1, "bot", {"issues": "write"})


@pytest.fixture(autouse=True)
def _applied(lab: Lab, github: StandIn, command: Command) -> None:
    github.tokens[TOKEN] = BOT
    assert command("apply", "--yes", "--target", "breast-cancer").code == errors.SUCCESS


def tamper(lab: Lab, name: str = "breast-cancer") -> None:
    """Somebody swaps the model that was there at first back in."""
    (binding,) = [b for b in lab.desired().bindings if b.name == name]
    world = lab.world()
    record = world.ledger.record(binding.address)
    assert record is not None
    assert record.previous is not None
    world.targets[binding.kind].switch(binding, Model(record.previous))
    settle(lab, name)


def settle(lab: Lab, name: str) -> None:
    """Until the service has taken the swap, it is under way and no drift."""
    until = time.monotonic() + 60
    while lab.changes()[name].action is not Action.BIND:
        assert time.monotonic() < until, lab.changes()[name]


def only(github: StandIn) -> dict[str, str]:
    (issue,) = github.issues.values()
    return issue


def test_what_was_never_applied_is_no_drift(github: StandIn, command: Command) -> None:
    ran = command("ci", "drift-issue")
    assert ran.code == errors.SUCCESS, ran.err
    assert "not drift, but waiting for apply: diabetes-middle" in ran.err
    assert "1 binding is in sync" in ran.out
    assert [str(one) for one in github.asked] == ["GET /repos/octo/endpoints/issues"]


def test_what_was_merged_and_waits_is_no_drift(lab: Lab, github: StandIn, command: Command) -> None:
    lab.want("2026-11")
    assert command("ci", "drift-issue").code == errors.SUCCESS
    assert github.issues == {}


def test_an_issue_is_opened_kept_and_closed(lab: Lab, github: StandIn, command: Command) -> None:
    tamper(lab)
    ran = command("ci", "drift-issue", "--out", "drift.json")
    assert ran.code == errors.SUCCESS, ran.err
    assert "opened: https://github.com/octo/endpoints/issues/500" in ran.err
    issue = only(github)
    assert (issue["title"], issue["labels"]) == ("local: 1 binding drifted", ["drift"])
    assert issue["body"].startswith("<!-- reconciler:drift environment=local -->\n")
    assert "**breast-cancer**" in issue["body"]
    assert "diabetes" not in issue["body"]
    assert json.loads(Path("drift.json").read_text())["counts"]["BIND"] == 1

    github.asked.clear()
    assert "shown before" in command("ci", "drift-issue").err
    assert github.writes == [], "nothing was new"

    assert command("apply", "--yes", "--target", "breast-cancer").code == errors.SUCCESS
    assert "closed: " in command("ci", "drift-issue").err
    assert only(github)["state"] == "closed"
    assert "In sync again" in github.comments[500][0]["body"]

    tamper(lab)
    command("ci", "drift-issue")
    assert [one["state"] for one in github.issues.values()] == ["closed", "open"]


def test_more_drift_changes_the_same_issue(lab: Lab, github: StandIn, command: Command) -> None:
    command("apply", "--yes", "--force", "a test")
    tamper(lab)
    command("ci", "drift-issue")
    (young,) = [b for b in lab.desired().bindings if b.name == "diabetes-young"]
    (middle,) = [b for b in lab.desired().bindings if b.name == "diabetes-middle"]
    world = lab.world()
    world.targets[young.kind].switch(young, Model(world.ledger.ref(middle.version)))
    settle(lab, "diabetes-young")
    ran = command("ci", "drift-issue")
    assert "changed: " in ran.err
    assert "diabetes-young" in only(github)["body"]
    assert only(github)["title"] == "local: 2 bindings drifted"


def test_what_cannot_be_read_closes_no_issue(lab: Lab, github: StandIn, command: Command) -> None:
    tamper(lab)
    command("ci", "drift-issue")
    lab.cloud.faults.script(Fault("arm.get", "status", times=100, status=403))
    ran = command("ci", "drift-issue")
    assert ran.code == errors.ERROR
    assert only(github)["state"] == "open"


def test_an_issue_that_somebody_else_wrote_is_left_alone(
    lab: Lab, github: StandIn, command: Command
) -> None:
    tamper(lab)
    command("ci", "drift-issue")
    only(github)["user"] = {"id": PERSON.id, "login": PERSON.login}
    command("ci", "drift-issue")
    assert len(github.issues) == 2


def test_an_issue_about_a_part_is_refused(github: StandIn, command: Command) -> None:
    ran = command("ci", "drift-issue", "--target", "breast-*")
    assert (ran.code, github.asked) == (errors.USAGE, [])


def test_a_job_that_may_not_write_issues_hears_which_line_is_missing(
    lab: Lab, github: StandIn, command: Command
) -> None:
    tamper(lab)
    github.tokens[TOKEN] = User(1, "bot", {"issues": "read"})
    ran = command("ci", "drift-issue")
    assert ran.code == errors.ERROR
    assert "add the line `issues: write` below `permissions:` of the job" in ran.err


@pytest.mark.parametrize("how", ["a setting", "PreventUpdate", "deleted", "a model"])
def test_every_command_the_page_and_the_issue_agree_about_what_drifted(
    lab: Lab, github: StandIn, command: Command, how: str
) -> None:
    path = lab.services / "local" / "diabetes.yaml"
    path.write_text(
        path.read_text().replace("endpoint: young", "endpoint: young\n  settings: {description: x}")
    )
    assert command("apply", "--yes", "--target", "diabetes-young").code == errors.SUCCESS
    assert command("drift", "--detailed-exitcode").code == errors.SUCCESS
    found = lab.cloud.world.classic.values()
    service = next(one for one in found if one.name == "Diabetes Scoring")
    endpoint = service.endpoints["young"]
    if how == "a setting":
        endpoint.description = "mine"
    elif how == "PreventUpdate":
        endpoint.prevent_update = True
    elif how == "deleted":
        del service.endpoints["young"]
    else:
        tamper(lab, "diabetes-young")
    ran = command("ci", "drift-issue", "-o", "json")
    assert ran.code == errors.SUCCESS
    assert [c["name"] for c in json.loads(ran.out)["changes"] if c["drift"]] == ["diabetes-young"]
    assert only(github)["title"] == "local: 1 binding drifted"
    rows = json.loads(command("status", "-o", "json").out)["bindings"]
    assert [row["name"] for row in rows if row["drifted"]] == ["diabetes-young"]
    planned = json.loads(command("plan", "-o", "json").out)["changes"]
    assert [change["name"] for change in planned if change["drift"]] == ["diabetes-young"]
    assert "(drifted)" in command("plan").out
    assert "1 drifted" in command("status").out
    command("report", "--html", "page.html")
    assert "1 endpoint was changed outside git" in Path("page.html").read_text()
