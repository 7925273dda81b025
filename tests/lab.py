"""A laboratory: a copy of services/local, an emulated cloud behind either door, and a clock.

Time passes only when the engine waits, so nothing sleeps and everything is deterministic.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import emulator
from reconciler.cli import compose, ending
from reconciler.cli.demo import read_env_file
from reconciler.engine.forecast import foresee
from reconciler.engine.run import converge
from reconciler.engine.survey import observe_all
from reconciler.http.client import Http
from reconciler.plan import make_plan
from tests.door import Door

if TYPE_CHECKING:
    from reconciler.engine.steps import Ended
    from reconciler.engine.world import World
    from reconciler.model import Change, Desired, Plan, Report

LOCAL = Path(__file__).parent.parent / "services" / "local"
URL = "http://127.0.0.1:8400"
START = 1_790_000_000.0


class Quiet:
    """A progress display that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        self.said.append((name, phase, detail))

    def done(self, name: str, outcome: str) -> None:
        self.said.append((name, "done", outcome))

    def failed(self, name: str, message: str) -> None:
        self.said.append((name, "failed", message))

    def beat(self) -> None:
        pass


class LabClock:
    """The engine's clock and the cloud's are one; waiting lets time pass at once."""

    def __init__(self, clock: emulator.ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock()

    def wait(self, seconds: float) -> None:
        self._clock.advance(max(seconds, 0.05))


class Lab:
    """One emulated world and one folder of desired state."""

    def __init__(
        self, folder: Path, door: str = "in-process", clock: Any = None, **options: Any
    ) -> None:
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
        self.sent: list[tuple[str, str]] = []
        self.progress = Quiet()
        self.timeout_s = (10.0, 60.0)

    def close(self) -> None:
        if self.server is not None:
            self.server.stop()

    @property
    def environ(self) -> dict[str, str]:
        keys = read_env_file(self.services / "local" / "_emulator" / "emulator.env")
        return {**keys, compose.EMULATOR_VARIABLE: self.url}

    @property
    def writes(self) -> list[tuple[str, str]]:
        """What was sent and is neither GET nor HEAD; scoring changes nothing, but counts too."""
        return [one for one in self.sent if one[0] not in ("GET", "HEAD")]

    def desired(self) -> Desired:
        return compose.load(self.services)["local"]

    def world(self, *, read_only: bool = False, wanted: Desired | None = None) -> World:
        http = Http(
            threads=8,
            read_only=read_only,
            backoff_s=0,
            timeout_s=self.timeout_s,
            on_request=lambda method, url: self.sent.append((method, url)),
            sleep=lambda seconds: self.clock.advance(seconds),
        )
        if self.server is None:
            http.mount(self.url, Door(emulator.InProcessAdapter(self.cloud)))
        return compose.connect(
            wanted or self.desired(), http, environ=self.environ, clock=LabClock(self.clock)
        )

    def plan(self) -> Plan:
        wanted = self.desired()
        observed = observe_all(self.world(read_only=True), wanted.bindings, 8)
        return make_plan(wanted.environment, observed)

    def foreseen(self) -> Plan:
        """The plan as people see it: with how long its trainings will take."""
        return foresee(self.world(read_only=True), self.desired().bindings, self.plan())

    def changes(self) -> dict[str, Change]:
        return {change.name: change for change in self.plan().changes}

    def run(self) -> dict[str, Ended]:
        """Converge what the plan of now lets."""
        return self.converge(self.world(), 8)

    def converge(
        self, world: World, parallel: int, plan: Plan | None = None, **how: Any
    ) -> dict[str, Ended]:
        """The same in another world, with another plan, or one at a time."""
        bindings, plan = self.desired().bindings, plan or self.plan()
        return converge(world, bindings, plan, self.progress, parallel=parallel, **how)

    def apply(self) -> Report:
        """What `apply --yes` does, without its printing."""
        ended = self.run()
        return ending.make_report(self.plan(), ended, 0.0, 0)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of desired state; it must be there."""
        path = self.services / "local" / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def want(self, version: str) -> None:
        """Ask for another version everywhere."""
        for name in ("breast-cancer.yaml", "diabetes.yaml"):
            self.edit(name, 'version: "2026-10"', f'version: "{version}"')
