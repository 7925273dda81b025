"""The fast yes or no says yes to exactly what jsonschema finds no mistake in."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from reconciler.desired.nodes import Guess, read
from tests.desired.test_schema import RULES
from tests.desired.trees import BINDING, ENVIRONMENT, MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {name: a, labels: {team: b}}
forEach: {location: {from: "1", to: "2"}, other: [a, b]}
spec:
  webService: s
  endpoint: e
  resource: r
  model: {name: m, version: "1", with: {location: "${location}"}}
  adopt: false
  protect: true
  paused: false
  verify:
    request: p.json
    columns: [a]
    expect: {a: {atLeast: "1", oneOf: ["1"], values: ["1"]}}
"""
LIMITS = ENVIRONMENT + '    auth: default\n  limits: {parallel: 8, changes: "3%", retrains: 0}\n'
WRITTEN = [BINDING, MODEL, ENVIRONMENT, LIMITS, FULL]
ODD: tuple[Any, ...] = (
    *("", " ", "x", "X/y", "env:NAME", "3%", "1.5", "..", "2h", "a" * 200, "None\n"),
    *(0, 1, -1, 64, 65, True, False, Guess("null", "~"), Guess("a number", "1.5")),
    *(
        [],
        [""],
        ["x", 1],
        [[]],
        {},
        {"x": "y"},
        {"x": 1},
        {"": {}},
        {"metric": "a", "atLeast": "1"},
    ),
)


def documents() -> list[Any]:
    return [document.data for text in WRITTEN for document in read("f", text)[0]]


def holders(value: Any) -> Iterator[Any]:
    """Every mapping and list of a value, itself included."""
    if isinstance(value, (dict, list)):
        yield value
        for below in list(value.values() if isinstance(value, dict) else value):
            yield from holders(below)


def variations(document: Any) -> Iterator[Any]:
    """The document, and what it becomes by one change anywhere."""
    yield document
    root = copy.deepcopy(document)
    for holder in holders(root):
        for step in list(holder) if isinstance(holder, dict) else range(len(holder)):
            before = holder[step]
            for odd in ODD:
                holder[step] = odd
                yield root
            if isinstance(holder, dict):
                del holder[step]
                yield root
            holder[step] = before
        if isinstance(holder, dict):
            holder["unknown"] = "x"
            yield root
            del holder["unknown"]


def test_both_accept_the_same() -> None:
    accepts, validator = RULES.accepts, RULES._validator
    verdicts = {True: 0, False: 0}
    for document in documents():
        for variation in variations(document):
            expected = validator.is_valid(variation)
            assert accepts(variation) is expected, variation
            verdicts[expected] += 1
    assert min(verdicts.values()) > 250  # both kinds were seen


def test_what_is_no_document_at_all_is_accepted_by_neither() -> None:
    accepts, validator = RULES.accepts, RULES._validator
    for odd in ODD:
        assert accepts(odd) is validator.is_valid(odd) is False
