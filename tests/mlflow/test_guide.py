"""The commands of the guide, run against a real MLflow as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.compose import load
from reconciler.errors import SUCCESS
from reconciler.http.client import Http
from reconciler.platforms.mlflow.rest import Mlflow

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / ".github" / "MLFLOW.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"## Try it\n.*?```sh\n(.*?)```", GUIDE, re.DOTALL)


def test_the_sample_is_valid() -> None:
    (wanted,) = load(ROOT / "services" / "_mlflow").values()
    assert [binding.kind for binding in wanted.bindings] == ["ModelAlias"]


class Shell:
    """Runs the lines of the guide, with ports that are free and this Python."""

    def __init__(self, folder: Path, url: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.url = folder, url
        self.begun: list[subprocess.Popen[bytes]] = []
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        self.environ = {**outside, "PYTHONPATH": str(ROOT), "GIT_PYTHON_REFRESH": "quiet"}

    def run(self, line: str) -> str:
        """What one line prints; "" of what another fixture or the checkout does already."""
        words = shlex.split(line.removesuffix("&"), comments=True)
        said = re.search(r"# exit (\d+)", line)
        if words[0] in ("pip", "mlflow"):
            return ""
        if words[0] == "cp":
            shutil.copytree(ROOT / words[2], self.folder / words[3])
            return ""
        if words[0] == "cd":
            self.folder /= words[1]
            self._move()
            return ""
        program = ["-m", "reconciler"] if words[0] == "reconciler" else []
        command = [sys.executable, *program, *words[1:]]
        if line.endswith("&"):
            self.begun.append(subprocess.Popen(command, cwd=self.folder, env=self.environ))
            return ""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        code = int(said[1]) if said else SUCCESS
        assert done.returncode == code, f"{line}: {done.stdout}{done.stderr}"
        return " ".join((done.stdout + done.stderr).split())

    def _move(self) -> None:
        """Other ports, for others may run on this machine."""
        for path in self.folder.iterdir():
            if path.is_file():
                text = path.read_text("utf-8").replace("http://127.0.0.1:5000", self.url)
                path.write_text(text.replace("8600", str(self.port)), "utf-8")


@pytest.fixture
def shell(tmp_path: Path, mlflow_url: str) -> Iterator[Shell]:
    made = Shell(tmp_path, mlflow_url)
    yield made
    for process in made.begun:
        process.kill()
        process.wait()


@pytest.mark.live
def test_every_command_of_the_guide_does_what_it_says(shell: Shell) -> None:
    assert COMMANDS is not None
    printed = [shell.run(line) for line in COMMANDS[1].splitlines()]
    plan, first, retrained, second, _, last = printed[-6:]
    assert "take the version in, then create" in plan
    assert "1 changed, 1 proved" in first
    assert "1 → 2, registered" in retrained
    assert "1 changed, 1 proved" in second
    assert "refused: rejected" in last
    with Http() as http:
        registered = Mlflow(http, shell.url, None).model("wine")
    assert registered is not None
    assert registered.aliases == {"champion": "1"}
