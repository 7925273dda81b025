"""The seam for platforms: what the engine asks of a target, a trainer and a registry.

Each answers with values and never waits: a swap or a job goes on at the platform unseen,
and a run that is killed finds it again by asking. A write says only that it was accepted, so each
has its counterpart among the reads, and the engine believes the read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from reconciler.model import (
        Address,
        AddressId,
        Binding,
        Live,
        Model,
        ModelRef,
        Owned,
        Recipe,
        Score,
        Spent,
    )
    from reconciler.soon import Soon
    from reconciler.stores.contract import Place


@dataclass(frozen=True)
class Can:
    """The abilities of a kind of endpoint: shown in the plan, and decides which way the engine
    goes.

    `stage`: a candidate can be scored before it has traffic. `keep_warm`: the previous model runs
    on after a switch until it is retired. `shows_served`: reading tells which model answers, and
    not only which one was declared. `answer_names_model`: so does an answer. `score`: it can be
    asked at all. `foreign`: it takes a model from outside the store. `create`, `delete`: endpoints
    can be made and deleted. `serves_at_once`: one that is made serves its model from its first
    moment. `writes_together`: one write carries other endpoints with it.
    `settle_s` is the time after which a write is in effect at the latest, beyond the end of its
    operation; 0 where the operation's end is the truth. An operation that runs longer than
    `stuck_after_s` is given up.
    """

    stage: bool = False
    keep_warm: bool = False
    shows_served: bool = True
    answer_names_model: bool = False
    score: bool = True
    foreign: bool = True
    create: bool = False
    delete: bool = False
    serves_at_once: bool = False
    writes_together: bool = False
    settle_s: float = 0.0
    stuck_after_s: float = 900.0


class Left(StrEnum):
    """How a failed write left the endpoint; it decides what is undone."""

    AS_BEFORE = "as before"  # nothing to undo
    CANDIDATE_DECLARED = "candidate declared"  # the old model answers, the new one may start yet
    CANDIDATE_UNFIT = "candidate unfit"  # the old model answers, and the new one must not
    DOWN = "down"  # nothing answers


class OperationState(StrEnum):
    """How far an operation is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Progress:
    """The progress of an operation, as the platform reports it: its state, in words, and how a
    failure left things.

    Done is not proved: what is read back afterwards says what serves.
    """

    state: OperationState
    words: str = ""
    left: Left = Left.AS_BEFORE


DONE = Progress(OperationState.DONE)


@dataclass(frozen=True)
class Answer:
    """The answer of an endpoint to the probe, and which model it says it was: the reference or
    the version of it, "" where it does not say."""

    score: Score
    model: str = ""


HOW_MADE = ("how its versions are made",)  # what no endpoint tells


