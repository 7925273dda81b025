"""Bindings are stepped side by side: bounded, independent, stoppable."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.engine.interpreter import Endpoint
from reconciler.engine.slots import JobSlots
from reconciler.engine.steps import Again
from reconciler.engine.train import claim, train_step
from reconciler.ledger import Attempt
from reconciler.platforms.contract import Job, JobState
from reconciler.soon import beside
from tests.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model import Binding


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_no_more_jobs_are_unfinished_at_once_than_allowed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    settle = lab.cloud._settle

    def watched() -> None:
        nonlocal most
        settle()
        running = [j for j in lab.cloud.world.jobs.values() if j.state == "Running"]
        diabetes = [j for j in running if "diabetes" in str(j.body)]
        most = max(most, len(diabetes))

    monkeypatch.setattr(lab.cloud, "_settle", watched)
    world = lab.world()
    for trainer in world.trainers.values():
        trainer.most_jobs = 1
    ended = lab.converge(world, 8)
    assert all(outcome.proof for outcome in ended.values())
    assert most == 1
    assert any(said[1] == "queued" for said in lab.progress.said)


def test_slots_are_counted_per_training_service_and_kept_until_given_back(lab: Lab) -> None:
    young, other, new = _bindings(lab)
    slots = JobSlots(lambda _: 1)
    assert slots.take(young)
    assert slots.take(young)
    assert not slots.take(other)
    assert slots.take(new)
    slots.give_back(young)
    assert slots.take(other)


def _bindings(lab: Lab) -> tuple[Binding, Binding, Binding]:
    by_name = {binding.name: binding for binding in lab.desired().bindings}
    return by_name["diabetes-young"], by_name["diabetes-middle"], by_name["breast-cancer"]


def test_two_bindings_on_one_version_share_one_training(lab: Lab) -> None:
    lab.edit("diabetes.yaml", "slice: middle", "slice: young")
    assert lab.apply().failures == ()
    started = [job for job in lab.cloud.world.jobs.values() if job.state == "Finished"]
    assert len(started) == 3


def test_a_job_is_started_only_after_its_state_was_read(lab: Lab) -> None:
    lab.apply()
    starts = [at for at, (_, url) in enumerate(lab.sent) if url.endswith("/start")]
    assert len(starts) == 4
    for at in starts:
        job = lab.sent[at][1].removesuffix("/start")
        assert ("GET", job) in lab.sent[:at]


@pytest.mark.parametrize("busy", [False, True])
def test_the_state_of_a_new_job_is_read_beside_its_note_where_a_thread_is_free(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    world, binding, looked = lab.world(), _bindings(lab)[0], threading.Event()
    trainer = world.trainers[binding.recipe.trainer]
    look, note = trainer.look, world.ledger.note_attempt

    def note_attempt(*given: Any) -> Any:
        assert looked.wait(0.0 if busy else 10.0) is not busy
        return note(*given)

    def heard(job: str) -> Job:
        found = look(job)
        looked.set()
        return found

    monkeypatch.setattr(world.ledger, "note_attempt", note_attempt)
    monkeypatch.setattr(trainer, "look", heard)
    entry = claim(world, binding)
    assert entry is not None
    with ThreadPoolExecutor(1) as pool:
        soon = beside(pool)
        if busy:
            job = pool.submit(train_step, world, binding, entry, soon).result(timeout=10)
        else:
            job = train_step(world, binding, entry, soon)
    verbs = [url.rsplit("/", 1)[-1].split("?")[0] for method, url in lab.writes]
    assert [v for v in verbs if v in ("jobs", "manifest.json", "start")] == [
        *("manifest.json", "jobs", "manifest.json", "start", "manifest.json")
    ]
    assert look(job).state is JobState.RUNNING


def test_a_step_that_comes_after_the_last_attempt_of_another_run_begins_no_other(
    lab: Lab,
) -> None:
    lab.cloud.faults.play("job", "no header", times=8)
    lab.apply()
    jobs, world = len(lab.cloud.world.jobs), lab.world()
    for binding in lab.desired().bindings:
        entry = claim(world, binding)
        assert entry is not None
        train_step(world, binding, entry, lambda work: work)
    assert len(lab.cloud.world.jobs) == jobs == 8


@pytest.mark.parametrize("failure", ["", "it is lost"])
def test_a_step_that_comes_late_runs_no_job_again_that_the_engine_forgot(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """Another run started it while this one stood in line, and then the engine was restarted."""
    world, binding = lab.world(), _bindings(lab)[0]
    trainer = world.trainers[binding.recipe.trainer]
    entry = claim(world, binding)
    assert entry is not None
    last = Attempt("j", "2026-11-29T09:00:00Z", {}, "2026-11-29T09:00:01Z", failure)
    attempts = (replace(last, job="i", failure="it is lost"),) * (binding.attempts - 1)
    entry = world.ledger.write(entry, replace(entry.manifest, attempts=(*attempts, last)))
    monkeypatch.setattr(trainer, "forgets", True)
    monkeypatch.setattr(trainer, "look", lambda _: Job(JobState.NOT_STARTED))
    monkeypatch.setattr(trainer, "start", lambda *_: pytest.fail("it was run again"))
    assert train_step(world, binding, entry, lambda work: work) == ""


def test_a_bug_ends_its_own_binding_and_no_other(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = lab.world()
    monkeypatch.setattr(world.targets["WebService"], "switch", lambda *_: 1 / 0)
    ended = lab.converge(world, 4)
    failures = [outcome.failure for outcome in ended.values() if outcome.failure]
    assert [(f.name, f.exit_code) for f in failures] == [("breast-cancer", errors.BUG)]
    assert "ZeroDivisionError" in failures[0].message
    assert len([o for o in ended.values() if o.proof]) == 3


def test_a_bug_in_a_training_keeps_no_job_slot_from_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, trainings = lab.world(), itertools.count()
    for trainer in world.trainers.values():
        trainer.most_jobs = 1
        start = trainer.start

        def started(job: str, order: Any, start: Any = start) -> None:
            if next(trainings) == 0:
                raise ZeroDivisionError
            start(job, order)

        monkeypatch.setattr(trainer, "start", started)
    patience = itertools.count()
    world = replace(world, stopping=lambda: next(patience) > 20_000)
    ended = lab.converge(world, 1)
    assert len([o for o in ended.values() if o.failure and o.failure.exit_code == errors.BUG]) == 1
    assert len([o for o in ended.values() if o.proof]) == 3


def test_a_stop_lets_steps_end_and_starts_no_more(lab: Lab) -> None:
    world = replace(lab.world(), stopping=lambda: True)
    assert lab.converge(world, 4) == {}
    assert lab.writes == []


def test_no_step_begins_after_a_stop(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two steps ends in a stop; the other ends when the run has looked for more to do."""
    stopped, looked, begun = threading.Event(), threading.Event(), itertools.count()
    asked: list[None] = []

    def stopping() -> bool:
        if stopped.is_set():
            asked.append(None)
            if len(asked) > 10:
                looked.set()
        return stopped.is_set()

    def step(run: Endpoint) -> Again:
        number = next(begun)
        if number == 0:
            stopped.set()
        elif number == 1:
            assert looked.wait(10)
        return Again(0.0)

    monkeypatch.setattr(Endpoint, "step", step)
    lab.converge(replace(lab.world(), stopping=stopping), 2)
    assert next(begun) == 2


def test_trouble_that_does_not_pass_ends_in_a_failure_that_says_so(lab: Lab) -> None:
    from reconciler.emulator import Fault

    lab.cloud.faults.script(Fault("bes.submit", "status", times=10_000, status=503))
    report = lab.apply()
    assert {failure.exit_code for failure in report.failures} == {errors.ERROR}
    assert all("503" in failure.message for failure in report.failures)


def test_a_claim_for_another_recipe_is_never_trained_over(lab: Lab) -> None:
    lab.apply()
    lab.edit("models/diabetes.yaml", 'Regularization: "2.0"', 'Regularization: "3.0"')
    lab.sent.clear()
    report = lab.apply()
    assert {failure.exit_code for failure in report.failures} == {errors.REFUSED}
    assert lab.writes == []
