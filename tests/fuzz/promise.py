"""What every parser of foreign bytes promises, and how often a property asks for it."""

from __future__ import annotations

import dataclasses
import typing
import warnings
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis.errors import HypothesisWarning

from reconciler import model
from reconciler.errors import ReconcilerError
from reconciler.stores.contract import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

_NAMES = {**vars(model), "Mapping": Mapping, "Place": Place}  # imported for typing only
SLOWEST = timedelta(seconds=5)  # for one body; a machine that is busy must not fail the tests


def parsed(parse: Callable[[bytes], Any], body: bytes) -> Any:
    """What comes of a body: the value, or our own error. Everything else is a bug and escapes.

    The value must have the types that it declares, all the way down: a parser that lets a number
    through where it promised text only moves the exception to whoever trusts it.
    """
    try:
        value = parse(body)
    except ReconcilerError as exc:
        value = exc
    except Exception as exc:
        exc.add_note(f"for the body {body[:2000]!r} of {len(body)} bytes")
        raise
    assert not isinstance(value, ReconcilerError) or value.message, "an error that says nothing"
    check_types(value)
    return value


def check_types(value: object) -> None:
    """AssertionError, naming the member, unless frozen values hold what they declare."""
    if not dataclasses.is_dataclass(value):
        return
    declared = typing.get_type_hints(type(value), localns=_NAMES)
    for each in dataclasses.fields(value):
        held = getattr(value, each.name)
        said = f"{type(value).__name__}.{each.name} is {held!r:.80}, not {declared[each.name]}"
        assert is_of(held, declared[each.name]), said
        check_types(held)


def is_of(value: object, kind: Any) -> bool:
    """Whether a value is of a type, inside its containers too."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin is None:
        return _is_plain(value, kind)
    if origin is tuple and inside[1:] == (...,):
        return isinstance(value, tuple) and all(is_of(each, inside[0]) for each in value)
    if origin is tuple:
        return (
            isinstance(value, tuple)
            and len(value) == len(inside)
            and all(map(is_of, value, inside))
        )
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(
            is_of(key, inside[0]) and is_of(below, inside[1]) for key, below in value.items()
        )
    if origin is list:
        return isinstance(value, list) and all(is_of(each, inside[0]) for each in value)
    return any(is_of(value, each) for each in inside)  # a union


def _is_plain(value: object, kind: type) -> bool:
    if isinstance(value, bool) and kind is not bool:
        return False
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, kind)


def always(examples: int, strategy: SearchStrategy[Any], holds: Callable[[Any], object]) -> None:
    """Ask `holds` of that many values; the same ones in every run."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=SLOWEST,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(strategy)
    def asked(value: Any) -> None:
        holds(value)

    with warnings.catch_warnings():
        # A body of a hundred thousand brackets has a long repr, and is shown only if it fails.
        warnings.simplefilter("ignore", HypothesisWarning)
        asked()
