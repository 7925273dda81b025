"""JSON, read strictly: answers of services, documents of the store, and files of people.

Python's own reader takes more than JSON is: NaN, half a character, an object that names a member
twice. Each of these could be read here and then neither shown, nor sent, nor stored again.

Some checks are there for the way back. A number like 1e999 is JSON and becomes infinity, which
cannot be written as JSON again; an integer of hundreds of digits becomes no float, as metrics are;
and half a character, which `\ud83d` alone is, can be held in a text and never be encoded. Each
would fail much later, in a place that cannot name the file. The check for halves costs a pass over
the text, so it is made only where such an escape is in it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

_MOST_DIGITS = 300
_MAYBE_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(content: bytes | str, *, unique: bool = False) -> Any:
    """The value of a JSON text in UTF-8; ValueError for everything else, however deep or large.

    `unique` also refuses an object with one name twice, for what people write: one of the two
    values would be lost. It costs half the speed, and services repeat no name.
    """
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    try:
        value = (_UNIQUE if unique else _DECODER).decode(text)
        if _MAYBE_HALF.search(text) or (text is content and not text.isascii()):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    except UnicodeEncodeError as exc:
        raise ValueError("half a character (a lone surrogate)") from exc
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):  # 1e999 is JSON, but could not be written again
        raise ValueError(f"{written[:40]} is too large a number")
    return value


def _whole(written: str) -> int:
    if len(written) > _MOST_DIGITS:  # no float holds it, and metrics and answers become floats
        raise ValueError(f"{written[:40]}… is too large a number")
    return int(written)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f'"{name[:80]}" is twice in one object; keep one')
        members[name] = value
    return members


_NUMBERS: Any = {
    "parse_constant": _refuse_constant,
    "parse_float": _finite,
    "parse_int": _whole,
}
_DECODER = json.JSONDecoder(**_NUMBERS)
_UNIQUE = json.JSONDecoder(**_NUMBERS, object_pairs_hook=_members)
