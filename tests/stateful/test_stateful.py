"""Random histories of edits, drift, faults, crashes and runs: after quiet, one apply converges."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from reconciler.emulator import Fault
from reconciler.model import Action
from tests.lab import Lab

FILES = {"breast-cancer": "breast-cancer.yaml", "diabetes-young": "diabetes.yaml"}
VERSIONS = ("2026-10", "2026-11")
ROUTES = (
    *("arm.get", "arm.patch", "arm.operation", "arm.listkeys", "rrs.execute"),
    *("bes.submit", "bes.start", "bes.look", "blob.get", "blob.put", "blob.head"),
    *("classic.services.get", "classic.endpoint.get", "classic.endpoint.patch"),
)
KINDS = ("status", "html", "reset", "lost-answer", "truncated")
BUDGET = settings(
    max_examples=15,
    stateful_step_count=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Histories(RuleBasedStateMachine):
    """Two endpoints, one New and one Classic; what they may serve is what was ever declared."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.lab = Lab(Path(self._folder.name))
        local = self.lab.services / "local"
        (young, *_) = (
            d for d in (local / "diabetes.yaml").read_text().split("---\n") if "young}" in d
        )
        (local / "diabetes.yaml").write_text(young)
        self.declared = dict.fromkeys(FILES, "2026-10")
        self.first = self.served()
        self.drifted: set[str] = set()

    def teardown(self) -> None:
        try:
            self.quiet()
        finally:
            self.lab.close()
            self._folder.cleanup()

    # --- what may happen ---

    @rule(name=st.sampled_from(sorted(FILES)), version=st.sampled_from(VERSIONS))
    def edit(self, name: str, version: str) -> None:
        """Git asks for a version."""
        old = self.declared[name]
        if old != version:
            self.lab.edit(FILES[name], f'"{old}"', f'"{version}"')
            self.declared[name] = version

    @rule(route=st.sampled_from(ROUTES), kind=st.sampled_from(KINDS), times=st.integers(1, 4))
    def fault(self, route: str, kind: str, times: int) -> None:
        """A route will misbehave."""
        status = 503 if kind == "status" else 0
        self.lab.cloud.faults.script(
            Fault(route, kind, times=times, **({"status": status} if status else {}))
        )

    @rule(what=st.sampled_from(("job", "operation")))
    def trick(self, what: str) -> None:
        """The next job or operation will fail."""
        self.lab.cloud.faults.play(what, "it went wrong")

    @rule()
    def run(self) -> None:
        """An apply to its end."""
        self.lab.apply()

    @rule(steps=st.integers(0, 40))
    def crash(self, steps: int) -> None:
        """An apply that ends in the middle, after so many looks at whether to stop."""
        left = iter(range(steps))
        world = replace(self.lab.world(), stopping=lambda: next(left, None) is None)
        self.lab.converge(world, 2)

    @precondition(lambda self: self.trained())
    @rule(data=st.data())
    def drift(self, data: Any) -> None:
        """Somebody puts another trained model in by hand."""
        name, version = data.draw(st.sampled_from(self.trained()))
        world = self.lab.world()
        binding = next(b for b in self.lab.desired().bindings if b.name == name)
        ref = world.ledger.ref(replace(binding.version, version=version))
        self.lab.cloud.faults.forget()
        world.targets[binding.kind].bind(binding, ref)
        self.lab.clock.advance(60)

    @rule(seconds=st.sampled_from((1, 60, 4000)))
    def time(self, seconds: int) -> None:
        """Time passes."""
        self.lab.clock.advance(seconds)

    # --- what must hold ---

    def trained(self) -> list[tuple[str, str]]:
        """Binding and version of every model file in the store."""
        blobs = self.lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
        found = []
        for binding in self.lab.desired().bindings:
            for version in VERSIONS:
                folder = replace(binding.version, version=version).folder
                if f"{folder}/model.ilearner" in blobs:
                    found.append((binding.name, version))
        return found

    def served(self) -> set[str]:
        self.lab.cloud.settle()
        world = self.lab.cloud.world
        found = {service.model for service in world.services.values()}
        return found | {e.model for s in world.classic.values() for e in s.endpoints.values()}

    def quiet(self) -> None:
        """Nothing more goes wrong: then one apply converges, and the next one writes nothing."""
        self.lab.cloud.faults.forget()
        self.lab.clock.advance(100)
        report = self.lab.apply()
        allowed = {"rejected", "training_failed"}
        for change in self.lab.plan().changes:
            assert change.action is Action.NOOP or change.code in allowed, (change, report.failures)
        self.lab.sent.clear()
        self.lab.apply()
        assert self.lab.writes == []
        self._no_start_too_many()

    def _no_start_too_many(self) -> None:
        """At most one job per version ended well, and every other one that ran failed."""
        jobs = self.lab.cloud.world.jobs.values()
        good = Counter(str(sorted(j.results.values())) for j in jobs if j.state == "Finished")
        assert all(count == 1 for count in good.values()), good
        assert not [job for job in jobs if job.state == "Running"]


def test_every_route_that_is_disturbed_is_one_that_a_run_meets(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.apply()
    assert {entry.route for entry in lab.cloud.log} == set(ROUTES)


class TestHistories(Histories.TestCase):
    settings = BUDGET


@pytest.mark.long
class TestManyHistories(Histories.TestCase):
    settings = settings(BUDGET, max_examples=150, stateful_step_count=20)
