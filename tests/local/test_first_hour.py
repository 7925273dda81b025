"""A person's first hour on one machine: init, doctor, plan, apply, a change, and its proof.

In a fresh folder, with nothing exported, by the commands that are printed on the way.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import errors
from tests.cli.test_process import COMMAND

ROOT = Path(__file__).parent.parent.parent


class Newcomer:
    """A terminal in an empty folder. Its `python` is the one that runs this."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
        self.environ = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT)}

    def runs(self, *arguments: str, code: int = errors.SUCCESS) -> str:
        """What a command of the program prints, unfolded."""
        return self.shell(*COMMAND, *arguments, code=code)

    def shell(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / "services" / "home" / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def commit(self, subject: str) -> None:
        self.shell("git", "add", "--all")
        who = ("-c", "user.name=New", "-c", "user.email=new@example.com")
        self.shell("git", *who, "commit", "-qm", subject)


@pytest.mark.long
def test_a_persons_first_hour_ends_with_a_proved_change(tmp_path: Path) -> None:
    person = Newcomer(tmp_path)
    person.shell("git", "init", "-q")
    said = person.runs("init", "--platform", "local", "--example")
    assert "reconciler doctor -e home" in said
    with socket.socket() as free:  # others may run here
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    person.edit("serve.py", "8500", port)
    person.edit("wine.yaml", "8500", port)
    person.commit("What our endpoints must serve")
    home = tmp_path / "services" / "home"
    server = subprocess.Popen(["python", "serve.py"], cwd=home, env=person.environ)
    try:
        assert "all fine." in person.runs("doctor", "-e", "home")
        person.runs("plan", "--out", "plan.json", "--detailed-exitcode", code=errors.CHANGES)
        assert "1 changed, 1 proved" in person.runs("apply", "plan.json")
        assert "✓ probe" in person.runs("doctor")

        person.edit("wine.yaml", 'version: "2026-10"', 'version: "2026-11"')
        person.commit("wine: 2026-11")
        plan = person.runs("plan")
        digest = re.search(r"plan ([0-9a-f]{12})", plan)
        assert digest
        assert "1 changed, 1 proved" in person.runs("apply", "--expect", digest[1])
        assert json.loads((home / "serving" / "wine.json").read_text())["version"] == "2026-11"
        assert "1 proved" in person.runs("verify")
        assert "nothing to import" in person.runs("import")
        person.runs("plan", "--detailed-exitcode")
        assert person.shell("git", "status", "--short") == ""
    finally:
        server.kill()
        server.wait()

    # A server that went away is found before the next version is trained.
    assert "✗ probe" in person.runs("doctor", code=errors.ERROR)
