"""Terminals, in which a page's commands are run one after another as people run them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOGS = 4_000


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


PERSON = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "A person"), ("EMAIL", "person@example.org"))
}


def clone_in(parent: Path) -> Path:
    """A clone in which the program is installed: this one's."""
    folder = parent / "reconciler"
    shutil.copytree(ROOT / "services", folder / "services")
    shutil.copytree(ROOT / ".github", folder / ".github")
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "reconciler").symlink_to(Path(sys.executable).parent / "reconciler")
    python = scripts / "python"  # a link would not find the packages of this one's environment
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (scripts / "activate").write_text(f'export PATH="{scripts}:$PATH"\n')
    commit = ["bash", "-c", "git init -q && git add . && git commit -qm all"]
    subprocess.run(commit, cwd=folder, check=True, env={**os.environ, **PERSON})
    return folder


class Terminals:
    """New terminals, each in the folder where the one before was left."""

    def __init__(self, clone: Path) -> None:
        own = ("LOCAL_", "RECONCILER", "GITHUB_", "VIRTUAL_ENV")
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith(own)} | PERSON
        self._environ["PATH"] = f"{clone / '.venv' / 'bin'}:{os.environ['PATH']}"
        self._folder = clone
        self._left = clone.parent / "left"
        self._kept: list[subprocess.Popen[str]] = []

    def run(self, commands: str) -> str:
        """The output of the commands in a new terminal."""
        script = f'set -euo pipefail\n{commands}\npwd > "{self._left}"\n'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-LOGS:]}\n{done.stderr[-LOGS:]}"
        self._folder = Path(self._left.read_text().strip())
        return done.stdout

    def keep(self, commands: str) -> None:
        """Begin commands that go on, on a port that is free here, and wait until they answer."""
        there = commands.replace("reconciler emulator", "exec reconciler emulator --port 0")
        kept = subprocess.Popen(
            ["bash", "-c", f"set -euo pipefail\n{there}"],
            cwd=self._folder,
            env=self._environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._kept.append(kept)
        assert kept.stderr is not None
        first = kept.stderr.readline()
        named = re.search(r"world (\w+), at (http://127\.0\.0\.1:\d+)", first)
        assert named, f"the emulator ended: {first}"
        self._environ["RECONCILER_EMULATOR"] = f"{named[2]}#{named[1]}"  # as it says on

    def keep_server(self, commands: str, port: int) -> None:
        """Begin commands that go on, and wait until they listen on the port."""
        there = commands.replace("python ", "exec python ")
        kept = subprocess.Popen(
            ["bash", "-c", f"set -euo pipefail\n{there}"], cwd=self._folder, env=self._environ
        )
        self._kept.append(kept)
        while True:
            assert kept.poll() is None, f"{commands} ended with {kept.returncode}"
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
                return
            time.sleep(0.05)

    def close(self) -> None:
        """End what goes on."""
        for kept in self._kept:
            kept.terminate()
            kept.communicate(timeout=20)
