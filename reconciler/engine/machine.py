"""Pure: the way of one endpoint, from its plan to its proof and back.

At the whiteboard:

A plan says what is to be done at an address. Between plan and proof lie hours and crashes, so no
step trusts the one before. A run visits the endpoint again and again. Each visit begins with a look
at what *is*, asks the planner (`decide`) what that needs, and does at most one thing about it:

    look ── in sync ──────────────────────────────────────────────────────────── end
      │── refused, or not what was approved ──────────────────────────────────── end
      │── the version is not made ── claim ─ slot ─ start ─ watch the job ── look
      │── endpoint or settings ───── write ─ ask for its progress ────────── look
      └── another model serves:
            [publish ─ stage ─ score the candidate ── bad: drop it, reject ───── end]
            score ─ keep the way back ─ switch ─ ask for its progress ─ look
              ├── it serves, and answers as it must: keep the proof, retire ──── end
              └── it does not: reject the version, or note that its settings are to blame
                    ─ look, which finds the way back:
                    score ─ keep the way back ─ take back ─ … ─ keep its proof ─ end

An endpoint that git does not declare any more has the shortest way: delete, ask for progress, end.

`next_step` is the whole of that as one function without effects. It takes the state, what the last
look of this visit observed, the answer to the last step, and the time; it says which steps come
next, in order, and the state that holds once they are done. A step that answers says by `State.at`
who waits for its answer. If a step fails, the state is as it was before the turn, and the machine
hears of the trouble instead of an answer: trouble that may pass is waited out, five times in a row,
and any other ends the run. Two kinds of errors are answers of their own: those of a probe, for
silence is judged, and those of a progress, for what is read back may still show the truth.

The state is never a memory of what was done: that is in the record and the manifest, written
*before* the deed, where the next run finds it. It keeps patience (since when is something waited
for), words (why was the candidate rejected), and which job or operation to ask instead of looking
at everything. `ConflictError` says that another run was here, and then even that is forgotten.

`interpreter.py` performs the steps, `swap.py` and `candidate.py` have the turns of a swap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.approval import covers, described
from reconciler.engine import candidate, swap
from reconciler.engine.prove import gone, make_proof
from reconciler.engine.slots import Watch
from reconciler.engine.state import (
    APPEARS_S,
    FIRST_PAUSE_S,
    Ask,
    AskJob,
    AskProgress,
    At,
    Claim,
    FreeSlot,
    KeepSettings,
    Look,
    Note,
    Operation,
    Queue,
    Refuse,
    Start,
    Succeed,
    Trouble,
    Turn,
    Verb,
    Wait,
    WaitForJob,
    Write,
    again,
    fail,
    still_updating,
    turn,
    wait,
)
from reconciler.engine.steps import Goal, blocked_code
from reconciler.errors import (
    REFUSED,
    UNPROVED,
    ConflictError,
    NotFoundError,
    ProofError,
    ReconcilerError,
    RefusedError,
    StalePlanError,
    StoppedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
)
from reconciler.model import Action, ArtifactState, Health, HealthCode, Reached, Reason
from reconciler.plan import decide
from reconciler.platforms.contract import DONE, ENDED, Job, JobState, Left, OperationState, Progress

if TYPE_CHECKING:
    from reconciler.engine.state import State, Taken
    from reconciler.ledger import Entry
    from reconciler.model import Change, Observed

MOST_TROUBLES = 5  # consecutive visits that failed for reasons that may pass
LOOK_LASTS_S = 60.0  # how old a look may be that a training begins by
_VERBS = {Action.CREATE: Verb.CREATE, Action.UPDATE: Verb.UPDATE, Action.DELETE: Verb.DELETE}


def next_step(state: State, observed: Observed | None, answer: Any, now: float) -> Turn:
    """The next steps, and the state once they are done."""
    try:
        if isinstance(answer, Trouble):
            raise answer.error
        return _heard(state, observed, answer, now)
    except ReconcilerError as exc:
        return _trouble(state, exc)


def _heard(state: State, observed: Any, answer: Any, now: float) -> Turn:
    """The turn that an answer leads to; `observed` is None in a visit that asks one thing and looks
    not."""
    match state.at:
        case At.JOB:
            return _job_seen(state, answer, now)
        case At.PROGRESS:
            return _progress_seen(state, answer, now)
        case At.LOOK:
            return _looked(state, observed, now)
        case At.NOTE:
            return _noted(state, observed, now)
        case At.PROBE:
            # No version could be proved here where the probe is wrong; asked once.
            if why := swap.probed(state, observed, answer):
                return fail(state, why, REFUSED)
            return _act(replace(state, probed=True), observed, decide(observed), now)
        case At.CLAIM:
            return _claimed(state, answer, now)
        case At.START:
            if not answer:
                return again(state)
            return _wait_for(state, Watch(answer, now), f"job {answer} is running", now)
        case At.CANDIDATE:
            return candidate.heard(state, observed, answer, now)
        case At.SILENCE:
            return candidate.live_heard(state, answer)
        case At.DROP:
            return candidate.drop(state, observed)
        case At.BEFORE:
            return candidate.before_heard(state, observed, answer, now)
        case At.RECORD:
            return swap.way_back_kept(state, observed, answer, now)
        case At.WRITE:
            return _write_taken(state, observed, answer, now)
        case At.BOUND:
            return swap.bound_kept(state, answer)
        case At.SHARE:
            return swap.share_heard(state, observed, answer, now)
        case At.PROOF:
            return swap.proof_heard(state, observed, answer, now)
        case At.UNREJECT:
            return swap.unrejected(state, answer)
    return _begin(state, answer is True, now)


def _begin(state: State, slot: bool, now: float) -> Turn:
    """A visit begins; `slot`: because there is a job slot for it now."""
    if slot and state.claimed and now - state.claimed[1] <= LOOK_LASTS_S:
        words = f"version {state.task.of.version.version}"
        start = Start(state.claimed[0], phase=state.task.of.recipe.making, detail=words)
        return turn(replace(state, claimed=None), At.START, start)
    if (watch := state.watch) is not None:
        asked = replace(watch, asked_s=now - watch.began_at)
        return turn(replace(state, watch=asked), At.JOB, AskJob(watch.job))
    if state.operation is not None:
        return turn(state, At.PROGRESS, AskProgress(state.operation.name))
    if state.task.undeclared is not None:
        return turn(state, At.WRITE, Write(Verb.DELETE, phase=Verb.DELETE.value))
    return turn(state, At.LOOK, Look())


# --- what is ----------------------------------------------------------------------------------


def _looked(state: State, observed: Observed, now: float) -> Turn:
    """A turn that first notes what was observed of a job, with the gates' verdict on it."""
    change = decide(observed)
    if observed.artifact.noted:
        return _act(state, observed, change, now)
    return turn(state, At.NOTE, Note(change.why if change.code == Reason.GATE else ""))


