"""For all tests: figures that they measured, printed at the end; the part of a matrix that is asked
for; no CI around them, and no log that a command of another test has set up, and no secret that
another test made known."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import secrecy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_STARTED = pytest.StashKey[float]()


@pytest.fixture(autouse=True)
def _outside_of_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    logger = logging.getLogger("reconciler")
    before = (logger.handlers, logger.propagate, logger.level)
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """What one test made a secret is none of the next one's, whose texts it would hide."""
    kept = [
        (known, known.copy()) for known in (secrecy._known_secrets, secrecy._words, secrecy._parts)
    ]
    yield
    for known, before in kept:
        known.clear()
        known.update(before)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("part", "of what is long, only a part")
    group.addoption(
        "--share", type=int, default=1, metavar="K", help="every K-th long or live test"
    )
    group.addoption(
        "--one-in", type=int, default=1, metavar="K", help="every K-th point of a crash"
    )
    group.addoption("--first", type=int, default=0, metavar="N", help="begin with the N-th")
    group.addoption(
        "--within", type=float, metavar="S", help="begin no long or live test after S s"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STARTED] = time.monotonic()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests of the real Ray, beside which all other live ones can run."""
    if "real_ray" in getattr(item, "fixturenames", ()):
        item.add_marker("ray")


@pytest.hookimpl(trylast=True)  # of what the markers have left
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share, first = config.getoption("--share"), config.getoption("--first")
    for marker in ("long", "live"):
        asked = [item for item in items if item.get_closest_marker(marker)]
        left_out = set(asked) - set(asked[first % share :: share])
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))
    if config.getoption("--within") and items:  # another run leaves out other ones
        first %= len(items)
        items[:] = items[first:] + items[:first]


def pytest_runtest_setup(item: pytest.Item) -> None:
    within_s = item.config.getoption("--within")
    slow = item.get_closest_marker("long") or item.get_closest_marker("live")
    if within_s and slow and time.monotonic() - item.config.stash[_STARTED] > within_s:
        pytest.skip("left to another run: the time of --within is over")


@pytest.fixture
def part(pytestconfig: pytest.Config) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What is asked for of a matrix: all of it, unless the command line says otherwise."""
    every, share = pytestconfig.getoption("--one-in"), pytestconfig.getoption("--share")
    first = pytestconfig.getoption("--first") // share  # another one each time this test is run
    return lambda points: points[first % every :: every] or points[first % len(points) :][:1]


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say one measured figure."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for group in ("passed", "failed") for r in terminalreporter.getreports(group)]
    said = [text for r in reports for name, text in r.user_properties if name == "figure"]
    if said:
        terminalreporter.section("figures")
        for text, times in sorted(Counter(map(str, said)).items()):
            terminalreporter.line(text if times == 1 else f"{text}: {times} of {times}")
