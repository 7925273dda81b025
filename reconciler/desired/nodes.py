"""Strict YAML: text to values that know where they were written.

YAML 1.1 guesses: `no` is false, `1:30` is ninety, `1.10` is 1.1. Here a plain scalar that is not
text and not a plain decimal integer becomes a `Guess`, which remembers what was typed; only the
schema knows whether text was wanted there, and then says how to write it.

Values are built from parser events instead of composed nodes: nesting and aliases can be refused
while they are read, before anything large exists.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml
from yaml.resolver import Resolver

from reconciler.desired.tree import forbidden
from reconciler.errors import Problem, printable, redact
from reconciler.model import Source

MAX_DEPTH = 50
MAX_ALIASES = 32
MAX_ALIASED_VALUES = 2_000  # what all aliases of a document may stand for, together
MAX_VALUES = 100_000  # in one file; three times what fits into one that people wrote
_WRITE_OUT = "write the values out"
MAX_MESSAGE = 2_000  # characters; one value may be quoted once per binding

Trail = tuple[str | int, ...]
Spot = tuple[int, int]

# Only parsers are needed; a loader would bring a constructor of its own for every file.
_Parser: Any = getattr(getattr(yaml, "cyaml", None), "CParser", yaml.SafeLoader)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
# A sign or a base stands before what YAML 1.2 and its parsers take for a number and 1.1 does not.
_NUMBER = re.compile(
    r"[-+]?(0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|\.(inf|Inf|INF)|"
    r"(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9][0-9_]*)?)|\.(nan|NaN|NAN)"
)
# Causes of a syntax error that are easily overlooked: conflict marks of git, no-break spaces.
_CAUSE = re.compile(
    r"^(?:<{7} .*|={7}$|>{7} .*| *(?P<blank>[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]))",
    re.MULTILINE,
)
# Booleans of YAML 1.1 that PyYAML reads as text; as keys they are names that people use.
_BOOLEAN = re.compile("[yYnN]")
# Written as an escape it can be seen, but no name, path or setting holds it.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_COMMA = re.compile(r",([0-9]+)\s*[,}]")  # what is left of `1,5` behind the number
_NAMES = {"bool": "a boolean", "timestamp": "a date", "null": "null"}
_BOOLEANS = {"true": True, "false": False}
_RESOLVER: Any = Resolver()


@dataclass(frozen=True, slots=True)
class Guess:
    """A plain scalar that YAML would not read as text: what it is, and how it was written."""

    what: str
    written: str


@dataclass(frozen=True)
class Document:
    """One YAML document: plain values, and where each of them and each key was written.

    `values` and `keys` give line and column (both from 1) by the way from the root. `partial`
    says that something was left out of the data after a complaint: do not call it missing.
    `element` says which of the many it is that a `forEach` made.
    """

    path: str
    data: Any
    values: dict[Trail, Spot] = field(default_factory=dict)
    keys: dict[Trail, Spot] = field(default_factory=dict)
    partial: bool = False
    element: str = ""

    def at(self, *trail: str | int) -> Source:
        """Where a value is; what came by an alias, and what is absent, is where its parent is."""
        while trail and trail not in self.values:
            trail = trail[:-1]
        return Source(self.path, *self.values.get(trail, (1, 1)))

    def at_key(self, *trail: str | int) -> Source:
        """Where the key of a value is; where the value is if it has none."""
        if trail in self.keys:
            return Source(self.path, *self.keys[trail])
        return self.at(*trail)

    def text(self, *trail: str | int) -> str | None:
        """The text at the end of the way; None if there is no such thing."""
        value = self.data
        for step in trail:
            if not isinstance(value, dict) or step not in value:
                return None
            value = value[step]
        return value if isinstance(value, str) else None


def dotted(trail: Trail) -> str:
    """`spec.accept[0].metric`."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail)
    return steps.removeprefix(".")


def problem(source: Source, message: str) -> Problem:
    """A problem at a place; of a message that quotes half a file, the beginning.

    The second half of what is redacted is never shown, or half a secret could be.
    """
    return Problem(source.path, source.line, source.column, _shown(message[: 2 * MAX_MESSAGE]))


@functools.lru_cache(maxsize=256)  # what is wrong a hundred thousand times is said alike
def _shown(message: str) -> str:
    clean = redact(printable(message))
    return clean if len(clean) <= MAX_MESSAGE else f"{clean[: MAX_MESSAGE - 1]}…"


def read(path: str, text: str) -> tuple[list[Document], list[Problem], bool]:
    """The documents of a file, what is wrong with them, and whether all of it was understood."""
    reader = _Reader(path, text)
    try:
        return list(reader.documents()), reader.problems, True
    except _HopelessError as exc:
        return [], [*reader.problems, exc.problem], False


def is_text(written: str) -> bool:
    """Whether a scalar without quotes is read as the text that it is."""
    return _plain(written) == written


