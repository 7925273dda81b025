"""Issues of a repository at GitHub: the open ones with a label, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.ci.github import GitHub, Object

if TYPE_CHECKING:
    from reconciler.http.response import Response

WRITE, READ = "issues: write", "issues: read"


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
    return [_issue(entry, said) for entry, said in listed if "pull_request" not in entry]


def open_issue(github: GitHub, title: str, body: str, label: str) -> Issue:
    """The new issue; GitHub makes the label if there is none."""
    sent = {"title": title, "body": body, "labels": [label]}
    said = github.ask("POST", "issues", "opening an issue", sent, 201, needs=WRITE)
    return _issue(said.json(), said)


def change_issue(github: GitHub, issue: Issue, **to: Any) -> Issue:
    """The issue with another title, body or state."""
    what = f"changing issue {issue.number}"
    said = github.ask("PATCH", f"issues/{issue.number}", what, to, needs=WRITE)
    return _issue(said.json(), said)


def close_issue(github: GitHub, issue: Issue, why: str) -> Issue:
    """The issue, closed after it says why."""
    what = f"saying why issue {issue.number} is closed"
    path = f"issues/{issue.number}/comments"
    github.ask("POST", path, what, {"body": why}, 201, needs=WRITE)
    return change_issue(github, issue, state="closed", state_reason="completed")


def _issue(value: object, said: Response) -> Issue:
    found = Object(value, said)
    author = found.object("user").get("id", int) if found.maybe("user", dict, {}) else 0
    return Issue(
        found.get("number", int),
        author,
        found.get("title", str),
        found.maybe("body", str, ""),
        found.get("html_url", str),
    )
