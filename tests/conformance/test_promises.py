"""What every platform must keep, with every engine and every store: asked of each twin."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.compose import kinds_of
from reconciler.engine import checkup
from reconciler.engine.survey import survey
from reconciler.model import Action, Cause, Level, Reason
from reconciler.platforms.contract import OperationState
from tests.twins import TWINS, twin_of
from tests.twins.contract import FIRST, SECOND, THIRD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.platforms.contract import Unmanaged
    from tests.twins.contract import Twin


# What one platform keeps over one store it keeps over each; all combinations are in the long run.
ELSEWHERE = (
    *("studio new, blob", "shelves, folder", "shelves, blob", "shelves, gs", "ray, s3"),
    *("azureml emulated, folder", "azureml emulated, blob"),  # they run what is deployed
)
WORLDS = [
    pytest.param(name, marks=[pytest.mark.long] if name in ELSEWHERE else []) for name in TWINS
]


@pytest.fixture(params=WORLDS)
def twin(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twin]:
    with twin_of(request.param, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def served(twin: Twin) -> Twin:
    """A twin that serves the first version, proved."""
    assert twin.apply().failures == ()
    return twin


def test_a_plan_reads_only(twin: Twin) -> None:
    assert twin.written_by(twin.plan) == []
    assert twin.plan() == twin.plan()
    assert not twin.plan().converged


def test_a_checkup_reads_only_and_finds_nothing_wrong(served: Twin) -> None:
    world, bindings = served.world(read_only=True), served.desired().bindings
    found = [*checkup.stores(world, bindings), *checkup.engines(world)]
    found += checkup.platforms(world, bindings)
    found += checkup.probes(served.world(), survey(world, bindings, 2)[0], 2)
    assert {check.what for check in found} >= {"store", "probe"}
    assert [check for check in found if check.level is Level.ERROR] == []


def test_looking_for_what_may_be_imported_only_reads_and_shows_nothing_declared(
    served: Twin,
) -> None:
    world = served.world(read_only=True)
    declared = frozenset(binding.address.id for binding in served.desired().bindings)
    found: list[Unmanaged] = []

    def look() -> None:
        for _, target in kinds_of(world):
            asked = target()
            found.extend(map(asked.described, asked.unmanaged(declared)))

    assert served.written_by(look) == []
    assert not {each.address.id for each in found} & declared
    assert all(each.name and each.spec for each in found)


def test_apply_converges_and_proves_and_the_second_one_writes_nothing(twin: Twin) -> None:
    report = twin.apply()
    assert report.failures == ()
    assert [(proof.name, proof.proved) for proof in report.proofs] == [(twin.name, True)]
    assert twin.serving() == FIRST
    assert twin.plan().converged
    assert twin.written_by(twin.apply) == []
    assert list(Counter(twin.starts()).values()) == [1]


def test_a_new_version_is_trained_once_and_a_revert_trains_nothing(served: Twin) -> None:
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    assert served.serving() == SECOND
    served.ask_for(FIRST)
    assert [c.action for c in served.plan().changes] == [Action.BIND]
    assert served.apply().failures == ()
    assert served.serving() == FIRST
    assert sorted(Counter(served.starts()).values()) == [1, 1]


def test_an_endpoint_without_a_mark_is_marked_as_adopted_and_nothing_else_is_changed(
    served: Twin,
) -> None:
    if "shelves" in type(served).__module__ or served.binding().kind == "ClassicEndpoint":
        pytest.skip("it carries no mark, or none that can be written without a doubt")
    served.unmark()
    before = served.undeclared()
    (change,) = served.plan().changes
    assert (change.action, change.code) == (Action.UPDATE, Reason.UNMARKED)
    assert [diff.path for diff in change.diffs] == ["owner"]
    assert served.apply().failures == ()
    assert served.plan().converged
    assert served.serving() == FIRST
    assert served.undeclared() == before
    assert served.written_by(served.apply) == []
    target = served.world(read_only=True).targets[served.binding().kind]
    if served.binding().kind != "ModelFile":  # which nothing lists
        assert [owned.adopted for owned in target.owned(frozenset())] == [True]
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    assert all(owned.adopted for owned in target.owned(frozenset()))


def test_what_is_not_declared_survives(served: Twin) -> None:
    before = served.undeclared()
    served.ask_for(SECOND)
    assert served.apply().failures == ()
    assert served.undeclared() == before


def test_a_failed_swap_is_rolled_back_and_never_proved_by_a_later_run(served: Twin) -> None:
    served.spoil()
    served.ask_for(SECOND)
    report = served.apply()
    (failure,) = report.failures
    assert failure.exit_code == errors.UNPROVED
    assert "2026-11 is rejected" in failure.message
    # A staged candidate never has traffic: then there is nothing to be rolled back.
    stages = served.world(read_only=True).targets[served.binding().kind].can.stage
    assert [(proof.model, proof.rolled_back, proof.proved) for proof in report.proofs] == (
        [] if stages else [(FIRST, True, True)]
    )
    for _ in range(2):
        assert served.written_by(served.apply) == []
        (change,) = served.plan().changes
        assert (change.action, change.code) == (Action.BLOCK, "rejected")
        assert served.serving() == FIRST
    served.mend()
    served.ask_for(THIRD)
    assert served.apply().failures == ()
    assert served.serving() == THIRD


def test_a_lost_endpoint_gets_back_what_was_proved_there_though_git_declares_what_is_rejected(
    served: Twin,
) -> None:
    if not served.world(read_only=True).targets[served.binding().kind].can.serves_at_once:
        pytest.skip("an endpoint of this kind cannot be made with a model")
    served.spoil()
    served.ask_for(SECOND)
    served.apply()
    assert served.serving() == FIRST
    lose(served)
    (change,) = served.plan().changes
    assert (change.action, change.after, change.cause) == (Action.CREATE, FIRST, Cause.DRIFT)
    report = served.apply()
    (failure,), (proof,) = report.failures, report.proofs
    assert failure.exit_code == errors.REFUSED
    assert f"{FIRST} is restored, and proved" in failure.message
    assert (proof.model, proof.proved, proof.rolled_back) == (FIRST, True, False)
    assert served.serving() == FIRST
    (change,) = served.plan().changes
    assert (change.action, change.code) == (Action.BLOCK, Reason.REJECTED)
    assert served.written_by(served.apply) == []


def lose(twin: Twin) -> None:
    """The platform loses the endpoint, and no record of this program says why."""
    world, binding = twin.world(), twin.binding()
    target = world.targets[binding.kind]
    operation = target.delete(binding.address)
    while operation and target.progress(operation).state is OperationState.RUNNING:
        world.clock.wait(1.0)


def test_a_version_that_one_endpoint_rejected_is_bound_by_no_other(served: Twin) -> None:
    other = served.declare_another()
    assert served.apply().failures == ()
    assert served.serving(other) == FIRST
    served.spoil()
    served.ask_for(SECOND)
    served.apply()
    served.ask_for(SECOND, other)
    change = served.changes()[other]
    assert (change.action, change.code) == (Action.BLOCK, "rejected")
    served.apply()
    assert (served.serving(), served.serving(other)) == (FIRST, FIRST)


def test_a_version_must_answer_as_the_binding_does_that_it_is_compared_with(served: Twin) -> None:
    other = served.declare_another()
    served.ask_for(SECOND, other)
    assert served.apply().failures == ()
    served.compare_with(other)
    assert served.plan().converged
    served.ask_for(SECOND)
    (proof,) = served.apply().proofs
    assert (proof.model, proof.proved, [w for w in proof.warnings if other in w]) == (
        SECOND,
        True,
        [],
    )
    served.ask_for(THIRD)
    (failure,) = served.apply().failures
    assert f"in the answer of {other}" in failure.message
    assert (served.serving(), served.serving(other)) == (SECOND, SECOND)


def test_what_was_changed_by_hand_is_found_and_repaired(served: Twin) -> None:
    served.ask_for(SECOND)
    served.apply()
    served.put_back(FIRST)
    (change,) = served.plan().changes
    assert (change.action, change.drift is None) == (Action.BIND, False)
    assert served.apply().failures == ()
    assert served.serving() == SECOND


WIRE = [
    *(errors.UnreachableError, errors.UnauthorizedError, errors.NotFoundError),
    *(errors.UnavailableError, errors.UnreadableError),
]


@pytest.mark.parametrize("error", WIRE)
def test_a_read_that_fails_changes_nothing(
    twin: Twin, monkeypatch: pytest.MonkeyPatch, error: type[errors.WireError]
) -> None:
    target = type(twin.world().targets[twin.binding().kind])

    def fails(*_: object) -> None:
        raise error("the platform says nothing of use")

    monkeypatch.setattr(target, "observe", fails)
    (change,) = twin.plan().changes
    assert (change.action, change.code) == (Action.BLOCK, Reason.UNREADABLE)
    assert twin.written_by(twin.apply) == []


def test_a_run_that_is_stopped_anywhere_is_continued_by_the_next(twin: Twin) -> None:
    for steps in (2, 7):
        left = iter(range(steps))
        twin.converge(replace(twin.world(), stopping=lambda left=left: next(left, None) is None), 1)
    assert twin.apply().failures == ()
    assert list(Counter(twin.starts()).values()) == [1]
    assert twin.serving() == FIRST