class _HopelessError(Exception):
    """The rest of the file cannot be understood."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Reader:
    """Builds the documents of one file from parser events."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self.problems: list[Problem] = []
        self._next: Any = None  # the next event of the parser
        self._size = 0

    def documents(self) -> Iterator[Document]:
        """Every document that is not empty."""
        if character := forbidden(self._text):
            raise _HopelessError(Problem(self._path, *character))
        try:
            self._next = _Parser(self._text).get_event
            while not isinstance(event := self._next(), yaml.StreamEndEvent):
                if isinstance(event, yaml.DocumentStartEvent):
                    document = self._document()
                    if not (isinstance(document.data, Guess) and document.data.what == "null"):
                        yield document
        except yaml.YAMLError as exc:
            raise self._unreadable(exc) from exc

    def _document(self) -> Document:
        """The document that begins at the next event, with the places of all that is in it."""
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._open: set[str] = set()
        self._aliases = self._aliased = self._deepest = 0
        self._partial = False
        self._values: dict[Trail, Spot] = {}
        self._keys: dict[Trail, Spot] = {}
        data = self._value(self._next(), (), 0)
        return Document(self._path, data, self._values, self._keys, self._partial)

    def _value(self, event: Any, trail: Trail, depth: int) -> Any:
        """The value that begins with the event; what has no place in desired state is complained
        of."""
        mark = event.start_mark
        self._values[trail] = (mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(mark, 1, depth)
        if _is_bare(event):
            return self._scalar(event)
        if event.tag is not None:
            self._complain(mark, "a tag (!); write the value without it")
        if event.anchor is not None:
            # The value; its size and height are kept, to know what an alias would stand for.
            outside, size = self._deepest, self._size
            self._deepest = depth
            self._open.add(event.anchor)
            value = self._content(event, trail, depth)
            self._open.discard(event.anchor)
            self._anchors[event.anchor] = (value, self._size - size + 1, self._deepest - depth)
            self._deepest = max(outside, self._deepest)
            return value
        return self._content(event, trail, depth)

    def _content(self, event: Any, trail: Trail, depth: int) -> Any:
        """The scalar, mapping or sequence that begins with the event."""
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(trail, depth + 1)
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*trail, len(items)), depth + 1))
        return items

    def _scalar(self, event: Any) -> str | int | bool | Guess:
        """The value of a scalar, after a complaint about what an escape in it stands for."""
        if event.style == '"' and (match := _CONTROL.search(event.value)):
            what = f"the character U+{ord(match[0]):04X} is not allowed; take its escape out"
            self._complain(event.start_mark, what)
            self._partial = True
            return _CONTROL.sub("\ufffd", event.value)
        return _scalar(event)

    def _grow(self, mark: Any, size: int, depth: int) -> None:
        """Count values and depth; what is too large ends the file while it is still small."""
        self._size += size
        if depth > self._deepest:
            self._deepest = depth
        if depth > MAX_DEPTH:
            raise self._hopeless(mark, f"nested deeper than {MAX_DEPTH} levels; write it flatter")
        if self._size > MAX_VALUES:
            message = f"more than {MAX_VALUES} values in one file; split it"
            raise self._hopeless(mark, message)

    def _mapping(self, trail: Trail, depth: int) -> dict[str, Any]:
        """The members of a mapping; a key that is there twice keeps its first value."""
        members: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            mark = event.start_mark
            key = self._key(event, trail, depth)
            if key is None or key in members:
                if key is None:
                    self._partial = True
                    if _COMMA.match(self._text, mark.index - 1):
                        members.pop(next(reversed(members), ""), None)  # half of a value
                else:
                    here = f'"{key}" is in line {lines[key]} and again in line {mark.line + 1}'
                    self._complain(mark, f"{here}; keep one")
                # Read a value that is not wanted, without leaving its places behind.
                values, keys = self._values, self._keys
                self._values, self._keys = {}, {}
                self._value(self._next(), trail, depth)
                self._values, self._keys = values, keys
                continue
            below = (*trail, key)
            lines[key] = mark.line + 1
            self._keys[below] = (mark.line + 1, mark.column + 1)
            members[key] = self._value(self._next(), below, depth)
        return members

    def _key(self, event: Any, trail: Trail, depth: int) -> str | None:
        """The key, or None after a complaint."""
        mark = event.start_mark
        if _is_bare(event):
            self._grow(mark, 1, depth)
            key = event.value if _BOOLEAN.fullmatch(event.value) else self._scalar(event)
        else:
            key = self._value(event, (*trail, "?"), depth)
            self._values.pop((*trail, "?"), None)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
            self._complain(mark, "a merge key (<<); write the properties out")
        elif isinstance(key, str):
            return key
        elif halved := _COMMA.match(self._text, mark.index - 1):
            rest = halved[1]
            self._complain(
                mark, f'a comma ends a value inside {{ }}; quote it whole, as "1,{rest}"'
            )
        elif isinstance(event, yaml.ScalarEvent):
            what = key.what if isinstance(key, Guess) else "a number"
            why = f'{event.value} is {what}; write "{event.value}"'
            self._complain(mark, f"the key {why}" if event.value else "a key is missing here")
        else:
            self._complain(mark, "a key must be text")
        return None

    def _alias(self, event: Any, depth: int) -> Any:
        """The value that the alias stands for, counted as often as it is used."""
        mark, name = event.start_mark, event.anchor
        if name in self._open:
            raise self._hopeless(mark, f"the alias *{name} contains itself; {_WRITE_OUT}")
        if name not in self._anchors:
            message = f"the alias *{name} has no anchor &{name} before it; {_WRITE_OUT}"
            raise self._hopeless(mark, message)
        value, size, height = self._anchors[name]
        self._aliases, self._aliased = self._aliases + 1, self._aliased + size
        if self._aliases > MAX_ALIASES:
            message = f"more than {MAX_ALIASES} aliases in one document; {_WRITE_OUT}"
            raise self._hopeless(mark, message)
        if self._aliased > MAX_ALIASED_VALUES:
            message = f"the aliases stand for more than {MAX_ALIASED_VALUES} values; {_WRITE_OUT}"
            raise self._hopeless(mark, message)
        self._grow(mark, size, depth + height)
        return value

    def _complain(self, mark: Any, message: str) -> None:
        self.problems.append(problem(self._source(mark), message))

    def _hopeless(self, mark: Any, message: str) -> _HopelessError:
        return _HopelessError(problem(self._source(mark), message))

    def _source(self, mark: Any) -> Source:
        return Source(self._path, mark.line + 1, mark.column + 1)

    def _unreadable(self, exc: yaml.YAMLError) -> _HopelessError:
        """The error of a text that is no YAML, at the place where a person must look."""
        mark = getattr(exc, "problem_mark", None)
        if mark is None:
            return _HopelessError(Problem(self._path, 0, 0, "not YAML"))
        until = re.compile("$", re.MULTILINE).search(self._text, mark.index)
        if cause := _CAUSE.search(self._text, 0, until.start() if until else len(self._text)):
            return _HopelessError(self._caused(cause))
        if mark.line > self._text.rstrip().count("\n"):
            return _HopelessError(problem(self._unended(exc), f"not YAML: {exc.problem}"))  # type: ignore[attr-defined]
        tab = self._tab(mark.line, mark.column)
        if tab is not None:
            return _HopelessError(
                Problem(self._path, mark.line + 1, tab + 1, "a tab; indent with spaces")
            )
        return self._hopeless(mark, f"not YAML: {getattr(exc, 'problem', '') or 'unreadable'}")

    def _caused(self, cause: re.Match[str]) -> Problem:
        """The problem of what made a text that is no YAML, before the place where it shows."""
        line = self._text.count("\n", 0, cause.start()) + 1
        if not (blank := cause["blank"]):
            return Problem(self._path, line, 1, "a conflict of a merge; resolve it")
        column = cause.start("blank") - cause.start() + 1
        what = f"a blank that is no space (U+{ord(blank):04X}); indent with spaces"
        return Problem(self._path, line, column, what)

    def _unended(self, exc: yaml.YAMLError) -> Source:
        """Where what has no end begins, else the last character: nobody finds a place behind it."""
        lines = self._text.rstrip().split("\n")
        begun = getattr(exc, "context_mark", None)
        if begun is not None and begun.line < len(lines):
            return self._source(begun)
        return Source(self._path, len(lines), max(len(lines[-1]), 1))

    def _tab(self, line: int, column: int) -> int | None:
        """The column of the tab that the parser stumbled over, or None."""
        lines = self._text.split("\n")
        text = lines[line] if line < len(lines) else ""
        indent = text[: len(text) - len(text.lstrip())]
        if "\t" in indent:
            return indent.index("\t")
        return column if text[column : column + 1] == "\t" else None


def _is_bare(event: Any) -> bool:
    """Whether it is a scalar without tag and anchor, as nearly every event is."""
    return isinstance(event, yaml.ScalarEvent) and event.tag is None and event.anchor is None


def _scalar(event: Any) -> str | int | bool | Guess:
    """Text, a decimal integer, true or false, or a guess."""
    if not event.implicit[0]:
        return str(event.value)
    return _plain(event.value)


@lru_cache(maxsize=4096)
def _plain(written: str) -> str | int | bool | Guess:
    """The value of a plain scalar. Only `true` and `false` are booleans: `no` is a guess."""
    if written in _BOOLEANS:
        return _BOOLEANS[written]
    resolved = _RESOLVER.resolve(yaml.ScalarNode, written, (True, False))
    tag = resolved.removeprefix("tag:yaml.org,2002:")
    if tag in ("str", "value", "merge"):
        if _BOOLEAN.fullmatch(written):
            return Guess(_NAMES["bool"], written)
        return Guess("a number", written) if _NUMBER.fullmatch(written) else written
    if tag == "int" and _INTEGER.fullmatch(written):
        return int(written)
    if _BASE_60.fullmatch(written):
        return Guess("a number in base 60", written)
    return Guess(_NAMES.get(tag, "a number"), written)
