"""An unchanged binding is hidden, unless it has something to say."""

from __future__ import annotations

import re
from dataclasses import replace

from reconciler import render
from reconciler.ci.comment_text import Context, Shown, plan_comment, proposal
from reconciler.model import (
    GIVEN,
    KEPT_IN,
    MADE_FROM,
    TRAINED_AT,
    TRAINED_WITH,
    Action,
    Change,
    Event,
    EventKind,
    HealthCode,
    History,
    MadeVersion,
    ModelRef,
    Plan,
    VersionState,
)
from reconciler.render import Look, StatusRow, Sync
from reconciler.render.status import Wrong
from reconciler.render.words import what

QUIET = Change("quiet", "WebService", "webServices/g/quiet", Action.NOOP, "in_sync", "")
WARNED = replace(QUIET, name="warned", address="webServices/g/warned", warnings=("data changed",))


def test_a_warning_shows_an_unchanged_binding() -> None:
    plan = Plan("local", "emulator", (QUIET, WARNED))
    for text in (render.plan_text(plan), render.plan_markdown(plan)):
        assert "data changed" in text
        assert "quiet" not in text
    assert "Nothing to do" in render.plan_text(plan)


def test_status_shows_the_worst_first() -> None:
    def row(number: int, sync: Sync, health: HealthCode) -> StatusRow:
        return StatusRow(f"b{number:02}", "WebService", f"w/{number}", sync, health, "1", "1")

    rows = [row(number, Sync.SYNCED, HealthCode.HEALTHY) for number in range(61)]
    rows[30] = row(30, Sync.OUT_OF_SYNC, HealthCode.HEALTHY)
    rows[40] = row(40, Sync.SYNCED, HealthCode.DEGRADED)
    rows[50] = row(50, Sync.UNKNOWN, HealthCode.UNKNOWN)
    for text in (render.status_text(rows), render.status_markdown(rows)):
        assert re.findall(r"\bb\d\d\b", text) == ["b40", "b50", "b30"]
        assert "b… ×58" in text
    for number, trouble in enumerate(Wrong):  # declared in the order of alarm
        rows[number] = replace(row(number, Sync.OUT_OF_SYNC, HealthCode.HEALTHY), wrong=trouble)
    for text in (render.status_text(rows[::-1]), render.status_markdown(rows[::-1])):
        shown = re.findall(r"\bb\d\d\b", text)
        assert shown[: len(Wrong)] == [f"b{number:02}" for number in range(len(Wrong))]


def test_history_cuts_no_time_and_no_run_at_any_width() -> None:
    at, run = "2026-11-28T21:48:59Z", "4f0a" * 4
    model = ModelRef("https://a.example/models/breast-cancer/2026-11/model.ilearner")
    history = History(
        "breast-cancer",
        "webServices/ml-local/breast-cancer-predictive",
        "2026-11",
        (MadeVersion("2026-11", VersionState.NOT_ACCEPTED, at, "8f" * 20, "job-1"),),
        (Event(at, EventKind.REJECTED, model, run, "8f" * 20),),
    )
    for width in (40, 59, 60, 61, 80, 120):
        text = render.history_text(history, Look(width))
        assert max(map(len, text.splitlines())) <= width
        assert text.count(at) == 2
        assert f"run {run}" in " ".join(text.split())


AT = "https://evil.example/workspaces/1/services/2"
TERMS = {
    TRAINED_AT: AT,
    TRAINED_WITH: "env:TRAINING_KEY",
    KEPT_IN: "mlprod/models",
    MADE_FROM: "exports/census.json",
    GIVEN: "env:ANYTHING as nodes/node5/Account Key",
}


def shown_everywhere(plan: Plan) -> list[str]:
    """The plan as text, Markdown, and comment, without what keeps GitHub from reading it."""
    texts = [
        " ".join(render.plan_text(plan).split()),
        render.plan_markdown(plan),
        plan_comment(plan, Context(Shown(plan.digest, ""), "0.1.0")),
        proposal(["new data"], plan, Context(Shown(plan.digest, ""), "0.1.0")),
    ]
    return [t.replace("&#8203;", "").replace("&#58;", ":").replace("\\_", "_") for t in texts]


def test_where_a_training_sends_its_key_and_data_is_shown_everywhere_and_once() -> None:
    changes = tuple(
        Change(f"b{n}", "WebService", f"w/{n}", Action.TRAIN, "not_trained", "", terms=TERMS)
        for n in range(20)
    )
    for text in shown_everywhere(Plan("e", "azure", changes)):
        assert text.count(AT) == 1
        assert text.count("env:TRAINING_KEY") == 1
        assert "mlprod/models" in text
        assert "its operator can read the data and shape the model" in text
        assert "env:ANYTHING" not in text  # nothing is created


def test_what_a_new_service_is_made_from_and_given_is_shown_everywhere_and_once() -> None:
    changes = tuple(
        Change(f"b{n}", "WebService", f"w/{n}", Action.CREATE, "create", "", terms=TERMS)
        for n in range(20)
    )
    for text in shown_everywhere(Plan("e", "azure", changes)):
        assert text.count("exports/census.json") == 1
        assert text.count("env:ANYTHING as nodes/node5/Account Key") == 1
        assert "b0 and 19 more, each is created from the file" in text
        assert "it is given secrets" in text or "| risk |" not in text
        assert AT not in text  # nothing is trained


def test_a_swap_of_what_is_trained_sends_nothing_anywhere() -> None:
    change = Change("b", "WebService", "w/b", Action.BIND, "bind", "", terms=TERMS)
    for text in shown_everywhere(Plan("e", "azure", (change,))):
        assert "goes to" not in text


def test_no_width_cuts_a_destination() -> None:
    url = f"https://ussouthcentral.services.azureml.net/workspaces/{'ab' * 16}/services/{'cd' * 16}"
    change = Change("b", "WebService", "w/b", Action.TRAIN, "not_trained", "")
    plan = Plan("e", "azure", (replace(change, terms={**TERMS, TRAINED_AT: url}),))
    for width in (20, 40, 80):
        text = render.plan_text(plan, Look(width))
        assert max(map(len, text.splitlines())) <= width
        assert url in "".join(text.split())


def test_a_refusal_is_called_by_its_reason_where_it_has_one_of_its_own() -> None:
    said = {"refused": "refused", "gate": "refused: gate", "unreadable": "unreadable"}
    for code, words in said.items():
        assert what(replace(QUIET, action=Action.BLOCK, code=code)) == words
