"""Where things were written, and where models are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True)
class Source:
    """A place in the desired state: file, line and column (both from 1)."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        """`path:line:column`, which editors and CI annotations understand."""
        return f"{self.path}:{self.line}:{self.column}"


NOWHERE = Source("", 0, 0)


class Address(Protocol):
    """Where a model is served. Each target owns a frozen dataclass that fits this."""

    def __str__(self) -> str:
        """The id that people see and plans sort by; unique within an environment."""
        ...

    @property
    def key(self) -> str:
        """The id that a store files by; unique also where environments share the store."""
        ...
