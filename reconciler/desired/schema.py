"""Problems that the schema finds in a document, in words that name the place and the fix.

Nearly every document is right, so jsonschema-rs says yes or no first, in a hundredth of the time of
jsonschema. Only what it does not accept is given to jsonschema, which finds the mistakes that words
are made of; this module speaks them, because jsonschema's own sentences print whole values and no
line numbers. A test holds the two to the same verdicts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from reconciler.desired.nodes import Document, Guess, Trail, dotted, problem
from reconciler.errors import Problem
from reconciler.near import MOST_HINTS, near, short
from reconciler.stores.kinds import url_definitions

NAME = "reconciler.schema.json"
SECRET = "put it into an environment variable and write env:NAME"
_PLACEHOLDER = {"$ref": "#/$defs/placeholder"}
_NOT_TEXT = ("integer", "boolean")
_ABSENCES = ("required", "minProperties")  # what a partial document may seem to lack


@dataclass(frozen=True)
class Schema:
    """The composed schema, as editors have it `whole`, and what it says of documents."""

    whole: dict[str, Any]
    kinds: tuple[str, ...]

    @property
    def text(self) -> str:
        """The schema for editors."""
        return json.dumps(self.whole, indent=2) + "\n"

    def check(self, document: Document) -> list[Problem]:
        """Everything that the schema refuses in the document."""
        if self.accepts(document.data):
            return []
        problems: list[Problem] = []
        unsaid = _ABSENCES if document.partial else ()
        for error in self._validator.iter_errors(document.data):
            if error.validator in unsaid:
                continue
            trail = tuple(error.absolute_path)
            in_words = _WORDS.get(error.validator, _other)(document, trail, error)
            rule = _RULES.get(error.validator, "invalid-value")
            problems.extend(p.under(rule) for p in in_words)
        return problems

    @cached_property
    def filled(self) -> dict[str, Any]:
        """The schema of documents in which every placeholder is filled."""
        schema: dict[str, Any] = _filled(self.whole)
        return schema

    @cached_property
    def not_text(self) -> dict[str, dict[Trail, str]]:
        """By kind, the ways in a document to what is no text: "integer" or "boolean"."""
        return {
            kind: {trail: here["type"] for trail, here in places if here.get("type") in _NOT_TEXT}
            for kind, places in self._places.items()
        }

    @cached_property
    def texts(self) -> dict[str, list[Trail]]:
        """By kind, the ways in a document to texts whose names people choose."""
        texts = self.filled["$defs"]["texts"]["additionalProperties"]
        return {
            kind: [trail for trail, here in places if here.get("additionalProperties") == texts]
            for kind, places in self._places.items()
        }

    @cached_property
    def _places(self) -> dict[str, list[tuple[Trail, dict[str, Any]]]]:
        """By kind, each place of a document and a schema that it must match."""
        places: dict[str, list[tuple[Trail, dict[str, Any]]]] = {}
        for case in self.filled["allOf"]:
            of_kind = places.setdefault(case["if"]["properties"]["kind"]["const"], [])
            of_kind += _walk(self.filled["$defs"], case["then"], ())
        return places

    def accepts(self, data: Any) -> bool:
        """Whether the schema accepts it, without a word of why not."""
        try:
            accepted: bool = self._fast.is_valid(data)
        except ValueError:  # a Guess, or an integer of more than 64 bits
            return False
        return accepted

    @cached_property
    def _fast(self) -> Any:
        from jsonschema_rs import Draft202012Validator

        return Draft202012Validator(self.filled)

    @cached_property
    def _validator(self) -> Any:
        """The one validator; building it costs as much as a hundred documents."""
        from jsonschema import Draft202012Validator, ValidationError, validators

        def matches(_: Any, regex: str, instance: Any, __: Any) -> Iterator[ValidationError]:
            if isinstance(instance, str) and not pattern(regex).search(instance):
                yield ValidationError("does not match")

        extend: Any = validators.extend
        ours = extend(Draft202012Validator, {"pattern": matches})
        return ours(self.filled)


@lru_cache(maxsize=8)
def composed(fragments: tuple[tuple[str, str], ...]) -> Schema:
    """The core schema, the URLs of stores and the fragment of each platform, by its name, as one.

    A platform says what stands in its block below `spec` of an Environment, in a binding of each of
    its kinds, and in the training of each of its engines; here its words are joined with those that
    all kinds and all engines have in common. What a platform says itself comes first: a kind may
    have its own way to verify.
    """
    whole = core()
    definitions = whole["$defs"]
    definitions |= url_definitions()
    common = {name: definitions.pop(name) for name in ("binding", "training")}
    kinds, engines = [], []
    for name, text in fragments:
        fragment = json.loads(text)
        definitions |= {**fragment.get("$defs", {}), name: fragment["connection"]}
        definitions["environment"]["properties"][name] = {
            "description": fragment["connection"]["description"],
            "$ref": f"#/$defs/{name}",
        }
        for kind, part in fragment.get("kinds", {}).items():
            kinds.append(kind)
            definitions[kind] = _joined(part, common["binding"])
            whole["allOf"].append(_case("kind", kind, part, f"#/$defs/{kind}", "spec"))
        registry = definitions["model"]["properties"]["registry"]["properties"]
        for known, part in fragment.get("registries", {}).items():
            registry[known] = part["name"]
            definitions["model"]["properties"]["publish"]["properties"][known] = part["publish"]
            registry |= part.get("properties", {})
        for engine, part in fragment.get("engines", {}).items():
            engines.append(engine)
            definitions[f"{engine}-training"] = _joined(
                part,
                common["training"],
                {"engine": {"description": "The engine.", "const": engine}},
            )
            training = definitions["model"]["properties"]["training"]
            training.setdefault("allOf", []).append(
                _case("engine", engine, part, f"#/$defs/{engine}-training")
            )
    whole["properties"]["kind"]["enum"] += kinds
    definitions["model"]["properties"]["training"]["properties"]["engine"]["enum"] = engines
    for name in ("registry", "publish"):
        if not definitions["model"]["properties"][name]["properties"]:
            del definitions["model"]["properties"][name]
    return Schema(whole, tuple(kinds))


@cache
def pattern(text: str) -> re.Pattern[str]:
    """A compiled pattern of the schema; its final $ is the very end, as in JavaScript."""
    return re.compile(text[:-1] + r"\Z" if text.endswith("$") else text)


def _joined(
    part: Mapping[str, Any], common: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The schema of an object with the properties of both and no others."""
    return {
        "description": part["description"],
        "type": "object",
        "required": [*common["required"], *part.get("required", ())],
        "additionalProperties": False,
        "properties": {**common["properties"], **(more or {}), **part.get("properties", {})},
    }


