"""Runs one job in its folder, whoever started it lives or not. Python runs this file by itself.

It uses the standard library only, so that it begins in 30 ms and with any Python. The folder tells
the whole state of a job, and each file in it is written by one process:

    order.json   the command, its folder, time and outputs: by whoever starts the job
    lock         held by `flock` for as long as this process, or the command, lives
    started      made with O_EXCL by this process: of any number that are begun, one goes on
    group        the process group of the command
    log          what the command printed
    cancelled    by whoever wants the job to end
    result.json  how it ended: "" or what went wrong

The command has the environment of this process, which no file holds: it may have a secret.

A lock that is free beside `started` and without a result means that this process and the command
were killed: the job is lost, and is never run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

GRACE_S = 5.0  # between SIGTERM and SIGKILL


class Cancelled(Exception):
    """Somebody asked this process to end the job."""


def main(folder: Path) -> int:
    """0 once the job runs, or has run before; the job itself goes on in another process."""
    os.chdir(folder)
    begun, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(begun, 1) else 1
    os.close(begun)
    os.setsid()
    if (lock := _claimed()) is not None:
        _tell(tell)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        _run(lock)
    else:
        _tell(tell)
    os._exit(0)


def _claimed() -> int | None:
    """The lock of the job, held; None where another process has begun it already."""
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        started = os.open("started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except (BlockingIOError, FileExistsError):
        return None
    os.write(started, json.dumps({"process": os.getpid(), "host": os.uname().nodename}).encode())
    os.fsync(started)
    _sync(Path())
    return lock


def _tell(pipe: int) -> None:
    """Let the starter go on; it may have been killed meanwhile."""
    with contextlib.suppress(OSError):
        os.write(pipe, b".")
    os.close(pipe)


def _run(lock: int) -> None:
    """Run the job to its end, and write down how it ended, whatever happens."""

    def cancel(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Cancelled

    signal.signal(signal.SIGTERM, cancel)
    try:
        why = _why_failed(json.loads(Path("order.json").read_text("utf-8")), lock)
    except Cancelled:
        why = "cancelled"
    except Exception as exc:
        why = f"{type(exc).__name__}: {exc}"
    _write("result.json", json.dumps({"failure": why}).encode())


def _why_failed(order: dict[str, Any], lock: int) -> str:
    """ "" once the command has ended well and its outputs are where they belong."""
    if Path("cancelled").exists():
        raise Cancelled
    try:
        with Path("log").open("ab") as log:
            process = subprocess.Popen(
                order["command"],
                cwd=order["folder"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),  # while the command lives the job does, also without this process
                process_group=0,
            )
    except OSError as exc:
        return f"the command {order['command'][0]} cannot be run: {exc.strerror}"
    try:
        _write("group", str(process.pid).encode())
        code = process.wait(order["timeout_s"])
    except subprocess.TimeoutExpired:
        return f"it did not end within {order['timeout_s']:g} s"
    finally:
        _end(process)
    if code:
        return f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
    return _published(order["outputs"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it began."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _published(outputs: dict[str, dict[str, str]]) -> str:
    """Put the outputs where they belong, whole or not at all; "" or which is missing."""
    for role, output in outputs.items():
        made = Path(output["made"])
        if not made.is_file() or not made.stat().st_size:
            state = "is empty" if made.is_file() else "was not written"
            return f"the command ended well, but its {role} ({{outputs.{role}}}) {state}"
    for output in outputs.values():
        place = Path(output["place"])
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        shutil.copyfile(output["made"], temporary)
        _write(str(place), None, temporary)
    return ""


def _write(name: str, content: bytes | None, temporary: Path | None = None) -> None:
    """Let a file appear whole, and on the disk for certain."""
    path = Path(name)
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}")
    if content is not None:
        temporary.write_bytes(content)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
