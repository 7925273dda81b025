"""The commands of the guide, run on the emulator in their order, and what it says that they print."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.compose import load
from tests.terminals import ROOT, Terminals, clone_in

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / ".github" / "AZUREML.md"
BLOCK = re.compile(r"^```(sh background|sh|text)\n(.*?)^```$", re.S | re.M)
# What differs from run to run: digests, and how long something took.
VARYING = ((r"\b[0-9a-f]{12}\b", "0" * 12), (r"\bin [0-9.]+ s\b", "in 5.0 s"))


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    opened = Terminals(clone_in(tmp_path))
    yield opened
    opened.close()


def section(title: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_sample_is_valid() -> None:
    (wanted,) = load(ROOT / "services" / "_azureml").values()
    assert [binding.kind for binding in wanted.bindings] == ["OnlineEndpoint"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("title", "words", "left"),
    [
        ("Try it", "1 changed, 1 proved", "endpoints/churn.yaml"),
        ("From Studio to Azure ML", "4 changed, 4 proved", "migration/studio/breast-cancer.json"),
    ],
)
def test_every_command_of_the_guide_does_what_it_says(
    terminals: Terminals, tmp_path: Path, title: str, words: str, left: str
) -> None:
    printed, said, wanted = "", "", section(title)
    for kind, content in BLOCK.findall(wanted):
        if kind == "sh background":
            terminals.keep(content)
        elif kind == "sh":
            printed = terminals.run(re.sub(r"^(.*?)  # exit (\d)$", EXITS, content, flags=re.M))
            said += " ".join(printed.split())
            for pattern, constant in VARYING:
                printed = re.sub(pattern, constant, printed)
        elif os.environ.get("UPDATE_GOLDEN"):
            wanted = wanted.replace(f"```text\n{content}```", f"```text\n{printed}```", 1)
        else:
            assert printed == content
    assert words in said
    assert (tmp_path / left).exists()
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(PAGE.read_text("utf-8").replace(section(title), wanted), "utf-8")


EXITS = r'code=0; \1 || code=$?; test "$code" = \2'
