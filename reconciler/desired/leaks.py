"""Secrets that were written into the desired state, found by their shape and never printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reconciler.desired.nodes import Document, Guess, Trail, dotted, problem
from reconciler.desired.schema import SECRET, Schema
from reconciler.errors import Problem
from reconciler.secrecy import holds_secret, is_hex_token, looks_secret

_PARAMETERS = ("spec", "training", "parameters")
_ARGUMENTS = ("spec", "model", "with")  # parts of paths, which everybody sees
_HARMLESS = re.compile(r"(env:|.*\$\{|$)", re.DOTALL)  # what stands for it, or nothing
_HOW_ELSE = (
    "write env:NAME where that is allowed, else let the code read it where it runs; "
    "if it is no secret, give it another name"
)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_OUT = "looks like a secret; take it out, and renew it: git keeps what was committed"


def check(document: Document, rules: Schema) -> list[Problem]:
    """One problem for every text of the document that is a secret, by its name or its shape."""
    named = list(_named(document, rules))
    return named + (
        list(_walk(document, document.data, ())) if _any_leaks(document.data, "") else []
    )


def _named(document: Document, rules: Schema) -> Iterator[Problem]:
    """One problem for every text that somebody's code is given under the name of a secret."""
    for trail in (_PARAMETERS, *rules.texts.get(document.text("kind") or "", ())):
        texts: Any = document.data
        for name in trail:
            texts = texts.get(name) if isinstance(texts, dict) else None
        if trail == _ARGUMENTS or not isinstance(texts, dict):
            continue
        for name, value in texts.items():
            if isinstance(value, str) and holds_secret(name) and not _HARMLESS.match(value):
                yield problem(
                    document.at(*trail, name),
                    f"{dotted((*trail, name))} holds a secret by its name, and git keeps its value;"
                    f" {_HOW_ELSE}",
                )


def check_comments(path: str, text: str, *, understood: bool) -> list[Problem]:
    """One problem for every comment that holds a secret; for every line of what is not YAML."""
    if not looks_secret(text):
        return []
    what, part = ("a comment", _COMMENT) if understood else ("this line", re.compile(".*"))
    return [
        Problem(path, number, match.start() + 1, f"{what} {_OUT}")
        for number, line in enumerate(text.split("\n"), 1)
        if (match := part.search(line)) and looks_secret(match[0])
    ]


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
    """A problem for each text below the value that looks like a secret, at its place."""
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
    return looks_secret(text) or (trail[-1:] == ("token",) and is_hex_token(text))
