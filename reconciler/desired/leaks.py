"""Secrets that were written into the desired state, found by their shape and never printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.desired.nodes import Guess, dotted, problem
from reconciler.desired.schema import SECRET
from reconciler.errors import Problem, holds_secret

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
_ENDS = ("==", "y=", "Y=", "g=", "G=")
_TOKEN = re.compile(r"[0-9a-fA-F]{32}")


def looks_secret(text: str) -> bool:
    """Whether a text holds a storage key, a connection string or a SAS."""
    return _may_hold_one(text) and _SHAPES.search(text) is not None


def check(document: Document) -> list[Problem]:
    """One problem for every text of the document that looks like a secret."""
    named = list(_named(document, "spec", "training", "parameters"))
    return named + (
        list(_walk(document, document.data, ())) if _any_leaks(document.data, "") else []
    )


def _named(document: Document, *trail: str) -> Iterator[Problem]:
    """One problem for every parameter whose name says that its value is a secret."""
    parameters: Any = document.data
    for name in trail:
        parameters = parameters.get(name) if isinstance(parameters, dict) else None
    for name, value in parameters.items() if isinstance(parameters, dict) else ():
        if holds_secret(name) and isinstance(value, str) and value and "${" not in value:
            message = f'the parameter "{name}" holds a secret by its name, and git keeps its value'
            yield problem(
                document.at(*trail, name), f"{message}; keep it in the training experiment"
            )


def check_comments(path: str, text: str, *, understood: bool) -> list[Problem]:
    """One problem for every comment that holds a secret; for every line of what is not YAML."""
    if not _may_hold_one(text) or _SPELLED.search(text) is None:
        return []
    what, part = ("a comment", _COMMENT) if understood else ("this line", re.compile(".*"))
    return [
        Problem(path, number, found.start() + 1, f"{what} {_OUT}")
        for number, line in enumerate(text.split("\n"), 1)
        if (found := part.search(line)) and _SPELLED.search(found[0])
    ]


def _may_hold_one(text: str) -> bool:
    """False for nearly every text, at a tenth of the cost of the patterns: their fixed ends."""
    return "@" in text or ("=" in text and any(map(text.__contains__, _ENDS)))


def _any_leaks(value: Any, key: str | int) -> bool:
    """Whether the walk would find anything; it is asked for places only then."""
    if isinstance(value, str):
        return looks_secret(value) or (key == "token" and _leaks(value, (key,)))
    if isinstance(value, dict):
        for name, below in value.items():  # noqa: SIM110 - a generator costs more than the rest
            if looks_secret(name) or _any_leaks(below, name):
                return True
        return False
    if isinstance(value, list):
        return any(_any_leaks(below, i) for i, below in enumerate(value))
    return _leaks(value.written if isinstance(value, Guess) else str(value), (key,))


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
    is_token = trail[-1:] == ("token",) and _TOKEN.fullmatch(text) is not None
    return is_token or looks_secret(text)
