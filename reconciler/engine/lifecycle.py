"""Endpoints that come, change their settings, or go: one write each, noted in the record before it.

Each answers the operation to ask for progress, "" where there is none. A run that is killed in
between is continued by the next one, because what was noted and what is there say how far it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.engine.steps import Again, Ended, Patience
from reconciler.engine.world import timestamp, with_event
from reconciler.errors import (
    ERROR,
    ProofError,
    ReconcilerError,
    StoppedError,
    UnavailableError,
    UnreachableError,
    in_doubt,
)
from reconciler.model import (
    Action,
    EventKind,
    Failure,
    Health,
    HealthCode,
    Model,
    Proof,
    Reached,
    Record,
    settings_to_keep,
)
from reconciler.platforms.contract import DONE, OperationState

if TYPE_CHECKING:
    from reconciler.engine.steps import Shared
    from reconciler.engine.world import World
    from reconciler.model import Address, Change, Observed, Owned
    from reconciler.platforms.contract import Progress, Target

APPEARS_S = 60.0  # how long a write may take to show in what is read
MOST_TROUBLES = 5  # consecutive steps that failed for reasons that may pass


@dataclass
class Written:
    """A write that the service took: what, when, and the operation to ask; "" when it has ended."""

    action: Action
    asked_at: float
    operation: str = ""


def wanted_model(observed: Observed) -> Model:
    """The declared version as it was made."""
    binding, artifact = observed.binding, observed.artifact
    place = artifact.location or artifact.ref
    return Model(place, binding.version, artifact.sha256, binding.key, artifact.metrics)


def create(world: World, observed: Observed) -> str:
    """Ask for the endpoint. There is no way back from it: nobody used it before."""
    binding, record = observed.binding, observed.record
    made = Record(
        wanted=observed.artifact.ref,
        previous=None,
        bound=None,
        proved=False,
        at=timestamp(world.clock.now()),
        history=record.history if record else (),
        etag=record.etag if record else "",
    )
    name = binding.version.version
    noted = with_event(world, made, EventKind.CREATE, world.actor.force, name)
    world.ledger.keep_record(binding.address, noted)
    return world.targets[binding.kind].create(binding, wanted_model(observed))


def update(world: World, observed: Observed, change: Change) -> str:
    """Ask for the declared settings; until they are read back nobody knows what they are."""
    binding, record = observed.binding, observed.record
    if record is not None:
        changing = {diff.path for diff in change.diffs}
        kept = tuple(pair for pair in record.settings if pair[0] not in changing)
        kept_record = replace(record, settings=kept)
        noted = with_event(world, kept_record, EventKind.SETTINGS, world.actor.force)
        world.ledger.keep_record(binding.address, noted)
    return world.targets[binding.kind].update(binding)


def settled(world: World, observed: Observed) -> None:
    """Note the settings that were read back, so that a change of them outside git is seen."""
    binding, record = observed.binding, observed.record
    settings = settings_to_keep(binding, observed.live)
    if record is None:
        now = timestamp(world.clock.now())
        first = Record(observed.artifact.ref, None, None, proved=True, at=now)
        name = binding.version.version
        record = with_event(world, first, EventKind.SETTINGS, world.actor.force, name)
    if record.settings != settings:
        world.ledger.keep_record(binding.address, replace(record, settings=settings))


def delete(world: World, kind: str, address: Address) -> str:
    """Ask for the end of the endpoint. What was made of its model, and done there, is kept."""
    record = world.ledger.record(address)
    last = record.history[-1].what if record and record.history else None
    if record is not None and last is not EventKind.DELETE:
        noted = with_event(world, record, EventKind.DELETE, world.actor.force)
        world.ledger.keep_record(address, noted)
    return world.target(kind).delete(address)


def progress_of(target: Target, operation: str) -> Progress:
    """How far an operation is that leaves nothing to undo; ProofError where it failed."""
    seen = target.progress(operation) if operation else DONE
    if seen.state is OperationState.FAILED:
        raise ProofError(seen.words)
    return seen


def gone(name: str, address: str) -> Proof:
    """The proof that nothing is there any more."""
    health = Health(HealthCode.HEALTHY, "it is not there any more")
    return Proof(name, address, "", read_back=True, health=health, gone=True)


class RemovalRun:
    """The steps of an endpoint that git does not declare any more; `Run` of the engine."""

    training = False

    def __init__(self, owned: Owned, shared: Shared) -> None:
        self.name = owned.name
        self.address = str(owned.address)
        self._owned = owned
        self._shared = shared
        self._written: Written | None = None
        self._troubles = 0
        self._in_doubt = False
        self._waiting = Patience(0.5, 5.0)

    @property
    def reached(self) -> Reached:
        """How far it came."""
        if self._written is not None:
            return Reached.CHANGED
        return Reached.ASKED if self._in_doubt else Reached.NOT_BEGUN

    def step(self) -> Again | Ended:
        """Ask for its end, then for how far that is. Never raises a ReconcilerError."""
        try:
            outcome = self._step()
        except (UnavailableError, UnreachableError) as exc:
            self._troubles += 1
            if self._troubles > MOST_TROUBLES:
                return self._failed(exc.message, exc.exit_code)
            return Again(2.0**self._troubles / 2)
        except StoppedError:
            return Again(0.0)  # which does not come: the run ends
        except ReconcilerError as exc:
            return self._failed(exc.message, exc.exit_code)
        self._troubles = 0
        return outcome

    def _step(self) -> Again | Ended:
        world, target = self._shared.world, self._shared.world.target(self._owned.kind)
        if self._written is None:
            self._shared.progress.phase(self.name, "deleting")
            doubted, self._in_doubt = self._in_doubt, True  # until the answer comes
            try:
                operation = delete(world, self._owned.kind, self._owned.address)
            except ReconcilerError as exc:
                self._in_doubt = doubted or in_doubt(exc)
                raise
            self._written = Written(Action.DELETE, world.clock.now(), operation)
        seen = progress_of(target, self._written.operation)
        if seen.state is OperationState.RUNNING:
            if world.clock.now() - self._written.asked_at > target.can.stuck_after_s:
                return self._failed(f"its end is still {seen.words}", ERROR)
            self._shared.progress.phase(self.name, "deleting", seen.words)
            return self._waiting.again()
        self._shared.progress.done(self.name, "deleted")
        return Ended(proof=gone(self.name, self.address), changed=True)

    def _failed(self, message: str, exit_code: int) -> Ended:
        self._shared.progress.failed(self.name, message)
        failure = Failure(self.name, self.address, message, exit_code)
        return Ended(failure=failure, changed=self._written is not None or self._in_doubt)
