"""SIGKILL at every write to a folder store, and around every start of a command: the next run ends
what was begun, and trains nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent
SAMPLE = 3  # kills of each scenario in the ordinary run; `pytest -m long` tries all of them

# Runs the program, and kills it before or after the n-th time that a file gets its name in a
# folder store, or that a command is begun.
KILLED = r"""
import os, subprocess, sys, threading, types
from pathlib import Path
from reconciler.platforms.local import jobs
from reconciler.stores import folder

point, count, guard = os.environ.get("KILL", ""), 0, threading.Lock()

def door(real):
    def call(*given, **how):
        global count
        with guard:
            mine, count = count, count + 1
        if point == f"{mine} before":
            os.kill(os.getpid(), 9)
        found = real(*given, **how)
        if point == f"{mine} after":
            os.kill(os.getpid(), 9)
        return found
    return call

folder._link, Path.replace = door(folder._link), door(Path.replace)
began, late = door(subprocess.run), subprocess.TimeoutExpired
jobs.subprocess = types.SimpleNamespace(run=began, TimeoutExpired=late)
from reconciler.cli.main import main
try:
    main()
finally:
    Path("count").write_text(str(count))
"""

DOCUMENTS = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: store, data: data, local: {}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: m}
spec:
  training:
    engine: local
    command: sh -c 'echo $2 >> RAN; cp $0 $1' {inputs.d} {outputs.model} {parameters.v}
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
    """A folder with desired state, a store, and what was done."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self.folder = folder
        for name in ("store", "data"):
            (folder / name).mkdir(parents=True)
        for version in ("1", "2"):
            (folder / "data" / f"{version}.csv").write_text(f"model {version}")
        self.documents = folder / "all.yaml"
        self.documents.write_text(DOCUMENTS.replace("RAN", str(folder / "ran")))
        self.wanted = "1"
        if scenario == "swap":
            assert self.run() == errors.SUCCESS
            self.wanted = "2"
            text = self.documents.read_text()
            self.documents.write_text(text.replace('version: "1"', 'version: "2"'))

    def run(self, kill: str = "", command: tuple[str, ...] = ("apply", "--yes")) -> int:
        """The exit code; a killed run's lock ends, as a minute without renewal would end it."""
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        ran = subprocess.run(
            [sys.executable, "-c", KILLED, *command, "--services", "."],
            cwd=self.folder,
            env={**outside, "PYTHONPATH": str(ROOT), "KILL": kill},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        (self.folder / "store" / "_locks" / "home.json").unlink(missing_ok=True)
        return ran.returncode

    def broken(self) -> str:
        """Which word was not kept; "" for none."""
        if self.run(command=("plan", "--detailed-exitcode")) != errors.SUCCESS:
            return "there is work left"
        runs = sorted((self.folder / "ran").read_text().split())
        if runs != [str(n) for n in range(1, int(self.wanted) + 1)]:
            return f"the command ran for {runs}"
        served = (self.folder / "serving" / "m.bin").read_text()
        declared = json.loads((self.folder / "serving" / "m.bin.json").read_text())["version"]
        if (served, declared) != (f"model {self.wanted}", self.wanted):
            return f"it serves {served}, and declares {declared}"
        return ""

    def survives(self, kill: str) -> str:
        """Why a word was broken after this kill."""
        if (code := self.run(kill)) != -signal.SIGKILL:
            return f"the run that was to be killed ended with {code}"
        if (code := self.run()) != errors.SUCCESS:
            return f"the next run ended with {code}"
        return self.broken()


def points_of(folder: Path, scenario: str) -> list[str]:
    stage = Stage(folder, scenario)
    assert stage.run() == errors.SUCCESS
    count = int((stage.folder / "count").read_text())
    assert stage.broken() == ""
    return [f"{n} {moment}" for n in range(count) for moment in ("before", "after")]


def survive(folder: Path, scenario: str, points: list[str]) -> list[str]:
    said = []
    for point in points:
        if why := Stage(folder / point.replace(" ", "-"), scenario).survives(point):
            said.append(f"{point}: {why}")
    return said


@pytest.mark.parametrize("scenario", ["create", "swap"])
def test_a_sample_of_the_kills_is_survived(tmp_path: Path, scenario: str) -> None:
    every = points_of(tmp_path / "count", scenario)
    assert survive(tmp_path, scenario, every[1 :: len(every) // SAMPLE]) == []


@pytest.mark.long
@pytest.mark.parametrize("scenario", ["create", "swap"])
def test_every_kill_is_survived(
    tmp_path: Path, scenario: str, figure: Callable[[str], None]
) -> None:
    points = points_of(tmp_path / "count", scenario)
    broken = survive(tmp_path, scenario, points)
    figure(f"crash, local, {scenario}: {len(points) - len(broken)} of {len(points)} survived")
    assert broken == []


def test_processes_take_turns_and_train_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage", "create")
    command = [sys.executable, "-m", "reconciler", "apply", "--yes", "--services", "."]
    environ = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
    processes = [
        subprocess.Popen(
            command,
            cwd=stage.folder,
            env={**environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert [code for _, code in ended] == [errors.SUCCESS] * 4, ended
    assert stage.broken() == ""
