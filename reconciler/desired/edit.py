"""Texts changed inside a YAML file: the bytes of one scalar, and no others.

A YAML library that loads and dumps would lose comments and layout. Here the parser only says
where the scalar begins and ends; then the new text is read again, and must say what the old one
said but for that text.

Three ways to write a version into a file, and why this is the third. Loading and dumping loses
every comment, and turns the review of one line into that of a whole file. Searching for the old
text finds the wrong one: `"3"` is a version here and a number of rows there. A parser that keeps
places knows exactly which characters are the scalar that the planner read, so only these are
replaced, from the end of the file to its beginning, for then the places of the others stay right.

The proof comes last and trusts nothing of the above. The new text is read as any file is, and must
equal the old values with the new ones put in. An anchor on a mapping around the value fails just
there: it shares the value between two places, and both would change. It is then refused, with the
advice to write both out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from reconciler.desired.build import PLACEHOLDER
from reconciler.desired.nodes import Document, Spot, is_text, problem, read
from reconciler.errors import ConfigurationError, Problem
from reconciler.model import Source

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VERSION = ("spec", "model", "version")
_BYTE_ORDER_MARK = "\ufeff"
# Without quotes only what no reader of YAML 1.1 or 1.2 takes for a number or a date.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_SHARED = "an anchor or an alias makes this one value with another; write both out"


@dataclass(frozen=True)
class NewText:
    """The document whose name is at `source` gets the text `new` instead of `old`: its version, or
    a setting by its dotted name. A setting may be spelled otherwise than `old`: `1m` for `60s`."""

    source: Source
    old: str
    new: str
    setting: str = ""


def with_texts(path: str, text: str, edits: Iterable[NewText]) -> str:
    """The text of a file with other versions or settings; the rest is as it was.

    ConfigurationError with every text that cannot be changed here.
    """
    page = Page(path, text)
    places = [page.place(edit) for edit in edits]
    if problems := [place for place in places if isinstance(place, Problem)]:
        raise ConfigurationError(problems)
    return page.edited(place for place in places if isinstance(place, Place))


class Page:
    """The documents of a YAML file, and where their texts can be written over."""

    def __init__(self, path: str, text: str) -> None:
        self._mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
        self._path, self._text = path, text.removeprefix(self._mark)
        self._documents = _documents(path, self._text)
        self._known = scalars(self._text)
        self._numbers = {d.at("metadata", "name"): n for n, d in enumerate(self._documents)}

    def place(self, edit: NewText) -> Place | Problem:
        """Where the text of a document is written, or why it is not to be written over."""
        number = self._numbers.get(edit.source)
        data = self._documents[number].data if number is not None else {}
        trail = _trail(data.get("spec"), edit.setting)
        value = _at(data, trail)
        if edit.setting and number is not None and value is None:
            return problem(edit.source, f"{edit.setting} is not written here; add it below spec")
        text = str(value)
        spelled = edit.setting or "${" in text or text == edit.old
        if number is None or value is None or not spelled:
            return problem(edit.source, "the file was changed meanwhile; run this again")
        document = self._documents[number]
        source = document.at(*trail)
        scalar = self._known.get(document.values.get(trail, (0, 0)))
        if "${" in text:
            why = f'"{text}" is filled in by forEach; change its elements instead'
            return _refused(source, trail, why)
        if scalar is None or scalar.shared:
            return _refused(source, trail, _SHARED)
        if scalar.style in ("|", ">"):
            why = f'a block of lines; write "{text}" on the line of the key'
            return _refused(source, trail, why)
        new = edit.new if isinstance(value, str) else yaml.load(edit.new, _Loader)
        if type(new) is not type(value):
            return _refused(source, trail, f'"{edit.new}" is not of the kind of "{text}"')
        return Place(source, number, scalar, edit, trail, text, new)

    def column(self, edit: NewText, element: str) -> Column | None:
        """The cell that the text is for one element of forEach; None where it is no whole cell."""
        data = self._data(edit.source)
        whole = PLACEHOLDER.fullmatch(str(_at(data, _trail(data.get("spec"), edit.setting))))
        column = (whole[1] or "").partition(".")[2] if whole else ""
        row = self.row(edit.source, element)
        return row._replace(name=column) if row and column else None

    def row(self, source: Source, element: str) -> Column | None:
        """The cell that names the row of an element of forEach; None where it has no row of its
        own."""
        generators = self._data(source).get("forEach", {})
        if len(generators) != 1:
            return None
        ((name, generator),) = generators.items()
        if not (isinstance(generator, dict) and "file" in generator):
            return None
        path = PurePosixPath(self._path).parent / str(generator["file"])
        key = str(generator.get("column", name))
        return Column(path.as_posix(), key, element.removeprefix(f"{name}="), key)

    def _data(self, source: Source) -> Mapping[str, Any]:
        """The content of a document; {} where there is none any more."""
        number = self._numbers.get(source)
        return self._documents[number].data if number is not None else {}

    def edited(self, places: Iterable[Place]) -> str:
        """The text with what is wanted at places of it."""
        usable = list(places)
        after = _spliced(self._text, usable)
        _prove(self._documents, _documents(self._path, after), usable)
        return self._mark + after


class Column(NamedTuple):
    """A cell of a table: in the row whose column `key` has `row`."""

    path: str
    key: str
    row: str
    name: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """The characters `begin` to `end` of a text; `style` is its quote, or "|" or ">", or "".

    `shared` says that it has an anchor, or is an alias.
    """

    begin: int
    end: int
    style: str
    shared: bool


@dataclass(frozen=True)
class Place:
    """The scalar to write over: whose it is, where in the text, what it says now, and what to write
    there."""

    source: Source
    document: int
    scalar: Scalar
    wanted: NewText
    trail: tuple[str, ...]
    text: str
    value: Any


def _documents(path: str, text: str) -> list[Document]:
    documents, problems, _ = read(path, text)
    if problems:
        raise ConfigurationError(problems)
    return documents


def scalars(text: str) -> dict[Spot, Scalar]:
    """Where the scalars and aliases are in a text that `read` understands, by line and column."""
    by_place = {}
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)):
            begin: Any = event.start_mark
            end: Any = event.end_mark
            shared = event.anchor is not None  # an alias has the anchor that it names
            style = getattr(event, "style", None) or ""  # libyaml says "" where PyYAML says None
            spot = begin.line + 1, begin.column + 1
            by_place[spot] = Scalar(begin.index, end.index, style, shared)
    return by_place


def _trail(spec: Any, setting: str) -> tuple[str, ...]:
    """The way to a setting, which stands below `settings` or in the spec itself; () where it is not
    written. To the version where none is named."""
    if not setting:
        return _VERSION
    settings = spec.get("settings") if isinstance(spec, dict) else None
    for above, below in ((("spec", "settings"), settings), (("spec",), spec)):
        if trail := _way(below, setting):
            return (*above, *trail)
    return ()


def _way(data: Any, name: str) -> tuple[str, ...]:
    """The keys that make a dotted name; a key may have dots itself."""
    for key, below in data.items() if isinstance(data, dict) else ():
        if key == name and not isinstance(below, dict):
            return (key,)
        if name.startswith(f"{key}.") and (way := _way(below, name[len(key) + 1 :])):
            return (key, *way)
    return ()


def _at(data: Any, trail: tuple[str, ...]) -> Any:
    """The value at the end of the way; None if there is none."""
    data = data if trail else None
    for step in trail:
        data = data.get(step) if isinstance(data, dict) else None
    return data


def _refused(source: Source, trail: tuple[str, ...], why: str) -> Problem:
    return problem(source, f"{'.'.join(trail)}: {why}")


def _written(value: Any, style: str) -> str:
    """The value as YAML; a text as it was quoted, and quoted if it could be taken for no text."""
    if not isinstance(value, str):
        return json.dumps(value)
    text = value
    if style == "'":
        return "'" + text.replace("'", "''") + "'"
    if not style and _PLAIN.fullmatch(text) and is_text(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _spliced(text: str, places: Iterable[Place]) -> str:
    for place in sorted(places, key=lambda place: place.scalar.begin, reverse=True):
        scalar, written = place.scalar, _written(place.value, place.scalar.style)
        text = text[: scalar.begin] + written + text[scalar.end :]
    return text


def _prove(before: list[Document], after: list[Document], places: Iterable[Place]) -> None:
    """Raise unless the documents differ in the texts that were to change, and in no more."""
    expected = [document.data for document in before]
    for place in places:
        data = expected[place.document]
        expected[place.document] = _with(data, place.trail, place.value)
    got = [document.data for document in after]
    if got == expected:
        return
    wrong = [place for place in places if got[place.document] != expected[place.document]]
    if not wrong:
        raise AssertionError("a text was edited, and another document changed")
    refused = [_refused(place.source, place.trail, _SHARED) for place in wrong]
    raise ConfigurationError(refused)


def _with(data: Any, trail: tuple[str, ...], value: Any) -> Any:
    step, *rest = trail
    return {**data, step: _with(data[step], tuple(rest), value) if rest else value}
