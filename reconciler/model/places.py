"""Places: of what is written in the YAML, and addresses at which models are served."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol
from unicodedata import normalize


@dataclass(frozen=True, order=True, slots=True)
class Source:
    """A place in the desired state: file, line and column (both from 1)."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        """`path:line:column`, which editors and CI annotations understand."""
        return f"{self.path}:{self.line}:{self.column}"


NOWHERE = Source("", 0, 0)


@dataclass(frozen=True)
class AddressId:
    """The one identity of an address: shown to people, filed by stores, compared by everybody.

    `shown` is what plans sort by, unique within an environment; `filed` tells apart the addresses
    of all environments that share a store. Two ids are equal where platforms could not tell them
    apart: these fold case, and no reader tells Unicode forms apart.
    """

    shown: str = field(compare=False)
    filed: str = field(compare=False)
    folded: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fold what is compared."""
        object.__setattr__(self, "folded", folded(self.filed))

    def __str__(self) -> str:
        """The id as people see it."""
        return self.shown


# What no name of a file may hold: ends of lines, other controls, and what is no text. Blanks of any
# kind and joiners are parts of names, although `str.isprintable` refuses them.
NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """How long `90s`, `30m`, `2h` or `7d` is, as git writes it."""
    return float(text[:-1]) * _SECONDS[text[-1]]


def folded(text: str) -> str:
    """The text as addresses are compared, and records are filed: without case and Unicode form."""
    return normalize("NFC", text).casefold()


class Address(Protocol):
    """An address at which a model is served; platforms own frozen dataclasses that inherit it."""

    def __str__(self) -> str:
        """The id that people see and plans sort by; unique within an environment."""

    @property
    def key(self) -> str:
        """The id that a store files by; unique also where environments share the store."""

    @property
    def within(self) -> str:
        """In what it lies, where equal keys of two environments may be two addresses; else ""."""
        return ""

    @cached_property
    def id(self) -> AddressId:
        """Its one identity."""
        return AddressId(str(self), self.key)
