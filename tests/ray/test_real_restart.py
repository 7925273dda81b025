"""The head of a real Ray is killed, and comes back with nothing, while runs are at each of their steps.

It dies once, for a head takes long to start: each run has a tree of its own and stands at its step
when that happens. One swap and one training are in the middle of their work on the cluster.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.ray.head import MARK
from tests.ray.serving import Serving
from tests.ray.test_real_crash import WAIT_S, Stage, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live
# Runs the program, and lets it stand before its first request of a kind, by method and URL, from
# the moment on at which a file is there.
HELD = r"""
import os, time
from pathlib import Path
from reconciler.http import transport

method, part, needed = os.environ["HOLD"].split()
real, held, go = transport.Pooled.send, *(Path(f"{word}-{os.getpid()}") for word in ("held", "go"))

def send(*given, **how):
    if given[1] == method and part in given[2] and not held.exists():
        if any(Path().glob(needed)):
            held.touch()
            while not go.exists():
                time.sleep(0.1)
    answer = real(*given, **how)
    if given[1] == "PUT" and "/api/serve/" in given[2]:
        Path("declared").touch()
    return answer

transport.Pooled.send = send
from reconciler.cli.main import main
main()
"""
JOB, SERVE, MODEL = "/api/jobs/", "/api/serve/applications/", "store/m/1/**/m.bin"


class Runs:
    """Runs of the program that all are ended with the test, and what each of them printed."""

    def __init__(self) -> None:
        self.every: list[Run] = []

    def begin(self, folder: Path, environ: Mapping[str, str], *command: str, hold: str = "") -> Run:
        run = Run(folder, {**environ, "HOLD": hold}, *command, held=hold != "")
        self.every.append(run)
        return run


class Run:
    def __init__(self, folder: Path, environ: Mapping[str, str], *command: str, held: bool) -> None:
        self.folder = folder
        program = ["-c", HELD] if held else ["-m", "reconciler"]
        self.process = subprocess.Popen(
            [sys.executable, *program, *command, "--services", "."],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if held:
            stands = folder / f"held-{self.process.pid}"
            until(lambda: stands.exists() or self.process.poll() is not None)
            assert stands.exists(), self.process.communicate()[0]

    def go(self) -> None:
        (self.folder / f"go-{self.process.pid}").touch()

    def ended(self) -> tuple[int, str]:
        """How it ended, and what it printed, once it may go on."""
        self.go()
        printed, _ = self.process.communicate(timeout=2 * WAIT_S)
        return self.process.returncode, " ".join(printed.split())


@pytest.fixture
def runs() -> Iterator[Runs]:
    made = Runs()
    yield made
    for run in made.every:
        run.process.kill()
        run.process.wait()


@pytest.mark.skipif(MARK in os.environ, reason="the head is somebody else's")
def test_a_head_that_restarts_at_any_step_rejects_nothing_and_gets_back_what_it_forgot(
    real_ray: RealRay, tmp_path: Path, runs: Runs
) -> None:
    names = ("running", "unsubmitted", "finished")
    running, unsubmitted, finished = (staged(tmp_path / name, real_ray) for name in names)
    toys = ("toys", "proving", "declaring")
    serving, proving, declaring = (Serving.on(real_ray, tmp_path / name, name) for name in toys)
    serving.versions({"2": {"word": "second", "slow_s": 5}})
    serving.want(churn="1", quiet="1")
    proving.want(late="1")
    declaring.want(early="1")
    for path in tmp_path.glob("*/*.yaml"):
        path.write_text(path.read_text().replace("ray: {", "ray: {cluster: any, "))
    environ, apply = serving.environ, ("apply", "--yes")

    first = [runs.begin(tree.folder, environ, *apply) for tree in (serving, proving, declaring)]
    running.slow.touch()
    training = runs.begin(running.folder, environ, *apply)
    submitting = runs.begin(unsubmitted.folder, environ, *apply, hold=f"POST {JOB} store")
    reading = runs.begin(finished.folder, environ, *apply, hold=f"GET {JOB} {MODEL}")
    assert [run.ended()[0] for run in first] == [errors.SUCCESS] * 3
    until(lambda: running.ran.exists())

    for tree, name in ((serving, "churn"), (proving, "late"), (declaring, "early")):
        tree.edit('version: "1"', 'version: "2"', of=name)
    answering = f":{real_ray.serve_port}/late"
    proof = runs.begin(proving.folder, environ, *apply, hold=f"POST {answering} declared")
    (declaring.folder / "code" / "more.py").touch()  # another package
    declaration = runs.begin(declaring.folder, environ, *apply, hold=f"PUT {SERVE} store")
    planning = runs.begin(serving.folder, environ, "plan", hold=f"GET {SERVE} store")
    swap = runs.begin(serving.folder, environ, *apply)
    until(lambda: serving.applications["churn"]["status"] == "DEPLOYING")
    real_ray.stop()
    declaration.go()
    planned, plan = planning.ended()
    running.slow.unlink()
    real_ray.folder.mkdir()
    real_ray.start()

    assert (planned, "2 unreadable" in plan) == (errors.ERROR, True), plan
    for run in (swap, proof, declaration, training, submitting, reading):
        code, printed = run.ended()
        ends = (errors.ERROR, errors.STALE, errors.UNPROVED, errors.PARTIAL, errors.SUCCESS)
        assert code in ends, printed
        assert "rejected" not in printed
    trees = [tree.folder for tree in (serving, proving, declaring, running, unsubmitted, finished)]
    for command in (apply, ("plan", "--detailed-exitcode")):
        every = [runs.begin(folder, environ, *command) for folder in trees]
        assert [run.ended() for run in every if run.process.wait(2 * WAIT_S)] == []
    answers = [(serving, "churn"), (serving, "quiet"), (proving, "late"), (declaring, "early")]
    assert [tree.answer(name) for tree, name in answers] == ["second", "first", "second", "second"]
    serving.clear()
    forgot, lost = "the engine knows it no more", "the cluster failed, not the command"
    for stage, why, ran in ((running, forgot, 2), (finished, forgot, 2), (unsubmitted, lost, 1)):
        first_attempt, second = stage.attempts("1")
        assert why in first_attempt["failure"]
        assert second["job"] == f"{first_attempt['job'].removesuffix('-a1')}-a2"
        assert stage.ran.read_text().split() == ["1"] * ran


def staged(folder: Path, ray: RealRay) -> Stage:
    folder.mkdir()
    return Stage(folder, ray)
