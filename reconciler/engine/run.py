"""Many bindings at once: each is stepped when it is due, and none waits for another.

Threads are only borrowed for a step, which is one look and at most one write; a training of an
hour holds none. The main thread hands out steps, keeps the display alive and sees a stop.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from reconciler.engine.binding import BindingRun, blocked_code
from reconciler.engine.lifecycle import RemovalRun
from reconciler.engine.steps import Again, Ended, Goal, Shared
from reconciler.engine.train import JobSlots
from reconciler.errors import BUG, redact
from reconciler.model import NOT_DECLARED, TRAINING, Action, Failure
from reconciler.plan import TO_DO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.engine.steps import Progress, Run
    from reconciler.engine.world import World
    from reconciler.model import Binding, Change, Owned, Plan

log = logging.getLogger(__name__)
BEAT_S = 0.2


def converge(
    world: World,
    bindings: Iterable[Binding],
    plan: Plan,
    progress: Progress,
    *,
    parallel: int,
    most_jobs: int,
    goal: Goal = Goal.SERVED,
    not_declared: Iterable[Owned] = (),
) -> dict[str, Ended]:
    """How each binding ended, by address; those in sync, or cut off by a stop, are missing.

    What the plan refuses is a failure already and is not touched, whatever it looks like by now:
    nobody approved more than the plan. `not_declared` are those that the plan may delete.
    """
    shared = Shared(world, goal, progress, JobSlots(most_jobs))
    by_address = {str(binding.address): binding for binding in bindings}
    changes = [c for c in plan.changes if concerns(goal, c)]
    work = [(by_address[c.address], c) for c in changes if c.code != NOT_DECLARED]
    for binding, change in work:
        if change.code == TRAINING:
            shared.slots.hold(binding)
    lost = {str(owned.address): owned for owned in not_declared}
    runs: list[Run] = [BindingRun(binding, change, shared) for binding, change in work]
    runs += [RemovalRun(lost[c.address], shared) for c in changes if c.code == NOT_DECLARED]
    schedule = _Schedule(runs)
    ended = {c.address: _refused(c) for c in plan.changes if c.action is Action.BLOCK}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="apply") as pool:
        under_way: dict[Future[Again | Ended], Run] = {}
        while (schedule or under_way) and not (world.stopping() and not under_way):
            if not world.stopping():
                for run in schedule.due(world.clock.now(), parallel - len(under_way)):
                    under_way[pool.submit(run.step)] = run
            _collect(world, schedule, under_way, ended)
            progress.beat()
    return ended


def concerns(goal: Goal, change: Change) -> bool:
    """Whether a run with this goal works on the change."""
    if goal is Goal.TRAINED:
        return change.trains or change.code == TRAINING
    return change.action in TO_DO


def _refused(change: Change) -> Ended:
    failure = Failure(change.name, change.address, change.why, blocked_code(change))
    return Ended(failure=failure)


def _collect(
    world: World,
    schedule: _Schedule,
    under_way: dict[Future[Again | Ended], Run],
    ended: dict[str, Ended],
) -> None:
    """Wait a moment for steps, or for the next one to be due; take in what ended."""
    if not under_way:
        world.clock.wait(min(BEAT_S, schedule.seconds_to_next(world.clock.now())))
        return
    finished, _ = wait(under_way, timeout=BEAT_S, return_when=FIRST_COMPLETED)
    for future in finished:
        run = under_way.pop(future)
        outcome = _outcome(run, future)
        if isinstance(outcome, Again):
            schedule.add(world.clock.now() + outcome.after_s, run)
        else:
            ended[run.address] = outcome


def _outcome(run: Run, future: Future[Again | Ended]) -> Again | Ended:
    """What a step said; a bug of ours ends its own binding, with its traceback, and no other."""
    try:
        return future.result()
    except Exception as exc:
        log.error("%s: a bug of ours\n%s", run.name, redact(traceback.format_exc()))
        message = redact(f"a bug of ours: {type(exc).__name__}: {exc}")
        return Ended(failure=Failure(run.name, run.address, message, BUG))


class _Schedule:
    """Bindings by the time at which they want to be stepped."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._order = itertools.count()  # ties go to whoever came first, not to comparison
        self._heap = [(0.0, next(self._order), run) for run in runs]

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, at: float, run: Run) -> None:
        heapq.heappush(self._heap, (at, next(self._order), run))

    def due(self, now: float, most: int) -> list[Run]:
        found: list[Run] = []
        while self._heap and self._heap[0][0] <= now and len(found) < most:
            found.append(heapq.heappop(self._heap)[2])
        return found

    def seconds_to_next(self, now: float) -> float:
        return max(0.0, self._heap[0][0] - now) if self._heap else 0.0
