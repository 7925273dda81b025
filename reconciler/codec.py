"""Frozen values as JSON and back, strictly: nothing is guessed, and damage is named by its place.

A value's members are the members of its object; enums stand there by value, decimals and numbers
that JSON does not have (nan, inf) as text. A reader of foreign files trusts nothing: `true` is
no number, a text no list, and every problem of a document is told at once.

Leniency is what makes formats rot. A reader that takes `"5"` for 5 or `1` for true makes the next
writer careless, and two programs then disagree about one file. So each hook asks for the one kind
of JSON that its type is written as, and converts nothing but the numbers that JSON cannot write.
Problems are gathered and told with the path to each, a few at a time: a snapshot with a thousand
damaged answers is one mistake, not a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeVar

from cattrs import Converter, transform_error
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    is_mapping,
    is_sequence,
    mapping_structure_factory,
)
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn

_Value = TypeVar("_Value")

MOST_PROBLEMS = 5  # told of one document
_KINDS: dict[type, str] = {str: "text", int: "a whole number", bool: "true or false"}


def make_codec() -> Converter:
    """A converter that is strict; rooms add the shapes of their own values to it."""
    codec = Converter()
    for kind in _KINDS:
        codec.register_structure_hook(kind, _exactly)
    codec.register_structure_hook(float, _number)
    codec.register_structure_hook(Decimal, _decimal)
    codec.register_structure_hook_func(
        lambda kind: isinstance(kind, type) and issubclass(kind, Enum), _member
    )
    for applies, kind, description, make in (
        (is_sequence, list, "a list", homogenous_tuple_structure_factory),
        (is_mapping, dict, "an object", mapping_structure_factory),
        (is_dataclass, dict, "an object", make_dict_structure_fn),
    ):
        codec.register_structure_hook_factory(applies, _only(kind, description, make))
    codec.register_unstructure_hook(float, lambda v: v if math.isfinite(v) else str(float(v)))
    codec.register_unstructure_hook(Decimal, str)
    return codec


def read(codec: Converter, kind: type[_Value], document: object, place: str) -> _Value:
    """The value that the JSON holds; ValueError says what is wrong with it, and where."""
    try:
        return codec.structure(document, kind)
    except (BaseValidationError, ValueError) as exc:
        texts = transform_error(exc, place, lambda problem, _: _problem(problem))
        problems = [f"{where}: {what}" for what, _, where in (t.rpartition(" @ ") for t in texts)]
        more = [f"and {len(problems) - MOST_PROBLEMS} more"] * (len(problems) > MOST_PROBLEMS)
        raise ValueError("; ".join(problems[:MOST_PROBLEMS] + more)) from None  # a page of groups


def _problem(problem: BaseException) -> str:
    return "is missing" if isinstance(problem, KeyError) else str(problem)


def _only(kind: type, description: str, make: Callable[[Any, Converter], Any]) -> Any:
    """The hooks that `make` makes, for values of this kind of JSON alone."""

    def factory(cls: Any, codec: Converter) -> Callable[[Any, Any], Any]:
        structure = make(cls, codec)

        def hook(value: Any, _: Any) -> Any:
            if type(value) is not kind:
                raise ValueError(f"must be {description}")
            return structure(value, cls)

        return hook

    return factory


def _exactly(value: Any, kind: type) -> Any:
    if issubclass(kind, Enum):  # a StrEnum is dispatched as text
        return _member(value, kind)
    if type(value) is not kind:  # true is no whole number
        raise ValueError(f"must be {_KINDS[kind]}")
    return value


def _member(value: Any, cls: type[Enum]) -> Any:
    try:
        return cls(value)
    except ValueError as exc:
        known = ", ".join(str(member.value) for member in cls)
        raise ValueError(f"{value!r} is none of {known}") from exc


def _number(value: Any, _: object) -> float:
    """The float in a number, or in one of the texts for what JSON cannot write."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    try:
        return float(value)
    except OverflowError as exc:
        raise ValueError("is too large a number") from exc


def _decimal(value: Any, _: object) -> Decimal:
    try:
        number = Decimal(_exactly(value, str))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number
