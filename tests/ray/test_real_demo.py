"""`demo --on ray` tells its story on a Ray of its own, of which nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from reconciler import errors
from reconciler.platforms.ray import demo
from tests.ray.head import MARK, RealRay


@pytest.mark.live
def test_the_demo_trains_swaps_proves_and_heals_on_a_ray_of_its_own(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install -e '.[ray]'")
    own = RealRay("")  # which is never started: it finds processes by its mark
    own.folder.rmdir()
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", "demo", "--on", "ray"],
        env={**os.environ, MARK: own.mark, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == errors.SUCCESS, ran.stdout + ran.stderr
    assert "bind (drifted)" in ran.stdout
    assert "wine  Synced  Healthy  2026-11  2026-11" in ran.stdout
    assert own.ended(within_s=10)
    assert list(tmp_path.iterdir()) == []


def test_without_ray_the_demo_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with (
        pytest.raises(errors.ConfigurationError, match="pip install 'endpoint-reconciler"),
        demo.opened(tmp_path),
    ):
        pass