@dataclass(frozen=True)
class Unmanaged:
    """An endpoint that no environment declares or owns, as `import` writes it.

    `spec` is what a binding must say of it below `spec`, without its model, and `settings` what it
    may say beside that, where it differs from the platform's default. Both are texts, numbers,
    booleans and objects of these. `model` and `version` are what it serves, and `made` is the
    `spec` of a Model that has this version; {} where nobody can tell how its versions are made, and
    then the endpoint is left alone until a person says it. `decide` says what that is, in words.
    `unread` says why this endpoint alone could not be read, or not be declared; "" where it was.
    """

    name: str
    address: Address
    spec: Mapping[str, Any] = field(hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    model: str = ""
    version: str = ""
    made: Mapping[str, Any] = field(default_factory=dict, hash=False)
    decide: tuple[str, ...] = ()
    unread: str = ""


class Target(Protocol):
    """The questions and orders of the engine to a kind of endpoint, from many threads.

    A write is idempotent, reads again just before it writes, and answers the operation to ask for
    progress, "" where there is none. That it was accepted proves nothing yet. A platform inherits
    what it cannot do; `can` keeps the engine from asking for that.
    """

    can: Can

    def settles_in_s(self, binding: Binding) -> float:
        """`can.settle_s`, or as long as it takes at this address."""
        return self.can.settle_s

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> Target:
        """This target, whose `observe` may answer for these bindings from lists read once.

        Itself where there are no lists. What a list does not show, or not wholly, is asked for by
        a request of its own; a list that cannot be read is an error of every binding on it. Only
        planning uses it: a step always looks afresh.
        """
        return self

    def observe(self, binding: Binding) -> Live:
        """The live state of the address; raises WireError when that cannot be read."""

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[Address]:
        """Addresses that lists show beside those of these bindings, and that git could bind as
        well.

        Only a snapshot asks, so that it knows what a pull request binds anew.
        """
        return ()

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """Endpoints with our mark that are not declared; WireError unless all was read."""
        return ()

    def unmanaged(self, declared: Collection[AddressId]) -> Iterable[Unmanaged]:
        """Live endpoints without a mark that are not declared; WireError unless all was listed.

        It costs no request for each: `status` counts them. `described` is asked for the rest.
        """
        return ()

    def described(self, endpoint: Unmanaged) -> Unmanaged:
        """One of `unmanaged` with all that a binding may say of it; WireError where that cannot be
        read. Only `import` asks, from many threads."""
        return endpoint

    def export(self, binding: Binding) -> dict[str, Any]:
        """The live state as a document to keep and to plan against, without secrets."""

    def ref(self, binding: Binding, model: Model) -> ModelRef:
        """How this platform calls a model, so that it compares with what `observe` shows; pure."""
        return model.ref

    def version_of(self, binding: Binding, ref: ModelRef) -> str:
        """Which version of the binding's own model a reference names; "" where it does not say;
        pure."""
        return ""

    def publishes(self, binding: Binding) -> str:
        """The registered model that `publish` adds a version to; "" where it adds none."""
        return ""

    def is_one_model(self, first: ModelRef, second: ModelRef) -> bool:
        """Whether two references name one model, in whatever way it is served; pure."""
        return first == second

    def publish(self, binding: Binding, model: Model) -> str:
        """Make the model known to the platform's own registry, where it has one."""
        return ""

    def stage(self, binding: Binding, model: Model) -> str:
        """Start the model beside the one that serves, without traffic; only where `can.stage`."""
        raise _cannot("stage a model")

    def switch(self, binding: Binding, model: Model) -> str:
        """Let the endpoint serve the model."""

    def take_back(self, binding: Binding, model: Model) -> str:
        """Undo a failed switch: declare the model again that was proved, and drop the candidate."""
        return self.switch(binding, model)

    def retire(self, binding: Binding) -> str:
        """Drop what is not needed any more: the previous model after the proof, or a candidate that
        failed beside a model that is not the way back."""
        return ""

    def create(self, binding: Binding, model: Model) -> str:
        """Make the endpoint with this environment's mark; only where `can.create`.

        It serves `model` from its first moment where `can.serves_at_once`; else it is bound in a
        later step.
        """
        raise _cannot("be created")

    def update(self, binding: Binding) -> str:
        """Write the declared settings, our mark, and into it whether the endpoint is protected.

        One that was `unmarked` is marked as adopted, for good: only its name deletes it.
        """
        raise _cannot("have settings")

    def delete(self, address: Address) -> str:
        """Delete the endpoint, if it still carries our mark; no error where it is gone already.

        RefusedError where it must be kept. Only where `can.delete`.
        """
        raise _cannot("be deleted")

    def progress(self, operation: str) -> Progress:
        """How far an operation is; of a platform whose writes end at once, done."""
        return DONE

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:
        """The answer of the endpoint, or of its staged candidate, to the binding's probe."""
        raise _cannot("be scored")


class JobState(StrEnum):
    """The states of a training job."""

    NOT_STARTED = "NotStarted"  # also of an id that nobody started
    RUNNING = "Running"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    FINISHED = "Finished"
    FORGOTTEN = "Forgotten"  # the engine knows no such job (any more)


ENDED = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.FINISHED})


