"""When to look at a job again: by how long the jobs of its service took before, in this run.

A look at a job that still runs costs a request, and a job that ended unseen costs its slot. Jobs of
one service take about the same time. So a job is looked at when it should have ended, and then in
short steps; before that only as often as is needed to see one that fails early. Each job that
ends says when it did: after the last look that saw it run was asked for, and before the one that
did not. Counted when these were answered, jobs would seem to take longer with each that ends.
"""

from __future__ import annotations

import statistics
import threading
from collections import defaultdict, deque

MOST_S = 15.0  # §4.6: between looks, at most
LEAST_S = 0.02
FIRST_S = 0.5  # where nothing is known yet
REMEMBERED = 20


class JobTimes:
    """How long jobs took, by training engine."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._paused: dict[str, float] = defaultdict(float)  # by job, and no longer than the run

    def ended(self, service: str, took_s: float) -> None:
        """A job of the service took so long."""
        with self._guard:
            self._seen[service].append(took_s)

    def pause_s(self, service: str, job: str, age_s: float) -> float:
        """Seconds until the next look at a job of this age; 1.5 times longer from look to look at
        one that should have ended."""
        expected_s = self._expected_s(service)
        if expected_s > age_s + LEAST_S:
            return min(expected_s - age_s, MOST_S)
        if not expected_s:  # the end of the first jobs is seen late by a quarter at most
            return min(max(age_s * 0.25, FIRST_S), MOST_S)
        first_s = max(expected_s * 0.01, LEAST_S)
        with self._guard:
            self._paused[job] = min(max(self._paused[job] * 1.5, first_s), MOST_S)
            return self._paused[job]

    def _expected_s(self, service: str) -> float:
        with self._guard:
            seen = self._seen[service]
            return statistics.median(seen) if seen else 0.0
