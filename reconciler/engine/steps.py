"""Answers of a binding's step, what the bindings of a run share, and whom they tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from reconciler.engine.slots import JobSlots, JobTimes
from reconciler.engine.train import VersionLocks
from reconciler.engine.world import World
from reconciler.errors import ERROR, REFUSED
from reconciler.model import Binding, Change, Failure, Held, Proof, Reached, Reason, Unfinished
from reconciler.soon import Soon


class Progress(Protocol):
    """Who is told what happens; called from worker threads."""

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        """A binding entered, or is still in, a phase."""

    def done(self, name: str, outcome: str) -> None:
        """A binding converged."""

    def failed(self, name: str, message: str) -> None:
        """A binding ended without converging."""

    def wave(
        self, message: str, ended: int = 0, number: str = "", *, pauses_s: Sequence[float] = ()
    ) -> None:
        """A wave of a version begins, or so many endpoints end because none does. `pauses_s`: how
        long the run waits before this wave and before each that follows; () after the last."""

    def beat(self) -> None:
        """Called a few times a second from the main thread."""


@dataclass(frozen=True)
class Again:
    """Look again after so many seconds."""

    after_s: float


class Run(Protocol):
    """One course of steps until it ends: of a binding, or of an endpoint that is not declared any
    more."""

    name: str
    address: str

    @property
    def training(self) -> bool:
        """Whether a job is being waited for."""

    @property
    def reached(self) -> Reached:
        """How far it came."""

    def step(self) -> Outcome:
        """Look, do one thing, say when to look again. Never raises a ReconcilerError."""


@dataclass(frozen=True)
class Ready:
    """Looked at and claimed; `begin` trains it when its training engine has a free job slot."""

    binding: Binding
    begin: Callable[[], Outcome]


@dataclass(frozen=True)
class Ended:
    """A binding that needs no more steps: its proof, or its failure; and whether it was changed,
    or perhaps was. `held`: it was left as it is, for the sake of an earlier wave."""

    proof: Proof | None = None
    failure: Failure | None = None
    changed: bool = False
    held: Held | None = None


def blocked_code(change: Change) -> int:
    """The exit code that a BLOCK stands for: not being able to read is an error, not a refusal."""
    return ERROR if change.code == Reason.UNREADABLE else REFUSED


Outcome = Again | Ready | Ended


@dataclass
class Course:
    """How a run goes: what it is to change, by whom it is stepped, and how it ended, by address.

    It is there for whoever must tell of a run that was cut off, in the middle of anything.
    """

    changes: tuple[Change, ...]
    runs: dict[str, Run] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The runs that did not end, and those that failed while nobody knows whether they changed
        it."""
        return tuple(
            Unfinished(change.name, change.address, reached)
            for change in sorted(self.changes, key=lambda change: change.address)
            for run in [self.runs.get(change.address)]
            for reached in [run.reached if run else Reached.NOT_BEGUN]
            if change.address not in self.ended
            or (reached is Reached.ASKED and self.ended[change.address].failure is not None)
        )


class Goal(Enum):
    """How far a run goes: `train` ends when the version is trained and judged, `rollback` well when
    the way back is proved."""

    SERVED = "served"
    TRAINED = "trained"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Shared:
    """The things that the bindings of one run share."""

    world: World
    goal: Goal
    progress: Progress
    slots: JobSlots
    soon: Soon
    locks: VersionLocks = field(default_factory=VersionLocks)
    times: JobTimes = field(default_factory=JobTimes)
