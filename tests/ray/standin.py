"""What answers as Ray's dashboard does, and can be told to fail: faults that a real one shows rarely.

The answers are those of Ray 2.60: job_head.py, version, cluster id and nodes. What runs does not:
a test says how a job ended.
"""

from __future__ import annotations

import json
import shlex
import shutil
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "a-token-of-the-standin"
PAGE = b"<!doctype html><title>Sign in</title>"


@dataclass
class World:
    """What the cluster knows; `faults` are by method and path, each used once. Of every second
    request the answer is lost, so many as it still `loses`; `lost` are those."""

    version: str = "2.60.0"
    cluster: str = "ab" * 28
    session: str = "session_1"
    head: str = "cd" * 28
    head_started_ms: int = 1_000
    token: str = TOKEN
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    applications: dict[str, Any] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    loses: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    runs: bool = False  # a job is done when it is looked at: its output is its input
    busy: int = 0  # how many looks at such a job show it running first
    looks: Counter[str] = field(default_factory=Counter)
    down: int = 0  # how many requests a head that is starting still refuses
    copy: Callable[[str, str], object] = lambda source, place: _copy(source, place)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def restart(self, *, kept: bool = False, down: int = 0) -> None:
        """A new head; without a state that is kept outside, everything is new and empty."""
        self.head, self.down = self.head[2:] + "ff", down
        if not kept:
            self.cluster = self.cluster[2:] + "ff"
            self.session += "x"
            self.jobs, self.packages, self.applications = {}, {}, {}

    def look_at(self, job: str) -> None:
        """Let a job that runs by itself come to its end."""
        if not self.runs or self.jobs[job]["status"] != "RUNNING":
            return
        self.looks[job] += 1
        if self.looks[job] > self.busy:
            _run(self.jobs[job]["entrypoint"], self.copy)
            self.end(job, "SUCCEEDED", code=0)

    def end(self, job: str, status: str, message: str = "", code: int | None = None) -> None:
        """Let a job have ended."""
        self.jobs[job].update(status=status, message=message, driver_exit_code=code)


class Standin:
    """The server; `url` is its address. Close it."""

    def __init__(self) -> None:
        self.world = world = World()

        class Handler(_Handler):
            pass

        Handler.world = world
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    world: World
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of an answer are two packets

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        with self.world.lock:
            self.world.requests.append(f"{self.command} {path}")
            if self.world.down:
                self.world.down -= 1
                self.close_connection = True
                return None
            faults = self.world.faults.get((self.command, path), [])
            fault = faults.pop(0) if faults else None
            if isinstance(fault, tuple):
                return self._answer(*fault)
            if self.world.token and "Authorization" not in self.headers:
                return self._answer(
                    401, b"Unauthorized: Missing authentication token", "text/plain"
                )
            if self.world.token and self.headers["Authorization"] != f"Bearer {self.world.token}":
                return self._answer(403, b"Forbidden: Invalid authentication token", "text/plain")
            status, answer = self._made(path, body)
            if self.world.loses and len(self.world.requests) % 2:
                self.world.loses -= 1
                fault = "lost"
            if fault == "lost":
                self.world.lost.append((self.command, path))
        if fault == "lost":
            self.close_connection = True
            return None
        if isinstance(answer, str):
            return self._answer(status, answer.encode(), "text/plain")
        return self._answer(status, json.dumps(answer).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _made(self, path: str, body: bytes) -> tuple[int, Any]:
        world, parts = self.world, path.strip("/").split("/")
        match (self.command, *parts):
            case ("GET", "api", "version"):
                return 200, {
                    "version": "4",
                    "ray_version": world.version,
                    "ray_commit": "x",
                    "session_name": world.session,
                }
            case ("GET", "cluster_id"):
                return 200, {"result": True, "data": {"clusterId": world.cluster}}
            case ("GET", "api", "v0", "nodes"):
                node = {
                    "node_id": world.head,
                    "is_head_node": True,
                    "state": "ALIVE",
                    "start_time_ms": world.head_started_ms,
                }
                return 200, {"result": True, "data": {"result": {"total": 1, "result": [node]}}}
            case ("GET", "api", "cluster_status"):
                usage = {"CPU": [8.0, 8.0], "memory": [0.0, 8e9]}
                return 200, {
                    "result": True,
                    "data": {"clusterStatus": {"loadMetricsReport": {"usage": usage}}},
                }
            case ("GET", "api", "serve", "applications"):
                return 200, {"controller_info": {}, "applications": world.applications}
            case (_, "api", "packages", "gcs", name):
                return self._package(name, body)
            case (_, "api", "jobs", *rest):
                return self._job(rest, body)
        return 404, "404: Not Found"

    def _package(self, name: str, body: bytes) -> tuple[int, Any]:
        if self.command == "PUT":
            self.world.packages[name] = body
        elif name not in self.world.packages:
            return 404, f"Package gcs://{name} does not exist"
        return 200, ""

    def _job(self, rest: list[str], body: bytes) -> tuple[int, Any]:
        world = self.world
        if not rest and self.command == "GET":
            return 200, list(world.jobs.values())
        if not rest:
            said = json.loads(body)
            ident = said["submission_id"]
            if ident in world.jobs:
                return (
                    500,
                    f"Traceback …\nValueError: Job with submission_id {ident} already exists.",
                )
            world.starts[ident] += 1
            world.jobs[ident] = {
                "type": "SUBMISSION",
                "submission_id": ident,
                "status": "RUNNING",
                "message": "Job is currently running.",
                "start_time": 2_000,
                "driver_exit_code": None,
                **said,
            }
            return 200, {"job_id": ident, "submission_id": ident}
        ident = rest[0]
        if ident not in world.jobs:
            return 404, f"Job {ident} does not exist"
        if rest[1:] == ["logs"]:
            return 200, {"logs": world.logs.get(ident, "")}
        if rest[1:] == ["stop"]:
            world.end(ident, "STOPPED", "Job was intentionally stopped.")
            return 200, {"stopped": True}
        world.look_at(ident)
        return 200, world.jobs[ident]


def _run(entrypoint: str, copy: Callable[[str, str], object]) -> None:
    told = json.loads(shlex.split(entrypoint)[2])
    (source,) = told["inputs"].values()
    for _, place in told["outputs"].values():
        copy(source, place)


def _copy(source: str, place: str) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
