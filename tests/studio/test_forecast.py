"""How long the trainings of a plan will take is told from the manifests of those before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.engine.forecast import foresee
from reconciler.errors import UnavailableError
from reconciler.model import Action, Forecast
from tests.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def forecasts(lab: Lab) -> dict[str, Forecast | None]:
    return {change.name: change.forecast for change in lab.foreseen().changes}


def test_nothing_is_asked_where_nothing_is_trained(lab: Lab) -> None:
    lab.apply()
    plan, world = lab.plan(), lab.world(read_only=True)
    lab.sent.clear()
    assert foresee(world, lab.desired().bindings, plan) == plan
    assert lab.sent == []


def test_three_runs_tell_how_long_the_next_takes_and_fewer_do_not(lab: Lab) -> None:
    lab.apply()
    lab.want("2026-11")
    found = forecasts(lab)
    young, cancer = found["diabetes-young"], found["breast-cancer"]
    assert young is not None
    assert young.seconds is not None
    assert (young.service, young.at_once, young.runs) == ("studio/diabetes-training", 40, 3)
    took = [manifest.duration_s for manifest in lab.world().ledger.versions("diabetes")[0]]
    assert young.seconds == sorted(seconds for seconds in took if seconds is not None)[1] > 0
    assert cancer == Forecast("studio/breast-cancer-training", 40, 1, None)


def test_a_forecast_is_no_part_of_what_is_approved(lab: Lab) -> None:
    lab.apply()
    lab.want("2026-11")
    assert lab.foreseen().digest == lab.plan().digest


def test_a_plan_is_shown_also_where_nobody_can_tell(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, world = lab.plan(), lab.world(read_only=True)

    def unreadable(model: str, most: int) -> list[float]:
        raise UnavailableError("503")

    monkeypatch.setattr(world.ledger, "durations", unreadable)
    found = foresee(world, lab.desired().bindings, plan)
    trained = [change for change in found.changes if change.action is Action.TRAIN]
    assert trained
    assert all(c.forecast is not None and c.forecast.seconds is None for c in trained)
