"""The comment on a pull request: what a person who did not write it needs to judge a plan.

Its head, with every refusal and failure and a line per fleet, is shown whole; a comment that cannot
hold it says how much is missing. The details below it are folded, and lose their middle.

The first line is the mark by which the comment is found again, the second says which plans it
has shown, and whether whole: the one it shows now and, folded away at its end, the ones before.
`approved` reads that line.

The hidden line is the evidence of an approval, so it names the plans that were *shown*. A plan
whose rows did not fit is noted as cut and approves nothing, because nobody saw all of it. Earlier
plans stay in the line: a plan that was shown whole stays approved, whatever a later run writes.

A comment that is too long is cut where that does least harm. The middle of the folded details goes
first, and then all rows of the table, which leave their number. Refusals and failures go last, and
as many of them stay as fit. Half of a table would be worse than none: a reader takes it for all.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from reconciler.ci.folds import folded, length, short
from reconciler.model import Action, Plan, Report
from reconciler.render import words
from reconciler.render.causes import causes
from reconciler.render.cells import counted, visible
from reconciler.render.markdown import (
    Body,
    bullets,
    escaped,
    fenced,
    headed,
    how_it_ended,
    plan_body,
    report_body,
)

GITHUB_TAKES = 65_536  # characters of one comment
MOST_CHARACTERS = 60_000  # far enough below, whoever counts and however
MOST_EARLIER = 10
MOST_REASONS = 40
MOST_NAMED = 100
_FORKED = (
    "> [!WARNING]\n"
    "> This pull request is of a fork, and its own code made this plan, of a snapshot. Look at "
    "what it changes, and not only at what it says. This plan approves nothing."
)
_SHOWN = re.compile(r"([0-9a-f]{12}):([0-9a-f]{40}|[0-9a-f]{64}|)(:cut|)")


@dataclass(frozen=True)
class Shown:
    """A plan that a comment shows, whole or not: its digest and commit, "" if nobody knows it."""

    plan: str
    commit: str
    whole: bool = True

    def __str__(self) -> str:
        """`50819b374ba2 of commit 8f3c…`."""
        return f"{self.plan} of {f'commit {self.commit}' if self.commit else 'no commit'}"


@dataclass(frozen=True)
class Context:
    """All that a comment says beside the document: the plan it is of, by which version of this
    program it is written, and the comment that it takes the place of.

    `forked` says that the plan was made by code of a fork, which nobody has reviewed.
    """

    shown: Shown
    version: str
    before: str = ""
    forked: bool = False


def plan_comment(plan: Plan, context: Context, most: int = MOST_CHARACTERS) -> str:
    """The comment about a plan; where not even its head fits, what is missing is counted.

    ValueError where names alone are too long.
    """
    title = words.nothing_to_do(plan) or words.plan_summary(plan)
    head = [
        f"## {escaped(plan.environment)} · {escaped(title)}",
        _FORKED if context.forked else "",
        "\n".join(f"- **{escaped(sentence)}**" for sentence in words.excess(plan)),
        escaped(causes(plan)),
        "\n".join(bullets([*words.notes(plan), *words.waves(plan), *words.destinations(plan)])),
    ]
    how = [] if context.forked else _how_to_apply(plan, context.shown.plan)
    body, foot = plan_body(plan, short), _foot(plan, context)
    return _whole(mark(plan), head, body, foot, context, most, how, _CUT_PLAN)


def report_comment(report: Report, context: Context, most: int = MOST_CHARACTERS) -> str:
    """The comment about what a run did; ValueError where even its head is too long."""
    plan = report.plan
    title = f"## {escaped(plan.environment)} · {escaped(words.report_summary(report))}"
    head = [title, *how_it_ended(report, MOST_NAMED)]
    body, foot = report_body(report, short), _foot(plan, context)
    return _whole(mark(report), head, body, foot, context, most)


def drift_issue(plan: Plan, context: Context, most: int = MOST_CHARACTERS) -> tuple[str, str]:
    """Title and body of the issue about what drifted; ValueError where names are too long."""
    count = counted(sum(change.drift is not None for change in plan.changes), "binding")
    head = [
        f"## {escaped(plan.environment)} · {count} drifted",
        "These endpoints were changed outside git after they were proved. The first drift was seen "
        "when this issue was opened.",
    ]
    foot = [
        *_foot(plan, context),
        "To put it right: run the workflow `reconcile` by hand and approve its plan, or write what "
        "is served into the YAML, if it is to stay. This issue closes by itself.",
    ]
    text = _whole(drift_mark(plan), head, plan_body(plan, short), foot, context, most)
    return f"{visible(plan.environment)}: {count} drifted", text


def proposal(
    reasons: Sequence[str],
    plan: Plan,
    context: Context,
    word: str = "retrain",
    most: int = MOST_CHARACTERS,
) -> str:
    """The text of a pull request that proposes edits: why, and what merging would do."""
    head = [
        headed("### Why", [escaped(reason) for reason in reasons[:MOST_REASONS]]),
        f"- … and {len(reasons) - MOST_REASONS:,} more" if len(reasons) > MOST_REASONS else "",
        "### What merging does",
        "\n".join(bullets(words.destinations(plan))),
    ]
    foot = _foot(plan, context)
    return _whole(_mark(word, plan), head, plan_body(plan, short), foot, context, most)


# --- finding it again ----------------------------------------------------------------------


def mark(document: Plan | Report) -> str:
    """The hidden first line of every comment about this environment's plans, or its runs."""
    kind, plan = ("plan", document) if isinstance(document, Plan) else ("run", document.plan)
    return _mark(kind, plan)


