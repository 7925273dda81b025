"""`train` makes and judges models without touching an endpoint; the merge then only swaps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler import errors, limits
from reconciler.cli import approval

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def served(lab: Lab) -> list[str]:
    world = lab.cloud.world
    models = [service.model for service in world.services.values()]
    return models + [e.model for s in world.classic.values() for e in s.endpoints.values()]


def test_train_makes_models_and_touches_no_endpoint(lab: Lab, command: Command) -> None:
    before = served(lab)
    ran = command("train", "--yes", "-o", "json")
    assert ran.code == errors.SUCCESS
    assert served(lab) == before
    plan = json.loads(ran.out)
    assert {change["action"] for change in plan["changes"]} == {"BIND"}
    gates = [gate for change in plan["changes"] for gate in change["gates"]]
    assert gates
    assert all(gate["passed"] and gate["candidate"] is not None for gate in gates)
    assert {entry.route for entry in lab.cloud.log if entry.method == "PATCH"} == set()


def test_train_asks_about_trainings_and_not_about_changes(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = command("train")
    assert ran.code == errors.REFUSED
    assert "--expect" not in ran.err  # no option of `train`
    questions = []
    monkeypatch.setattr(approval, "_ask", lambda question, _: questions.append(question))
    assert command("train").code == errors.SUCCESS
    assert questions == ["Train these versions? No endpoint is changed."]


def test_after_train_an_apply_only_swaps(lab: Lab, command: Command) -> None:
    command("train", "--yes")
    lab.cloud.log.clear()
    assert command("apply", "--yes").code == errors.SUCCESS
    assert not [entry for entry in lab.cloud.log if entry.route in ("bes.submit", "bes.start")]


def test_how_many_endpoints_may_change_is_no_limit_of_train(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 0)
    refused = command("apply", "--yes", "-t", "breast-cancer", "-t", "*-young")
    assert refused.code == errors.REFUSED
    assert "2 of 4 endpoints would change (50%), and limits.changes is 30%" in refused.err
    trained = command("train", "--yes", "-t", "breast-cancer", "-t", "*-young")
    assert trained.code == errors.SUCCESS
    assert "bind" in trained.out


def test_train_twice_trains_nothing_and_asks_nobody(lab: Lab, command: Command) -> None:
    command("train", "--yes")
    lab.cloud.log.clear()
    assert command("train").code == errors.SUCCESS
    assert {entry.method for entry in lab.cloud.log} == {"GET", "HEAD"}


def test_train_without_an_approval_starts_nothing(lab: Lab, command: Command) -> None:
    assert command("train").code == errors.REFUSED
    assert {entry.method for entry in lab.cloud.log} == {"GET", "HEAD"}


def test_a_model_that_is_not_accepted_is_refused_with_its_metrics(
    lab: Lab, command: Command
) -> None:
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9"', 'atLeast: "0.9999"')
    ran = command("train", "--yes")
    assert ran.code == errors.REFUSED
    assert "not accepted: AUC is 0.992063, and must be atLeast 0.9999" in ran.out