def _case(key: str, name: str, entry: Mapping[str, Any], ref: str, *below: str) -> dict[str, Any]:
    """`if` the key says the name, `then` what is `below` is as `ref` says."""
    then: dict[str, Any] = {"$ref": ref}
    for part in below:
        then = {"properties": {part: {"description": entry["description"], **then}}}
    condition = {"description": entry["description"], "const": name}
    return {"if": {"required": [key], "properties": {key: condition}}, "then": then}


def core() -> dict[str, Any]:
    """The schema without any platform, new each time."""
    from importlib import resources

    text = (resources.files("reconciler.desired") / "schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _filled(value: Any) -> Any:
    """The schema without the choice that editors have: what is wanted, or a placeholder."""
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("anyOf", [])[1:] == [_PLACEHOLDER]:
        rest = {key: below for key, below in value.items() if key != "anyOf"}
        return _filled({**rest, **value["anyOf"][0]})
    return {key: _filled(below) for key, below in value.items()}


def is_a(definition: str, text: str) -> bool:
    """Whether a text is what the core schema calls `version`, `dataPath` or `container`."""
    return pattern(_definition(definition)["pattern"]).search(text) is not None


def hint_of(definition: str) -> str:
    """The rest of a sentence about a text that is none of that."""
    return str(_definition(definition)["patternErrorMessage"])


@cache
def _definition(name: str) -> dict[str, Any]:
    definition: dict[str, Any] = _filled(core()["$defs"][name])
    return definition["properties"]["version"] if name == "version" else definition


def _walk(
    definitions: Mapping[str, Any], here: dict[str, Any], trail: Trail
) -> Iterator[tuple[Trail, dict[str, Any]]]:
    """Each place at and below the trail, with what the schema says of it."""
    yield trail, here
    if "$ref" in here:
        yield from _walk(definitions, definitions[here["$ref"].removeprefix("#/$defs/")], trail)
    for name, below in here.get("properties", {}).items():
        yield from _walk(definitions, below, (*trail, name))


# --- one function per keyword: document, way to the value, error → problems ------------------


def _unknown(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    known = error.schema.get("properties", {})
    free = [name for name in known if name not in error.instance]
    unknown = [key for key in error.instance if key not in known]
    for number, key in enumerate(unknown):
        # Looking for similar names takes time, and a file can hold very many unknown keys.
        hint = near(key, free) if number < MOST_HINTS else ""
        yield problem(document.at_key(*trail, key), f'unknown key "{short(key)}"{hint}')


def _missing(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    # One error comes per missing name and says which only in its sentence. Naming all of them
    # each time depends on no sentence, and equal problems are raised once.
    for name in error.validator_value:
        if name not in error.instance:
            yield problem(document.at_key(*trail), f'{_where(trail)}"{name}" is missing')


def _bounds(document: Document, trail: Trail, _: Any) -> Iterator[Problem]:
    message = "exactly one of atLeast, atMost, noWorseThanLive, betterThanLive, minRows is needed"
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _choice(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    """The problem of a value that is none of those allowed, with the nearest one."""
    known = error.validator_value if error.validator == "enum" else [error.validator_value]
    value = _said(error.instance)
    message = f"{value} is not one of {', '.join(known)}"
    if len(known) == 1:
        message = f"{value} is not known; write {known[0]}"
    elif isinstance(error.instance, str):
        hint = near(error.instance, known)
        message += hint if "did you mean" in hint else ""
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _type(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    if _names_secret(error.schema):
        yield from _pattern(document, trail, error)
        return
    words = _text_wanted if "string" in error.validator_value else _other_wanted
    message = words(trail, error.instance, error.schema)
    yield problem(document.at(*trail), f"{_where(trail)}{message}")


def _text_wanted(trail: Trail, value: Any, schema: Mapping[str, Any]) -> str:
    """The words for a value where a text is wanted, with what to type instead."""
    if isinstance(value, (dict, list)):
        return f"{_kind(value)} is here; write a text"
    if isinstance(value, Guess) and value.what == "null":
        return _null(value, 'a text, or "" if it is to be empty')
    what = _kind(value)
    written = short(_written(value))
    if "pattern" in schema and not pattern(schema["pattern"]).search(_written(value)):
        return f"{written} {schema['patternErrorMessage']}"  # with quotes neither
    why = {
        "a boolean": "YAML reads it as true or false",
        "a date": "YAML reads it as a day",
        "a number in base 60": "YAML reads 1:30 as 90",
    }.get(what, "")
    if not why:
        thing = "versions are" if trail[-1:] == ("version",) else "this is"
        why = f"{thing} text, or 1.10 becomes 1.1"
    return f'{written} is {what}; write "{written}" ({why})'


def _other_wanted(_: Trail, value: Any, schema: Mapping[str, Any]) -> str:
    """The words for a value where something other than a text is wanted."""
    kinds = {
        "object": "a mapping (key: value)",
        "array": "a list",
        "integer": "a whole number",
        "boolean": "true or false",
    }
    wish = kinds[kind := schema["type"]]
    if isinstance(value, Guess) and value.what == "null":
        return _null(value, wish)
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return f'"{value}" is text; write {value}'
    return f"{_said(value)} is {_kind(value)}; write {wish}"


def _pattern(document: Document, trail: Trail, error: Any) -> Iterator[Problem]:
    hint = error.schema["patternErrorMessage"]
    value = "the value" if _names_secret(error.schema) else _said(error.instance)
    yield problem(document.at(*trail), f"{_where(trail)}{value} {hint}")


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

_RULES = {"additionalProperties": "unknown-key", "required": "missing-key"}


def _where(trail: Trail) -> str:
    return f"{dotted(trail)}: " if trail else ""


def _names_secret(schema: Mapping[str, Any]) -> bool:
    """Whether the name of a secret is wanted: what stands in its place may be the secret itself."""
    return bool(schema.get("pattern") == _definition("secretName")["pattern"])


def _null(value: Guess, wish: str) -> str:
    return f"{value.written} is null; write {wish}" if value.written else f"empty; write {wish}"


def _said(value: Any) -> str:
    """The value as it was typed; what is long is only named."""
    if isinstance(value, (dict, list)):
        return "this"
    return f'"{short(value)}"' if isinstance(value, str) else short(_written(value))


def _written(value: Any) -> str:
    """A scalar as it was typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.written if isinstance(value, Guess) else str(value)


def _kind(value: Any) -> str:
    if isinstance(value, Guess):
        return value.what
    kinds = {dict: "a mapping", list: "a list", int: "a number", bool: "a boolean"}
    return kinds.get(type(value), "text")
