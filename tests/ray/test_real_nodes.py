"""Two nodes on one machine: one is killed in the middle of a training and of a swap."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.head import MARK
from tests.ray.serving import Prober, Serving
from tests.ray.test_real_crash import WAIT_S, Stage, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live


class Other:
    """Another node beside the head, which alone offers the resource `other`."""

    def __init__(self, ray: RealRay) -> None:
        self._ray = ray
        self.processes: list[int] = []

    def start(self) -> None:
        self.processes = self._ray.add_node("other")

    def kill(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture
def other(real_ray: RealRay) -> Iterator[Other]:
    node = Other(real_ray)
    node.start()
    yield node
    node.kill()


@pytest.fixture
def serving(real_ray: RealRay, tmp_path: Path) -> Iterator[Serving]:
    """An application whose four replicas serve its first version; the second one starts slowly."""
    made = Serving.on(real_ray, tmp_path / "toys")
    made.versions({"2": {"word": "second", "slow_s": 3}})
    made.want(churn="1")
    made.edit("  resources:", "  replicas: 4\n  resources:")
    yield made
    made.clear()


@pytest.mark.skipif(MARK in os.environ, reason="the head is somebody else's")
def test_a_node_that_dies_in_a_training_and_a_swap_costs_neither(
    real_ray: RealRay,
    other: Other,
    serving: Serving,
    tmp_path: Path,
    figure: Callable[[str], None],
) -> None:
    (home := tmp_path / "home").mkdir()
    stage = Stage(home, real_ray)
    path = home / "all.yaml"
    reserved = 'outputs: {model: m.bin}\n    resources: {custom: {"other": "1"}}'
    path.write_text(path.read_text().replace("outputs: {model: m.bin}", reserved))
    stage.slow.touch()
    training = stage.begin()
    try:
        assert "1 changed, 1 proved" in serving.apply()
        heads = {node["node_id"] for node in real_ray.nodes() if node["is_head_node"]}
        until(lambda: stage.ran.exists())
        job = stage.attempts("1")[0]["job"]
        assert real_ray.get(f"/api/jobs/{job}")["driver_node_id"] not in heads
        stage.slow.unlink()
        serving.edit('version: "1"', 'version: "2"')
        with ThreadPoolExecutor(1) as pool, Prober(serving, "churn") as prober:
            swap = pool.submit(serving.apply)
            until(lambda: len(nodes_of(serving)) == 2 and is_deploying(serving))
            killed_at = time.monotonic()
            other.kill()
            other.start()
            assert "1 changed, 1 proved" in swap.result()
            printed, _ = training.communicate(timeout=WAIT_S)
            ended_s = time.monotonic() - killed_at
        assert training.returncode == errors.SUCCESS, printed.decode()
    finally:
        training.kill()
        training.wait()
    first, second = stage.attempts("1")
    assert "the cluster failed, not the command" in first["failure"]
    assert second["job"] == f"{job.removesuffix('-a1')}-a2"
    assert stage.ran.read_text().split() == ["1", "1"]
    assert (home / "serving" / "m.bin").read_text() == "model 1"
    assert {word for word in prober.heard if word} == {"first", "second"}  # old and new share it
    assert prober.heard[-1] == "second"
    figure(
        f"two nodes: a swap and a training had ended {ended_s:.0f} s after one died; "
        f"{prober.failed} of {prober.asked} requests failed"
    )


def nodes_of(serving: Serving) -> set[str]:
    """The nodes on which replicas run."""
    deployments = serving.applications["churn"]["deployments"].values()
    every = (replica for deployment in deployments for replica in deployment["replicas"])
    return {replica["node_id"] for replica in every if replica["state"] == "RUNNING"}


def is_deploying(serving: Serving) -> bool:
    return bool(serving.applications["churn"]["status"] == "DEPLOYING")
