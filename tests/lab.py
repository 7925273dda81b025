"""A laboratory: a copy of services/local, an emulated cloud behind either door, and a clock.

Time passes only when the engine waits, so nothing sleeps and everything is deterministic.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import emulator
from reconciler.cli import compose, stopping
from reconciler.cli.demo import read_env_file
from tests.door import Door
from tests.twins.contract import Quiet, Twin

__all__ = ["LOCAL", "START", "URL", "Lab", "LabClock", "Quiet"]

if TYPE_CHECKING:
    from reconciler.http.client import Http

LOCAL = Path(__file__).parent.parent / "services" / "local"
URL = "http://127.0.0.1:8400"
START = 1_790_000_000.0
# A laboratory that other processes reach, in a time that passes for all of them.
APART: dict[str, Any] = {"door": "server", "clock": time.time, "speed": 200.0}


class LabClock:
    """The engine's clock and the cloud's are one; waiting lets time pass at once."""

    def __init__(self, clock: emulator.ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock()

    def wait(self, seconds: float) -> None:
        self._clock.advance(max(seconds, 0.05))


class Lab(Twin):
    """One emulated world and one folder of desired state."""

    environment = "local"

    def __init__(
        self, folder: Path, door: str = "in-process", clock: Any = None, **options: Any
    ) -> None:
        super().__init__()
        self.services = folder / "services"
        shutil.copytree(LOCAL, self.services / "local")
        self.clock = clock or emulator.ManualClock(START)
        self.cloud = emulator.Cloud(emulator.Options(**options), clock=self.clock)
        self.cloud.seed(self.services / "local" / "_emulator" / "seed.yaml")
        if options.get("classic_location") == "hidden":
            self.edit("diabetes.yaml", "spec:\n", "spec:\n  adopt: true\n")
        self.server = None
        self.url = URL
        if door == "server":
            self.server = emulator.serve(self.cloud, 0)
            self.server.start()
            self.url = self.server.url

    def close(self) -> None:
        if self.server is not None:
            self.server.stop()

    @property
    def environ(self) -> dict[str, str]:
        keys = read_env_file(self.services / "local" / "_emulator" / "emulator.env")
        return {**keys, compose.EMULATOR_VARIABLE: self.url}

    @property
    def engine_clock(self) -> Any:
        real = self.clock is time.time
        return stopping.SystemClock(stopping.Stop()) if real else LabClock(self.clock)

    def pass_time(self, seconds: float) -> None:
        if self.clock is time.time:
            time.sleep(seconds)
        else:
            self.clock.advance(seconds)

    def mount(self, http: Http) -> None:
        """Let the client in by the door without a socket, where there is no server."""
        if self.server is None:
            http.mount(self.url, Door(emulator.InProcessAdapter(self.cloud)))

    def want(self, version: str) -> None:
        """Ask for another version everywhere."""
        for name in ("breast-cancer.yaml", "diabetes.yaml"):
            self.edit(name, 'version: "2026-10"', f'version: "{version}"')
