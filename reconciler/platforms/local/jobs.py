"""The engine `local`: a command of the repository, run on this machine in a folder of its own.

The id of a job follows from its training key, the store and the attempt, so it can be noted before
anything exists, and stores may share a folder of jobs. Starting it begins a process of its own
(runner.py) that outlives this one. That process makes the file `started` with O_EXCL, so of any
number of starts one runs the command; and the start returns only when that is decided. A starter
that is killed before has left nothing but a folder, and the next run starts the same job. While the
job lives, its process and its command hold a lock on a file; the kernel frees it when both are
gone. Then there is a result, or the job is lost.

At the whiteboard, what a kill leaves at each point, and what the next look makes of it:

    before `order.json`    a folder without `started`: not started, so it is started
    before `started`       the same; the order is written again, and is the same order
    after `started`        the lock says whether the job lives; no start begins it again
    command running        the command holds the lock too, so the job lives on without its runner
    before `result.json`   `started`, a free lock and no result: the job is lost, and has failed

A process id alone could not tell these apart: ids are given out again, and after a restart of the
machine another program may have the one that was written down. The kernel's lock has no such doubt.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from reconciler.errors import RefusedError, StoppedError, UnavailableError, printable, redact
from reconciler.platforms.code import copy_to
from reconciler.platforms.commands import environ_with, words_of
from reconciler.platforms.contract import Job, JobState, Order, Trainer
from reconciler.platforms.local import runner
from reconciler.stores.contract import Place
from reconciler.stores.files import file_error

START_S = 30.0  # within which a process of Python begins, on a machine that is busy
CANCEL_S = 2 * runner.GRACE_S
MOST_LINES = 10  # of a log that an error shows
MOST_LOG_BYTES = 64 * 1024


@dataclass(eq=False)
class LocalJobs(Trainer):
    """Jobs below one folder of this machine.

    `_store` is the URI of the store whose jobs they are; `_variables` are the names of environment
    variables that commands get besides the usual ones. `_halted` says why no job may be started or
    ended any more, "" while that may be.
    """

    grants = False

    _folder: Path
    _store: str
    most_jobs: int
    _variables: Sequence[str] = ()
    _halted: Callable[[], str] = str

    def prepare(self, order: Order) -> str:
        """The id that the job will have. RefusedError where it could not run here."""
        self._command(order, Path())
        return order.job_of(self._store)

    def start(self, job: str, order: Order) -> None:
        """Begin the job, unless it was begun before; it is decided when this returns."""
        folder = self._of(job)
        if (folder / "started").exists():
            return
        self._check(f"starting job {job}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            document = self._document(order, folder)
            temporary = folder / f".{uuid.uuid4().hex}"
            temporary.write_text(json.dumps(document), encoding="utf-8")
            temporary.replace(folder / "order.json")
        except OSError as exc:
            raise file_error(f"making job {job} in {folder}", exc) from exc
        command = [sys.executable, "-I", runner.__file__, str(folder)]
        try:
            done = subprocess.run(
                command,
                env=environ_with(self._variables),  # handed on, and never written to a file
                start_new_session=True,
                timeout=START_S,
                capture_output=True,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise UnavailableError(f"job {job} did not begin within {START_S:g} s") from exc
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise UnavailableError(f"job {job} could not be begun in {folder}: {why}")

    def look(self, job: str) -> Job:
        """The job as it is now, by its folder."""
        folder = self._of(job)
        if not (folder / "started").exists():
            return Job(JobState.NOT_STARTED)
        ended = self._ended(folder)
        if ended is None and _is_alive(folder):
            return Job(JobState.RUNNING)
        ended = ended or self._ended(folder)  # it may have ended between the two looks
        cancelled = (folder / "cancelled").exists()
        if ended is None and cancelled:
            return Job(JobState.CANCELLED)
        if ended is None:
            why = (
                "its process was killed, or the machine was restarted or out of disk space, before "
                "it ended"
            )
            return Job(JobState.FAILED, self._with_log(job, why))
        if why := ended["failure"]:
            state = JobState.CANCELLED if cancelled else JobState.FAILED
            return Job(state, self._with_log(job, why))
        outputs = _read(folder / "order.json")["outputs"]
        places = {role: Place(Path(output["place"]).as_uri()) for role, output in outputs.items()}
        return Job(JobState.FINISHED, "", places)

    def cancel(self, job: str) -> None:
        """End the job and all that its command began; a job that is not there is fine."""
        folder = self._of(job)
        if not (folder / "started").exists():
            return
        self._check(f"cancelling job {job}")
        (folder / "cancelled").touch()
        if not _is_alive(folder):  # killed at its start, it may not have said where it ran
            return
        host = _read(folder / "started").get("host")
        if host != os.uname().nodename:
            raise RefusedError(f"job {job} runs on {host}; cancel it there")
        began = time.monotonic()
        while _is_alive(folder):
            waited_s = time.monotonic() - began
            if waited_s > CANCEL_S:
                raise UnavailableError(f"job {job} does not end; see `fuser {folder / 'lock'}`")
            _signal(folder, hard=waited_s > runner.GRACE_S + 1)
            time.sleep(0.05)

    def log(self, job: str) -> str:
        """The last lines that the command printed, without secrets: a manifest keeps them."""
        with contextlib.suppress(OSError), (self._of(job) / "log").open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - MOST_LOG_BYTES, 0))
            lines = file.read().decode(errors="replace").splitlines()
            return redact("\n".join(printable(line) for line in lines[-MOST_LINES:]))
        return ""

    def _check(self, what: str) -> None:
        if why := self._halted():
            raise StoppedError(f"{what}: nothing was done: {why}")

    def _of(self, job: str) -> Path:
        if not re.fullmatch(r"rc-[0-9a-f]{1,64}(-[0-9a-f]{8})?-a[0-9]+", job):
            raise RefusedError(f"{job!r} is not the id of a job of this engine")
        return self._folder / job

    def _ended(self, folder: Path) -> dict[str, Any] | None:
        path = folder / "result.json"
        return _read(path) if path.exists() else None

    def _with_log(self, job: str, why: str) -> str:
        last = self.log(job)
        line = last.replace("\n", " | ")  # a reason stands on one line, wherever it is shown
        return f"{why}; its last lines: {line} (all of {self._of(job) / 'log'})" if last else why

    def _document(self, order: Order, folder: Path) -> dict[str, Any]:
        """The order as the runner reads it; the code that it runs is copied beside it."""
        outputs = {
            role: {"made": made, "place": str(_path(order.outputs[role]))}
            for role, made in _made(order, folder).items()
        }
        (folder / "outputs").mkdir(exist_ok=True)
        work = folder / "code"
        if not work.exists():
            temporary = folder / f".{uuid.uuid4().hex}"
            self._copy_code(order, temporary)
            with contextlib.suppress(OSError):  # another run was first
                temporary.rename(work)
        return {
            "command": self._command(order, folder),
            "folder": str(work),
            "timeout_s": order.timeout_s,
            "outputs": outputs,
        }

    def _copy_code(self, order: Order, place: Path) -> None:
        """Copy the code of a recipe; RefusedError where it is no longer the code that was
        planned."""
        recipe = order.recipe
        if not recipe.code:
            place.mkdir()
        elif copy_to(Path(recipe.folder), place) != recipe.code:
            raise RefusedError(
                f"the files below {recipe.folder} changed since this was planned; plan again"
            )

    def _command(self, order: Order, folder: Path) -> list[str]:
        """The words of the command. RefusedError where it names what is not there."""
        how = dict(order.recipe.how)
        given = {
            "inputs": {name: str(_path(place)) for name, place in order.inputs.items()},
            "parameters": dict(order.recipe.parameters),
            "outputs": _made(order, folder),
        }
        words = words_of(how["command"], given)
        where = Path(order.recipe.folder or folder)
        program = str(where / words[0]) if "/" in words[0] else words[0]
        if shutil.which(program) is None:
            raise RefusedError(
                f"the command {words[0]} is not there or must not be run; install it, or correct "
                "spec.training.command"
            )
        return words


def _path(place: Place) -> Path:
    """The path of a place; RefusedError where that is no file of this machine."""
    parts = urlsplit(place.uri)
    if parts.scheme != "file":
        raise RefusedError(
            f"the engine local reads and writes files, and {place.uri} is none; keep store and "
            "data in folders, or train with another engine"
        )
    return Path(unquote(parts.path))


def _made(order: Order, folder: Path) -> dict[str, str]:
    """By role, the file that the command writes. RefusedError where it could not be moved on."""
    for role, _ in order.recipe.outputs:
        _path(order.outputs[role])
    return {role: str(folder / "outputs" / name) for role, name in order.recipe.outputs}


def _is_alive(folder: Path) -> bool:
    """Whether the job's process or its command lives: one of them holds the lock."""
    with (folder / "lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _signal(folder: Path, *, hard: bool) -> None:
    """Ask the job's process to end the command; `hard`, or where that one is gone, end both."""
    process, group = _read(folder / "started")["process"], folder / "group"
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
        if not hard:
            return
        os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.killpg(int(group.read_text()), signal.SIGKILL if hard else signal.SIGTERM)


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document