def _noted(state: State, observed: Observed, now: float) -> Turn:
    made = observed.artifact
    if made.state is ArtifactState.READY and not made.sha256:
        return wait(state, 0.0)  # its file is gone, or another run noted it: the next look says
    return _act(state, observed, decide(observed), now)


def _act(state: State, observed: Observed, change: Change, now: float) -> Turn:
    """The one thing to do about what is."""
    task, state = state.task, replace(state, spares=observed.proved_otherwise)
    if change.code == Reason.UNREADABLE:  # the plan could read it, so this may pass
        raise UnavailableError(change.why)
    if state.swap is not None:
        return swap.read_back(state, observed, change, now)
    if change.action is Action.BLOCK:
        blocked = fail(state, change.why, blocked_code(change))
        return blocked.after(Refuse(change.why)) if change.code == Reason.GATE else blocked
    if change.action is Action.NOOP:
        return _nothing_to_do(state, observed)
    if not covers(task.approved, change) and not _lost_by_our_settings(state, change):
        raise StalePlanError(
            f"approved was: {described(task.approved)}; meanwhile it would be: "
            f"{described(change)} ({change.why}); plan and approve again"
        )
    if change.trains and swap.must_probe(state, observed):
        return turn(state, At.PROBE, Ask())
    if change.trains:
        return turn(state, At.CLAIM, Claim())
    if change.code == Reason.TRAINING:
        watch = Watch(observed.artifact.job, now - observed.artifact.running_s)
        return _wait_for(state, watch, change.why, now)
    if task.goal is Goal.TRAINED:
        return Turn(state, (Succeed(task.of.recipe.made),))
    if change.code == Reason.UNPROVED and observed.record is not None:
        return swap.take_up(state, observed, observed.record, now)
    if change.action is Action.WAIT:
        since = now if state.waiting_since is None else state.waiting_since
        waiting = replace(state, waiting_since=since)
        return still_updating(waiting, since, change.why, "swapping", now)
    if change.action in _VERBS and change.code != Reason.ROLL_BACK:
        return _write(state, observed, change, now).after(FreeSlot())
    return candidate.begin(state, observed, change, now).after(FreeSlot())


