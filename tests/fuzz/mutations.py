"""A valid document and what a broken service, store or disk could make of it: bytes, always.

Bytes are what every parser of ours meets first, and only they can hold what Python would not
write: numbers without end, a hundred thousand brackets, half a character, a name twice.
"""

from __future__ import annotations

import codecs
import copy
import gzip
import json
import random
import re
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy

Trail = tuple[str | int, ...]

HTML = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>\xa9</body></html>",
    b"<html><body><h1>Sign in</h1><form action='/login'></form></body></html>",
    b"<Error><Code>InternalError</Code><Message>try again\nRequestId:x</Message></Error>",
)

# What stands in the text of the document for something that `json.dumps` cannot write.
_RAW = {
    "NaN": "NaN",
    "infinity": "-Infinity",
    "huge float": "1e999",
    "minus zero": "-0.0",
    "500 digits": "9" * 500,
    "5000 digits": "9" * 5000,
    "half a character": '"\\ud800"',
    "half a character, somewhere": '"https://host/a\\udfff/b.ilearner"',
    "lists, 60 levels": "[" * 60 + "]" * 60,
    "lists, 150 levels": "[" * 150 + "]" * 150,
    "lists, 460 levels": "[" * 460 + "]" * 460,
    "lists, 700 levels": "[" * 700 + "]" * 700,
    "lists, 860 levels": "[" * 860 + "]" * 860,
    "lists, 100000 levels": "[" * 100_000 + "]" * 100_000,
    "objects, 60 levels": '{"a":' * 60 + "1" + "}" * 60,
    "objects, 150 levels": '{"properties":' * 150 + "1" + "}" * 150,
    "objects, 700 levels": '{"assets":' * 700 + "1" + "}" * 700,
    "objects, 20000 levels": '{"":' * 20_000 + "1" + "}" * 20_000,
    "name twice": '{"type": "Resource", "type": null, "Type": 3}',
    "two halves": '{"\\ud83d": "\\ud83d", "\\ude00": "\\ude00"}',
}
_RAW_MARK = re.compile(r'"raw:([^"]*)"')

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 4, 1.5, 2**63, 1e308),
    *("", " ", "x", "\x00", "\u202e\x1b[2J", "İſ", "4", "٣", "not a date", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:60Z", "2026-11-23", "http://[", "https://[::1", "https://host:99999999/x"),
    *("https://a@b/c", "../../../x", "//", "/", "?", "%", "%zz%00", "a?sig=secret#b", "a" * 5000),
    *([], {}, [None], [[]], [{}], {"": None}, [1, "2"], {"code": 1, "details": [None]}),
)
_GONE = object()
_ODD = (*_VALUES, *(f"raw:{name}" for name in _RAW))


def junk() -> SearchStrategy[bytes]:
    """Any JSON document at all."""
    return _json_values().map(_written)


def mutated(document: Any) -> SearchStrategy[bytes]:
    """The document as JSON, with one to three of its nodes changed."""
    return _mutated(document)


def every_other_value(document: Any, most: int = 1_000_000) -> Iterator[bytes]:
    """The document with each one of its nodes removed, and replaced by each of the odd values.

    Of a long list only the first and the last element are changed: they are all alike. At most
    that many bodies, the same ones in every run.
    """
    cases = [(trail, value) for trail in _telling(document) for value in (_GONE, *_ODD)]
    for trail, value in random.Random(0).sample(cases, min(most, len(cases))):
        changed = [copy.deepcopy(document)]
        parent, step = _parent(changed, trail)
        if value is _GONE:
            del parent[step]
        else:
            parent[step] = value
        yield _written(changed[0] if changed else None)


def _telling(document: Any) -> Iterator[Trail]:
    for trail in trails(document):
        parent, step = _parent([document], trail)
        if not isinstance(parent, list) or step in (0, len(parent) - 1):
            yield trail


def damaged(body: bytes) -> SearchStrategy[bytes]:
    """A body that broke off, was altered on the way, or is not from the service at all."""
    return st.one_of(
        st.integers(0, len(body)).map(lambda end: body[:end]),
        _flipped(body),
        st.binary(max_size=200),
        st.sampled_from(_instead_of(body)),
    )


def foreign(body: bytes) -> SearchStrategy[bytes]:
    """Everything above, for a body that may or may not be JSON."""
    try:
        document = json.loads(body)
    except ValueError:
        return st.one_of(damaged(body), junk())
    return st.one_of(mutated(document), mutated(document), damaged(body), junk())


