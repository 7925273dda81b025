"""The one issue about what was changed outside git in an environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from reconciler import __version__
from reconciler.ci import comment_text as rendering
from reconciler.ci import connection as github
from reconciler.ci.github import GitHub, Object
from reconciler.console import say
from reconciler.errors import ReconcilerError, RefusedError
from reconciler.http.response import Response
from reconciler.model import Plan, Reason
from reconciler.outcome import Outcome

LABEL = "drift"
WRITE, READ = "issues: write", "issues: read"


def tell(outcome: Outcome) -> Outcome:
    """The outcome of `drift`, after the issue tells of it; or what kept it from saying so."""
    plan = outcome.document
    assert isinstance(plan, Plan)
    sure = all(change.code != Reason.UNREADABLE for change in plan.changes)
    try:
        with github.opened(os.environ) as door:
            _tell(door, plan, drifted=bool(outcome.has_changes), sure=sure)
    except ReconcilerError as exc:
        return outcome.ended_by(exc)
    return outcome


def _tell(door: GitHub, plan: Plan, *, drifted: bool, sure: bool) -> None:
    """Open the issue of the environment, change it, or close it where all is well for certain."""
    mark = rendering.drift_mark(plan)
    labelled = open_issues(door, LABEL)
    issues = door.own(issue for issue in labelled if rendering.is_marked(issue.body, mark))
    if not drifted:
        for closing in issues if sure else ():
            why = f"In sync again, as commit {plan.commit or 'unknown'} says."
            say(f"closed: {close_issue(door, closing, why).url}")
        return
    context = rendering.Context(rendering.Shown(plan.digest, plan.commit), __version__)
    try:
        title, body = rendering.drift_issue(plan, context)
    except ValueError as exc:
        raise RefusedError(f"{exc}; the summary of the job has everything") from exc
    if not issues:
        say(f"opened: {open_issue(door, title, body, LABEL).url}")
        return
    first, *others = issues
    if first.title == title and rendering.is_as(first.body, body):
        say(f"shown before: {first.url}")
    else:
        say(f"changed: {change_issue(door, first, title=title, body=body).url}")
    for other in others:
        say(f"closed: {close_issue(door, other, f'See #{first.number}.').url}")


# --- issues of a repository -----------------------------------------------------------------


@dataclass(frozen=True)
class Issue:
    """An issue; `author` is the id of a user or bot, 0 of one that is gone."""

    number: int
    author: int
    title: str
    body: str = field(repr=False)
    url: str = ""


def open_issues(github: GitHub, label: str) -> list[Issue]:
    """Every open issue with a label, the oldest first, and no pull requests."""
    path = f"issues?labels={quote(label)}&state=open&sort=created&direction=asc"
    what = f"looking for issues labelled {label}"
    listed = github.pages(path, what, READ)
    return [_issue(entry, answer) for entry, answer in listed if "pull_request" not in entry]


def open_issue(github: GitHub, title: str, body: str, label: str) -> Issue:
    """The new issue; GitHub makes the label if there is none."""
    sent = {"title": title, "body": body, "labels": [label]}
    answer = github.ask("POST", "issues", "opening an issue", sent, 201, needs=WRITE)
    return _issue(answer.json(), answer)


def change_issue(github: GitHub, issue: Issue, **to: Any) -> Issue:
    """The issue with another title, body or state."""
    what = f"changing issue {issue.number}"
    answer = github.ask("PATCH", f"issues/{issue.number}", what, to, needs=WRITE)
    return _issue(answer.json(), answer)


def close_issue(github: GitHub, issue: Issue, why: str) -> Issue:
    """The issue, closed after it says why."""
    what = f"saying why issue {issue.number} is closed"
    path = f"issues/{issue.number}/comments"
    github.ask("POST", path, what, {"body": why}, 201, needs=WRITE)
    return change_issue(github, issue, state="closed", state_reason="completed")


def _issue(value: object, answer: Response) -> Issue:
    """The issue in an item of GitHub's list; UnreadableError for what is none."""
    entry = Object(value, answer)
    author = entry.object("user").get("id", int) if entry.maybe("user", dict, {}) else 0
    return Issue(
        entry.get("number", int),
        author,
        entry.get("title", str),
        entry.maybe("body", str, ""),
        entry.get("html_url", str),
    )