def _lost_by_our_settings(state: State, change: Change) -> bool:
    """Whether the model went with the settings that this run wrote: a service may have one request
    for both to create and to change, and nobody knows that it leaves the model."""
    approved = state.task.approved
    same = (change.after_ref, change.key) == (approved.after_ref, approved.key)
    wrote = state.written is not None and state.written[0] is Verb.UPDATE
    return wrote and same and change.action is Action.BIND


def _nothing_to_do(state: State, observed: Observed) -> Turn:
    """The end; that of a run that wrote settings, or deleted, has found that it is so."""
    binding = state.task.of
    if state.proof is None and state.written is None:
        return Turn(state, (Succeed("unchanged"),))
    if binding.absent:
        return Turn(state, (Succeed("deleted", gone(binding.name, str(binding.address))),))
    marked = state.task.approved.code == Reason.UNMARKED
    words = "the mark was read back" if marked else "the settings were read back"
    proof = state.proof or make_proof(binding, observed.live, Health(HealthCode.HEALTHY, words))
    how = "declared only" if proof.declared_only else "proved"
    # A mark alone says nothing of the model, so it makes no record that would call it proved.
    keep = () if marked and observed.record is None else (KeepSettings(),)
    return Turn(state, (*keep, Succeed(how, proof)))


# --- training ---------------------------------------------------------------------------------
# While a job runs, a visit asks its engine about that job and nobody else about anything. Whatever
# is written is decided by a whole look: before the claim, and after the job has ended.


def _claimed(state: State, entry: Entry | None, now: float) -> Turn:
    if entry is None:
        return again(state)  # the next look says whose it is
    # The visit goes on where the slot is held already: trouble with the start counts on.
    ready = replace(state, claimed=(entry, now), at=At.BEGIN)
    recipe = state.task.of.recipe
    words = "to be taken in" if recipe.takes else f"for a job slot of {recipe.trainer}"
    return Turn(ready, (Queue(phase="queued", detail=words),))


def _wait_for(state: State, watch: Watch, words: str, now: float, queued: bool = False) -> Turn:
    """Look at the job alone from now on, until it has ended or something is wrong with it."""
    reached = Reached.TRAINING if state.reached is Reached.NOT_BEGUN else state.reached
    watching = replace(state, watch=watch, reached=reached, at=At.BEGIN, troubles=0)
    making = state.task.of.recipe.making
    age_s = now - watch.began_at - (0.0 if queued else watch.waited_s)
    return Turn(watching, (WaitForJob(watch.job, age_s, queued, phase=making, detail=words),))


def _job_seen(state: State, job: Job, now: float) -> Turn:
    """The slot of a job is free for the next one as soon as the job has ended."""
    watch = state.watch
    assert watch is not None
    if job.state is JobState.RUNNING and watch.asked_s <= state.task.of.timeout_s:
        queued = job.message != ""
        words = f"job {watch.job}: {job.message}" if queued else f"job {watch.job} is running"
        return _wait_for(state, watch.running(queued), words, now, queued)
    after = replace(state, watch=None)
    if job.state not in ENDED:
        return wait(after, 0.0)
    free = FreeSlot(watch.job, watch.took_s if job.state is JobState.FINISHED else None)
    return wait(replace(after, ended=(watch.job, job)), 0.0).after(free)


# --- writes -----------------------------------------------------------------------------------


def _write(state: State, observed: Observed, change: Change, now: float) -> Turn:
    """Make, change or delete the endpoint; a write that the service took is not repeated."""
    verb = _VERBS[change.action]
    if verb is Verb.CREATE and state.task.publishes and not state.candidate.published:
        return candidate.publish(state, observed)
    if state.written is None or state.written[0] is not verb:
        accepted = verb is Verb.CREATE and observed.artifact.refused
        model = swap.wanted_model(observed)
        write = turn(state, At.WRITE, Write(verb, model, phase=verb.value))
        return write.after(Refuse("")) if accepted else write
    if now - state.written[1] < state.task.can.settle_s + APPEARS_S:
        return again(state, verb.value, "it does not show yet")
    asked = change.action.name.lower()
    raise ProofError(f"the service took the request to {asked} it, but {change.why}")


