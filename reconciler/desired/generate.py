"""`forEach`: one document that stands for many, told apart by `${name}`.

A generator is a list of texts, a range, or the rows of a CSV or YAML file; several make their
cross product. What a document becomes is a Document again: it keeps the places of its template,
and `element` says which of the many it is.

At the whiteboard: the template is parsed once, and its texts are filled in. To fill in the file
itself and parse it again for each element looks simpler. But then a value of a table with a colon
or a bracket in it becomes structure, every element costs a parse, and an error is placed in a text
that nobody wrote. Here a value stays inside the text that names it. Only where the schema wants a
number or a boolean is the filled text read as one, and the schema refuses whatever is neither.

A few lines of YAML can stand for a product of millions. So lengths are multiplied before anything
is made: `_size` knows what all documents will hold from one walk through the template, and the
budget of the whole tree is asked for that much first.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.desired.build import PLACEHOLDER
from reconciler.desired.files import Row, csv_rows, yaml_rows
from reconciler.desired.nodes import Document, Guess, Trail, problem
from reconciler.desired.schema import Schema
from reconciler.desired.tree import Budget, CannotReadError, beside, read_text
from reconciler.errors import Problem
from reconciler.model import MOST_BINDINGS, Source
from reconciler.near import near

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[0-9]{1,9}")
_SHAPES = (
    'write a list of texts, {from: "001", to: "100"}, or {file: NAME.csv} or {file: _NAME.yaml}'
)


class _WrongError(Exception):
    """A generator that cannot be used: where in the document, and why."""

    def __init__(self, trail: Trail, message: str, *, is_key: bool = False) -> None:
        super().__init__(message)
        self.trail = trail
        self.message = message
        self.is_key = is_key


class Generators:
    """The generators of one tree. Each file is read once, however many documents name it; `texts`
    are those of files that are taken to hold something else."""

    def __init__(
        self, root: Path, budget: Budget, rules: Schema, texts: Mapping[PurePosixPath, str]
    ) -> None:
        self._root = root
        self._budget = budget
        self._rules = rules
        self._inside = Path(os.path.realpath(root))
        self._texts = dict(texts)

    def expand(
        self, document: Document, folder: PurePosixPath, most: int
    ) -> tuple[list[Document], list[Problem]]:
        """The documents that it stands for, itself where it has no `forEach`; and the problems.

        `most` is how many it may stand for.
        """
        if not isinstance(document.data, dict) or document.text("kind") not in self._rules.kinds:
            return [document], _misplaced(document, self._rules.kinds)
        try:
            elements = self._elements(document, folder, most)
        except _WrongError as exc:
            place = document.at_key(*exc.trail) if exc.is_key else document.at(*exc.trail)
            return [], [problem(place, _said(exc))]
        if elements is None:
            return [document], _unknown(document, {})
        if not elements:
            return [], []
        if problems := _unknown(document, elements[0]) + _unused(document, elements[0]):
            return [], problems
        kinds = self._rules.not_text[document.data["kind"]]  # where the schema wants no text
        typed = {at: kind for at, kind in kinds.items() if "${" in (document.text(*at) or "")}
        return [_filled(document, element, typed) for element in elements], []

    def _elements(self, document: Document, folder: PurePosixPath, most: int) -> list[Row] | None:
        """The values of the placeholders, element by element; None without `forEach`."""
        if "forEach" not in document.data:
            return None
        generators = document.data["forEach"]
        if not isinstance(generators, dict) or not generators:
            raise _WrongError(("forEach",), "a name with a generator is needed: {location: […]}")
        sources = []
        for name in generators:
            sources.append(rows := self._rows(document, folder, name, most))
            self._budget.take(document.at("forEach"), sum(map(len, rows)))
        _refuse_too_many(math.prod(map(len, sources)), most)
        self._budget.take(document.at("forEach"), *_size(document, sources))
        return [
            {name: value for row in rows for name, value in row.items()}
            for rows in itertools.product(*sources)
        ]

    def _rows(self, document: Document, folder: PurePosixPath, name: str, most: int) -> list[Row]:
        """The rows of one generator, one for each element; _WrongError where it cannot be used."""
        trail: Trail = ("forEach", name)
        if not _NAME.fullmatch(name):
            message = f'"{name}" is no name; use letters, digits and underscores'
            raise _WrongError(trail, message, is_key=True)
        generator = document.data["forEach"][name]
        if isinstance(generator, list):
            rows = [{name: _text(item, (*trail, i))} for i, item in enumerate(generator)]
        elif isinstance(generator, dict) and "file" in generator:
            rows = self._of_file(generator, trail, folder)
        elif isinstance(generator, dict) and "from" in generator:
            rows = [{name: value} for value in _range(generator, trail, most)]
        else:
            raise _WrongError(trail, f"this is no generator; {_SHAPES}")
        if not rows and not (isinstance(generator, dict) and generator.get("allowEmpty") is True):
            raise _WrongError(trail, "there are no elements; add some, or say allowEmpty: true")
        name = str(trail[-1])
        counted = Counter(row[name] for row in rows)
        if twice := next((value for value, count in counted.items() if count > 1), None):
            raise _WrongError(trail, f'"{twice}" comes {counted[twice]} times; elements are unique')
        return rows

    def _of_file(self, generator: dict[str, Any], trail: Trail, folder: PurePosixPath) -> list[Row]:
        """The rows of a generator that names a file, by the column that tells elements apart."""
        _refuse_keys(generator, ("file", "column", "allowEmpty"), trail)
        name, column = str(trail[-1]), generator.get("column", trail[-1])
        below = _text(generator["file"], (*trail, "file"))
        try:
            path = beside(folder, below)
        except CannotReadError as exc:
            raise _WrongError((*trail, "file"), f'"{below}" {exc.message}') from exc
        try:
            table = self._table(path, name)
        except CannotReadError as exc:
            raise _WrongError((*trail, "file"), f"{below}: {exc.placed}") from exc
        return [_named(row, name, _text(column, (*trail, "column")), trail, below) for row in table]

    def _table(self, below: PurePosixPath, name: str) -> list[Row]:
        """The rows of a CSV or YAML file, read once for all documents that name it."""
        if below not in self._texts:
            self._texts[below] = read_text(self._root / below, self._inside)
        text = self._texts[below]
        if is_table(below):
            return list(csv_rows(text))
        if below.suffix.lower() in (".yaml", ".yml"):
            return list(yaml_rows(str(below), text, name))
        raise CannotReadError("is neither .csv nor .yaml")


def is_table(path: PurePosixPath) -> bool:
    """Whether a file is a CSV table, by its name."""
    return path.suffix.lower() == ".csv"


def most_bindings(documents: Mapping[PurePosixPath, Any], folder: PurePosixPath) -> int:
    """`limits.bindings` of the nearest environment; `documents` are their data by folder."""
    for above in (folder, *folder.parents):
        if above in documents:
            spec = documents[above].get("spec")
            limits = spec.get("limits") if isinstance(spec, dict) else None
            most = limits.get("bindings") if isinstance(limits, dict) else None
            return most if type(most) is int and most > 0 else MOST_BINDINGS
    return MOST_BINDINGS


def summed(problems: list[Problem]) -> list[Problem]:
    """The problems; at a place where several elements of a template have some, those of the first.

    A thousand sentences about one line help nobody.
    """
    elements: defaultdict[Source, dict[str, None]] = defaultdict(dict)  # in their order
    placed = [(p, Source(p.path, p.line, p.column)) for p in problems]
    for p, place in placed:
        elements[place][p.element] = None
    told = []
    for p, place in placed:
        if not p.element:
            told.append(p)
        elif p.element == next(iter(elements[place])):
            more = len(elements[place]) - 1
            also = f", and {more:,} more" if more else ""
            told.append(replace(p, message=f"{p.message} [{p.element}{also}]", element=""))
    return told


def _misplaced(document: Document, kinds: Collection[str]) -> list[Problem]:
    if not isinstance(document.data, dict) or "forEach" not in document.data:
        return []
    message = f"forEach is for {' and '.join(kinds)}; take it out here"
    return [problem(document.at_key("forEach"), message)]


def _size(document: Document, sources: list[list[Row]]) -> tuple[int, int]:
    """How many values and characters all documents have that the rows make of a template."""
    count = math.prod(map(len, sources))
    lengths: Counter[str] = Counter()  # of what a placeholder stands for, in all documents
    for rows in sources:
        for row in rows:
            for name, value in row.items():
                lengths[name] += len(value) * (count // len(rows))
    values, characters = sum(len(rows[0]) for rows in sources if rows), 0
    filled = sum(lengths[name] for name in lengths if "." not in name)  # the label
    level = [value for key, value in document.data.items() if key != "forEach"]
    while level:
        below: list[Any] = []
        for value in level:
            values += 1
            if isinstance(value, str):
                characters += len(value) if "${" in value else 0
                filled += sum(lengths[m[1]] for m in PLACEHOLDER.finditer(value) if m[1])
            elif isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        level = below
    return count * values, count * characters + filled


# --- placeholders ---------------------------------------------------------------------------


def _filled(document: Document, element: Row, typed: Mapping[Trail, str]) -> Document:
    """The document of one element: the template with its placeholders filled in."""
    data = {key: value for key, value in document.data.items() if key != "forEach"}
    label = ", ".join(f"{name}={value}" for name, value in element.items() if "." not in name)
    filled = _fill(data, element)
    for trail, kind in typed.items():
        *way, last = trail
        parent = reduce(getitem, way, filled)
        parent[last] = _read_as(kind, parent[last])
    return replace(document, data=filled, element=label)


def _read_as(kind: str, text: str) -> str | int | bool:
    """The number or boolean that the text says, or itself, which the schema then refuses."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return int(text) if _NUMBER.fullmatch(text) else text


