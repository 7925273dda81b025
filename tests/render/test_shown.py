"""An unchanged binding is hidden, unless it has something to say."""

from __future__ import annotations

import re
from dataclasses import replace

from reconciler import render
from reconciler.model import Action, Change, Event, HealthCode, History, MadeVersion, ModelRef, Plan
from reconciler.render import Look, StatusRow, Sync

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
        assert re.findall(r"\bb\d\d\b", text)[:5] == ["b40", "b50", "b30", "b00", "b01"]


def test_history_cuts_no_time_and_no_run_at_any_width() -> None:
    at, run = "2026-11-28T21:48:59Z", "4f0a" * 4
    model = ModelRef("https://a.example/models/breast-cancer/2026-11/model.ilearner")
    history = History(
        "breast-cancer",
        "webServices/ml-local/breast-cancer-predictive",
        "2026-11",
        (MadeVersion("2026-11", "not accepted", at, "8f" * 20, "job-1"),),
        (Event(at, "rejected for 2026-11", model, run, "8f" * 20),),
    )
    for width in (40, 59, 60, 61, 80, 120):
        text = render.history_text(history, Look(width))
        assert max(map(len, text.splitlines())) <= width
        assert text.count(at) == 2
        assert f"run {run}" in " ".join(text.split())
