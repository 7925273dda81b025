"""The request-response service, for probes: one request, one table back (§5).

Both wire formats are understood: tables (`ColumnNames`, `Values`) and the swagger format
(a list of records); a probe whose inputs are lists of records asks for the latter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.errors import RefusedError, UnreadableError, WireError
from reconciler.http.credentials import Credential
from reconciler.model import Binding, Probe, Score
from reconciler.platforms.answers import Door, Doors
from reconciler.platforms.members import member, objects

if TYPE_CHECKING:
    from reconciler.http.client import Http


SCORING = "scoring the probe"
WRONG_PROBE = ("BadArgument", "BadUserArgument")  # what the service says of inputs (§4.8)


class Scoring:
    """The endpoints of a run, each at its scoring base and by its key."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._doors = Doors()

    def score(self, binding: Binding, find: Callable[[], Door]) -> Score:
        """The answer to the binding's probe; `find` tells its scoring base and credential."""
        probe = binding.probe
        assert probe is not None
        return self._doors.ask(
            binding.address.key, find, lambda door: score(self._http, *door, probe)
        )


def score(http: Http, base: str, credential: Credential, probe: Probe) -> Score:
    """The answer to a probe at a scoring base (no trailing slash).

    Raises WireError; 503 `InitializingContainers` is an UnavailableError: ask again. RefusedError
    for a probe that the service does not understand.
    """
    body = json.loads(probe.request)
    wants_records = any(isinstance(value, list) for value in objects(body, "Inputs").values())
    url = f"{base}/execute?api-version=2.0{'&format=swagger' if wants_records else ''}"
    try:
        answer = http.request("POST", url, credential=credential, json=body, what=SCORING)
    except WireError as exc:
        if exc.code in WRONG_PROBE:
            why = f"the endpoint refuses the probe: {exc.message}; correct spec.verify"
            raise RefusedError(why) from exc
        raise
    return parse_score(answer.json_object())


def parse_score(answer: Mapping[str, Any]) -> Score:
    """The first output of a scoring answer; UnreadableError if there is none."""
    results = objects(answer, "Results")
    if not results:
        raise UnreadableError("the scoring answer has no Results")
    first = next(iter(results.values()))
    if isinstance(first, list):
        return _from_records(first)
    table = objects(first, "value") if isinstance(first, dict) else {}
    columns, rows = member(table, "ColumnNames"), member(table, "Values")
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise UnreadableError("the scoring answer has neither ColumnNames and Values nor records")
    if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        raise UnreadableError("the rows of the scoring answer do not fit its columns")
    return Score(tuple(map(str, columns)), tuple(tuple(map(str, row)) for row in rows))


def _from_records(records: list[Any]) -> Score:
    if not records or not all(isinstance(record, dict) for record in records):
        raise UnreadableError("the scoring answer has no records")
    columns = tuple(map(str, records[0]))
    if any(tuple(map(str, record)) != columns for record in records):
        raise UnreadableError("the records of the scoring answer differ in their columns")
    return Score(columns, tuple(tuple(str(cell) for cell in r.values()) for r in records))
