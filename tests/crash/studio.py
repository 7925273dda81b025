"""The emulated cloud as a stage: the program is killed at every request, and does not know of it.

The emulator in our own process counts its requests and sends SIGKILL *before* it handles one, after
it *handled* it and before it answers, or after it *answered*.
"""

from __future__ import annotations

import hashlib
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
from reconciler.cli import compose, session, stopping
from reconciler.cli.demo import copy_services, read_env_file
from reconciler.emulator import Cloud, Options, serve
from reconciler.emulator.faults import Dropped
from reconciler.emulator.messages import Request, Response
from reconciler.engine.survey import survey
from reconciler.plan import make_plan
from tests.crash import harness
from tests.crash.harness import APPLY, ROOT, Point

if TYPE_CHECKING:
    from reconciler.emulator import Server
    from reconciler.emulator.world import Endpoint
    from reconciler.model import Plan

MOMENTS = ("before", "handled", "answered")
SPEED = 200.0  # of the emulator's jobs and updates: a Classic swap is in effect after 0.15 s
WINDOW_S = "2"  # in which its answer may be the previous model's, as the program takes it
DEPLOYED, MADE = "breast-cancer-predictive", "breast-cancer-made"
NEW_SERVICE = f"""\
webService: {MADE}
  definition: exports/breast-cancer.json
  create:
    commitmentPlan: plan
    secrets: {{"node5/Account Key": env:LOCAL_STORE_KEY}}
  settings: {{title: Made by the crash matrix, maxConcurrentCalls: 20}}
"""
GROWN = "grown"
CLASSIC_ENDPOINT = f"""\
endpoint: {GROWN}
  create: true
  settings: {{throttleLevel: High, maxConcurrentCalls: 20}}
"""
# What a candidate answers that must be rolled back: nothing, or columns that nobody declared.
SILENT, WRONG = "silent", "wrong"
ANSWERS = {
    SILENT: (400, b'{"error":{"code":"BadArgument","message":"not this one","details":[]}}'),
    WRONG: (
        200,
        b'{"Results":{"output1":{"type":"table","value":{"ColumnNames":["Wrong"],'
        b'"ColumnTypes":["Double"],"Values":[["1"]]}}}}',
    ),
}


@dataclass(frozen=True)
class Scenario:
    """A world and what is done to it: which bindings are there, and how the new version does.

    `upgrade` begins with 2026-10 served and proved, and asks for 2026-11. `broken` says what the
    new model answers, so that it must be rolled back. `by_hand` begins with 2026-11 served too,
    and a person who rolls it back. `shared` makes two bindings want one and the same version.
    `waves` gives that to one of them first. `created` declares an endpoint that is not there; with `deleted` it was made and proved, and
    git says that it must go.
    """

    bindings: tuple[str, ...]
    upgrade: bool = False
    broken: str = ""
    by_hand: bool = False
    shared: bool = False
    created: bool = False
    deleted: bool = False
    waves: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """What is killed."""
        return ("rollback", *self.bindings, "--yes") if self.by_hand else APPLY

    @property
    def ends(self) -> tuple[set[int], set[int]]:
        """How what is killed may end where nothing kills it, and how the apply after it."""
        if self.broken:
            return {errors.UNPROVED}, {errors.UNPROVED, errors.REFUSED}
        if self.by_hand:  # git still declares what was rolled back
            return {errors.SUCCESS}, {errors.SUCCESS, errors.UNPROVED, errors.REFUSED}
        return {errors.SUCCESS}, {errors.SUCCESS}


SCENARIOS = {
    "new": Scenario(("breast-cancer",)),
    "create, new": Scenario(("breast-cancer",), created=True),
    "delete, new": Scenario(("breast-cancer",), created=True, deleted=True),
    "classic": Scenario(("diabetes-young",)),
    "roll back, new": Scenario(("breast-cancer",), upgrade=True, broken=SILENT),
    "roll back, classic": Scenario(("diabetes-young",), upgrade=True, broken=WRONG),
    "roll back by hand": Scenario(("diabetes-young",), upgrade=True, by_hand=True),
    "two bindings, one recipe": Scenario(("diabetes-young", "diabetes-middle"), shared=True),
    "create, classic": Scenario(("diabetes-young",), created=True),
    "delete, classic": Scenario(("diabetes-young",), created=True, deleted=True),
    "waves, classic": Scenario(
        ("diabetes-middle", "diabetes-young"), upgrade=True, broken=WRONG, shared=True, waves=True
    ),
    "two at once": Scenario(("diabetes-young", "diabetes-middle")),
}


