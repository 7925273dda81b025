"""`drift`: what somebody else changed where this program had proved what serves.

What was merged and is not applied yet is no drift: there the endpoint serves what was proved last.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler import __version__, errors
from reconciler.ci import comment_text as rendering
from reconciler.ci import connection as github
from reconciler.ci import issues
from reconciler.ci import job as actions
from reconciler.cli import session
from reconciler.console import say, write_file
from reconciler.errors import RefusedError
from reconciler.model import Action, Reason
from reconciler.plan import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.ci.github import GitHub
    from reconciler.cli.output import Page
    from reconciler.model import Change, Desired, Plan

LABEL = "drift"


def drift(
    wanted: Desired,
    page: Page,
    parallel: int | None,
    out: Path | None,
    *,
    detailed_exitcode: bool,
    issue: bool,
) -> int:
    """`drift`: 0, 2 with `--detailed-exitcode` when something drifted, 1 when unreadable."""
    session.introduce(wanted.environment)
    with session.opened(wanted, parallel) as opened:
        observed = opened.observe()
    made = make_plan(wanted.environment, observed)
    found = replace(_without_what_waits(made), commit=wanted.commit)
    drifted = [change for change in found.changes if change.drift is not None]
    unreadable = any(change.code == Reason.UNREADABLE for change in found.changes)
    page.show_plan(found)
    actions.current().has_changes = bool(drifted)
    if out is not None:
        write_file(out, page.plan_json(found))
        actions.current().files["plan-file"] = str(out)
    if issue:
        with github.opened(os.environ) as door:
            _tell(door, found, drifted=bool(drifted), sure=not unreadable)
    if unreadable:
        return errors.ERROR
    return errors.CHANGES if drifted and detailed_exitcode else errors.SUCCESS


def _without_what_waits(made: Plan) -> Plan:
    """The plan without what only waits to be applied."""
    shown: list[Change] = []
    waiting: list[Change] = []
    for change in made.changes:
        as_declared = change.action is Action.NOOP or change.code == Reason.UNREADABLE
        (shown if as_declared or change.drift is not None else waiting).append(change)
    if waiting:
        say(f"not drift, but waiting for apply: {', '.join(change.name for change in waiting)}")
    return replace(made, changes=tuple(shown), excess=())


# --- the one issue -------------------------------------------------------------------------


def _tell(door: GitHub, found: Plan, *, drifted: bool, sure: bool) -> None:
    """Open the issue of the environment, change it, or close it where all is well for certain."""
    mark = rendering.drift_mark(found)
    kept = [one for one in issues.open_issues(door, LABEL) if rendering.is_marked(one.body, mark)]
    if kept:
        viewer = door.viewer()
        kept = [one for one in kept if one.author == viewer]
    if not drifted:
        for one in kept if sure else ():
            why = f"In sync again, as commit {found.commit or 'unknown'} says."
            say(f"closed: {issues.close_issue(door, one, why).url}")
        return
    context = rendering.Context(rendering.Shown(found.digest, found.commit), __version__)
    try:
        title, body = rendering.drift_issue(found, context)
    except ValueError as exc:
        raise RefusedError(f"{exc}; the summary of the job has everything") from exc
    if not kept:
        say(f"opened: {issues.open_issue(door, title, body, LABEL).url}")
        return
    first, *others = kept
    if (first.title, first.body.replace("\r\n", "\n").strip()) == (title, body.strip()):
        say(f"shown before: {first.url}")
    else:
        say(f"changed: {issues.change_issue(door, first, title=title, body=body).url}")
    for other in others:
        say(f"closed: {issues.close_issue(door, other, f'See #{first.number}.').url}")
