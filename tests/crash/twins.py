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

SCENARIOS = ("create", "swap", "roll back")


class TwinStage:
    """A twin, and a scenario of it: the first version, the next one, or one that must go back."""

    command = APPLY

    def __init__(self, twin: Twin, scenario: str) -> None:
        self.twin = twin
        self.folder = twin.services.parent
        self.wanted, self.trained = FIRST, 1
        self.ends: tuple[set[int], set[int]] = ({errors.SUCCESS}, {errors.SUCCESS})
        if scenario != "create":
            assert twin.apply().failures == ()
            twin.ask_for(SECOND)
            self.wanted, self.trained = SECOND, 2
        if scenario == "roll back":
            twin.spoil()
            self.wanted = FIRST
            self.ends = {errors.UNPROVED}, {errors.UNPROVED, errors.REFUSED}
        self.undeclared = twin.undeclared()

    def run(self, point: Point | None = None, command: tuple[str, ...] = APPLY) -> int:
        kill = f"{point.number} {point.moment}" if point else ""
        process = harness.begin(self.folder, {**self.twin.environ, "KILL": kill}, command)
        code = harness.end(process)
        self._end_the_lock()
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
        if (serving := self.twin.serving()) != self.wanted:
            return f'it serves "{serving}"'
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
