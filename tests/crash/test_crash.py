"""SIGKILL at every request: the next run ends what was begun, and trains nothing twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.crash.matrix import SCENARIOS, Point, Stage, points_of, survive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Of the whole matrix, one point in so many; requests of threads differ from run to run anyway.
EVERY = {
    "two at once": 4,
    "create, new": 4,
    "create, classic": 4,
    "delete, new": 4,
    "delete, classic": 4,
}
SAMPLE = 3  # points of each scenario in the ordinary run; `pytest -m long` runs all of them


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_sample_of_the_crash_points_is_survived(name: str, tmp_path: Path) -> None:
    every = points_of(tmp_path / "count", SCENARIOS[name])
    points = every[len(every) // (2 * SAMPLE) :: len(every) // SAMPLE]
    assert len(points) >= SAMPLE
    assert survive(tmp_path, SCENARIOS[name], points) == []


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_crash_point_is_survived(
    name: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    points = points_of(tmp_path / "count", SCENARIOS[name])[:: EVERY.get(name, 1)]
    broken = survive(tmp_path, SCENARIOS[name], points)
    figure(f"crash, {name}: {len(points) - len(broken)} of {len(points)} points survived")
    assert broken == []


# --- that the machine can see a broken promise ----------------------------------------------


def judged(folder: Path, name: str, moment: str = "before") -> str:
    stage = Stage(folder, SCENARIOS[name])
    try:
        return stage.survives(Point(10_000, moment))
    finally:
        stage.close()


def test_a_run_that_nothing_kills_is_judged_well(tmp_path: Path) -> None:
    assert judged(tmp_path, "new") == ""


def test_a_second_start_of_a_training_is_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SCENARIOS["new"])
    try:
        assert stage.survives(Point(10_000, "before")) == ""
        jobs = stage.cloud.world.jobs
        (first,) = (job for job in jobs.values() if job.state == "Finished")
        jobs["again"] = replace(first, id="again")
        assert stage._one_start_per_version() == "trainings were started [2] times"
    finally:
        stage.close()


def test_work_that_is_left_is_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SCENARIOS["new"])
    try:
        assert "there is work left: breast-cancer: not_trained" in stage._left_to_do()
    finally:
        stage.close()


def test_a_model_that_was_never_proved_is_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SCENARIOS["new"])
    try:
        assert "serves a model that was never proved" in stage._served()
        assert stage.survives(Point(10_000, "before")) == ""
        services = stage.cloud.world.services.values()
        (service,) = (one for one in services if one.name == "breast-cancer-predictive")
        service.model = next(m for m in stage.cloud.world.models if m != service.model)
        assert "serves another model than the one that was proved" in stage._served()
    finally:
        stage.close()
