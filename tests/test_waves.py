"""The waves of a fleet as a table: who has the version, and whose turn it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.engine.waves import only_wait
from reconciler.engine.world import seconds_since_epoch
from reconciler.model import (
    Action,
    ArtifactState,
    Event,
    EventKind,
    Health,
    HealthCode,
    Live,
    Observed,
    Plan,
    Record,
    Rollout,
    Wave,
    WayBack,
)
from reconciler.plan import make_plan
from reconciler.waves import Waits, first_of
from tests.test_plan import ENVIRONMENT, HEALTHY, NEW, OLD, binding, observed, of

SLOW = Rollout(1, 25)


def endpoint(name: str, rollout: Rollout | None = SLOW, **fields: object) -> Observed:
    """One that serves the previous version."""
    wanted = binding(name, rollout=rollout, **fields)
    ready, back = of(ArtifactState.READY), WayBack(OLD, "2026-10")
    return observed(artifact=ready, binding=wanted, way_back=back)


def proved(name: str, at: str = "2026-11-29T10:00:00Z", rollout: Rollout | None = SLOW) -> Observed:
    """One that serves the new version, proved."""
    history = (Event(at, EventKind.PROOF, NEW, "run", ""),)
    record = Record(NEW, OLD, None, True, at, history=history)
    return replace(endpoint(name, rollout), live=Live(HEALTHY, served=NEW), record=record)


def unproved(name: str) -> Observed:
    """One where a run was cut off after the swap."""
    record = Record(NEW, OLD, None, False, "2026-11-29T10:00:00Z")
    return replace(endpoint(name), live=Live(HEALTHY, served=NEW), record=record)


def waves(*fleet: Observed) -> dict[str, int]:
    return {name: wave.number for name, wave in of_plan(make_plan(ENVIRONMENT, fleet)).items()}


def of_plan(plan: Plan) -> dict[str, Wave]:
    return {change.name: change.wave for change in plan.changes if change.wave is not None}


def named(count: int, rollout: Rollout | None = SLOW) -> list[Observed]:
    return [endpoint(f"e{number:02}", rollout) for number in range(count)]


def test_the_first_gets_it_alone_and_the_others_share_by_share() -> None:
    found = of_plan(make_plan(ENVIRONMENT, named(8))).values()
    assert [wave.number for wave in found] == [1, 2, 2, 3, 3, 4, 4, 5]
    assert {wave.sizes for wave in found} == {(1, 2, 2, 2, 1)}


def test_without_a_word_more_than_ten_get_it_in_two_waves_and_fewer_at_once() -> None:
    assert waves(*named(10, None)) == {}
    assert list(waves(*named(11, None)).values()) == [1, *[2] * 10]


def test_one_that_is_labelled_is_the_first() -> None:
    fleet = [endpoint("a"), endpoint("b", labels=(("canary", "true"),)), endpoint("c")]
    assert waves(*fleet)["b"] == 1
    assert waves(*fleet)["a"] == 2


def test_those_that_were_proved_are_the_beginning() -> None:
    assert waves(proved("z"), endpoint("a"), endpoint("b")) == {"a": 2, "b": 3}
    assert waves(proved("z"), proved("y"), endpoint("a")) == {"a": 3}
    assert waves(proved("z"), proved("y"), proved("a")) == {}


def test_one_that_was_cut_off_is_proved_before_any_other_has_its_turn() -> None:
    assert waves(endpoint("a"), unproved("b"), endpoint("c")) == {"b": 1, "a": 2, "c": 3}


@pytest.mark.parametrize("field", ["paused", "protect"])
def test_one_that_is_left_alone_holds_up_nobody(field: str) -> None:
    fleet = [endpoint("a", **{field: True}), endpoint("b"), endpoint("c")]
    assert waves(*fleet) == {"b": 1, "c": 2}


def test_one_that_another_update_keeps_busy_is_the_last() -> None:
    busy = replace(endpoint("a"), live=Live(Health(HealthCode.PROGRESSING, "busy"), served=OLD))
    assert waves(busy, endpoint("b"), endpoint("c")) == {"b": 1, "c": 2, "a": 3}
    canary = replace(busy, binding=endpoint("a", labels=(("canary", "true"),)).binding)
    assert waves(canary, endpoint("b"))["a"] == 1


def test_one_that_is_to_be_deleted_has_no_wave() -> None:
    doomed = endpoint("a", absent=True)
    busy = replace(doomed, live=Live(Health(HealthCode.PROGRESSING, "busy"), served=OLD))
    assert waves(busy, endpoint("b"), endpoint("c")) == {"b": 1, "c": 2}
    plan = make_plan(ENVIRONMENT, [busy], waits=Waits({"a": "it was proved nowhere"}))
    assert [change.code for change in plan.changes] == ["updating"]


def test_a_rejected_version_has_no_waves() -> None:
    rejected = of(ArtifactState.REJECTED, "proof failed")
    plan = make_plan(ENVIRONMENT, [replace(one, artifact=rejected) for one in named(3)])
    assert {change.action for change in plan.changes} == {Action.BLOCK}
    assert of_plan(plan) == {}


def test_the_next_wave_waits_until_the_former_was_proved_for_so_long() -> None:
    slow = Rollout(2, 1, percent=False, soak_s=3600.0)
    first = [proved("y", "2026-11-29T10:00:00Z", slow), proved("z", "2026-11-29T11:30:00Z", slow)]
    found = of_plan(make_plan(ENVIRONMENT, [*first, endpoint("a", slow), endpoint("b", slow)]))
    assert found["a"] == Wave(2, (2, 1, 1), soak_s=3600.0, not_before="2026-11-29T12:30:00Z")
    assert found["b"].not_before == "2026-11-29T12:30:00Z"  # or later, which nobody knows yet


@pytest.mark.parametrize("rollout", [Rollout(1, 25, soak_s=60.0), Rollout(1, 25, pause_s=60.0)])
def test_a_part_waits_for_a_first_endpoint_outside_as_for_a_wave(rollout: Rollout) -> None:
    due = "2026-11-29T10:01:00Z"
    alone = make_plan(ENVIRONMENT, [endpoint("a", rollout)], waits=Waits(due={"a": due}))
    wave = Wave(1, (1,), rollout.pause_s, rollout.soak_s, due)
    assert of_plan(alone) == {"a": wave}
    assert [change.action for change in alone.changes] == [Action.BIND]
    both = make_plan(
        ENVIRONMENT, [endpoint(n, rollout) for n in "ab"], waits=Waits(due={"a": due, "b": due})
    )
    assert [wave.not_before for wave in of_plan(both).values()] == [due, due]
    assert (
        of_plan(
            make_plan(
                ENVIRONMENT, [endpoint("a", rollout, forced=True)], waits=Waits(due={"a": due})
            )
        )
        == {}
    )


def test_a_run_that_may_be_slow_can_do_more_than_wait() -> None:
    fleet = [proved("z", rollout=Rollout(soak_s=3600.0)), endpoint("a", Rollout(soak_s=3600.0))]
    waiting = make_plan(ENVIRONMENT, fleet).to_do
    due = seconds_since_epoch("2026-11-29T11:00:00Z")
    assert [only_wait(waiting, due - early) for early in (90, 30, 0)] == [True, False, False]


def test_there_is_no_waiting_on_the_way_to_what_was_proved_there_before() -> None:
    slow = Rollout(soak_s=3600.0)
    history = (Event("2026-11-01T10:00:00Z", EventKind.PROOF, NEW, "run", ""),)
    reverted = Record(OLD, NEW, None, True, "2026-11-02T10:00:00Z", history=history)
    fleet = [proved("z", rollout=slow), replace(endpoint("a", slow), record=reverted)]
    assert of_plan(make_plan(ENVIRONMENT, fleet)) == {"a": Wave(2, (1, 1))}


def test_the_digest_knows_the_rollout_and_not_how_far_it_is() -> None:
    fleet = [endpoint("a"), endpoint("b")]
    plan = make_plan(ENVIRONMENT, fleet)
    assert plan.digest == make_plan(ENVIRONMENT, fleet[::-1]).digest
    labelled = [fleet[0], endpoint("b", labels=(("canary", "true"),))]
    assert of_plan(make_plan(ENVIRONMENT, labelled)) != of_plan(plan)
    assert make_plan(ENVIRONMENT, labelled).digest == plan.digest
    other = [endpoint("a", Rollout(2, 25)), endpoint("b", Rollout(2, 25))]
    assert make_plan(ENVIRONMENT, other).digest != plan.digest


def unreadable(name: str, *, begun: bool) -> Observed:
    """One whose record alone can be read."""
    lost = Live(Health(HealthCode.UNKNOWN, "503 from the service"))
    artifact = of(ArtifactState.UNKNOWN)
    return replace(endpoint(name), live=lost, artifact=artifact, record=None, begun=begun)


@pytest.mark.parametrize(
    "doubtful",
    [
        unreadable("a", begun=True),
        replace(unproved("a"), binding=endpoint("a", paused=True).binding),
        replace(unproved("a"), binding=endpoint("a", protect=True).binding),
    ],
)
def test_one_that_may_have_it_without_a_proof_holds_back_the_others(doubtful: Observed) -> None:
    plan = make_plan(ENVIRONMENT, [doubtful, endpoint("b"), proved("c")])
    changes = {change.name: change for change in plan.changes}
    assert (changes["b"].action, changes["b"].code) == (Action.BLOCK, "not_yet")
    assert "a may have this version without a proof, and cannot be proved now" in changes["b"].why
    assert changes["c"].action is Action.NOOP
    assert of_plan(plan) == {}


def test_one_that_cannot_be_read_and_never_had_it_holds_up_nobody() -> None:
    assert waves(unreadable("a", begun=False), endpoint("b"), endpoint("c")) == {"b": 1, "c": 2}


def test_the_first_of_the_declared_fleet_is_labelled_or_the_first_by_address() -> None:
    fleet = [endpoint(name).binding for name in ("c", "a", "b")]
    assert first_of(fleet) == fleet[1]
    canary = endpoint("d", labels=(("canary", "true"),)).binding
    assert first_of([*fleet, canary]) == canary
    assert first_of([endpoint("a", paused=True).binding, fleet[0]]) == fleet[0]
    assert first_of([endpoint(name, None).binding for name in ("a", "b")]) is None
