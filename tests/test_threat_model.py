"""The page about permissions is held to the workflows, and names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / ".github" / "THREAT_MODEL.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]


def said_of(workflow: str) -> list[tuple[set[str], str]]:
    """Permissions and environment of each row about a workflow."""
    rows = [row for row in ROWS if row[0].startswith(f"`{workflow}`")]
    return [(set(re.findall(r"`([^`]+)`", row[1])), row[2].strip("`")) for row in rows]


def declared(job: dict[str, Any]) -> tuple[set[str], str]:
    permissions = {f"{name}: {level}" for name, level in job.get("permissions", {}).items()}
    return permissions, job.get("environment", "none")


@pytest.mark.parametrize("path", [p for p in WORKFLOWS if p.name != "ci.yml"], ids=lambda p: p.name)
def test_the_page_says_what_each_job_is_given(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    found = [declared(job) for job in jobs]
    assert sorted(found, key=str) == sorted(said_of(path.name), key=str)


def test_the_tests_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", TEXT))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
