"""What a server of your own answers to a probe: any JSON, of which the binding names the part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.errors import UnreadableError
from reconciler.model import Score
from reconciler.platforms.contract import Answer

if TYPE_CHECKING:
    from reconciler.model import Probe


def score_of(document: Any, rows: str, names: str, probe: Probe) -> Answer:
    """The rows at one JSON pointer of the answer, and the version at another, "" for none."""
    model = part(document, names) if names else ""
    return Answer(_table(part(document, rows), rows, probe), str(model))


def part(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to; "" is the whole. UnreadableError: nothing."""
    found = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise UnreadableError(f"the answer to the probe has no {pointer}")
    return found


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
