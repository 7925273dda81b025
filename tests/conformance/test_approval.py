"""Nothing is done that was not in the plan, whatever the world looks like a moment later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from reconciler.engine.steps import Goal
from reconciler.model import UNREADABLE, Action
from tests.conformance.test_way_back import only

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine.steps import Ended
    from reconciler.model import Plan
    from tests.lab import Lab


def carry_out(lab: Lab, plan: Plan, goal: Goal = Goal.SERVED) -> dict[str, Ended]:
    return lab.converge(lab.world(), 1, plan, goal=goal)


@pytest.mark.parametrize("goal", Goal)
def test_what_could_not_be_read_while_planning_is_not_touched_afterwards(
    switched: Callable[..., Lab], goal: Goal
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("arm.get", "status", times=100, status=503))
    plan = lab.plan()
    lab.cloud.faults.forget()
    (unreadable,) = (c for c in plan.changes if c.code == UNREADABLE)
    ended = carry_out(lab, plan, goal)
    failure = ended[unreadable.address].failure
    assert failure is not None
    assert failure.exit_code == errors.ERROR
    assert lab.changes()["breast-cancer"].action is Action.TRAIN
    assert len([u for m, u in lab.writes if u.endswith("/start")]) == 3


def test_what_was_in_sync_is_not_touched_when_it_drifts_after_the_plan(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.apply()
    plan = lab.plan()
    lab.want("2026-11")
    lab.sent.clear()
    assert carry_out(lab, plan) == {}
    assert lab.writes == []


def test_a_swap_that_turned_into_a_training_is_not_carried_out(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    carry_out(lab, lab.plan(), Goal.TRAINED)
    plan = lab.plan()
    assert [c.action for c in plan.changes] == [Action.BIND]
    blobs = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
    del blobs["breast-cancer/2026-10/manifest.json"]
    lab.sent.clear()
    (ended,) = carry_out(lab, plan).values()
    assert ended.failure is not None
    assert ended.failure.exit_code == errors.STALE
    assert "approved was bind, but meanwhile it would be train" in ended.failure.message
    assert lab.writes == []


def test_a_training_that_is_tried_again_is_the_same_work(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.cloud.faults.play("job", "the disk is full")
    (ended,) = carry_out(lab, lab.plan()).values()
    assert ended.proof is not None


def test_training_proves_and_swaps_nothing(switched: Callable[..., Lab]) -> None:
    from tests.conformance.test_way_back import stopped_when

    lab = switched()
    only(lab, "breast-cancer")
    stopped_when(lab, "swapping")
    lab.clock.advance(60)
    plan = lab.plan()
    assert [c.code for c in plan.changes] == ["unproved"]
    lab.sent.clear()
    assert carry_out(lab, plan, Goal.TRAINED) == {}
    assert lab.writes == []


def test_a_protected_binding_is_refused_and_the_others_go_on(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  protect: true\n")
    report = lab.apply()
    (failure,) = report.failures
    assert (failure.name, failure.exit_code) == ("breast-cancer", errors.REFUSED)
    assert "spec.protect is true" in failure.message
    assert len(report.proofs) == 3
    lab.edit("breast-cancer.yaml", "  protect: true\n", "")
    assert lab.apply().failures == ()
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  protect: true\n")
    assert lab.plan().converged


def test_a_paused_binding_is_left_alone_and_shown(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  paused: true\n")
    report = lab.apply()
    assert report.failures == ()
    assert len(report.proofs) == 3
    change = lab.changes()["breast-cancer"]
    assert (change.action, change.code) == (Action.NOOP, "paused")
    assert change.why.startswith("it would be train")
