"""Causes of the changes of a plan: what is declared now, or something before that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.model import Cause, Change, Plan
from reconciler.render.cells import counted

BEFORE = "not from this change"
_WORDS = {
    Cause.DRIFT: "drifted",
    Cause.FAILED: "failed, rejected or unreadable",
    Cause.REFUSED: "refused before",
    Cause.BEGUN: "begun before",
}


def by_cause(changes: Iterable[Change]) -> tuple[list[Change], list[Change]]:
    """The changes that come from this change or from nothing, and those from before it; all of them
    stand first where none comes from this change."""
    ordered = list(changes)
    before = [change for change in ordered if change.cause in _WORDS]
    if not any(change.cause is Cause.CHANGE for change in ordered):
        return ordered, []
    return [change for change in ordered if change.cause not in _WORDS], before


def causes(plan: Plan) -> str:
    """`From this change: 2 bindings. From before it: 1 drifted.`; "" where nothing is."""
    counts = Counter(change.cause for change in plan.changes)
    before = [f"{counts[cause]:,} {word}" for cause, word in _WORDS.items() if counts[cause]]
    if not before:
        return ""
    now = counted(counts[Cause.CHANGE], "binding") if counts[Cause.CHANGE] else "nothing"
    return f"From this change: {now}. From before it: {', '.join(before)}."


def since(change: Change) -> str:
    """`in sync when run 7 proved it at 2026-11-20T09:00:00Z; drift seen now, and noted by no run`;
    "" of what did not drift."""
    drift = change.drift
    if drift is None:
        return ""
    proved = f"in sync when {_run(drift.proved_by)} proved it at {drift.proved_at}"
    if drift.declared_only:
        proved = f"in sync when {_run(drift.proved_by)} declared it at {drift.proved_at}"
    seen = "drift seen now, and noted by no run"
    if drift.seen_at:
        seen = f"drift first seen at {drift.seen_at} by {_run(drift.seen_by)}"
    return "; ".join([*([proved] if drift.proved_at else []), seen])


def _run(run: str) -> str:
    return f"run {run}" if run else "an unnamed run"
