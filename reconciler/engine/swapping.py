"""One binding's swap: forward to the declared version, and back where that cannot be proved.

The order is what promise 5 rests on: score, note the way back, swap, read back, score again, keep
the proof. What is remembered between steps is only for patience and for words; a run that is killed
anywhere leaves a record by which the next one ends what was begun.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.engine.lifecycle import wanted_model
from reconciler.engine.prove import (
    answer,
    asks,
    is_declared_only,
    judge,
    make_proof,
    names_another,
    score_before,
    wrong_probe,
)
from reconciler.engine.staging import COLD_START_S, Staging
from reconciler.engine.steps import Again, Ended, Goal, Swap
from reconciler.engine.world import timestamp, with_event
from reconciler.errors import (
    REFUSED,
    UNPROVED,
    NotFoundError,
    ProofError,
    ReconcilerError,
    RefusedError,
    StoppedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
)
from reconciler.model import (
    ArtifactState,
    EventKind,
    Health,
    HealthCode,
    Model,
    ModelRef,
    Observed,
    Proof,
    Reached,
    Reason,
    Record,
    Score,
    settings_to_keep,
)
from reconciler.platforms.contract import DONE, Left, OperationState

if TYPE_CHECKING:
    from reconciler.engine.steps import Shared
    from reconciler.engine.telling import Telling
    from reconciler.engine.verdicts import Verdicts
    from reconciler.model import Binding, Change, Live
    from reconciler.platforms.contract import Answer, Target

log = logging.getLogger(__name__)


class Swapping:
    """The swap of one binding that is under way, if one is, and what became of the one before."""

    def __init__(
        self, binding: Binding, shared: Shared, telling: Telling, verdicts: Verdicts
    ) -> None:
        self.disproved = ""  # why the candidate was rejected, on the way back
        self._binding = binding
        self._world = shared.world
        self._goal = shared.goal
        self._target: Target = shared.world.targets[binding.kind]
        self._telling = telling
        self._verdicts = verdicts
        self._staging = Staging(binding, shared, telling, verdicts)
        self._swap: Swap | None = None
        self._unanswered: Swap | None = None
        self._heard: Score | None = None  # what the disproved candidate answered, and only it
        self._unheard = ""  # why this run rejected it, where that was for no answer at all
        self._asked = False  # whether the live endpoint was asked before a training

    @property
    def under_way(self) -> bool:
        """Whether a swap was asked for and is not proved."""
        return self._swap is not None

    def forget(self) -> None:
        """Another run was here: what this one remembers is not what is."""
        self._swap = self._unanswered = None
        self._staging.forget()

    def still_updating(self) -> Again | Ended | None:
        """Look again while the service is not done with the swap; None when it is."""
        swap = self._swap
        if swap is None:
            return self._staging.still_working()
        if swap.ended:
            return None
        try:
            seen = self._target.progress(swap.operation) if swap.operation else DONE
        except (RefusedError, NotFoundError, UnreadableError) as exc:
            # It was written: what is read back says whether it goes on, and what became of it.
            log.info("%s: the operation cannot be asked: %s", self._binding.name, exc.message)
            seen = DONE
        match seen.state, seen.left:
            case OperationState.RUNNING, _:
                return self._telling.still_updating(swap.asked_at, seen.words)
            case OperationState.FAILED, Left.AS_BEFORE:
                raise ProofError(seen.words)
            case OperationState.FAILED, _:
                return self._not_proved(swap, seen.words)
        swap.ended = True
        return None

    # --- before the swap --------------------------------------------------------------------

    def foreseen_failure(self, observed: Observed) -> str:
        """Why no version could be proved here: the live endpoint, where it answers, shows that the
        probe is wrong. Asked once, before anything is trained: a slip costs nothing then."""
        if self._asked or observed.live.health.code is HealthCode.MISSING:
            return ""
        self._asked = True
        try:
            return wrong_probe(self._binding, self._before(not observed.newborn))
        except UnauthorizedError:
            if self._goal is Goal.TRAINED:  # whoever only trains need not be let to score
                return ""
            raise

    def begin(self, observed: Observed, change: Change) -> Again | Ended:
        """Note the way back, then swap: forward, or back when `change` says so."""
        forward = change.code != Reason.ROLL_BACK
        if forward and self._target.can.stage and (why := self.foreseen_failure(observed)):
            return self._telling.failed(why, REFUSED)
        if forward and (waiting := self._staging.candidate(observed)) is not None:
            return waiting
        before = self._before(forward and change.code != Reason.CREATED)
        if forward and (why := wrong_probe(self._binding, before)):
            return self._telling.failed(why, REFUSED)
        if forward and observed.artifact.refused:
            self._verdicts.refuse("")
        if not forward:
            self.disproved = self.disproved or observed.artifact.message
        self._telling.say("swapping", f"to {change.after}")
        why = self.disproved or self._world.actor.force
        event = EventKind.ROLL_BACK if self.disproved else EventKind.SWAP
        name = self._binding.version.version if forward else observed.way_back.named
        noted = self._keep(self._record(observed, change, before), event, why, name)
        self._ask(noted, observed, forward=forward)
        return self._telling.written()

    def _ask(self, noted: Record, observed: Observed, *, forward: bool) -> None:
        """Let the endpoint serve the wanted model; or, back, the one that was proved before."""
        back = observed.way_back.model or Model(noted.wanted)
        swap = Swap(self._world.clock.now(), noted.before, noted)
        self._unanswered = swap
        with self._telling.writing():
            if forward:
                swap.operation = self._target.switch(self._binding, wanted_model(observed))
            else:
                swap.operation = self._target.take_back(self._binding, back)
        swap.asked_at = self._world.clock.now()  # its window begins now, however slow that was
        if observed.live.hidden:
            swap.record = self._keep(replace(noted, bound=noted.wanted))
        self._swap = swap

    def _before(self, forward: bool) -> Score | None:
        return score_before(self._target, self._binding, forward=forward)

    def _record(self, observed: Observed, change: Change, before: Score | None) -> Record:
        """What is noted before a swap. A roll-back keeps its own model as the way back, so that
        one which is cut off before its write, or before its proof, is found and ended later.

        What answered while an unproved swap may still have been on its way is not kept: a change
        of that answer would say nothing about this swap. It is no longer on its way where the
        candidate was heard, with an answer that the model before did not give."""
        record = observed.record
        settled = record is None or record.settled or before == self._heard
        return Record(
            wanted=ModelRef(change.after_ref),
            previous=observed.way_back.ref,
            bound=observed.live.served if observed.live.hidden else None,
            proved=False,
            at=timestamp(self._world.clock.now()),
            before=before if settled else None,
            history=record.history if record else (),
            settings=record.settings if record else (),
            etag=record.etag if record else "",
        )

    def _keep(
        self,
        record: Record,
        event: EventKind | None = None,
        why: str = "",
        version: str | None = None,
    ) -> Record:
        if event:
            record = with_event(self._world, record, event, why, version)
        return self._world.ledger.keep_record(self._binding.address, record)

    # --- after it -----------------------------------------------------------------------------

    def take_up(self, observed: Observed, record: Record) -> Again | Ended:
        """Prove a swap that another run made and nobody proved."""
        if observed.artifact.state is ArtifactState.REJECTED:
            self.disproved = self.disproved or observed.artifact.message
        else:  # the rejection was taken back meanwhile: it serves, and is judged anew
            self.disproved = self._unheard = ""
        if self._telling.reached is Reached.NOT_BEGUN:
            self._telling.reached = Reached.UNPROVED
        # The window is counted from now: the clock of the run that swapped is not ours.
        self._swap = Swap(self._world.clock.now(), record.before, record, ended=True)
        return self._prove(self._swap, observed)

    def evidently_done(self, observed: Observed) -> Again | Ended | None:
        """Prove the swap whose answer was lost, now that it shows; None if there was none."""
        if self._unanswered is None:
            return None
        self._swap = self._unanswered
        self._swap.ended = True
        return self._prove(self._swap, observed)

    def read_back(self, observed: Observed, change: Change) -> Again | Ended:
        """The service said that the update ended well: now what is read must show it."""
        swap = self._swap
        assert swap is not None
        if change.code == Reason.UPDATING:
            return self._telling.still_updating(swap.asked_at, change.why)
        if change.code == Reason.UNREADABLE:
            raise UnavailableError(change.why)
        live, wanted = observed.live, swap.record.wanted
        if live.served == wanted and not live.undecided:
            return self._prove(swap, observed)
        if self._in_window(swap):
            return self._telling.again("settling", "the endpoint does not show the new model yet")
        if live.configured == wanted:
            return self._not_proved(swap, f"it did not start: the endpoint serves {_shown(live)}")
        raise ProofError(_not_changed(live, wanted))

    def _prove(self, swap: Swap, observed: Observed) -> Again | Ended:
        if not asks(self._target, self._binding):
            settles_in_s = self._target.settles_in_s(self._binding)
            left_s = settles_in_s - self._seconds_since(swap)
            if left_s > 0:
                self._telling.say("settling", f"in effect after {settles_in_s:g} s")
                return Again(left_s)  # nothing that could be seen would make it sooner
            return self._judged(swap, observed, None)
        self._telling.say("proving")
        try:
            after = answer(self._target, self._binding)
        except ReconcilerError as exc:
            if isinstance(exc, StoppedError) or self._world.stopping():
                raise StoppedError("a run that ends judges nobody") from exc
            return self._without_an_answer(swap, exc)
        other = names_another(after, swap.record.wanted, self._name(swap))
        unchanged = not after.model and swap.before in (None, after.score)
        if (other or unchanged) and self._in_window(swap):
            still = "its answer before is not known" if swap.before is None else "as it did before"
            return self._telling.again("proving", other or f"the endpoint answers, {still}")
        return self._judged(swap, observed, after, other)

    def _without_an_answer(self, swap: Swap, exc: ReconcilerError) -> Again | Ended:
        """Look again as long as a swapped endpoint may take until it answers, or the way to it may
        be broken; then judge (promise 5): whatever else it is that hinders the proof lasts."""
        if isinstance(exc, UnavailableError | UnreachableError):
            if self._seconds_since(swap) > COLD_START_S + self._target.settles_in_s(self._binding):
                return self._not_answered(swap, exc)
            return self._telling.again()
        if self._in_window(swap):
            return self._telling.again("proving", "the endpoint does not answer yet")
        return self._not_answered(swap, exc)

    def _judged(
        self, swap: Swap, observed: Observed, after: Answer | None, other: str = ""
    ) -> Again | Ended:
        """The swap with what is to be said of what it answers; `other` that another model did."""
        score, live = after.score if after else None, observed.live
        health = judge(self._expected(), score)
        if other:
            health = Health(HealthCode.DEGRADED, other)
        proof = replace(
            make_proof(self._binding, live, health, before=swap.before, after=score),
            model=self._name(swap),
            rolled_back=bool(self.disproved),
            declared_only=is_declared_only(live, swap.before, after),
        )
        if proof.converged:
            return self._proved(swap, observed, proof)
        self._heard = score if swap.before not in (None, score) else None
        return self._not_proved(swap, f"swapped and read back, but {health.message}", proof)

    def _name(self, swap: Swap) -> str:
        return swap.record.version_of(swap.record.wanted) or swap.record.wanted.short_name

    def _expected(self) -> Binding:
        """The binding to judge by: git's expectations are of its own version, not of one before."""
        if self._binding.probe is None or not self.disproved:
            return self._binding
        return replace(self._binding, probe=self._binding.probe.of_any_model)

    def _proved(self, swap: Swap, observed: Observed, proof: Proof) -> Again | Ended:
        if self._unheard:  # another run, which was as deaf, may have taken it back
            self._verdicts.reject(self._unheard, silent=True)
        record = replace(swap.record, bound=swap.record.wanted, proved=True)
        record = replace(record, settings=settings_to_keep(self._binding, observed.live))
        self._keep(record, EventKind.DECLARED if proof.declared_only else EventKind.PROOF)
        self._retire()
        how = "declared only" if proof.declared_only else "proved"
        if self.disproved and self._goal is Goal.ROLLED_BACK:
            return self._telling.ended(Ended(proof=proof, changed=True), f"rolled back, and {how}")
        if self.disproved:
            said = f"{self.disproved}; rolled back, and {how}"
            return self._telling.failed(said, UNPROVED, proof)
        if self._binding.settings or self._binding.create is not None:
            # Whether its settings are as declared is for the next look to say.
            self._telling.proof = proof
            self.forget()
            return Again(0.0)
        return self._telling.ended(Ended(proof=proof, changed=True), how)

    def _retire(self) -> None:
        """Drop what the swap left over, which the proof no longer needs. A later swap drops it too,
        so it is no failure of this one."""
        try:
            self._target.retire(self._binding)
        except ReconcilerError as exc:
            log.warning(
                "%s: the previous model is not retired: %s", self._binding.name, exc.message
            )

    # --- and back -----------------------------------------------------------------------------

    def _not_answered(self, swap: Swap, exc: ReconcilerError) -> Again | Ended:
        """No proof for want of an answer; that the model before answers is what blames the new one.

        A wrong probe, or an outage, silences both. Then the rejection is taken back, also that of
        a run which was killed: the manifest says that it was for silence.
        """
        if not self.disproved:
            unheard = (
                f"swapped and read back, but the endpoint does not answer the probe: {exc.message}"
            )
            if swap.is_the_last:
                return self._telling.failed(f"{unheard}; there is no way back", UNPROVED)
            self._unheard = unheard
            return self._not_proved(swap, unheard, silent=True)
        if not self._verdicts.take_back():
            return self._not_proved(swap, f"the endpoint does not answer the probe: {exc.message}")
        said = (
            f"{self._unheard or self.disproved}; swapped back, and the previous model does not "
            f"answer either: {exc.message}; so version {self._binding.version.version} is not "
            "rejected; mend the endpoint or spec.verify, and apply again"
        )
        return self._telling.failed(said, UNPROVED)

    def _not_proved(
        self, swap: Swap, why: str, proof: Proof | None = None, *, silent: bool = False
    ) -> Again | Ended:
        """Reject the version, so that no run binds it again; the next look finds the way back."""
        if self.disproved:
            said = f"{self.disproved}; and the way back could not be proved: {why}"
            return self._telling.failed(said, UNPROVED, proof)
        self._verdicts.reject(why, silent=silent)
        previous = swap.record.previous
        if previous is None or swap.is_the_last:
            return self._telling.failed(f"{why}; there is no way back", UNPROVED, proof)
        self.disproved = f"{why}; version {self._binding.version.version} is rejected"
        self.forget()
        back = swap.record.version_of(previous) or previous.short_name
        self._telling.say("rolling back", back)
        return Again(0.0)

    def _in_window(self, swap: Swap) -> bool:
        """Whether the endpoint may still be as it was before the swap."""
        return self._seconds_since(swap) < self._target.settles_in_s(self._binding)

    def _seconds_since(self, swap: Swap) -> float:
        return self._world.clock.now() - swap.asked_at


def _shown(live: Live) -> str:
    return live.served.url if live.served else live.model_text or "no model"


def _not_changed(live: Live, wanted: ModelRef) -> str:
    told = f", and is configured for {live.configured}," if live.undecided else ""
    return (
        f"the service said that the update succeeded, but reading it back shows {_shown(live)}"
        f"{told} instead of {wanted}"
    )
