"""The tutorial is run: each of its blocks, in their order, in a terminal of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.terminals import ROOT, Terminals, clone_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUTORIAL = ROOT / ".github" / "TUTORIAL.md"
BLOCKS = re.findall(r"^```sh( background)?\n(.*?)^```$", TUTORIAL.read_text(), re.S | re.M)
INSTALL = ("python3 -m venv .venv\n", ".venv/bin/pip install -q -e '.[emulator]'\n")


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    opened = Terminals(clone_in(tmp_path))
    yield opened
    opened.close()


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
