"""Who approved what a run does: reviewers of the merged pull requests, and of the run itself.

The history keeps who did something; an audit asks who allowed it, too. A code host knows, and may
forget: reviews are dismissed, and runs are deleted after months. So it is asked once, before the
first write, and each event keeps the answer. It decides nothing. Whether a run may go on is decided
by the plan (approval.py) and by the rules of the code host, so a refused question is told and ends
no run. Nor does a slow code host: each answer gets a few seconds, and no pull request is looked for
after `MOST_S`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from reconciler.ci.connection import opened
from reconciler.ci.github import READ_PULLS, GitHub, Object, Pull
from reconciler.console import say
from reconciler.errors import ReconcilerError, UnavailableError
from reconciler.model import Approver

MOST_S = 20.0
_ANSWERS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")  # a comment takes back no review


def approvers(
    environ: Mapping[str, str],
    commits: Iterable[str],
    now: Callable[[], float] = time.monotonic,
) -> tuple[Approver, ...]:
    """Who approved the merged pull requests that these commits are of, and the run of this job;
    () outside a job of GitHub. Whatever cannot be read is said."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return ()
    found: dict[Approver, None] = {}
    try:
        with opened(environ, patient=False) as door:
            for reading in (_of_pulls(door, commits, now), _of_run(door, environ)):
                try:
                    for approver in reading:
                        found[approver] = None
                except ReconcilerError as exc:
                    _unknown(exc)
    except ReconcilerError as exc:
        _unknown(exc)
    return tuple(found)


def _unknown(exc: ReconcilerError) -> None:
    say(f"the history will not say everybody who approved this: {exc.message}")


def _of_pulls(door: GitHub, commits: Iterable[str], now: Callable[[], float]) -> Iterator[Approver]:
    pulls: dict[int, Pull] = {}
    until = now() + MOST_S
    for commit in filter(None, dict.fromkeys(commits)):
        if now() > until:
            raise UnavailableError(f"GitHub took longer than {MOST_S:.0f} s; earlier ones are kept")
        for pull in door.merged_with(commit, f"looking for the pull request of {commit[:12]}"):
            if pull.number not in pulls:
                pulls[pull.number] = pull
                yield from _reviewers(door, pull)


def _reviewers(door: GitHub, pull: Pull) -> Iterator[Approver]:
    """Whose last word on a pull request is an approval, with the word whether it was of its last
    commit."""
    last: dict[str, Approver | None] = {}
    what = f"reading the reviews of pull request {pull.number}"
    for entry, answer in door.pages(f"pulls/{pull.number}/reviews?", what, READ_PULLS):
        review = Object(entry, answer)
        state = review.get("state", str)
        if state not in _ANSWERS or not (who := _login(review)):
            continue
        earlier = review.maybe("commit_id", str, "") != pull.head
        of = f"{'an earlier commit of ' if earlier else ''}pull request {pull.number}"
        last[who] = Approver(who, of) if state == "APPROVED" else None
    yield from filter(None, last.values())


def _of_run(door: GitHub, environ: Mapping[str, str]) -> Iterator[Approver]:
    """The reviewers of environments with protection rules who let this run go on."""
    run, what = environ.get("GITHUB_RUN_ID", ""), "reading who approved this run"
    answer = door.ask("GET", f"actions/runs/{run}/approvals", what, needs="actions: read")
    for entry in answer.json_list():
        approval = Object(entry, answer)
        if approval.get("state", str) == "approved" and (who := _login(approval)):
            for listed in approval.get("environments", list):
                yield Approver(who, f"environment {Object(listed, answer).get('name', str)}")


def _login(entry: Object) -> str:
    """Who wrote it; "" for an account that is gone."""
    return entry.object("user").get("login", str) if entry.maybe("user", dict, {}) else ""