@dataclass(frozen=True)
class Job:
    """An engine's word about one job.

    `outputs` are by role, `MODEL` and `METRICS`, and empty until it is finished. `message` says why
    it failed, with the last lines of its log, or why a finished one left no model; of a running
    one, what it waits for, "" while its command runs. `metrics` is the
    file of the metrics where the outputs are still to be collected, None where they are in place.
    """

    state: JobState
    message: str = ""
    outputs: Mapping[str, Place] = field(default_factory=dict, hash=False)
    metrics: bytes | None = None


@dataclass(frozen=True)
class Order:
    """All that it takes to start a job. It is made again from the manifest after a crash.

    `key` is the training key (64 hex), `attempt` counts from 1. `inputs` are by the recipe's names,
    `outputs` by role. `labels` are for people who look at the engine's own list of jobs.
    """

    key: str
    attempt: int
    recipe: Recipe
    inputs: Mapping[str, Place] = field(hash=False)
    outputs: Mapping[str, Place] = field(hash=False)
    timeout_s: float
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def job(self) -> str:
        """The id of the job, where the client may choose it: one for each attempt."""
        return f"rc-{self.key[:32]}-a{self.attempt}"

    def job_of(self, store: str) -> str:
        """The id of the job, where stores may share the place of jobs: a version that is promoted
        has one key in both, and each makes it for itself."""
        key, _, attempt = self.job.rpartition("-")
        return f"{key}-{hashlib.sha256(store.encode()).hexdigest()[:8]}-{attempt}"


class Trainer(Protocol):
    """A training engine as the engine of this program calls it, from many threads.

    A job is observed like everything else: nobody waits inside a call, so a run that is killed
    loses nothing. The ledger notes the job's id between `prepare` and `start`; of any number of
    runs one notes its own, and only that job is ever started.

    `most_jobs` may be unfinished at a time. `forgets` says that the engine may lose a job that was
    started, and then knows nothing of it: such a job is lost, and the next attempt has another id.
    `grants` says that its jobs reach files by the grants of an order; else the order has none.
    `collects` says that jobs may leave their outputs elsewhere, until they are collected.
    """

    most_jobs: int = 16
    forgets: bool = False
    grants: bool = True
    collects: bool = False

    def prepare(self, order: Order) -> str:
        """The id of a job that runs nothing until it is started. Never retried."""
        return order.job

    def start(self, job: str, order: Order) -> None:
        """Start the job; one that was started before is left alone."""

    def look(self, job: str) -> Job:
        """The job as it is now."""

    def cancel(self, job: str) -> None:
        """End a job; a job that is gone is fine."""

    def spent(self, job: str) -> Spent | None:
        """How long a job that ended waited and ran; None where the engine does not tell."""
        return None

    def collect(self, job: str, order: Order) -> None:
        """Bring the outputs of a finished job to where the order says; nothing where they are."""
        return


@dataclass(frozen=True)
class Registered:
    """A version as a registry shows it.

    `refusal` says why it must not be taken in, with the near ones; "" where it may. `metrics` are
    those of the run that made it, NaN where the run says so. `notes` say what else people know it
    by: its aliases and tags.
    """

    version: str
    refusal: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()

    @property
    def finite(self) -> dict[str, float]:
        """The metrics that a gate can judge."""
        return {name: value for name, value in self.metrics.items() if isfinite(value)}


class Registry(Protocol):
    """A registry of model versions as the engine of this program calls it, from many threads.

    A recipe names the registered model and, as its parameter `version`, the version.
    """

    def look(self, recipe: Recipe) -> Registered:
        """The version; where there is none, the refusal says so."""

    def offers(self, recipe: Recipe, follow: str) -> Iterable[str]:
        """Versions that may come after this one, the best first: the newest, or the followed."""

    def publish(self, name: str, model: Model) -> str:
        """Register a model that was made elsewhere, with its labels, once; the number it has."""

    def fetch(self, recipe: Recipe, path: Path) -> None:
        """Write the version's artifact to a file that is not there; the same bytes each time."""


def _cannot(do: str) -> RefusedError:
    return RefusedError(f"this kind of endpoint cannot {do}")
