"""Two nodes on one machine: one is killed in the middle of a training, and another takes over."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.test_real_crash import WAIT_S, Stage, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live


def test_a_training_whose_node_is_killed_is_tried_again_on_another(
    real_ray: RealRay, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, real_ray)
    path = tmp_path / "all.yaml"
    reserved = 'outputs: {model: m.bin}\n    resources: {custom: {"other": "1"}}'
    path.write_text(path.read_text().replace("outputs: {model: m.bin}", reserved))
    stage.slow.touch()
    nodes = real_ray.add_node("other")
    run = stage.begin()
    try:
        until(lambda: stage.ran.exists())
        job = stage.attempts("1")[0]["job"]
        heads = {node["node_id"] for node in real_ray.nodes() if node["is_head_node"]}
        assert real_ray.get(f"/api/jobs/{job}")["driver_node_id"] not in heads
        stage.slow.unlink()
        for process in nodes:
            os.kill(process, signal.SIGKILL)
        nodes = real_ray.add_node("other")
        printed, _ = run.communicate(timeout=WAIT_S)
        assert run.returncode == errors.SUCCESS, printed.decode()
    finally:
        run.kill()
        run.wait()
        for process in nodes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    first, second = stage.attempts("1")
    assert "the cluster failed, not the command" in first["failure"]
    assert second["job"] == f"{job.removesuffix('-a1')}-a2"
    assert stage.ran.read_text().split() == ["1", "1"]
    assert (tmp_path / "serving" / "m.bin").read_text() == "model 1"
