"""SIGKILL at every write to the store and to a cluster: the next run ends what was begun, and no
version is trained twice. The dashboard is a stand-in that runs a job when it is submitted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.standin import TOKEN, Standin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Part = Callable[[list[str]], list[str]]

ROOT = Path(__file__).parent.parent.parent
# Runs the program, and kills it before or after the n-th write, or the first one of a kind: a POST
# or a PUT to the cluster, or that a file gets its name in a folder store.
KILLED = r"""
import os, threading
from pathlib import Path
from reconciler.http import transport
from reconciler.stores import folder

point, writes, guard = os.environ.get("KILL", ""), [], threading.Lock()

def door(real, name=lambda given: "file"):
    def call(*given, **how):
        if name(given) == "GET":
            return real(*given, **how)
        with guard:
            mine, kind = len(writes), name(given)
            writes.append(kind)
        if point in (f"{mine} before", f"{kind} before"):
            os.kill(os.getpid(), 9)
        found = real(*given, **how)
        if point in (f"{mine} after", f"{kind} after"):
            os.kill(os.getpid(), 9)
        return found
    return call

folder._link, Path.replace = door(folder._link), door(Path.replace)
transport.Pooled.send = door(transport.Pooled.send, lambda given: given[1])
from reconciler.cli.main import main
try:
    main()
finally:
    Path("writes").write_text(" ".join(writes))
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
    command: train {inputs.d} {outputs.model}
    inputs: {d: "${version}.csv"}
    outputs: {model: m.bin}
---
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: m}
spec: {path: serving/m.bin, copy: true, create: true, model: {name: m, version: "1"}}
"""


class Stage:
    """A folder with desired state and a store, and the cluster that trains."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self.folder, self.ray = folder, Standin()
        self.ray.world.runs = True
        for name in ("store", "data"):
            (folder / name).mkdir(parents=True)
        for version in ("1", "2"):
            (folder / "data" / f"{version}.csv").write_text(f"model {version}")
        self.documents = folder / "all.yaml"
        self.documents.write_text(DOCUMENTS.replace("URL", self.ray.url))
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
            env={**outside, "PYTHONPATH": str(ROOT), "KILL": kill, "RAY_TOKEN": TOKEN},
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
        starts = self.ray.world.starts
        if len(starts) != int(self.wanted) or set(starts.values()) != {1}:
            return f"these jobs were started: {starts}"
        served = (self.folder / "serving" / "m.bin").read_text()
        return "" if served == f"model {self.wanted}" else f"it serves {served}"


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.ray.close()


def kill_and_go_on(
    folder: Path, stages: list[Stage], scenario: str, kinds: set[str], part: Part = list
) -> None:
    """Kill before and after each write of these kinds, or a part, and let another run go on."""
    stages.append(counted := Stage(folder / "counted", scenario))
    assert counted.run() == errors.SUCCESS
    writes = (counted.folder / "writes").read_text().split()
    assert writes.count("POST") == 1
    numbers = [number for number, kind in enumerate(writes) if kind in kinds]
    for point in part([f"{number} {when}" for number in numbers for when in ("before", "after")]):
        stages.append(stage := Stage(folder / point.replace(" ", "-"), scenario))
        assert stage.run(kill=point) == -9, point
        assert stage.run() == errors.SUCCESS, point
        assert stage.broken() == "", point


def test_a_run_that_was_killed_around_a_submit_is_continued_and_trains_once(
    tmp_path: Path, stages: list[Stage]
) -> None:
    kill_and_go_on(tmp_path, stages, "create", {"POST"})


@pytest.mark.long
@pytest.mark.parametrize("scenario", ["create", "swap"])
def test_a_run_that_was_killed_anywhere_is_continued_and_trains_once(
    tmp_path: Path, stages: list[Stage], scenario: str, part: Part
) -> None:
    kill_and_go_on(tmp_path, stages, scenario, {"POST", "PUT", "file"}, part)
