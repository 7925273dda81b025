"""The facts that code relies on can be looked up: each reference leads to a section or a file."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROTOCOL = ROOT / ".github" / "STUDIO_PROTOCOL.md"
SOURCES = [*(ROOT / "reconciler").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
REFERENCE = re.compile(r"§(\d+(?:\.\d+)*)")
SECTION = re.compile(r"^#{2,3} (\d+(?:\.\d+)*) ", re.MULTILINE)
DOCUMENT = re.compile(r"\b(\w[\w-]*\.md) §")


def test_every_section_that_code_cites_is_there() -> None:
    text = PROTOCOL.read_text(encoding="utf-8")
    sections = set(SECTION.findall(text))
    cited = {
        (str(path.relative_to(ROOT)), number)
        for path in [*SOURCES, PROTOCOL]
        for number in REFERENCE.findall(path.read_text(encoding="utf-8"))
    }
    assert len(cited) > 100
    assert sorted(place for place in cited if place[1] not in sections) == []


def test_no_code_cites_a_document_that_is_not_in_the_tree() -> None:
    cited = {name for path in SOURCES for name in DOCUMENT.findall(path.read_text("utf-8"))}
    assert cited == {PROTOCOL.name}
