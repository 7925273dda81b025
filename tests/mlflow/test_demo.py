"""`demo --on mlflow` tells its story on servers of its own, of which nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.platforms.mlflow import demo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.live
def test_the_demo_takes_in_swaps_proves_and_heals_on_an_mlflow_of_its_own(
    mlflow_url: str,
    tmp_path: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", "demo", "--on", "mlflow"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == errors.SUCCESS, ran.stdout + ran.stderr
    assert "bind (drifted)" in ran.stdout
    assert "wine-champion  Synced  Healthy  2     2" in ran.stdout
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout


def test_without_mlflow_the_demo_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with (
        pytest.raises(errors.ConfigurationError, match="pip install 'endpoint-reconciler"),
        demo.opened(tmp_path),
    ):
        pass
