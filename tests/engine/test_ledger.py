"""The store as runs share it: who is first wins, and nobody writes over what they did not read."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.engine.train import claim, train_step
from reconciler.errors import ConflictError, UnreadableError
from reconciler.ledger import Attempt
from reconciler.ledger.lock import Holder
from reconciler.ledger.manifest import check_moments
from reconciler.model import MODEL, Actor, Record
from reconciler.platforms.contract import Job, JobState, Order, Trainer
from tests.lab import Lab, LabClock

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.engine.world import World
    from reconciler.ledger.lock import Lock
    from reconciler.model import Binding

AT = "2026-11-23T10:00:00Z"
HOLDER = Holder(Actor("1"), AT, "apply")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def run_of(lab: Lab, number: str) -> tuple[World, Binding]:
    """A run, and a binding that wants a version that was never trained."""
    world = replace(lab.world(), actor=Actor(number))
    return world, next(b for b in lab.desired().bindings if b.name == "breast-cancer")


def test_who_claims_a_version_second_gets_the_claim_of_the_first(lab: Lab) -> None:
    first, binding = run_of(lab, "1")
    second, _ = run_of(lab, "2")
    entries = [claim(world, binding) for world in (first, second)]
    assert [entry.manifest.claimed_by for entry in entries if entry] == ["1", "1"]
    kept = first.ledger.read(binding.version)
    assert kept is not None
    assert kept.manifest.claimed_by == "1"


def test_a_version_that_was_claimed_for_another_recipe_is_not_ours_to_train(lab: Lab) -> None:
    world, binding = run_of(lab, "1")
    entry = claim(world, binding)
    assert entry is not None
    world.ledger.note_attempt(entry, Attempt("job-1", AT))
    other = replace(binding, recipe=replace(binding.recipe, parameters=(("C", "0.5"),)))
    assert other.key != binding.key
    assert claim(world, other) is None


def test_a_manifest_that_another_run_changed_is_not_written_over(lab: Lab) -> None:
    world, binding = run_of(lab, "1")
    entry = claim(world, binding)
    assert entry is not None
    noted = world.ledger.note_attempt(entry, Attempt("job-1", AT))
    with pytest.raises(ConflictError):
        world.ledger.note_attempt(entry, Attempt("job-2", AT))
    assert world.ledger.read(binding.version) == noted


def test_a_record_that_another_run_changed_is_not_written_over(lab: Lab) -> None:
    world, binding = run_of(lab, "1")
    ref, ledger = world.ledger.ref(binding.version), world.ledger
    made = Record(wanted=ref, previous=None, bound=None, proved=False, at=AT)
    first = ledger.keep_record(binding.address, made)
    with pytest.raises(ConflictError):
        ledger.keep_record(binding.address, replace(made, proved=True))
    second = ledger.keep_record(binding.address, replace(first, bound=ref))
    with pytest.raises(ConflictError):
        ledger.keep_record(binding.address, replace(first, proved=True))
    assert ledger.record(binding.address) == second


def started(lab: Lab) -> list[str]:
    return [url for method, url in lab.sent if method == "POST" and url.endswith("/start")]


def test_a_job_is_not_started_where_another_run_noted_its_own_first(lab: Lab) -> None:
    world, binding = run_of(lab, "1")
    entry = claim(world, binding)
    assert entry is not None
    noted = world.ledger.note_attempt(entry, Attempt("job-1", AT))
    assert train_step(world, binding, entry, lambda work: work) == ""
    assert started(lab) == []
    assert world.ledger.read(binding.version) == noted


def test_a_job_that_runs_is_not_started_again(lab: Lab) -> None:
    world, binding = run_of(lab, "1")
    entry = claim(world, binding)
    assert entry is not None
    job = train_step(world, binding, entry, lambda work: work)
    assert world.trainers[binding.recipe.trainer].look(job).state is JobState.RUNNING
    entry = world.ledger.read(binding.version)
    assert entry is not None
    assert train_step(world, binding, entry, lambda work: work) == job
    assert len(started(lab)) == 1


class Engine(Trainer):
    """An engine that keeps the orders that it was given."""

    def __init__(self, *, grants: bool) -> None:
        self.grants = grants
        self.orders: list[Order] = []

    def start(self, job: str, order: Order) -> None:  # noqa: ARG002
        self.orders.append(order)

    def look(self, job: str) -> Job:  # noqa: ARG002
        return Job(JobState.NOT_STARTED)

    def cancel(self, job: str) -> None: ...


@pytest.mark.parametrize("grants", [True, False])
def test_only_an_engine_whose_jobs_need_grants_is_given_any(lab: Lab, grants: bool) -> None:
    world, binding = run_of(lab, "1")
    engine = Engine(grants=grants)
    world = replace(world, trainers={binding.recipe.trainer: engine})
    entry = claim(world, binding)
    assert entry is not None
    train_step(world, binding, entry, lambda work: work)
    (order,) = engine.orders
    assert order.outputs[MODEL].uri == world.ledger.ref(binding.version).url
    places = [*order.inputs.values(), *order.outputs.values()]
    assert [bool(place.grant) for place in places] == [grants] * len(places)


def lock_of(lab: Lab) -> Lock:
    return lab.world().ledger.lock("local", LabClock(lab.clock), lambda: False)


def test_a_lock_that_was_broken_is_lost(lab: Lab) -> None:
    lock, lost = replace(lock_of(lab), renew_s=0.05), threading.Event()
    with lock.held(HOLDER, 0, waiting=print, lost=lost.set):
        assert lock_of(lab).break_(Actor("2"), AT, "its runner is gone")
        assert lost.wait(10)
    assert lock.lost


@pytest.mark.parametrize("stamp", ["soon", "2026-13-01T00:00:00Z", "2026-11-31T24:00:00Z"])
def test_a_moment_that_never_was_is_damage(stamp: str) -> None:
    check_moments([AT], "a manifest")
    with pytest.raises(UnreadableError, match=f"damaged: '{stamp}' is not a timestamp"):
        check_moments([AT, stamp], "a manifest")
