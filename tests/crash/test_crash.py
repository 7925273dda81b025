"""SIGKILL at every request: the next run ends what was begun, and trains nothing twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.crash.machine import MOMENTS, Point, count_requests, survive

if TYPE_CHECKING:
    from pathlib import Path

SCENARIOS = {
    "new": ("breast-cancer",),
    "classic": ("diabetes-young",),
    "two at once": ("diabetes-young", "diabetes-middle"),
}
EVERY = {"two at once": 4}  # threads make its requests differ from run to run anyway
ONE_IN = 12  # of the matrix, in the ordinary run; `pytest -m long` runs all of it


def points_of(folder: Path, keep: tuple[str, ...]) -> list[Point]:
    requests = count_requests(folder, keep)
    return [Point(number, moment) for number in range(requests) for moment in MOMENTS]


def survive_all(folder: Path, keep: tuple[str, ...], points: list[Point]) -> int:
    halves = [points[::2], points[1::2]]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(survive, folder / str(i), keep, half) for i, half in enumerate(halves)]
        return sum(run.result() for run in runs)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_sample_of_the_crash_points_is_survived(name: str, tmp_path: Path) -> None:
    points = points_of(tmp_path / "count", SCENARIOS[name])
    sample = points[::ONE_IN]
    assert survive_all(tmp_path, SCENARIOS[name], sample) == len(sample)


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_crash_point_is_survived(name: str, tmp_path: Path) -> None:
    points = points_of(tmp_path / "count", SCENARIOS[name])[:: EVERY.get(name, 1)]
    survived = survive_all(tmp_path, SCENARIOS[name], points)
    print(f"{name}: {survived} of {len(points)} points survived")
    assert survived == len(points)
