"""The head of a real Ray is killed while it trains, swaps and serves, and comes back with nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.head import MARK
from tests.ray.serving import Serving
from tests.ray.test_real_crash import Stage, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live


@pytest.mark.skipif(MARK in os.environ, reason="the head is somebody else's")
def test_a_head_that_restarts_rejects_no_version_and_gets_back_what_it_forgot(
    real_ray: RealRay, tmp_path: Path
) -> None:
    """One application is in the middle of a swap, one serves and is left alone, and a job runs."""
    (home := tmp_path / "home").mkdir()
    stage = Stage(home, real_ray)
    serving = Serving.on(real_ray, tmp_path / "toys")
    serving.versions({"2": {"word": "second", "slow_s": 5}})
    serving.want(churn="1", quiet="1")
    for path in (home / "all.yaml", serving.folder / "toys.yaml"):
        path.write_text(path.read_text().replace("ray: {", "ray: {cluster: any, "))
    stage.slow.touch()
    training = stage.begin()
    try:
        serving.apply()
        until(lambda: stage.ran.exists())
        serving.edit('version: "1"', 'version: "2"', of="churn")
        swap = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "apply", "--yes", "--services", "."],
            cwd=serving.folder,
            env=serving.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until(lambda: serving.applications["churn"]["status"] == "DEPLOYING")
        real_ray.stop()
        stage.slow.unlink()
        real_ray.folder.mkdir()
        real_ray.start()
        swapped, _ = swap.communicate(timeout=300)
        trained = training.communicate(timeout=300)[0].decode()
    finally:
        training.kill()
        training.wait()
    ends = (errors.ERROR, errors.STALE, errors.UNPROVED, errors.PARTIAL, errors.SUCCESS)
    assert swap.returncode in ends[:-1], swapped
    assert training.returncode in ends, trained
    assert "rejected" not in swapped + trained
    serving.apply()
    stage.apply()
    assert [serving.answer(name) for name in ("churn", "quiet")] == ["second", "first"]
    serving.plan()
    serving.clear()
    first, second = stage.attempts("1")
    assert "the engine knows it no more" in first["failure"]
    assert second["job"] == f"{first['job'].removesuffix('-a1')}-a2"
    assert stage.ran.read_text().split() == ["1", "1"]
