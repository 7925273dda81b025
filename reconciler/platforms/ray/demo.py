"""A Ray of this machine that lasts as long as a demo: on ports of its own, opened by a token."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ConfigurationError, ReconcilerError, WireError
from reconciler.http.client import Http
from reconciler.model import SecretName
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.connection import Ray, credential_of

TOKEN = SecretName("RAY_AUTH_TOKEN")  # as the example calls it
NEEDED = {"ray": "'endpoint-reconciler[ray]'", "sklearn": "scikit-learn"}
START_S = 180.0
END_S = 30.0
CPUS = 4  # logical ones, for a job beside two replicas; the machine may have fewer


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[dict[str, str]]:
    """The environment variables that open a new Ray, to which the example in the folder leads."""
    if missing := [package for name, package in NEEDED.items() if find_spec(name) is None]:
        raise ConfigurationError(
            f"this demo starts a Ray of this machine; install it: pip install {' '.join(missing)}"
        )
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(5)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        gcs, dashboard, client, agent, serve = (each.getsockname()[1] for each in sockets)
    environment = folder / "environment.yaml"
    text = environment.read_text(encoding="utf-8")
    text = text.replace(":8265", f":{dashboard}").replace(":8000", f":{serve}")
    environment.write_text(text, encoding="utf-8")
    (folder / ".reconciler").mkdir(exist_ok=True)
    token = secrets.token_hex(16)
    # Paths of sockets are short, so the folder of Ray is not in a deep one.
    with tempfile.TemporaryDirectory(prefix="rcd-", dir="/tmp", ignore_cleanup_errors=True) as own:
        log = Path(own) / "start.log"
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
                "--node-ip-address=127.0.0.1",
                "--dashboard-host=127.0.0.1",
                f"--port={gcs}",
                f"--dashboard-port={dashboard}",
                f"--ray-client-server-port={client}",
                f"--dashboard-agent-listen-port={agent}",
                f"--temp-dir={own}",
                f"--num-cpus={CPUS}",
                f"--object-store-memory={100 * 1024 * 1024}",
                *("--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"),
            ],
            env=_environ(token, own),
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is heard by the demo, which ends it
        )
        try:
            _wait(process, f"http://127.0.0.1:{dashboard}", token, agent, log)
            yield {TOKEN.variable: token}
        finally:
            _end(process)


def _environ(token: str, folder: str) -> dict[str, str]:
    """`python` of a job is the one that runs here, and leaves what it leaves in the folder."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "TMPDIR": folder,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _wait(process: subprocess.Popen[bytes], url: str, token: str, agent: int, log: Path) -> None:
    """Until the dashboard answers, and the agent of the node takes jobs."""
    ray = Ray(url, TOKEN)
    until = time.monotonic() + START_S
    with Http(retries=0, timeout_s=(2.0, 30.0)) as http:
        client = Client(http, ray, credential_of(ray, lambda _: token, frozenset()))
        while True:
            if process.poll() is not None or time.monotonic() > until:
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
                raise ReconcilerError(f"Ray does not start: {' | '.join(lines[-5:])}")
            try:
                nodes = client.get("/api/v0/nodes?detail=1", "asking for the nodes of Ray")
                (node,) = nodes.json_object()["data"]["result"]["result"]
                socket.create_connection((node["node_ip"], agent), timeout=5).close()
                return
            except (WireError, OSError, LookupError, TypeError, ValueError):
                time.sleep(0.3)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Ray, and what it started: an agent may outlive it."""
    begun = _below(process.pid, _listed())
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for left in begun & _listed().keys():
        with contextlib.suppress(ProcessLookupError):
            os.kill(left.number, signal.SIGKILL)


class _Process(NamedTuple):
    """A process of this machine; its start tells it from a later one with its number."""

    number: int
    started: str


def _listed() -> dict[_Process, int]:
    """All processes, each with the number of its parent."""
    ps = ["ps", "-A", "-o", "pid=,ppid=,lstart="]
    printed = subprocess.run(ps, capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in printed.splitlines())
    return {_Process(int(number), started): int(parent) for number, parent, started in rows}


def _below(number: int, listed: dict[_Process, int]) -> set[_Process]:
    """The processes that a process started, and what they started."""
    own = {each for each, parent in listed.items() if parent == number}
    return own.union(*(_below(each.number, listed) for each in own))
