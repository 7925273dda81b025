"""An unchanged binding is hidden, unless it has something to say."""

from __future__ import annotations

from dataclasses import replace

from reconciler import render
from reconciler.model import Action, Change, Plan

QUIET = Change("quiet", "WebService", "webServices/g/quiet", Action.NOOP, "in_sync", "")
WARNED = replace(QUIET, name="warned", address="webServices/g/warned", warnings=("data changed",))


def test_a_warning_shows_an_unchanged_binding() -> None:
    plan = Plan("local", "emulator", (QUIET, WARNED))
    for text in (render.plan_text(plan), render.plan_markdown(plan)):
        assert "data changed" in text
        assert "quiet" not in text
    assert "Nothing to do" in render.plan_text(plan)
