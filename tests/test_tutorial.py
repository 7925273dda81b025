"""The tutorial is run: each of its blocks, in their order, in a terminal of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / ".github" / "TUTORIAL.md"
BLOCKS = re.findall(r"^```sh( background)?\n(.*?)^```$", TUTORIAL.read_text(), re.S | re.M)
INSTALL = ("python3 -m venv .venv\n", ".venv/bin/pip install -q -e '.[emulator]'\n")
LOGS = 4_000


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in which the program is installed: this one's."""
    folder = tmp_path / "reconciler"
    shutil.copytree(ROOT / "services", folder / "services")
    shutil.copytree(ROOT / ".github", folder / ".github")
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "reconciler").symlink_to(Path(sys.executable).parent / "reconciler")
    (scripts / "activate").write_text(f'export PATH="{scripts}:$PATH"\n')
    commit = ["bash", "-c", "git init -q && git add . && git commit -qm all"]
    subprocess.run(commit, cwd=folder, check=True, env={**os.environ, **PERSON})
    return folder


PERSON = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "A person"), ("EMAIL", "person@example.org"))
}


class Terminals:
    """New terminals, each in the folder where the one before was left."""

    def __init__(self, clone: Path) -> None:
        own = ("LOCAL_", "RECONCILER", "GITHUB_", "VIRTUAL_ENV")
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith(own)} | PERSON
        self._folder = clone
        self._left = clone.parent / "left"
        self._kept: list[subprocess.Popen[str]] = []

    def run(self, commands: str) -> str:
        """What the commands print in a new terminal."""
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
        return done.stdout + done.stderr

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
        url = next(iter(re.findall(r"http://127\.0\.0\.1:\d+", first)), "")
        assert url, f"the emulator ended: {first}"
        self._environ["RECONCILER_EMULATOR"] = url

    def close(self) -> None:
        """End what goes on."""
        for kept in self._kept:
            kept.terminate()
            kept.communicate(timeout=20)


@pytest.fixture
def terminals(clone: Path) -> Iterator[Terminals]:
    terminals = Terminals(clone)
    yield terminals
    terminals.close()


@pytest.mark.long
def test_every_command_of_the_tutorial_does_what_it_says(
    terminals: Terminals, tmp_path: Path
) -> None:
    said = ""
    for kept, commands in BLOCKS:
        if kept:
            terminals.keep(commands)
            continue
        for line in INSTALL:  # what this test stands in for
            commands = commands.replace(line, "")
        said += terminals.run(commands)
    assert "4 changed, 4 proved, 0 failed" in said
    assert "1 changed, 1 proved, 0 failed" in said
    assert said.count("Nothing to do: 4 bindings are in sync.") == 2
    assert "4 endpoints: 4 proved." in said
    assert "reconciler:plan environment=local" in said
    mine = tmp_path / "my-models"
    assert "<html" in (mine / "report.html").read_text()
    for workflow in (mine / ".github" / "workflows").iterdir():
        text = workflow.read_text()
        assert "uses: ./" not in text
        assert re.search(r"uses: OWNER/reconciler/\.github/actions/reconcile@[0-9a-f]{40}\n", text)


def test_the_tutorial_installs_as_the_test_says() -> None:
    assert all(line in BLOCKS[0][1] for line in INSTALL)
