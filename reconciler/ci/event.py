"""The event that a job of GitHub runs for, as the file at GITHUB_EVENT_PATH tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from reconciler.strict_json import parse_json

_QUEUE = re.compile(r"refs/heads/gh-readonly-queue/.+/pr-([1-9][0-9]{0,9})-[0-9a-f]+")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def read_event(environ: Mapping[str, str]) -> dict[str, Any]:
    """The event; empty where there is none, or none that can be read."""
    try:
        with open(environ.get("GITHUB_EVENT_PATH", ""), "rb") as file:  # noqa: PTH123 - "" is no path
            event = parse_json(file.read())
    except (OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def pull_head(event: Mapping[str, Any]) -> str:
    """The commit that the pull request of an event is at; "" for any other event."""
    head = _object(_object(event, "pull_request"), "head").get("sha")
    return head if isinstance(head, str) else ""


def base_of_pull(event: Mapping[str, Any]) -> str:
    """The commit that a pull request or a merge queue begins at; "" for any other event."""
    base = _object(_object(event, "pull_request"), "base").get("sha")
    base = base or _object(event, "merge_group").get("base_sha")
    return base if isinstance(base, str) and COMMIT.fullmatch(base) else ""


def pull_number(event: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> int | None:
    """The number of the one pull request that an event is about.

    A `workflow_run` names none where the pull request is a fork's. A merge queue names it in the
    ref of its branch, which is that of the job too.
    """
    queue = _object(event, "merge_group").get("head_ref") or (environ or {}).get("GITHUB_REF")
    if queued := _QUEUE.fullmatch(str(queue)):
        return int(queued[1])
    pull, issue = _object(event, "pull_request"), _object(event, "issue")
    named = _object(event, "workflow_run").get("pull_requests")
    about = [pull, issue if "pull_request" in issue else {}]
    if isinstance(named, list) and len(named) == 1 and isinstance(named[0], dict):
        about += named
    numbers = {n for p in about if type(n := p.get("number")) is int and n > 0}
    return numbers.pop() if len(numbers) == 1 else None


def queue_head(event: Mapping[str, Any]) -> str:
    """The commit that a merge queue has made of a pull request; "" for any other event."""
    head = _object(event, "merge_group").get("head_sha")
    return head if isinstance(head, str) else ""


def workflow_run(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run that a `workflow_run` event is about; empty for any other event."""
    return _object(event, "workflow_run")


def forked(run: Mapping[str, Any]) -> str:
    """`OWNER:BRANCH` that a run was of, as pull requests are looked for; "" if it is not said."""
    owner = _object(_object(run, "head_repository"), "owner").get("login")
    branch = run.get("head_branch")
    if not (isinstance(owner, str) and isinstance(branch, str) and owner and branch):
        return ""
    return f"{quote(owner)}:{quote(branch)}"


def default_branch(event: Mapping[str, Any]) -> str:
    """The branch that pull requests are merged into; "" where the event does not say it."""
    branch = _object(event, "repository").get("default_branch")
    return branch if isinstance(branch, str) else ""


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}