class Killer:
    """Stands between the server and the cloud; kills the process at one point."""

    def __init__(self, cloud: Cloud) -> None:
        self._serve = cloud.handle
        self._guard = threading.Lock()
        self._point: Point | None = None
        self._pid = 0
        self.requests = 0

    def arm(self, point: Point | None) -> None:
        """Count from 0 again, and kill at `point`; None kills nobody."""
        with self._guard:
            self.requests, self._point, self._pid = 0, point, 0

    def aim(self, pid: int) -> None:
        """The process to kill."""
        self._pid = pid

    def handle(self, request: Request) -> Response:
        """The cloud's answer, if there is still somebody to hear it."""
        with self._guard:
            number, self.requests = self.requests, self.requests + 1
        point = self._point
        if point is None or point.number != number:
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


class Stage:
    """One scenario, played: desired state in a folder, a cloud behind a socket, the program."""

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        self.scenario, self.command, self.ends = scenario, scenario.command, scenario.ends
        self.folder = folder
        self.local = folder / "services" / "local"
        copy_services(compose.shipped("services/local"), self.local)
        self._keep_only(scenario.bindings)
        self.cloud = Cloud(Options(speed=SPEED))
        self.cloud.seed(self.local / "_emulator" / "seed.yaml")
        self.killer = Killer(self.cloud)
        self.cloud.handle = self._handle  # type: ignore[method-assign]
        self._server: Server = serve(self.cloud, 0)
        self._server.start()
        self._good = ""
        self.reached: set[str] = set()  # endpoints that ever served another model than the good one
        if scenario.waves:
            path = self.local / "environment.yaml"
            path.write_text(f"{path.read_text('utf-8')}  rollout: {{first: 1}}\n", "utf-8")
        if scenario.created:
            self._edit("endpoint: young\n", CLASSIC_ENDPOINT)
            self._edit('"2026-10"', '"2026-11"')  # a made endpoint serves the former already
        if scenario.created and "breast-cancer" in scenario.bindings:
            self._declare_a_new_service()
        if scenario.upgrade or scenario.deleted:
            self._begin()

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()

    def run(self, point: Point | None = None, command: tuple[str, ...] = APPLY) -> int:
        """The exit code of one command; negative when it was killed."""
        self.killer.arm(point)
        process = harness.begin(self.folder, {**self._environ, "WINDOW_S": WINDOW_S}, command)
        self.killer.aim(process.pid)
        try:
            return harness.end(process)
        finally:
            self._end_the_lock()

    def points(self) -> list[Point]:
        """Every request of the last run, and each moment in it."""
        return [Point(number, m) for number in range(self.killer.requests) for m in MOMENTS]

    def broken(self) -> str:
        """Why the program broke its word; "" when it kept it."""
        left = harness.left_to_do(self._plan())
        return left or self._one_start_per_version() or self._served()

    def told(self) -> str:
        """The end of what the last run said."""
        return harness.told(self.folder)

    def _begin(self) -> None:
        if self.run() != errors.SUCCESS:
            raise errors.ReconcilerError("the emulated world could not be brought to its beginning")
        self._good = self._models()[0]
        if self.scenario.deleted:
            self._edit("spec:\n", "spec:\n  state: absent\n")
        else:
            self._edit('"2026-10"', '"2026-11"')
        if self.scenario.by_hand and self.run() != errors.SUCCESS:
            raise errors.ReconcilerError("the emulated world could not be brought to its beginning")

    def _edit(self, old: str, new: str) -> None:
        for name in ("breast-cancer", "diabetes"):
            path = self.local / f"{name}.yaml"
            if path.exists():
                path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")

    def _declare_a_new_service(self) -> None:
        """Let the binding mean a service that is not there, to be made like the one that is."""
        command = [sys.executable, "-m", "reconciler", "export", "--out", "services/local/exports"]
        environ = {**self._environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=self.folder, env=environ, check=True, capture_output=True)
        self._edit(f"webService: {DEPLOYED}\n", NEW_SERVICE)

    def _handle(self, request: Request) -> Response:
        scoring = request.path.endswith(("/execute", "/score"))
        if scoring and self.scenario.broken and self._good and self._bad():
            status, body = ANSWERS[self.scenario.broken]
            return Response(status, {"Content-Type": "application/json"}, body)
        try:
            return self.killer.handle(request)
        finally:
            if request.method == "PATCH" and self._good:
                self.reached |= self._bad()

    def _bad(self) -> set[str]:
        """The endpoints that serve another model than the good one."""
        pairs = zip(self.scenario.bindings, self._models(), strict=True)
        return {name for name, model in pairs if model != self._good}

    def _models(self) -> list[str]:
        """The digests of the bytes that serve now at the scenario's endpoints."""
        self.cloud.settle()
        world = self.cloud.world
        found = {"breast-cancer": ""}
        wanted = MADE if self.scenario.created else DEPLOYED
        for new in world.services.values():
            if new.name == wanted:
                found["breast-cancer"] = new.model
        for service in world.classic.values():
            found |= {f"diabetes-{e.name}": e.model for e in service.endpoints.values()}
        if self.scenario.created:  # a name that is not there serves nothing yet
            found["diabetes-young"] = found.get(f"diabetes-{GROWN}", "")
        return [found[name] for name in self.scenario.bindings]

    def _grown(self) -> list[Endpoint]:
        """The Classic endpoint that had to be made, if it is there."""
        found = (service.endpoints.get(GROWN) for service in self.cloud.world.classic.values())
        return [endpoint for endpoint in found if endpoint is not None]

    def _served(self) -> str:
        """What is wrong with what serves in the end; "" when nothing is."""
        models = self._models()
        if not self.scenario.deleted and (why := self._unproved(models)):
            return why
        if self.scenario.waves and len(self.reached) != 1:
            return f"a bad version reached {len(self.reached)} endpoints"
        if self.scenario.broken:
            is_good = set(models) == {self._good}
            return "" if is_good else "it does not serve the last good model"
        if self.scenario.deleted:
            names = {service.name for service in self.cloud.world.services.values()}
            gone = MADE not in names and not self._grown()
            return "" if gone else "what had to go is still there"
        if any(model not in self.cloud.world.models for model in models):
            return "it serves no trained model"
        if any(
            (each.throttle, each.max_calls, "[reconciler: local@" in each.description)
            != ("High", 20, True)
            for each in self._grown()
        ):
            return "the endpoint was not made as it is declared"
        if self.scenario.by_hand and models != [self._good] and not self._plan().converged:
            return "a version serves that is rejected"
        return ""

    def _unproved(self, models: list[str]) -> str:
        """Which endpoint serves a model that no record says was proved there; "" for none.

        The bytes count, not the name: what serves must be the file that was proved.
        """
        wanted = compose.load(self.folder / "services")["local"]
        by_name = {binding.name: binding for binding in wanted.bindings}
        with session.client(wanted.environment, None, stopping.Stop()) as http:
            stop = stopping.Stop(reading=True)
            world = compose.connect(wanted, http, environ=self._environ, stop=stop)
            for name, model in zip(self.scenario.bindings, models, strict=True):
                record = world.ledger.record(by_name[name].address)
                if record is None or not record.proved:
                    return f"{name} serves a model that was never proved"
                at = world.file_at(record.wanted.url)
                blob = at[0].get(at[1]) if at else None
                if blob is None or hashlib.sha256(blob.content).hexdigest() != model:
                    return f"{name} serves another model than the one that was proved"
        return ""

    def _plan(self) -> Plan:
        wanted = compose.load(self.folder / "services")["local"]
        with session.client(wanted.environment, None, stopping.Stop()) as http:
            stop = stopping.Stop(reading=True)
            world = compose.connect(wanted, http, environ=self._environ, stop=stop)
            return make_plan(wanted.environment, survey(world, wanted.bindings, 2)[0])

    def _one_start_per_version(self) -> str:
        """Exactly one job per model version was ever started (promise 3)."""
        ran = [job for job in self.cloud.world.jobs.values() if job.state != "NotStarted"]
        starts = Counter(str(sorted(job.results.values())) for job in ran)
        wanted = 1 if self.scenario.shared else len(self.scenario.bindings)
        wanted *= 2 if self.scenario.upgrade else 1
        if sorted(starts.values()) == [1] * wanted and all(j.state == "Finished" for j in ran):
            return ""
        return f"trainings were started {sorted(starts.values())} times"

    def _end_the_lock(self) -> None:
        """What a minute without renewal comes to; how a dead lock is taken is not seen here."""
        containers = self.cloud._core.blobs.accounts["mllocal"].containers
        containers["models"].pop("_locks/local.json", None)

    @property
    def _environ(self) -> dict[str, str]:
        keys = read_env_file(self.local / "_emulator" / "emulator.env")
        return {**keys, compose.EMULATOR_VARIABLE: self._server.url}

    def _keep_only(self, names: tuple[str, ...]) -> None:
        if "breast-cancer" not in names:
            (self.local / "breast-cancer.yaml").unlink()
        path = self.local / "diabetes.yaml"
        documents = path.read_text(encoding="utf-8").split("---\n")
        kept = "---\n".join(d for d in documents if any(f"name: {n}}}" in d for n in names))
        if self.scenario.shared:
            kept = kept.replace("slice: middle", "slice: young")
        path.write_text(kept, encoding="utf-8") if kept else path.unlink()
