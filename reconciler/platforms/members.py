"""JSON objects as the service sends them: member names match in any case (§3.1)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from unicodedata import normalize
from urllib.parse import unquote

from reconciler.errors import UnreadableError
from reconciler.http.response import one_line

_Kind = TypeVar("_Kind")


def member(value: Mapping[str, Any], name: str) -> Any:
    """The member called `name` in any case, or None; an exact match wins."""
    if name in value:
        return value[name]
    wanted = name.casefold()
    return next((v for k, v in value.items() if k.casefold() == wanted), None)


def at(value: Any, *way: str) -> Any:
    """The value at the end of a way through objects; None where it ends before."""
    for name in way:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def spelled(value: Mapping[str, Any], name: str) -> str:
    """The name as it is written in the object, or as we write it; an exact match wins."""
    if name in value:
        return name
    wanted = name.casefold()
    return next((known for known in value if known.casefold() == wanted), name)


def without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The object without some members, however those are spelled."""
    dropped = {name.casefold() for name in names}
    return {name: item for name, item in value.items() if name.casefold() not in dropped}


def text(value: Mapping[str, Any], name: str) -> str:
    """The text member `name`; "" when it is absent or null; UnreadableError on what is none."""
    return whole(_typed(value, name, str, "text"), name)


def objects(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object member `name`; {} when it is absent or null; UnreadableError on another type."""
    return _typed(value, name, dict, "an object")


def texts(value: Mapping[str, Any], name: str) -> dict[str, str]:
    """The object member `name`, whose members are texts; {} when it is absent or null."""
    members = objects(value, name)
    return {key: text(members, key) for key in members}


def lists(value: Mapping[str, Any], name: str) -> list[Any]:
    """The list member `name`; [] when it is absent or null; UnreadableError on another type."""
    return _typed(value, name, list, "a list")


def _typed(value: Mapping[str, Any], name: str, kind: type[_Kind], words: str) -> _Kind:
    item = member(value, name)
    if item is None:
        return kind()
    if not isinstance(item, kind):
        raise UnreadableError(f"{name} is {type(item).__name__}, not {words}")
    return item


def whole(content: str, name: str) -> str:
    """The text; UnreadableError if it holds half a character, which no plan could be made of."""
    if content.isascii():
        return content
    try:
        content.encode()
    except UnicodeEncodeError as exc:
        raise UnreadableError(f"{name} holds half a character") from exc
    return content


def check_is_of(value: Mapping[str, Any], what: str, **names: str) -> None:
    """UnreadableError where a member says that the answer is about another resource.

    `names` are the members by which the resource is known, and what they must be. HTTP pairs
    answers with requests by their order alone, and anything between can lose count.
    """
    for name, wanted in names.items():
        there = text(value, name)
        if there and unquote(there).casefold() != unquote(wanted).casefold():
            raise UnreadableError(
                f"{what}: the answer is about another resource: its {name} is "
                f'"{one_line(there, 200)}", not "{unquote(wanted)}"'
            )


def flag(value: Mapping[str, Any], name: str) -> bool:
    """Whether member `name` is true; definition files also write "true" as text (§3.1)."""
    item = member(value, name)
    return item is True or (isinstance(item, str) and item.casefold() == "true")


def near(wanted: str, known: Iterable[str]) -> str:
    """A sentence that lists the known names and suggests the nearest: `it has "A", "B"; …`."""
    names = sorted(known)
    listed = ", ".join(f'"{name}"' for name in names) or "none"
    alike = [name for name in names if normalize("NFC", name) == normalize("NFC", wanted)]
    if alike and wanted not in names:
        return f'it has {listed}; "{alike[0]}" differs in its Unicode form only: copy it from there'
    by_case = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(wanted.casefold(), by_case, n=1, cutoff=0.6)
    return f"it has {listed}" + (f'; did you mean "{by_case[close[0]]}"?' if close else "")


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name as the objects that git writes: `{"a.b": 1}` is `{"a": {"b": 1}}`."""
    made: dict[str, Any] = {}
    for name, value in settings.items():
        *above, last = name.split(".")
        place = made
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return made
