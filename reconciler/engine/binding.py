"""One binding on its way from what is to what must be.

Each `step` is short: it looks, does at most one thing, and says when to look again. What a step
remembers is only for patience and for words (when the swap was asked for, what the endpoint
answered before it); a run that is killed loses nothing that the next look would not find.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler import verify
from reconciler.engine.lifecycle import (
    APPEARS_S,
    OPERATION_TIMEOUT_S,
    Written,
    create,
    delete,
    gone,
    update,
)
from reconciler.engine.observe import observe
from reconciler.engine.prove import judge, make_proof
from reconciler.engine.steps import Again, Ended, Goal, Patience, Ready
from reconciler.engine.train import note
from reconciler.engine.training import Training
from reconciler.engine.world import timestamp, with_event
from reconciler.errors import (
    ERROR,
    REFUSED,
    UNPROVED,
    ConflictError,
    ProofError,
    ReconcilerError,
    RefusedError,
    StalePlanError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    WireError,
)
from reconciler.model import (
    NEWBORN,
    ROLL_BACK,
    TRAINING,
    UNREADABLE,
    Action,
    ArtifactState,
    Failure,
    Health,
    HealthCode,
    ModelRef,
    Observed,
    Proof,
    Record,
    Score,
)
from reconciler.plan import GATE, covers, decide, described

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine.steps import Shared
    from reconciler.model import Binding, Change
    from reconciler.targets import Target

log = logging.getLogger(__name__)

MOST_TROUBLES = 5  # consecutive steps that failed for reasons that may pass
WRONG_PROBE = ("BadArgument", "BadUserArgument")  # what the service says of inputs (§4.8)
_DOING = {Action.CREATE: "creating", Action.UPDATE: "updating", Action.DELETE: "deleting"}
COLD_START_S = 120.0  # a swapped endpoint may answer 503 InitializingContainers for a while


@dataclass
class Swap:
    """A swap that was asked for: when, what the endpoint answered before, how far it is."""

    asked_at: float
    before: Score | None
    record: Record
    operation: str = ""
    ended: bool = False  # the service said that the update ended well


class BindingRun:
    """The steps of one binding; not thread-safe, stepped by one thread at a time.

    `approved` is the change that was shown and approved; a step does nothing else.
    """

    def __init__(self, binding: Binding, approved: Change, shared: Shared) -> None:
        self.binding = binding
        self.name = binding.name
        self.address = str(binding.address)
        self._approved = approved
        self._shared = shared
        self._world = shared.world
        self._target: Target = shared.world.targets[binding.kind]
        self._swap: Swap | None = None
        self._unanswered: Swap | None = None
        self._written: Written | None = None  # the last write that was no swap
        self._proof: Proof | None = None  # of the swap, where settings follow it
        self._heard: Score | None = None  # what the disproved candidate answered, and only it
        self._disproved = ""  # why the candidate was rejected, on the way back
        self._unheard = ""  # why this run rejected it, where that was for no answer at all
        self._waiting_since: float | None = None
        self._troubles = 0
        self._training = Training(binding, shared)
        self._updating = Patience(0.25, 5.0)

    @property
    def training(self) -> bool:
        """Whether a job of this binding is being waited for."""
        return self._training.watching

    def step(self) -> Again | Ended | Ready:
        """Look, do one thing, say when to look again. Never raises a ReconcilerError."""
        return self._guarded(self._training.look if self.training else self._step)

    def begin(self) -> Again | Ended | Ready:
        """Train what is ready, now that it has a slot; as `step`."""
        return self._guarded(self._begin)

    def _guarded(self, work: Callable[[], Again | Ended | Ready]) -> Again | Ended | Ready:
        try:
            outcome = work()
        except ConflictError as exc:
            # Another run was here: what this one remembers is not what is, so look anew.
            self._swap = self._unanswered = None
            self._training.forget()
            return self._after_trouble(exc)
        except (UnavailableError, UnreachableError) as exc:
            return self._after_trouble(exc)
        except ReconcilerError as exc:
            return self._gave_up(exc)
        self._troubles = 0
        return outcome

    def _step(self) -> Again | Ended | Ready:
        if self._swap is not None and not self._swap.ended:
            words = self._target.progress(self._swap.operation)
            if words:
                return self._still_updating(self._swap.asked_at, words)
            self._swap.ended = True
        if (written := self._written) is not None and written.operation:
            words = self._target.progress(written.operation)
            if words:
                return self._still_updating(written.asked_at, words, _DOING[written.action])
            written.operation = ""
        observed = observe(self._training.seen_from(self._world), self.binding)
        change = decide(observed)
        self._note(observed, change)
        if self._swap is not None:
            return self._after_swap(self._swap, observed, change)
        return self._act(observed, change)

    def _act(self, observed: Observed, change: Change) -> Again | Ended | Ready:
        if change.action is Action.BLOCK:
            if change.code == GATE:
                self._note_refusal(change.why)
            return self._failed(change.why, blocked_code(change))
        if change.action is Action.NOOP:
            return self._already_there(observed)
        if not covers(self._approved, change) and not self._lost_by_our_settings(change):
            raise StalePlanError(
                f"approved was {described(self._approved)}, but meanwhile it would be "
                f"{described(change)} ({change.why}); plan and approve again"
            )
        if change.trains or change.code == TRAINING:
            return self._training.go_on(observed, change, self.begin)
        if self._shared.goal is Goal.TRAINED:
            return self._ended(Ended(), "trained")
        if change.action is Action.WAIT:
            return self._wait(observed, change)
        if change.action in _DOING:
            return self._write(observed, change)
        return self._bind(observed, change)

    def _lost_by_our_settings(self, change: Change) -> bool:
        """Whether the model went with the settings that this run wrote: Classic has one request
        for both to create and to change, and nobody knows that it leaves the model (§2.5 [U])."""
        written, approved = self._written, self._approved
        wrote = written is not None and written.action is Action.UPDATE
        same = (change.after_ref, change.key) == (approved.after_ref, approved.key)
        return wrote and same and change.action is Action.BIND

    def _write(self, observed: Observed, change: Change) -> Again | Ended:
        """Make, change or delete the endpoint; a write that the service took is not repeated."""
        action, now = change.action, self._world.clock.now()
        if self._written is not None and self._written.action is action:
            if now - self._written.asked_at < self._target.settle_s + APPEARS_S:
                self._say(_DOING[action], "it does not show yet")
                return self._updating.again()
            raise ProofError(
                f"the service took the request to {action.name.lower()} it, but {change.why}"
            )
        self._shared.slots.give_back(self.binding)
        self._say(_DOING[action])
        if action is Action.CREATE:
            if observed.artifact.refused:
                self._note_refusal("")
            operation = create(self._world, observed)
        elif action is Action.UPDATE:
            operation = update(self._world, observed)
        else:
            operation = delete(self._world, self.binding.kind, self.binding.address)
        self._written = Written(action, self._world.clock.now(), operation)
        self._updating.reset()
        return self._updating.again()

    def _already_there(self, observed: Observed) -> Again | Ended:
        """Nothing to do; but a swap whose answer was lost has evidently happened: prove it."""
        if self._proof is not None or self._written is not None:
            return self._written_and_read_back(observed)
        if self._unanswered is None:
            return self._ended(Ended(), "unchanged")
        self._swap = self._unanswered
        self._swap.ended = True
        return self._prove(self._swap, observed)

    def _written_and_read_back(self, observed: Observed) -> Ended:
        """The end of a run that wrote settings, or deleted: the look found that it is so."""
        if self.binding.absent:
            proof = gone(self.name, self.address)
            return self._ended(Ended(proof=proof, changed=True), "deleted")
        health = Health(HealthCode.HEALTHY, "the settings were read back")
        proof = self._proof or make_proof(self.binding, observed.live, health)
        return self._ended(Ended(proof=proof, changed=True), "proved")

    def _note(self, observed: Observed, change: Change) -> None:
        if not observed.artifact.noted:
            refused = change.why if change.code == GATE else ""
            with self._shared.locks.of(self.binding):
                note(self._world, self.binding, observed.artifact, refused)

    def _begin(self) -> Again | Ended | Ready:
        """Train; after a long wait for the slot only if a new look says so."""
        return self._training.begin() or self._step()

    def _wait(self, observed: Observed, change: Change) -> Again | Ended:
        if observed.unproved and observed.record is not None:
            if observed.artifact.state is ArtifactState.REJECTED:
                self._disproved = self._disproved or observed.artifact.message
            else:  # the rejection was taken back meanwhile: it serves, and is judged anew
                self._disproved = self._unheard = ""
            # The window is counted from now: the clock of the run that swapped is not ours.
            now = self._world.clock.now()
            self._swap = Swap(now, observed.record.before, observed.record, ended=True)
            return self._prove(self._swap, observed)
        if self._waiting_since is None:
            self._waiting_since = self._world.clock.now()
        return self._still_updating(self._waiting_since, change.why)

    def _bind(self, observed: Observed, change: Change) -> Again | Ended:
        """Record the way back, then swap: forward, or back when `change` says so."""
        self._shared.slots.give_back(self.binding)
        forward = change.code != ROLL_BACK
        before = self._score_before(forward and change.code != NEWBORN)
        if forward and (why := self._wrong_probe(before)):
            return self._failed(why, REFUSED)
        record = self._record(observed, change, before)
        if forward and observed.artifact.refused:
            self._note_refusal("")
        self._say("swapping", f"to {change.after}")
        why = self._disproved or self._world.actor.force
        kept = self._keep(record, "roll back" if self._disproved else "swap", why)
        swap = Swap(self._world.clock.now(), kept.before, kept)
        self._unanswered = swap
        swap.operation = self._target.bind(self.binding, record.wanted)
        swap.asked_at = self._world.clock.now()  # its window begins now, however slow that was
        if observed.live.hidden:
            swap.record = self._keep(replace(kept, bound=record.wanted))
        self._swap = swap
        self._updating.reset()
        return self._updating.again()

    def _wrong_probe(self, before: Score | None) -> str:
        """Why the probe itself is wrong: a swap changes no columns, so the present model has them.

        Found out before the swap, or a slip in `columns` would cost the candidate its version.
        """
        if before is None or self.binding.probe is None:
            return ""
        missing = verify.missing_columns(self.binding.probe, before)
        return f"before the swap, {missing}; correct spec.verify" if missing else ""

    def _record(self, observed: Observed, change: Change, before: Score | None) -> Record:
        """What is noted before a swap. A roll-back keeps its own model as the way back, so that
        one which is cut off before its write, or before its proof, is found and ended later.

        What answered while an unproved swap may still have been on its way is not kept: a change
        of that answer would say nothing about this swap. It is no longer on its way where the
        candidate was heard, with an answer that the model before did not give."""
        if change.code == ROLL_BACK:
            self._disproved = self._disproved or observed.artifact.message
        settled = observed.record is None or observed.record.settled or before == self._heard
        return Record(
            wanted=ModelRef(change.after_ref),
            previous=observed.way_back.ref,
            bound=observed.live.ref if observed.live.hidden else None,
            proved=False,
            at=timestamp(self._world.clock.now()),
            before=before if settled else None,
            history=observed.record.history if observed.record else (),
            etag=observed.record.etag if observed.record else "",
        )

    def _keep(self, record: Record, event: str = "", why: str = "") -> Record:
        if event:
            record = with_event(self._world, record, event, why)
        return self._world.ledger.keep_record(self.binding.address, record)

    def _score_before(self, forward: bool) -> Score | None:
        """The answer before the swap; None where the endpoint gives none.

        Who may not score, or asks what the service does not understand, could not prove the
        candidate either: a swap forward, which nothing urges, does not begin.
        """
        if self.binding.probe is None:
            return None
        try:
            return self._target.score(self.binding)
        except WireError as exc:
            if forward and isinstance(exc, UnauthorizedError):
                raise
            if forward and exc.code in WRONG_PROBE:
                raise RefusedError(
                    f"before the swap, the endpoint refuses the probe: {exc.message}; correct "
                    "spec.verify"
                ) from exc
            log.info("%s could not be scored before the swap: %s", self.binding.name, exc.message)
            return None

    def _still_updating(self, since: float, words: str, phase: str = "swapping") -> Again | Ended:
        if self._world.clock.now() - since > OPERATION_TIMEOUT_S:
            why = f"the update is still {words} after {OPERATION_TIMEOUT_S:g} s"
            return self._failed(why, ERROR)
        self._say(phase, words)
        return self._updating.again()

    def _after_swap(self, swap: Swap, observed: Observed, change: Change) -> Again | Ended:
        """The service said that the update ended well: now the read-back must show it."""
        if change.code == "updating":
            return self._still_updating(swap.asked_at, change.why)
        if change.code == UNREADABLE:
            raise UnavailableError(change.why)
        if observed.live.ref != swap.record.wanted:
            if self._seconds_since(swap) < self._target.settle_s:
                self._say("settling", "the endpoint does not show the new model yet")
                return self._updating.again()
            raise ProofError(_not_changed(observed, swap.record.wanted))
        return self._prove(swap, observed)

    def _prove(self, swap: Swap, observed: Observed) -> Again | Ended:
        if self.binding.probe is None:
            left_s = self._target.settle_s - self._seconds_since(swap)
            if left_s > 0:
                self._say("settling", f"in effect after {self._target.settle_s:g} s")
                return Again(left_s)  # nothing that could be seen would make it sooner
            return self._proved(swap, observed, None)
        self._say("proving")
        try:
            after = self._target.score(self.binding)
        except UnavailableError as exc:
            if self._seconds_since(swap) > COLD_START_S + self._target.settle_s:
                return self._not_answered(swap, exc)
            return self._updating.again()
        except UnreachableError:
            raise
        except WireError as exc:
            if self._seconds_since(swap) < self._target.settle_s:
                self._say("proving", "the endpoint does not answer yet")
                return self._updating.again()
            return self._not_answered(swap, exc)
        changed = swap.before not in (None, after)
        if not changed and self._seconds_since(swap) < self._target.settle_s:
            still = "its answer before is not known" if swap.before is None else "as it did before"
            self._say("proving", f"the endpoint answers, {still}")
            return self._updating.again()
        return self._proved(swap, observed, after)

    def _proved(self, swap: Swap, observed: Observed, after: Score | None) -> Again | Ended:
        health = judge(self._judged(), after)
        made = make_proof(self.binding, observed.live, health, before=swap.before, after=after)
        shown = self._world.ledger.name_of(swap.record.wanted, self.binding.version)
        proof = replace(made, model=shown, rolled_back=bool(self._disproved))
        if not proof.proved:
            why = f"swapped and read back, but {health.message}"
            self._heard = after if swap.before not in (None, after) else None
            return self._not_proved(swap, why, proof)
        if self._unheard:
            self._reject(self._unheard)  # another run, which was as deaf, may have taken it back
        self._keep(replace(swap.record, bound=swap.record.wanted, proved=True), "proof")
        if self._disproved:
            return self._failed(f"{self._disproved}; rolled back, and proved", UNPROVED, proof)
        if self.binding.settings or self.binding.create is not None:
            # Whether its settings are as declared is for the next look to say.
            self._proof, self._swap, self._unanswered = proof, None, None
            return Again(0.0)
        return self._ended(Ended(proof=proof, changed=True), "proved")

    def _judged(self) -> Binding:
        """The binding to judge by: git's expectations are of its own version, not of one before."""
        if self.binding.probe is None or not self._disproved:
            return self.binding
        return replace(self.binding, probe=self.binding.probe.of_any_model)

    def _not_answered(self, swap: Swap, exc: WireError) -> Again | Ended:
        """No proof for want of an answer; that the model before answers is what blames the new one.

        A wrong probe, or an outage, silences both. Then the rejection is taken back.
        """
        if not self._disproved:
            unheard = (
                f"swapped and read back, but the endpoint does not answer the probe: {exc.message}"
            )
            if _is_the_last(swap):
                return self._failed(f"{unheard}; there is no way back", UNPROVED)
            self._unheard = unheard
            return self._not_proved(swap, unheard)
        if not self._unheard:
            return self._not_proved(swap, f"the endpoint does not answer the probe: {exc.message}")
        self._take_back()
        said = (
            f"{self._unheard}; swapped back, and the model before does not answer either: "
            f"{exc.message}; so version {self.binding.version.version} is not rejected; mend the "
            "endpoint or spec.verify, and apply again"
        )
        return self._failed(said, UNPROVED)

    def _not_proved(self, swap: Swap, why: str, proof: Proof | None = None) -> Again | Ended:
        """Reject the version, so that no run binds it again; the next look finds the way back."""
        if self._disproved:
            said = f"{self._disproved}; and the way back could not be proved: {why}"
            return self._failed(said, UNPROVED, proof)
        self._reject(why)
        previous = swap.record.previous
        if previous is None or _is_the_last(swap):
            return self._failed(f"{why}; there is no way back", UNPROVED, proof)
        self._disproved = f"{why}; version {self.binding.version.version} is rejected"
        self._swap = self._unanswered = None
        self._say("rolling back", self._world.ledger.name_of(previous, self.binding.version))
        return Again(0.0)

    def _reject(self, why: str) -> None:
        """Keep with the model why no run may bind it.

        What an endpoint answered outranks what another did not: only silence is ever taken back.
        """
        with self._shared.locks.of(self.binding):
            entry = self._world.ledger.read(self.binding.version)
            if entry is None or (entry.manifest.rejected and why == self._unheard):
                return
            if entry.manifest.rejected != why:
                self._world.ledger.reject(entry, why)

    def _take_back(self) -> None:
        """Take back the rejection for silence, if it is this run's."""
        with self._shared.locks.of(self.binding):
            entry = self._world.ledger.read(self.binding.version)
            if entry is not None and entry.manifest.rejected == self._unheard:
                self._world.ledger.reject(entry, "")

    def _note_refusal(self, why: str) -> None:
        """Keep with the model why its gates did not accept it; "" now that they do."""
        with self._shared.locks.of(self.binding):
            entry = self._world.ledger.read(self.binding.version)
            if entry is not None and entry.manifest.refused != why:
                self._world.ledger.note_refusal(entry, why)

    def _seconds_since(self, swap: Swap) -> float:
        return self._world.clock.now() - swap.asked_at

    def _after_trouble(self, exc: WireError) -> Again | Ended:
        """Trouble that may pass: look again, a bounded number of times in a row, and say so."""
        self._troubles += 1
        if self._troubles > MOST_TROUBLES:
            return self._gave_up(exc)
        pause_s = 2.0**self._troubles / 2
        self._say("waiting", f"looking again in {pause_s:g} s: {exc.message}")
        return Again(pause_s)

    def _gave_up(self, exc: ReconcilerError) -> Ended:
        """A failure; on the way back it is one of the proof, whatever was in the way."""
        if self._disproved:
            said = f"{self._disproved}; and it is not rolled back: {exc.message}; run apply again"
            return self._failed(said, UNPROVED)
        return self._failed(exc.message, exc.exit_code)

    def _say(self, phase: str, detail: str = "") -> None:
        self._shared.progress.phase(self.binding.name, phase, detail)

    def _ended(self, ended: Ended, outcome: str) -> Ended:
        self._shared.slots.give_back(self.binding)
        self._shared.progress.done(self.binding.name, outcome)
        return ended

    def _failed(self, message: str, exit_code: int, proof: Proof | None = None) -> Ended:
        self._shared.slots.give_back(self.binding)
        self._shared.progress.failed(self.binding.name, message)
        failure = Failure(self.binding.name, str(self.binding.address), message, exit_code)
        wrote = self._swap is not None or self._written is not None or self._proof is not None
        return Ended(proof=proof or self._proof, failure=failure, changed=wrote)


def blocked_code(change: Change) -> int:
    """The exit code that a BLOCK stands for: not being able to read is an error, not a refusal."""
    return ERROR if change.code == UNREADABLE else REFUSED


def _is_the_last(swap: Swap) -> bool:
    """Whether no model is known to go back to but the one that was swapped in."""
    return swap.record.previous in (None, swap.record.wanted)


def _not_changed(observed: Observed, wanted: ModelRef) -> str:
    live = observed.live
    shown = live.ref.url if live.ref else live.model_text or "no model"
    return (
        f"the service said that the update succeeded, but reading it back shows {shown} instead "
        f"of {wanted}"
    )
