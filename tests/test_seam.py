"""The seam for platforms: one file of another package, one entry point, and all promises hold.

`tests/shelves.py` is such a package, whole: a kind of endpoints, a training engine and their part of the
schema; .github/PLATFORMS.md explains it. Nothing in this program knows of it. tests/conformance
asks it for the promises; here the program runs as people run it, with the package installed beside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.desired.schema import composed
from reconciler.stores.kinds import KINDS, StoreKind
from tests.twins.contract import FIRST, SECOND, THIRD
from tests.twins.shelves import Shelves, folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelves]:
    with folder(tmp_path, monkeypatch) as made:
        assert isinstance(made, Shelves)
        yield made


def run(toys: Shelves, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, which finds the package where pip would put it."""
    home = toys.services.parent
    outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=home,
        env={**outside, "PYTHONPATH": f"{home / 'site'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_program_drives_a_platform_of_another_package(toys: Shelves) -> None:
    plan = ("plan", "--detailed-exitcode")
    assert run(toys, *plan).returncode == errors.CHANGES
    assert "1 changed, 1 proved" in run(toys, "apply", "--yes").stdout
    assert toys.serving() == FIRST
    assert run(toys, *plan).returncode == errors.SUCCESS


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: Shelf", "kind: Shelve", 'did you mean "Shelf"?'),
        ("shelves: {folder: shelves}", "limits: {}", "add spec.shelves to it"),
        ("engine: copies", "engine: copy", 'did you mean "copies"?'),
        ("{folder: shelves}", "{fold: shelves}", 'did you mean "folder"?'),
    ],
)
def test_mistakes_have_a_place_and_a_near_name(
    toys: Shelves, old: str, new: str, said: str
) -> None:
    toys.edit("toys.yaml", old, new)
    with pytest.raises(errors.ConfigurationError) as wrong:
        toys.desired()
    assert "services/toys/toys.yaml:" in str(wrong.value)
    assert said in str(wrong.value)


def test_the_schema_for_editors_has_the_platform(toys: Shelves) -> None:
    schema = json.loads(run(toys, "schema").stdout)
    assert "Shelf" in schema["properties"]["kind"]["enum"]
    assert "shelves" in schema["$defs"]["environment"]["properties"]


# --- a store of another scheme --------------------------------------------------------------

DISK = """\
from reconciler.stores.folder import FolderStore

def open_at(at, key, opening):
    return FolderStore(opening.folder / at.parts[1], opening.halted)
"""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kind of store that is one file and one line."""
    (tmp_path / "disk_store.py").write_text(DISK)
    monkeypatch.syspath_prepend(tmp_path)
    kind = StoreKind("disk_store", "disk://[a-z]+", "disk://NAME", frozenset({"region"}))
    composed.cache_clear()
    with monkeypatch.context() as line:
        line.setitem(KINDS, "disk", kind)
        yield
    composed.cache_clear()


@pytest.mark.usefixtures("disk")
def test_a_store_is_one_file_and_one_line(toys: Shelves) -> None:
    toys.edit("toys.yaml", "store: store,", "store: disk://store,")
    assert toys.apply().failures == ()
    assert toys.serving() == FIRST
    assert toys.plan().converged
    toys.edit("toys.yaml", "store: disk://store,", "store: {url: disk://store, key: env:KEY},")
    with pytest.raises(
        errors.ConfigurationError, match=r"spec\.store\.key: it is for s3:// and gs"
    ):
        toys.desired()
    toys.edit("toys.yaml", "{url: disk://store, key: env:KEY}", "disk://STORE")
    with pytest.raises(errors.ConfigurationError, match=r"is not a store; write .* or disk://NAME"):
        toys.desired()


# --- versions that somebody else makes ------------------------------------------------------

FILE = """\
  file: "${version}.txt"
  metrics: "${version}.json"
"""


@pytest.fixture
def taken(toys: Shelves) -> Shelves:
    """A model whose versions are files that somebody else makes."""
    text = (toys.folder / "toys.yaml").read_text()
    toys.edit("toys.yaml", text[text.index("  training:") : text.index("  accept:")], FILE)
    for version, value in {FIRST: 0.9, SECOND: 0.9, THIRD: 0.7}.items():
        toys.write(f"data/{version}.json", json.dumps({"AUC": value}))
    return toys


def test_a_file_that_somebody_else_made_is_taken_in_judged_and_proved(taken: Shelves) -> None:
    plan = " ".join(run(taken, "plan").stdout.split())
    assert "take the file in, then " in plan
    assert "1 training" not in plan
    assert taken.apply().failures == ()
    assert taken.serving() == FIRST
    assert taken.plan().converged
    taken.ask_for(THIRD)
    assert [failure.exit_code for failure in taken.apply().failures] == [errors.REFUSED]
    assert taken.serving() == FIRST


def test_a_version_that_was_taken_in_does_not_change_with_its_file(taken: Shelves) -> None:
    taken.apply()
    taken.write(f"data/{FIRST}.txt", "changed")
    assert taken.serving() == FIRST
    assert taken.plan().converged
    assert f"{FIRST}.txt changed" in taken.changes()[taken.name].warnings[0]


def test_a_file_that_is_not_there_is_named(taken: Shelves) -> None:
    taken.ask_for("2027-01")
    (failure,) = taken.apply().failures
    assert failure.exit_code == errors.REFUSED
    assert "input metrics: 2027-01.json is not in" in failure.message


def test_a_version_whose_file_had_another_name_can_be_rolled_back_to(toys: Shelves) -> None:
    toys.apply()
    toys.ask_for(SECOND)
    toys.edit("toys.yaml", "{model: m,", "{model: other.bin,")
    assert toys.apply().failures == ()
    assert toys.serving() == SECOND
    ran = run(toys, "rollback", toys.name, "--to", FIRST, "--yes")
    assert ran.returncode == errors.SUCCESS, ran.stdout + ran.stderr
    assert toys.serving() == FIRST