def trails(document: Any, below: Trail = ()) -> list[Trail]:
    """The way to every node of a document, its root first."""
    found = [below]
    if isinstance(document, dict):
        steps: Any = document.items()
    else:
        steps = enumerate(document) if isinstance(document, list) else ()
    for step, value in steps:
        found += trails(value, (*below, step))
    return found


# --- parts ----------------------------------------------------------------------------------


def _json_values() -> SearchStrategy[Any]:
    text = st.text(max_size=12) | st.sampled_from(["Results", "properties", "code", "value"])
    leaves = st.sampled_from(_VALUES) | _raw() | st.integers() | st.floats() | text
    return st.recursive(
        leaves,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(text, below, max_size=4),
        max_leaves=12,
    )


def _raw() -> SearchStrategy[str]:
    return st.sampled_from([f"raw:{name}" for name in _RAW])


@st.composite
def _mutated(draw: DrawFn, document: Any) -> bytes:
    changed = [copy.deepcopy(document)]  # in a list, so that the root is a node like all others
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        parent, last = _parent(changed, draw(st.sampled_from(trails(changed[0]))))
        _OPERATIONS[draw(st.sampled_from(sorted(_OPERATIONS)))](draw, changed[0], parent, last)
        changed = changed or [None]
    return _written(changed[0])


def _parent(holder: list[Any], trail: Trail) -> tuple[Any, Any]:
    """The container of a node, and the step to it; the root is in `holder`."""
    *way, last = (0, *trail)
    parent: Any = holder
    for step in way:
        parent = parent[step]
    return parent, last


def _replace(draw: DrawFn, _: Any, parent: Any, step: Any) -> None:
    parent[step] = copy.deepcopy(draw(st.sampled_from(_VALUES) | _raw()))


def _replace_by_anything(draw: DrawFn, _: Any, parent: Any, step: Any) -> None:
    parent[step] = copy.deepcopy(draw(_json_values()))


def _replace_by_another_node(draw: DrawFn, root: Any, parent: Any, step: Any) -> None:
    value = root
    for each in draw(st.sampled_from(trails(root))):
        value = value[each]
    parent[step] = copy.deepcopy(value)


def _retype(_: DrawFn, __: Any, parent: Any, step: Any) -> None:
    """What a lax server makes of a value: text for a number, a list for one, null for nothing."""
    value = parent[step]
    if isinstance(value, dict):
        parent[step] = [{"Key": key, "Value": below} for key, below in value.items()]
    elif isinstance(value, list):
        parent[step] = {str(at): below for at, below in enumerate(value)}
    else:
        parent[step] = [value] if isinstance(value, str) else str(value)


def _remove(_: DrawFn, __: Any, parent: Any, step: Any) -> None:
    del parent[step]


def _repeat(draw: DrawFn, _: Any, parent: Any, step: Any) -> None:
    """Once more: in a list, or under a name that differs in its case only."""
    if isinstance(parent, list):
        parent.insert(step, copy.deepcopy(parent[step]))
    else:
        parent[step.swapcase()] = copy.deepcopy(draw(st.sampled_from((parent[step], *_VALUES))))


def _rename(draw: DrawFn, _: Any, parent: Any, step: Any) -> None:
    if isinstance(parent, dict):
        names = (step.upper(), step.title(), "", "raw:half a character", f"{step} ", "\x00")
        parent[draw(st.sampled_from(names))] = parent.pop(step)


_OPERATIONS = {
    each.__name__: each
    for each in (
        _replace,
        _replace_by_anything,
        _replace_by_another_node,
        _retype,
        _remove,
        _repeat,
        _rename,
    )
}


def _written(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=True)
    return _RAW_MARK.sub(lambda found: _RAW.get(found[1], found[0]), text).encode()


def _flipped(body: bytes) -> SearchStrategy[bytes]:
    def flip(places: list[tuple[int, int]]) -> bytes:
        changed = bytearray(body)
        for at, value in places:
            changed[at] = value
        return bytes(changed)

    if not body:
        return st.just(b"\x00")
    places = st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255))
    return st.lists(places, min_size=1, max_size=4).map(flip)


def _instead_of(body: bytes) -> list[bytes]:
    return [
        *HTML,
        b"",
        codecs.BOM_UTF8 + body,
        body + body,
        body.decode("utf-8", "replace").encode("utf-16"),
        gzip.compress(body),
        b'{"error": ' + body + b"}",
    ]
