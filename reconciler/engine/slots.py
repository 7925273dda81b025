"""The jobs of training engines: how many may be unfinished at once, and when to look at one again.

A look at a job that still runs costs a request, and a job that ended unseen costs its slot. Jobs of
one service take about the same time. So a job is looked at when it should have ended, and then in
short steps; before that only as often as is needed to see one that fails early. Each job that
ends says when it did: after the last look that saw it run was asked for, and before the one that
did not. Counted when these were answered, jobs would seem to take longer with each that ends.
A job in a queue of its engine is looked at as often as that moves, and what it waited there is none
of the time that jobs take: else the end of a queue would be seen late.
"""

from __future__ import annotations

import statistics
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.model import Binding

MOST_S = 15.0  # §4.6: between looks, at most
LEAST_S = 0.02
FIRST_S = 0.5  # where nothing is known yet
REMEMBERED = 20


class JobSlots:
    """The slots of each training engine. A version takes one, whichever binding makes it."""

    def __init__(self, most: Callable[[str], int]) -> None:
        self.most = most
        self._guard = threading.Lock()
        self._held: dict[str, dict[str, str]] = defaultdict(dict)  # by service: key → name

    def take(self, binding: Binding) -> bool:
        """Whether the binding's training may go on; a training that holds a slot keeps it."""
        with self._guard:
            held = self._held[binding.recipe.trainer]
            if binding.key not in held and len(held) >= self.most(binding.recipe.trainer):
                return False
            held.setdefault(binding.key, binding.name)
            return True

    def hold(self, binding: Binding) -> None:
        """Take a slot for a training that is under way already, whether or not one is free."""
        with self._guard:
            self._held[binding.recipe.trainer].setdefault(binding.key, binding.name)

    def has(self, binding: Binding) -> bool:
        """Whether the binding itself holds a slot."""
        return self._holder(binding) == binding.name

    def by_another(self, binding: Binding) -> bool:
        """Whether another binding of the same version holds its slot, and so trains it."""
        return self._holder(binding) not in ("", binding.name)

    def give_back(self, binding: Binding) -> None:
        """Free the binding's slot, if it holds one."""
        with self._guard:
            held = self._held[binding.recipe.trainer]
            if held.get(binding.key) == binding.name:
                del held[binding.key]

    def _holder(self, binding: Binding) -> str:
        with self._guard:
            return self._held[binding.recipe.trainer].get(binding.key, "")


@dataclass(frozen=True)
class Watch:
    """A job that is waited for: since when, how old it was when a look saw it run last, and when it
    was asked for last. `waited_s` of that it stood in a queue of its engine."""

    job: str
    began_at: float
    ran_s: float = 0.0
    asked_s: float = 0.0
    waited_s: float = 0.0

    @property
    def took_s(self) -> float:
        """How long it ran, once a look saw that it had ended: between the last two looks."""
        ended_s = (self.ran_s + self.asked_s) / 2 if self.ran_s else self.asked_s * 0.99
        return ended_s - self.waited_s

    def running(self, queued: bool) -> Watch:
        """The watch after a look at a job that has not ended; it left its queue between two
        looks."""
        waited_s = self.waited_s
        if queued:
            waited_s = self.asked_s
        elif waited_s == self.ran_s:  # the last look still saw it in the queue, or there was none
            waited_s = (waited_s + self.asked_s) / 2 if waited_s else 0.0
        return replace(self, ran_s=self.asked_s, waited_s=waited_s)


class JobTimes:
    """How long jobs took, by training engine, and how fast its queue moves."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._paused: dict[str, float] = defaultdict(float)  # by job, and no longer than the run
        self._ended: dict[str, int] = defaultdict(int)
        # by service: each job of its queue, and how many had ended when it came
        self._queued: dict[str, dict[str, int]] = defaultdict(dict)

    def ended(self, service: str, job: str, took_s: float | None) -> None:
        """A job of the service ended, and took so long; None where that says nothing of others."""
        with self._guard:
            self._queued[service].pop(job, None)
            if took_s is not None:
                self._seen[service].append(took_s)
                self._ended[service] += 1

    def pause_s(self, service: str, job: str, age_s: float, *, queued: bool = False) -> float:
        """Seconds until the next look at a job that has run so long; 1.5 times longer from look to
        look at one that should have ended. A `queued` one, of this age, may begin after the
        look."""
        with self._guard:
            seen = self._seen[service]
            expected_s = statistics.median(seen) if seen else 0.0
        if queued:
            with self._guard:
                self._paused[job] = expected_s * 0.1
                return min(self._queued_s(service, job, age_s), MOST_S)
        if expected_s > age_s + LEAST_S:
            return min(expected_s - age_s, MOST_S)
        if not expected_s:  # the end of the first jobs is seen late by a quarter at most
            return min(max(age_s * 0.25, FIRST_S), MOST_S)
        first_s = max(expected_s * 0.01, LEAST_S)
        with self._guard:
            self._paused[job] = min(max(self._paused[job] * 1.5, first_s), MOST_S)
            return self._paused[job]

    def _queued_s(self, service: str, job: str, age_s: float) -> float:
        """Half of the time until the job ends, if jobs end in their order and as fast as since it
        came. So one look is needed whenever its place in the queue has halved."""
        queue = self._queued[service]
        ended = self._ended[service] - queue.setdefault(job, self._ended[service])
        if not ended:
            return max(age_s * 0.5, FIRST_S)
        place = list(queue).index(job) + 1
        return max(place * age_s / ended * 0.5, age_s * 0.02, LEAST_S)
