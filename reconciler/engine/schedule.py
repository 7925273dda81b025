"""Which binding is stepped next: when it is due, and for a training when a job slot is free.

What keeps training engines busy goes first: a job that ended unseen, or a slot that stands
empty, costs the whole fleet time, and a swap that is made a moment later costs nobody any.
Bindings whose version must be trained stand in a line per training engine and are not looked at
while they wait: only as many as there are slots are made ready ahead. One whose version another
binding of this run trains waits for that.

Three places where a binding can stand, and one rule for each. *Due*: a heap by time, with trainings
in one of its own that is emptied first. *In line*: not looked at, since a look at the thousandth
binding costs a request and would be stale when its slot comes. *Following*: another binding trains
the same version; two jobs for one version would be refused by the manifest anyway, after a claim
and a slot were spent on finding out. Ties are broken by a counter, because bindings themselves have
no order.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.engine.slots import JobSlots
from reconciler.engine.steps import Again, Outcome, Ready, Run


@dataclass
class _Line:
    """Who waits for the slots of one training engine."""

    waiting: deque[Run] = field(default_factory=deque)  # nobody looked at them yet
    looking: set[str] = field(default_factory=set)  # by address
    ready: deque[tuple[Run, Ready]] = field(default_factory=deque)
    following: list[tuple[Run, Ready]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.waiting or self.ready or self.following)


class Schedule:
    """The bindings of a run that are not being stepped right now."""

    def __init__(self, slots: JobSlots) -> None:
        self._slots = slots
        self._order = itertools.count()  # ties go to whoever came first, not to comparison
        self._urgent: list[tuple[float, int, Run, Callable[[], Outcome]]] = []
        self._others: list[tuple[float, int, Run, Callable[[], Outcome]]] = []
        self._lines: dict[str, _Line] = defaultdict(_Line)
        self._line_of: dict[str, _Line] = {}  # by address

    def __bool__(self) -> bool:
        """Whether there is anything that is still to be stepped."""
        return bool(self._urgent or self._others or any(self._lines.values()))

    def add(self, run: Run, at: float = 0.0) -> None:
        """Step a binding when it is `at`."""
        heap = self._urgent if run.training else self._others
        heapq.heappush(heap, (at, next(self._order), run, run.step))

    def queue(self, service: str, run: Run) -> None:
        """A binding whose version must be trained there: it is looked at when its turn comes."""
        self._lines[service].waiting.append(run)

    def came_back(self, run: Run, outcome: Outcome, now: float) -> None:
        """A step ended; a binding that is ready goes on when there is a slot for it."""
        if (line := self._line_of.pop(run.address, None)) is not None:
            line.looking.discard(run.address)
        if isinstance(outcome, Again):
            self.add(run, now + outcome.after_s)
        elif isinstance(outcome, Ready):
            self._lines[outcome.binding.recipe.trainer].ready.append((run, outcome))

    def due(self, now: float, most: int) -> list[tuple[Run, Callable[[], Outcome]]]:
        """Up to `most` steps that are due, those of trainings first."""
        for service, line in self._lines.items():
            self._release_followers(line, now)
            self._hand_out_slots(line, now)
            self._make_ready(service, line, now)
        visits: list[tuple[Run, Callable[[], Outcome]]] = []
        for heap in (self._urgent, self._others):
            while heap and heap[0][0] <= now and len(visits) < most:
                _, _, run, step = heapq.heappop(heap)
                visits.append((run, step))
        return visits

    def seconds_to_next(self, now: float) -> float:
        """How long nothing will be due, as far as time alone decides."""
        firsts = [heap[0][0] for heap in (self._urgent, self._others) if heap]
        return max(0.0, min(firsts) - now) if firsts else 0.0

    def _release_followers(self, line: _Line, now: float) -> None:
        followers, line.following = line.following, []
        for run, ready in followers:
            if self._slots.by_another(ready.binding):
                line.following.append((run, ready))
            else:  # trained, or given up: a look says which
                heapq.heappush(self._others, (now, next(self._order), run, run.step))

    def _hand_out_slots(self, line: _Line, now: float) -> None:
        """Let those that are ready go on while there are slots; who waits for another follows
        it."""
        while line.ready:
            run, ready = line.ready[0]
            if self._slots.by_another(ready.binding):
                line.following.append(line.ready.popleft())
            elif self._slots.take(ready.binding):
                line.ready.popleft()
                heapq.heappush(self._urgent, (now, next(self._order), run, ready.begin))
            else:
                break

    def _make_ready(self, service: str, line: _Line, now: float) -> None:
        while line.waiting and len(line.looking) + len(line.ready) < self._slots.most(service):
            run = line.waiting.popleft()
            line.looking.add(run.address)
            self._line_of[run.address] = line
            heapq.heappush(self._others, (now, next(self._order), run, run.step))
