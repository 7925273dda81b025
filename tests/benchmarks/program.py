"""The real program, and the cloud, as processes of their own; and what a run of it cost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.compose import EMULATOR_VARIABLE
from tests.benchmarks.fleets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
_SPAWN = Path(__file__).with_name("spawn.py")


@dataclass(frozen=True)
class Cost:
    """What one process cost. `after_start_s` is from its first request to its end."""

    code: int
    wall_s: float
    cpu_s: float
    peak_kib: int
    out: str
    err: str
    after_start_s: float = 0.0
    requests: dict[str, int] | None = None
    most_at_once: int = 0
    cloud_cpu_s: float = 0.0

    @property
    def asked(self) -> int:
        """How many requests it sent."""
        return sum((self.requests or {}).values())


@dataclass(frozen=True)
class CloudProcess:
    """The benchmark's cloud, which listens at `url`."""

    url: str

    def control(self, what: str, said: dict[str, Any] | None = None) -> dict[str, Any]:
        """Tell the cloud something; what it has seen since a world began, or it forgot."""
        body = json.dumps(said or {}).encode()
        asking = urllib.request.Request(f"{self.url}/bench/{what}", body)
        with urllib.request.urlopen(asking) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@contextlib.contextmanager
def cloud() -> Iterator[CloudProcess]:
    """A cloud, ended with the block."""
    command = [sys.executable, "-m", "tests.benchmarks.cloud"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield CloudProcess(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


def reconciler() -> list[str]:
    """The command as it is installed beside this interpreter."""
    return [str(Path(sys.executable).with_name("reconciler"))]


def run(command: list[str], at: CloudProcess | None = None, cwd: Path = ROOT) -> Cost:
    """What a command cost; RuntimeError with its words if it failed."""
    before = at.control("forget")["cpu_s"] if at else 0.0
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        spawn = [sys.executable, "-I", "-S", str(_SPAWN), str(out), str(err), *command]
        done = subprocess.run(
            spawn, cwd=cwd, env=_environ(at), capture_output=True, text=True, check=True
        )
        said = json.loads(done.stdout)
        cost = Cost(
            said["code"],
            said["ended_at"] - said["began_at"],
            said["cpu_s"],
            said["peak_kib"],
            out.read_text(encoding="utf-8"),
            err.read_text(encoding="utf-8"),
            **(_seen(at, said["ended_at"], before) if at else {}),
        )
    if cost.code:
        raise RuntimeError(f"{' '.join(command)}: exit {cost.code}\n{cost.out}{cost.err}")
    return cost


def _seen(at: CloudProcess, ended_at: float, cpu_before: float) -> dict[str, Any]:
    seen = at.control("seen")
    return {
        "after_start_s": ended_at - seen["first_at"] if seen["first_at"] else 0.0,
        "requests": seen["requests"],
        "most_at_once": seen["most_at_once"],
        "cloud_cpu_s": seen["cpu_s"] - cpu_before,
    }


def _environ(at: CloudProcess | None) -> dict[str, str]:
    """No CI, no colours, no width of somebody's terminal; the secrets of the fleet."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    return {**environ, **SECRETS, **({EMULATOR_VARIABLE: at.url} if at else {})}
