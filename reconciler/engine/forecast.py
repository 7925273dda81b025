"""How long what a plan trains will take: asked only where it trains something. Only reads."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterable
from dataclasses import replace

from reconciler.engine.world import World
from reconciler.errors import ReconcilerError
from reconciler.model import LEAST_RUNS, Binding, Forecast, Plan

log = logging.getLogger(__name__)

MOST_RUNS = 20  # the last ones tell more of the next than those of years ago


def foresee(world: World, bindings: Iterable[Binding], plan: Plan) -> Plan:
    """The plan whose trainings say how long such took before, and how many run at a time."""
    if not any(change.trains for change in plan.changes):
        return plan
    by_address = {str(binding.address): binding for binding in bindings}
    training = {c.address: by_address[c.address] for c in plan.changes if c.trains}
    models = sorted({binding.version.model for binding in training.values()})
    took = {model: _durations(world, model) for model in models}
    forecasts = {
        address: _forecast(world, binding, took[binding.version.model])
        for address, binding in training.items()
    }
    changes = (replace(c, forecast=forecasts.get(c.address)) for c in plan.changes)
    return replace(plan, changes=tuple(changes))


def _durations(world: World, model: str) -> list[float]:
    """The seconds of earlier trainings; empty where unreadable, for a plan is worth showing also
    where that cannot be read."""
    try:
        return world.ledger.durations(model, MOST_RUNS)
    except ReconcilerError as exc:
        log.info("how long model %s trained before cannot be read: %s", model, exc.message)
        return []


def _forecast(world: World, binding: Binding, took: list[float]) -> Forecast:
    seconds = statistics.median(took) if len(took) >= LEAST_RUNS else None
    at_once = world.trainers[binding.recipe.trainer].most_jobs
    return Forecast(binding.recipe.trainer, at_once, len(took), seconds)
