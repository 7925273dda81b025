"""The processes of jobs: a command each, in a folder of its own, with what it writes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.emulator.azureml.containers import environment, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CODE = "code"
_LONGEST_S = 600.0  # of real time, that somebody waits for the end of a process


class Running:
    """A command that runs until it ends or is killed; `code` is then its exit code."""

    def __init__(self, files: Mapping[str, bytes], folders: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="emulated-job-")
        self.root = Path(self._folder.name)
        write(files, self.root)
        for folder in (*folders, CODE):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self._log = self.root / "std_log.txt"
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.code: int | None = None

    def start(self, command: str, variables: Mapping[str, str]) -> None:
        """Start a command in the folder of the code, with what it starts as one group."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.root / CODE,
                env=environment(variables),
                start_new_session=True,
            )
        weakref.finalize(self, _kill, self._process)
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        self.code = process.wait()
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    def wait(self) -> None:
        """Return when it has ended, or has taken far too long."""
        if not self._ended.wait(_LONGEST_S):
            self.stop()

    def stop(self) -> None:
        """Kill what still runs of it."""
        if self._process is not None:
            _kill(self._process)
            self._ended.wait()

    def close(self) -> None:
        """Kill it, and forget its files."""
        self.stop()
        self._folder.cleanup()

    @property
    def log(self) -> bytes:
        """The bytes that it has written to its output so far."""
        return self._log.read_bytes() if self._log.exists() else b""

    def files(self, path: str) -> dict[str, bytes]:
        """The file at a path under its name, or what lies below it."""
        place = self.root / path
        if place.is_file():
            return {place.name: place.read_bytes()}
        found = sorted(file for file in place.rglob("*") if file.is_file())
        return {file.relative_to(place).as_posix(): file.read_bytes() for file in found}


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
