"""Any twin as a stage: the program is killed around whatever it does to the world."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.model import EventKind
from reconciler.stores.contract import ShowsLife
from tests.crash import harness
from tests.crash.harness import APPLY, Point
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    import subprocess

    from tests.twins.contract import Twin

SCENARIOS = ("create", "swap", "roll back", "waves", "waves, two runs")


class TwinStage:
    """A twin, and a scenario of it: the first version, the next one, or one that must go back,
    from the first endpoint of several; where another run goes on beside the one that is killed, too.
    """

    command = APPLY

    def __init__(self, twin: Twin, scenario: str) -> None:
        self.twin = twin
        self.folder = twin.services.parent
        self.wanted, self.trained = FIRST, 1
        self.ends: tuple[set[int], set[int]] = ({errors.SUCCESS}, {errors.SUCCESS})
        self.names, self.beside = [twin.name], scenario == "waves, two runs"
        waves = scenario.startswith("waves")
        if waves:
            self.names.append(twin.declare_another())
            twin.give_out("{first: 1}")
        if scenario != "create":
            assert twin.apply().failures == ()
            for name in self.names:
                twin.ask_for(SECOND, name)
            self.wanted, self.trained = SECOND, 2
        if scenario == "roll back" or waves:
            twin.spoil()
            self.wanted = FIRST
            refused = {errors.UNPROVED, errors.REFUSED}
            self.ends = refused if self.beside else {errors.UNPROVED}, refused
        self.undeclared = twin.undeclared()

    def run(self, point: Point | None = None, command: tuple[str, ...] = APPLY) -> int:
        kill = f"{point.number} {point.moment}" if point else ""
        process = harness.begin(self.folder, {**self.twin.environ, "KILL": kill}, command)
        other = self._begin_another(command) if self.beside and point else None
        code = harness.end(process)
        self._end_the_lock()
        if other is not None:
            assert harness.end(other) in self.ends[1], harness.told(self.folder / "beside")
            self._end_the_lock()
        return code

    def _begin_another(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        folder = self.folder / "beside"
        folder.mkdir()
        services = ("--services", str(self.twin.services))
        return harness.begin(folder, self.twin.environ, (*command, *services))

    def points(self) -> list[Point]:
        count = int((self.folder / "count").read_text())
        assert count
        return [Point(number, moment) for number in range(count) for moment in ("before", "after")]

    def broken(self) -> str:
        if why := harness.left_to_do(self.twin.plan()):
            return why
        starts = Counter(self.twin.starts())
        if sorted(starts.values()) != [1] * self.trained:
            return f"trainings were started {sorted(starts.values())} times"
        for name in self.names:
            if (serving := self.twin.serving(name)) != self.wanted:
                return f'it serves "{serving}"'
        if len(self.names) > 1 and (reached := self._reached()) > 1:
            return f"a bad version reached {reached} endpoints"
        binding = self.twin.binding()
        record = self.twin.world(read_only=True).ledger.record(binding.address)
        if record is None or not record.proved:
            return "it serves a model that was never proved"
        return "" if self.twin.undeclared() == self.undeclared else "what is not declared changed"

    def _reached(self) -> int:
        """How many endpoints any run gave the second version, or was about to: each swap is noted
        before it is sent, whatever became of it."""
        ledger = self.twin.world(read_only=True).ledger
        records = [ledger.record(self.twin.binding(name).address) for name in self.names]
        events = [record.history if record else () for record in records]
        bad = (EventKind.SWAP, SECOND)
        return sum(any((e.what, e.version) == bad for e in each) for each in events)

    def told(self) -> str:
        return harness.told(self.folder)

    def close(self) -> None:
        """Whoever opened the twin closes it."""

    def _end_the_lock(self) -> None:
        """What a minute without renewal comes to, where a lock does not end with its process."""
        store, name = self.twin.world().store, f"_locks/{self.twin.environment}.json"
        if not isinstance(store, ShowsLife) and (stored := store.get(name)) is not None:
            store.put(name, json.dumps({**json.loads(stored.content), "nonce": ""}).encode())
