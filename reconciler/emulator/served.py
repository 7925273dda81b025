"""Scoring bases: batch execution (§4) and request-response (§5) below them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.emulator import jobs
from reconciler.emulator.classic import unauthorized
from reconciler.emulator.learning import LearningError, Table, load, score
from reconciler.emulator.messages import (
    Refused,
    Request,
    Response,
    answer,
    bad_argument,
    is_object,
    json_object,
    member,
    unknown,
)
from reconciler.emulator.swagger import swagger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Experiment, Json

_PATH = re.compile(
    r"(?P<place>/(?i:workspaces|subscriptions)/[0-9a-f]{32}/(?i:services)/[0-9a-f]{32})"
    r"/(?P<what>(?i:execute|score|jobs|swagger\.json))"
    r"(?:/(?P<job>[^/]+)(?:/(?P<start>(?i:start)))?)?/?$"
)


@dataclass(frozen=True)
class Served:
    """A scoring base: its keys, and either a model or an experiment."""

    title: str
    endpoint: str
    keys: frozenset[str]
    model: str
    experiment: Experiment | None
    input: str


def route(request: Request) -> str:
    """The name of the scoring route of a request, "" when it is for another door."""
    match = _PATH.match(request.path)
    if not match:
        return ""
    what = match["what"].casefold()
    if what == "jobs":
        names = {"POST": "bes.submit", "GET": "bes.look", "DELETE": "bes.delete"}
        return "bes.start" if match["start"] else names.get(request.method, "bes.other")
    return {"swagger.json": "swagger"}.get(what, "rrs.execute")


def handle(core: Core, request: Request) -> Response:
    """The answer to a request below a scoring base."""
    match = _PATH.match(request.path)
    assert match is not None
    place, what = match["place"].casefold(), match["what"].casefold()
    served = core.served_at(place)
    if what == "swagger.json":
        return answer(200, swagger(core, request, place))
    if request.bearer not in served.keys:
        raise unauthorized("ScoreRequestUnauthorized")
    if request.parameters.get("api-version") != "2.0":
        raise bad_argument("BadVersionCall", "The api-version is invalid; use api-version=2.0.")
    if what == "jobs":
        return jobs.handle(core, request, place, served, match["job"] or "", bool(match["start"]))
    if what == "execute" and request.method == "POST":
        return _execute(core, request, served)
    raise unknown(request)


def _execute(core: Core, request: Request, served: Served) -> Response:
    body = json_object(request)
    if not served.model:
        raise Refused(
            404, "NotFound", "Not found.", ("ModelPackageNotFound", "The service has no model.")
        )
    columns, rows = _table(_input(body, served.input))
    try:
        table = score(load(core.world.models[served.model]), columns, rows)
    except LearningError as exc:
        raise Refused(
            400, "BadUserArgument", "Bad argument.", ("InputMismatchError", str(exc))
        ) from exc
    return answer(200, {"Results": {"output1": _shown(table, request)}})


def _input(body: Json, port: str) -> Any:
    """The value that was sent for the input port; its name is case-sensitive. Refused for anything
    else."""
    inputs = member(body, "Inputs")
    if not is_object(inputs) or not inputs:
        raise bad_argument("MissingRequestInput", f"Input {port} is missing.")
    if strange := sorted(set(inputs) - {port}):
        raise bad_argument("InvalidInputNames", f"Inputs {', '.join(strange)} are not known.")
    if parameters := member(body, "GlobalParameters"):
        if not is_object(parameters):
            raise bad_argument("RequestBodyInvalid", "GlobalParameters must be an object.")
        names = ", ".join(sorted(parameters))
        raise bad_argument("UnexpectedParameter", f"Parameters {names} are not known.")
    return inputs[port]


def _table(given: Any) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of an input, in the table format or as records (§5)."""
    if isinstance(given, dict) and isinstance(given.get("ColumnNames"), list):
        rows = given.get("Values")
        if isinstance(rows, list) and all(isinstance(row, list) for row in rows):
            return [str(name) for name in given["ColumnNames"]], rows
    if isinstance(given, list) and given and all(isinstance(row, dict) for row in given):
        columns = [str(name) for name in given[0]]
        return columns, [[row.get(name) for name in columns] for row in given]
    raise Refused(
        400,
        "BadUserArgument",
        "Bad argument.",
        ("InputParseError", "The input is neither ColumnNames and Values nor a list of records."),
    )


def _shown(table: Table, request: Request) -> Json | list[Mapping[str, str]]:
    if request.parameters.get("format", "").casefold() == "swagger":
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    value: Json = {"ColumnNames": list(table.columns)}
    if request.parameters.get("details", "").casefold() == "true":
        value["ColumnTypes"] = list(table.types)
    value["Values"] = [list(row) for row in table.rows]
    return {"type": "table", "value": value}
