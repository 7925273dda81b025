"""The seam for platforms: one file of another package, one entry point, and all promises hold.

`PACKAGE` is such a package, whole: a kind of endpoints, a training engine and their part of the
schema; .github/PLATFORMS.md explains it. Nothing in this program knows of it. The program runs as people
run it, in a process of its own, with the package installed beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
PACKAGE = Path(__file__).parent / "shelves.py"
YAML = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: toys}
spec: {store: store, data: data, shelves: {folder: shelves}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: words}
spec:
  training: {engine: copies, inputs: {data: "${version}.txt"}, outputs: {model: m, metrics: x}}
  accept: [{metric: AUC, atLeast: "0.8"}]
---
apiVersion: reconciler/v1
kind: Shelf
metadata: {name: top}
spec:
  shelf: top
  model: {name: words, version: "1"}
  verify: {request: probe.json, columns: [text]}
"""
OTHER = {"note": "somebody else's", "colour": ["red"]}


class Toys:
    """A folder of desired state, the shelves beside it, and the package that serves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "services"
        self.shelf = self.folder / "shelves" / "top.json"
        site = folder / "site"
        about = site / "shelves-1.0.dist-info"
        for made in (self.folder / "store", self.folder / "data", self.shelf.parent, about):
            made.mkdir(parents=True)
        shutil.copy(PACKAGE, site)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shelves\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(
            "[reconciler.platforms]\nshelves = shelves:PLATFORM\n"
        )
        for name, text in {"1": "first", "2": "broken", "3": "third"}.items():
            (self.folder / "data" / f"{name}.txt").write_text(text)
        (self.folder / "probe.json").write_text("{}")
        (self.folder / "toys.yaml").write_text(YAML)
        before = folder / "before.model"
        before.write_text("before")
        state = {"served": before.as_uri(), "told": before.as_uri(), **OTHER}
        self.shelf.write_text(json.dumps(state))
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        self.environ = {**outside, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments, "--services", "services"],
            cwd=self.folder.parent,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def apply(self, code: int = errors.SUCCESS) -> str:
        ran = self.run("apply", "--yes")
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    def want(self, version: str) -> None:
        text = YAML.replace('version: "1"', f'version: "{version}"')
        (self.folder / "toys.yaml").write_text(text)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.shelf.read_text())
        return found

    @property
    def served(self) -> str:
        return Path(self.state["served"].removeprefix("file://")).read_text()

    @property
    def files(self) -> dict[str, bytes]:
        """All that is there, by path."""
        every = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in every}


@pytest.fixture
def toys(tmp_path: Path) -> Toys:
    return Toys(tmp_path)


def test_a_plan_reads_only(toys: Toys) -> None:
    before = toys.files
    assert toys.run("plan", "--detailed-exitcode").returncode == errors.CHANGES
    assert toys.files == before


def test_apply_converges_and_the_second_plan_is_empty(toys: Toys) -> None:
    assert "1 changed, 1 proved" in toys.apply()
    assert toys.served == "first"
    after = toys.files
    assert toys.run("plan", "--detailed-exitcode").returncode == errors.SUCCESS
    toys.apply()
    assert toys.files == after


def test_a_failed_swap_is_taken_back_and_never_proved_by_a_later_run(toys: Toys) -> None:
    toys.apply()
    toys.want("2")
    toys.apply(errors.UNPROVED)
    for _ in range(3):
        toys.apply(errors.REFUSED)
        assert (toys.served, toys.state["told"]) == ("first", toys.state["served"])
    toys.want("3")
    toys.apply()
    assert toys.served == "third"


def test_a_version_is_trained_once(toys: Toys) -> None:
    toys.apply()
    toys.apply()
    (job,) = toys.shelf.parent.glob("rc-*")
    assert len(job.read_text().splitlines()) == 1


def test_what_is_not_declared_survives(toys: Toys) -> None:
    toys.apply()
    toys.want("3")
    toys.apply()
    assert {name: toys.state[name] for name in OTHER} == OTHER


def test_drift_is_found_and_repaired(toys: Toys) -> None:
    toys.apply()
    (toys.folder.parent / "other.model").write_text("other")
    other = (toys.folder.parent / "other.model").as_uri()
    toys.shelf.write_text(json.dumps({**toys.state, "served": other, "told": other}))
    assert toys.run("drift", "--detailed-exitcode").returncode == errors.CHANGES
    toys.apply()
    assert toys.served == "first"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: Shelf", "kind: Shelve", 'did you mean "Shelf"?'),
        ("shelves: {folder: shelves}", "limits: {}", "add spec.shelves to it"),
        ("engine: copies", "engine: copy", 'did you mean "copies"?'),
        ("{folder: shelves}", "{fold: shelves}", 'did you mean "folder"?'),
    ],
)
def test_mistakes_have_a_place_and_a_near_name(toys: Toys, old: str, new: str, said: str) -> None:
    (toys.folder / "toys.yaml").write_text(YAML.replace(old, new))
    ran = toys.run("validate")
    assert ran.returncode == errors.CONFIGURATION
    assert "services/toys.yaml:" in ran.stderr
    assert said in ran.stderr


def test_the_schema_for_editors_has_the_platform(toys: Toys) -> None:
    command = [sys.executable, "-m", "reconciler", "schema"]
    run: Callable[..., Any] = subprocess.run
    done = run(command, env=toys.environ, capture_output=True, text=True, check=True)
    schema = json.loads(done.stdout)
    assert "Shelf" in schema["properties"]["kind"]["enum"]
    assert "shelves" in schema["$defs"]["environment"]["properties"]


FILE = """\
spec: {file: "${version}.txt", metrics: "${version}.json", accept: [{metric: AUC, atLeast: "0.8"}]}
"""


@pytest.fixture
def taken(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> Toys:
    """A model whose versions are files that somebody else makes."""
    head, _, tail = YAML.partition("spec:\n  training")
    monkeypatch.setitem(globals(), "YAML", head + FILE + tail[tail.index("---") :])
    toys.want("1")
    for name, value in {"1": 0.9, "2": 0.9, "3": 0.7}.items():
        (toys.folder / "data" / f"{name}.json").write_text(json.dumps({"AUC": value}))
    return toys


def test_a_file_that_somebody_else_made_is_taken_in_judged_and_proved(taken: Toys) -> None:
    plan = " ".join(taken.run("plan").stdout.split())
    assert "take the file in, then " in plan
    assert "1 training" not in plan
    assert "1 changed, 1 proved" in taken.apply()
    assert taken.served == "first"
    assert taken.run("plan", "--detailed-exitcode").returncode == errors.SUCCESS
    taken.want("3")
    taken.apply(errors.REFUSED)
    assert taken.served == "first"


def test_a_version_that_was_taken_in_does_not_change_with_its_file(taken: Toys) -> None:
    taken.apply()
    (taken.folder / "data" / "1.txt").write_text("changed")
    assert taken.served == "first"
    ran = taken.run("plan", "--detailed-exitcode")
    assert ran.returncode == errors.SUCCESS
    assert "1.txt changed" in " ".join(ran.stdout.split())


def test_a_file_that_is_not_there_is_named(taken: Toys) -> None:
    taken.want("4")
    ran = taken.run("apply", "--yes")
    assert ran.returncode == errors.REFUSED
    assert "input metrics: 4.json is not in" in " ".join(ran.stdout.split())


def test_a_version_whose_file_had_another_name_can_be_rolled_back_to(toys: Toys) -> None:
    toys.apply()
    toys.want("3")
    text = (toys.folder / "toys.yaml").read_text()
    (toys.folder / "toys.yaml").write_text(text.replace("{model: m,", "{model: other.bin,"))
    toys.apply()
    assert toys.served == "third"
    ran = toys.run("rollback", "top", "--to", "1", "--yes")
    assert ran.returncode == errors.SUCCESS, ran.stdout + ran.stderr
    assert toys.served == "first"
