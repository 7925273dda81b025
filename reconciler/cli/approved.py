"""`approved`: the plans that people saw on the pull requests that they merged.

Runs of one branch wait for each other and the ones in between are dropped, so what is to be applied
may come from several merged pull requests. Each plan is kept by itself: it approves what it shows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler import errors
from reconciler.cli import github
from reconciler.cli.event import default_branch, read_event
from reconciler.cli.output import say, write_file
from reconciler.errors import ConfigurationError, UnreadableError
from reconciler.render import parse_plan
from reconciler.wire import artifacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.model import Plan
    from reconciler.wire.artifacts import UploadedFile
    from reconciler.wire.github import GitHub, Pull

PLAN_FILE = "plan.json"
MOST_PULLS = 30  # the newest that were merged; plans of older ones are long applied


def artifact_name(environment: str) -> str:
    """The artifact with the plan of an environment."""
    return f"plan-{environment}"


def approved(environment: str, branch: str, out: Path) -> int:
    """`approved`: 0 when every plan that approves is in the folder, also where there is none."""
    branch = branch or default_branch(read_event(os.environ))
    missing = [] if branch else ["which branch is not known; pass --branch main"]
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty, and what is in it would approve; empty it")
    with github.opened(os.environ, missing) as door:
        found = list(_plans(door, environment, branch))
    out.mkdir(parents=True, exist_ok=True)
    for pull, plan, text in found:
        path = out / f"{pull.number:08}.json"
        write_file(path, text)
        say(f"pull request {pull.number} approved plan {plan.digest}: {path}")
    say(f"{len(found)} approved plans of {environment}")
    return errors.SUCCESS


def _plans(door: GitHub, environment: str, branch: str) -> Iterator[tuple[Pull, Plan, str]]:
    """The newest plan of each pull request that was merged into the branch, at its last commit."""
    by_commit: dict[str, list[UploadedFile]] = {}
    for one in artifacts.artifacts(door, quote(artifact_name(environment), safe="")):
        by_commit.setdefault(one.commit, []).append(one)
    query = f"state=closed&base={quote(branch, safe='')}&sort=updated&direction=desc"
    for pull in door.pulls(query, f"looking for what was merged into {branch}")[:MOST_PULLS]:
        if not pull.merged or pull.base != branch:
            continue
        found = by_commit.get(pull.head, [])
        usable = [one for one in found if one.own and not one.expired]
        if usable:
            yield from _plan(door, pull, usable[0], environment)
        elif found:
            why = "is of a fork" if not found[0].own else "has expired"
            say(f"pull request {pull.number} approves nothing: its plan {why}")


def _plan(
    door: GitHub, pull: Pull, artifact: UploadedFile, environment: str
) -> Iterator[tuple[Pull, Plan, str]]:
    try:
        files = artifacts.files(door, artifact, PLAN_FILE)
        text = files[PLAN_FILE].decode()
        plan = parse_plan(text)
    except KeyError:
        why = f"its artifact holds no {PLAN_FILE}"
    except (ValueError, UnreadableError) as exc:
        why = str(exc)
    else:
        why = _unfit(plan, pull, environment)
        if not why:
            yield pull, plan, text
    if why:
        say(f"pull request {pull.number} approves nothing: {why}")


def _unfit(plan: Plan, pull: Pull, environment: str) -> str:
    if plan.environment != environment:
        return f"its plan is of {plan.environment}"
    if plan.commit != pull.head:
        return f"its plan is of commit {plan.commit or 'unknown'}, and not of its last one"
    return "" if plan.id else "its plan was only printed"
