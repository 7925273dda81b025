"""The machine as a table: a state, what was observed, an answer; the steps that follow, and the end.

A row is one transition. `told` writes a turn as text, so that a row reads from left to right.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler import errors
from reconciler.engine import machine, state
from reconciler.engine.machine import next_step
from reconciler.engine.slots import Watch
from reconciler.engine.state import (
    At,
    Candidate,
    Operation,
    State,
    Swap,
    Taken,
    Task,
    Trouble,
    Verb,
)
from reconciler.engine.steps import Goal
from reconciler.model import (
    ArtifactState,
    Creation,
    Event,
    EventKind,
    Expectation,
    HealthCode,
    Live,
    Model,
    ModelRef,
    Observed,
    Owned,
    Probe,
    Reached,
    Recipe,
    Record,
    Witness,
)
from reconciler.model import Score as Cells
from reconciler.plan import decide
from reconciler.platforms.contract import (
    Answer,
    Can,
    Job,
    JobState,
    Left,
    OperationState,
    Progress,
)
from tests.test_plan import HEALTHY, NEW, OLD, binding, of, of_health, refused
from tests.test_plan import observed as of_plan

if TYPE_CHECKING:
    from reconciler.model import WayBack

NOW = 1_000.0
PROBE = Probe("{}", ("label",))
ASKED = binding(probe=PROBE)
BEFORE, AFTER = Cells(("label",), (("old",),)), Cells(("label",), (("new",),))
BAD, WRONG = Cells(("label",), ()), Cells(("score",), (("1",),))
DOWN, REFUSED = errors.UnavailableError("503"), errors.RefusedError("it says no")
RUNNING = Progress(OperationState.RUNNING, "under way")
DONE = Progress(OperationState.DONE)


def failed(left: Left = Left.AS_BEFORE) -> Progress:
    return Progress(OperationState.FAILED, "it failed", left)


def back(**fields: Any) -> WayBack:
    from reconciler.model import WayBack

    return WayBack(OLD, "2026-10", model=Model(OLD), named="2026-10", **fields)


def seen(live: Live | None = None, artifact: Any = None, **fields: Any) -> Observed:
    fields = {"binding": ASKED, "way_back": back(), **fields}
    return of_plan(live, artifact, **fields)


STANDS = seen()  # the old model serves, the new one is ready
SERVES = seen(Live(HEALTHY, served=NEW))
ABSENT = seen(artifact=of(ArtifactState.ABSENT))
MISSING = seen(of_health(HealthCode.MISSING), binding=replace(ASKED, create=Creation()))
GONE = seen(of_health(HealthCode.MISSING), binding=replace(ASKED, absent=True))
DOOMED = seen(Live(HEALTHY, served=NEW, ours=True), binding=replace(ASKED, absent=True))
SET = seen(
    Live(HEALTHY, served=NEW, settings=(("size", "1"),)),
    binding=replace(ASKED, settings=(("size", "2"),)),
)
REJECTED = seen(Live(HEALTHY, served=NEW), of(ArtifactState.REJECTED, "it is bad"))
LOST = seen(
    of_health(HealthCode.MISSING),
    REJECTED.artifact,
    binding=replace(ASKED, create=Creation()),
)
EVENTS = tuple(
    Event("t", EventKind.SWAP, ref, "r", "c", version=name)
    for ref, name in ((OLD, "2026-10"), (NEW, "2026-11"))
)
SWAPPED = Record(NEW, OLD, None, proved=False, at="t", before=BEFORE, history=EVENTS)
UNPROVED = replace(SERVES, record=SWAPPED)
FAILED = (*EVENTS, Event("t", EventKind.FAILED, NEW, "r", "c", why="it is bad", version="2026-11"))
DISPROVED = replace(SERVES, record=replace(SWAPPED, history=FAILED))
NOT_STARTED = replace(DISPROVED, live=Live(HEALTHY, served=OLD, configured=NEW))
BACK_AGAIN = (*FAILED, Event("t", EventKind.ROLL_BACK, OLD, "r", "c", version="2026-10"))
RETURNED = replace(STANDS, record=replace(SWAPPED, wanted=OLD, history=BACK_AGAIN))
MADE_AGAIN = (*EVENTS, Event("t", EventKind.CREATE, OLD, "r", "c", version="2026-10"))
RESTORED = replace(SWAPPED, wanted=OLD, before=None, history=MADE_AGAIN)
BACK = seen(artifact=REJECTED.artifact, record=RESTORED)
HIDDEN = seen(Live(HEALTHY, served=OLD, hidden=True, witness=Witness.RECORD))
TRAINING = seen(artifact=of(ArtifactState.RUNNING, "job j is running", job="j", running_s=9.0))


def at(where: At, seen: Observed = STANDS, can: Can | None = None, **fields: Any) -> State:
    """A state in which exactly what is observed was approved."""
    of_task = ("goal", "force", "approved", "publishes")
    task = {name: fields.pop(name) for name in of_task if name in fields}
    approved = task.pop("approved", decide(seen))
    can = can or Can()
    task = Task(approved, seen.binding, can=can, settles_in_s=can.settle_s, **task)
    return State(task, at=where, **fields)


def swapped(where: At = At.PROOF, seen: Observed | None = None, **fields: Any) -> State:
    """A state in which the new model was swapped in just now."""
    swap = Swap(fields.pop("asked_at", NOW), fields.pop("record", SWAPPED))
    return at(where, seen or SERVES, swap=swap, **fields)


def undeclared(where: At, **fields: Any) -> State:
    owned = Owned("WebService", "churn", ASKED.address)
    return State(Task(decide(STANDS), undeclared=owned), at=where, **fields)


def words(step: state.Step) -> str:
    match step:
        case state.Write():
            whom = step.model.ref.path.split("/")[-2] if step.model else "-"
            also = f" ({step.detail})" if step.phase == "publishing" else ""
            return f"write {step.verb.name} {whom}{also}"
        case state.Wait():
            return f"wait {step.after_s:g}" + (
                f" ({step.phase}: {step.detail})" if step.phase else ""
            )
        case state.WaitForJob():
            return f"wait for {step.job}, {step.age_s:g} s old ({step.phase})"
        case state.Fail():
            return f"fail {step.exit_code}: {step.message}"
        case state.Succeed():
            return f"succeed: {step.outcome}" + (", with proof" if step.proof else "")
        case state.Keep():
            what = step.event.value if step.event else "bound" if step.record.bound else "nothing"
            before = step.record.before.rows[0][0] if step.record.before else "unknown"
            return f"keep {what} {step.version or ''}".rstrip() + f" before {before}"
        case state.Reject():
            how = "spare" if step.spares else "reject"
            return f"{how}{' silent' if step.silent else ''}: {step.why}"
        case state.Ask():
            whom = "ask the candidate" if step.staged else "ask"
            return f"{whom} ({step.phase})" if step.phase else whom
        case state.FreeSlot():
            return "free slot" + (f" after {step.took_s:g} s" if step.took_s else "")
        case state.Refuse() | state.Note():
            return f"{type(step).__name__.lower()} '{step.why if isinstance(step, state.Refuse) else step.refused}'"
        case state.AskJob():
            return f"look at job {step.job}"
    return type(step).__name__.lower()


def told(turn: state.Turn) -> str:
    return " | ".join(map(words, turn.steps))


Row = tuple[str, State, Observed | None, object, str]

BEGINNINGS: list[Row] = [
    ("a visit begins with a look", at(At.BEGIN), None, False, "look"),
    ("a job that runs is asked for, and nobody else", at(At.BEGIN, watch=Watch("j", 990.0)), None, False, "look at job j"),
    ("an operation that runs is asked for first", at(At.BEGIN, operation=Operation("o", Verb.SWITCH, NOW)), None, False, "askprogress"),
    ("a claim with a slot is started", at(At.BEGIN, claimed=(cast("Any", "e"), NOW)), None, True, "start"),
    ("a claim that is old is looked at again", at(At.BEGIN, claimed=(cast("Any", "e"), NOW - 61)), None, True, "look"),
    ("a claim without a slot is looked at again", at(At.BEGIN, claimed=(cast("Any", "e"), NOW)), None, False, "look"),
    ("an undeclared endpoint is deleted", undeclared(At.BEGIN), None, False, "write DELETE -"),
]  # fmt: skip

LOOKS: list[Row] = [
    ("in sync", at(At.LOOK, SERVES), SERVES, SERVES, "succeed: unchanged"),
    ("unreadable may pass, for the plan could read it", at(At.LOOK), seen(of_health(HealthCode.UNKNOWN)), None, "wait 1 (waiting: looking again in 1 s: said so)"),
    ("also after a training", at(At.LOOK, ended=("j", Job(JobState.FINISHED)), reached=Reached.TRAINING), seen(of_health(HealthCode.UNKNOWN)), None, "wait 1 (waiting: looking again in 1 s: said so)"),
    ("where it lasts it is an error", at(At.LOOK, troubles=5), seen(of_health(HealthCode.UNKNOWN)), None, "fail 1: said so"),
    ("a refusal is a refusal", at(At.LOOK), seen(refused("managed")), None, "fail 4: because"),
    ("an unproved way back is no update of somebody else", at(At.LOOK, seen(artifact=REJECTED.artifact, record=replace(SWAPPED, wanted=OLD))), seen(artifact=REJECTED.artifact, record=replace(SWAPPED, wanted=OLD)), None, "ask (proving)"),
    ("gates that refuse are kept", at(At.LOOK), seen(artifact=of(ArtifactState.READY, metrics={"AUC": 0.1})), None, "refuse 'not accepted: AUC is 0.1, and must be atLeast 0.85' | fail 4: not accepted: AUC is 0.1, and must be atLeast 0.85"),
    ("what nobody approved is not done", at(At.LOOK, approved=decide(SERVES)), STANDS, None, "fail 5: approved was: noop 2026-10 → 2026-11; meanwhile it would be: bind 2026-10 → 2026-11 (the trained model is ready; swap it in); plan and approve again"),
    ("news of a job are noted first", at(At.LOOK), seen(artifact=of(ArtifactState.READY, noted=False)), None, "note ''"),
    ("the gates' refusal is noted with them", at(At.LOOK), seen(artifact=of(ArtifactState.READY, noted=False, metrics={"AUC": 0.1})), None, "note 'not accepted: AUC is 0.1, and must be atLeast 0.85'"),
    ("what another run noted first is looked at again", at(At.NOTE), seen(artifact=of(ArtifactState.READY, noted=False)), None, "wait 0"),
    ("what is noted is acted on", at(At.NOTE), seen(artifact=of(ArtifactState.READY, noted=False, sha256="ab")), None, "free slot | write PUBLISH 2026-11"),
    ("a failure that is noted is acted on", at(At.NOTE, ABSENT, probed=True), seen(artifact=of(ArtifactState.ABSENT, noted=False)), None, "claim"),
    ("an update of somebody else is waited for", at(At.LOOK), seen(of_health(HealthCode.PROGRESSING)), None, "wait 0.25 (swapping: said so)"),
    ("but not for ever", at(At.LOOK, waiting_since=NOW - 901), seen(of_health(HealthCode.PROGRESSING)), None, "fail 1: the update is still said so after 900 s"),
]  # fmt: skip

TRAININGS: list[Row] = [
    ("the probe is tried before a training", at(At.LOOK, ABSENT), ABSENT, None, "ask"),
    ("and only once", at(At.LOOK, ABSENT, probed=True), ABSENT, None, "claim"),
    ("but not where nothing answers yet", at(At.LOOK, seen(MISSING.live, of(ArtifactState.ABSENT), binding=MISSING.binding)), seen(MISSING.live, of(ArtifactState.ABSENT), binding=MISSING.binding), None, "claim"),
    ("a probe that is wrong costs no training", at(At.PROBE, ABSENT), ABSENT, Answer(WRONG), 'fail 4: before the endpoint is changed, the answer has no column "label" (it has "score"); correct spec.verify'),
    ("a probe that is right lets it begin", at(At.PROBE, ABSENT), ABSENT, Answer(BEFORE), "claim"),
    ("who may not score swaps nothing", at(At.PROBE, ABSENT), ABSENT, errors.UnauthorizedError("403"), "fail 1: 403"),
    ("who only trains need not score", at(At.PROBE, ABSENT, goal=Goal.TRAINED), ABSENT, errors.UnauthorizedError("403"), "claim"),
    ("a claim of another run is looked at again", at(At.CLAIM, ABSENT), ABSENT, None, "wait 0.25"),
    ("a claimed version stands in line", at(At.CLAIM, ABSENT), ABSENT, "entry", "queue"),
    ("where another started first it looks again", at(At.START, ABSENT), None, "", "wait 0.25"),
    ("a started job is watched", at(At.START, ABSENT), None, "j", "wait for j, 0 s old (training)"),
    ("a file is taken in, not trained", at(At.START, seen(binding=replace(ASKED, recipe=Recipe("file")))), None, "j", "wait for j, 0 s old (taking in)"),
    ("a job of an earlier run is watched", at(At.LOOK, TRAINING), TRAINING, None, "wait for j, 9 s old (training)"),
    ("a job that runs is waited for", at(At.JOB, watch=Watch("j", 990.0, asked_s=10)), None, Job(JobState.RUNNING), "wait for j, 10 s old (training)"),
    ("a job that takes too long is looked at whole", at(At.JOB, watch=Watch("j", 0.0, asked_s=7201)), None, Job(JobState.RUNNING), "wait 0"),
    ("a job that ended gives its slot back", at(At.JOB, watch=Watch("j", 990.0, 8, 10)), None, Job(JobState.FINISHED), "free slot after 9 s | wait 0"),
    ("not with what it waited in a queue", at(At.JOB, watch=Watch("j", 990.0, 8, 10, 6)), None, Job(JobState.FINISHED), "free slot after 3 s | wait 0"),
    ("only what finished tells how long it takes", at(At.JOB, watch=Watch("j", 990.0, 8, 10)), None, Job(JobState.FAILED), "free slot | wait 0"),
    ("a job that is not there gives no slot back", at(At.JOB, watch=Watch("j", 990.0)), None, Job(JobState.NOT_STARTED), "wait 0"),
    ("a run that only trains ends with the version", at(At.LOOK, goal=Goal.TRAINED), STANDS, None, "succeed: trained"),
]  # fmt: skip

WRITES: list[Row] = [
    ("an endpoint is made", at(At.LOOK, MISSING), MISSING, None, "free slot | write CREATE 2026-11"),
    ("its version is not refused any more", at(At.LOOK, MISSING), replace(MISSING, artifact=of(ArtifactState.READY, refused="no")), None, "free slot | refuse '' | write CREATE 2026-11"),
    ("settings are written", at(At.LOOK, SET), SET, None, "free slot | write UPDATE 2026-11"),
    ("an endpoint is deleted", at(At.LOOK, DOOMED), DOOMED, None, "free slot | write DELETE 2026-11"),
    ("a write that was taken is looked at soon", at(At.WRITE, SET), SET, Taken(Verb.UPDATE, "o"), "wait 0.25"),
    ("a write is not repeated", at(At.LOOK, SET, written=(Verb.UPDATE, NOW - 59)), SET, None, "free slot | wait 0.25 (updating: it does not show yet)"),
    ("a write that never shows is an error", at(At.LOOK, SET, written=(Verb.UPDATE, NOW - 61)), SET, None, "fail 8: the service took the request to update it, but settings differ from what is declared"),
    ("another write may follow", at(At.LOOK, SET, written=(Verb.CREATE, NOW - 61)), SET, None, "free slot | write UPDATE 2026-11"),
    ("a model lost by our settings is swapped in", at(At.LOOK, SET, written=(Verb.UPDATE, NOW)), replace(SET, live=replace(SET.live, served=OLD)), None, "free slot | write PUBLISH 2026-11"),
    ("but none of another version", at(At.LOOK, replace(SET, binding=replace(SET.binding, version=replace(ASKED.version, version="2026-09"))), written=(Verb.UPDATE, NOW)), replace(SET, live=replace(SET.live, served=OLD)), None, "fail 5: approved was: update 2026-10 → 2026-09 with settings.size 2; meanwhile it would be: bind 2026-10 → 2026-11 with settings.size 2 (the trained model is ready; swap it in); plan and approve again"),
    ("a model lost otherwise is not", at(At.LOOK, SET), replace(SET, live=replace(SET.live, served=OLD)), None, "fail 5: approved was: update 2026-10 → 2026-11 with settings.size 2; meanwhile it would be: bind 2026-10 → 2026-11 with settings.size 2 (the trained model is ready; swap it in); plan and approve again"),
    ("settings that are read back are kept", at(At.LOOK, SERVES, written=(Verb.UPDATE, NOW)), SERVES, None, "keepsettings | succeed: proved, with proof"),
    ("a deleted endpoint is gone", at(At.LOOK, GONE, written=(Verb.DELETE, NOW)), GONE, None, "succeed: deleted, with proof"),
    ("an undeclared one too, at once", undeclared(At.WRITE), None, Taken(Verb.DELETE, ""), "succeed: deleted, with proof"),
    ("or after a while", undeclared(At.WRITE), None, Taken(Verb.DELETE, "o"), "wait 0.25"),
    ("an undeclared one is gone when that ended", undeclared(At.PROGRESS, operation=Operation("o", Verb.DELETE, NOW)), None, DONE, "succeed: deleted, with proof"),
    ("an operation that runs is waited for", at(At.PROGRESS, operation=Operation("o", Verb.CREATE, NOW)), None, RUNNING, "wait 0.25 (creating: under way)"),
    ("so is one that restores", swapped(At.PROGRESS, record=RESTORED, operation=Operation("o", Verb.TAKE_BACK, NOW)), None, RUNNING, "wait 0.25 (restoring: under way)"),
    ("but not for ever", at(At.PROGRESS, operation=Operation("o", Verb.CREATE, NOW - 901)), None, RUNNING, "fail 1: the update is still under way after 900 s"),
    ("one that ended is looked at", at(At.PROGRESS, operation=Operation("o", Verb.CREATE, NOW)), None, DONE, "look"),
    ("one that failed is an error", at(At.PROGRESS, operation=Operation("o", Verb.CREATE, NOW)), None, failed(), "fail 8: it failed"),
    ("one that cannot be asked is trouble", at(At.PROGRESS, operation=Operation("o", Verb.CREATE, NOW)), None, REFUSED, "fail 4: it says no"),
    ("a swap that cannot be asked is read back", swapped(At.PROGRESS, operation=Operation("o", Verb.SWITCH, NOW)), None, REFUSED, "look"),
    ("unless the service is down", swapped(At.PROGRESS, operation=Operation("o", Verb.SWITCH, NOW)), None, DOWN, "wait 1 (waiting: looking again in 1 s: 503)"),
]  # fmt: skip

SPARED = "version 2026-11 was proved here with other settings, so it is not rejected: correct the settings"
STAGING, STAGED = Can(stage=True), Candidate(published=True, staged_at=NOW)
SHOWN = seen(Live(HEALTHY, served=OLD, staged=NEW))
CANDIDATES: list[Row] = [
    ("the probe is tried before a candidate is staged", at(At.LOOK, can=STAGING), STANDS, None, "free slot | ask"),
    ("the model is made known", at(At.LOOK, can=STAGING, probed=True), STANDS, None, "free slot | write PUBLISH 2026-11"),
    ("people are told where that is", at(At.LOOK, probed=True, publishes=("churn", "all")), STANDS, None, "free slot | write PUBLISH 2026-11 (version 2026-11 to churn, all)"),
    ("a model is made known before its endpoint is made", at(At.LOOK, MISSING, publishes=("churn",)), MISSING, None, "free slot | write PUBLISH 2026-11 (version 2026-11 to churn)"),
    ("which is looked at again then", at(At.WRITE, MISSING, publishes=("churn",)), MISSING, Taken(Verb.PUBLISH, ""), "look"),
    ("and made", at(At.LOOK, MISSING, publishes=("churn",), candidate=Candidate(published=True)), MISSING, None, "free slot | write CREATE 2026-11"),
    ("a publication that failed rejects nothing", at(At.PROGRESS, operation=Operation("o", Verb.PUBLISH, NOW)), None, failed(), "fail 1: it could not be published: it failed; apply again"),
    ("that is waited for", at(At.WRITE, can=STAGING, probed=True), STANDS, Taken(Verb.PUBLISH, "o"), "wait 0.25 (publishing: 2026-11)"),
    ("a model that is known is staged", at(At.WRITE, can=STAGING, probed=True), STANDS, Taken(Verb.PUBLISH, ""), "write STAGE 2026-11"),
    ("where nothing can be staged, the live answer comes next", at(At.WRITE), STANDS, Taken(Verb.PUBLISH, ""), "ask"),
    ("a staged candidate is looked at", at(At.WRITE, can=STAGING), STANDS, Taken(Verb.STAGE, "o"), "wait 0.25"),
    ("it may show late", at(At.LOOK, can=STAGING, probed=True, candidate=replace(STAGED, staged_at=NOW - 59)), STANDS, None, "free slot | wait 0.25 (staging: the candidate does not show yet)"),
    ("but not for ever", at(At.LOOK, can=STAGING, probed=True, candidate=replace(STAGED, staged_at=NOW - 61)), STANDS, None, "fail 8: the platform staged the candidate, and reading it back does not show it"),
    ("a candidate that shows is asked", at(At.LOOK, can=STAGING, probed=True, candidate=STAGED), SHOWN, None, "free slot | ask the candidate (proving)"),
    ("silence is said once", at(At.LOOK, can=STAGING, probed=True, candidate=replace(STAGED, silence="503")), SHOWN, None, "free slot | ask the candidate"),
    ("without a probe it is switched to", at(At.LOOK, replace(SHOWN, binding=binding()), STAGING, candidate=STAGED), replace(SHOWN, binding=binding()), None, "free slot | keep swap 2026-11 before unknown"),
    ("a good candidate is switched to", at(At.CANDIDATE, can=STAGING, candidate=STAGED), SHOWN, Answer(AFTER), "ask"),
    ("a bad one is dropped", at(At.CANDIDATE, can=STAGING, candidate=STAGED), SHOWN, Answer(BAD), ""),
    ("one that names another model is dropped", at(At.CANDIDATE, can=STAGING, candidate=STAGED), SHOWN, Answer(AFTER, "other"), ""),
    ("one that starts cold is waited for", at(At.CANDIDATE, can=STAGING, candidate=STAGED), SHOWN, DOWN, "wait 0.25 (waiting: for an answer of the staged candidate until 1970-01-01T00:18:40Z: 503)"),
    ("but not for ever", at(At.CANDIDATE, can=STAGING, candidate=replace(STAGED, staged_at=NOW - 120)), SHOWN, DOWN, "ask"),
    ("what it refuses lasts", at(At.CANDIDATE, can=STAGING, candidate=STAGED), SHOWN, REFUSED, "ask"),
    ("silence is its own where the endpoint answers", at(At.SILENCE, can=STAGING, candidate=replace(STAGED, failed="silent")), SHOWN, Answer(BEFORE), ""),
    ("and blames nobody where that is silent too", at(At.SILENCE, can=STAGING, candidate=replace(STAGED, failed="silent")), SHOWN, DOWN, "fail 8: silent; nor does the endpoint, so the version is not rejected; apply again"),
    ("dropping goes back to what was proved", at(At.DROP, can=STAGING, candidate=replace(STAGED, failed="bad")), SHOWN, None, "write DROP 2026-10"),
    ("but never in place of what serves unproved", at(At.DROP, can=STAGING, candidate=replace(STAGED, failed="bad")), seen(Live(HEALTHY, served=ModelRef(f"{OLD}x"), staged=NEW)), None, "write DROP -"),
    ("or without a way back drops all the same", at(At.DROP, can=STAGING, candidate=replace(STAGED, failed="bad")), seen(SHOWN.live, way_back=replace(back(), model=None)), None, "write DROP -"),
    ("a candidate that did not start is dropped", at(At.LOOK, can=STAGING, probed=True, candidate=replace(STAGED, failed="bad")), STANDS, None, "free slot"),
    ("that it did not start is found by its progress", at(At.PROGRESS, can=STAGING, candidate=STAGED, operation=Operation("o", Verb.STAGE, NOW)), None, failed(), "look"),
    ("a drop that runs is waited for before it is rejected", at(At.WRITE, can=STAGING, candidate=replace(STAGED, failed="bad")), SHOWN, Taken(Verb.DROP, "o"), "wait 0.25"),
    ("a version that was dropped is rejected", at(At.WRITE, can=STAGING, candidate=replace(STAGED, failed="bad")), SHOWN, Taken(Verb.DROP, ""), "reject: bad | retire | fail 8: bad; version 2026-11 is rejected; the endpoint was not changed"),
    ("also when that took a while", at(At.PROGRESS, can=STAGING, candidate=replace(STAGED, failed="bad"), operation=Operation("o", Verb.DROP, NOW)), None, DONE, "reject: bad | retire | fail 8: bad; version 2026-11 is rejected; the endpoint was not changed"),
    ("one that was proved with other settings is spared", at(At.WRITE, can=STAGING, spares=True, candidate=replace(STAGED, failed="bad")), SHOWN, Taken(Verb.DROP, ""), f"spare: bad | retire | fail 8: bad; {SPARED}; the endpoint was not changed"),
    ("a drop that failed rejects nothing, so that the next run drops it", at(At.PROGRESS, can=STAGING, candidate=replace(STAGED, failed="bad"), operation=Operation("o", Verb.DROP, NOW)), None, failed(), "fail 8: bad; and it is not dropped: it failed; run apply again"),
]  # fmt: skip

ROLL_BACK = at(At.LOOK, REJECTED)
SWITCHES: list[Row] = [
    ("what answers before is kept with the way back", at(At.BEFORE), STANDS, Answer(BEFORE), "keep swap 2026-11 before old"),
    ("no answer before is no hindrance", at(At.BEFORE), STANDS, DOWN, "keep swap 2026-11 before unknown"),
    ("but that scoring is refused is one", at(At.BEFORE), STANDS, REFUSED, "fail 4: it says no"),
    ("a wrong probe swaps nothing", at(At.BEFORE), STANDS, Answer(WRONG), 'fail 4: before the endpoint is changed, the answer has no column "label" (it has "score"); correct spec.verify'),
    ("the answer of an unproved swap is not kept", at(At.BEFORE), replace(STANDS, record=SWAPPED), Answer(BEFORE), "keep swap 2026-11 before unknown"),
    ("unless it was the candidate's own", at(At.BEFORE, heard=BEFORE), replace(STANDS, record=SWAPPED), Answer(BEFORE), "keep swap 2026-11 before old"),
    ("the gates' refusal is taken back first", at(At.BEFORE), replace(STANDS, artifact=of(ArtifactState.READY, refused="no")), Answer(BEFORE), "refuse '' | keep swap 2026-11 before old"),
    ("a roll-back begins with the live answer", ROLL_BACK, REJECTED, None, "free slot | ask"),
    ("which may be missing, refused or wrong", at(At.BEFORE, REJECTED, disproved="it is bad"), REJECTED, REFUSED, "keep roll back 2026-10 before unknown"),
    ("for the probe cannot hinder a way back", at(At.BEFORE, REJECTED, disproved="it is bad"), REJECTED, Answer(WRONG), "keep roll back 2026-10 before 1"),
    ("the switch follows its record", at(At.RECORD), STANDS, SWAPPED, "write SWITCH 2026-11"),
    ("and the way back its own", at(At.RECORD, REJECTED), REJECTED, SWAPPED, "write TAKE_BACK 2026-10"),
    ("a lost endpoint is asked nothing before it is made again", at(At.LOOK, LOST), LOST, None, "free slot | keep create 2026-10 before unknown"),
    ("with the model that was good there", at(At.RECORD, LOST), LOST, RESTORED, "write TAKE_BACK 2026-10"),
    ("a switch is looked at soon", swapped(At.WRITE), STANDS, Taken(Verb.SWITCH, "o"), "wait 0.25"),
    ("a service that hides its model is believed", swapped(At.WRITE), HIDDEN, Taken(Verb.SWITCH, "o"), "keep bound before old"),
    ("and then looked at", swapped(At.BOUND), HIDDEN, SWAPPED, "wait 0.25"),
    ("a way back without a record of its model goes by the reference", at(At.RECORD, REJECTED), replace(REJECTED, way_back=replace(back(), model=None)), replace(SWAPPED, wanted=OLD), "write TAKE_BACK 2026-10"),
    ("a switch that failed and left all as it was is an error", swapped(At.PROGRESS, operation=Operation("o", Verb.SWITCH, NOW)), None, failed(), "fail 8: it failed"),
    ("one that spares its version is taken back", swapped(At.PROGRESS, spares=True, operation=Operation("o", Verb.SWITCH, NOW)), None, failed(Left.CANDIDATE_DECLARED), "spare: it failed | wait 0 (rolling back: 2026-10)"),
    ("what failed and was spared is rolled back by the next look", at(At.LOOK, DISPROVED), DISPROVED, None, "free slot | ask"),
    ("also if it is only told to serve", at(At.LOOK, NOT_STARTED), NOT_STARTED, None, "free slot | ask"),
    ("but not once somebody put the previous model back", at(At.LOOK), replace(STANDS, record=DISPROVED.record), None, "free slot | write PUBLISH 2026-11"),
    ("the way back from it is proved before it is tried again", at(At.LOOK, RETURNED), RETURNED, None, "ask (proving)"),
    ("what failed before is tried again", at(At.LOOK), replace(STANDS, record=replace(SWAPPED, wanted=OLD, proved=True, history=BACK_AGAIN)), None, "free slot | write PUBLISH 2026-11"),
    ("one that declared the candidate is taken back", swapped(At.PROGRESS, operation=Operation("o", Verb.SWITCH, NOW)), None, failed(Left.CANDIDATE_DECLARED), "reject: it failed | wait 0 (rolling back: 2026-10)"),
]  # fmt: skip

SETTLES = Can(settle_s=30.0)
UNANSWERED = "swapped and read back, but the endpoint does not answer the probe: it says no"
PROOFS: list[Row] = [
    ("a swap of another run is proved", at(At.LOOK, UNPROVED), UNPROVED, None, "ask (proving)"),
    ("what is read back is scored", swapped(At.LOOK), SERVES, None, "ask (proving)"),
    ("silence is said once", at(At.LOOK, SERVES, swap=Swap(NOW, SWAPPED, "503")), SERVES, None, "ask"),
    ("an endpoint that cannot be read is never served", swapped(At.LOOK), seen(Live(HEALTHY, model_text="a table")), None, f"fail 8: the service said that the update succeeded, but reading it back shows a table instead of {NEW}"),
    ("nor is an empty one", swapped(At.LOOK), seen(Live(HEALTHY)), None, f"fail 8: the service said that the update succeeded, but reading it back shows no model instead of {NEW}"),
    ("one that was deleted meanwhile is no fault of the version", swapped(At.LOOK), seen(of_health(HealthCode.MISSING)), None, "fail 8: said so any more; it was deleted during the swap"),
    ("but may not show yet", swapped(At.LOOK, can=SETTLES), seen(of_health(HealthCode.MISSING)), None, "wait 0.25 (settling: the endpoint does not show the new model yet)"),
    ("without a probe the word of the service is enough", swapped(At.LOOK, replace(SERVES, binding=binding())), replace(SERVES, binding=binding()), None, "keep proof before old | retire | succeed: proved, with proof"),
    ("once it has settled", swapped(At.LOOK, replace(SERVES, binding=binding()), can=SETTLES, asked_at=NOW - 10), replace(SERVES, binding=binding()), None, "wait 20 (settling: in effect after 30 s)"),
    ("an update under way is waited for", swapped(At.LOOK), seen(of_health(HealthCode.PROGRESSING)), None, "wait 0.25 (swapping: said so)"),
    ("what cannot be read is trouble", swapped(At.LOOK), seen(of_health(HealthCode.UNKNOWN)), None, "wait 1 (waiting: looking again in 1 s: said so)"),
    ("the old model may still show", swapped(At.LOOK, can=SETTLES), STANDS, None, "wait 0.25 (settling: the endpoint does not show the new model yet)"),
    ("a success that changed nothing is an error", swapped(At.LOOK), STANDS, None, f"fail 8: the service said that the update succeeded, but reading it back shows {OLD} instead of {NEW}"),
    ("configured is not served", swapped(At.LOOK), seen(Live(HEALTHY, served=OLD, configured=NEW)), None, f"reject: it did not start: the endpoint serves {OLD} | wait 0 (rolling back: 2026-10)"),
    ("served is not proved while another is configured", swapped(At.LOOK), seen(Live(HEALTHY, served=NEW, configured=OLD)), None, f"fail 8: the service said that the update succeeded, but reading it back shows {NEW}, and is configured for {OLD}, instead of {NEW}"),
    ("an answer proves", swapped(), SERVES, Answer(AFTER), "keep proof before old | retire | succeed: proved, with proof"),
    ("a declaration alone does not", swapped(), seen(Live(HEALTHY, served=NEW, witness=Witness.DECLARATION)), Answer(BEFORE), "keep declared before old | retire | succeed: declared only, with proof"),
    ("settings follow the swap", swapped(seen=SET), SET, Answer(AFTER), "keep proof before old | retire | wait 0"),
    ("a bad answer is rejected and rolled back", swapped(), SERVES, Answer(BAD), "reject: swapped and read back, but the endpoint answered the probe with no rows | wait 0 (rolling back: 2026-10)"),
    ("the version is spared where it was proved with other settings", swapped(spares=True), SERVES, Answer(BAD), "spare: swapped and read back, but the endpoint answered the probe with no rows | wait 0 (rolling back: 2026-10)"),
    ("the answer of another model is, too", swapped(), SERVES, Answer(AFTER, "other"), "reject: swapped and read back, but the answer is of other, not of 2026-11 | wait 0 (rolling back: 2026-10)"),
    ("but may be late", swapped(can=SETTLES), SERVES, Answer(AFTER, "other"), "wait 0.25 (proving: the answer is of other, not of 2026-11)"),
    ("as before may be the old model", swapped(can=SETTLES), SERVES, Answer(BEFORE), "wait 0.25 (proving: the endpoint answers, as it did before)"),
    ("unless it names the new one", swapped(can=SETTLES), SERVES, Answer(BEFORE, NEW.url), "keep proof before old | retire | succeed: proved, with proof"),
    ("so may any where none is known before", swapped(can=SETTLES, record=replace(SWAPPED, before=None)), SERVES, Answer(AFTER), "wait 0.25 (proving: the endpoint answers, its answer before is not known)"),
    ("as before proves in the end", swapped(can=SETTLES, asked_at=NOW - 31), SERVES, Answer(BEFORE), "keep proof before old | retire | succeed: proved, with proof"),
    ("a cold start is waited for", swapped(), SERVES, DOWN, "wait 0.25 (waiting: for an answer of the endpoint until 1970-01-01T00:18:40Z: 503)"),
    ("but not for ever", swapped(asked_at=NOW - 121), SERVES, DOWN, "reject silent: swapped and read back, but the endpoint does not answer the probe: 503 | wait 0 (rolling back: 2026-10)"),
    ("any other error may pass in the window", swapped(can=SETTLES), SERVES, REFUSED, "wait 0.25 (proving: the endpoint does not answer yet)"),
    ("and lasts after it", swapped(), SERVES, REFUSED, f"reject silent: {UNANSWERED} | wait 0 (rolling back: 2026-10)"),
    ("where there is no way back nobody is rejected for silence", swapped(record=replace(SWAPPED, previous=None)), SERVES, REFUSED, f"fail 8: {UNANSWERED}; there is no way back"),
    ("but for a bad answer", swapped(record=replace(SWAPPED, previous=NEW)), SERVES, Answer(BAD), "reject: swapped and read back, but the endpoint answered the probe with no rows | fail 8: swapped and read back, but the endpoint answered the probe with no rows; there is no way back"),
]  # fmt: skip

EXPECTS = replace(ASKED, probe=replace(PROBE, expect=(Expectation("label", values=("new",)),)))
WAYS_BACK: list[Row] = [
    ("a silent version that this run rejected is named by its silence", replace(swapped(At.UNREJECT, disproved="bad", unheard="deaf"), swap=Swap(NOW, SWAPPED, "503")), SERVES, True, "fail 8: deaf; swapped back, and the previous model does not answer either: 503; so version 2026-11 is not rejected; mend the endpoint or spec.verify, and apply again"),
    ("a way back is proved, and the version to blame", swapped(disproved="it is bad"), SERVES, Answer(AFTER), "keep proof before old | retire | fail 8: it is bad; rolled back, and proved"),
    ("who asked for it is content", swapped(disproved="it is bad", goal=Goal.ROLLED_BACK), SERVES, Answer(AFTER), "keep proof before old | retire | succeed: rolled back, and proved, with proof"),
    ("that the previous model answers blames a silent one", swapped(disproved="bad", unheard="deaf"), SERVES, Answer(AFTER), "reject silent: deaf | keep proof before old | retire | fail 8: bad; rolled back, and proved"),
    ("but no version that was proved with other settings", swapped(disproved="bad", unheard="deaf", spares=True), SERVES, Answer(AFTER), "keep proof before old | retire | fail 8: bad; rolled back, and proved"),
    ("what git expects is of its own version", swapped(seen=seen(binding=EXPECTS), disproved="it is bad"), SERVES, Answer(BEFORE), "keep proof before old | retire | fail 8: it is bad; rolled back, and proved"),
    ("and counts on the way forward", swapped(seen=seen(binding=EXPECTS)), SERVES, Answer(BEFORE), "reject: swapped and read back, but row 1 of \"label\" is 'old', and 'new' is expected (spec.verify.expect) | wait 0 (rolling back: 2026-10)"),
    ("a way back that answers badly is the end", swapped(disproved="bad"), SERVES, Answer(BAD), "fail 8: bad; and the way back could not be proved: swapped and read back, but the endpoint answered the probe with no rows"),
    ("where both are silent the rejection is taken back", swapped(disproved="bad"), SERVES, REFUSED, "unreject"),
    ("a restored endpoint is proved, and the declared version stays rejected", swapped(record=RESTORED, disproved="it is bad"), BACK, Answer(BEFORE), "keep proof before unknown | retire | fail 4: 2026-10 is restored, and proved; what git declares is rejected: it is bad"),
    ("its silence frees nobody", swapped(record=RESTORED, disproved="it is bad"), BACK, REFUSED, "fail 8: it is bad; and the way back could not be proved: the endpoint does not answer the probe: it says no"),
    ("another run takes that up", at(At.LOOK, BACK), BACK, None, "ask (proving)"),
    ("and nobody is blamed", replace(swapped(At.UNREJECT, disproved="bad"), swap=Swap(NOW, SWAPPED, "503")), SERVES, True, "fail 8: bad; swapped back, and the previous model does not answer either: 503; so version 2026-11 is not rejected; mend the endpoint or spec.verify, and apply again"),
    ("unless there is another reason", replace(swapped(At.UNREJECT, disproved="bad"), swap=Swap(NOW, SWAPPED, "503")), SERVES, False, "fail 8: bad; and the way back could not be proved: the endpoint does not answer the probe: 503"),
]  # fmt: skip

TROUBLES: list[Row] = [
    ("an outage is waited out", at(At.LOOK), None, Trouble(DOWN), "wait 1 (waiting: looking again in 1 s: 503)"),
    ("no answer at all, too", at(At.LOOK), None, Trouble(errors.UnreachableError("no route")), "wait 1 (waiting: looking again in 1 s: no route)"),
    ("longer each time", at(At.LOOK, troubles=4), None, Trouble(DOWN), "wait 16 (waiting: looking again in 16 s: 503)"),
    ("but not for ever", at(At.LOOK, troubles=5), None, Trouble(DOWN), "fail 1: 503"),
    ("half an answer about a job is asked for again", at(At.BEGIN, watch=Watch("j", 0.0)), None, Trouble(errors.UnreadableError("half")), "wait 1 (waiting: looking again in 1 s: half)"),
    ("but not for ever", at(At.BEGIN, watch=Watch("j", 0.0), troubles=5), None, Trouble(errors.UnreadableError("half")), "fail 1: half"),
    ("and about a write", at(At.PROGRESS, operation=Operation("o", Verb.CREATE, NOW)), None, errors.UnreadableError("half"), "wait 1 (waiting: looking again in 1 s: half)"),
    ("half an answer to a write ends it", at(At.RECORD), STANDS, Trouble(errors.UnreadableError("half")), "fail 1: half"),
    ("another run was here", at(At.LOOK), None, Trouble(errors.ConflictError("412")), "wait 1 (waiting: looking again in 1 s: 412)"),
    ("a refusal ends it", at(At.LOOK), None, Trouble(REFUSED), "fail 4: it says no"),
    ("on the way back everything is unproved", at(At.LOOK, disproved="bad"), None, Trouble(REFUSED), "fail 8: bad; and it is not rolled back: it says no; run apply again"),
    ("what cannot be read is waited out on the way back", at(At.LOOK, disproved="bad"), seen(of_health(HealthCode.UNKNOWN)), None, "wait 1 (waiting: looking again in 1 s: said so)"),
    ("and after other trouble", at(At.LOOK, troubles=1), seen(of_health(HealthCode.UNKNOWN)), None, "wait 2 (waiting: looking again in 2 s: said so)"),
    ("but not for ever, and then it is said what serves", at(At.LOOK, disproved="bad", troubles=5), seen(of_health(HealthCode.UNKNOWN)), None, "fail 8: bad; and it is not rolled back: said so; run apply again"),
    ("so is a way back that never ends", swapped(At.PROGRESS, disproved="bad", operation=Operation("o", Verb.TAKE_BACK, NOW - 901)), None, RUNNING, "fail 8: bad; and it is not rolled back: the update is still under way after 900 s; run apply again"),
    ("a candidate that is not dropped is said to be there", at(At.LOOK, candidate=replace(STAGED, failed="bad")), None, Trouble(REFUSED), "fail 8: bad; and it is not dropped: it says no; run apply again"),
    ("a stop judges nobody", swapped(), SERVES, Trouble(errors.StoppedError("stop")), "wait 0"),
    ("an undeclared endpoint waits for a conflict, too", undeclared(At.BEGIN), None, Trouble(errors.ConflictError("412")), "wait 1 (waiting: looking again in 1 s: 412)"),
]  # fmt: skip

TABLE = [
    *(BEGINNINGS + LOOKS + TRAININGS + WRITES + CANDIDATES),
    *(SWITCHES + PROOFS + WAYS_BACK + TROUBLES),
]


@pytest.mark.parametrize(("name", "before", "looked", "answer", "expected"), TABLE)
def test_a_turn_follows_from_state_observation_and_answer(
    name: str, before: State, looked: Observed | None, answer: object, expected: str
) -> None:
    assert told(next_step(before, looked, answer, NOW)) == expected, name


# --- what is remembered -------------------------------------------------------------------------


def after(before: State, looked: Observed | None = None, answer: object = None) -> State:
    return next_step(before, looked, answer, NOW).state


REMEMBERED: list[tuple[str, State, dict[str, object]]] = [
    ("pauses grow", after(at(At.START, ABSENT), None, ""), {"pause_s": 0.375}),
    ("up to a bound", after(at(At.START, ABSENT, pause_s=4.0), None, ""), {"pause_s": 5.0}),
    ("and begin anew after a write", after(at(At.WRITE, SET, pause_s=5.0), SET, Taken(Verb.UPDATE, "o")), {"pause_s": 0.375}),
    ("trouble that passed is forgotten", after(at(At.START, troubles=3), None, ""), {"troubles": 0}),
    ("a claim does not end the trouble with the start", after(at(At.CLAIM, ABSENT, troubles=3), ABSENT, "entry"), {"troubles": 3}),
    ("trouble in a row is counted", after(at(At.LOOK, troubles=3), None, Trouble(DOWN)), {"troubles": 4, "at": At.BEGIN}),
    ("an answer to a probe is asked for once", after(at(At.PROBE, ABSENT), ABSENT, Answer(BEFORE)), {"probed": True}),
    ("a job that is watched counts as training", after(at(At.START), None, "j"), {"reached": Reached.TRAINING, "watch": Watch("j", NOW)}),
    ("its age is that when it was asked for", after(at(At.BEGIN, watch=Watch("j", 990.0)), None, False), {"watch": Watch("j", 990.0, asked_s=10.0)}),
    ("and that when it was seen to run", after(at(At.JOB, watch=Watch("j", 990.0, asked_s=9.0)), None, Job(JobState.RUNNING)), {"watch": Watch("j", 990.0, 9.0, 9.0)}),
    ("what it stands in a queue is no part of the time that it takes", after(at(At.JOB, watch=Watch("j", 990.0, asked_s=9.0)), None, Job(JobState.RUNNING, "it waits")), {"watch": Watch("j", 990.0, 9.0, 9.0, 9.0)}),
    ("it left the queue between two looks", after(at(At.JOB, watch=Watch("j", 990.0, 6.0, 8.0, 6.0)), None, Job(JobState.RUNNING)), {"watch": Watch("j", 990.0, 8.0, 8.0, 7.0)}),
    ("and once", after(at(At.JOB, watch=Watch("j", 990.0, 8.0, 9.0, 7.0)), None, Job(JobState.RUNNING)), {"watch": Watch("j", 990.0, 9.0, 9.0, 7.0)}),
    ("the last word of a job is kept for the look", after(at(At.JOB, watch=Watch("j", 990.0)), None, Job(JobState.FAILED)), {"watch": None, "ended": ("j", Job(JobState.FAILED))}),
    ("a swap of another run is taken up from now on", after(at(At.LOOK, UNPROVED), UNPROVED), {"reached": Reached.UNPROVED, "swap": Swap(NOW, SWAPPED)}),
    ("a look tells whether the version was proved with other settings", after(at(At.LOOK), replace(STANDS, proved_otherwise=True)), {"spares": True}),
    ("a way back of a killed run knows why it was begun", after(at(At.LOOK, RETURNED), RETURNED), {"disproved": "it is bad"}),
    ("a version that was reinstated is judged anew", after(at(At.LOOK, UNPROVED, disproved="bad", unheard="bad"), UNPROVED), {"disproved": "", "unheard": ""}),
    ("one that is rejected is not", after(at(At.LOOK, UNPROVED), replace(UNPROVED, live=Live(HEALTHY, served=OLD), artifact=REJECTED.artifact, record=replace(SWAPPED, wanted=OLD))), {"disproved": "it is bad"}),
    ("the window begins when the write was taken", after(swapped(At.WRITE, asked_at=1.0), STANDS, Taken(Verb.SWITCH, "o")), {"swap": Swap(NOW, SWAPPED), "operation": Operation("o", Verb.SWITCH, NOW)}),
    ("a candidate's write is asked for", after(at(At.WRITE, can=STAGING), STANDS, Taken(Verb.STAGE, "o")), {"operation": Operation("o", Verb.STAGE, NOW)}),
    ("unless it ended at once", after(at(At.WRITE, can=STAGING), STANDS, Taken(Verb.STAGE, "")), {"operation": None}),
    ("any other write is asked for", after(at(At.WRITE, SET), SET, Taken(Verb.UPDATE, "o")), {"operation": Operation("o", Verb.UPDATE, NOW)}),
    ("unless it had ended", after(at(At.WRITE, SET), SET, Taken(Verb.UPDATE, "")), {"operation": None}),
    ("a way back is named by why it is gone", after(at(At.BEFORE, REJECTED, disproved="bad"), REJECTED, DOWN), {"disproved": "bad"}),
    ("or by the rejection of another run", after(at(At.LOOK, REJECTED), REJECTED), {"disproved": "it is bad"}),
    ("a swap of another run counts, whatever this one trained", after(at(At.START, reached=Reached.UNPROVED), None, "j"), {"reached": Reached.UNPROVED}),
    ("a write that ended at once is not asked for", after(swapped(At.WRITE), STANDS, Taken(Verb.SWITCH, "")), {"operation": None}),
    ("an operation that ended is forgotten", after(swapped(At.PROGRESS, operation=Operation("o", Verb.SWITCH, NOW)), None, DONE), {"operation": None}),
    ("a rejected version is on its way back", after(swapped(), SERVES, Answer(BAD)), {"swap": None, "disproved": "swapped and read back, but the endpoint answered the probe with no rows; version 2026-11 is rejected"}),
    ("its answer is remembered, if only it gives that", after(swapped(), SERVES, Answer(BAD)), {"heard": BAD}),
    ("one that is as before is not", after(swapped(record=replace(SWAPPED, before=BAD)), SERVES, Answer(BAD)), {"heard": None}),
    ("that it gave none, too", after(swapped(), SERVES, REFUSED), {"unheard": UNANSWERED}),
    ("a proof waits for the settings", after(swapped(At.PROOF, SET), SET, Answer(AFTER)), {"swap": None}),
    ("an unreadable look forgets no job that ended", after(at(At.LOOK, ended=("j", Job(JobState.FINISHED))), seen(of_health(HealthCode.UNKNOWN))), {"ended": ("j", Job(JobState.FINISHED))}),
    ("a conflict forgets what was on its way", after(swapped(operation=Operation("o", Verb.SWITCH, NOW), candidate=STAGED, watch=Watch("j", 0.0)), None, Trouble(errors.ConflictError("412"))), {"swap": None, "operation": None, "candidate": Candidate(), "watch": None}),
    ("but no write to the endpoint itself", after(at(At.LOOK, operation=Operation("o", Verb.CREATE, NOW)), None, Trouble(errors.ConflictError("412"))), {"operation": Operation("o", Verb.CREATE, NOW)}),
    ("a swap that could not be kept is asked for again", after(swapped(At.WRITE), HIDDEN, Trouble(DOWN)), {"swap": None}),
    ("an outage forgets no swap", after(swapped(At.LOOK), None, Trouble(DOWN)), {"swap": Swap(NOW, SWAPPED)}),
    ("a candidate of another run has its time from now on", after(at(At.LOOK, can=STAGING, probed=True, candidate=Candidate(published=True)), SHOWN), {"candidate": STAGED}),
    ("one that did not start is to be dropped", after(at(At.PROGRESS, can=STAGING, candidate=STAGED, operation=Operation("o", Verb.STAGE, NOW)), None, failed()), {"candidate": replace(STAGED, failed="the candidate did not start: it failed")}),
    ("one that is bad is to be dropped", after(at(At.CANDIDATE, can=STAGING, candidate=STAGED), SHOWN, Answer(BAD)), {"at": At.DROP, "candidate": replace(STAGED, failed="the staged candidate is no good: the endpoint answered the probe with no rows")}),
    ("one that is silent alone is to be dropped", after(at(At.SILENCE, can=STAGING, candidate=replace(STAGED, failed="silent")), SHOWN, Answer(BEFORE)), {"at": At.DROP}),
    ("an update of somebody else is waited for since it was seen", after(at(At.LOOK), seen(of_health(HealthCode.PROGRESSING))), {"waiting_since": NOW}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "found", "expected"), REMEMBERED)
def test_the_state_after_a_turn(name: str, found: State, expected: dict[str, object]) -> None:
    assert {field: getattr(found, field) for field in expected} == expected, name


def test_the_record_before_a_swap_holds_the_way_back_and_what_was_owned() -> None:
    old = replace(SWAPPED, settings=(("settings.size", "1"),), etag="7")
    turn = next_step(at(At.BEFORE, HIDDEN), replace(HIDDEN, record=old), DOWN, NOW)
    (keep,) = (step for step in turn.steps if isinstance(step, state.Keep))
    assert keep.record == Record(
        NEW,
        OLD,
        OLD,
        proved=False,
        at="1970-01-01T00:16:40Z",
        history=EVENTS,
        settings=old.settings,
    )
    assert keep.record.etag == "7"


@pytest.mark.parametrize("force", ["", "the gate is wrong"])
def test_why_a_swap_is_forced_is_kept_with_it(force: str) -> None:
    (keep,) = next_step(at(At.BEFORE, force=force), STANDS, Answer(BEFORE), NOW).steps
    assert isinstance(keep, state.Keep)
    assert keep.why == force


def test_a_proof_says_what_was_bound_and_which_settings_were_read() -> None:
    keep = next_step(swapped(At.PROOF, SET), SET, Answer(AFTER), NOW).steps[0]
    assert isinstance(keep, state.Keep)
    assert (keep.record.bound, keep.record.proved) == (NEW, True)
    assert keep.record.settings == (("settings.size", "1"),)


def test_nothing_of_the_machine_reaches_out() -> None:
    """It is pure: the modules that decide import no store, no ledger and no clock at run time."""
    for name in ("machine.py", "swap.py", "candidate.py", "state.py"):
        tree = ast.parse((Path(machine.__file__).parent / name).read_text(encoding="utf-8"))
        at_run_time = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        rooms = {(node.module or "").removeprefix("reconciler.") for node in at_run_time}
        assert not {room for room in rooms if room.startswith(("ledger", "stores", "soon"))}, name
        calls = [
            n.func.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        assert not {"open", "print"} & set(calls)


def test_a_way_back_that_a_later_run_cannot_note_is_said_to_be_missing() -> None:
    begun = next_step(ROLL_BACK, REJECTED, None, NOW).state
    kept = next_step(begun, REJECTED, Answer(BEFORE), NOW)
    assert kept.state.at is At.RECORD
    (end,) = next_step(begun, REJECTED, Trouble(REFUSED), NOW).steps
    assert words(end) == "fail 8: it is bad; and it is not rolled back: it says no; run apply again"
