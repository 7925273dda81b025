"""What a run does with a swap, or another write, that does not go as it should."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from reconciler.engine import interpreter, train
from reconciler.engine.prove import prove_all
from reconciler.ledger import Ledger
from tests.studio.test_way_back import adopted, only, served, unanswered, want

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.messages import Response
    from reconciler.engine.world import World
    from reconciler.model import Binding, Record, Score
    from tests.lab import Lab


def test_an_endpoint_that_starts_cold_after_its_swap_is_waited_for(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    before = adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    around, swapped_at = lab.cloud.faults.around, []

    def cold(route: str, address: str, serve: Callable[[], Response]) -> Response:
        if route == "rrs.execute" and served(lab, "breast-cancer") != before:
            swapped_at.append(lab.clock())
            if lab.clock() - swapped_at[0] < 90:
                lab.cloud.faults.script(Fault("rrs.execute", "status", status=503))
        return around(route, address, serve)

    lab.cloud.faults.around = cold  # type: ignore[method-assign]
    report = lab.apply()
    assert report.failures == ()
    assert served(lab, "breast-cancer") != before


def test_a_swap_that_another_run_proved_meanwhile_is_looked_at_anew(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    keep, others = Ledger.keep_record, []

    def after_another(self: Ledger, address: Any, record: Record) -> Record:
        if record.proved and not others:
            others.append(keep(self, address, record))
        return keep(self, address, record)

    monkeypatch.setattr(Ledger, "keep_record", after_another)
    assert lab.apply().failures == ()
    assert len(others) == 1
    assert lab.plan().converged


def test_a_rejection_that_another_run_takes_back_lets_the_candidate_be_judged_anew(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    before = adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    unanswered(lab, "breast-cancer")

    def taken_back(world: World, binding: Binding, why: str, *, silent: bool = False) -> None:
        assert silent
        train.reject(world, binding, why, silent=True)
        train.unreject(world, binding)
        del lab.cloud.faults.around  # and now it answers
        monkeypatch.undo()

    monkeypatch.setattr(interpreter, "reject", taken_back)
    assert lab.apply().failures == ()
    assert served(lab, "breast-cancer") != before
    assert lab.plan().converged


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes-young"])
def test_a_swap_is_asked_for_only_when_the_way_back_is_kept(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def unreachable(*_: Any) -> Record:
        raise errors.UnreachableError("the store does not answer")

    lab = switched()
    before = adopted(lab, name)
    want(lab, name, "2026-11")
    logged = len(lab.cloud.log)
    monkeypatch.setattr(Ledger, "keep_record", unreachable)
    (failure,) = lab.apply().failures
    assert "the store does not answer" in failure.message
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert [e for e in lab.cloud.log[logged:] if e.method == "PATCH"] == []


@pytest.mark.parametrize("answers", ["nothing", "wrongly"])
def test_a_version_whose_proof_failed_is_rejected_by_its_run(
    switched: Callable[..., Lab], answers: str
) -> None:
    """One that is not would be swapped in again and again, so the run is stopped in the end."""
    lab = switched()
    adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    if answers == "nothing":
        unanswered(lab, "breast-cancer")
    else:
        lab.edit("breast-cancer.yaml", '{atLeast: "0", atMost: "1"}', '{atLeast: "7"}')
    asked = itertools.count()
    world = replace(lab.world(), stopping=lambda: next(asked) > 500)
    (ended,) = lab.converge(world, 1).values()
    assert ended.failure is not None
    entry = lab.world().ledger.read(lab.desired().bindings[0].version)
    assert entry is not None
    assert "swapped and read back, but" in entry.manifest.rejected


def test_what_fails_after_its_swap_counts_as_changed(switched: Callable[..., Lab]) -> None:
    lab = switched()
    adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    lab.cloud.faults.play("operation", "nothing")
    (ended,) = lab.run().values()
    assert ended.failure is not None
    assert "succeeded, but reading it back shows" in ended.failure.message
    assert ended.changed


def test_what_fails_before_its_swap_does_not(switched: Callable[..., Lab]) -> None:
    lab = switched()
    adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    lab.cloud.faults.script(Fault("arm.patch", "status", times=10_000, status=403))
    (ended,) = lab.run().values()
    assert ended.failure is not None
    assert not ended.changed


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes-young"])
def test_settings_that_the_service_takes_and_forgets_are_asked_for_once(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    file = "breast-cancer.yaml" if name == "breast-cancer" else "diabetes.yaml"
    lab.edit(file, "spec:\n", 'spec:\n  settings: {description: "owned by git"}\n')
    if name == "breast-cancer":
        lab.cloud.faults.play("operation", "nothing")
    for route in ("classic.endpoint.put", "classic.endpoint.patch"):
        lab.cloud.faults.script(Fault(route, "status", status=200))
    lab.sent.clear()
    (failure,) = lab.apply().failures
    assert "the service took the request to update it" in failure.message
    assert failure.exit_code == errors.UNPROVED
    asked = [url for method, url in lab.writes if method in ("PATCH", "PUT") and "blob" not in url]
    assert len(asked) == 1


def test_a_binding_that_cannot_submit_its_job_leaves_its_slot_to_the_next(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    (lab.services / "local" / "breast-cancer.yaml").unlink()
    lab.cloud.faults.script(Fault("bes.submit", "status", status=400))
    looks = iter(range(5_000))  # who waits for ever is stopped
    world = replace(lab.world(), stopping=lambda: next(looks, None) is None)
    for trainer in world.trainers.values():
        trainer.most_jobs = 1
    ended = lab.converge(world, 1)
    failed = [one for one in ended.values() if one.failure is not None]
    assert len(ended) == 3
    assert len(failed) == 1


# --- proofs that fail by an error of ours ---------------------------------------------------


def spoiled(lab: Lab, name: str, error: Exception, until: str = "") -> World:
    """A world that cannot score the endpoint, for this reason, while it serves another model."""
    world = lab.world()
    binding = next(b for b in lab.desired().bindings if b.name == name)
    target, before = world.targets[binding.kind], served(lab, name)
    score = target.score

    def fails(wanted: Binding) -> Score:
        if wanted.name == name and (until == "always" or served(lab, name) != before):
            raise error
        return score(wanted)

    target.score = fails  # type: ignore[method-assign]
    return world


ERRORS = [
    errors.RefusedError("scoring: evil.example must not have the key"),
    errors.ConfigurationError("no key"),
    errors.UnreachableError("the host name does not resolve"),
    errors.UnauthorizedError("403"),
    errors.NotFoundError("404"),
    errors.UnreadableError("an HTML page"),
    ZeroDivisionError("a bug of ours"),
]


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes-young"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_proof_that_fails_by_any_error_leads_to_the_way_back(
    switched: Callable[..., Lab], name: str, error: Exception
) -> None:
    lab = switched()
    before = adopted(lab, name)
    want(lab, name, "2026-11")
    ended = lab.converge(spoiled(lab, name, error), 1)
    (failure,) = (one.failure for one in ended.values() if one.failure)
    assert failure.exit_code == errors.UNPROVED
    assert failure.message.endswith("version 2026-11 is rejected; rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before
    assert lab.changes()[name].code == "rejected"


def test_a_swap_of_another_run_whose_proof_is_refused_is_taken_back_too(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    before = adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    world = spoiled(lab, "breast-cancer", ERRORS[0])
    patched = [e.route for e in lab.cloud.log].count("arm.patch")
    swapped = lambda: [e.route for e in lab.cloud.log].count("arm.patch") > patched  # noqa: E731
    lab.converge(replace(world, stopping=swapped), 1)
    lab.clock.advance(60)
    assert served(lab, "breast-cancer") != before
    ended = lab.converge(spoiled(lab, "breast-cancer", ERRORS[0], until="always"), 1)
    (failure,) = (one.failure for one in ended.values() if one.failure)
    assert "the previous model does not answer either" in failure.message
    assert failure.exit_code == errors.UNPROVED
    lab.clock.advance(60)
    assert served(lab, "breast-cancer") == before


def test_a_run_that_is_stopped_while_it_proves_judges_nobody(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    adopted(lab, "breast-cancer")
    want(lab, "breast-cancer", "2026-11")
    stopped: list[bool] = []
    world = spoiled(lab, "breast-cancer", ERRORS[0])
    score = world.targets["WebService"].score

    def stopping(wanted: Binding) -> Score:
        try:
            return score(wanted)
        except errors.RefusedError:
            stopped.append(True)
            raise

    world.targets["WebService"].score = stopping  # type: ignore[method-assign]
    assert lab.converge(replace(world, stopping=lambda: bool(stopped)), 1) == {}
    assert stopped
    assert lab.changes()["breast-cancer"].code == "unproved"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_verify_shows_every_endpoint_whatever_happens_at_one(
    switched: Callable[..., Lab], error: Exception
) -> None:
    lab = switched()
    lab.apply()
    world = spoiled(lab, "breast-cancer", error, until="always")
    proofs = prove_all(world, lab.desired().bindings, 4)
    assert {p.name for p in proofs if not p.proved} == {"breast-cancer"}
    assert len(proofs) == 4
    (lost,) = (p.health.message for p in proofs if not p.proved)
    assert str(error) in lost
