"""One binding on its way from what is to what must be.

Each `step` is short: it looks, does at most one thing, and says when to look again. What a step
remembers is only for patience and for words; a run that is killed loses nothing that the next look
would not find. How a version is trained is `training`'s, how it is swapped in and proved
`swapping`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.approval import covers, described
from reconciler.engine.lifecycle import (
    APPEARS_S,
    Written,
    create,
    delete,
    gone,
    progress_of,
    settled,
    update,
)
from reconciler.engine.observe import observe
from reconciler.engine.prove import make_proof
from reconciler.engine.steps import Again, Ended, Goal
from reconciler.engine.swapping import Swapping
from reconciler.engine.telling import Telling
from reconciler.engine.train import note
from reconciler.engine.training import Training
from reconciler.engine.verdicts import Verdicts
from reconciler.errors import (
    ERROR,
    REFUSED,
    UNPROVED,
    ConflictError,
    ProofError,
    ReconcilerError,
    StalePlanError,
    StoppedError,
    UnavailableError,
    UnreachableError,
    WireError,
)
from reconciler.model import Action, ArtifactState, Health, HealthCode, Observed, Reached, Reason
from reconciler.plan import decide
from reconciler.platforms.contract import OperationState

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine.steps import Outcome, Shared
    from reconciler.model import Binding, Change
    from reconciler.platforms.contract import Target

MOST_TROUBLES = 5  # consecutive steps that failed for reasons that may pass
_DOING = {Action.CREATE: "creating", Action.UPDATE: "updating", Action.DELETE: "deleting"}


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
        self._telling = Telling(binding, shared)
        self._verdicts = Verdicts(binding, shared)
        self._training = Training(binding, shared)
        self._swapping = Swapping(binding, shared, self._telling, self._verdicts)
        self._written: Written | None = None  # the last write that was no swap
        self._waiting_since: float | None = None
        self._troubles = 0

    @property
    def training(self) -> bool:
        """Whether a job of this binding is being waited for."""
        return self._training.watching

    @property
    def reached(self) -> Reached:
        """How far it came."""
        if self._telling.reached is Reached.NOT_BEGUN and self._training.begun:
            return Reached.TRAINING
        return self._telling.reached

    def step(self) -> Outcome:
        """Look, do one thing, say when to look again. Never raises a ReconcilerError."""
        return self._guarded(self._training.look if self.training else self._step)

    def begin(self) -> Outcome:
        """Train what is ready, now that it has a slot; as `step`."""
        return self._guarded(self._begin)

    def _begin(self) -> Outcome:
        """Train; after a long wait for the slot only if a new look says so."""
        return self._training.begin() or self._step()

    def _step(self) -> Outcome:
        under_way = self._swapping.still_updating() or self._still_writing()
        if under_way is not None:
            return under_way
        observed = observe(self._training.seen_from(self._world), self.binding)
        change = decide(observed)
        observed = self._noted(observed, change)
        made = observed.artifact
        if made.state is ArtifactState.READY and not (made.noted or made.sha256):
            return Again(0.0)  # another run noted it first: the next look sees what
        if self._swapping.under_way:
            return self._swapping.read_back(observed, change)
        return self._act(observed, change)

    def _act(self, observed: Observed, change: Change) -> Outcome:
        if change.action is Action.BLOCK:
            if change.code == Reason.GATE:
                self._verdicts.refuse(change.why)
            return self._telling.failed(change.why, blocked_code(change))
        if change.action is Action.NOOP:
            return self._already_there(observed)
        self._check_approval(change)
        if change.trains and (why := self._swapping.foreseen_failure(observed)):
            return self._telling.failed(why, REFUSED)
        if change.trains or change.code == Reason.TRAINING:
            return self._training.go_on(observed, change, self.begin)
        if self._shared.goal is Goal.TRAINED:
            return self._telling.ended(Ended(), "trained")
        if change.action is Action.WAIT:
            return self._wait(observed, change)
        self._shared.slots.give_back(self.binding)
        if change.action in _DOING:
            return self._write(observed, change)
        return self._swapping.begin(observed, change)

    def _check_approval(self, change: Change) -> None:
        """StalePlanError for a change that nobody approved."""
        if not covers(self._approved, change) and not self._lost_by_our_settings(change):
            raise StalePlanError(
                f"approved was: {described(self._approved)}; meanwhile it would be: "
                f"{described(change)} ({change.why}); plan and approve again"
            )

    def _lost_by_our_settings(self, change: Change) -> bool:
        """Whether the model went with the settings that this run wrote: Classic has one request
        for both to create and to change, and nobody knows that it leaves the model (§2.5 [U])."""
        written, approved = self._written, self._approved
        wrote = written is not None and written.action is Action.UPDATE
        same = (change.after_ref, change.key) == (approved.after_ref, approved.key)
        return wrote and same and change.action is Action.BIND

    def _noted(self, observed: Observed, change: Change) -> Observed:
        """What was observed, once the manifest says so."""
        if observed.artifact.noted:
            return observed
        refused = change.why if change.code == Reason.GATE else ""
        with self._shared.locks.of(self.binding):
            artifact = note(self._world, self.binding, observed.artifact, refused)
        return replace(observed, artifact=artifact)

    def _wait(self, observed: Observed, change: Change) -> Again | Ended:
        if change.code == Reason.UNPROVED and observed.record is not None:
            return self._swapping.take_up(observed, observed.record)
        if self._waiting_since is None:
            self._waiting_since = self._world.clock.now()
        return self._telling.still_updating(self._waiting_since, change.why)

    # --- writes that are no swap ----------------------------------------------------------------

    def _write(self, observed: Observed, change: Change) -> Again | Ended:
        """Make, change or delete the endpoint; a write that the service took is not repeated."""
        if self._written is not None and self._written.action is change.action:
            return self._not_shown(self._written, change)
        self._telling.say(_DOING[change.action])
        with self._telling.writing():
            operation = self._ask(observed, change)
        self._written = Written(change.action, self._world.clock.now(), operation)
        return self._telling.written()

    def _ask(self, observed: Observed, change: Change) -> str:
        if change.action is Action.UPDATE:
            return update(self._world, observed, change)
        if change.action is Action.DELETE:
            return delete(self._world, self.binding.kind, self.binding.address)
        if observed.artifact.refused:
            self._verdicts.refuse("")
        return create(self._world, observed)

    def _still_writing(self) -> Again | Ended | None:
        """Look again while the service is not done with the last write; None when it is."""
        written = self._written
        if written is None or not written.operation:
            return None
        seen = progress_of(self._target, written.operation)
        if seen.state is OperationState.RUNNING:
            doing = _DOING[written.action]
            return self._telling.still_updating(written.asked_at, seen.words, doing)
        written.operation = ""
        return None

    def _not_shown(self, written: Written, change: Change) -> Again:
        """The write was taken, and what is read does not show it, which it may for a while."""
        if self._world.clock.now() - written.asked_at < self._target.can.settle_s + APPEARS_S:
            return self._telling.again(_DOING[written.action], "it does not show yet")
        raise ProofError(
            f"the service took the request to {written.action.name.lower()} it, but {change.why}"
        )

    # --- ends -----------------------------------------------------------------------------------

    def _already_there(self, observed: Observed) -> Again | Ended:
        """Nothing to do; but a swap whose answer was lost has evidently happened: prove it."""
        if self._telling.proof is not None or self._written is not None:
            return self._written_and_read_back(observed)
        proving = self._swapping.evidently_done(observed)
        return proving or self._telling.ended(Ended(), "unchanged")

    def _written_and_read_back(self, observed: Observed) -> Ended:
        """The end of a run that wrote settings, or deleted: the look found that it is so."""
        if self.binding.absent:
            proof = gone(self.name, self.address)
            return self._telling.ended(Ended(proof=proof, changed=True), "deleted")
        settled(self._world, observed)
        health = Health(HealthCode.HEALTHY, "the settings were read back")
        proof = self._telling.proof or make_proof(self.binding, observed.live, health)
        how = "declared only" if proof.declared_only else "proved"
        return self._telling.ended(Ended(proof=proof, changed=True), how)

    # --- trouble --------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], Outcome]) -> Outcome:
        try:
            outcome = work()
        except ConflictError as exc:
            # Another run was here: what this one remembers is not what is, so look anew.
            self._swapping.forget()
            self._training.forget()
            return self._after_trouble(exc)
        except (UnavailableError, UnreachableError) as exc:
            return self._after_trouble(exc)
        except StoppedError:
            return Again(0.0)  # which does not come: the run ends
        except ReconcilerError as exc:
            return self._gave_up(exc)
        self._troubles = 0
        return outcome

    def _after_trouble(self, exc: WireError) -> Again | Ended:
        """Trouble that may pass: look again, a bounded number of times in a row, and say so."""
        self._troubles += 1
        if self._troubles > MOST_TROUBLES:
            return self._gave_up(exc)
        pause_s = 2.0**self._troubles / 2
        self._telling.say("waiting", f"looking again in {pause_s:g} s: {exc.message}")
        return Again(pause_s)

    def _gave_up(self, exc: ReconcilerError) -> Ended:
        """A failure; on the way back it is one of the proof, whatever was in the way."""
        if disproved := self._swapping.disproved:
            said = f"{disproved}; and it is not rolled back: {exc.message}; run apply again"
            return self._telling.failed(said, UNPROVED)
        return self._telling.failed(exc.message, exc.exit_code)


def blocked_code(change: Change) -> int:
    """The exit code that a BLOCK stands for: not being able to read is an error, not a refusal."""
    return ERROR if change.code == Reason.UNREADABLE else REFUSED
