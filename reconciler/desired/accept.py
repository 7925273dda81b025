"""Whether a JSON Schema accepts a value, as one compiled function.

jsonschema takes a third of a millisecond per document and 64 ms to be imported; nearly every
document is right. So a schema is compiled once into nested functions that say only yes or no, and
jsonschema is asked for what they do not accept: it finds the mistakes that words are made of. A
test holds the two to the same verdicts. Only the keywords that our schema uses are known here;
another one is a KeyError as soon as it is compiled.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Accepts = Callable[[Any], bool]
    Schema = dict[str, Any]

_SAYS_NOTHING = {
    *("$schema", "$id", "$defs", "title", "description", "default", "examples"),
    "patternErrorMessage",
    "then",  # by its `if`
}
_TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool}


@cache
def pattern(text: str) -> re.Pattern[str]:
    """A compiled pattern of the schema; its final $ is the very end, as in JavaScript."""
    return re.compile(text[:-1] + r"\Z" if text.endswith("$") else text)


def acceptor(schema: Schema) -> Accepts:
    """The function that says whether the schema accepts a value."""
    return _Compiler(schema).of(schema)


class _Compiler:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._by_ref: dict[str, Accepts] = {}

    def of(self, schema: Schema) -> Accepts:
        """What accepts a value by every keyword of one schema."""
        keywords = [k for k in schema if k not in _SAYS_NOTHING]
        if "properties" in schema or "additionalProperties" in schema:
            keywords = [k for k in keywords if k not in ("properties", "additionalProperties")]
            return _all([*(_KEYWORDS[k](self, schema, k) for k in keywords), self._members(schema)])
        return _all([_KEYWORDS[k](self, schema, k) for k in keywords])

    def _members(self, schema: Schema) -> Accepts:
        known = {name: self.of(below) for name, below in schema.get("properties", {}).items()}
        said = schema.get("additionalProperties", True)
        other = self.of(said) if isinstance(said, dict) else _always if said else _never

        def accepts(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for name, below in value.items():  # noqa: SIM110 - a generator costs more
                if not known.get(name, other)(below):
                    return False
            return True

        return accepts

    def reference(self, schema: Schema, keyword: str) -> Accepts:
        """`#/$defs/name`, compiled once."""
        said: str = schema[keyword]
        if said not in self._by_ref:
            found = self._root
            for step in said.removeprefix("#/").split("/"):
                found = found[step]
            self._by_ref[said] = self.of(found)
        return self._by_ref[said]

    def items(self, schema: Schema, keyword: str) -> Accepts:
        """`items`."""
        item = self.of(schema[keyword])
        return lambda value: not isinstance(value, list) or all(map(item, value))

    def all_of(self, schema: Schema, keyword: str) -> Accepts:
        """`allOf`."""
        return _all([self.of(each) for each in schema[keyword]])

    def any_of(self, schema: Schema, keyword: str) -> Accepts:
        """`anyOf`."""
        several = [self.of(each) for each in schema[keyword]]
        return lambda value: any(accepts(value) for accepts in several)

    def implied(self, schema: Schema, keyword: str) -> Accepts:
        """`if` and `then`."""
        condition, then = self.of(schema[keyword]), self.of(schema["then"])
        return lambda value: not condition(value) or then(value)


def _all(several: Iterable[Accepts]) -> Accepts:
    found = tuple(several)
    if len(found) == 1:
        return found[0]

    def accepts(value: Any) -> bool:
        for each in found:  # noqa: SIM110 - a generator costs more than most checks
            if not each(value):
                return False
        return True

    return accepts


def _always(_: Any) -> bool:
    return True


def _never(_: Any) -> bool:
    return False


def _type(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    said = schema[keyword]
    names = {said} if isinstance(said, str) else set(said)
    types = tuple(_TYPES[name] for name in names - {"integer"})
    if "integer" in names:
        return lambda value: type(value) is int or isinstance(value, types)
    return lambda value: isinstance(value, types)


def _required(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    names = set(schema[keyword])
    return lambda value: not isinstance(value, dict) or names <= value.keys()


def _one_of(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    """`enum` and `const`, of texts."""
    said = frozenset(schema[keyword] if keyword == "enum" else [schema[keyword]])
    return lambda value: isinstance(value, str) and value in said


def _pattern(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    search = pattern(schema[keyword]).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _least_length(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    least = schema[keyword]
    return lambda value: not isinstance(value, str) or len(value) >= least


def _least_members(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    least = schema[keyword]
    return lambda value: not isinstance(value, dict) or len(value) >= least


def _most_members(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    most = schema[keyword]
    return lambda value: not isinstance(value, dict) or len(value) <= most


def _least(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    least = schema[keyword]
    return lambda value: type(value) is not int or value >= least


def _most(_: _Compiler, schema: Schema, keyword: str) -> Accepts:
    most = schema[keyword]
    return lambda value: type(value) is not int or value <= most


_KEYWORDS: dict[str, Callable[[_Compiler, Schema, str], Accepts]] = {
    "$ref": _Compiler.reference,
    "items": _Compiler.items,
    "allOf": _Compiler.all_of,
    "anyOf": _Compiler.any_of,
    "if": _Compiler.implied,
    "type": _type,
    "required": _required,
    "enum": _one_of,
    "const": _one_of,
    "pattern": _pattern,
    "minLength": _least_length,
    "minProperties": _least_members,
    "maxProperties": _most_members,
    "minimum": _least,
    "maximum": _most,
}
