"""The list of mutations fits the tree, and what tries them can tell a survivor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.runner import Fate, Mutation, misfits, one_in, run
from tests.mutations.table import MUTATIONS

LIMIT = "reconciler/limit.py"
MISSED = Mutation("no limit", LIMIT, "value < 3", "True", ("tests/test_limit.py",))
SURVIVES = Mutation("a lower limit", LIMIT, "value < 3", "value < 2", ("tests/test_limit.py",))
BREAKS = Mutation("no Python", LIMIT, "value < 3", "value <", ("tests/test_limit.py",))


def test_each_mutation_fits_the_tree_and_names_tests_that_are_there() -> None:
    assert misfits(MUTATIONS) == []
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert all(mutation.fragment != mutation.replacement for mutation in MUTATIONS)


def test_parts_of_the_list_are_together_the_whole_list() -> None:
    parts = [one_in(MUTATIONS, 7, first) for first in range(100, 107)]
    assert sorted(m.name for part in parts for m in part) == sorted(m.name for m in MUTATIONS)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small product with one test; only the copies of it hold `reconciler.limit`."""
    root = tmp_path / "root"
    files = {
        LIMIT: "def allows(value: int) -> bool:\n    return value < 3\n",
        "reconciler/__init__.py": "",
        "tests/__init__.py": "",
        "tests/test_limit.py": "from reconciler.limit import allows\n\n\n"
        "def test_five_is_too_much() -> None:\n    assert not allows(5)\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_survivor_is_told_from_what_a_test_misses_and_the_tree_stays(
    tree: Path, tmp_path: Path
) -> None:
    before = {path: path.read_text() for path in tree.rglob("*.py")}
    chosen = (MISSED, SURVIVES, BREAKS)
    results = run(chosen, jobs=1, root=tree, folder=tmp_path / "copies")
    assert [result.fate for result in results] == [Fate.MISSED, Fate.SURVIVED, Fate.UNKNOWN]
    assert {path: path.read_text() for path in tree.rglob("*.py")} == before


def test_a_name_that_no_mutation_has_is_an_error(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such mutation"):
        run([], jobs=1, root=tree, folder=tmp_path / "copies")


def test_a_fragment_that_is_not_there_any_more_is_an_error(tree: Path, tmp_path: Path) -> None:
    gone = Mutation("gone", LIMIT, "value < 4", "True", ("tests/test_limit.py::test_six",))
    assert misfits([gone], tree)[1] == "gone: there is no test tests/test_limit.py::test_six"
    with pytest.raises(ValueError, match=r"gone: reconciler/limit\.py has the fragment 0 times"):
        run([gone], jobs=1, root=tree, folder=tmp_path / "copies")


def test_a_test_that_fails_anyway_misses_nothing(tree: Path, tmp_path: Path) -> None:
    (tree / "tests/test_limit.py").write_text("def test_red() -> None:\n    assert False\n")
    with pytest.raises(ValueError, match="do not pass on the tree as it is"):
        run([MISSED], jobs=1, root=tree, folder=tmp_path / "copies")
