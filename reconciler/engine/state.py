"""The memory of a run about one endpoint, and its next steps: frozen values of the machine.

`machine.py` tells how they follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from reconciler.engine.slots import Watch
from reconciler.engine.steps import Goal
from reconciler.errors import ReconcilerError
from reconciler.model import Binding, Change, EventKind, Model, Owned, Proof, Reached, Record, Score
from reconciler.platforms.contract import Can, Job

if TYPE_CHECKING:
    from reconciler.ledger import Entry  # deciding is pure: it knows a ledger as a type only

FIRST_PAUSE_S, MOST_PAUSE_S = 0.25, 5.0  # between two looks at an update; each is 1.5 times longer
APPEARS_S = 60.0  # how long a write may take to show in what is read


class Verb(Enum):
    """A write to a platform; the value is the phase that people see."""

    PUBLISH = "publishing"
    STAGE = "staging"
    SWITCH = "swapping"
    TAKE_BACK = "rolling back"
    DROP = "dropping the candidate"
    CREATE = "creating"
    UPDATE = "updating"
    DELETE = "deleting"

    @property
    def swaps(self) -> bool:
        """Whether it changes which model serves."""
        return self in (Verb.SWITCH, Verb.TAKE_BACK)

    @property
    def of_candidate(self) -> bool:
        """Whether it concerns the candidate alone, so that the endpoint stays as it is."""
        return self in (Verb.PUBLISH, Verb.STAGE, Verb.DROP)


@dataclass(frozen=True)
class Task:
    """The task of a run at one endpoint; it never changes.

    `approved` is the change that was shown and approved: nothing else is done. `undeclared` is an
    endpoint that git does not declare any more, in place of a `binding`. A swap is in effect after
    `settles_in_s` at the latest. Before, its version is published to the models `publishes`.
    """

    approved: Change
    binding: Binding | None = None
    undeclared: Owned | None = None
    goal: Goal = Goal.SERVED
    can: Can = field(default_factory=Can)
    settles_in_s: float = 0.0
    publishes: tuple[str, ...] = ()
    force: str = ""  # why limits and protection are overridden

    @property
    def of(self) -> Binding:
        """The binding, where one is looked at."""
        assert self.binding is not None
        return self.binding

    @property
    def asks(self) -> bool:
        """Whether the endpoint is asked for a proof: it can be, and a probe is declared."""
        return self.can.score and self.of.probe is not None


class At(Enum):
    """Which answer the machine waits for."""

    BEGIN = auto()  # none: a visit begins
    JOB = auto()  # what the engine says of the training job
    PROGRESS = auto()  # how far the last write is
    LOOK = auto()  # what is
    NOTE = auto()  # the same, once the manifest says so
    CLAIM = auto()  # the claimed manifest
    START = auto()  # the id of the started job
    PROBE = auto()  # the live answer, before anything is trained or staged
    CANDIDATE = auto()  # the answer of the staged candidate
    SILENCE = auto()  # the live answer, after the candidate gave none
    DROP = auto()  # none: why the candidate goes is known before it is dropped
    BEFORE = auto()  # the live answer before the swap
    RECORD = auto()  # the record with the way back, as it is kept
    WRITE = auto()  # that the platform took the write
    BOUND = auto()  # the record that says what a hiding service was told
    SHARE = auto()  # the answer of the new model, while it has a share of the traffic
    PROOF = auto()  # the answer after the swap
    UNREJECT = auto()  # whether the rejection for silence could be taken back


@dataclass(frozen=True)
class Operation:
    """A write that the platform took and may not have ended."""

    name: str
    verb: Verb
    since: float


@dataclass(frozen=True)
class Candidate:
    """The candidate before the switch: whether the platform knows it, when it was first seen
    staged, why it does not answer yet, why it is to be dropped, and what it answered."""

    published: bool = False
    staged_at: float | None = None
    silence: str = ""
    failed: str = ""
    answer: Score | None = None


@dataclass(frozen=True)
class Swap:
    """A swap that was asked for and is not proved. `silence` is why it does not answer yet."""

    asked_at: float
    record: Record
    silence: str = ""

    @property
    def is_the_last(self) -> bool:
        """Whether no model is known to go back to but the one that was swapped in."""
        return self.record.previous in (None, self.record.wanted)

    @property
    def name(self) -> str:
        """The name that people know the swapped-in model by."""
        return self.record.version_of(self.record.wanted) or self.record.wanted.short_name


@dataclass(frozen=True)
class State:
    """The memory of a run about one endpoint between two looks: for patience and for words only. A
    run that is killed loses nothing that the next look would not find."""

    task: Task
    at: At = At.BEGIN
    reached: Reached = Reached.NOT_BEGUN  # as far as it comes without a write
    # the training
    claimed: tuple[Entry, float] | None = None  # and when that was looked at
    watch: Watch | None = None
    ended: tuple[str, Job] | None = None  # a job and its last word
    # the writes
    operation: Operation | None = None
    written: tuple[Verb, float] | None = None  # the last write that was no swap, and when
    candidate: Candidate = Candidate()
    swap: Swap | None = None
    # the proof, and the way back
    spares: bool = False  # the version, if it fails: it was proved here with other settings
    probed: bool = False  # whether the live endpoint was asked before anything was made
    disproved: str = ""  # why the candidate was rejected, on the way back
    heard: Score | None = None  # what the disproved candidate answered, and only it
    unheard: str = ""  # why this run rejected it, where that was for no answer at all
    proof: Proof | None = None  # of a swap, where its settings still have to follow
    # patience
    waiting_since: float | None = None  # for an update of somebody else
    pause_s: float = FIRST_PAUSE_S
    troubles: int = 0  # in a row, that may pass

    def without_swap(self) -> State:
        """Nothing is known any more of what is on its way there."""
        verb = self.operation.verb if self.operation is not None else None
        ours = verb is not None and (verb.swaps or verb.of_candidate)
        operation = None if ours else self.operation
        return replace(self, swap=None, candidate=Candidate(), operation=operation)


# --- steps ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do, and what people are told before; `phase` "": nothing new."""

    phase: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Look(Step):
    """Observe the endpoint and the version. Answers Observed."""


