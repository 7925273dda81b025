"""Containers of deployments: a process each, on the files of its image.

A container is of one revision of a deployment, so the old one answers while the next one starts.
Only so many run at once; one that was stopped starts again when somebody scores.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.emulator.azureml.failures import Failure, Unready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WORKER = Path(__file__).with_name("worker.py")
MOST_RUNNING = 16
_START_S = 120.0  # of real time, until a container that says nothing has failed
_KEPT_LOG = 256 * 1024


@dataclass(frozen=True)
class Scored:
    """The answer of a container; `ms` is the time of `run()`, "" where it failed."""

    status: int
    body: str
    failed: bool
    ms: str = ""


class Busy(Exception):
    """More requests wait than the settings of the deployment allow."""


@dataclass(frozen=True)
class Image:
    """The parts that a container is made of. `arguments` are the worker's, its last one below the
    root.

    `failure` says why there can be no container; `downloads` is the log of its files.
    """

    files: Mapping[str, bytes]  # by their paths below the root of the container
    model_dir: str
    arguments: tuple[str, str]
    variables: Mapping[str, str]
    downloads: tuple[str, ...] = ()
    failure: Failure | None = None


class Container:
    """One process on the files of its image. `failure` says why it never started, or ended."""

    def __init__(self, image: Image) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="emulated-container-")
        self._root = Path(self._folder.name)
        self._log = self._root / "log"
        self._ended_log = ""
        self.downloads = "\n".join(image.downloads)
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.Queue[Scored | None]] = {}
        self._guard = threading.Lock()
        self._started = threading.Event()
        self._ready = False
        self._until = time.monotonic() + _START_S
        self._process: subprocess.Popen[str] | None = None
        self.failure = image.failure
        if self.failure is None:
            try:
                write(image.files, self._root)
                self._start(image)
            except Failure as exc:
                self.failure = exc
        if self.failure is not None:
            self._started.set()

    def _start(self, image: Image) -> None:
        kind, path = image.arguments
        where = {"AZUREML_MODEL_DIR": image.model_dir, "AML_APP_ROOT": "code"}
        places = {name: str(self._root / below) for name, below in where.items()}
        variables = {**image.variables, **places, "AZUREML_ENTRY_SCRIPT": path}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(WORKER), kind, str(self._root / path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                cwd=self._root,
                env=environment(variables),
            )
        weakref.finalize(self, self._process.kill)
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Hand every answer to whoever waits for it, until the process ends."""
        assert process.stdout is not None
        for line in process.stdout:
            answer = json.loads(line)
            if "ready" in answer:
                self._ready = True
                self._started.set()
            elif waiting := self._waiting.pop(answer.pop("id"), None):
                waiting.put(Scored(**answer))
        process.wait()
        if self.failure is None:
            self.failure = Failure(
                "ResourceNotReady",
                "User container has crashed or terminated. Read its log for the reason.",
            )
        self._started.set()
        with self._guard:
            for waiting in self._waiting.values():
                waiting.put(None)
            self._waiting.clear()

    def check(self) -> None:
        """Failure when it did not start, Unready while it has not started yet."""
        if not self._started.is_set():
            if time.monotonic() > self._until:
                raise Failure("ResourceNotReady", f"It was not ready after {_START_S} s.")
            raise Unready(self.wait)
        if self.failure is not None:
            raise self.failure

    def wait(self) -> None:
        """Return when it has started, or has failed to."""
        self._started.wait(max(0.0, self._until - time.monotonic()))

    def stop(self) -> None:
        """End the process and forget its files; its log is kept."""
        self._ended_log = self.log
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    @property
    def log(self) -> str:
        """The text that it has written so far."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - _KEPT_LOG))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return self._ended_log

    # --- scoring ---

    @property
    def ended(self) -> bool:
        """Whether it was ready and has ended since: it may start again. One that failed may not."""
        return self._ready and self._process is not None and self._process.poll() is not None

    @property
    def idle(self) -> bool:
        """Whether it runs and nobody waits for it."""
        return self._started.is_set() and not self._waiting

    def score(self, body: str, timeout_s: float, most_waiting: int) -> Scored | None:
        """Its answer, None when it died; TimeoutError, or Busy when too many wait already."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        waiting: queue.Queue[Scored | None] = queue.Queue()
        line = json.dumps({"id": number, "body": body}) + "\n"
        with self._guard:
            if len(self._waiting) >= most_waiting:
                raise Busy
            self._waiting[number] = waiting
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError):
                del self._waiting[number]
                return None
        try:
            return waiting.get(timeout=timeout_s)
        except queue.Empty as exc:
            raise TimeoutError from exc


class Containers:
    """The containers of all deployments, by deployment and revision."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._all: dict[tuple[str, str], Container] = {}
        self._latest: dict[str, Container] = {}
        self.made = 0  # how many there have been

    def start(self, deployment: str, revision: str, image: Callable[[], Image]) -> Container:
        """The container of a revision, which is made of its image if it does not run."""
        key = (deployment.casefold(), revision)
        with self._guard:
            container = self._all.pop(key, None)
            if container is None or container.ended:
                container = Container(image())
                self.made += 1
                self._latest[key[0]] = container
            self._all[key] = container  # the latest use comes last
            idle = [k for k, c in self._all.items() if c.idle and k != key]
            for old in idle[: max(0, len(self._all) - MOST_RUNNING)]:
                self._all.pop(old).stop()
        return container

    @property
    def running(self) -> int:
        """How many there are now."""
        with self._guard:
            return len(self._all)

    def keep(self, deployment: str, revision: str) -> None:
        """Stop the containers of all other revisions of a deployment."""
        self._stop(lambda key: key[0] == deployment.casefold() and key[1] != revision)

    def stop_below(self, ident: str) -> None:
        """Stop what is of a deployment, or below an endpoint, and forget its log."""
        place = ident.casefold()
        self._stop(lambda key: key[0] == place or key[0].startswith(f"{place}/"))
        with self._guard:
            for name in [n for n in self._latest if n == place or n.startswith(f"{place}/")]:
                del self._latest[name]

    def close(self) -> None:
        """Stop them all."""
        self._stop(lambda _: True)

    def _stop(self, chosen: Callable[[tuple[str, str]], bool]) -> None:
        with self._guard:
            for key in [key for key in self._all if chosen(key)]:
                self._all.pop(key).stop()

    def log(self, deployment: str, *, downloads: bool) -> str:
        """The text that the latest container of a deployment wrote, or what was downloaded for
        it."""
        container = self._latest.get(deployment.casefold())
        if container is None:
            return ""
        return container.downloads if downloads else container.log


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: nothing of this one's but where programs are."""
    names = ("HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "TEMP", "TMP")
    here = {name: os.environ[name] for name in names if name in os.environ}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {**here, **more, "PATH": path}


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files below a folder; Failure for names that no folder can have together."""
    for name, content in files.items():
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise Failure("BadArgument", f"The file {name} would be outside its folder.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (OSError, ValueError) as exc:
            raise Failure("BadArgument", f"The file {name} cannot be written.") from exc
