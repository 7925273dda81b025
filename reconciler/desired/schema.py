"""A document -> its problems, in words: what is wrong, where, and what to write instead."""

from __future__ import annotations

import difflib
import importlib.resources
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

from reconciler.desired.nodes import Guess

if TYPE_CHECKING:
    from jsonschema import ValidationError

    from reconciler.desired.nodes import Document, Path
    from reconciler.errors import Problem

NAME = "reconciler.schema.json"
_SECRET = re.compile(
    r"AccountKey=|SharedAccessSignature=|[?&]sig=|(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{86}==(?![=\w])"
)
SECRET = (
    "a secret must be the name of an environment variable; put the value there and write env:NAME"
)
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
}


def schema_text() -> str:
    """The schema: beside the package in a checkout, inside of it in a wheel."""
    package = File(str(importlib.resources.files("reconciler")))
    for folder in (package.parent / "schemas", package / "schemas"):
        if (folder / NAME).is_file():
            return (folder / NAME).read_text(encoding="utf-8")
    raise FileNotFoundError(f"{NAME} came neither with this checkout nor with the package")


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine("object", lambda _, v: isinstance(v, dict))
    return extend(Draft202012Validator, type_checker=checker)(json.loads(schema_text()))


def problems(document: Document) -> Iterator[Problem]:
    """Everything that the schema says against a document, and every literal secret in it."""
    yield from _literal_secrets(document)
    errors = list(_validator().iter_errors(document.value))
    of_identity = [e for e in errors if list(e.absolute_path) in (["kind"], ["apiVersion"])]
    for error in of_identity or errors:
        yield from _explained(document, error)


def _literal_secrets(document: Document) -> Iterator[Problem]:
    for at, text in document.written.items():
        if _SECRET.search(text):
            yield document.problem(at, _keep_out(at))


def _keep_out(at: Path) -> str:
    return (
        f"{_dotted(at)}: this looks like a secret; put it into an environment variable and write "
        "env:NAME"
    )


def _dotted(at: Path) -> str:
    text = ""
    for part in at:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "the document"


def _explained(document: Document, error: ValidationError) -> Iterator[Problem]:
    at: Path = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    match error.validator:
        case "required":
            missing = re.match(r"'(.+)' is a required property", error.message)
            name = missing[1] if missing else "?"
            yield document.problem(at, f'{_dotted(at)}: "{name}" is missing')
        case "additionalProperties":
            yield from _unknown_keys(document, at, error.instance, schema)
        case "enum":
            yield document.problem(at, _not_one_of(at, error.instance, error.validator_value))
        case "const":
            yield document.problem(at, _not_one_of(at, error.instance, [error.validator_value]))
        case "type":
            yield document.problem(at, f"{_dotted(at)}: {_wrong_type(document, at, error)}")
        case "oneOf":
            yield document.problem(at, f"{_dotted(at)}: {schema.get('x-one-of', error.message)}")
        case _:
            yield document.problem(at, f"{_dotted(at)}: {_wrong_value(error, schema)}")


def _unknown_keys(
    document: Document, at: Path, value: dict[str, Any], schema: dict[str, Any]
) -> Iterator[Problem]:
    known = list(schema.get("properties", {}))
    for name in value:
        if name not in known:
            hint = did_you_mean(name, known)
            listed = "" if hint else f"; known here: {', '.join(known)}"
            message = f'unknown key "{name}"{hint}{listed}'
            yield document.problem((*at, name), message, key=True)


def did_you_mean(given: object, known: list[str]) -> str:
    """`; did you mean "x"?`, or nothing when nothing is near."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(str(given).casefold(), folded, n=1, cutoff=0.6)
    return f'; did you mean "{folded[close[0]]}"?' if close else ""


def _not_one_of(at: Path, given: object, known: list[str]) -> str:
    text = given.text if isinstance(given, Guess) else given
    hint = did_you_mean(text, known)
    return f'{_dotted(at)}: "{text}" is none of {", ".join(known)}{hint}'


def _wrong_type(document: Document, at: Path, error: ValidationError) -> str:
    wanted = str(error.validator_value)
    if wanted != "string":
        return f"must be {_TYPES.get(wanted, wanted)}, not {_called(error.instance)}"
    if isinstance(error.schema, dict) and error.schema.get("x-secret"):
        return SECRET
    if isinstance(error.instance, dict | list):
        return f"must be text, not {_called(error.instance)}"
    written = document.written.get(at, "")
    if error.instance is None:
        return "is empty, and must be text"
    because = error.schema.get("x-because") if isinstance(error.schema, dict) else None
    note = f" ({because})" if because else ""
    return f'{written} is {_called(error.instance)}; write "{written}"{note}'


def _called(value: object) -> str:
    if isinstance(value, Guess):
        return value.what
    names = {bool: "a boolean", int: "a number", str: "text", dict: "a mapping", list: "a list"}
    return names.get(type(value), "nothing")


def _wrong_value(error: ValidationError, schema: dict[str, Any]) -> str:
    if schema.get("x-secret"):
        return SECRET
    if error.validator in ("minimum", "maximum"):
        return f"{error.instance} is out of range {schema['minimum']} to {schema['maximum']}"
    if error.validator == "minLength":
        return "must not be empty"
    expects = schema.get("x-expects", "what belongs here")
    return f'"{error.instance}" is not {expects}'
