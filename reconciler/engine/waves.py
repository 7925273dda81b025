"""Which endpoints of a run wait for an earlier wave of their version, and what becomes of them.

The plan says in which wave each endpoint gets its version. Here the first wave of the plan begins,
the next one when all of that are proved, and so on. If one is not, all later endpoints are left as
they are: a version that is no good has reached one wave and no other. A run waits for a `pause`. It
does not wait for a `soak`: the endpoints are left for a later run, whose plan finds from the
records how long the wave has been proved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reconciler.engine.steps import Ended, Progress, Run
from reconciler.engine.world import seconds_since_epoch, timestamp
from reconciler.model import Change, Held, Wave

SLOW_S = 60.0  # between the decision that nothing can be done and its being so


@dataclass
class _Fleet:
    """The endpoints of one version: by address those under way, by wave those to come."""

    version: str
    under_way: set[str] = field(default_factory=set)
    to_come: dict[int, list[tuple[Run, Wave]]] = field(default_factory=lambda: defaultdict(list))
    why: str = ""  # what went wrong
    due: float = 0.0  # when its last wave begins, or began

    def pauses_s(self, now: float) -> tuple[float, ...]:
        """How long this run waits before the wave that begins, and before each of the later ones;
        those that soak are left for another run. () in its last wave."""
        waits = [max(wave.wait_s for _, wave in w) for _, w in sorted(self.to_come.items())]
        soaks = [any(wave.soak_s for _, wave in w) for _, w in sorted(self.to_come.items())]
        begins_s = max(self.due - now, 0.0)
        later = [0.0 if any(soaks[: n + 1]) else wait for n, wait in enumerate(waits)]
        return (begins_s, *later) if later or begins_s else ()


class Waves:
    """The waves of a run; used by one thread. `enter` lets an endpoint be stepped from some time
    on, and `ended` is kept up to date."""

    def __init__(
        self, enter: Callable[[Run, float], None], ended: dict[str, Ended], progress: Progress
    ) -> None:
        self._enter, self._ended, self._progress = enter, ended, progress
        self._fleets: dict[str, _Fleet] = {}
        self._fleet_of: dict[str, _Fleet] = {}  # by address

    def add(self, run: Run, version: str, wave: Wave, *, begun: bool) -> None:
        """An endpoint whose turn it will be. One that serves the version already has no turn: the
        others wait until it is proved there."""
        fleet = self._fleets.setdefault(version, _Fleet(version))
        self._fleet_of[run.address] = fleet
        if begun:
            fleet.under_way.add(run.address)
            self._enter(run, 0.0)
        else:
            fleet.to_come[wave.number].append((run, wave))

    def begin(self, now: float) -> None:
        """Begin the first wave of each version."""
        for fleet in self._fleets.values():
            if fleet.under_way:
                continue
            first = fleet.to_come[min(fleet.to_come)]
            stamps = (wave.not_before for _, wave in first if wave.not_before)
            self._next(fleet, max(map(seconds_since_epoch, stamps), default=0.0), now)

    def came_back(self, address: str, end: Ended, now: float) -> None:
        """An endpoint has ended: begin the next wave of its version after the last of its own."""
        if (fleet := self._fleet_of.get(address)) is None:
            return
        fleet.under_way.discard(address)
        if end.failure is not None:
            fleet.why = fleet.why or f"{end.failure.name}: {end.failure.message}"
        if fleet.under_way or not fleet.to_come:
            return
        if fleet.why:
            self._hold(fleet, now, why=fleet.why)
        else:
            following = fleet.to_come[min(fleet.to_come)]
            self._next(fleet, now + max(wave.wait_s for _, wave in following), now)

    def _next(self, fleet: _Fleet, due: float, now: float) -> None:
        """Begin the next wave of a fleet, or leave its endpoints where the wait is too long for a
        run."""
        number = min(fleet.to_come)
        if due > now and any(wave.soak_s for _, wave in fleet.to_come[number]):
            self._hold(fleet, now, until=timestamp(due))
            return
        entering = fleet.to_come.pop(number)
        when = f" at {timestamp(due)}" if due > now else ""
        count, of = len(entering), len(entering[0][1].sizes)
        place = f"wave {number} of {of}"
        message = f"{fleet.version}: {place} begins{when} ({_counted(count)})"
        fleet.due = due
        self._progress.wave(message, number=place, pauses_s=self._pauses_s(now))
        for run, _ in entering:
            fleet.under_way.add(run.address)
            self._enter(run, due)

    def _hold(self, fleet: _Fleet, now: float, *, why: str = "", until: str = "") -> None:
        """Leave all that are to come as they are."""
        held = [
            Held(run.name, run.address, fleet.version, why, until)
            for number in sorted(fleet.to_come)
            for run, _ in fleet.to_come[number]
        ]
        fleet.to_come.clear()
        self._ended.update({endpoint.address: Ended(held=endpoint) for endpoint in held})
        count, how = _counted(len(held)), f"must wait until {until}" if until else "will not get it"
        message = f"{fleet.version}: {count} {how}"
        self._progress.wave(message, ended=len(held), pauses_s=self._pauses_s(now))

    def _pauses_s(self, now: float) -> tuple[float, ...]:
        """Those of the version that waits longest; versions do not wait for each other."""
        pauses_s = (fleet.pauses_s(now) for fleet in self._fleets.values())
        return max(pauses_s, key=lambda pauses_s: (sum(pauses_s), len(pauses_s)))


def only_wait(changes: Iterable[Change], now: float) -> bool:
    """Whether a run could do nothing about these changes but to leave them for a later one, also if
    it is slow: it holds no lock then."""
    return all(
        change.wave is not None
        and change.wave.soak_s
        and change.wave.not_before
        and seconds_since_epoch(change.wave.not_before) > now + SLOW_S
        for change in changes
    )


def _counted(endpoints: int) -> str:
    return f"{endpoints:,} endpoint{'' if endpoints == 1 else 's'}"
