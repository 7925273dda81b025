"""SIGKILL at every point: the next run ends what was begun, and trains nothing twice."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.crash import studio, twins
from tests.crash.harness import NOWHERE, Stage, points_of, survive, survives
from tests.twins import LIVE, twin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.crash.harness import Point

KILLED_INSIDE = (
    "local, folder",
    "shelves, folder",
    "shelves, s3",
    "shelves, gs",
    "ray, folder",
    "ray, s3",
    "mlflow, folder",
    "azureml, folder",
)
SCENARIOS = (
    *(("studio", name) for name in studio.SCENARIOS),
    *((twin, scenario) for twin in KILLED_INSIDE for scenario in twins.SCENARIOS),
    *(
        ("azureml emulated, folder", scenario)
        for scenario in twins.SCENARIOS
        if "waves" in scenario
    ),
    ("azureml emulated, blob", "swap"),  # its jobs are the workspace's, too
)
# Of the whole matrix, one point in so many, by scenario or world; requests of threads differ from
# run to run anyway.
EVERY = {
    "ray, folder": 20,
    "ray, s3": 40,
    "mlflow, folder": 20,
    "azureml, folder": 20,
    "azureml emulated, folder": 40,
    "azureml emulated, blob": 8,
    "two at once": 4,
    "create, new": 4,
    "create, classic": 4,
    "delete, new": 4,
    "delete, classic": 4,
}
SAMPLE = 2  # points of these scenarios in the ordinary run; `pytest -m long` runs all of all
SAMPLED = (
    ("studio", "new"),
    ("studio", "roll back, classic"),
    ("local, folder", "swap"),
    ("shelves, s3", "waves"),
    ("shelves, gs", "swap"),
    ("local, folder", "waves, two runs"),
    ("studio", "waves, classic"),
    ("ray, s3", "swap"),
    ("mlflow, folder", "swap"),
    ("azureml, folder", "swap"),
)
EACH = pytest.mark.parametrize(("world", "scenario"), SCENARIOS)


@pytest.fixture
def stage_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    """A maker of stages."""
    with ExitStack() as opened:

        def make(world: str, scenario: str, folder: Path) -> Stage:
            if world == "studio":
                return studio.Stage(folder, studio.SCENARIOS[scenario])
            twin = opened.enter_context(twin_of(world, folder, monkeypatch, apart=True))
            return twins.TwinStage(twin, scenario)

        yield make


@pytest.mark.parametrize(
    ("world", "scenario"),
    [*SAMPLED, *(pytest.param(name, "swap", marks=pytest.mark.live) for name in LIVE)],
)
def test_a_sample_of_the_crash_points_is_survived(
    stage_of: Callable[..., Stage], world: str, scenario: str, tmp_path: Path
) -> None:
    make = partial(stage_of, world, scenario)
    every = points_of(make, tmp_path / "count")
    points = every[len(every) // (2 * SAMPLE) :: len(every) // SAMPLE]
    assert len(points) >= SAMPLE
    assert survive(make, tmp_path, points) == []


@pytest.mark.long
@EACH
def test_every_crash_point_is_survived(
    stage_of: Callable[..., Stage],
    world: str,
    scenario: str,
    tmp_path: Path,
    part: Callable[[list[Point]], list[Point]],
    figure: Callable[[str], None],
) -> None:
    make = partial(stage_of, world, scenario)
    points = part(points_of(make, tmp_path / "count")[:: EVERY.get(scenario, EVERY.get(world, 1))])
    broken = survive(make, tmp_path, points)
    figure(f"crash, {world}, {scenario}: {len(points) - len(broken)} of {len(points)} survived")
    assert broken == []


# --- that the machine can see a broken promise ----------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[studio.Stage]:
    made = studio.Stage(tmp_path, studio.SCENARIOS["new"])
    yield made
    made.close()


def test_a_second_start_of_a_training_is_seen(stage: studio.Stage) -> None:
    assert "there is work left: breast-cancer: not_trained" in stage.broken()
    assert survives(stage, NOWHERE) == ""
    jobs = stage.cloud.world.jobs
    (first,) = (job for job in jobs.values() if job.state == "Finished")
    jobs["again"] = replace(first, id="again")
    assert stage.broken() == "trainings were started [2] times"


def test_a_model_that_was_never_proved_is_seen(stage: studio.Stage) -> None:
    assert "serves a model that was never proved" in stage._served()
    assert survives(stage, NOWHERE) == ""
    services = stage.cloud.world.services.values()
    (service,) = (one for one in services if one.name == "breast-cancer-predictive")
    service.model = next(m for m in stage.cloud.world.models if m != service.model)
    assert "serves another model than the one that was proved" in stage._served()


@pytest.mark.parametrize("world", KILLED_INSIDE[:2])
def test_a_twin_that_breaks_its_word_is_seen(
    stage_of: Callable[..., Stage], world: str, tmp_path: Path
) -> None:
    made = stage_of(world, "create", tmp_path)
    assert isinstance(made, twins.TwinStage)
    assert "there is work left" in made.broken()
    assert survives(made, NOWHERE) == ""
    made.trained = 2
    assert made.broken() == "trainings were started [1] times"
    made.trained, made.wanted = 1, "other"
    assert made.broken() == 'it serves "2026-10"'