def _write_taken(state: State, observed: Observed, taken: Taken, now: float) -> Turn:
    """The platform took a write; it is looked at again soon."""
    verb, name = taken
    begun = Operation(name, verb, now)
    state = replace(state, pause_s=FIRST_PAUSE_S)
    if verb.swaps:
        return swap.taken(state, observed, begun)
    if verb.of_candidate:
        return candidate.taken(state, observed, begun)
    if state.task.undeclared is not None and not name:
        return _removed(state)
    return again(replace(state, written=(verb, now), operation=begun if name else None))


def _progress_seen(state: State, seen: Progress | ReconcilerError, now: float) -> Turn:
    """Look at what became of a write when it has ended, well or not.

    A swap whose progress nobody tells was written all the same: what is read back says more.
    """
    operation = state.operation
    assert operation is not None
    verb = operation.verb
    if isinstance(seen, ReconcilerError):
        if not (verb.swaps and isinstance(seen, RefusedError | NotFoundError | UnreadableError)):
            raise seen
        seen = DONE
    ended = replace(state, operation=None)
    if seen.state is OperationState.RUNNING:
        restores = verb.swaps and state.swap is not None and state.swap.record.restored
        phase = "restoring" if restores else verb.value
        return still_updating(state, operation.since, seen.words, phase, now)
    if seen.state is OperationState.FAILED:
        if verb.swaps and seen.left is Left.CANDIDATE_UNFIT:
            return turn(candidate.unfit(ended, seen.words), At.LOOK, Look())
        if verb.swaps and seen.left is not Left.AS_BEFORE:
            return swap.not_proved(ended, seen.words)
        if verb is Verb.PUBLISH:  # which says nothing of the version
            raise ReconcilerError(f"it could not be published: {seen.words}; apply again")
        if verb is not Verb.STAGE:
            raise ProofError(seen.words)
        why = f"the candidate did not start: {seen.words}"
        ended = replace(ended, candidate=replace(state.candidate, failed=why))
    elif verb is Verb.DROP:
        return candidate.dropped(ended)
    elif state.task.undeclared is not None:
        return _removed(ended)
    if verb.swaps and ended.swap is not None:  # old state may be shown for a while from now on
        ended = replace(ended, swap=replace(ended.swap, asked_at=now))
    return turn(ended, At.LOOK, Look())


def _removed(state: State) -> Turn:
    owned = state.task.undeclared
    assert owned is not None
    return Turn(state, (Succeed("deleted", gone(owned.name, str(owned.address))),))


# --- trouble ----------------------------------------------------------------------------------


def _trouble(state: State, exc: ReconcilerError) -> Turn:
    """Trouble that may pass: look again, a bounded number of times in a row, and say so."""
    if isinstance(exc, StoppedError):
        return wait(state, 0.0)  # which does not come: the run ends
    if isinstance(exc, ConflictError):  # another run was here: what this one remembers is not so
        state = replace(state.without_swap(), watch=None, claimed=None, ended=None)
    elif state.at is At.WRITE:  # it was taken, and that could not be kept: ask for it again
        state = replace(state, swap=None)
    passes = isinstance(exc, ConflictError | UnavailableError | UnreachableError)
    if state.watch is not None or state.at is At.PROGRESS:  # a read, long after the last one
        passes = passes or isinstance(exc, UnreadableError)
    if not passes or state.troubles >= MOST_TROUBLES:
        # A failure; on the way back it is one of the proof, whatever was in the way.
        if state.disproved:
            why = f"{state.disproved}; and it is not rolled back: {exc.message}; run apply again"
            return fail(state, why, UNPROVED)
        if state.candidate.failed:
            why = f"{state.candidate.failed}; and it is not dropped: {exc.message}; run apply again"
            return fail(state, why, UNPROVED)
        return fail(state, exc.message, exc.exit_code)
    tried = replace(state, at=At.BEGIN, troubles=state.troubles + 1)
    pause_s = 2.0**tried.troubles / 2
    detail = f"looking again in {pause_s:g} s: {exc.message}"
    return Turn(tried, (Wait(pause_s, phase="waiting", detail=detail),))
