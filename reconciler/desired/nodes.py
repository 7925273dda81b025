"""Strict YAML: text -> documents whose every value knows its line and column.

Composed once with libyaml where it is there; values and positions come from the same nodes.
Refused: duplicate and non-text keys, merge keys, tags, tabs, many aliases, deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.errors import Problem

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_ALIASES = 32
MOST_DEPTH = 50
Path = tuple[str | int, ...]

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_KNOWN = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "timestamp")}
_NESTED = re.compile(r"[\[{]|- - ")


@dataclass
class Document:
    """One YAML document of a file.

    `places` has the position of every value by its path, `keys` of every key, and `written` the
    text of every scalar as it stands in the file.
    """

    path: str
    value: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)

    def problem(self, at: Path, message: str, *, key: bool = False) -> Problem:
        """A problem at a value, or at the key that introduces it; else at the nearest above."""
        places = self.keys if key else self.places
        while at and at not in places:
            at = at[:-1]
        line, column = places.get(at, self.places.get((), (1, 1)))
        return Problem(self.path, line, column, message)


class Malformed(Exception):
    """A file that cannot be read as strict YAML; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def documents(path: str, content: bytes) -> Iterator[tuple[Document, list[Problem]]]:
    """The documents of a file, each with the problems of its form; Malformed ends the file."""
    text = _text(path, content)
    try:
        _check_depth(path, text)
        for node in yaml.compose_all(text, Loader=LOADER):
            if node is not None:
                yield _Reader(path).read(node)
    except yaml.MarkedYAMLError as exc:
        raise Malformed(_syntax(path, exc, text)) from None
    except yaml.YAMLError as exc:
        raise Malformed(Problem(path, 1, 1, f"not YAML: {_one_line(exc)}")) from None


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        column = exc.start - (content.rfind(b"\n", 0, exc.start) + 1) + 1
        why = f"byte 0x{content[exc.start]:02x} is not UTF-8; save the file as UTF-8"
        raise Malformed(Problem(path, line, column, why)) from None


def _one_line(exc: object) -> str:
    return " ".join(str(exc).split())


def _syntax(path: str, exc: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    at = lines[line - 1] if line <= len(lines) else ""
    if at[: len(at) - len(at.lstrip())].find("\t") >= 0:
        return Problem(path, line, at.find("\t") + 1, "a tab; indent with spaces")
    why = _one_line(exc.problem or exc.context or "it cannot be parsed")
    return Problem(path, line, column, f"not YAML: {why}")


def _check_depth(path: str, text: str) -> None:
    """Malformed for nesting that would exhaust the stack; only suspicious text is looked at."""
    deep_indent = re.search(rf"^ {{{MOST_DEPTH},}}\S", text, re.MULTILINE)
    if not deep_indent and sum(1 for _ in _NESTED.finditer(text)) < MOST_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_DEPTH:
            mark = event.start_mark
            why = f"nested more than {MOST_DEPTH} deep; desired state needs no such depth"
            raise Malformed(Problem(path, mark.line + 1, mark.column + 1, why))


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, path: str) -> None:
        self._document = Document(path)
        self._problems: list[Problem] = []
        self._seen: set[int] = set()
        self._above: set[int] = set()
        self._aliases = 0

    def read(self, node: Node) -> tuple[Document, list[Problem]]:
        self._document.value = self._value(node, ())
        return self._document, self._problems

    def _value(self, node: Node, at: Path) -> Any:
        self._document.places[at] = _place(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, at)
        self._check_alias(node)
        self._above.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, at)
            assert isinstance(node, SequenceNode)
            return [self._value(item, (*at, i)) for i, item in enumerate(node.value)]
        finally:
            self._above.discard(id(node))

    def _check_alias(self, node: Node) -> None:
        """A node that was met before came by an alias."""
        if id(node) in self._above:
            raise Malformed(self._problem(node, "an alias inside of what it names; write it out"))
        if id(node) in self._seen:
            self._aliases += 1
            if self._aliases > MOST_ALIASES:
                why = f"more than {MOST_ALIASES} aliases; write the values out"
                raise Malformed(self._problem(node, why))
        self._seen.add(id(node))

    def _mapping(self, node: MappingNode, at: Path) -> dict[str, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            self._problems.append(self._problem(node, f"the tag {node.tag} is not allowed"))
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value in node.value:
            name = self._key(key)
            if name is None:
                continue
            line = key.start_mark.line + 1
            if name in result:
                why = f'"{name}" is here twice; the first is in line {first[name]}'
                self._problems.append(self._problem(key, why))
                continue
            first[name] = line
            self._document.keys[(*at, name)] = _place(key)
            result[name] = self._value(value, (*at, name))
        return result

    def _key(self, node: Node) -> str | None:
        if node.tag == _MERGE:
            why = "merge keys (<<) are not allowed; write the members out"
        elif not isinstance(node, ScalarNode):
            why = "a key must be text"
        elif node.tag != _TEXT:
            why = f'the key {node.value} is not text; write "{node.value}"'
        else:
            return str(node.value)
        self._problems.append(self._problem(node, why))
        return None

    def _scalar(self, node: ScalarNode, at: Path) -> Any:
        self._document.written[at] = node.value
        if node.tag == _TEXT:
            return node.value
        if node.tag not in _KNOWN:
            self._problems.append(self._problem(node, f"the tag {node.tag} is not allowed"))
            return node.value
        return _guessed(node)

    def _problem(self, node: Node, message: str) -> Problem:
        return Problem(self._document.path, *_place(node), message)


@dataclass(frozen=True)
class Guess:
    """A scalar that YAML 1.1 takes for something else than text: `what` it takes it for."""

    text: str
    what: str


def _guessed(node: ScalarNode) -> Any:
    """Whole numbers in plain decimal and true/false are meant; everything else is a guess."""
    kind = node.tag.rsplit(":", 1)[1]
    if kind == "int" and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", node.value):
        return int(node.value)
    if kind == "bool" and node.value in ("true", "false"):
        return node.value == "true"
    if kind == "null":
        return None
    words = {"int": "a number", "float": "a number", "bool": "a boolean", "timestamp": "a date"}
    return Guess(node.value, words[kind])


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
