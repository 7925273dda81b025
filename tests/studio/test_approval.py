"""Nothing is done that was not in the plan, whatever the world looks like a moment later."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.approval import beyond
from reconciler.emulator import Fault
from reconciler.engine.interpreter import Endpoint
from reconciler.engine.slots import JobSlots
from reconciler.engine.steps import Goal, Shared
from reconciler.engine.survey import survey
from reconciler.model import Action, Reason
from reconciler.plan import make_plan
from tests.lab import Quiet
from tests.studio.test_way_back import only

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
    (unreadable,) = (c for c in plan.changes if c.code == Reason.UNREADABLE)
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
    assert "meanwhile it would be: train" in ended.failure.message
    assert lab.writes == []


def test_a_training_that_is_tried_again_is_the_same_work(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.cloud.faults.play("job", "the disk is full")
    (ended,) = carry_out(lab, lab.plan()).values()
    assert ended.proof is not None


def test_training_proves_and_swaps_nothing(switched: Callable[..., Lab]) -> None:
    from tests.studio.test_way_back import stopped_when

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
    assert change.why.startswith("it would train")


def begin_swap(lab: Lab) -> Plan:
    """A plan of one swap, whose run was killed between the swap and its proof."""
    only(lab, "breast-cancer")
    lab.apply()
    lab.edit("breast-cancer.yaml", '"2026-10"', '"2026-11"')
    carry_out(lab, lab.plan(), Goal.TRAINED)
    approved = lab.plan()
    assert [c.action for c in approved.changes] == [Action.BIND]
    assert approved.changes[0].before == "2026-10"
    world = lab.world()
    (binding,) = lab.desired().bindings
    run = Endpoint(
        binding,
        approved.changes[0],
        Shared(world, Goal.SERVED, Quiet(), JobSlots(lambda _: 1), lambda work: work),
    )
    run.step()
    lab.clock.advance(60)
    return approved


def test_a_run_that_was_killed_before_its_proof_is_gone_on_with(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    approved = begin_swap(lab)
    fresh = lab.plan()
    assert [(c.code, c.before) for c in fresh.changes] == [("unproved", "2026-11")]
    assert beyond(fresh, approved) == ()


def test_a_run_that_was_killed_on_the_way_back_is_gone_on_with(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    approved = begin_swap(lab)
    ledger = lab.world().ledger
    entry = ledger.read(lab.desired().bindings[0].version)
    assert entry is not None
    ledger.reject(entry, "it answers nonsense")
    fresh = lab.plan()
    assert [c.code for c in fresh.changes] == ["roll_back"]
    assert beyond(fresh, approved) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [("[Scored Labels]", "[Scored Probabilities]"), ('atMost: "1"', 'atMost: "9"')],
)
def test_a_proof_that_was_loosened_after_the_approval_is_not_approved(
    switched: Callable[..., Lab], old: str, new: str
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    approved = lab.plan()
    lab.edit("breast-cancer.yaml", old, new)
    fresh = lab.plan()
    assert fresh.digest != approved.digest
    assert beyond(fresh, approved) == ("breast-cancer: spec.verify differs from the approved one",)


@pytest.mark.parametrize("then", [Action.TRAIN, Action.BIND])
def test_gates_that_were_loosened_after_the_approval_are_not_approved(
    switched: Callable[..., Lab], then: Action
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    if then is Action.BIND:
        carry_out(lab, lab.plan(), Goal.TRAINED)
    approved = lab.plan()
    assert [c.action for c in approved.changes] == [then]
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9"', 'atLeast: "0.1"')
    fresh = lab.plan()
    assert fresh.digest != approved.digest
    (said,) = beyond(fresh, approved)
    assert "approved was: AUC atLeast 0.9, AUC noWorseThanLive 0.02" in said
    assert "now it would be: AUC atLeast 0.1, AUC noWorseThanLive 0.02" in said


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("breast-cancer.yaml", "Breast Cancer [trained model]", "asset1", "the asset or resource"),
        ("environment.yaml", "00000001\n", "00000002\n", "the address"),
        ("environment.yaml", "data: az://mllocal", "data: az://mllocal/elsewhere", "the data"),
        ("environment.yaml", "services/53dde52", "services/63dde52", "the training engine"),
        ("models/breast-cancer.yaml", "timeout: 30m", "timeout: 3h", "training.timeout"),
        ("breast-cancer.yaml", "spec:\n", "spec:\n  adopt: true\n", "adopt"),
    ],
)
def test_what_git_says_otherwise_after_the_approval_is_not_approved(
    switched: Callable[..., Lab], name: str, old: str, new: str, said: str
) -> None:
    """Nothing of this is seen in names of versions, gates or probes."""
    lab = switched()
    only(lab, "breast-cancer")
    wanted = lab.desired()
    observed = survey(lab.world(read_only=True), wanted.bindings, 1)[0]
    approved = make_plan(wanted.environment, observed)
    lab.edit(name, old, new)
    now = lab.desired()
    seen = tuple(replace(o, binding=b) for o, b in zip(observed, now.bindings, strict=True))
    fresh = make_plan(now.environment, seen)
    assert fresh.digest != approved.digest
    (sentence,) = beyond(fresh, approved)
    assert sentence.startswith(f"breast-cancer: {said} is ")
    assert "approved was" in sentence


def test_a_swap_from_another_model_than_was_planned_is_not_carried_out(
    switched: Callable[..., Lab],
) -> None:
    """As when another apply, of a newer commit, had the lock while this one waited for it."""
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    assert not lab.apply().failures
    lab.edit("breast-cancer.yaml", "2026-11", "2026-10")
    plan = lab.plan()
    newer, address = "2026-12", plan.changes[0].address
    store = lab.world().data
    data = store.get("datasets/breast-cancer/2026-11.csv")
    store.put("datasets/breast-cancer/2026-12.csv", data.content)  # type: ignore
    lab.edit("breast-cancer.yaml", "2026-10", newer)
    assert not lab.apply().failures
    lab.edit("breast-cancer.yaml", newer, "2026-10")
    failure = carry_out(lab, plan)[address].failure
    assert failure is not None
    assert failure.exit_code == errors.STALE
    assert "approved was: bind 2026-11 → 2026-10" in failure.message
    assert "it would be: bind 2026-12 → 2026-10" in failure.message
    assert lab.changes()["breast-cancer"].before == newer
