"""Pure: one swap, as turns of the machine: the switch, its proof, and the way back.

Promise 5 rests on the order: score, keep the way back, switch, read back, score again, keep the
proof. The way back is kept first because a switch without an answer may have been taken or not: the
next look finds the old model and switches again, or finds the new one and proves it.

That a platform reports success is no proof. One that declares the candidate, fails to start it and
goes on answering with the old model reports just that. So two things are asked apart: which model
is read back as the one that serves, and which model gave the answer. An answer proves nothing while
another model is configured than serves, or if it names another version, or if it is the one from
before while the old model may still answer. Silence is blamed on a version only while the previous
model answers: an outage, or a wrong probe, silences both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.engine.prove import (
    as_event,
    breaks,
    is_declared_only,
    judge,
    make_proof,
    names_another,
    score_before,
    wrong_probe,
)
from reconciler.engine.state import (
    Ask,
    At,
    Keep,
    Operation,
    Refuse,
    Reject,
    Retire,
    Succeed,
    Swap,
    Turn,
    Unreject,
    Verb,
    Write,
    again,
    fail,
    still_updating,
    turn,
    wait,
)
from reconciler.engine.steps import Goal
from reconciler.engine.world import timestamp
from reconciler.errors import (
    REFUSED,
    UNPROVED,
    ProofError,
    ReconcilerError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from reconciler.model import (
    EventKind,
    Health,
    HealthCode,
    Model,
    ModelRef,
    Reached,
    Reason,
    Record,
    settings_to_keep,
)
from reconciler.plan import decide
from reconciler.platforms.contract import Answer

if TYPE_CHECKING:
    from reconciler.engine.state import State
    from reconciler.model import Change, Live, Observed, Proof, Score

COLD_START_S = 120.0  # a model that was just started may not answer for a while

Heard = Answer | ReconcilerError  # what came of a probe


def wanted_model(observed: Observed) -> Model:
    """The declared version as it was made."""
    binding, artifact = observed.binding, observed.artifact
    place = artifact.location or artifact.ref
    known = (artifact.sha256, binding.key, artifact.metrics, artifact.labels)
    return Model(place, binding.version, *known)


# --- before the switch ------------------------------------------------------------------------


def must_probe(state: State, observed: Observed) -> bool:
    """Whether the live endpoint is to be asked first: its answer shows that the probe is wrong. A
    slip in the probe is found before it costs a training, or a candidate its version."""
    there = observed.live.health.code is not HealthCode.MISSING
    return state.task.asks and there and not state.probed


def probed(state: State, observed: Observed, heard: Heard) -> str:
    """Why the probe is wrong, by the live answer; "" where nothing shows that."""
    if state.task.goal is Goal.TRAINED and isinstance(heard, UnauthorizedError):
        return ""  # who trains need not be let to score
    return wrong_probe(state.task.of, score_before(heard, forward=not observed.newborn))


def ask_before(state: State, observed: Observed, now: float) -> Turn:
    """Score what serves, before it is switched."""
    if state.task.asks and observed.live.health.code is not HealthCode.MISSING:
        return turn(state, At.BEFORE, Ask())
    return _keep_way_back(state, observed, None, now)


def before_heard(state: State, observed: Observed, heard: Heard, now: float) -> Turn:
    """Keep the way back, with what answered before the switch."""
    code = decide(observed).code
    before = score_before(heard, forward=code not in (Reason.ROLL_BACK, Reason.CREATED))
    if code != Reason.ROLL_BACK and (why := wrong_probe(state.task.of, before)):
        return fail(state, why, REFUSED)
    return _keep_way_back(state, observed, before, now)


def _keep_way_back(state: State, observed: Observed, before: Score | None, now: float) -> Turn:
    """Note what is about to be done, and the way back. A roll-back keeps its own model as the way
    back, so that one which is cut off before its write, or before its proof, is found and ended.
    What answered while an unproved swap may still have been on its way is not kept: a change of
    that answer would say nothing about this swap. It is no longer on its way where the candidate
    was heard, with an answer that the previous model did not give."""
    change, old = decide(observed), observed.record
    forward = change.code != Reason.ROLL_BACK
    made = observed.live.health.code is HealthCode.MISSING
    record = Record(
        wanted=ModelRef(change.after_ref),
        previous=observed.way_back.ref,
        bound=observed.live.served if observed.live.hidden else None,
        proved=False,
        at=timestamp(now),
        before=before if old is None or old.settled or before == state.heard else None,
        history=old.history if old else (),
        settings=old.settings if old else (),
        etag=old.etag if old else "",
    )
    keep = Keep(
        record,
        EventKind.CREATE if made else EventKind.SWAP if forward else EventKind.ROLL_BACK,
        state.disproved or state.task.force,
        state.task.of.version.version if forward else observed.way_back.named,
        phase="restoring" if made else "swapping",
        detail=f"to {change.after}",
    )
    accepted = [Refuse("")] if forward and observed.artifact.refused else []
    return turn(state, At.RECORD, *accepted, keep)


def way_back_kept(state: State, observed: Observed, record: Record, now: float) -> Turn:
    """Let the endpoint serve the wanted model; or, back, the one that was proved before."""
    if decide(observed).code != Reason.ROLL_BACK:
        write = Write(Verb.SWITCH, wanted_model(observed))
    else:
        write = Write(Verb.TAKE_BACK, observed.way_back.model or Model(record.wanted))
    return turn(replace(state, swap=Swap(now, record)), At.WRITE, write)


def taken(state: State, observed: Observed, operation: Operation) -> Turn:
    """The platform took the switch: its window begins now, however slow that was."""
    assert state.swap is not None
    swap = replace(state.swap, asked_at=operation.since)
    after = replace(state, swap=swap, operation=operation if operation.name else None)
    if observed.live.hidden:
        return turn(after, At.BOUND, Keep(replace(swap.record, bound=swap.record.wanted)))
    return again(after)


def bound_kept(state: State, record: Record) -> Turn:
    """The record says what a service that hides its model was told last."""
    assert state.swap is not None
    return again(replace(state, swap=replace(state.swap, record=record)))


# --- after it ---------------------------------------------------------------------------------


def take_up(state: State, observed: Observed, record: Record, now: float) -> Turn:
    """Prove a swap that another run made and nobody proved."""
    if observed.barred:
        state = replace(state, disproved=state.disproved or observed.why_barred)
    else:  # the rejection was taken back meanwhile: it serves, and is judged anew
        state = replace(state, disproved="", unheard="")
    # The window is counted from now: the clock of the run that swapped is not ours.
    state = replace(state, reached=Reached.UNPROVED, swap=Swap(now, record))
    if observed.live.share and observed.live.configured == record.wanted:
        return _ask_for_its_share(state, observed)
    return _prove(state, observed, now)


def read_back(state: State, observed: Observed, change: Change, now: float) -> Turn:
    """The service said that the update ended well: now what is read must show it."""
    swap, live = state.swap, observed.live
    assert swap is not None
    wanted = swap.record.wanted
    if change.code == Reason.UPDATING:
        return still_updating(state, swap.asked_at, change.why, "swapping", now)
    if live.served == wanted and not live.undecided:
        return _prove(state, observed, now)
    if live.configured == wanted and live.share:
        return _ask_for_its_share(state, observed)
    if _in_window(state, swap, now):
        return again(state, "settling", "the endpoint does not show the new model yet")
    if live.health.code is HealthCode.MISSING:  # which says nothing against the model
        raise ProofError(f"{live.health.message} any more; it was deleted during the swap")
    serving = live.served.url if live.served else live.model_text or "no model"
    if live.configured == wanted:
        return not_proved(state, f"it did not start: the endpoint serves {serving}")
    configured = f", and is configured for {live.configured}," if live.undecided else ""
    raise ProofError(
        f"the service said that the update succeeded, but reading it back shows "
        f"{serving}{configured} instead of {wanted}"
    )


def _ask_for_its_share(state: State, observed: Observed) -> Turn:
    """The new model has some of the traffic: it gets more once it answers as it must."""
    if not state.task.asks:
        return turn(state, At.WRITE, Write(Verb.SWITCH, wanted_model(observed)))
    words = f"at {observed.live.share} % of the traffic"
    ask = Ask(staged=True, compare=not state.disproved, phase="proving", detail=words)
    return turn(state, At.SHARE, ask)


def share_heard(state: State, observed: Observed, heard: Heard, now: float) -> Turn:
    """Give the new model its next share, or take back the one that it has."""
    swap = state.swap
    assert swap is not None
    if isinstance(heard, ReconcilerError):
        until = swap.asked_at + COLD_START_S
        if isinstance(heard, UnavailableError | UnreachableError) and now < until:
            return silent_until(state, "the new model", heard.message, until)
        return _not_answered(state, swap, heard.message)
    health = judge(state.task.of, heard)
    why = names_another(heard, swap.record.wanted, swap.name)
    if why or health.code is not HealthCode.HEALTHY:
        share = observed.live.share
        return not_proved(state, f"at {share} % of the traffic, {why or health.message}")
    return turn(state, At.WRITE, Write(Verb.SWITCH, wanted_model(observed)))


def _prove(state: State, observed: Observed, now: float) -> Turn:
    """The turn that keeps the proof, or asks first for the answer that it needs."""
    assert state.swap is not None
    if state.task.asks:
        phase = "" if state.swap.silence else "proving"
        return turn(state, At.PROOF, Ask(compare=not state.disproved, phase=phase))
    settle_s = state.task.settles_in_s
    left_s = settle_s - (now - state.swap.asked_at)
    if left_s > 0:  # nothing that could be seen would make it sooner
        return wait(state, left_s, "settling", f"in effect after {settle_s:g} s")
    return _judged(state, observed, None)


def proof_heard(state: State, observed: Observed, heard: Heard, now: float) -> Turn:
    """Judge the answer, once it can be of the new model; without one, look again as long as a
    swapped endpoint may take, or the way to it may be broken. Whatever else hinders it lasts."""
    swap = state.swap
    assert swap is not None
    in_window = _in_window(state, swap, now)
    if isinstance(heard, UnavailableError | UnreachableError):
        until = swap.asked_at + COLD_START_S + state.task.settles_in_s
        if now > until:
            return _not_answered(state, swap, heard.message)
        waiting = replace(state, swap=replace(swap, silence=heard.message))
        return silent_until(waiting, "the endpoint", heard.message, until)
    if isinstance(heard, ReconcilerError):
        if in_window:
            return again(state, "proving", "the endpoint does not answer yet")
        return _not_answered(state, swap, heard.message)
    other = names_another(heard, swap.record.wanted, swap.name)
    before = swap.record.before
    unchanged = not heard.model and before in (None, heard.score)
    if (other or unchanged) and in_window:
        still = "its answer before is not known" if before is None else "as it did before"
        return again(state, "proving", other or f"the endpoint answers, {still}")
    return _judged(state, observed, heard, other)


def _judged(state: State, observed: Observed, after: Answer | None, other: str = "") -> Turn:
    """The end of a swap by its answer; `other`: another model gave it. After a way back git's
    expectations do not count, for they are of its own version."""
    swap, binding, live = state.swap, state.task.of, observed.live
    assert swap is not None
    score, before = after.score if after else None, swap.record.before
    expected = binding
    if binding.probe is not None and state.disproved:
        expected = replace(binding, probe=binding.probe.of_any_model)
    health = Health(HealthCode.DEGRADED, other) if other else judge(expected, after)
    if health.code is HealthCode.HEALTHY and not state.disproved:
        why = breaks(binding, before, score)
        health = Health(HealthCode.DEGRADED, why) if why else health
    proof = replace(
        make_proof(binding, live, health, before=before, after=after),
        model=swap.name,
        rolled_back=bool(state.disproved) and not swap.record.restored,
        declared_only=is_declared_only(live, before, after),
    )
    if proof.converged:
        return _proved(state, swap.record, live, proof)
    state = replace(state, heard=score if before not in (None, score) else None)
    return not_proved(state, f"swapped and read back, but {health.message}", proof)


def _proved(state: State, record: Record, live: Live, proof: Proof) -> Turn:
    """Keep the proof. A way back rejects a silent candidate again, for a run may have freed it."""
    settings = settings_to_keep(state.task.of, live)
    kept = replace(record, bound=record.wanted, proved=True, settings=settings)
    keep = Keep(kept, *as_event(proof, state.task.of))
    blamed = [Reject(state.unheard, silent=True)] if state.unheard and not state.spares else []
    how = "declared only" if proof.declared_only else "proved"
    if state.disproved and state.task.goal is Goal.ROLLED_BACK:
        end = Turn(state, (Succeed(f"rolled back, and {how}", proof),))
    elif record.restored:
        why = f"{proof.model} is restored, and {how}; what git declares is rejected"
        end = fail(state, f"{why}: {state.disproved}", REFUSED, proof)
    elif state.disproved:
        end = fail(state, f"{state.disproved}; rolled back, and {how}", UNPROVED, proof)
    elif state.task.of.settings or state.task.of.create is not None:
        # Whether its settings are as declared is for the next look to say.
        end = wait(replace(state.without_swap(), proof=proof), 0.0)
    else:
        end = Turn(state, (Succeed(how, proof),))
    return end.after(*blamed, keep, Retire())


# --- and back ---------------------------------------------------------------------------------


def _not_answered(state: State, swap: Swap, why: str) -> Turn:
    """No proof for want of an answer; that the previous model answers is what blames the new one. A
    wrong probe, or an outage, silences both: then the rejection for silence is taken back, also
    that of a run which was killed."""
    if swap.record.restored:  # which says nothing of the version that git declares
        return not_proved(state, f"the endpoint does not answer the probe: {why}")
    if state.disproved:
        silent = replace(state, swap=replace(swap, silence=why))
        return turn(silent, At.UNREJECT, Unreject())
    unheard = f"swapped and read back, but the endpoint does not answer the probe: {why}"
    if swap.is_the_last:
        return fail(state, f"{unheard}; there is no way back", UNPROVED)
    return not_proved(replace(state, unheard=unheard), unheard, silent=True)


def unrejected(state: State, free: bool) -> Turn:
    """Both models are silent: the version is free again, unless it is rejected for a reason of its
    own."""
    assert state.swap is not None
    silence = state.swap.silence
    if not free:
        return not_proved(state, f"the endpoint does not answer the probe: {silence}")
    message = (
        f"{state.unheard or state.disproved}; swapped back, and the previous model does not "
        f"answer either: {silence}; so version {state.task.of.version.version} is not rejected; "
        "mend the endpoint or spec.verify, and apply again"
    )
    return fail(state, message, UNPROVED)


def not_proved(state: State, why: str, proof: Proof | None = None, *, silent: bool = False) -> Turn:
    """Reject the version, so that no run binds it again; the next look finds the way back."""
    swap = state.swap
    assert swap is not None
    if state.disproved:
        message = f"{state.disproved}; and the way back could not be proved: {why}"
        return fail(state, message, UNPROVED, proof)
    reject = Reject(why, silent, state.spares)
    previous = swap.record.previous
    if previous is None or swap.is_the_last:
        return fail(state, f"{why}; there is no way back", UNPROVED, proof).after(reject)
    disproved = f"{why}; {verdict(state)}"
    back = swap.record.version_of(previous) or previous.short_name
    going = replace(state.without_swap(), disproved=disproved)
    return wait(going, 0.0, "rolling back", back).after(reject)


def verdict(state: State) -> str:
    """Whether a version that failed is rejected, in words, and what to do if it is not."""
    version = state.task.of.version.version
    if not state.spares:
        return f"version {version} is rejected"
    why = f"version {version} was proved here with other settings, so it is not rejected"
    return f"{why}: correct the settings"


def silent_until(state: State, whose: str, why: str, until: float) -> Turn:
    """Wait for an answer; people are told of what, and until when."""
    return again(state, "waiting", f"for an answer of {whose} until {timestamp(until)}: {why}")


def _in_window(state: State, swap: Swap, now: float) -> bool:
    """Whether the endpoint may still be as it was before the swap."""
    return now - swap.asked_at < state.task.settles_in_s
