"""What others need: the documented sequential script, Terraform, and a plain client."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import fleets
from tests.benchmarks.program import run

if TYPE_CHECKING:
    from tests.benchmarks.program import CloudProcess, Cost

_SCRIPT = Path(__file__).with_name("sequential.py")
_REFERENCE = Path(__file__).with_name("reference.py")


def sequential(at: CloudProcess, count: int) -> Cost:
    """The script's cost of retraining and patching the first `count` endpoints of the fleet."""
    names = [at.url, fleets.WORKSPACE, fleets.SERVICE, fleets.TRAINING, fleets.ACCOUNT]
    return run([sys.executable, str(_SCRIPT), *names, str(count)], at)


def plain_client(at: CloudProcess, count: int, threads: int) -> Cost:
    """The cost of so many GETs of one definition, whose services must be there already."""
    group = "subscriptions/S/resourceGroups/fleet/providers/Microsoft.MachineLearning"
    url = f"{at.url}/{group}/webServices/fleet-000001"
    return run([sys.executable, str(_REFERENCE), url, str(count), str(threads)], at)


def terraform(folder: Path, count: int) -> Cost | None:
    """The cost of a plan that finds nothing to do; None where Terraform is not installed.

    Its built-in `terraform_data` with a local state: no provider, no network at all.
    """
    found = shutil.which("terraform")
    if found is None:
        return None
    folder.mkdir(parents=True)
    resources = {f"site{i:05}": {"input": f"2026-11 of site {i}"} for i in range(count)}
    document = {"resource": {"terraform_data": resources}}
    (folder / "main.tf.json").write_text(json.dumps(document), encoding="utf-8")
    quiet = ["-input=false", "-no-color"]
    run([found, "init", *quiet], cwd=folder)
    run([found, "apply", "-auto-approve", *quiet], cwd=folder)
    return run([found, "plan", *quiet], cwd=folder)
