"""A day of runs, one every five minutes, with drift, faults and new versions: nothing piles up."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.emulator import Fault
from reconciler.engine.world import with_event
from reconciler.model import Action, EventKind, Model
from reconciler.stores.azure_blob import AzureBlob
from tests.lab import Lab
from tests.oracle import one_training_per_version, proven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.emulator.messages import Request, Response

EVERY_S = 300
DAY_RUNS = 24 * 3600 // EVERY_S
# Bytes. Bounded caches of signed URLs turn over, which leaves about 300,000 in place of their old
# entries; a plan has 20,000, and 72 runs that kept one each would keep 1,400,000.
MOST_KEPT = 500_000
MOST_OBJECTS = 200  # more than before the day; one plan has about 40


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def test_an_hour_of_runs(lab: Lab) -> None:
    Soak(lab, new_version_every=6).go(12)


def test_an_update_that_is_lost_is_seen(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(store: AzureBlob, name: str, content: bytes, etag: str) -> str:
        return store.put(name, content)

    soak = Soak(lab, new_version_every=2)
    soak.go(2)
    soak.drift()
    soak.rival()
    monkeypatch.setattr(AzureBlob, "replace", careless)
    with pytest.raises(AssertionError, match="an update of a record was lost"):
        soak.run("drift")


@pytest.mark.long
def test_a_day_of_runs_trains_nothing_twice_and_keeps_no_memory(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    objects = own_objects()
    soak = Soak(Lab(tmp_path), new_version_every=24)
    soak.go(DAY_RUNS * 3 // 4)
    tracemalloc.start(6)  # frames: enough to see who asked the standard library
    try:
        soak.go(DAY_RUNS // 4)
        told = soak.told
        del soak  # and its cloud, which may keep what it was sent
        kept = traced()
    finally:
        tracemalloc.stop()
    assert kept < MOST_KEPT
    assert own_objects() - objects < MOST_OBJECTS
    figure(f"{told}; {kept / 1000:.0f} kB kept of its last quarter")


def traced() -> int:
    """The bytes that were allocated since tracing began, for the program, and live now."""
    gc.collect()
    ours = tracemalloc.Filter(True, "*/reconciler/*", all_frames=True)
    not_tests = tracemalloc.Filter(False, "*/emulator/*", all_frames=True)
    traces = tracemalloc.take_snapshot().filter_traces([not_tests]).filter_traces([ours]).traces
    return sum(trace.size for trace in traces)


def own_objects() -> int:
    """How many objects of the program's own classes there are, the emulator's left out."""
    gc.collect()
    modules = [str(type(thing).__module__) for thing in gc.get_objects()]
    return sum(m.startswith("reconciler.") and ".emulator" not in m for m in modules)


class Soak:
    """Runs on one laboratory, and what happened between them."""

    def __init__(self, lab: Lab, new_version_every: int) -> None:
        self.lab = lab
        self.every = new_version_every
        self.random = random.Random(24)
        self.versions = ["2026-10"]
        self.runs = self.quiet = self.rivals = 0
        self.did: Counter[str] = Counter()

    def go(self, runs: int) -> None:
        """So many runs, five minutes from one to the next."""
        for _ in range(runs):
            self.runs += 1
            happened = self.happen() if self.runs > 1 else "first"
            self.did[happened] += 1
            self.run(happened)
            self.lab.clock.advance(EVERY_S)

    @property
    def told(self) -> str:
        """What happened, in figures."""
        return (
            f"soak: {self.runs} runs in {self.runs * EVERY_S // 3600} simulated hours, "
            f"{self.did['version']} new versions, {self.did['drift']} drifts, {self.did['fault']} "
            f"faults; {len(self.lab.cloud.world.jobs)} jobs, no training twice; "
            f"{self.quiet} runs wrote nothing"
        )

    def happen(self) -> str:
        """What happened since the last run."""
        if self.runs % self.every == 0:
            self.new_version()
            return "version"
        match self.random.randrange(8):
            case 0 | 1 if len(self.versions) > 1:
                self.drift()
                return "drift"
            case 2 if len(self.versions) > 1:
                self.drift()
                self.rival()
                return "drift"
            case 3:
                route = self.random.choice(("arm.get", "blob.get", "classic.endpoint.get"))
                self.lab.cloud.faults.script(Fault(route, "status", times=1, status=503))
                return "fault"
        return "nothing"

    def new_version(self) -> None:
        """New data of every model, and git asks for its version."""
        old, new = self.versions[-1], f"2026-11-{len(self.versions):02}"
        blobs = self.lab.cloud._core.blobs
        datasets = blobs.accounts["mllocal"].containers["datasets"]
        for name in [name for name in datasets if name.endswith("2026-11.csv")]:
            content = datasets[name].content
            blobs.put("mllocal", "datasets", name.replace("2026-11.csv", f"{new}.csv"), content)
        for file in ("breast-cancer.yaml", "diabetes.yaml"):
            self.lab.edit(file, f'version: "{old}"', f'version: "{new}"')
        self.versions.append(new)

    def drift(self) -> None:
        """Somebody puts an earlier version in by hand."""
        world = self.lab.world()
        binding = self.random.choice(self.lab.desired().bindings)
        earlier = self.random.choice(self.versions[:-1])
        ref = world.ledger.ref(replace(binding.version, version=earlier))
        world.targets[binding.kind].switch(binding, Model(ref))
        self.lab.clock.advance(60)

    def rival(self) -> None:
        """Somebody else writes a record between this run's look at it and its own write."""
        cloud, serve = self.lab.cloud, self.lab.cloud.handle

        def handle(request: Request) -> Response:
            if request.method != "PUT" or "/_records/" not in request.path:
                return serve(request)
            cloud.handle = serve  # type: ignore[method-assign]
            world = self.lab.world()
            for binding in self.lab.desired().bindings:
                record = world.ledger.record(binding.address)
                if record is not None and request.path.endswith(
                    f"/{binding.address.id.folded}.json"
                ):
                    self.rivals += 1
                    told = with_event(world, record, EventKind.REINSTATED, f"rival {self.rivals}")
                    world.ledger.keep_record(binding.address, told)
            return serve(request)

        cloud.handle = handle  # type: ignore[method-assign]

    def told_by_rivals(self) -> int:
        """How many of their events are still there."""
        ledger = self.lab.world(read_only=True).ledger
        records = [ledger.record(binding.address) for binding in self.lab.desired().bindings]
        return sum(e.why.startswith("rival") for r in records if r for e in r.history)

    def run(self, happened: str) -> None:
        """One apply: it converges, and writes only where something had happened."""
        self.lab.sent.clear()
        self.lab.progress.said.clear()
        report = self.lab.apply()
        self.lab.cloud.faults.forget()
        assert report.failures == (), (self.runs, happened)
        plan = self.lab.plan()
        assert [c for c in plan.changes if c.action is not Action.NOOP] == [], (self.runs, happened)
        assert {c.after for c in plan.changes} == {self.versions[-1]}
        self.quiet += not self.lab.writes
        assert bool(self.lab.writes) == (happened in ("first", "version", "drift"))
        one_training_per_version(self.lab)
        proven(self.lab)
        assert self.told_by_rivals() == self.rivals, "an update of a record was lost"
        assert len(self.lab.cloud.world.jobs) == 4 * len(self.versions)
