"""The demo begins at its own beginning, and is gone without a trace when it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import errors
from reconciler.cli.choose import choose
from reconciler.cli.compose import load, shipped
from reconciler.cli.demo import NEW, OLD, copy_services

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("written", [f'"{NEW}"', f"'{NEW}'", NEW, '"my {own}, #1"', f'"{OLD}"'])
def test_the_story_begins_with_the_old_version_whatever_the_checkout_asks_for(
    tmp_path: Path, written: str
) -> None:
    checkout = tmp_path / "checkout"
    copy_services(shipped("services/local"), checkout)
    edited = checkout / "diabetes.yaml"
    edited.write_text(edited.read_text().replace(f'version: "{OLD}"', f"version: {written}"))
    copy_services(checkout, tmp_path / "services" / "local")
    wanted = choose(load(tmp_path / "services"), "local")
    assert {binding.version.version for binding in wanted.bindings} == {OLD}


# In the first step an apply is under way and steps are waited for; in the second a plan is.
@pytest.mark.parametrize(
    ("step", "number", "code"),
    [
        ("$ reconciler apply", signal.SIGTERM, errors.TERMINATED),
        ("== 2.", signal.SIGINT, errors.INTERRUPTED),
    ],
)
def test_a_stopped_demo_leaves_no_folder_and_says_no_failure(
    tmp_path: Path, step: str, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert any(step in line for line in process.stdout)
    assert list(tmp_path.iterdir()) != []
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in rest
    assert "went wrong" not in rest
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_demo_of_azure_ml_heals_drift_within_a_minute() -> None:
    demo = [sys.executable, "-m", "reconciler", "demo", "--on", "azureml"]
    ran = subprocess.run(demo, capture_output=True, text=True, timeout=180)
    assert ran.returncode == errors.SUCCESS, ran.stderr
    assert "drifted from 2, proved here on " in ran.stdout
    assert "churn  Synced  Healthy  2     2" in ran.stdout
    took = re.search(r"The demo ended well after (\d+) s", ran.stdout)
    assert took is not None
    assert int(took[1]) < 60


def test_a_platform_without_a_demo_names_those_that_have_one() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", "demo", "--on", "studio"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == errors.CONFIGURATION, ran.stderr
    assert "studio has no demo; write --on ray or --on mlflow or --on azureml" in ran.stderr
