"""Pure: the candidate of a swap before its switch, as turns of the machine.

Where the platform can stage, a candidate is started beside what serves and scored before it has any
traffic. If it answers as it must, the switch follows; if not, it is dropped and rejected, and the
endpoint was never changed. What is staged is read and not remembered, so a run that is killed
anywhere here leaves a candidate that the next run finds and proves. Other platforms only learn of
the model, where they have a registry of their own; their candidate is proved after the switch.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.engine import swap
from reconciler.engine.prove import breaks, judge, names_another, score_before
from reconciler.engine.state import (
    APPEARS_S,
    Ask,
    At,
    Look,
    Operation,
    Reject,
    Retire,
    State,
    Turn,
    Verb,
    Write,
    again,
    fail,
    turn,
)
from reconciler.engine.swap import (
    COLD_START_S,
    Heard,
    ask_before,
    must_probe,
    silent_until,
    wanted_model,
)
from reconciler.errors import (
    UNPROVED,
    ProofError,
    ReconcilerError,
    UnavailableError,
    UnreachableError,
)
from reconciler.model import Action, Change, HealthCode, Observed, Reason
from reconciler.plan import decide


def begin(state: State, observed: Observed, change: Change, now: float) -> Turn:
    """The next step towards a switch; a roll-back needs no candidate."""
    if change.code == Reason.ROLL_BACK:
        why = state.disproved or observed.why_barred
        return ask_before(replace(state, disproved=why), observed, now)
    if state.task.can.stage and must_probe(state, observed):
        return turn(state, At.PROBE, Ask())
    candidate, model = state.candidate, wanted_model(observed)
    if candidate.failed:
        return turn(state, At.DROP)
    if not candidate.published:
        return publish(state, observed)
    if not state.task.can.stage:
        return ask_before(state, observed, now)
    if observed.live.staged == observed.artifact.ref:
        return _ask_candidate(state, observed, now)
    if candidate.staged_at is None:
        return turn(state, At.WRITE, Write(Verb.STAGE, model, phase="staging", detail=model.name))
    if now - candidate.staged_at < state.task.can.settle_s + APPEARS_S:
        return again(state, "staging", "the candidate does not show yet")
    raise ProofError("the platform staged the candidate, and reading it back does not show it")


def publish(state: State, observed: Observed) -> Turn:
    """Let registries know of the model, and people where one does."""
    model, places = wanted_model(observed), state.task.publishes
    phase, words = Verb.PUBLISH.value if places else "", ", ".join(places)
    write = Write(Verb.PUBLISH, model, phase=phase, detail=f"version {model.name} to {words}")
    return turn(state, At.WRITE, write)


def _ask_candidate(state: State, observed: Observed, now: float) -> Turn:
    if not state.task.asks:
        return ask_before(state, observed, now)
    if state.candidate.staged_at is None:  # another run staged it: its time is counted from now
        state = replace(state, candidate=replace(state.candidate, staged_at=now))
    phase = "" if state.candidate.silence else "proving"
    ask = Ask(staged=True, compare=True, phase=phase, detail="the staged candidate")
    return turn(state, At.CANDIDATE, ask)


def heard(state: State, observed: Observed, answer: Heard, now: float) -> Turn:
    """The candidate answered as it must: ask the live endpoint next, and switch. Else drop it."""
    candidate = state.candidate
    if isinstance(answer, ReconcilerError):
        until = (now if candidate.staged_at is None else candidate.staged_at) + COLD_START_S
        if isinstance(answer, UnavailableError | UnreachableError) and now < until:
            waiting = replace(state, candidate=replace(candidate, silence=answer.message))
            return silent_until(waiting, "the staged candidate", answer.message, until)
        failed = f"the staged candidate does not answer: {answer.message}"
        return turn(replace(state, candidate=replace(candidate, failed=failed)), At.SILENCE, Ask())
    health = judge(state.task.of, answer)
    why = names_another(answer, observed.artifact.ref, state.task.of.version.version)
    if health.code is HealthCode.HEALTHY and not why:
        good = replace(candidate, answer=answer.score)
        return ask_before(replace(state, candidate=good), observed, now)
    return _to_drop(state, f"the staged candidate is no good: {why or health.message}")


def before_heard(state: State, observed: Observed, answer: Heard, now: float) -> Turn:
    """Keep the way back and switch; unless the candidate's answer would break who reads the live
    one, which is known before it has traffic."""
    live = None if isinstance(answer, ReconcilerError) else answer.score
    if why := breaks(state.task.of, live, state.candidate.answer):
        return _to_drop(state, f"the staged candidate is no good: {why}")
    return swap.before_heard(state, observed, answer, now)


def live_heard(state: State, heard: Heard) -> Turn:
    """Blame the candidate for its silence only where the endpoint answers."""
    failed = state.candidate.failed
    if score_before(heard, forward=False) is not None:
        return _to_drop(state, failed)
    why = f"{failed}; nor does the endpoint, so the version is not rejected; apply again"
    return fail(state, why, UNPROVED)


def _to_drop(state: State, why: str) -> Turn:
    return turn(replace(state, candidate=replace(state.candidate, failed=why)), At.DROP)


def unfit(state: State, why: str) -> State:
    """The platform found a fault of the candidate before it gave it traffic: it is dropped next."""
    before = state.without_swap()
    return replace(before, candidate=replace(before.candidate, failed=why))


def drop(state: State, observed: Observed) -> Turn:
    """Drop the candidate; the endpoint goes on serving what it did, which need not be the way back.
    The version is rejected when that is done: nobody looks for the candidate of a version that is
    rejected."""
    back = observed.way_back
    served = back.model if back.ref == observed.live.served else None
    return turn(state, At.WRITE, Write(Verb.DROP, served, phase=Verb.DROP.value))


def dropped(state: State) -> Turn:
    """The candidate is gone, or has lost the traffic that another run gave it, and then is of no
    use: reject its version, or note the failure of its settings."""
    why = state.candidate.failed
    message = f"{why}; {swap.verdict(state)}; the endpoint was not changed"
    return fail(state, message, UNPROVED).after(Reject(why, spares=state.spares), Retire())


def taken(state: State, observed: Observed, operation: Operation) -> Turn:
    """The platform took a write that concerns the candidate alone."""
    verb, now = operation.verb, operation.since
    after = replace(state, operation=operation if operation.name else None)
    if verb is Verb.STAGE:
        return again(replace(after, candidate=replace(state.candidate, staged_at=now)))
    if verb is Verb.DROP:
        return again(after) if operation.name else dropped(after)
    known = replace(after, candidate=replace(state.candidate, published=True))
    if operation.name:
        return again(known, verb.value, wanted_model(observed).name)
    change = decide(observed)
    if change.action is Action.CREATE:
        return turn(known, At.LOOK, Look())
    return begin(known, observed, change, now)
