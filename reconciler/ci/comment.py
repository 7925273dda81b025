"""`comment`: a plan, or what became of it, as the one comment of its kind on a pull request."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from reconciler import __version__
from reconciler.ci import artifacts
from reconciler.ci import comment_text as rendering
from reconciler.ci import connection as github
from reconciler.ci.event import queue_head, read_event, workflow_run
from reconciler.ci.github import GitHub, Pull
from reconciler.console import redacted, say
from reconciler.errors import ConfigurationError, RefusedError, StalePlanError
from reconciler.model import Plan, Report
from reconciler.outcome import Kept, Outcome
from reconciler.render.documents import parse_document

PLAN_FILE = "plan.json"  # in every artifact that holds a plan
MOST_BYTES = 64 * 1024 * 1024


def comment(path: Path, number: int | None, *, dry_run: bool) -> Outcome:
    """`comment`: the pull request shows it, also if it did before."""
    draft = _Draft.of(read_document(path))
    if dry_run:
        text = draft.text("")
        return _commented(text, draft, printed=text)
    with github.opened(os.environ, github.unknown_pull(os.environ, number)) as door:
        pull = github.pull_request(door, os.environ, number, draft.shown.commit)
        return _comment_on(door, pull, draft)


def comment_on_fork(artifact: str) -> Outcome:
    """`comment --artifact`: 0 when the pull request of the run shows the plan in its artifact.

    It was made by code of a fork. All that is believed of it is what it looks like: whose pull
    request it is says the event, and what commit it is of must be that of the run.
    """
    run = workflow_run(read_event(os.environ))
    if type(run.get("id")) is not int:
        raise ConfigurationError(
            "--artifact is for jobs of `on: workflow_run`: GITHUB_EVENT_PATH names no such event"
        )
    with github.opened(os.environ, github.unknown_pull(os.environ, None)) as door:
        uploaded = artifacts.artifacts_of(door, run["id"], artifact)
        if not uploaded:
            say(f"run {run['id']} has no artifact {artifact}; nothing was commented")
            return Outcome()
        files = artifacts.files(door, uploaded[0], PLAN_FILE, most=artifacts.MOST_OF_FORKS)
        place = f"artifact {artifact} of run {run['id']}"
        if PLAN_FILE not in files:
            raise ConfigurationError(f"{place}: it holds no {PLAN_FILE}")
        try:
            document = parse_document(files[PLAN_FILE].decode())
        except ValueError as exc:
            raise ConfigurationError(f"{place}: not a plan of `plan --out`: {exc}") from exc
        if not isinstance(document, Plan):
            raise ConfigurationError(f"{place}: it holds a report instead of a plan")
        if document.commit != run.get("head_sha"):
            raise StalePlanError(
                f"{place}: its plan is of commit {document.commit or 'unknown'}, not of the run's"
            )
        # Not shown as whole, so it approves nothing.
        evidence = rendering.Shown(document.digest, document.commit, whole=False)
        draft = _Draft(redacted(document), evidence, forked=True)
        return _comment_on(door, github.pull_request(door, os.environ, None, ""), draft)


def fits(plan: Plan) -> bool:
    """Whether a comment can show the plan whole."""
    draft = _Draft.of(plan)
    try:
        draft.check_whole(draft.text(""))
    except RefusedError:
        return False
    return True


def _commented(text: str, draft: _Draft, printed: str = "") -> Outcome:
    """The comment for the summary of the job; an error where it does not show a plan whole."""
    outcome = Outcome(Kept(printed, page=text))
    try:
        draft.check_whole(text)
    except RefusedError as exc:
        return outcome.ended_by(exc)
    return outcome


# --- what is said --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draft:
    """A document without any secret, and the plan that it is of."""

    document: Plan | Report
    shown: rendering.Shown
    forked: bool = False

    @classmethod
    def of(cls, document: Plan | Report) -> _Draft:
        """The digest is that of the document as it was: people approve by it."""
        plan = document if isinstance(document, Plan) else document.plan
        return cls(redacted(document), rendering.Shown(plan.digest, plan.commit))

    @property
    def mark(self) -> str:
        return rendering.mark(self.document)

    def text(self, before: str) -> str:
        """The comment that takes the place of one; RefusedError where names alone are too long."""
        context = rendering.Context(self.shown, __version__, before, self.forked)
        try:
            if isinstance(self.document, Plan):
                return rendering.plan_comment(self.document, context)
            return rendering.report_comment(self.document, context)
        except ValueError as exc:
            raise RefusedError(
                f"{exc}; the summary of the job and the file have everything"
            ) from exc

    def check_whole(self, text: str) -> None:
        """RefusedError where the comment could not hold a plan that is to approve something."""
        approves = isinstance(self.document, Plan) and not self.forked
        if approves and not rendering.shown_by(text)[0].whole:
            raise RefusedError(
                f"plan {self.shown.plan} is too long for its comment, which says what is missing. "
                "Merging approves nothing of it: change fewer bindings in one pull request, or run "
                "the workflow that applies by hand after the merge"
            )


def read_document(path: Path) -> Plan | Report:
    """The plan or the report in a file; ConfigurationError if it is neither."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
        return parse_document(data.decode("utf-8"))
    except OSError as exc:
        raise ConfigurationError.of_file(path, f"cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        why = f"neither a plan of `plan --out` nor a report of `apply --report`: {exc}"
        raise ConfigurationError.of_file(path, why) from exc


# --- where it is said ----------------------------------------------------------------------


def _comment_on(github: GitHub, pull: Pull | str, draft: _Draft) -> Outcome:
    """The outcome of showing the draft: the comment is made or changed, and older ones folded
    away."""
    if isinstance(pull, str):
        say(f"{pull}; nothing was written")
        return Outcome()
    _check(pull, draft)
    comments = github.comments(pull.number)
    own = github.own(c for c in comments if rendering.is_marked(c.body, draft.mark))
    if not own:
        text = draft.text("")
        say(f"commented: {github.create(pull.number, text).url}")
        return _commented(text, draft)
    comment, *others = own
    text = draft.text(comment.body)
    if rendering.is_as(comment.body, text):
        say(f"shown before: {comment.url}")
    else:
        say(f"changed: {github.update(comment, text).url}")
    for other in others:
        say(f"folded: {github.update(other, rendering.superseded(other.body, draft.mark)).url}")
    return _commented(text, draft)


def _check(pull: Pull, draft: _Draft) -> None:
    """Raise where the comment would say something about another state of the pull request.

    A report is posted on a merged one too; what would be done, only while it is open.
    """
    shown, state = draft.shown, "merged" if pull.merged else "closed"
    what = "plan" if isinstance(draft.document, Plan) else "report"
    if not pull.is_open and (what == "plan" or not pull.merged):
        raise RefusedError(f"pull request {pull.number} is {state}, so this {what} was not posted")
    if not shown.commit:
        raise StalePlanError(
            f"the {what} is of no known commit, so it may be of another one than pull request "
            f"{pull.number} is at; make it in a clone of the repository, of what is committed"
        )
    if shown.commit not in (pull.head, pull.merge, queue_head(read_event(os.environ))):
        raise StalePlanError(
            f"the {what} is of commit {shown.commit}, but pull request {pull.number} is at "
            f"{pull.head}; make it there, or leave it to the run of the newer commit"
        )
