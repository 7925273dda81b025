"""Documents as YAML text that this very loader reads; and many alike as one with `forEach`.

Texts are quoted wherever some reader of YAML could take them for something else. What differs
between the members of a fleet becomes a column of a CSV file: texts, and numbers and booleans,
which the loader reads back out of texts by the schema.

Many drafts become one when they have the same members, and values of the same types in them; only a
value with a line break must be equal, because a table has no lines. What differs becomes a column,
named after the last part of the way to the value, and after all of it where two would be called
alike. Below a handful a fleet is no easier to read than its members, so they stay apart; and a
fleet that is larger than what one table may hold is written as several.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.desired import leaks
from reconciler.desired.nodes import read
from reconciler.desired.schema import Schema
from reconciler.desired.tree import MAX_BYTES, forbidden
from reconciler.errors import printable

FEWEST = 5  # documents that are alike before they are folded
_EACH = "each"  # what a member of a fleet is called in its template
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
_API = "reconciler/v1"
_MODEL, _VERSION = ("model", "name"), ("model", "version")
MOST_LENGTH = MAX_BYTES // 2  # of a file that is written: half of what may be read

Trail = tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A document to be written: of what kind, its name, its spec, and what people must decide.

    `columns` are of a fleet: by trail of the spec, the column that has the value; `rows` are its
    members with their names.
    """

    kind: str
    name: str
    spec: Mapping[str, Any]
    comments: tuple[str, ...] = ()
    columns: Mapping[Trail, str] = field(default_factory=dict)
    rows: tuple[tuple[str, ...], ...] = ()

    def text(self, table: str = "") -> str:
        """The YAML; of a fleet, `table` is the name of the CSV file beside it."""
        name = f"${{{_EACH}}}" if self.rows else self.name
        lines = [f"# {printable(line)}" for line in self.comments]
        lines += [f"apiVersion: {_API}", f"kind: {self.kind}", f"metadata: {{name: {_text(name)}}}"]
        if self.rows:
            lines += ["forEach:", f"  {_EACH}: {{file: {_text(table)}, column: name}}"]
        return "\n".join([*lines, "spec:", *_block(self.spec, "  ")]) + "\n"

    @property
    def table(self) -> str:
        """The CSV file of a fleet."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["name", *self.columns.values()])
        writer.writerows(self.rows)
        return out.getvalue()


def wrong(draft: Draft, rules: Schema) -> str:
    """Why a draft can be no document, such as a secret in it; "" where it can be one."""
    text = draft.text()
    if hidden := forbidden(text):
        return hidden[2]
    documents, problems, _ = read("", text)
    problems = [*problems, *leaks.check_comments("", text, understood=True)]
    for document in documents:
        problems = [*problems, *leaks.check(document, rules), *rules.check(document)]
    return problems[0].message if problems else ""


def folded(drafts: Iterable[Draft]) -> list[Draft]:
    """The drafts, those that differ by values alone as one fleet each, or several large ones."""
    alike: dict[str, list[Draft]] = {}
    for draft in drafts:
        shape = sorted(  # values may differ between members of a fleet, but a table has no lines
            (trail, type(value).__name__ if str(value).isprintable() else json.dumps(value))
            for trail, value in _leaves(draft.spec)
        )
        key = json.dumps([draft.kind, draft.comments, shape])
        alike.setdefault(key, []).append(draft)
    merged: list[Draft] = []
    for group in alike.values():
        merged += map(_fleet, _batches(group)) if len(group) >= FEWEST else group
    return merged


def _batches(members: list[Draft]) -> Iterator[list[Draft]]:
    """The members, so many at a time as one table has room for."""
    batch, room, first = list[Draft](), MOST_LENGTH, dict(_leaves(members[0].spec))
    for member in members:
        cells = (str(value) for trail, value in _leaves(member.spec) if value != first[trail])
        length = len(member.name) + sum(len(cell) + 3 for cell in cells)
        if length > room and batch:
            yield batch
            batch, room = [], MOST_LENGTH
        batch.append(member)
        room -= length
    yield batch


def _fleet(members: list[Draft]) -> Draft:
    """One draft for many: what differs between them becomes columns, named by their trail's end."""
    of_each = [dict(_leaves(member.spec)) for member in members]
    several = {t for t in of_each[0] if len({json.dumps(values[t]) for values in of_each}) > 1}
    if _MODEL in several:  # versions of several models have only by chance one name
        several.add(_VERSION)
    differing = [trail for trail in of_each[0] if trail in several]
    columns: dict[Trail, str] = {}
    for trail in differing:
        last, *more = reversed([re.sub(r"[^A-Za-z0-9_]", "_", part) for part in trail])
        taken = {"name", *columns.values()}
        columns[trail] = last if last not in taken else "_".join([*reversed(more), last])
    rows = tuple(
        (member.name, *(v if isinstance(v := values[t], str) else json.dumps(v) for t in columns))
        for member, values in zip(members, of_each, strict=True)
    )
    first = members[0]
    spec = _with(first.spec, {trail: f"${{{_EACH}.{name}}}" for trail, name in columns.items()})
    return Draft(first.kind, first.name, spec, first.comments, columns, rows)


def _leaves(value: Mapping[str, Any], trail: Trail = ()) -> Iterator[tuple[Trail, Any]]:
    for name, below in value.items():
        if isinstance(below, Mapping):
            yield from _leaves(below, (*trail, name))
        else:
            yield (*trail, name), below


def _with(value: Mapping[str, Any], other: Mapping[Trail, str], trail: Trail = ()) -> Any:
    return {
        name: _with(below, other, (*trail, name))
        if isinstance(below, Mapping)
        else other.get((*trail, name), below)
        for name, below in value.items()
    }


def _block(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, below in value.items():
        if isinstance(below, Mapping) and below:
            yield f"{indent}{_text(name)}:"
            yield from _block(below, f"{indent}  ")
        else:
            written = _text(below) if isinstance(below, str) else json.dumps(below)
            yield f"{indent}{_text(name)}: {written}"


def _text(text: str) -> str:
    """The text as every reader of YAML takes it for text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)