def _fill(value: Any, element: Row) -> Any:
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda m: element[m[1]], value) if "${" in value else value
    if isinstance(value, dict):
        return {key: _fill(below, element) for key, below in value.items()}
    if isinstance(value, list):
        return [_fill(below, element) for below in value]
    return value


def _unknown(document: Document, known: Row) -> list[Problem]:
    """One problem per placeholder that no generator fills."""
    if not known and not _any_placeholder(document.data):
        return []
    return [
        problem(document.at(*trail), _why_unknown(match, known))
        for trail, text in _texts_with_placeholders(document.data, ())
        for match in PLACEHOLDER.finditer(text)
        if match[1] is None or match[1] not in known
    ]


def _any_placeholder(value: Any) -> bool:
    """Whether there is one at all, which costs less than to know where."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, dict):
        return any(map(_any_placeholder, value.values()))
    return isinstance(value, list) and any(map(_any_placeholder, value))


def _why_unknown(match: re.Match[str], known: Row) -> str:
    if match[1] is None:
        return "${ has no } behind it; write ${name}"
    hint = near(match[1], known) or "; declare it under forEach"
    return f"unknown placeholder {match[0]}{hint}"


def _unused(document: Document, known: Row) -> list[Problem]:
    """One problem per generator that no placeholder uses: its elements would be all the same."""
    used = {
        match[1].partition(".")[0]
        for _, text in _texts_with_placeholders(document.data, ())
        for match in PLACEHOLDER.finditer(text)
        if match[1]
    }
    return [
        problem(document.at_key("forEach", name), f"forEach.{name}: nothing uses ${{{name}}}")
        for name in known
        if "." not in name and name not in used
    ]


def _texts_with_placeholders(value: Any, trail: Trail) -> Iterator[tuple[Trail, str]]:
    """Each text below a value that has a `${`, with the way to it."""
    if isinstance(value, str) and "${" in value:
        yield trail, value
    elif isinstance(value, dict):
        for key, below in value.items():
            if trail or key != "forEach":
                yield from _texts_with_placeholders(below, (*trail, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _texts_with_placeholders(below, (*trail, index))


# --- generators -------------------------------------------------------------------------------


def _refuse_too_many(count: int, most: int) -> None:
    if count > most:
        message = (
            f"{count:,} elements, and limits.bindings of the environment is {most:,}; "
            "make fewer, or raise the limit"
        )
        raise _WrongError(("forEach",), message)


def _range(generator: dict[str, Any], trail: Trail, most: int) -> Iterator[str]:
    """Both ends included; as wide as its beginning is written. Too long a one is never made."""
    _refuse_keys(generator, ("from", "to", "allowEmpty"), trail)
    if "to" not in generator:
        raise _WrongError(trail, '"to" is missing')
    first, last = (_text(generator[key], (*trail, key)) for key in ("from", "to"))
    for key, text in (("from", first), ("to", last)):
        if not _NUMBER.fullmatch(text):
            why = f'"{text}" is not a whole number; write digits, as "001"'
            raise _WrongError((*trail, key), why)
    numbers = range(int(first), int(last) + 1)
    _refuse_too_many(len(numbers), most)
    return (str(number).zfill(len(first)) for number in numbers)


def _named(row: Row, name: str, column: str, trail: Trail, below: str) -> Row:
    """The row as placeholders: `${name}` is its column, `${name.other}` another one."""
    if column not in row:
        hint = near(column, row)
        message = f'{below} has no column "{column}"{hint}; name it by column: NAME'
        raise _WrongError((*trail, "file"), message)
    return {name: row[column], **{f"{name}.{key}": value for key, value in row.items()}}


def _refuse_keys(generator: dict[str, Any], known: tuple[str, ...], trail: Trail) -> None:
    for key in generator:
        if key not in known:
            message = f'unknown key "{key}"{near(key, known)}'
            raise _WrongError((*trail, key), message, is_key=True)


def _text(value: Any, trail: Trail) -> str:
    if isinstance(value, str):
        return value
    written = value.written if isinstance(value, Guess) else value
    if isinstance(value, (dict, list)):
        raise _WrongError(trail, "write a text")
    raise _WrongError(trail, f'{written} is no text; write "{written}"')


def _said(exc: _WrongError) -> str:
    parts = [part if isinstance(part, str) else f"[{part}]" for part in exc.trail]
    return f"{'.'.join(parts).replace('.[', '[')}: {exc.message}"
