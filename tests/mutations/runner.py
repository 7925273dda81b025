"""Takes defences out of a copy of the tree, one at a time, and runs the tests that must miss them.

The tree itself is never touched. A fragment that is not found exactly once is an error, so the
table cannot rot; so is a test that fails on the tree as it is, which would miss everything.
"""

from __future__ import annotations

import itertools
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = (
    *("reconciler", "tests", "schemas", "services", ".github"),
    *("README.md", "CHANGELOG.md", "pyproject.toml"),
)
MOST_S = 300.0  # for the tests of one mutation; one that hangs is missed by whoever waits for it
_PYTEST = ("-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", "-o", "addopts=")
_FAILED = 1  # pytest's exit code where tests ran and some failed; any other says nothing


@dataclass(frozen=True)
class Mutation:
    """One defence taken out: in `path` the `fragment` is replaced, and one of `tests` must fail.

    `name` says what the product does without it. `tests` are files or ids as pytest takes them.
    """

    name: str
    path: str
    fragment: str
    replacement: str
    tests: tuple[str, ...]

    def applied_to(self, text: str) -> str:
        """The mutated text of the file; ValueError where the fragment is not there exactly once."""
        if (times := text.count(self.fragment)) != 1:
            raise ValueError(
                f"{self.name}: {self.path} has the fragment {times} times, not once: correct "
                f"tests/mutations/table.py\n{self.fragment}"
            )
        return text.replace(self.fragment, self.replacement)


class Fate(Enum):
    """What became of a mutation."""

    MISSED = "missed"  # by a test: the defence is tested
    SURVIVED = "survived"
    UNKNOWN = "unknown"  # the tests could not be run


@dataclass(frozen=True)
class Result:
    """A mutation, its fate, how long its tests took, and the end of what they printed."""

    mutation: Mutation
    fate: Fate
    took_s: float
    output: str = ""


def misfits(mutations: Iterable[Mutation], root: Path = ROOT) -> list[str]:
    """What is wrong with a table, in words: fragments that are not there, tests that are not."""
    found = []
    for mutation in mutations:
        try:
            mutation.applied_to((root / mutation.path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            found.append(str(exc))
        found += [
            f"{mutation.name}: there is no test {test}"
            for test in mutation.tests
            if not _is_there(root, test)
        ]
    return found


def _is_there(root: Path, test: str) -> bool:
    path, *names = test.split("[")[0].split("::")
    if not (root / path).exists():
        return False
    return all(f" {name}(" in (root / path).read_text(encoding="utf-8") for name in names)


def one_in(mutations: Sequence[Mutation], part: int, first: int = 0) -> list[Mutation]:
    """Every `part`-th mutation, beginning with another one for each `first`."""
    return list(mutations[first % part :: part])


def run(
    mutations: Sequence[Mutation],
    *,
    jobs: int,
    tell: Callable[[Result], None] = lambda _: None,
    root: Path = ROOT,
    folder: Path,
) -> list[Result]:
    """The results in their order; ValueError for a table that does not fit the tree.

    `folder` is where the copies of the tree go, one for each of `jobs`.
    """
    if not mutations:  # pytest would run every test there is
        raise ValueError("there is no such mutation; their names are in tests/mutations/table.py")
    if wrong := misfits(mutations, root):
        raise ValueError("\n".join(wrong))
    copies: queue.SimpleQueue[_Copy] = queue.SimpleQueue()
    for number in range(jobs):
        copies.put(_Copy(root, folder / f"tree-{number}"))
    _check_as_it_is(mutations, copies)

    def try_one(mutation: Mutation) -> Result:
        copy = copies.get()
        try:
            result = copy.tried(mutation)
        finally:
            copies.put(copy)
        tell(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(try_one, mutations))


def _check_as_it_is(mutations: Sequence[Mutation], copies: queue.SimpleQueue[_Copy]) -> None:
    """ValueError where the tests do not pass, or would not see the copy of the tree."""
    copy = copies.get()
    code, output = copy.pytest(sorted({test for each in mutations for test in each.tests}))
    copies.put(copy)
    if code != 0:
        raise ValueError(
            f"the tests do not pass on the tree as it is (pytest ended with {code}):\n{output}"
        )


class _Copy:
    """A copy of the tree, in which one mutation after another is tried."""

    _moment = itertools.count(int(time.time()), 2)

    def __init__(self, root: Path, folder: Path) -> None:
        self._folder = folder
        ignored = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")
        for name in COPIED:
            copy = shutil.copytree if (root / name).is_dir() else shutil.copy2
            if (root / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                more = {"ignore": ignored} if copy is shutil.copytree else {}
                copy(root / name, folder / name, **more)  # type: ignore[operator]

    def tried(self, mutation: Mutation) -> Result:
        """What becomes of the mutation; the copy is as before afterwards."""
        path = self._folder / mutation.path
        text, began = path.read_text(encoding="utf-8"), time.monotonic()
        self._write(path, mutation.applied_to(text))
        try:
            code, output = self.pytest(mutation.tests)
        finally:
            self._write(path, text)
        fates = {0: Fate.SURVIVED, _FAILED: Fate.MISSED, None: Fate.MISSED}
        return Result(mutation, fates.get(code, Fate.UNKNOWN), time.monotonic() - began, output)

    def _write(self, path: Path, text: str) -> None:
        """Write the file with a time of its own, or Python would take what it compiled before."""
        path.write_text(text, encoding="utf-8")
        moment = next(self._moment)
        os.utime(path, (moment, moment))

    def pytest(self, tests: Sequence[str]) -> tuple[int | None, str]:
        """The exit code, None where the time was up, and the end of the output."""
        environ = {n: v for n, v in os.environ.items() if not n.startswith(("GITHUB_", "PYTEST_"))}
        environ |= {"PYTHONPATH": str(self._folder)}  # before what pip installed, in every process
        process = subprocess.Popen(
            [sys.executable, *_PYTEST, *tests],
            cwd=self._folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=MOST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, process.communicate()[0]
        return process.returncode, output


def lines(result: Result) -> Iterator[str]:
    """What people read of a result: one line, and the end of the output where it is no good one."""
    yield f"{result.fate.value:9}{result.took_s:6.1f} s  {result.mutation.name}"
    if result.fate is not Fate.MISSED:
        yield f"    {result.mutation.path}; {' '.join(result.mutation.tests)}"
        yield from (f"    | {line}" for line in result.output.splitlines()[-8:])
