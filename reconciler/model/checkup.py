"""The checks of `doctor`, and the result of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.places import NOWHERE, Source


class Level(StrEnum):
    """How much something matters, the worst first."""

    ERROR = "error"  # a run would fail, or would be refused
    WARNING = "warning"  # a run may fail, or would do less than people expect
    FINE = "fine"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    `what` names it in a word or two. `message` says how it is, and `fix` what to do where the
    message does not. `names` are the bindings that it concerns, () where it is of all of them.
    """

    what: str
    level: Level
    message: str = ""
    fix: str = ""
    source: Source = NOWHERE
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkup:
    """Everything that was looked at in an environment; `environment` is "" where none is valid."""

    environment: str
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found that a run would fail of."""
        return all(check.level is not Level.ERROR for check in self.checks)
