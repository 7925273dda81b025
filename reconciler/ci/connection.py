"""GitHub as a job may see it, and the pull request that its event is about."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.ci.event import default_branch, forked, pull_number, read_event, workflow_run
from reconciler.ci.github import API_URL, GitHub, Pull
from reconciler.errors import ConfigurationError, StalePlanError, remember_secret
from reconciler.http.client import Http, Limits

_SOON = 3.0, 5.0  # seconds to connect and to answer


@contextlib.contextmanager
def opened(
    environ: Mapping[str, str], also_missing: Iterable[str] = (), *, patient: bool = True
) -> Iterator[GitHub]:
    """The repository of the job, by its token; ConfigurationError says all that is missing.

    Who is not `patient` gets an answer or an error within seconds.
    """
    token, repository = environ.get("GITHUB_TOKEN", ""), environ.get("GITHUB_REPOSITORY", "")
    missing = []
    if not token:
        missing.append(
            "environment variable GITHUB_TOKEN is not set; add the line "
            "`GITHUB_TOKEN: ${{ github.token }}` below `env:` of the step"
        )
    elif not re.fullmatch(r"[!-~]+", token):
        missing.append("environment variable GITHUB_TOKEN holds a blank or line end; set it again")
    if not repository:
        missing.append("environment variable GITHUB_REPOSITORY is not set; export OWNER/NAME")
    missing += also_missing
    if missing:
        raise ConfigurationError("\n".join(missing))
    remember_secret(token)
    hint = "GITHUB_API_URL names this machine, and no GitHub answers there"
    api = environ.get("GITHUB_API_URL") or API_URL
    limits: Limits = {"threads": 1} if patient else {"threads": 1, "retries": 1, "timeout_s": _SOON}
    with Http(local_hint=hint, **limits) as http:
        door = GitHub(http, api, repository, token)
        yield door if patient else replace(door, patience_s=0.0)


@contextlib.contextmanager
def opened_on(branch: str, option: str) -> Iterator[tuple[GitHub, str]]:
    """The repository of the job, and the branch, else the default one of its event."""
    branch = branch or default_branch(read_event(os.environ))
    missing = [] if branch else [f"the branch is not known; pass {option} main"]
    with opened(os.environ, missing) as door:
        yield door, branch


def unknown_pull(environ: Mapping[str, str], number: int | None) -> list[str]:
    """The settings that are missing to know a pull request; empty where it is known, or GitHub can
    say it."""
    event = read_event(environ)
    known = number or pull_number(event, environ) or forked(workflow_run(event))
    if known or environ.get("GITHUB_EVENT_NAME") == "push":
        return []
    return [
        "the pull request is not known: the event of this job is not about exactly one; "
        "pass --pr NUMBER"
    ]


def pull_request(
    github: GitHub, environ: Mapping[str, str], number: int | None, commit: str
) -> Pull | str:
    """The pull request of this number, of the event, or that was merged as this commit; or in words
    that this commit was pushed without one."""
    event = read_event(environ)
    if not number and (run := workflow_run(event)):
        return _of_run(github, event, run)
    if number := number or pull_number(event, environ):
        return github.pull(number)
    merged = github.merged_as(commit) if commit else []
    if len(merged) == 1:
        return merged[0]
    return f"commit {commit or 'unknown'} was pushed without a pull request to comment on"


def _of_run(github: GitHub, event: Mapping[str, Any], run: Mapping[str, Any]) -> Pull:
    """The one that a run was of. For a fork's the event names none, and GitHub is asked.

    What the run left behind is of the run's commit, so the pull request must be at it still.
    """
    commit = str(run.get("head_sha", ""))
    if number := pull_number(event):
        candidates = [github.pull(number)]
    elif head := forked(run):
        what = f"looking for the pull request of {head}"
        candidates = list(github.pulls(f"state=open&head={head}", what))
    else:
        candidates = []
    at_it = [pull for pull in candidates if pull.head == commit]
    if len(at_it) != 1:
        raise StalePlanError(
            f"no open pull request is at commit {commit or 'unknown'} any more, which the run was "
            "of; the run of the newer commit will comment"
        )
    return at_it[0]
