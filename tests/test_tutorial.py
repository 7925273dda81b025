"""The tutorial is run: each of its blocks, in their order, in a terminal of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.terminals import ROOT, Terminals, clone_in, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TUTORIAL = ROOT / ".github" / "TUTORIAL.md"
BLOCKS = re.findall(r"^```sh( background)?\n(.*?)^```$", TUTORIAL.read_text(), re.S | re.M)
INSTALL = ("python3 -m venv .venv\n", ".venv/bin/pip install -q -e . scikit-learn\n")


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    opened = Terminals(clone_in(tmp_path))
    yield opened
    opened.close()


@pytest.mark.long
def test_every_command_of_the_tutorial_does_what_it_says(
    terminals: Terminals, tmp_path: Path
) -> None:
    port = free_port()
    other_port = f"sed -i s/8500/{port}/ services/home/serve.py services/home/wine.yaml\n"
    outputs = []
    for kept, commands in BLOCKS:
        if kept:
            terminals.keep_server(commands, port)
            continue
        for line in INSTALL:  # what this test stands in for
            commands = commands.replace(line, "")
        outputs.append(terminals.run(commands.replace("git add .\n", f"{other_port}git add .\n")))
    _install, _repository, first, _branch, review, merge, bad, drift, back, hosted = outputs
    assert "1 changed, 1 proved, 0 failed" in first
    assert "Nothing to do: 1 binding is in sync." in first
    assert "reconciler:plan environment=home" in review
    assert "1 endpoint: 1 proved." in merge
    assert "not accepted: AUC is 0." in bad
    assert "drifted from 2026-11, proved here" in drift
    assert "rolled back, read back" in back
    assert "Nothing to do: 1 binding is in sync." in back
    assert "too sweet" in back
    mine = tmp_path / "my-models"
    assert "<html" in (mine / "report.html").read_text()
    assert "services/home" not in hosted
    for workflow in (mine / ".github" / "workflows").iterdir():
        text = workflow.read_text()
        assert "uses: ./" not in text
        assert re.search(r"uses: OWNER/reconciler/\.github/actions/reconcile@[0-9a-f]{40}\n", text)


def test_the_tutorial_installs_as_the_test_says() -> None:
    assert all(line in BLOCKS[0][1] for line in INSTALL)
