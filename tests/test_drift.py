"""The one definition of drift, as a table: what was recorded, what is, and what drifted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import (
    Action,
    Creation,
    Event,
    EventKind,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Record,
    Refusal,
    drifted,
    served,
)
from reconciler.plan import decide
from tests.test_plan import HEALTHY, NEW, OLD, binding, observed

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
TITLED = {"settings": SET}

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
        "drifted: the endpoint was deleted outside git; 2026-10 was proved here on 2026-11-20; "
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
