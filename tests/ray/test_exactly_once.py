"""Exactly once, for a version that is trained and served on a cluster: runs that race, answers that
are lost. The cluster is a stand-in that runs a job when it is submitted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.races.test_races import apply_at_once
from tests.ray.serve_standin import APPLICATIONS, ServeStandin
from tests.twins.contract import FIRST, SECOND, VERSIONS
from tests.twins.ray import Trained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOBS = "/api/jobs/"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Trained]:
    cluster = ServeStandin()
    made = Trained(tmp_path, cluster)
    yield made
    made.close()
    cluster.close()


@pytest.mark.parametrize("loses", [20, pytest.param(100, marks=pytest.mark.long)])
def test_answers_that_are_lost_start_no_job_twice(twin: Trained, loses: int) -> None:
    world = twin.cluster.world
    world.loses = loses
    written = [("POST", JOBS), ("PUT", APPLICATIONS)]
    for request in written:
        world.faults[request] = ["lost"] * len(VERSIONS)
    for version in VERSIONS * 3:
        twin.ask_for(version)
        assert [e.failure for e in twin.run().values() if e.failure] == []
        assert twin.serving() == version
        if len(world.starts) == len(VERSIONS) and not world.loses:
            break
    assert len(world.lost) >= loses
    assert [world.lost.count(request) >= len(VERSIONS) for request in written] == [True, True]
    assert list(world.starts.values()) == [1] * len(VERSIONS)
    assert twin.plan().converged


def test_eight_runs_without_a_lock_start_one_job_and_lose_no_update(twin: Trained) -> None:
    for number, version in enumerate((FIRST, SECOND), 1):
        twin.ask_for(version)
        with ThreadPoolExecutor(8) as pool:
            runs = list(pool.map(lambda _: twin.run(), range(8)))
        assert [e.failure.message for run in runs for e in run.values() if e.failure] == []
        assert list(twin.cluster.world.starts.values()) == [1] * number
        assert twin.serving() == version
        assert twin.plan().converged


@pytest.mark.long
def test_eight_processes_start_one_job_and_declare_once(twin: Trained) -> None:
    apply_at_once(twin, 8)
    assert list(twin.cluster.world.starts.values()) == [1]
    assert len(twin.cluster.serve.bodies) == 1
    assert twin.serving() == FIRST
    assert twin.plan().converged
