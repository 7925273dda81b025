"""Configured is not served: what a platform was told is never taken for what answers.

A live platform that cannot start the candidate keeps it in its configuration and goes on answering
with the previous model. Nothing that is read there is a proof, in this run or in any later one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.approval import beyond
from reconciler.model import Action, Health, HealthCode, Live, ModelRef, Report, Score
from reconciler.platforms.contract import DONE, Can, Left, OperationState, Progress
from tests.conformance.memory import AT, Memory, MemoryTwin
from tests.twins.contract import FIRST, SECOND
from tests.twins.shelves import registered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.model import Binding

FAILED_STARTS = pytest.mark.parametrize("left", [Left.CANDIDATE_DECLARED, Left.DOWN])


@pytest.fixture
def lab_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MemoryTwin]]:
    """A maker of worlds whose endpoint was proved to serve the first version, and is to serve the
    second."""

    def make(**how: Any) -> MemoryTwin:
        lab = MemoryTwin(tmp_path, **how)
        assert lab.apply().failures == ()
        lab.ask_for(SECOND)
        return lab

    with registered(tmp_path, monkeypatch):
        yield make


def settled(lab: MemoryTwin) -> Report:
    """The last of some runs, after which nothing changes any more."""
    for _ in range(4):
        report = lab.apply()
    return report


@FAILED_STARTS
def test_a_candidate_that_does_not_start_is_taken_back_and_that_is_proved(
    lab_of: Callable[..., MemoryTwin], left: Left
) -> None:
    lab = lab_of(left=left)
    lab.target.broken = {lab.ref}
    report = lab.apply()
    (failure,) = report.failures
    assert failure.exit_code == errors.UNPROVED
    assert "it failed to start; version 2026-11 is rejected; rolled back, and proved" in (
        failure.message
    )
    (proof,) = report.proofs
    assert (proof.model, proof.rolled_back, proof.proved) == ("2026-10", True, True)
    assert [verb for verb, *_ in lab.target.writes[-2:]] == ["switch", "take back"]
    assert lab.target.served == lab.target.configured
    assert lab.change.code == "rejected"


class Killed(BaseException):
    """The end of a process, which no error handling sees."""


@FAILED_STARTS
@pytest.mark.parametrize("at", ["progress", "take_back", "after take_back"])
def test_a_failed_swap_is_never_proved_by_a_later_run(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch, left: Left, at: str
) -> None:
    lab = lab_of(left=left)
    lab.target.broken = {lab.ref}
    method, real = at.removeprefix("after "), getattr(Memory, at.removeprefix("after "))

    def dies(target: Memory, *given: Any) -> str:
        if at != method:
            real(target, *given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Memory, method, dies)
        with pytest.raises(Killed):
            lab.apply()
    report = settled(lab)
    assert all(proof.model != "2026-11" for proof in report.proofs)
    assert lab.change.code == "rejected"
    assert lab.target.served == lab.target.configured
    assert "2026-10" in lab.target.served[AT].path


def test_a_platform_that_says_nothing_of_a_failed_start_is_not_believed(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of()
    lab.target.broken = {lab.ref}
    monkeypatch.setattr(Memory, "progress", lambda *_: DONE)
    (failure,) = lab.apply().failures
    assert "it did not start: the endpoint serves" in failure.message
    assert "rolled back, and proved" in failure.message


def test_a_write_that_failed_and_changed_nothing_is_tried_again(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of(left=Left.AS_BEFORE)
    lab.target.broken = {lab.ref}
    (failure,) = lab.apply().failures
    assert (failure.exit_code, failure.message) == (errors.UNPROVED, "it failed to start")
    lab.target.broken = set()
    assert lab.apply().failures == ()
    assert "2026-11" in lab.target.served[AT].path


def test_what_somebody_else_configured_and_did_not_start_is_declared_over(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of()
    lab.apply()
    assert lab.plan().converged
    lab.target.configured[AT] = ModelRef("https://elsewhere.example/other.model")
    change = lab.change
    assert (change.action, change.code) == (Action.BIND, "configured_otherwise")
    assert change.drift is not None
    assert lab.apply().failures == ()
    assert lab.target.served == lab.target.configured
    assert lab.plan().converged


def test_a_platform_that_calls_models_by_its_own_names_is_compared_by_them(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of(own_names=True)
    assert lab.change.before == "2026-10"
    lab.target.broken = {lab.ref}
    (failure,) = lab.apply().failures
    assert "rolled back, and proved" in failure.message
    assert lab.target.writes[-1] == ("take back", AT, "2026-10")
    assert lab.target.served[AT].url == f"models:/words/{FIRST}"
    assert lab.change.code == "rejected"


# --- answers that would break who reads them ----------------------------------------------------


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (Score(("text", "p"), (("a", "0.5"),)), 'lacks the column "p"'),
        (Score(("text",), (("0.5",),)), 'the column "text" has texts, and had numbers'),
    ],
)
@pytest.mark.parametrize("stages", [True, False])
def test_a_version_whose_answer_breaks_its_readers_is_found_and_taken_back(
    lab_of: Callable[..., MemoryTwin], live: Score, why: str, stages: bool
) -> None:
    lab = lab_of(can=Can(stage=stages))
    lab.target.answers[lab.target.served[AT]] = live
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert why in failure.message
    assert "write `breaking: allow`" in failure.message
    assert "2026-10" in lab.target.served[AT].path
    switched = "switch" in [verb for verb, _, name in lab.target.writes if name == "2026-11"]
    assert switched is not stages


def test_a_breaking_answer_is_allowed_where_its_readers_are_ready(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of(can=Can())
    lab.target.answers[lab.target.served[AT]] = Score(("text", "p"), (("a", "0.5"),))
    approved = lab.plan()
    lab.edit("toys.yaml", "  shelf: top", "  breaking: allow\n  shelf: top")
    assert beyond(lab.plan(), approved)  # people approve that
    assert lab.apply().failures == ()
    assert "2026-11" in lab.target.served[AT].path


# --- platforms that prove a candidate before it has traffic -------------------------------------

STAGES = Can(stage=True)


def test_a_staged_candidate_is_proved_before_the_switch(lab_of: Callable[..., MemoryTwin]) -> None:
    lab = lab_of(can=STAGES)
    before = len(lab.target.writes)
    assert lab.apply().failures == ()
    assert [verb for verb, *_ in lab.target.writes[before:]] == ["stage", "switch"]
    assert lab.target.staged == {}
    assert lab.plan().converged


@pytest.mark.parametrize("how", ["broken", "spoiled"])
def test_a_staged_candidate_that_is_no_good_never_changes_the_endpoint(
    lab_of: Callable[..., MemoryTwin], how: str
) -> None:
    lab = lab_of(can=STAGES)
    setattr(lab.target, how, {lab.ref})
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "is rejected; the endpoint was not changed" in failure.message
    assert "switch" not in [verb for verb, _, name in lab.target.writes if name == "2026-11"]
    assert lab.target.staged == {}
    assert lab.change.code == "rejected"
    assert "2026-10" in lab.target.served[AT].path


@pytest.mark.parametrize(("silent", "code"), [("staged", "rejected"), ("all", "version_changed")])
def test_silence_is_blamed_on_a_staged_candidate_only_while_the_endpoint_answers(
    lab_of: Callable[..., MemoryTwin], silent: str, code: str
) -> None:
    lab = lab_of(can=STAGES)
    lab.target.silent = silent
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert lab.change.code == code
    assert "2026-10" in lab.target.served[AT].path


def test_a_run_that_was_killed_after_it_staged_is_continued(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(can=STAGES)

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "progress", dies)
        with pytest.raises(Killed):
            lab.apply()
    assert lab.apply().failures == ()
    assert [verb for verb, _, name in lab.target.writes if name == "2026-11"] == ["stage", "switch"]


@pytest.mark.parametrize("at", ["take_back", "after take_back"])
def test_a_run_that_was_killed_while_it_dropped_a_candidate_leaves_none(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    lab = lab_of(can=STAGES)
    lab.target.spoiled = {lab.ref}
    real = Memory.take_back

    def dies(target: Memory, *given: Any) -> str:
        if at != "take_back":
            real(target, *given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "take_back", dies)
        with pytest.raises(Killed):
            lab.apply()
    settled(lab)
    assert lab.target.staged == {}
    assert lab.change.code == "rejected"


@pytest.mark.parametrize("verb", ["publish", "stage"])
def test_an_operation_that_never_ends_before_the_switch_is_given_up(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    lab = lab_of(can=STAGES)
    began = lab.engine_clock.now()

    def progress(*_: object) -> Progress:
        assert lab.engine_clock.now() - began < 10 * STAGES.stuck_after_s, (
            "it is waited for without end"
        )
        return Progress(OperationState.RUNNING, "running")

    monkeypatch.setattr(Memory, verb, lambda *_: "slow")
    monkeypatch.setattr(Memory, "progress", progress)
    (failure,) = lab.apply().failures
    assert failure.message == "the update is still running after 900 s"


# --- platforms that only declare ---------------------------------------------------------------

DECLARES = Can(shows_served=False)


def test_what_is_only_declared_is_never_shown_as_proved(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of(can=Can(shows_served=False, score=False))
    report = lab.apply()
    assert report.failures == ()
    (proof,) = report.proofs
    assert (proof.declared_only, proof.proved, proof.health.code) == (
        True,
        False,
        HealthCode.HEALTHY,
    )
    assert lab.plan().converged


@pytest.mark.parametrize(
    ("can", "code"), [(Can(shows_served=False, score=False), "roll_back"), (Can(), "rejected")]
)
def test_what_is_rejected_elsewhere_is_kept_only_where_it_was_proved(
    lab_of: Callable[..., MemoryTwin], can: Can, code: str
) -> None:
    lab = lab_of(can=can)
    assert lab.apply().failures == ()
    (binding,) = lab.desired().bindings
    ledger = lab.world().ledger
    entry = ledger.read(binding.version)
    assert entry is not None
    ledger.reject(entry, "it answered wrongly elsewhere")
    assert lab.change.code == code


def test_an_answer_that_changed_proves_what_a_declaration_cannot(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of(can=DECLARES)
    (proof,) = lab.apply().proofs
    assert proof.proved


def test_an_answer_that_names_another_model_takes_the_candidate_back(
    lab_of: Callable[..., MemoryTwin],
) -> None:
    lab = lab_of(can=DECLARES, names_model=True)
    lab.target.broken = {lab.ref}
    lab.target.progress = lambda _: DONE  # type: ignore[method-assign]
    (failure,) = lab.apply().failures
    assert "the answer is of" in failure.message
    assert "rolled back, and proved" in failure.message
    assert lab.target.served == lab.target.configured


def test_what_is_declared_over_keeps_its_way_back(lab_of: Callable[..., MemoryTwin]) -> None:
    lab = lab_of()
    lab.apply()
    (binding,) = lab.desired().bindings
    before = lab.world().ledger.record(binding.address)
    lab.target.configured[AT] = ModelRef("https://elsewhere.example/other.model")
    assert lab.apply().failures == ()
    after = lab.world().ledger.record(binding.address)
    assert before is not None
    assert after is not None
    assert before.previous is not None
    assert (after.wanted, after.previous) == (before.wanted, before.previous)


def test_an_answer_is_no_proof_while_another_update_is_under_way(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of()

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "progress", dies)
        with pytest.raises(Killed):
            lab.apply()
    lab.target.configured[AT] = ModelRef("https://elsewhere.example/other.model")
    observe = Memory.observe

    def updating(target: Memory, binding: Binding) -> Live:
        return replace(observe(target, binding), health=Health(HealthCode.PROGRESSING, "starting"))

    monkeypatch.setattr(Memory, "observe", updating)
    report = lab.apply()
    assert report.proofs == ()


@pytest.mark.parametrize("at", ["take_back", "after take_back"])
def test_a_killed_run_leaves_no_version_to_blame_for_an_outage(
    lab_of: Callable[..., MemoryTwin], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    lab = lab_of()
    lab.target.silent = "all"
    real = Memory.take_back

    def dies(target: Memory, *given: Any) -> str:
        if at != "take_back":
            real(target, *given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "take_back", dies)
        with pytest.raises(Killed):
            lab.apply()
    (failure,) = lab.apply().failures
    assert "so version 2026-11 is not rejected" in failure.message
    lab.target.silent = ""
    assert lab.apply().failures == ()
    assert "2026-11" in lab.target.served[AT].path