@dataclass(frozen=True)
class Note(Step):
    """Note in the manifest what was observed of the job, and why the gates refuse it. Answers
    Observed."""

    refused: str


@dataclass(frozen=True)
class Claim(Step):
    """Claim the version. Answers its Entry; None where another recipe has it."""


@dataclass(frozen=True)
class Queue(Step):
    """Wait for a job slot. Answers True where it is held already."""


@dataclass(frozen=True)
class Start(Step):
    """Start the job of a claimed version. Answers its id; "" where another run was ahead."""

    entry: Entry


@dataclass(frozen=True)
class AskJob(Step):
    """Look at a training job. Answers Job."""

    job: str


@dataclass(frozen=True)
class FreeSlot(Step):
    """Give the job slot back. `job` ended, "" where none was waited for; it finished if `took_s`
    says after how long."""

    job: str = ""
    took_s: float | None = None


@dataclass(frozen=True)
class AskProgress(Step):
    """Ask how far an operation is. Answers Progress, or the error that came instead."""

    operation: str


@dataclass(frozen=True)
class Ask(Step):
    """Send the probe; `compare`: to the binding that the answer must agree with, too. Answers
    Answer, or the error that came instead."""

    staged: bool = False
    compare: bool = False


@dataclass(frozen=True)
class Write(Step):
    """Write to the platform. Answers Taken."""

    verb: Verb
    model: Model | None = None


@dataclass(frozen=True)
class Retire(Step):
    """Drop what a proved swap left over. A later swap drops it too, so it fails nothing."""


@dataclass(frozen=True)
class Keep(Step):
    """Keep the record, with one more event. Answers the Record as it is kept."""

    record: Record
    event: EventKind | None = None
    why: str = ""
    version: str | None = None


@dataclass(frozen=True)
class KeepSettings(Step):
    """Note the settings that were read back."""


@dataclass(frozen=True)
class Refuse(Step):
    """Note why the gates do not accept the version; "" now that they do."""

    why: str


@dataclass(frozen=True)
class Reject(Step):
    """Reject the version, so that no run binds it again; `silent`: for no answer. Where it `spares`
    the version, only note that it failed with these settings."""

    why: str
    silent: bool = False
    spares: bool = False


@dataclass(frozen=True)
class Unreject(Step):
    """Take back that silence here rejected the version. Answers whether it is free now."""


@dataclass(frozen=True)
class Wait(Step):
    """Look again after so many seconds. The visit ends."""

    after_s: float


@dataclass(frozen=True)
class WaitForJob(Step):
    """Look at the job again when one of this age, or that is still queued, may have ended."""

    job: str
    age_s: float
    queued: bool


@dataclass(frozen=True)
class Succeed(Step):
    """The endpoint is as it must be. The run ends here."""

    outcome: str
    proof: Proof | None = None


@dataclass(frozen=True)
class Fail(Step):
    """The endpoint is not as it must be. The run ends here."""

    message: str
    exit_code: int
    proof: Proof | None = None


class Taken(NamedTuple):
    """That the platform took a write, and the operation to ask for; "" where it has ended."""

    verb: Verb
    operation: str


@dataclass(frozen=True)
class Trouble:
    """A step failed, so the state is as it was before the turn."""

    error: ReconcilerError


class Turn(NamedTuple):
    """The next steps, in this order, and the state once all of them are done."""

    state: State
    steps: tuple[Step, ...]

    def after(self, *steps: Step) -> Turn:
        """The turn with steps before its own."""
        return Turn(self.state, (*steps, *self.steps))


def turn(state: State, at: At, *steps: Step) -> Turn:
    """Do this, and go on with its answer."""
    return Turn(replace(state, at=at), steps)


def wait(state: State, after_s: float, phase: str = "", detail: str = "") -> Turn:
    """End the visit, and look again after so long."""
    after = replace(state, at=At.BEGIN, troubles=0)
    return Turn(after, (Wait(after_s, phase=phase, detail=detail),))


def again(state: State, phase: str = "", detail: str = "") -> Turn:
    """Look again after a pause that grows from look to look."""
    longer = replace(state, pause_s=min(state.pause_s * 1.5, MOST_PAUSE_S))
    return wait(longer, state.pause_s, phase, detail)


def still_updating(state: State, since: float, words: str, phase: str, now: float) -> Turn:
    """Look again at an update, unless it has lasted too long; then ReconcilerError."""
    most_s = state.task.can.stuck_after_s
    if now - since > most_s:
        raise ReconcilerError(f"the update is still {words} after {most_s:g} s")
    return again(state, phase, words)


def fail(state: State, message: str, exit_code: int, proof: Proof | None = None) -> Turn:
    """The end of an endpoint that is not as it must be."""
    return Turn(state, (Fail(message, exit_code, proof or state.proof),))
