"""The training of one binding's version: claimed, given a slot, started, and looked at alone.

While a job runs a step asks the training service about that job and nobody else about anything.
Whatever is written is decided by a whole look: before the version is claimed and trained, and after
its job has ended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.engine.job_times import Watch
from reconciler.engine.steps import Again, Patience, Ready
from reconciler.engine.train import claim, train_step
from reconciler.model import Action
from reconciler.platforms.contract import ENDED, JobState, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine.steps import Outcome, Shared
    from reconciler.engine.world import World
    from reconciler.ledger import Entry
    from reconciler.model import Binding, Change, Observed
    from reconciler.platforms.contract import Job, Order

LOOK_LASTS_S = 60.0  # how old a look may be that a training begins by


class _Ended(Trainer):
    """A training engine of which the last word about one job is known."""

    def __init__(self, trainer: Trainer, job: str, seen: Job) -> None:
        self._job, self._seen = job, seen
        self._trainer = trainer
        self.most_jobs, self.forgets = trainer.most_jobs, trainer.forgets

    def look(self, job: str) -> Job:
        """The job as it is now: no job leaves the state in which it ended (§4.3)."""
        return self._seen if job == self._job else self._trainer.look(job)

    def prepare(self, order: Order) -> str:
        """As the engine does."""
        return self._trainer.prepare(order)

    def start(self, job: str, order: Order) -> None:
        """As the engine does."""
        self._trainer.start(job, order)

    def cancel(self, job: str) -> None:
        """As the engine does."""
        self._trainer.cancel(job)


class Training:
    """What a run remembers of one training: that it is ready, or which job it waits for."""

    def __init__(self, binding: Binding, shared: Shared) -> None:
        self._binding = binding
        self._shared = shared
        self._world = shared.world
        self._claimed: tuple[Entry, float] | None = None  # and when that was looked at
        self.begun = False  # whether there is a job
        self._watch: Watch | None = None  # the job that is waited for
        self._ended: _Ended | None = None
        self._patience = Patience(0.5, 15.0)

    @property
    def watching(self) -> bool:
        """Whether a job is waited for."""
        return self._watch is not None

    def forget(self) -> None:
        """Believe nothing that was seen before."""
        self._watch = self._claimed = self._ended = None

    def seen_from(self, world: World) -> World:
        """The world, in which a job that was just seen to have ended is not asked for again."""
        if self._ended is None:
            return world
        service = self._binding.recipe.trainer
        return replace(world, trainers={**world.trainers, service: self._ended})

    def go_on(
        self, observed: Observed, change: Change, begin: Callable[[], Outcome]
    ) -> Again | Ready:
        """Wait for the job that runs; else claim the version, and ask for a slot to `begin` in."""
        artifact, now = observed.artifact, self._world.clock.now()
        if change.action is Action.WAIT:
            self._say("training", change.why)
            return self._wait_for(Watch(artifact.job, now - artifact.running_s))
        with self._shared.locks.of(self._binding):
            entry = claim(self._world, self._binding)
        if entry is None:
            return self._patience.again()  # the next look says whose it is
        if self._shared.slots.has(self._binding):
            return self._submit(entry)
        self._claimed = (entry, now)
        self._say("queued", f"for a job slot of {self._binding.recipe.trainer}")
        return Ready(self._binding, begin)

    def begin(self) -> Again | None:
        """Submit and start the job, now that there is a slot; None if that needs a new look."""
        claimed, self._claimed = self._claimed, None
        if claimed is None or self._world.clock.now() - claimed[1] > LOOK_LASTS_S:
            return None
        return self._submit(claimed[0])

    def look(self) -> Again:
        """One request while the job runs; its slot is free for the next as soon as it does not."""
        assert self._watch is not None
        watch, service = self._watch, self._binding.recipe.trainer
        age_s = self._world.clock.now() - watch.began_at
        job = self._world.trainers[service].look(watch.job)
        if job.state is JobState.RUNNING and age_s <= self._binding.timeout_s:
            watch.ran_s = age_s
            self._say("training", f"job {watch.job} is running")
            return self._wait_for(watch)
        self._watch = None
        if job.state in ENDED:
            self._shared.slots.give_back(self._binding)
            self._ended = _Ended(self._world.trainers[service], watch.job, job)
        if job.state is JobState.FINISHED:
            self._shared.times.ended(service, watch, age_s)
        return Again(0.0)

    def _submit(self, entry: Entry) -> Again:
        with self._shared.locks.of(self._binding):
            job = train_step(self._world, self._binding, entry, self._shared.soon)
        self._say("training", f"version {self._binding.version.version}")
        if not job:
            return self._patience.again()
        return self._wait_for(Watch(job, self._world.clock.now()))

    def _wait_for(self, watch: Watch) -> Again:
        """Look at the job alone from now on, until it has ended or something is wrong with it."""
        self._watch, self.begun = watch, True
        age_s = self._world.clock.now() - watch.began_at
        return Again(self._shared.times.pause_s(self._binding.recipe.trainer, watch, age_s))

    def _say(self, phase: str, detail: str) -> None:
        self._shared.progress.phase(self._binding.name, phase, detail)
