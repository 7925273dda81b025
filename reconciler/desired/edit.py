"""Versions changed inside the text of a YAML file: the bytes of one scalar, and no others.

A YAML library that loads and dumps would lose comments and layout. Here the parser only says
where the scalar begins and ends; then the new text is read again, and must say what the old one
said but for the version.
"""

from __future__ import annotations

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
class NewVersion:
    """The document whose name is at `source` gets the version `new` instead of `old`."""

    source: Source
    old: str
    new: str


def with_versions(path: str, text: str, wanted: Iterable[NewVersion]) -> str:
    """The text of a file with other versions, one per document; the rest is as it was.

    ConfigurationError with every version that cannot be changed here.
    """
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    before = text.removeprefix(mark)
    documents = _documents(path, before)
    known = scalars(before)
    by_place = {each.at("metadata", "name"): n for n, each in enumerate(documents)}
    places = [_place(documents, by_place.get(each.source), each, known) for each in wanted]
    if problems := [place for place in places if isinstance(place, Problem)]:
        raise ConfigurationError(problems)
    found = [place for place in places if isinstance(place, _Place)]
    after = _spliced(before, found)
    _prove(documents, _documents(path, after), found)
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
    new: str


def _documents(path: str, text: str) -> list[Document]:
    documents, problems, _ = read(path, text)
    if problems:
        raise ConfigurationError(problems)
    return documents


def scalars(text: str) -> dict[Spot, Scalar]:
    """Where the scalars and aliases are in a text that `read` understands, by line and column."""
    found = {}
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)):
            begin: Any = event.start_mark
            end: Any = event.end_mark
            shared = event.anchor is not None  # an alias has the anchor that it names
            style = getattr(event, "style", None) or ""  # libyaml says "" where PyYAML says None
            found[begin.line + 1, begin.column + 1] = Scalar(begin.index, end.index, style, shared)
    return found


def _place(
    documents: list[Document],
    number: int | None,
    wanted: NewVersion,
    known: Mapping[Spot, Scalar],
) -> _Place | Problem:
    """Where the version of a document is written, or why it is not to be written over."""
    said = None if number is None else documents[number].text(*_VERSION)
    if number is None or said is None or ("${" not in said and said != wanted.old):
        return problem(wanted.source, "the file was changed meanwhile; run this again")
    source = documents[number].at(*_VERSION)
    scalar = known.get(documents[number].values.get(_VERSION, (0, 0)))
    if "${" in said:
        return _refused(source, f'"{said}" is filled in by forEach; change its elements instead')
    if scalar is None or scalar.shared:
        return _refused(source, _SHARED)
    if scalar.style in ("|", ">"):
        return _refused(source, f'a block of lines; write "{said}" on the line of the key')
    return _Place(source, number, scalar, wanted.new)


def _refused(source: Source, why: str) -> Problem:
    return problem(source, f"{'.'.join(_VERSION)}: {why}")


def _written(version: str, style: str) -> str:
    """The version as YAML: quoted as before, and quoted if it could be taken for no text."""
    if style == "'":
        return f"'{version}'"
    if not style and _PLAIN.fullmatch(version) and is_text(version):
        return version
    return f'"{version}"'


def _spliced(text: str, places: Iterable[_Place]) -> str:
    for place in sorted(places, key=lambda each: each.scalar.begin, reverse=True):
        scalar, written = place.scalar, _written(place.new, place.scalar.style)
        text = text[: scalar.begin] + written + text[scalar.end :]
    return text


def _prove(before: list[Document], after: list[Document], places: Iterable[_Place]) -> None:
    """Raise unless the documents differ in the versions that were to change, and in no more."""
    expected = [document.data for document in before]
    for place in places:
        expected[place.document] = _with_version(expected[place.document], place.new)
    got = [document.data for document in after]
    if got == expected:
        return
    wrong = [place for place in places if got[place.document] != expected[place.document]]
    if not wrong:
        raise AssertionError("a version was edited, and another document changed")
    raise ConfigurationError([_refused(place.source, _SHARED) for place in wrong])


def _with_version(data: Any, version: str) -> Any:
    spec = data["spec"]
    return {**data, "spec": {**spec, "model": {**spec["model"], "version": version}}}
