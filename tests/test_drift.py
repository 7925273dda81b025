"""The one definition of drift, as a table: what was recorded, what is, and what drifted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import (
    Action,
    ArtifactState,
    Cause,
    Creation,
    Event,
    EventKind,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Reason,
    Record,
    Refusal,
    caused_since,
    drifted,
    served,
)
from reconciler.plan import decide, make_plan
from tests.test_plan import ENVIRONMENT, HEALTHY, NEW, OLD, binding, observed, of

AT = "2026-11-20T09:00:00Z"
FOREIGN = ModelRef("https://ws.blob.core.windows.net/assets/abc.ilearner")
OTHER = ModelRef("https://acct.blob.core.windows.net/models/churn/2026-08/model.ilearner")
SET = (("title", "Churn"),)


def event(what: EventKind, model: ModelRef = OLD, at: str = AT) -> Event:
    return Event(at, what, model, "run", "")


PROVED = Record(
    OLD,
    None,
    None,
    proved=True,
    at=AT,
    history=(event(EventKind.SWAP), event(EventKind.PROOF)),
    settings=(("settings.title", "Churn"),),
)
CUT_OFF = replace(
    PROVED,
    wanted=NEW,
    previous=OLD,
    proved=False,
    history=(*PROVED.history, event(EventKind.SWAP, NEW)),
)
DELETED = replace(PROVED, history=(*PROVED.history, event(EventKind.DELETE)))
GONE = Live(Health(HealthCode.MISSING, "it is not there"))
LOCKED = Refusal("prevent_update", "PreventUpdate is set", flag="PreventUpdate")
TITLED, TITLE = {"settings": SET}, "settings.title"

TABLE = [
    ("what was proved serves", PROVED, Live(HEALTHY, served=OLD), {}, ()),
    ("nothing was ever proved", None, Live(HEALTHY, served=FOREIGN), {}, ()),
    ("a foreign model serves", PROVED, Live(HEALTHY, served=FOREIGN), {}, ("model",)),
    ("a model at no plain URL serves", PROVED, Live(HEALTHY, model_text="ftp://x"), {}, ("model",)),
    ("an older version serves", PROVED, Live(HEALTHY, served=OTHER), {}, ("model",)),
    ("somebody bound what git declares", PROVED, Live(HEALTHY, served=NEW), {}, ()),
    ("a swap was cut off before it", CUT_OFF, Live(HEALTHY, served=OLD), {}, ()),
    ("a swap was cut off after it", CUT_OFF, Live(HEALTHY, served=NEW), {}, ()),
    ("a third model serves after a cut", CUT_OFF, Live(HEALTHY, served=FOREIGN), {}, ("model",)),
    ("it was deleted by hand", PROVED, GONE, {}, ("model",)),
    ("it was deleted by us and declared again", DELETED, GONE, {}, ()),
    ("it is gone, as declared", PROVED, GONE, {"absent": True}, ()),
    ("it cannot be read", PROVED, Live(Health(HealthCode.UNKNOWN)), {}, ()),
    ("an update is under way", PROVED, Live(Health(HealthCode.PROGRESSING), served=NEW), {}, ()),
    ("the model is hidden", PROVED, Live(HEALTHY, hidden=True), {}, ()),
    (
        "a setting was changed by hand",
        PROVED,
        Live(HEALTHY, served=OLD, settings=(("title", "Mine"),)),
        TITLED,
        ("settings.title",),
    ),
    (
        "a setting that git does not own was changed",
        PROVED,
        Live(HEALTHY, served=OLD, settings=(("title", "Mine"),)),
        {},
        (),
    ),
    (
        "a setting waits to be applied",
        PROVED,
        Live(HEALTHY, served=OLD, settings=SET),
        {"settings": (("title", "Churn 2"),)},
        (),
    ),
    (
        "a setting was changed by hand to what git declares",
        PROVED,
        Live(HEALTHY, served=OLD, settings=(("title", "Churn 2"),)),
        {"settings": (("title", "Churn 2"),)},
        (),
    ),
    (
        "a setting was never recorded",
        replace(PROVED, settings=()),
        Live(HEALTHY, served=OLD, settings=(("title", "Mine"),)),
        TITLED,
        (),
    ),
    ("PreventUpdate was set", PROVED, Live(HEALTHY, served=OLD, refusal=LOCKED), {}, ("PreventUpdate",)),
    (
        "the protection in the mark was taken out",
        replace(PROVED, settings=(("protect", "true"),)),
        Live(HEALTHY, served=OLD, ours=True, protected=False),
        {"create": Creation(), "protect": True},
        ("protect",),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "live", "declared", "fields"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_what_differs_from_record_and_git_drifted(
    record: Record | None, live: Live, declared: dict[str, object], fields: tuple[str, ...]
) -> None:
    one = observed(live, binding=binding(**declared), record=record, proved_version="2026-10")
    drift = drifted(one)
    paths = tuple(field.path for field in drift.fields) if drift is not None else ()
    assert paths == fields
    assert decide(one).drift == drift
    if drift is not None:
        assert drift.proved_at == AT


UNTITLED = Live(HEALTHY, served=FOREIGN)
LEFT_ALONE = [
    ("what git says is live", Live(HEALTHY, served=FOREIGN, settings=SET), "2026-11", {}, ()),
    ("nobody can tell the version", Live(HEALTHY, served=FOREIGN, settings=SET), "", {}, ()),
    ("another version serves", Live(HEALTHY, served=OTHER), "2026-08", {}, ("model", TITLE)),
    ("a setting was changed", UNTITLED, "", {}, (TITLE,)),
    ("the model is hidden", Live(HEALTHY, hidden=True), "", {}, (TITLE,)),
    ("nobody can tell what serves", Live(HEALTHY), "", {}, ()),
    ("a setting of it shows", Live(HEALTHY, settings=(("title", "Mine"),)), "", {}, (TITLE,)),
    ("it was deleted", GONE, "", {}, ("model",)),
    ("it may wait to be made", GONE, "", {"create": Creation()}, ()),
    ("it cannot be read", Live(Health(HealthCode.UNKNOWN)), "", {}, ()),
    ("it is not paused", UNTITLED, "2026-08", {"paused": False}, ()),
]


@pytest.mark.parametrize(
    ("live", "version", "declared", "fields"),
    [row[1:] for row in LEFT_ALONE],
    ids=[r[0] for r in LEFT_ALONE],
)
def test_of_what_is_paused_and_was_never_touched_git_is_the_evidence(
    live: Live, version: str, declared: dict[str, object], fields: tuple[str, ...]
) -> None:
    declared = {"paused": True, "settings": SET, **declared}
    one = observed(live, binding=binding(**declared), record=None, live_version=version)
    drift = drifted(one)
    assert tuple(field.path for field in (drift.fields if drift else ())) == fields
    assert decide(one).drift == drift
    if drift is not None:
        assert decide(one).action is Action.NOOP
        assert str(drift).startswith("drifted from git: ")


def test_a_plan_says_what_git_declared_and_what_is_live_where_nothing_was_proved() -> None:
    left_alone = binding(paused=True, settings=SET)
    live = Live(HEALTHY, served=OTHER, settings=(("title", "Mine"),))
    drift = drifted(observed(live, binding=left_alone, record=None, live_version="2026-08"))
    shown = "drifted from git: model 2026-11 → 2026-08, settings.title Churn → Mine"
    assert str(drift) == shown
    gone = drifted(observed(GONE, binding=left_alone, record=None, live_version=""))
    assert str(gone) == "drifted from git: model 2026-11 → none"


def test_a_plan_says_that_a_model_drifted_from_what_and_when_that_was_proved() -> None:
    live = Live(HEALTHY, served=FOREIGN)
    record = replace(PROVED, wanted=NEW, history=(event(EventKind.PROOF, NEW),))
    one = observed(live, record=record, live_version="", proved_version="2026-11")
    change = decide(one)
    assert (change.action, change.before, change.after) == (Action.BIND, "abc.ilearner", "2026-11")
    assert change.why == "drifted from 2026-11, proved here on 2026-11-20; swap it back in"


def test_a_plan_says_that_an_endpoint_was_deleted_outside_git() -> None:
    change = decide(observed(GONE, record=PROVED, live_version="", proved_version="2026-10"))
    assert (change.action, change.code) == (Action.BLOCK, "missing")
    assert change.why.startswith(
        "drifted: the endpoint is gone; 2026-10 was proved here on 2026-11-20; "
    )


def test_a_plan_says_from_which_setting_it_drifted() -> None:
    live = Live(HEALTHY, served=NEW, settings=(("title", "Mine"),))
    record = replace(PROVED, wanted=NEW)
    change = decide(observed(live, binding=binding(settings=SET), record=record))
    assert change.action is Action.UPDATE
    assert change.why == (
        'drifted from settings.title "Churn", proved here on 2026-11-20; settings differ from what '
        "is declared"
    )


@pytest.mark.parametrize(
    ("live", "code", "message"),
    [
        (Live(HEALTHY, served=NEW), HealthCode.HEALTHY, ""),
        (Live(HEALTHY, served=FOREIGN), HealthCode.DEGRADED, f"it serves {FOREIGN}"),
        (Live(HEALTHY, hidden=True), HealthCode.DEGRADED, "it serves a hidden model"),
        (Live(HEALTHY, refusal=LOCKED), HealthCode.DEGRADED, "PreventUpdate is set"),
        (Live(HEALTHY, served=NEW, refusal=LOCKED), HealthCode.HEALTHY, ""),
        (GONE, HealthCode.MISSING, "it is not there"),
    ],
)
def test_an_endpoint_that_serves_another_model_is_not_healthy(
    live: Live, code: HealthCode, message: str
) -> None:
    health = served(binding(), live, NEW)
    assert health.code is code
    assert health.message.startswith(message)
    assert observed(live).health == health


DECLARED = replace(PROVED, wanted=NEW, history=(event(EventKind.PROOF, NEW),))
CAUSES = [
    ("it is in sync", DECLARED, Live(HEALTHY, served=NEW), ArtifactState.READY, Cause.NOTHING),
    ("another version is declared", PROVED, None, ArtifactState.READY, Cause.CHANGE),
    ("nothing was ever done here", None, None, ArtifactState.ABSENT, Cause.CHANGE),
    (
        "a foreign model serves",
        DECLARED,
        Live(HEALTHY, served=FOREIGN),
        ArtifactState.READY,
        Cause.DRIFT,
    ),
    ("both changed", PROVED, Live(HEALTHY, served=FOREIGN), ArtifactState.READY, Cause.CHANGE),
    ("its job failed", PROVED, None, ArtifactState.FAILED, Cause.FAILED),
    ("it was rejected", PROVED, None, ArtifactState.REJECTED, Cause.FAILED),
    ("its job runs", PROVED, None, ArtifactState.RUNNING, Cause.BEGUN),
    ("it was swapped in", CUT_OFF, Live(HEALTHY, served=NEW), ArtifactState.READY, Cause.BEGUN),
    (
        "the endpoint became unreadable",
        DECLARED,
        Live(Health(HealthCode.UNKNOWN)),
        ArtifactState.READY,
        Cause.FAILED,
    ),
    (
        "the platform came to refuse it",
        DECLARED,
        Live(HEALTHY, served=OLD, refusal=Refusal("default_endpoint", "no")),
        ArtifactState.READY,
        Cause.DRIFT,
    ),
]


@pytest.mark.parametrize(
    ("record", "live", "state", "cause"),
    [row[1:] for row in CAUSES],
    ids=[row[0] for row in CAUSES],
)
def test_what_a_change_comes_from(
    record: Record | None, live: Live | None, state: ArtifactState, cause: Cause
) -> None:
    assert decide(observed(live, of(state), record=record)).cause is cause


def test_a_gate_that_refused_it_in_an_earlier_run_is_no_news() -> None:
    bad = of(ArtifactState.READY, metrics={"AUC": 0.1})
    assert decide(observed(None, bad, record=PROVED)).cause is Cause.CHANGE
    assert decide(observed(None, replace(bad, refused="AUC"), record=PROVED)).cause is Cause.FAILED


def test_a_base_commit_tells_what_this_change_touches() -> None:
    waits = observed(binding=binding("waits"))
    touched = observed(None, of(ArtifactState.REJECTED), binding=binding("touched"))
    refused = observed(
        Live(HEALTHY, refusal=Refusal("x", "no")), binding=binding("refused"), record=PROVED
    )
    drifts = observed(Live(HEALTHY, served=FOREIGN), record=DECLARED, binding=binding("drifts"))
    same = observed(Live(HEALTHY, served=NEW), record=DECLARED, binding=binding("same"))
    plan = make_plan(ENVIRONMENT, [waits, touched, refused, drifts, same])
    assert plan.changes[-2].code == Reason.REJECTED
    names = frozenset({"waits", "refused", "drifts", "same"})
    assert {c.name: c.cause for c in caused_since(plan, names).changes} == {
        "waits": Cause.BEGUN,
        "touched": Cause.CHANGE,
        "refused": Cause.REFUSED,
        "drifts": Cause.DRIFT,
        "same": Cause.NOTHING,
    }
    assert caused_since(plan, names).digest == plan.digest
