"""`approved`: the plans that people saw on the pull requests that they merged.

Runs of one branch wait for each other and the ones in between are dropped, so what is to be applied
may come from several merged pull requests. Each plan is kept by itself: it approves what it shows.

A file is an approval because a person saw its plan and merged it, so each link of that is checked.
A run of this repository made the artifact: an artifact of a fork is the word of whoever wrote the
fork. The plan is of the last commit of the pull request: nobody approved a commit that was pushed
later. It is of this environment, and it was made with credentials: an offline plan has no id. A
comment by this very identity shows all of it: a plan that was too long to be shown was not seen.
(Where nothing comments at all, people read artifacts; then it must have been short enough for a
comment.) A link that is missing makes the plan approve nothing, and says why. It fails no run: one
that applies less than it could is repaired by another, and one that applies more is not.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from reconciler.ci import artifacts
from reconciler.ci import comment_text as rendering
from reconciler.ci import connection as github
from reconciler.ci.artifacts import UploadedFile
from reconciler.ci.comment import PLAN_FILE, fits
from reconciler.ci.github import PER_PAGE, GitHub, Pull
from reconciler.console import say, write_file
from reconciler.errors import ConfigurationError, UnreadableError
from reconciler.model import Plan
from reconciler.outcome import Outcome
from reconciler.render import parse_plan
from reconciler.render.cells import counted

MOST_PULLS = 30  # the newest that were merged; plans of older ones are long applied


def artifact_name(environment: str) -> str:
    """The artifact with the plan of an environment."""
    return f"plan-{environment}"


def approved(environment: str, branch: str, out: Path, *, commented: bool) -> Outcome:
    """`approved`: 0 when every plan that approves is in the folder, also where there is none.

    `commented` says that each plan was shown by a comment, so that one without approves nothing.
    """
    try:
        has_files = out.exists() and any(out.iterdir())
    except OSError as exc:
        raise _no_folder(out, exc) from exc
    if has_files:
        raise ConfigurationError(
            f"{out} is not empty, and the files in it would approve too; empty it"
        )
    with github.opened_on(branch, "--branch") as (door, branch):
        pulls, older = _merged(door, branch)
        plans = list(_plans(door, environment, pulls, commented=commented))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise _no_folder(out, exc) from exc
    for pull, plan, text in plans:
        path = out / f"{pull.number:08}.json"
        write_file(path, text)
        say(f"pull request {pull.number} approved plan {plan.digest}: {path}")
    if older:
        say(
            f"only the last {MOST_PULLS} merged pull requests were looked at; older ones approve "
            "nothing"
        )
    say(f"{counted(len(plans), 'approved plan')} of {environment}")
    return Outcome()


def _no_folder(out: Path, exc: OSError) -> ConfigurationError:
    why = f"no folder that files can be put into: {exc.strerror}; name an empty one"
    return ConfigurationError.of_file(out, why)


def _merged(door: GitHub, branch: str) -> tuple[list[Pull], bool]:
    """The pull requests that were merged last into the branch, and whether there are older ones."""
    query = f"state=closed&base={quote(branch, safe='')}&sort=updated&direction=desc"
    merged: list[Pull] = []
    for pull in door.pulls(query, f"looking for what was merged into {branch}"):
        # A merge is an update, so none of those that follow was merged after this one's update.
        if len(merged) > MOST_PULLS and pull.updated_at < merged[MOST_PULLS - 1].merged_at:
            break
        if pull.merged and pull.base == branch:
            merged.append(pull)
            merged.sort(key=lambda pull: pull.merged_at, reverse=True)
    return merged[:MOST_PULLS], len(merged) > MOST_PULLS


def _plans(
    door: GitHub, environment: str, pulls: Iterable[Pull], *, commented: bool
) -> Iterator[tuple[Pull, Plan, str]]:
    """The newest plan of each pull request, at its last commit."""
    unseen = functools.partial(_unseen, door, functools.cache(door.viewer), commented=commented)
    without = []
    for pull, artifacts_of_it in _artifacts(door, artifact_name(environment), pulls):
        usable = [a for a in artifacts_of_it if a.own and not a.expired]
        if usable:
            yield from _plan(door, pull, usable[0], environment, unseen)
        elif artifacts_of_it:
            why = "is of a fork" if not artifacts_of_it[0].own else "has expired"
            say(f"pull request {pull.number} approves nothing: its plan {why}")
        else:
            without.append(str(pull.number))
    if without:
        say(
            f"no plan of {environment} was found for the last commit of merged pull requests: "
            f"{', '.join(without)}"
        )


def _artifacts(
    door: GitHub, name: str, pulls: Iterable[Pull]
) -> Iterator[tuple[Pull, list[UploadedFile]]]:
    """The artifacts of this name that runs of the last commit of each pull request left: from the
    newest page where they stand there, else asked for by the commit.
    """
    newest = list(itertools.islice(artifacts.artifacts(door, name), PER_PAGE))
    for pull in pulls:
        artifacts_ = [artifact for artifact in newest if artifact.commit == pull.head]
        if not artifacts_ and len(newest) == PER_PAGE:
            artifacts_ = artifacts.artifacts_at(door, pull.head, name)
        yield pull, sorted(artifacts_, key=lambda artifact: artifact.id, reverse=True)


def _plan(
    door: GitHub,
    pull: Pull,
    artifact: UploadedFile,
    environment: str,
    unseen: Callable[[Pull, Plan], str],
) -> Iterator[tuple[Pull, Plan, str]]:
    """The plan in the artifact with its pull request and text, if it approves; else why not is
    said."""
    try:
        files = artifacts.files(door, artifact, PLAN_FILE)
        text = files[PLAN_FILE].decode()
        plan = parse_plan(text)
    except KeyError:
        why = f"its artifact holds no {PLAN_FILE}"
    except (ValueError, UnreadableError) as exc:
        why = str(exc)
    else:
        why = _unfit(plan, pull, environment) or unseen(pull, plan)
        if not why:
            yield pull, plan, text
    if why:
        say(f"pull request {pull.number} approves nothing: {why}")


def _unfit(plan: Plan, pull: Pull, environment: str) -> str:
    if plan.environment != environment:
        return f"its plan is of {plan.environment}"
    if plan.commit != pull.head:
        return f"its plan is of commit {plan.commit or 'unknown'}, not of its last commit"
    return "" if plan.id else "its plan was only printed"


def _unseen(
    door: GitHub, viewer: Callable[[], int], pull: Pull, plan: Plan, *, commented: bool
) -> str:
    """Why people did not see the plan on the pull request; "" where a comment of ours shows it.

    Where nothing comments at all, people read artifacts; unless comments are asked for, a plan then
    approves if a comment could have shown it.
    """
    mark = rendering.mark(plan)
    marked = [c for c in door.comments(pull.number) if rendering.is_marked(c.body, mark)]
    if not marked and not commented:
        return (
            ""
            if fits(plan)
            else f"plan {plan.digest} was too long for a comment, so nobody was shown it"
        )
    own = [comment for comment in marked if comment.author == viewer()]
    known = [plan_shown for comment in own for plan_shown in rendering.shown_by(comment.body)]
    whole = [s.whole for s in known if (s.plan, s.commit) == (plan.digest, plan.commit)]
    if not whole:
        return f"no comment that the owner of GITHUB_TOKEN wrote on it shows plan {plan.digest}"
    return "" if any(whole) else f"plan {plan.digest} was too long for its comment"
