"""A real Ray of this machine: one head on ports of its own, opened by a token, ended by its ids.

It is never ended by `ray stop`, which ends every Ray of the machine. All that belongs to it has
its mark in the environment, whoever started it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = "RECONCILER_TEST_RAY"
START_S = 180.0  # on two busy cores
BESIDE = Path(sys.executable).parent / "ray"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, each another one."""
    with ExitStack() as held:
        sockets = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class RealRay:
    """One cluster; `serve_port` is free for the proxy of its applications."""

    token: str
    cpus: int = 8
    serve_port: int = 0
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rcr", dir="/tmp")))

    def __post_init__(self) -> None:
        names = ("gcs", "dashboard", "client", "agent", "serve")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.serve_port = self.serve_port or self.ports["serve"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['dashboard']}"

    @property
    def environ(self) -> dict[str, str]:
        """What its processes see: the token, and no telemetry."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            MARK: self.mark,
        }

    def start(self) -> None:
        """Start the head, and wait until its dashboard knows the head node, whose agent takes
        jobs."""
        self._ray(
            "--head",
            "--node-ip-address=127.0.0.1",
            f"--port={self.ports['gcs']}",
            f"--dashboard-port={self.ports['dashboard']}",
            "--dashboard-host=127.0.0.1",
            f"--ray-client-server-port={self.ports['client']}",
            f"--dashboard-agent-listen-port={self.ports['agent']}",
            f"--temp-dir={self.folder}",
        )
        end = time.monotonic() + START_S
        while not self._is_up():
            if time.monotonic() > end:
                raise AssertionError(f"Ray did not start; its logs are in {self.folder}")
            time.sleep(0.3)

    def add_node(self, resource: str) -> list[int]:
        """Start another node on this machine that offers one of a resource; the process to kill it
        by, which all others of the node end with."""
        before, alive = set(self.processes("raylet/raylet ")), self._alive()
        self._ray(
            f"--address=127.0.0.1:{self.ports['gcs']}",
            f"--dashboard-agent-listen-port={free_ports(1)[0]}",
            f"--resources={json.dumps({resource: 1})}",
            cpus=2,
        )
        end = time.monotonic() + START_S
        while not self._alive() - alive:
            if time.monotonic() > end:
                raise AssertionError("the other node did not come")
            time.sleep(0.3)
        return sorted(set(self.processes("raylet/raylet ")) - before)

    def _alive(self) -> set[str]:
        return {node["node_id"] for node in self.nodes() if node["state"] == "ALIVE"}

    def stop(self) -> None:
        """End all of it, and remove its folder."""
        end = time.monotonic() + 30
        while left := self.processes():
            for process in left:
                _kill(process)
            if time.monotonic() > end:
                raise AssertionError(f"processes of Ray do not end: {left}")
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ended(self, within_s: float) -> bool:
        """Whether all of it ends by itself."""
        end = time.monotonic() + within_s
        while self.processes() and time.monotonic() < end:
            time.sleep(0.1)
        return not self.processes()

    def processes(self, *names: str) -> list[int]:
        """The ids of its processes, by its mark in their environment."""
        mark = f"{MARK}={self.mark}".encode()
        found = []
        for process in Path("/proc").iterdir():
            try:
                if mark not in (process / "environ").read_bytes().split(b"\0"):
                    continue
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, ValueError):  # it has ended, or is another user's
                continue
            if command and (not names or any(name in command for name in names)):
                found.append(int(process.name))
        return [each for each in found if each != os.getpid()]

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes that it ever had."""
        found: list[dict[str, Any]] = self.get("/api/v0/nodes?detail=1")["data"]["result"]["result"]
        return found

    def get(self, path: str) -> Any:
        """What it answers to a read."""
        asked = urllib.request.Request(
            self.url + path, headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def put(self, path: str, body: Any) -> None:
        """Write to it."""
        self.send("PUT", path, body)

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Write to it in another way."""
        asked = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(asked, timeout=60).close()

    def _ray(self, *arguments: str, cpus: int | None = None) -> None:
        done = subprocess.run(
            [
                str(BESIDE),
                "start",
                *arguments,
                f"--num-cpus={self.cpus if cpus is None else cpus}",
                f"--object-store-memory={100 * 1024 * 1024}",
                "--min-worker-port=0",
                "--max-worker-port=0",
                "--disable-usage-stats",
                "--include-log-monitor=false",
            ],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _is_up(self) -> bool:
        try:
            heads = [node["node_ip"] for node in self.nodes() if node["is_head_node"]]
            socket.create_connection((heads[0], self.ports["agent"]), timeout=5).close()
        except (OSError, LookupError, ValueError, urllib.error.URLError):
            return False
        return True


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":  # a Ray for trying things by hand, until a line or the end of input
    ray = RealRay(secrets.token_hex(16))
    try:
        ray.start()
        print(ray.ports["dashboard"], ray.token, ray.serve_port)
        sys.stdout.flush()
        sys.stdin.readline()
    finally:
        ray.stop()
