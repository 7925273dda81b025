"""Many bindings at once: each is stepped when it is due, and none waits for another.

Threads are only borrowed for a step, which is one look and at most one write; a training of an hour
holds none. The main thread hands out steps, keeps the display alive and sees a stop.

With a thread per binding a fleet of a thousand would need a thousand, nearly all asleep. With a
loop over all bindings the slowest answer would set the pace of everybody. Here the unit is the
visit: it ends with "again in so many seconds", "ready for a job slot" or "ended", and the schedule
knows when the next one is due. A stop needs no cooperation from a visit: no new one is handed out,
those that are under way end by themselves, and what they left is found by the next run like the
work of any crash.

A bug of this program in one visit ends that binding as failed, with its traceback in the log. Were
it to end the run, one odd answer of one service could keep a thousand endpoints from their
versions.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import traceback
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from reconciler.engine.interpreter import Endpoint
from reconciler.engine.schedule import Schedule
from reconciler.engine.slots import JobSlots
from reconciler.engine.steps import Course, Ended, Goal, Shared, blocked_code
from reconciler.engine.waves import Waves
from reconciler.errors import BUG, redact
from reconciler.model import TO_DO, TOUCHED, Action, Binding, Change, Failure, Owned, Plan, Reason
from reconciler.soon import beside

if TYPE_CHECKING:
    from reconciler.engine.steps import Outcome, Progress, Run
    from reconciler.engine.world import World

log = logging.getLogger(__name__)
BEAT_S = 0.2
LEAST_S = 0.01


def converge(
    world: World,
    bindings: Iterable[Binding],
    plan: Plan,
    progress: Progress,
    *,
    parallel: int,
    goal: Goal = Goal.SERVED,
    not_declared: Iterable[Owned] = (),
    course: Course | None = None,
) -> dict[str, Ended]:
    """How each binding ended, by address; those in sync, or cut off by a stop, are missing.

    What the plan refuses is a failure already and is not touched, whatever it looks like by now:
    nobody approved more than the plan. `not_declared` are those that the plan may delete. `course`
    is kept up to date, for whoever must tell of this before it returns.
    """
    by_address = {str(binding.address): binding for binding in bindings}
    changes = [c for c in plan.changes if concerns(goal, c)]
    course, trainers = course or Course(tuple(changes)), world.trainers
    work = [(by_address[c.address], c) for c in changes if c.code != Reason.NOT_DECLARED]
    lost = {str(owned.address): owned for owned in not_declared}
    course.ended.update({c.address: _refused(c) for c in plan.changes if c.action is Action.BLOCK})
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="apply") as pool:
        slots = JobSlots(lambda service: trainers[service].most_jobs)
        shared = Shared(world, goal, progress, slots, beside(pool))
        schedule, waves = _scheduled(work, shared, course)
        for change in changes:
            if change.code == Reason.NOT_DECLARED:
                removal = Endpoint(lost[change.address], change, shared)
                course.runs[removal.address] = removal
                schedule.add(removal)
        stepping, beaten_at = _Stepping(world, schedule, waves, course.ended), 0.0
        while stepping.under_way or (schedule and not world.stopping()):
            if not world.stopping():
                stepping.hand_out(pool, parallel)
            stepping.collect()
            if world.clock.now() - beaten_at >= BEAT_S:
                beaten_at = world.clock.now()
                progress.beat()
    return course.ended


def _scheduled(
    work: list[tuple[Binding, Change]], shared: Shared, course: Course
) -> tuple[Schedule, Waves]:
    """All bindings of the run: those that must be trained in line, the others due at once, and
    those of later waves when their turn comes."""
    schedule = Schedule(shared.slots)
    by_address = {change.address: (binding, change) for binding, change in work}

    def enter(run: Run, at: float = 0.0) -> None:
        binding, change = by_address[run.address]
        if change.code == Reason.TRAINING:
            shared.slots.hold(binding)
        if change.trains and not at:
            schedule.queue(binding.recipe.trainer, run)
        else:  # an earlier wave made the version
            schedule.add(run, at)

    waves = Waves(enter, course.ended, shared.progress)
    for binding, change in work:
        run = course.runs[change.address] = Endpoint(binding, change, shared)
        if change.wave is None or shared.goal is not Goal.SERVED:
            enter(run)
        else:
            begun = change.code == Reason.UNPROVED
            waves.add(run, binding.version.folder, change.wave, begun=begun)
    waves.begin(shared.world.clock.now())
    return schedule, waves


def concerns(goal: Goal, change: Change) -> bool:
    """Whether a run with this goal works on the change."""
    if goal is Goal.TRAINED:
        return change.trains or change.code == Reason.TRAINING
    return change.action in TO_DO


def _refused(change: Change) -> Ended:
    failure = Failure(change.name, change.address, change.why, blocked_code(change))
    return Ended(failure=failure)


class _Stepping:
    """The steps that are under way, and how bindings ended; used by one thread."""

    def __init__(
        self, world: World, schedule: Schedule, waves: Waves, ended: dict[str, Ended]
    ) -> None:
        self.schedule = schedule
        self._waves = waves
        self.under_way: dict[Future[Outcome], Run] = {}
        self._world = world
        self._ended = ended
        self._finished: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()

    def hand_out(self, pool: ThreadPoolExecutor, parallel: int) -> None:
        """Begin what is due, as far as threads are free."""
        for run, step in self.schedule.due(self._world.clock.now(), parallel - len(self.under_way)):
            future = pool.submit(step)
            self.under_way[future] = run
            future.add_done_callback(self._finished.put)

    def collect(self) -> None:
        """Wait a moment for steps, or for the next one to be due; take in what ended."""
        now = self._world.clock.now()
        pause_s = min(BEAT_S, self.schedule.seconds_to_next(now))
        if not self.under_way:
            self._world.clock.wait(pause_s)
            return
        with contextlib.suppress(queue.Empty):
            self._take_in(self._finished.get(timeout=max(pause_s, LEAST_S)))
            while True:
                self._take_in(self._finished.get_nowait())

    def _take_in(self, future: Future[Outcome]) -> None:
        run = self.under_way.pop(future)
        outcome = _outcome(run, future)
        self.schedule.came_back(run, outcome, self._world.clock.now())
        if isinstance(outcome, Ended):
            self._ended[run.address] = outcome
            self._waves.came_back(run.address, outcome, self._world.clock.now())


def _outcome(run: Run, future: Future[Outcome]) -> Outcome:
    """The outcome of a step; a bug of ours ends its own binding, with its traceback, and no
    other."""
    try:
        return future.result()
    except Exception as exc:
        log.error("%s: a bug of ours\n%s", run.name, redact(traceback.format_exc()))
        message = redact(f"a bug of ours: {type(exc).__name__}: {exc}")
        failure = Failure(run.name, run.address, message, BUG)
        return Ended(failure=failure, changed=run.reached in TOUCHED)
