"""Outcomes: proofs, made versions, history, how a run ended, and what a checkup found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.model.observed import Health, HealthCode
from reconciler.model.places import NOWHERE, Source
from reconciler.model.plan import Drift, FieldDiff, Plan
from reconciler.model.records import Event, Score
from reconciler.model.versions import Judgement


@dataclass(frozen=True)
class Proof:
    """The record that an endpoint serves the model it should: read back, and scored.

    `model` names the model that was looked for: the declared one or, after a proof of that one
    failed, the one before (`rolled_back`), or "" where the endpoint had to go and is `gone`.
    `after` is None when the binding declares no probe; `before` is None when the endpoint was
    already converged or could not be asked before the change. `declared_only` says that the
    declaration was read back, and nothing shows which model answers. `agrees_with` names the
    binding whose answer was compared with this one and agreed.
    """

    name: str
    address: str
    model: str
    read_back: bool
    health: Health
    before: Score | None = None
    after: Score | None = None
    warnings: tuple[str, ...] = ()
    rolled_back: bool = False
    gone: bool = False
    declared_only: bool = False
    agrees_with: str = ""

    @property
    def converged(self) -> bool:
        """Whether nothing is left to do: it is as declared, as far as can be seen."""
        return self.read_back and self.health.code is HealthCode.HEALTHY

    @property
    def proved(self) -> bool:
        """Whether the endpoint serves what it should, and answers."""
        return self.converged and not self.declared_only


class VersionState(StrEnum):
    """The state of a model version."""

    CLAIMED = "claimed"  # no job exists yet
    BEGUN = "begun"
    FAILED = "failed"
    TRAINED = "trained"
    TAKEN_IN = "taken in"  # somebody else made it
    NOT_ACCEPTED = "not accepted"  # by its gates
    REJECTED = "rejected"  # by the proof of a swap


@dataclass(frozen=True)
class MadeVersion:
    """One model version, and what became of it.

    `at` is when it was begun, for git `commit`; `job` is its last, and `took_s` how long that ran
    until its end was seen (None: unknown, or it did not end well); `why` says what is wrong. Where
    the engine tells, `took_s` is its word, `queued_s` how long the job waited before, and
    `machines` what it ran on.
    `run` began it, `recipe` is how, as manifests have it, and `inputs` are the fingerprints of what
    its job was given, by file. It was there at `made_at`, scored on `rows`; "" and None before.
    """

    version: str
    state: VersionState
    at: str
    commit: str
    job: str
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    why: str = ""
    took_s: float | None = None
    run: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    made_at: str = ""
    rows: int | None = None
    queued_s: float | None = None
    machines: str = ""


@dataclass(frozen=True)
class History:
    """The versions of a binding's model and the events at its address; oldest first.

    `unread` says which versions could not be read, `commits` what git here knows of those that are
    named: the first line and the author.
    """

    name: str
    address: str
    live: str
    versions: tuple[MadeVersion, ...]
    events: tuple[Event, ...]
    unread: str = ""
    commits: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Explanation:
    """Why an endpoint serves what it serves.

    `made` is the version that serves, None where the store does not know it. `since` brought it in
    and `proof` ended its last proof; None where nobody noted that. `gates` are those that git
    declares now, judged against the version that served before. `before` are the other events.
    `commits` are as in a history, and `drift` is what was changed outside git.
    """

    name: str
    address: str
    live: str
    declared: str
    made: MadeVersion | None = None
    since: Event | None = None
    proof: Event | None = None
    gates: tuple[Judgement, ...] = ()
    before: tuple[Event, ...] = ()
    unread: str = ""
    commits: Mapping[str, str] = field(default_factory=dict, hash=False)
    drift: Drift | None = None


@dataclass(frozen=True)
class Compared:
    """Two versions of a binding's model, and where they differ."""

    name: str
    old: MadeVersion
    new: MadeVersion
    differences: tuple[FieldDiff, ...]


@dataclass(frozen=True)
class Failure:
    """A binding that did not converge: what was said, and the exit code it stands for."""

    name: str
    address: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class Held:
    """An endpoint that a run left as it was, because an earlier wave of its version is not proved.

    `until` is when the next run may go on, "" where that takes more than time; then `why` says
    what went wrong, and the endpoint was spared it.
    """

    name: str
    address: str
    version: str
    why: str = ""
    until: str = ""


class Reached(StrEnum):
    """The last step that a run reached with a binding that it did not prove."""

    NOT_BEGUN = "not_begun"
    TRAINING = "training"  # its job is there, and goes on in the cloud
    UNPROVED = "unproved"  # an earlier run changed it
    ASKED = "asked"  # a change was sent, and no answer says what became of it
    CHANGED = "changed"


TOUCHED = (Reached.ASKED, Reached.CHANGED)


@dataclass(frozen=True)
class Unfinished:
    """A binding that a run did not end, or of which it does not know whether it changed it."""

    name: str
    address: str
    reached: Reached


@dataclass(frozen=True)
class Report:
    """The report of a run: the last plan, what was done, proofs, failures, and what is unfinished.

    `done` are the addresses that were changed, or perhaps were; `held` waited for earlier waves.
    """

    plan: Plan
    done: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()
    failures: tuple[Failure, ...] = ()
    elapsed_s: float = 0.0
    forced: str = ""  # why limits and protection were overridden
    stopped_by: int = 0  # the signal that ended the run early; 0: it ran to its end
    unfinished: tuple[Unfinished, ...] = ()
    held: tuple[Held, ...] = ()


# --- the checks of `doctor`, and the result of each ----------------------------------------------


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
