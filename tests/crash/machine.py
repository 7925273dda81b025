"""Kills the program at a chosen request, runs it again, and reads the promises off the cloud.

The program is a real process and knows nothing of this: the emulator in the test's own process
counts requests and sends SIGKILL *before* it handles one, *after* it handled it and before it
answers, or after it *answered*.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.emulator.faults import Dropped
from tests.lab import Lab

if TYPE_CHECKING:
    from reconciler.emulator.messages import Request, Response

ROOT = Path(__file__).parent.parent.parent
MOMENTS = ("before", "handled", "answered")


@dataclass(frozen=True)
class Point:
    """A request, counted from 0, and the moment in it."""

    request: int
    moment: str


class Killer:
    """Stands between the server and the cloud; kills the process at one point."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._serve = lab.cloud.handle
        self._guard = threading.Lock()
        self._count = 0
        self._point: Point | None = None
        self._pid = 0
        lab.cloud.handle = self._handle  # type: ignore[method-assign]

    def arm(self, point: Point | None) -> None:
        with self._guard:
            self._count, self._point, self._pid = 0, point, 0

    @property
    def requests(self) -> int:
        return self._count

    def aim(self, pid: int) -> None:
        self._pid = pid

    def _handle(self, request: Request) -> Response:
        with self._guard:
            number, self._count = self._count, self._count + 1
        point = self._point
        if point is None or point.request != number:
            return self._serve(request)
        if point.moment == "before":
            self._kill()
            raise Dropped
        response = self._serve(request)
        if point.moment == "handled":
            self._kill()
            raise Dropped
        # The answer leaves first; the process dies with it in its hands or in its socket.
        threading.Timer(0.002, self._kill).start()
        return response

    def _kill(self) -> None:
        while not self._pid:
            time.sleep(0.001)
        try:
            os.kill(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class Scenario:
    """A lab behind a socket, and the program that is run against it."""

    def __init__(self, folder: Path, keep: tuple[str, ...]) -> None:
        self.lab = Lab(folder, door="server", clock=time.time, speed=200.0)
        self._folder = folder
        self._keep_only(keep)
        self.killer = Killer(self.lab)

    def _keep_only(self, names: tuple[str, ...]) -> None:
        local = self.lab.services / "local"
        if "breast-cancer" not in names:
            (local / "breast-cancer.yaml").unlink()
        text = (local / "diabetes.yaml").read_text(encoding="utf-8")
        kept = [d for d in text.split("---\n") if any(f"name: {n}}}" in d for n in names)]
        if kept:
            (local / "diabetes.yaml").write_text("---\n".join(kept), encoding="utf-8")
        else:
            (local / "diabetes.yaml").unlink()

    def run(self, point: Point | None = None) -> int:
        """The exit code of one `apply --yes`; negative when it was killed."""
        self.killer.arm(point)
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "apply", "--yes"],
            cwd=self._folder,
            env={**os.environ, **self.lab.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.killer.aim(process.pid)
        return process.wait(timeout=120)

    def check(self) -> None:
        """What must hold in the end, whatever happened on the way."""
        self._one_start_per_key()
        self.lab.sent.clear()
        plan = self.lab.plan()
        assert plan.converged, [(c.name, c.code, c.why) for c in plan.changes]
        assert self.lab.writes == []
        for endpoint, model in self._served():
            assert model in self.lab.cloud.world.models, endpoint

    def _one_start_per_key(self) -> None:
        """Exactly one job per model version was ever started (promise 3)."""
        ran = [j for j in self.lab.cloud.world.jobs.values() if j.state != "NotStarted"]
        outputs = Counter(str(sorted(j.results.values())) for j in ran)
        assert outputs, "nothing was trained"
        assert set(outputs.values()) == {1}, outputs
        assert all(job.state == "Finished" for job in ran)

    def _served(self) -> list[tuple[str, str]]:
        world = self.lab.cloud.world
        found = [(s.name, s.model) for s in world.services.values() if s.model]
        for service in world.classic.values():
            found += [(e.name, e.model) for e in service.endpoints.values() if e.model]
        return found


def survive(folder: Path, keep: tuple[str, ...], points: list[Point]) -> int:
    """How many points were survived; an assertion names the first that was not."""
    for number, point in enumerate(points):
        home = folder / str(number)
        home.mkdir(parents=True)
        scenario = Scenario(home, keep)
        try:
            code = scenario.run(point)
            assert code in (-signal.SIGKILL, errors.SUCCESS), f"{point}: exit {code}"
            code = scenario.run()
            assert code == errors.SUCCESS, f"{point}: the second run ended with {code}"
            scenario.check()
        except AssertionError as exc:
            raise AssertionError(f"{point}: {exc}") from exc
        finally:
            scenario.lab.close()
    return len(points)


def count_requests(folder: Path, keep: tuple[str, ...]) -> int:
    """How many requests an undisturbed run sends."""
    scenario = Scenario(folder, keep)
    try:
        assert scenario.run() == errors.SUCCESS
        return scenario.killer.requests
    finally:
        scenario.lab.close()
