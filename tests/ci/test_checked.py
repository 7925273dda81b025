"""Workflows and actions are checked by GitHub's schemas and by zizmor; what is ignored says why."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))
OTHERS = r"actions/[a-z-]+|pypa/gh-action-pypi-publish"
BIN = Path(sys.executable).parent
USES = re.compile(r"uses: (\S+)( # v\d+\.\d+\.\d+)?$", re.MULTILINE)


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    program = str(BIN / command[0])
    return subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("kind", "files"), [("github-workflows", WORKFLOWS), ("github-actions", ACTIONS)]
)
def test_files_are_what_github_takes(kind: str, files: list[Path]) -> None:
    assert files
    done = ran("check-jsonschema", "--builtin-schema", f"vendor.{kind}", *map(str, files))
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing_that_is_not_explained() -> None:
    done = ran("zizmor", "--offline", "--no-progress", "--format=json", ".github")
    assert json.loads(done.stdout) == [], done.stdout
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + path.stem
)
def test_what_zizmor_is_told_to_ignore_has_its_reason_on_the_line_above(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for above, line in itertools.pairwise(lines):
        if "zizmor: ignore" in line:
            assert above.lstrip().startswith("# "), f"{path.name}: {line}"


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + path.stem
)
def test_what_others_wrote_is_pinned_by_commit_and_says_its_version(path: Path) -> None:
    for uses, version in USES.findall(path.read_text(encoding="utf-8")):
        if not uses.startswith("./"):
            assert re.fullmatch(rf"({OTHERS})@[0-9a-f]{{40}}", uses), uses
            assert version, f"{uses} does not say its version"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_asks_for_little_and_ends(path: Path) -> None:
    said = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    assert "pull_request_target" not in said["on"]
    assert said["permissions"] in ({}, {"contents": "read"})
    assert "concurrency" in said
    for job in said["jobs"].values():
        assert int(job["timeout-minutes"]) <= 360
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + path.stem
)
def test_no_text_of_an_event_or_an_input_is_ever_code(path: Path) -> None:
    said = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    jobs = said.get("jobs", {"": said.get("runs", {})})
    scripts = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert not [script for script in scripts if "${{" in script]
