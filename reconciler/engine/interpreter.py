"""Performs the steps of the machine: touches the target, the engine, the ledger and the clock.

It decides nothing. Beside the machine's state it remembers how far its writes came, which must be
known of a run that is cut off in the middle of one.

At the whiteboard: a visit is a dialogue. `next_step` hands over a turn, which is a few steps and
the state that holds after them. The steps are performed in their order, the answer to the last one
goes into the next turn, and the visit ends with the first answer that is an Outcome. The new state
is taken over only when every step of its turn has succeeded. A step that raises leaves the state as
it was, and the error is the next answer. So what an error means is decided in the pure machine,
where a table tests it; handlers around each step would spread that decision over this file.

A write ends in one of three ways: done, refused, or without an answer. It counts as asked from the
moment at which it is sent, and only an error that rules out a change (see `in_doubt`) takes that
back. This is right whether or not the platform got the request: the report says "perhaps changed",
and the next look reads which of the two it was.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from reconciler.engine import state
from reconciler.engine.machine import next_step
from reconciler.engine.models import wanted_ref
from reconciler.engine.observe import observe
from reconciler.engine.prove import answer, beside_another
from reconciler.engine.state import State, Step, Taken, Task, Trouble, Verb
from reconciler.engine.steps import Again, Ended, Outcome, Ready, Shared
from reconciler.engine.train import claim, note, refuse, reject, train_step, unreject
from reconciler.engine.world import World, with_event
from reconciler.errors import ConflictError, ReconcilerError, RefusedError, StoppedError, in_doubt
from reconciler.model import (
    TOUCHED,
    Address,
    Binding,
    Change,
    EventKind,
    Failure,
    HealthCode,
    Observed,
    Owned,
    Reached,
    Record,
    settings_diffs,
    settings_to_keep,
)
from reconciler.platforms.contract import Answer, Can, Progress

log = logging.getLogger(__name__)


class Endpoint:
    """One endpoint of a run, declared or not; not thread-safe, visited by one thread at a time."""

    def __init__(self, subject: Binding | Owned, approved: Change, shared: Shared) -> None:
        self.name = subject.name
        self.address = str(subject.address)
        self._subject = subject
        self._shared = shared
        self._world = shared.world
        force = shared.world.actor.force
        if isinstance(subject, Owned):
            try:
                can = shared.world.target(subject.kind).can
            except ReconcilerError:  # the first step says what hinders it
                can = Can()
            task = Task(approved, undeclared=subject, can=can, force=force)
        else:
            target = shared.world.targets[subject.kind]
            names = (*(name for _, name in subject.publish), target.publishes(subject))
            task = Task(
                approved,
                subject,
                goal=shared.goal,
                can=target.can,
                settles_in_s=target.settles_in_s(subject),
                publishes=tuple(dict.fromkeys(filter(None, names))),
                force=force,
            )
        self._state = State(task)
        self._written: Reached | None = None  # how far the writes to the endpoint came

    @property
    def training(self) -> bool:
        """Whether a job of this endpoint is being waited for."""
        return self._state.watch is not None

    @property
    def reached(self) -> Reached:
        """How far it came."""
        return self._written or self._state.reached

    def step(self) -> Outcome:
        """Look, do one thing, say when to look again. Never raises a ReconcilerError."""
        return self._guarded(slot=False)

    def begin(self) -> Outcome:
        """Train what is ready, now that it has a slot; as `step`."""
        return self._guarded(slot=True)

    def _guarded(self, *, slot: bool) -> Outcome:
        """A visit; a bug of ours ends it without its job slot, which others may be waiting for."""
        try:
            observed: Observed | None = None
            heard: object = slot
            while True:
                turn = next_step(self._state, observed, heard, self._world.clock.now())
                try:
                    for do in turn.steps:
                        if do.phase:
                            self._shared.progress.phase(self.name, do.phase, do.detail)
                        heard = self._perform(do, observed)
                except ReconcilerError as exc:
                    heard = Trouble(exc)
                    continue
                self._state = turn.state
                if isinstance(heard, Again | Ready | Ended):
                    return heard
                if isinstance(heard, Observed):
                    observed = heard
        except Exception:
            self._give_slot_back()
            raise

    def _perform(self, do: Step, observed: Observed | None) -> object:
        """The answer to a step; an Outcome where the visit ends."""
        self._refuse_frozen(do)
        match do:
            case state.Wait():
                return Again(do.after_s)
            case state.Succeed() | state.Fail():
                return self._end(do)
            case state.AskProgress():
                return self._progress(do.operation)
            case state.Write():
                return self._write(do, observed)
        binding = self._state.task.of
        match do:
            case state.Look():
                ended = dict([self._state.ended] if self._state.ended else [])
                return observe(replace(self._world, ended=ended), binding)
            case state.Ask():
                return self._answer(binding, do)
            case state.Retire():
                self._retire(binding)
                return None
            case state.AskJob() | state.WaitForJob() | state.Queue() | state.FreeSlot():
                return self._attend_job(do, binding)
        return self._keep(do, binding, observed)

    def _refuse_frozen(self, do: Step) -> None:
        """RefusedError for what would begin a change of the endpoint in a window of `freeze`. What
        was begun is proved, or taken back, at any time."""
        begins = isinstance(do, state.Keep) and do.event is EventKind.SWAP
        begins |= isinstance(do, state.Write) and do.verb in (Verb.CREATE, Verb.UPDATE, Verb.DELETE)
        if begins and not self._world.actor.force and (why := self._world.frozen()):
            raise RefusedError(f"{why}; apply again then, or with --force REASON")

    # --- the platform ---------------------------------------------------------------------------

    def _answer(self, binding: Binding, do: state.Ask) -> Answer | ReconcilerError:
        """The endpoint's answer; a run that ends judges nobody by the error that it caused."""
        try:
            heard = answer(self._world.targets[binding.kind], binding, staged=do.staged)
            return beside_another(self._world, binding, heard) if do.compare else heard
        except ReconcilerError as exc:
            if isinstance(exc, StoppedError) or self._world.stopping():
                raise StoppedError("a run that ends judges nobody") from exc
            log.info("%s could not be scored: %s", self.name, exc.message)
            return exc

    def _progress(self, operation: str) -> Progress | ReconcilerError:
        try:
            return self._world.target(self._subject.kind).progress(operation)
        except ReconcilerError as exc:
            log.info("%s: the operation cannot be asked: %s", self.name, exc.message)
            return exc

    def _retire(self, binding: Binding) -> None:
        try:
            self._world.targets[binding.kind].retire(binding)
        except ReconcilerError as exc:
            log.warning("%s: the previous model is not retired: %s", self.name, exc.message)

    def _write(self, do: state.Write, observed: Observed | None) -> Taken:
        """Around a write to the endpoint: remember that it was taken, or that nobody knows, which
        is so until its answer comes: the run may be cut off before that."""
        if do.verb.of_candidate:
            return Taken(do.verb, self._send(do, observed))
        before = self._written
        if before is not Reached.CHANGED:
            self._written = Reached.ASKED
        try:
            operation = self._send(do, observed)
        except ReconcilerError as exc:
            if not in_doubt(exc):
                self._written = before
            raise
        self._written = Reached.CHANGED
        return Taken(do.verb, operation)

    def _send(self, do: state.Write, observed: Observed | None) -> str:
        """The operation that the write began, "" where it ended at once. Creations, settings and
        deletions are noted before."""
        world, model = self._world, do.model
        target = world.target(self._subject.kind)
        if do.verb is Verb.DELETE:
            note_delete(world, self._subject.address)
            return target.delete(self._subject.address)
        binding = self._state.task.of
        if do.verb is Verb.UPDATE:
            note_update(world, observed)
            return target.update(binding)
        if do.verb is Verb.DROP:
            return target.take_back(binding, model) if model else target.retire(binding)
        assert model is not None
        match do.verb:
            case Verb.PUBLISH:
                for registry, name in binding.publish:
                    world.registries[f"registry/{registry}"].publish(name, model)
                return target.publish(binding, model)
            case Verb.STAGE:
                return target.stage(binding, model)
            case Verb.SWITCH:
                self._refuse_rejected(binding)
                return target.switch(binding, model)
            case Verb.TAKE_BACK:
                lost = observed is not None and observed.live.health.code is HealthCode.MISSING
                return (target.create if lost else target.take_back)(binding, model)
        note_create(world, observed)
        self._refuse_rejected(binding)
        return target.create(binding, model)

    def _refuse_rejected(self, binding: Binding) -> None:
        """ConflictError where the version was rejected since it was looked at, by anybody: it is
        given to nobody else."""
        entry = self._world.ledger.read(binding.version)
        if entry is not None and entry.manifest.rejected:
            raise ConflictError(f"version {binding.version.version} was rejected meanwhile")

    # --- the engine -----------------------------------------------------------------------------

    def _attend_job(self, do: Step, binding: Binding) -> object:
        """The answer to a step about a job: its state, whether it has a slot, or when to come
        again."""
        trainer, slots = binding.recipe.trainer, self._shared.slots
        match do:
            case state.AskJob():
                return self._world.trainers[trainer].look(do.job)
            case state.WaitForJob():
                times = self._shared.times
                return Again(times.pause_s(trainer, do.job, do.age_s, queued=do.queued))
            case state.Queue():
                return slots.has(binding) or Ready(binding, self.begin)
            case state.FreeSlot():
                slots.give_back(binding)
                if do.job:
                    self._shared.times.ended(trainer, do.job, do.took_s)
        return None

    # --- the store ------------------------------------------------------------------------------

    def _keep(self, do: Step, binding: Binding, observed: Observed | None) -> object:
        """Note in the record of the endpoint, or with its version; versions are shared by
        bindings."""
        if isinstance(do, state.Keep):
            record = do.record
            if do.event:
                record = with_event(self._world, record, do.event, do.why, do.version)
            return self._world.ledger.keep_record(binding.address, record)
        if isinstance(do, state.KeepSettings):
            keep_settings(self._world, observed)
            return None
        with self._shared.locks.of(binding):
            match do:
                case state.Note():
                    assert observed is not None
                    made = note(self._world, binding, observed.artifact, do.refused)
                    return replace(observed, artifact=made)
                case state.Claim():
                    return claim(self._world, binding)
                case state.Start():
                    return train_step(self._world, binding, do.entry, self._shared.soon)
                case state.Unreject():
                    return unreject(self._world, binding)
                case state.Refuse():
                    refuse(self._world, binding, do.why)
                case state.Reject():
                    if do.spares:
                        note_failure(self._world, binding, do.why)
                    else:
                        reject(self._world, binding, do.why, silent=do.silent)
        return None

    def _end(self, do: state.Succeed | state.Fail) -> Ended:
        """Every end gives the job slot back, and is told."""
        self._give_slot_back()
        if isinstance(do, state.Succeed):
            self._shared.progress.done(self.name, do.outcome)
            return Ended(proof=do.proof, changed=do.proof is not None)
        self._shared.progress.failed(self.name, do.message)
        failure = Failure(self.name, self.address, do.message, do.exit_code)
        return Ended(do.proof, failure, changed=self.reached in TOUCHED)

    def _give_slot_back(self) -> None:
        if not isinstance(self._subject, Owned):
            self._shared.slots.give_back(self._subject)


