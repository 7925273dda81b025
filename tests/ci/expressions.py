"""`${{ }}` as GitHub evaluates it, as far as our workflows use it; anything else is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Functions = Mapping[str, Callable[..., Any]]
STATUS = ("success", "failure", "always", "cancelled")
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<mark>&&|\|\||==|!=|[!().,]))"
)


def filled(text: str, contexts: Mapping[str, Any], functions: Functions) -> str:
    """The text with every `${{ }}` in it evaluated."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda m: written(evaluated(m[1], contexts, functions)), text)


def holds(condition: str, contexts: Mapping[str, Any], functions: Functions) -> bool:
    """Whether an `if` holds: `success() &&` stands before one that asks for no status."""
    inner = re.fullmatch(r"\s*\$\{\{(.*)\}\}\s*", condition, re.DOTALL)
    said = inner[1] if inner else condition
    if not any(f"{name}(" in said for name in STATUS):
        said = f"success() && ({said})"
    return bool(evaluated(said, contexts, functions))


def evaluated(said: str, contexts: Mapping[str, Any], functions: Functions) -> Any:
    """The value of one expression."""
    parser = _Parser(said, contexts, functions)
    value = parser.either()
    parser.end()
    return value


def written(value: Any) -> str:
    """A value as it is filled into a text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


class _Parser:
    def __init__(self, said: str, contexts: Mapping[str, Any], functions: Functions) -> None:
        self._said, self._contexts, self._functions = said, contexts, functions
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while said[at:].strip():
            found = _TOKEN.match(said, at)
            assert found, f"not understood: {said!r} at {at}"
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()

    def end(self) -> None:
        assert not self._tokens, f"not understood: {self._said!r} at {self._tokens[0][1]}"

    def either(self) -> Any:
        value = self._both()
        while self._took("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._took("&&"):
            other = self._compared()
            value = value and other
        return value

    def _compared(self) -> Any:
        value = self._single()
        while (mark := self._tokens and self._tokens[0][1]) in ("==", "!="):
            self._tokens.pop(0)
            value = _same(value, self._single()) == (mark == "==")
        return value

    def _single(self) -> Any:
        kind, said = self._tokens.pop(0)
        if said == "!":
            return not self._single()
        if said == "(":
            value = self.either()
            assert self._took(")"), self._said
            return value
        if kind == "text":
            return said[1:-1].replace("''", "'")
        if kind == "number":
            return int(said)
        assert kind == "name", f"not understood: {self._said!r} at {said}"
        if said in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[said]
        return self._call(said) if self._took("(") else self._looked_up(said)

    def _call(self, name: str) -> Any:
        given = []
        while not self._took(")"):
            given.append(self.either())
            self._took(",")
        return self._functions[name](*given)

    def _looked_up(self, name: str) -> Any:
        """A member of a context; what is not there is null, but the context must be."""
        value = self._contexts[name]
        while self._took("."):
            _, member = self._tokens.pop(0)
            value = value.get(member) if isinstance(value, Mapping) else None
        return value

    def _took(self, mark: str) -> bool:
        found = bool(self._tokens) and self._tokens[0] == ("mark", mark)
        if found:
            self._tokens.pop(0)
        return found


def _same(one: Any, other: Any) -> bool:
    """Texts are compared without their case, and what is of two kinds as numbers."""
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    if type(one) is type(other):
        return bool(one == other)
    return _number(one) == _number(other)


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return float("nan")
