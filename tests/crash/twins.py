"""Any twin as a stage: the program is killed around whatever it does to the world."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.stores.contract import ShowsLife
from tests.crash import harness
from tests.crash.harness import APPLY, Point
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from tests.twins.contract import Twin

SCENARIOS = ("create", "swap", "roll back", "waves")


class TwinStage:
    """A twin, and a scenario of it: the first version, the next one, or one that must go back,
    from the first endpoint of several."""

    command = APPLY

    def __init__(self, twin: Twin, scenario: str) -> None:
        self.twin = twin
        self.folder = twin.services.parent
        self.wanted, self.trained = FIRST, 1
        self.ends: tuple[set[int], set[int]] = ({errors.SUCCESS}, {errors.SUCCESS})
        self.names, self.reached = [twin.name], set[str]()
        if scenario == "waves":
            self.names.append(twin.declare_another())
            twin.give_out("{first: 1}")
        if scenario != "create":
            assert twin.apply().failures == ()
            for name in self.names:
                twin.ask_for(SECOND, name)
            self.wanted, self.trained = SECOND, 2
        if scenario in ("roll back", "waves"):
            twin.spoil()
            self.wanted = FIRST
            self.ends = {errors.UNPROVED}, {errors.UNPROVED, errors.REFUSED}
        self.undeclared = twin.undeclared()

    def run(self, point: Point | None = None, command: tuple[str, ...] = APPLY) -> int:
        kill = f"{point.number} {point.moment}" if point else ""
        process = harness.begin(self.folder, {**self.twin.environ, "KILL": kill}, command)
        code = harness.end(process)
        self._end_the_lock()
        self.reached.update(name for name in self.names if self.twin.is_told(SECOND, name))
        return code

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
        if len(self.names) > 1 and len(self.reached) > 1:
            return f"a bad version reached {len(self.reached)} endpoints"
        binding = self.twin.binding()
        record = self.twin.world(read_only=True).ledger.record(binding.address)
        if record is None or not record.proved:
            return "it serves a model that was never proved"
        return "" if self.twin.undeclared() == self.undeclared else "what is not declared changed"

    def told(self) -> str:
        return harness.told(self.folder)

    def close(self) -> None:
        """Whoever opened the twin closes it."""

    def _end_the_lock(self) -> None:
        """What a minute without renewal comes to, where a lock does not end with its process."""
        store, name = self.twin.world().store, f"_locks/{self.twin.environment}.json"
        if not isinstance(store, ShowsLife) and (stored := store.get(name)) is not None:
            store.put(name, json.dumps({**json.loads(stored.content), "nonce": ""}).encode())
