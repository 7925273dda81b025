"""The one issue about what was changed outside git in an environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.ci import comment_text as rendering
from reconciler.ci import connection as github
from reconciler.ci import issues
from reconciler.console import say
from reconciler.errors import ReconcilerError, RefusedError
from reconciler.model import Plan, Reason

if TYPE_CHECKING:
    from reconciler.ci.github import GitHub
    from reconciler.outcome import Outcome

LABEL = "drift"


def told(outcome: Outcome) -> Outcome:
    """What `drift` found, after the issue says so; or what kept it from saying so."""
    found = outcome.document
    assert isinstance(found, Plan)
    sure = all(change.code != Reason.UNREADABLE for change in found.changes)
    try:
        with github.opened(os.environ) as door:
            _tell(door, found, drifted=bool(outcome.has_changes), sure=sure)
    except ReconcilerError as exc:
        return outcome.ended_by(exc)
    return outcome


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
