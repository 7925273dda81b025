"""Random histories of edits, drift, faults, crashes and runs: after quiet, one apply converges."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from reconciler.emulator import Fault
from reconciler.emulator.messages import Response
from reconciler.engine import interpreter, swap
from reconciler.model import Health, HealthCode, Model
from tests.lab import Lab
from tests.oracle import ROUTES, proven, quiet, serving

if TYPE_CHECKING:
    from reconciler.emulator.messages import Request

FILES = {"breast-cancer": "breast-cancer.yaml", "diabetes-young": "diabetes.yaml"}
WRONG = b'{"Results":{"o":{"type":"table","value":{"ColumnNames":["Wrong"],"Values":[["1"]]}}}}'
VERSIONS = ("2026-10", "2026-11")
KINDS = ("status", "html", "reset", "lost-answer", "truncated")
BUDGET = settings(
    max_examples=15,
    stateful_step_count=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(Check),
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
        self.spoiled: set[tuple[str, str]] = set()
        self.serve = self.lab.cloud.handle
        self.lab.cloud.handle = self.handle  # type: ignore[method-assign]

    def handle(self, request: Request) -> Response:
        """The cloud's answer; a spoiled model answers with a column that nobody declared."""
        answer = self.serve(request)
        if answer.status != 200 or not request.path.endswith("/execute"):
            return answer
        base = request.path.removesuffix("/execute").casefold()
        bad = self.lab.cloud._core.served_at(base).model in self.spoiled_models()
        return replace(answer, body=WRONG) if bad else answer

    def spoiled_models(self) -> set[str]:
        """The digests of the spoiled models that were made."""
        files = self.trained()
        return {hashlib.sha256(files[pair]).hexdigest() for pair in self.spoiled if pair in files}

    def teardown(self) -> None:
        try:
            quiet(self.lab, by_hand=True)
            assert not self.spoiled_models() & set(serving(self.lab).values())
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

    @rule(name=st.sampled_from(sorted(FILES)), version=st.sampled_from(VERSIONS))
    def spoil(self, name: str, version: str) -> None:
        """A version will answer wrongly, if it was not trained yet: no run may leave it there."""
        if (name, version) not in self.trained():
            self.spoiled.add((name, version))

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

    @rule(name=st.sampled_from(sorted(FILES)), version=st.sampled_from(VERSIONS))
    def drift(self, name: str, version: str) -> None:
        """Somebody puts a model in by hand, if it was ever trained.

        What is drawn must not depend on the world: runs are threads, and a history that is
        played again need not end in the same one.
        """
        if (name, version) not in self.trained().keys() - self.spoiled:
            return
        world = self.lab.world()
        binding = next(b for b in self.lab.desired().bindings if b.name == name)
        ref = world.ledger.ref(replace(binding.version, version=version))
        self.lab.cloud.faults.forget()
        world.targets[binding.kind].switch(binding, Model(ref))
        self.lab.clock.advance(60)

    @rule(seconds=st.sampled_from((1, 60, 4000)))
    def time(self, seconds: int) -> None:
        """Time passes."""
        self.lab.clock.advance(seconds)

    def trained(self) -> dict[tuple[str, str], bytes]:
        """Every model file in the store, by binding and version."""
        blobs = self.lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
        found = {}
        for binding in self.lab.desired().bindings:
            for version in VERSIONS:
                folder = replace(binding.version, version=version).folder
                if (file := blobs.get(f"{folder}/model.ilearner")) is not None:
                    found[binding.name, version] = file.content
        return found


class TestHistories(Histories.TestCase):
    settings = BUDGET


@pytest.mark.long
class TestManyHistories(Histories.TestCase):
    settings = settings(BUDGET, max_examples=60, stateful_step_count=20)


# --- that the machine can see a broken promise ----------------------------------------------


def spoiled_history() -> Histories:
    """Up to the run that swaps a spoiled version in."""
    machine = Histories()
    machine.run()
    machine.spoil("breast-cancer", "2026-11")
    machine.edit("breast-cancer", "2026-11")
    machine.run()
    return machine


def test_a_history_with_a_spoiled_version_ends_well() -> None:
    machine = spoiled_history()
    assert machine.spoiled_models()
    machine.teardown()


def test_a_proof_that_accepts_everything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "judge", lambda *_: Health(HealthCode.HEALTHY))
    monkeypatch.setattr(swap, "breaks", lambda *_: "")
    machine = spoiled_history()
    with pytest.raises(AssertionError):
        machine.teardown()


def test_a_failed_proof_that_is_not_rejected_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "reject", lambda *_, **__: None)
    machine = Histories()
    machine.run()
    machine.spoil("breast-cancer", "2026-11")
    machine.edit("breast-cancer", "2026-11")
    machine.crash(400)  # it would be proved, and found wrong, for ever
    assert machine.spoiled_models() & set(serving(machine.lab).values())
    with pytest.raises(AssertionError, match="never proved"):
        proven(machine.lab, by_hand=True)
