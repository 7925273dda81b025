"""Secrets that were written into the desired state, found by their shape and never printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.desired.nodes import Guess, dotted, problem
from reconciler.desired.schema import SECRET
from reconciler.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.desired.nodes import Document, Trail

_KEY = r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{86}==(?![A-Za-z0-9+/=])"
_PASSWORD = r"://[^/\s:@]*:[^/\s@]+@"
_SHAPES = re.compile(rf"{_KEY}|AccountKey=|\bsig=|{_PASSWORD}", re.IGNORECASE)
# Comments may speak of such things; here the secret itself has to follow.
_SPELLED = re.compile(
    rf"{_KEY}|(?:AccountKey|\bsig)=[A-Za-z0-9+/%._~-]{{8}}|{_PASSWORD}", re.IGNORECASE
)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_OUT = "looks like a secret; take it out, and renew it: git keeps what was committed"
_TOKEN = re.compile(r"[0-9a-fA-F]{32}")
_SHORTEST = len("sig=")


def looks_secret(text: str) -> bool:
    """Whether a text holds a storage key, a connection string or a SAS."""
    return len(text) >= _SHORTEST and _SHAPES.search(text) is not None


def check(document: Document) -> list[Problem]:
    """One problem for every text of the document that looks like a secret."""
    return list(_walk(document, document.data, ()))


def check_comments(path: str, text: str, *, understood: bool) -> list[Problem]:
    """One problem for every comment that holds a secret; for every line of what is not YAML."""
    if _SPELLED.search(text) is None:
        return []
    what, part = ("a comment", _COMMENT) if understood else ("this line", re.compile(".*"))
    return [
        Problem(path, number, found.start() + 1, f"{what} {_OUT}")
        for number, line in enumerate(text.split("\n"), 1)
        if (found := part.search(line)) and _SPELLED.search(found[0])
    ]


def _walk(document: Document, value: Any, trail: Trail) -> Iterator[Problem]:
    if isinstance(value, dict):
        for key, below in value.items():
            if looks_secret(key):
                message = f"a key of {dotted(trail) or 'the document'} looks like a secret"
                yield problem(document.at_key(*trail, key), f"{message}; {SECRET}")
            else:
                yield from _walk(document, below, (*trail, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _walk(document, below, (*trail, index))
    elif _leaks(value.written if isinstance(value, Guess) else str(value), trail):
        message = f"{dotted(trail) or 'the document'} looks like a secret; {SECRET}"
        yield problem(document.at(*trail), message)


def _leaks(text: str, trail: Trail) -> bool:
    is_token = bool(trail) and trail[-1] == "token" and _TOKEN.fullmatch(text) is not None
    return is_token or looks_secret(text)