def drift_mark(plan: Plan) -> str:
    """The hidden first line of the issue about this environment's drift."""
    return _mark("drift", plan)


def _mark(kind: str, plan: Plan) -> str:
    spelt = quote(plan.environment, safe="", errors="surrogatepass")
    environment = spelt.replace("-", "%2D")  # nothing ends the comment
    return f"<!-- reconciler:{kind} environment={environment} -->"


def is_as(there: str, text: str) -> bool:
    """Whether GitHub keeps this text: it ends lines otherwise, and cuts blanks at the ends."""
    return there.replace("\r\n", "\n").strip() == text.strip()


def is_marked(body: str, marked: str) -> bool:
    """Whether a comment begins with this mark."""
    return body.split("\n", 1)[0].rstrip() == marked


def superseded(body: str, marked: str) -> str:
    """A comment that another one took the place of, folded away and not to be found again."""
    rest = body.removeprefix(marked).strip()
    fitting = rest if length(rest) <= MOST_CHARACTERS else ""
    head = "<details><summary>Superseded by another comment</summary>"
    return "\n\n".join(part for part in [head, fitting, "</details>"] if part) + "\n"


def shown_by(body: str) -> list[Shown]:
    """The plans that a comment of ours shows or has shown, the last one first and each once."""
    lines = body.split("\n")
    marks = _SHOWN.findall(lines[1]) if len(lines) > 1 else []
    plans: dict[tuple[str, str], Shown] = {}
    for plan, commit, cut in marks:
        plans.setdefault((plan, commit), Shown(plan, commit, not cut))
    return list(plans.values())


def _earlier(context: Context) -> list[Shown]:
    """The plans that the comment has shown before this one."""
    now = (context.shown.plan, context.shown.commit)
    plans = shown_by(context.before)
    return [plan for plan in plans if (plan.plan, plan.commit) != now][:MOST_EARLIER]


def _hidden(shown: Iterable[Shown]) -> str:
    marks = (f"{s.plan}:{s.commit}{'' if s.whole else ':cut'}" for s in shown)
    return f"<!-- reconciler:shown {' '.join(marks)} -->"


# --- the foot ------------------------------------------------------------------------------


def _foot(plan: Plan, context: Context) -> list[str]:
    earlier = [f"- plan {former}" for former in _earlier(context)]
    head = f"<details><summary>Superseded: {counted(len(earlier), 'earlier plan')}</summary>"
    fold = [head, "\n".join(earlier), "</details>"] if earlier else []
    source = f"Plan {context.shown}, on {escaped(plan.cloud)}"
    return [*fold, f"{source}, written by reconciler {escaped(context.version)}."]


def _how_to_apply(plan: Plan, digest: str) -> list[str]:
    """The command that applies this very plan; nothing where there is nothing to apply."""
    left = plan.counts[Action.NOOP] + plan.counts[Action.BLOCK]
    if left == len(plan.changes):
        return []
    environment = visible(shlex.quote(plan.environment))
    command = f"reconciler apply --environment {environment} --expect {digest}"
    advice = (
        "To apply: merge, where a workflow applies what is merged. By hand, with the options "
        "that selected this plan:"
    )
    return [advice, "\n".join(fenced([command], ""))]


_CUT = (
    "> [!CAUTION]\n"
    "> This is too long for a comment: {} not shown here. The summary of the job and the file "
    "that the job kept have everything."
)
_CUT_PLAN = (
    f"{_CUT} Merging approves nothing of this plan. Change fewer bindings in one pull request; or "
    "run the workflow `reconcile` by hand after the merge, and approve the plan in its summary."
)


def _fitting(body: Body, room: int, cut: str) -> list[str]:
    """How much is missing, in place of all rows, and of what is wrong as many as fit."""
    count = len(body.rows) + len(body.before)
    most = counted(len(body.wrong), "reason") + " and " + counted(count, "row")
    room -= length(cut.format(f"{most} are")) + length(body.title) + 6
    fit = 0
    for item in body.wrong:
        room -= length(item) + 3
        if room < 0:
            break
        fit += 1
    left = len(body.wrong) - fit
    missing = [counted(left, "reason")] if left else []
    missing.append(counted(count, "row"))
    verb = "is" if not left and count == 1 else "are"
    return [cut.format(f"{' and '.join(missing)} {verb}"), headed(body.title, body.wrong[:fit])]


def _whole(
    marked: str,
    head: Sequence[str],
    body: Body,
    foot: Sequence[str],
    context: Context,
    most: int,
    how: Sequence[str] = (),
    cut: str = _CUT,
) -> str:
    """The text with its rows, how to apply it, and as much of the details as fits; or without."""
    shown = [context.shown, *_earlier(context)]
    before = "\n\n".join(filter(None, [f"{marked}\n{_hidden(shown)}", *head, *body.top]))
    after = "\n\n".join([*foot, *how]) + "\n"
    room = most - length(before) - length(after) - 4
    if room >= 0:
        return "\n\n".join([before, *folded(body.details, room), after])
    shown[0] = replace(context.shown, whole=False)
    before = "\n\n".join(filter(None, [f"{marked}\n{_hidden(shown)}", *head]))
    after = "\n\n".join(foot) + "\n"
    room = most - length(before) - length(after) - 8
    fitting = [part for part in _fitting(body, room, cut) if part]
    text = "\n\n".join([before, *fitting, after])
    if length(text) > most:
        raise ValueError(
            f"names and notes alone take {length(text):,} characters of a comment, and {most:,} "
            "is the most"
        )
    return text
