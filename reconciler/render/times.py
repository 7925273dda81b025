"""How long things take, in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from reconciler.model import LEAST_RUNS, Change, Forecast, MadeVersion
from reconciler.render.cells import counted


def trainings(changes: Iterable[Change]) -> str:
    """`1,000 trainings, about 50 min`, `4 trainings: 3 about 8 s, 1 known after 3 runs`, or ""."""
    by_service = _by_service(changes)
    every = [forecast for group in by_service.values() for forecast in group]
    if not every:
        return ""
    all_of_them = counted(len(every), "training")
    if None in every:
        return all_of_them  # nobody asked: an offline plan
    known = {
        service: [f for f in group if f is not None and f.seconds is not None]
        for service, group in by_service.items()
    }
    seconds = _all_together({service: group for service, group in known.items() if group})
    if seconds is None:
        return f"{all_of_them}, how long is {_known_after(every)}"
    took, count = f"about {duration(seconds)}", sum(map(len, known.values()))
    if count == len(every):
        return f"{all_of_them}, {took}"
    return f"{all_of_them}: {count:,} {took}, {len(every) - count:,} {_known_after(every)}"


def _known_after(every: Iterable[Forecast | None]) -> str:
    """`known after 3 runs`, or after how many more where some were made."""
    runs = min(f.runs for f in every if f is not None and f.seconds is None)
    more = max(LEAST_RUNS - runs, 1)
    return f"known after {counted(more, 'more run' if runs else 'run')}"


def about(changes: Iterable[Change]) -> str:
    """`about 50 min` for the trainings of these changes; "" without any, or where nobody knows."""
    seconds = _all_together(_by_service(changes))
    return "" if seconds is None else f"about {duration(seconds)}"


def _by_service(changes: Iterable[Change]) -> dict[str, list[Forecast | None]]:
    """The forecast of each training, by service; two endpoints of one version are one training."""
    forecasts: dict[str, dict[str, Forecast | None]] = {}
    for change in changes:
        if change.trains and not change.takes:
            service = change.forecast.service if change.forecast else ""
            forecasts.setdefault(service, {})[change.key] = change.forecast
    return {service: list(by_key.values()) for service, by_key in forecasts.items()}


def _all_together(by_service: Mapping[str, Sequence[Forecast | None]]) -> float | None:
    """The seconds that all of them take, for services train beside each other; None: not known."""
    times = [_one_service(group) for group in by_service.values()]
    known = [seconds for seconds in times if seconds is not None]
    return max(known) if known and len(known) == len(times) else None


def _one_service(forecasts: Sequence[Forecast | None]) -> float | None:
    """The seconds that the jobs of one service take: round after round, so many at once as run."""
    known = [(f.seconds, f.at_once) for f in forecasts if f is not None and f.seconds is not None]
    if len(known) < len(forecasts):
        return None
    rounds = math.ceil(len(known) / known[0][1])
    return rounds * statistics.fmean(seconds for seconds, _ in known)


def spent(made: MadeVersion) -> str:
    """`waited 34 s, then ran 10 min on 1 × Standard_DS3_v2`, where the engine tells; else ""."""
    if made.queued_s is None and not made.machines:
        return ""
    waited = f"waited {duration(made.queued_s)}" if made.queued_s is not None else ""
    ran = f"ran {duration(made.took_s)}" if made.took_s is not None else "ran"
    on = f" on {made.machines}" if made.machines else ""
    return ", then ".join(filter(None, (waited, f"{ran}{on}")))


def duration(seconds: float) -> str:
    """`8 s`, `3 min`, `1 h 20 min`: as exact as a forecast can be."""
    if seconds < 90:
        return f"{max(math.ceil(seconds), 1)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
