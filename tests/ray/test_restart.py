"""The head of a cluster dies at each step on the way from a training to its proof, and another starts.

With the state of the old one it forgets nothing; without it no job, package or application is left.
No version is rejected for that. A version is trained again only if the cluster forgot its job before
the store had its model, and what the cluster forgot is restored by the next run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.model import Action, Reason
from tests.ray.serve_standin import APPLICATIONS, ServeStandin
from tests.twins.ray import Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Part = Callable[[Sequence[int]], Sequence[int]]

STARTING = 3  # requests that a new head refuses first: fewer than a client makes tries
NEVER = 10_000
JOB, LIST = "GET /api/jobs/", f"GET {APPLICATIONS}"
# step → before which of these requests the head dies, and how often the version is then trained
STEPS = {
    "before the training": ("GET /api/version", 1, 1),
    "to be submitted": ("POST ", 1, 1),
    "submitted": (JOB, 3, 2),
    "running": (JOB, 4, 2),
    "artifact copied": (LIST, 2, 1),
    "to be declared": ("PUT ", 1, 1),
    "declared": (LIST, 5, 1),
    "starting": (LIST, 6, 1),
}


class Dying(list[str]):
    """The requests of a cluster whose head dies before one of them, or, if it is `lost`, when it has
    done that one and not answered yet."""

    def __init__(self, cluster: ServeStandin, at: int, *, kept: bool, lost: bool = False) -> None:
        super().__init__()
        self._cluster, self._at, self._kept, self._lost = cluster, at, kept, lost

    def append(self, request: str) -> None:
        super().append(request)
        if self._lost and len(self) == self._at + 1:
            method, _, path = request.partition(" ")
            self._cluster.world.faults.setdefault((method, path), []).insert(0, "lost")
        if len(self) == self._at + self._lost + 1:
            self._cluster.restart(kept=self._kept, down=STARTING + 1)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Trained]:
    """A cluster whose jobs and replicas are seen to start; it may be restarted empty."""
    cluster = ServeStandin()
    cluster.world.busy = cluster.serve.looks = 2
    made = Trained(tmp_path, cluster)
    made.edit("all.yaml", "ray: {url", "ray: {cluster: any, url")
    assert made.apply().failures == ()
    yield made
    made.close()
    cluster.close()


def ask_for(twin: Trained, version: str) -> None:
    (twin.folder / "data" / f"{version}.csv").write_text(f"model {version}")
    twin.ask_for(version)


def counted(twin: Trained) -> list[str]:
    """The requests of a run that trains, declares and proves, and that nothing disturbs."""
    ask_for(twin, "counted")
    plan, world = twin.plan(), twin.cluster.world
    world.requests = []
    assert [ended.failure for ended in twin.converge(twin.world(), 8, plan).values()] == [None]
    return world.requests


def dies(twin: Trained, version: str, dying: Dying) -> int:
    """How often a version is trained whose run the death of a head disturbs; the next run must end it."""
    ask_for(twin, version)
    plan, world = twin.plan(), twin.cluster.world
    world.requests = dying
    ended = twin.converge(twin.world(), 8, plan).values()
    assert "rejected" not in str([e.failure.message for e in ended if e.failure]), version
    world.requests, world.down = [], 0
    assert [failure.message for failure in twin.apply().failures] == [], version
    assert twin.answer("m")[0] == version
    assert twin.plan().converged, version
    entry = twin.world(read_only=True).ledger.read(twin.binding().version)
    assert entry is not None
    return sum(world.starts[attempt.job] for attempt in entry.manifest.attempts)


@pytest.mark.parametrize("kept", [True, False])
def test_a_head_that_dies_at_any_step_rejects_nothing_and_trains_once(
    twin: Trained, kept: bool
) -> None:
    requests = counted(twin)
    for step, (begins, which, trained) in STEPS.items():
        at = [n for n, request in enumerate(requests) if request.startswith(begins)][which - 1]
        version = step.replace(" ", "-")
        assert dies(twin, version, Dying(twin.cluster, at, kept=kept)) == (1 if kept else trained)


def test_what_a_head_forgot_before_its_proof_was_recorded_is_drift(twin: Trained) -> None:
    scored, world = twin.scored, twin.cluster.world
    world.requests = []

    def proved(name: str) -> dict[str, object]:
        answer = scored(name)
        if any(request.startswith("PUT ") for request in world.requests):
            twin.cluster.restart(down=STARTING)
        return answer

    twin.scored = proved  # type: ignore[method-assign]
    twin.ask_for("2026-11")
    twin.run()
    twin.scored, world.down = scored, 0  # type: ignore[method-assign]
    assert twin.changes()["m"].code == Reason.MISSING
    assert twin.apply().failures == ()
    assert twin.serving() == "2026-11"
    assert len(world.starts) == 2


def test_a_head_that_is_starting_is_unknown_and_not_empty(twin: Trained) -> None:
    twin.cluster.restart(down=NEVER)
    change = twin.changes()["m"]
    assert (change.code, change.action) == (Reason.UNREADABLE, Action.BLOCK)


@pytest.mark.long
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("lost", [True, False])
def test_a_head_that_dies_at_any_request_rejects_nothing(
    twin: Trained, kept: bool, lost: bool, part: Part
) -> None:
    for at in part(range(len(counted(twin)))):
        trained = dies(twin, f"at-{at}", Dying(twin.cluster, at, kept=kept, lost=lost))
        assert trained == 1 or (trained == 2 and not kept), at
