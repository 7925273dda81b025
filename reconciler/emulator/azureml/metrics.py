"""Azure Monitor, as far as clients ask for the requests of an endpoint, by deployment and status.

The platform metric `RequestsPerMinute` has the aggregation `Average` and the dimensions
`deployment`, `statusCode` and more; its average of a minute is the number of requests in it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.emulator.azureml.calls import bad, found_at
from reconciler.emulator.messages import answer
from reconciler.emulator.world import iso

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Response

KINDS = ("onlineendpoints", "providers", "metrics")
PATH = "/providers/microsoft.insights/metrics"
VERSION = re.compile(r"2018-01-01")
NAME = "RequestsPerMinute"
Series = dict[str, int]  # counts by `minute status`
_FILTER = re.compile(r"deployment eq '(?P<name>[^']+)' and statusCode eq '\*'", re.IGNORECASE)
_MOST = 10_000
_MINUTE_S = 60


def count(series: Series, now: float, status: int) -> None:
    """Count an answer; the oldest minutes are forgotten."""
    minute = f"{int(now) // _MINUTE_S} {status}"
    series[minute] = series.get(minute, 0) + 1
    if len(series) > _MOST:
        del series[next(iter(series))]


def handle(call: Call) -> Response:
    """The requests of one deployment in a time, by their status."""
    endpoint = found_at(call.core, call.id.rpartition("/providers/")[0])
    asked = call.request.parameters
    found = _FILTER.fullmatch(asked.get("$filter", ""))
    if asked.get("metricnames") != NAME or asked.get("aggregation") != "Average" or not found:
        raise bad(
            "The emulator has the averages of RequestsPerMinute by deployment and statusCode."
        )
    try:
        begin, end = (datetime.fromisoformat(t).timestamp() for t in asked["timespan"].split("/"))
    except (KeyError, ValueError) as exc:
        raise bad("timespan is two times with a slash between them.") from exc
    series = _series(call.core, f"{endpoint.id}/deployments/{found['name']}")
    shown = [
        _shown(found["name"], status, [(m, n) for m, n in points if begin - _MINUTE_S < m <= end])
        for status, points in sorted(series.items())
    ]
    metric = {"name": {"value": NAME}, "unit": "Count", "errorCode": "Success"}
    timeseries = [each for each in shown if each["data"]]
    return answer(200, {"interval": "PT1M", "value": [{**metric, "timeseries": timeseries}]})


def _series(core: Core, deployment: str) -> dict[str, list[tuple[int, int]]]:
    """The minutes of a deployment, in seconds since the epoch, and their counts, by status."""
    there = core.world.resources.get(deployment)
    found: dict[str, list[tuple[int, int]]] = {}
    for key, number in (there.kept.get("series", {}) if there else {}).items():
        minute, _, status = key.partition(" ")
        found.setdefault(status, []).append((int(minute) * _MINUTE_S, number))
    return found


def _shown(deployment: str, status: str, points: list[tuple[int, int]]) -> Json:
    names = {"deployment": deployment, "statuscode": status}
    values = [{"name": {"value": name}, "value": value} for name, value in names.items()]
    data = [{"timeStamp": iso(minute), "average": float(number)} for minute, number in points]
    return {"metadatavalues": values, "data": data}
