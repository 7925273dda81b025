"""The net itself: what a property here would catch, shown on parsers that are wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UnreadableError
from tests.fuzz.bodies import KINDS
from tests.fuzz.mutations import every_other_value, foreign
from tests.fuzz.promise import always, is_of, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.bodies import Town

GOOD = b'{"StatusCode": "Finished", "Results": {"output1": {"BaseLocation": "https://a/"}}}'


@dataclass(frozen=True)
class Answer:
    """What a wrong parser says that it returns."""

    place: str


def _careless(body: bytes) -> Any:
    """Right about what is no JSON, and trusting about what is."""
    try:
        document = json.loads(body)
        assert isinstance(document, dict)
    except (ValueError, RecursionError, AssertionError):
        raise UnreadableError("not a JSON object") from None
    return document


def _forgets_a_member(body: bytes) -> object:
    return _careless(body)["StatusCode"]


def _forgets_a_type(body: bytes) -> object:
    results = _careless(body).get("Results") or {}
    return results.get("output1")


def _forgets_depth(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise UnreadableError("not JSON") from None


def _passes_on_what_it_is_given(body: bytes) -> object:
    return Answer(_careless(body).get("StatusCode", ""))


WRONG = [
    (_forgets_a_member, KeyError),
    (_forgets_a_type, AttributeError),
    (_forgets_depth, RecursionError),
    (_passes_on_what_it_is_given, AssertionError),
]


@pytest.mark.parametrize(("parse", "bug"), WRONG)
def test_a_wrong_parser_is_caught_by_drawn_bodies(
    parse: Callable[[bytes], object], bug: type[Exception]
) -> None:
    parse(GOOD)
    with pytest.raises(bug):
        always(200, foreign(GOOD), lambda body: parsed(parse, body))


@pytest.mark.parametrize(("parse", "bug"), WRONG)
def test_a_wrong_parser_is_caught_by_one_odd_value(
    parse: Callable[[bytes], object], bug: type[Exception]
) -> None:
    bodies = every_other_value(json.loads(GOOD))
    with pytest.raises(bug):
        _ = [parsed(parse, body) for body in bodies]


def test_our_own_error_is_no_bug() -> None:
    def refuse(_: bytes) -> object:
        raise UnreadableError("no")

    assert isinstance(parsed(refuse, b""), UnreadableError)


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        (True, int, False),
        (1, float, True),
        ("a", str | None, True),
        (1, str | None, False),
        ((("a", "b"),), tuple[tuple[str, str], ...], True),
        ((("a", 1),), tuple[tuple[str, str], ...], False),
        ({"a": 1.5}, dict[str, float], True),
        ({"a": "1"}, dict[str, float], False),
    ],
)
def test_types_are_looked_at_inside_too(value: object, kind: Any, fits: bool) -> None:
    assert is_of(value, kind) is fits


def test_every_kind_of_body_was_overheard(town: Town) -> None:
    assert all(town.bodies[kind] for kind in KINDS)
