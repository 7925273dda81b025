"""A run that is killed around a submit to a real Ray, and a job that the cluster forgot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from tests.ray.test_crash import KILLED

if TYPE_CHECKING:
    from tests.ray.head import RealRay

pytestmark = pytest.mark.live
ROOT = Path(__file__).parent.parent.parent
WAIT_S = 120.0
PROGRAM = """\
import pathlib, shutil, sys, time
with open({ran!r}, "a") as ran:
    ran.write(sys.argv[3] + "\\n")
if pathlib.Path({slow!r}).exists():
    time.sleep(600)
shutil.copyfile(sys.argv[1], sys.argv[2])
"""
DOCUMENTS = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: store, data: data, ray: {url: "URL", token: env:RAY_TOKEN}, local: {}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: m}
spec:
  training:
    engine: ray
    code: code
    command: python train.py {inputs.d} {outputs.model} {parameters.v}
    inputs: {d: "${version}.csv"}
    parameters: {v: "${version}"}
    outputs: {model: m.bin}
---
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: m}
spec: {path: serving/m.bin, copy: true, create: true, model: {name: m, version: "1"}}
"""


class Stage:
    """A tree whose one model is trained on a real Ray; `ran` has a line for each run of its code."""

    def __init__(self, folder: Path, ray: RealRay) -> None:
        self.folder, self.ray = folder, ray
        self.ran, self.slow = folder / "ran", folder / "slow"
        for name in ("store", "data", "code"):
            (folder / name).mkdir()
        for version in ("1", "2"):
            (folder / "data" / f"{version}.csv").write_text(f"model {version}")
        program = PROGRAM.format(ran=str(self.ran), slow=str(self.slow))
        (folder / "code" / "train.py").write_text(program)
        (folder / "all.yaml").write_text(DOCUMENTS.replace("URL", ray.url))
        for words in (("init", "--quiet"), ("add", "--all")):
            subprocess.run(["git", *words], cwd=folder, check=True)

    def begin(self, kill: str = "") -> subprocess.Popen[bytes]:
        """An `apply`, killed before or after its n-th write if that is said."""
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, "apply", "--yes", "--services", "."],
            cwd=self.folder,
            env={**outside, "PYTHONPATH": str(ROOT), "KILL": kill, "RAY_TOKEN": self.ray.token},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def apply(self, kill: str = "") -> int:
        process = self.begin(kill)
        printed, _ = process.communicate(timeout=WAIT_S)
        assert process.returncode in (errors.SUCCESS, -signal.SIGKILL), printed.decode()
        return process.returncode

    def want(self, version: str) -> None:
        path = self.folder / "all.yaml"
        text = path.read_text()
        path.write_text(text.replace('version: "1"', f'version: "{version}"'))

    def attempts(self, version: str) -> list[dict[str, Any]]:
        path = self.folder / "store" / "m" / version / "manifest.json"
        path = next((self.folder / "store" / "m" / version).rglob("manifest.json"), path)
        found: list[dict[str, Any]] = json.loads(path.read_text())["attempts"]
        return found


def test_a_run_that_is_killed_around_a_submit_trains_each_version_once(
    real_ray: RealRay, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, real_ray)
    assert stage.apply() == errors.SUCCESS
    stage.want("2")
    assert stage.apply("POST before") == -signal.SIGKILL
    assert stage.apply("POST after") == -signal.SIGKILL
    assert stage.apply() == errors.SUCCESS
    assert stage.ran.read_text().split() == ["1", "2"]
    assert [attempt["job"][-3:] for attempt in stage.attempts("2")] == ["-a1"]
    assert (tmp_path / "serving" / "m.bin").read_text() == "model 2"


def test_a_job_that_the_cluster_forgot_becomes_the_next_attempt(
    real_ray: RealRay, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, real_ray)
    stage.slow.touch()
    run = stage.begin()
    until(lambda: stage.ran.exists())
    until(lambda: stage.attempts("1")[0]["started_at"])
    run.kill()
    run.communicate()
    stage.slow.unlink()
    job = stage.attempts("1")[0]["job"]
    real_ray.send("POST", f"/api/jobs/{job}/stop")
    forget(real_ray, job)  # as a head does that was restarted
    assert stage.apply() == errors.SUCCESS
    first, second = stage.attempts("1")
    assert "the engine knows it no more" in first["failure"]
    assert second["job"] == f"{job.removesuffix('-a1')}-a2"
    assert (tmp_path / "serving" / "m.bin").read_text() == "model 1"


def forget(ray: RealRay, job: str) -> None:
    """Delete an ended job; Ray may write its end once more after that."""
    absent = 0
    while absent < 10:
        try:
            if ray.get(f"/api/jobs/{job}")["status"] in ("STOPPED", "FAILED"):
                ray.send("DELETE", f"/api/jobs/{job}")
            absent = 0
        except urllib.error.HTTPError as exc:
            if exc.code != 404:
                raise
            absent += 1
        time.sleep(0.3)


def until(found: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < end
        time.sleep(0.3)
