"""Texts changed inside a YAML file: the bytes of one scalar, and no others.

A YAML library that loads and dumps would lose comments and layout. Here the parser only says
where the scalar begins and ends; then the new text is read again, and must say what the old one
said but for that text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.desired.nodes import is_text, problem, read
from reconciler.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.desired.nodes import Document, Spot
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
    what is at another trail."""

    source: Source
    old: str
    new: str
    trail: tuple[str, ...] = _VERSION


def with_texts(path: str, text: str, edits: Iterable[NewText]) -> str:
    """The text of a file with other versions or settings; the rest is as it was.

    ConfigurationError with every text that cannot be changed here.
    """
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    before = text.removeprefix(mark)
    documents = _documents(path, before)
    known = scalars(before)
    by_place = {document.at("metadata", "name"): n for n, document in enumerate(documents)}
    places = [_place(documents, by_place.get(edit.source), edit, known) for edit in edits]
    if problems := [place for place in places if isinstance(place, Problem)]:
        raise ConfigurationError(problems)
    usable = [place for place in places if isinstance(place, _Place)]
    after = _spliced(before, usable)
    _prove(documents, _documents(path, after), usable)
    return mark + after


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
class _Place:
    """The scalar to write over: whose it is, where in the text, and what to write there."""

    source: Source
    document: int
    scalar: Scalar
    wanted: NewText
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


def _place(
    documents: list[Document], number: int | None, edit: NewText, known: Mapping[Spot, Scalar]
) -> _Place | Problem:
    """Where the text of a document is written, or why it is not to be written over."""
    trail = edit.trail
    value = None if number is None else _at(documents[number].data, trail)
    text = str(value)
    if number is None or value is None or ("${" not in text and text != edit.old):
        return problem(edit.source, "the file was changed meanwhile; run this again")
    source = documents[number].at(*trail)
    scalar = known.get(documents[number].values.get(trail, (0, 0)))
    if "${" in text:
        why = f'"{text}" is filled in by forEach; change its elements instead'
        return _refused(source, trail, why)
    if scalar is None or scalar.shared:
        return _refused(source, trail, _SHARED)
    if scalar.style in ("|", ">"):
        return _refused(source, trail, f'a block of lines; write "{text}" on the line of the key')
    new = edit.new if isinstance(value, str) else yaml.load(edit.new, _Loader)
    if type(new) is not type(value):
        return _refused(source, trail, f'"{edit.new}" is not of the kind of "{text}"')
    return _Place(source, number, scalar, edit, new)


def _at(data: Any, trail: tuple[str, ...]) -> Any:
    """The value at the end of the way; None if there is none."""
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


def _spliced(text: str, places: Iterable[_Place]) -> str:
    for place in sorted(places, key=lambda place: place.scalar.begin, reverse=True):
        scalar, written = place.scalar, _written(place.value, place.scalar.style)
        text = text[: scalar.begin] + written + text[scalar.end :]
    return text


def _prove(before: list[Document], after: list[Document], places: Iterable[_Place]) -> None:
    """Raise unless the documents differ in the texts that were to change, and in no more."""
    expected = [document.data for document in before]
    for place in places:
        data = expected[place.document]
        expected[place.document] = _with(data, place.wanted.trail, place.value)
    got = [document.data for document in after]
    if got == expected:
        return
    wrong = [place for place in places if got[place.document] != expected[place.document]]
    if not wrong:
        raise AssertionError("a text was edited, and another document changed")
    refused = [_refused(place.source, place.wanted.trail, _SHARED) for place in wrong]
    raise ConfigurationError(refused)


def _with(data: Any, trail: tuple[str, ...], value: Any) -> Any:
    step, *rest = trail
    return {**data, step: _with(data[step], tuple(rest), value) if rest else value}
