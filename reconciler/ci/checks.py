"""Checks of what a repository's workflows lack to run this program, as far as their files show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.model import Check, Level, Source

_ACTION = re.compile(r"(?:^|/)\.github/actions/reconcile(?:@(\S+))?$")
# What the token of a job must be allowed, by the first word that its step runs.
_NEEDED = {
    "ci comment": {"pull-requests": "write"},
    "ci approved": {"actions": "read"},
    "ci fetch": {"actions": "read"},
    "ci drift-issue": {"issues": "write"},
    "ci propose": {"contents": "write", "pull-requests": "write"},
}
_COMMENT = {"pull-requests": "write"}
_TOKEN = {"id-token": "write"}  # by which a job signs in without a secret
# Commands that need no cloud; a plan against a snapshot needs none either.
_OFFLINE = ("validate", "schema", "ci comment", "ci approved", "ci fetch")
_ENOUGH = {"read": ("read", "write"), "write": ("write",)}


def workflow_checks(folder: Path, environment: str = "") -> Iterator[Check]:
    """Whether each job that uses the action of this program may do what its steps ask for.

    `environment` is the one whose jobs sign in by the token of their job, "" where none do.
    """
    commits: dict[str, str] = {}
    for path in sorted(folder.glob("*.y*ml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            jobs = document["jobs"].items()
        except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError):
            continue  # what GitHub makes of it, GitHub says
        for name, job in jobs:
            if isinstance(job, dict):
                yield from _job(path, name, document, job, commits, environment)
    if len(set(commits.values())) > 1:
        pairs = ", ".join(f"{name} {commit[:12]}" for name, commit in sorted(commits.items()))
        why = f"the workflows use different commits of this program: {pairs}"
        fix = "write one commit into all of them"
        yield Check("workflows", Level.WARNING, why, fix, Source(str(folder), 0, 0))
    elif commits:
        yield Check("workflows", Level.FINE, f"{len(commits)} use this program")


def _job(
    path: Path,
    name: str,
    document: Mapping[str, Any],
    job: Mapping[str, Any],
    seen: dict[str, str],
    environment: str,
) -> Iterator[Check]:
    """Errors for permissions that our action in a job needs and does not have; `seen` gets its
    version."""
    allowed = job.get("permissions", document.get("permissions"))
    steps = job.get("steps")
    for step in steps if isinstance(steps, list) else ():
        used = _ACTION.search(str(step.get("uses", ""))) if isinstance(step, dict) else None
        if used is None:
            continue
        seen[path.name] = used[1] or ""
        given = step.get("with")
        given = given if isinstance(given, dict) else {}
        needed = dict(_NEEDED.get(str(given.get("command", "")), {}))
        needed |= _COMMENT if str(given.get("comment", "false")) == "true" else {}
        online = str(given.get("command", "")) not in _OFFLINE and not given.get("live")
        if environment and online and given.get("environment", environment) == environment:
            needed |= _TOKEN
        for right, how in needed.items():
            if not _has(allowed, right, how):
                why = f"the job {name} runs `{given.get('command')}`, which needs `{right}: {how}`"
                fix = f"add `{right}: {how}` below `permissions:` of the job"
                yield Check("workflows", Level.ERROR, why, fix, Source(str(path), 0, 0))


def _has(allowed: Any, right: str, how: str) -> bool:
    """Whether a token has a right; where nothing is said, the settings decide, which nobody sees
    from here. No setting gives the right to sign in: a workflow must ask for it."""
    if allowed is None:
        return right not in _TOKEN
    if allowed in ("write-all", f"{how}-all"):
        return True
    return isinstance(allowed, dict) and allowed.get(right) in _ENOUGH[how]