# --- what is noted before a write -----------------------------------------------------------------


def note_create(world: World, observed: Observed | None) -> None:
    """Note that the endpoint is made. There is no way back from it: nobody used it before."""
    assert observed is not None
    binding, record = observed.binding, observed.record
    made = Record(
        wanted=observed.artifact.ref,
        previous=None,
        bound=None,
        proved=False,
        at=world.moment,
        history=record.history if record else (),
        etag=record.etag if record else "",
    )
    name = binding.version.version
    noted = with_event(world, made, EventKind.CREATE, world.actor.force, name)
    world.ledger.keep_record(binding.address, noted)


def note_update(world: World, observed: Observed | None) -> None:
    """Note that settings change; until they are read back nobody knows what they are."""
    assert observed is not None
    if (record := observed.record) is None:
        return
    changing = {diff.path for diff in settings_diffs(observed)}
    unchanged = tuple(pair for pair in record.settings if pair[0] not in changing)
    noted = replace(record, settings=unchanged)
    noted = with_event(world, noted, EventKind.SETTINGS, world.actor.force)
    world.ledger.keep_record(observed.binding.address, noted)


def note_failure(world: World, binding: Binding, why: str) -> None:
    """Note that the version failed with the declared settings, and not because of itself."""
    if (record := world.ledger.record(binding.address)) is None:
        return
    ref, name = wanted_ref(world, binding), binding.version.version
    noted = with_event(world, record, EventKind.FAILED, why, name, ref)
    world.ledger.keep_record(binding.address, noted)


def keep_settings(world: World, observed: Observed | None) -> None:
    """Note the settings that were read back, so that a change of them outside git is seen."""
    assert observed is not None
    binding, record = observed.binding, observed.record
    settings = settings_to_keep(binding, observed.live)
    if record is None:
        first = Record(observed.artifact.ref, None, None, proved=True, at=world.moment)
        name = binding.version.version
        record = with_event(world, first, EventKind.SETTINGS, world.actor.force, name)
    if record.settings != settings:
        world.ledger.keep_record(binding.address, replace(record, settings=settings))


def note_delete(world: World, address: Address) -> None:
    """Note that the endpoint is deleted. What was made of its model, and done there, is kept."""
    record = world.ledger.record(address)
    last = record.history[-1].what if record and record.history else None
    if record is not None and last is not EventKind.DELETE:
        noted = with_event(world, record, EventKind.DELETE, world.actor.force)
        world.ledger.keep_record(address, noted)
