"""What the schema says about a document, in words that name the place and the fix.

accept.py says whether anything is wrong; then jsonschema finds it, and this module speaks, because
jsonschema's own sentences print whole values and no line numbers.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.desired.accept import acceptor, pattern
from reconciler.desired.nodes import Document, Guess, dotted, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.desired.nodes import Trail
    from reconciler.errors import Problem

NAME = "reconciler.schema.json"
SECRET = "put it into an environment variable and write env:NAME"
_PLACEHOLDER = {"$ref": "#/$defs/placeholder"}
_SECRET_KEYS = ("key", "token")
_MOST_HINTS = 20
_MOST_COMPARED = 100
_LONGEST_COMPARED = 200
_ABSENCES = ("required", "anyOf", "minProperties")  # what a partial document may seem to lack


def near(wanted: str, known: Iterable[str]) -> str:
    """`; did you mean "version"?`, or the names that are known, or nothing if none is."""
    by_case = _by_case(tuple(known))
    # Both the search and the list are made once per mistake, and a file can hold thousands.
    compared = list(by_case)[:_MOST_COMPARED]
    is_short = len(wanted) <= _LONGEST_COMPARED
    if is_short and (close := difflib.get_close_matches(wanted.casefold(), compared, 1, 0.6)):
        return f'; did you mean "{_short(by_case[close[0]])}"?'
    listed = [_short(name) for name in list(by_case.values())[:_MOST_HINTS]]
    more = [f"{len(by_case) - len(listed)} more"] if len(by_case) > len(listed) else []
    return f"; known: {', '.join(listed + more)}" if by_case else ""


@lru_cache(maxsize=8)
def _by_case(known: tuple[str, ...]) -> dict[str, str]:
    """Names, sorted, by how they compare; kept, as one file can miss the same names often."""
    return {name.casefold(): name for name in sorted(known)}


def check(document: Document) -> list[Problem]:
    """Everything that the schema refuses in the document."""
    if _accepts()(document.data):
        return []
    found: list[Problem] = []
    unsaid = _ABSENCES if document.partial else ()
    for error in _validator().iter_errors(document.data):
        if error.validator in unsaid:
            continue
        trail = tuple(error.absolute_path)
        said = _WORDS.get(error.validator, _other)(document, trail, error)
        rule = _RULES.get(error.validator, "invalid-value")
        found.extend(each.under(rule) for each in said)
    return found


def schema_text() -> str:
    """The schema for editors: beside the package in a checkout, inside it in a wheel."""
    beside = Path(__file__).parents[2] / "schemas" / NAME
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    from importlib import resources

    return (resources.files("reconciler") / "schemas" / NAME).read_text(encoding="utf-8")


@cache
def schema() -> dict[str, Any]:
    """The schema of documents in which every placeholder is filled."""
    found: dict[str, Any] = _filled(json.loads(schema_text()))
    return found


def _filled(value: Any) -> Any:
    """The schema without the choice that editors have: what is wanted, or a placeholder."""
    if isinstance(value, list):
        return [_filled(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("anyOf", [])[1:] == [_PLACEHOLDER]:
        rest = {key: below for key, below in value.items() if key != "anyOf"}
        return _filled({**rest, **value["anyOf"][0]})
    return {key: _filled(below) for key, below in value.items()}


def is_version(text: str) -> bool:
    """Whether a text is what the schema calls a version."""
    found = schema()["$defs"]["version"]["properties"]["version"]["pattern"]
    return bool(pattern(found).search(text))


def is_blob_path(text: str) -> bool:
    """Whether a text is what the schema calls a blob path."""
    return bool(pattern(schema()["$defs"]["blobPath"]["pattern"]).search(text))


def is_container(text: str) -> bool:
    """Whether a text is the name of a container."""
    return bool(pattern(_container()["pattern"]).search(text))


def container_hint() -> str:
    """What the name of a container is."""
    return str(_container()["patternErrorMessage"])


def _container() -> dict[str, Any]:
    store = schema()["$defs"]["environment"]["properties"]["store"]
    found: dict[str, Any] = store["properties"]["container"]
    return found


@cache
def not_text(kind: str) -> Mapping[Trail, str]:
    """The ways in a document of the kind to what is no text: "integer" or "boolean"."""
    found: dict[Trail, str] = {}
    for case in schema()["allOf"]:
        if case["if"]["properties"]["kind"]["const"] == kind:
            _walk(case["then"], (), found)
    return found


def _walk(below: dict[str, Any], trail: Trail, found: dict[Trail, str]) -> None:
    if "$ref" in below:
        _walk(schema()["$defs"][below["$ref"].removeprefix("#/$defs/")], trail, found)
    if below.get("type") in ("integer", "boolean"):
        found[trail] = below["type"]
    for name, each in below.get("properties", {}).items():
        _walk(each, (*trail, name), found)


@cache
def _accepts() -> Callable[[Any], bool]:
    return acceptor(schema())


@cache
def _validator() -> Any:
    """The one validator; building it costs as much as a hundred documents."""
    from jsonschema import Draft202012Validator, ValidationError, validators

    def matches(_: Any, wanted: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not pattern(wanted).search(instance):
            yield ValidationError("does not match")

    extend: Any = validators.extend
    ours = extend(Draft202012Validator, {"pattern": matches})
    return ours(schema())


# --- one function per keyword: document, way to the value, error → problems ------------------


def _unknown(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    known = error.schema.get("properties", {})
    free = [name for name in known if name not in error.instance]
    unknown = [key for key in error.instance if key not in known]
    for number, key in enumerate(unknown):
        # Looking for similar names takes time, and a file can hold very many unknown keys.
        hint = near(key, free) if number < _MOST_HINTS else ""
        yield problem(document.at_key(*trail, key), f'unknown key "{_short(key)}"{hint}')


def _missing(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    # One error comes per missing name and says which only in its sentence. Naming all of them
    # each time depends on no sentence, and equal problems are raised once.
    for name in error.validator_value:
        if name not in error.instance:
            yield problem(document.at_key(*trail), f'{_where(trail)}"{name}" is missing')


def _no_region(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    if isinstance(error.instance, dict):
        message = '"region" is missing (there is no workspace to take it from)'
        yield problem(document.at_key(*trail), f"{_where(trail)}{message}")


def _bounds(document: Document, trail: Trail, _: Any) -> Iterator[Problem]:
    message = "exactly one of atLeast, atMost, noWorseThanLive, betterThanLive, minRows is needed"
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _choice(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    known = error.validator_value if error.validator == "enum" else [error.validator_value]
    said = _said(trail, error.instance)
    message = f"{said} is not one of {', '.join(known)}"
    if len(known) == 1:
        message = f"{said} is not known; write {known[0]}"
    elif isinstance(error.instance, str):
        hint = near(error.instance, known)
        message += hint if "did you mean" in hint else ""
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _type(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    if _is_secret(trail) and "patternErrorMessage" in error.schema:
        yield from _pattern(document, trail, error)
        return
    words = _text_wanted if error.validator_value == "string" else _other_wanted
    message = words(trail, error.instance, error.validator_value)
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _text_wanted(trail: Trail, value: Any, _: str) -> str:
    if isinstance(value, (dict, list)):
        return f"{_kind(value)} is here; write a text"
    if isinstance(value, Guess) and value.what == "null":
        return _null(value, 'a text, or "" if it is to be empty')
    what = _kind(value)
    written = _short(_written(value))
    why = {
        "a boolean": "YAML reads it as true or false",
        "a date": "YAML reads it as a day",
        "a number in base 60": "YAML reads 1:30 as 90",
    }.get(what, "")
    if not why:
        thing = "versions are" if trail[-1:] == ("version",) else "this is"
        why = f"{thing} text, or 1.10 becomes 1.1"
    return f'{written} is {what}; write "{written}" ({why})'


def _other_wanted(trail: Trail, value: Any, wanted: str) -> str:
    kinds = {
        "object": "a mapping (key: value)",
        "array": "a list",
        "integer": "a whole number",
        "boolean": "true or false",
    }
    wish = kinds[wanted]
    if isinstance(value, Guess) and value.what == "null":
        return _null(value, wish)
    if wanted == "integer" and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return f'"{value}" is text; write {value}'
    return f"{_said(trail, value)} is {_kind(value)}; write {wish}"


def _pattern(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    hint = error.schema["patternErrorMessage"]
    said = "the value" if _is_secret(trail) else _said(trail, error.instance)
    yield problem(document.at(*trail), f"{_where(trail)}{said} {hint}")


def _empty(document: Document, trail: Trail, _: Any) -> Iterator[Problem]:
    yield problem(document.at(*trail), f'{_where(trail)}"" is empty; write a text')


def _range(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    low, high = error.schema["minimum"], error.schema.get("maximum")
    wish = f"{low} or more" if high is None else f"{low} to {high}"
    message = f"{error.instance} is out of range; write {wish}"
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _other(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    # A keyword that the schema got without words here; a test keeps this from being reached.
    message = f"the schema refuses this ({error.validator})"
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


_WORDS: dict[str, Callable[[Document, Trail, Any], Iterator[Problem]]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "anyOf": _no_region,
    "minProperties": _bounds,
    "maxProperties": _bounds,
    "enum": _choice,
    "const": _choice,
    "type": _type,
    "pattern": _pattern,
    "minLength": _empty,
    "minimum": _range,
    "maximum": _range,
}

_RULES = {
    "additionalProperties": "unknown-key",
    "required": "missing-key",
    "anyOf": "missing-key",
}


def _where(trail: Trail) -> str:
    return f"{dotted(trail)}: " if trail else ""


def _is_secret(trail: Trail) -> bool:
    return bool(trail) and trail[-1] in _SECRET_KEYS


def _null(value: Guess, wish: str) -> str:
    return f"{value.written} is null; write {wish}" if value.written else f"empty; write {wish}"


def _said(trail: Trail, value: Any) -> str:
    """The value as it was typed; what is long or may be secret is only named."""
    if isinstance(value, str) and not _is_secret(trail):
        return f'"{_short(value)}"'
    if isinstance(value, (dict, list)) or _is_secret(trail):
        return "this"
    return _short(_written(value))


def _written(value: Any) -> str:
    """A scalar as it was typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.written if isinstance(value, Guess) else str(value)


def _short(text: str) -> str:
    """The text, and not all of it if it is long."""
    return text if len(text) <= 80 else f"{text[:77]}…"


def _kind(value: Any) -> str:
    if isinstance(value, Guess):
        return value.what
    kinds = {dict: "a mapping", list: "a list", int: "a number", bool: "a boolean"}
    return kinds.get(type(value), "text")
