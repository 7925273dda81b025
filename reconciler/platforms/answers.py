"""Servers of your own, which follow what a platform declares: where they are asked, what they say.

A server answers a probe with any JSON, of which the binding names the part. It hears no secret.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.errors import NotFoundError, Problem, UnauthorizedError, UnreadableError
from reconciler.http.asking import Credential
from reconciler.http.response import one_line
from reconciler.http.urls import why_not_asked
from reconciler.model import Probe, Score
from reconciler.platforms.contract import Answer
from reconciler.platforms.platform import Block
from reconciler.strict_json import parse_json

if TYPE_CHECKING:
    from reconciler.http.client import Http

T = TypeVar("T")
Door = tuple[str, Credential]  # a URL, and what opens it
MOST_OF_A_NAME = 2_000  # characters of the version that a server names, which messages repeat


@dataclass(frozen=True)
class Server:
    """A server as a binding declares it: `url` is where it answers probes, `answer` the JSON
    pointer to the rows in its answer, and `names` the one to the version that says it answered; ""
    where there is none."""

    url: str = ""
    answer: str = ""
    names: str = ""

    def score(self, http: Http, probe: Probe) -> Answer:
        """Its answer to the probe."""
        request = parse_json(probe.request)
        what = "scoring the probe"
        answer = http.request("POST", self.url, json=request, what=what).json()
        return score_of(answer, self.answer, self.names, probe)


class Doors:
    """Where endpoints are asked and what opens them, by the keys of addresses, found once for a
    run. Keys seldom change: a known door that does not open is looked for again."""

    def __init__(self) -> None:
        self._known: dict[str, Door] = {}

    def ask(self, place: str, find: Callable[[], Door], ask: Callable[[Door], T]) -> T:
        """The answer of `ask` to the door of an endpoint."""
        if (door := self._known.pop(place, None)) is not None:
            with contextlib.suppress(UnauthorizedError, NotFoundError):
                answer = ask(door)
                self._known[place] = door
                return answer
        door = find()
        answer = ask(door)
        self._known[place] = door
        return answer


def server_of(spec: Mapping[str, Any]) -> Server:
    """The server that a binding's spec declares."""
    verify = spec.get("verify", {})
    return Server(verify.get("url", ""), verify.get("answer", ""), verify.get("model", ""))


def server_terms(spec: Block) -> dict[str, str]:
    """Who is asked for the proof: a pull request that changes it is approved."""
    server = server_of(spec.data)
    part = f"{server.answer} {server.names}".strip()
    return {"the server": server.url, "the part of its answer": part}


def server_problems(spec: Block, _: date | None = None) -> Iterator[Problem]:
    """The problem of an address that could only fail after the write."""
    url = server_of(spec.data).url
    if url and (why := why_not_asked(url, "http://HOST:PORT/PATH")):
        yield spec.problem(why, "verify", "url")


def score_of(document: Any, rows: str, names: str, probe: Probe) -> Answer:
    """The rows at one JSON pointer of the answer, and the version at another: "" where there is no
    pointer, and for null."""
    model = part(document, names) if names else ""
    if isinstance(model, dict | list):
        raise UnreadableError(f"the answer to the probe names no version at {names}")
    named = "" if model is None else one_line(str(model), MOST_OF_A_NAME)
    return Answer(_table(part(document, rows), rows, probe), named)


def part(document: Any, pointer: str) -> Any:
    """The value that a JSON pointer (RFC 6901) leads to; "" is the whole. UnreadableError:
    nothing."""
    value = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise UnreadableError(f"the answer to the probe has no {pointer}")
    return value


def _table(value: Any, pointer: str, probe: Probe) -> Score:
    """Rows of cells: of objects by their names, of lists and single values by the probe's columns.

    A single value, or an object, is one row.
    """
    listed = value if isinstance(value, list) else [value]
    if all(isinstance(row, dict) for row in listed) and listed:
        columns = tuple(listed[0])
        if any(row.keys() != listed[0].keys() for row in listed):  # JSON has no order of members
            raise UnreadableError(f"the rows at {pointer or 'the answer'} have different columns")
        return Score(columns, tuple(tuple(_cell(row[c]) for c in columns) for row in listed))
    rows = [row if isinstance(row, list) else [row] for row in listed]
    width = len(rows[0]) if rows else 0
    columns = probe.all_columns or tuple(str(number) for number in range(1, width + 1))
    if any(len(row) != len(columns) for row in rows):
        raise UnreadableError(
            f"the rows at {pointer or 'the answer'} have {width} cells, and spec.verify names "
            f"{len(columns)} columns"
        )
    return Score(columns, tuple(tuple(map(_cell, row)) for row in rows))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
