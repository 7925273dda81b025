"""The head of a real Ray is killed in the middle of a swap, and comes back with nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.head import MARK
from tests.ray.serving import Serving
from tests.ray.test_real_crash import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live


@pytest.mark.skipif(MARK in os.environ, reason="the head is somebody else's")
def test_a_head_that_restarts_in_a_swap_rejects_no_version(
    real_ray: RealRay, tmp_path: Path
) -> None:
    serving = Serving.on(real_ray, tmp_path / "toys")
    serving.versions({"2": {"word": "second", "slow_s": 5}})
    serving.want(churn="1")
    serving.edit("ray: {", "ray: {cluster: any, ")
    serving.apply()
    serving.edit('version: "1"', 'version: "2"')
    run = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", "--yes", "--services", "."],
        cwd=serving.folder,
        env=serving.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: serving.applications["churn"]["status"] == "DEPLOYING")
    real_ray.stop()
    real_ray.folder.mkdir()
    real_ray.start()
    printed, _ = run.communicate(timeout=300)
    assert run.returncode in (errors.ERROR, errors.STALE, errors.UNPROVED), printed
    assert "rejected" not in printed, printed
    assert "1 proved" in serving.apply()
    assert serving.answer("churn") == "second"
    serving.plan()
    serving.clear()
