"""The comment on a pull request: what a person who did not write it needs to judge a plan.

Its head, with every refusal and failure and a line per fleet, is never cut. The details below it
are folded, and lose their middle where a comment could not hold them.

The first line is the mark by which the comment is found again, the second says which plans it
has shown: the one it shows now and, folded away at its end, the ones before.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from reconciler.model import Action, Change, Plan, Report
from reconciler.render import words
from reconciler.render.cells import counted, visible
from reconciler.render.fit import length
from reconciler.render.fleets import (
    Fleet,
    before_of,
    failure_fleets,
    fleets,
    gates_of,
    proof_fleets,
    why_of,
    work_of,
)
from reconciler.render.folds import (
    Details,
    bullets,
    details_of_changes,
    details_of_proofs,
    folded,
)
from reconciler.render.markdown import (
    PROOF_HEADS,
    escaped,
    fenced,
    named,
    proof_row,
    shown_name,
    table,
)
from reconciler.render.risk import risk

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
_SHOWN = re.compile(r"([0-9a-f]{12}):([0-9a-f]{40}|[0-9a-f]{64}|)")


@dataclass(frozen=True)
class Shown:
    """A plan that a comment shows: its digest and commit, "" where nobody knows that."""

    plan: str
    commit: str

    def __str__(self) -> str:
        """`50819b374ba2 of commit 8f3c…`."""
        return f"{self.plan} of {f'commit {self.commit}' if self.commit else 'no commit'}"


@dataclass(frozen=True)
class Context:
    """What a comment says beside the document: the plan it is of, by which version of this
    program it is written, and the comment that it takes the place of.

    `forked` says that the plan was made by code of a fork, which nobody has reviewed.
    """

    shown: Shown
    version: str
    before: str = ""
    forked: bool = False


def plan_comment(plan: Plan, context: Context, most: int = MOST_CHARACTERS) -> str:
    """The comment about a plan; ValueError where even its head is too long."""
    found = fleets(change for change in plan.changes if words.worth_showing(change))
    title = words.nothing_to_do(plan) or words.plan_summary(plan)
    head = [
        f"## {escaped(plan.environment)} · {escaped(title)}",
        _FORKED if context.forked else "",
        "\n".join(f"- **{escaped(said)}**" for said in words.excess(plan)),
        "\n".join(f"- {escaped(said)}" for said in words.notes(plan)),
        _listed("### In the way", [_refusal(f) for f in found if f.first.action is Action.BLOCK]),
        table(_HEADS, map(_row, found)) if found else "",
    ]
    foot = _foot(plan, context)
    foot += [] if context.forked else _how_to_apply(plan, context.shown.plan)
    return _whole(mark(plan), head, [details_of_changes(f) for f in found], foot, context, most)


def report_comment(report: Report, context: Context, most: int = MOST_CHARACTERS) -> str:
    """The comment about what a run did; ValueError where even its head is too long."""
    plan = report.plan
    found = proof_fleets(report.proofs)
    head = [
        f"## {escaped(plan.environment)} · {escaped(words.report_summary(report))}",
        escaped(words.stopped(report)),
        *map(escaped, words.left(report, MOST_NAMED)),
        escaped(words.forced(report)),
        _listed("### Failed or not proved", _failures(report)),
        table(PROOF_HEADS, map(proof_row, found)) if found else "",
    ]
    told = [f"{name}: {said}" for name, said in words.report_warnings(report)]
    details = [details_of_proofs(fleet) for fleet in found]
    details += [Details("warnings", bullets("warning", told))] if told else []
    return _whole(mark(report), head, details, _foot(plan, context), context, most)


def drift_issue(plan: Plan, context: Context, most: int = MOST_CHARACTERS) -> tuple[str, str]:
    """Title and body of the issue about what drifted; ValueError where its head is too long."""
    found = fleets(change for change in plan.changes if words.worth_showing(change))
    count = counted(sum(change.drift is not None for change in plan.changes), "binding")
    head = [
        f"## {escaped(plan.environment)} · {count} drifted",
        "These endpoints were changed outside git after they were proved.",
        _listed("### In the way", [_refusal(f) for f in found if f.first.action is Action.BLOCK]),
        table(_HEADS, map(_row, found)),
    ]
    foot = [
        *_foot(plan, context),
        "To put it right: run the workflow `reconcile` by hand and approve its plan, or write what "
        "is served into the YAML, if it is to stay. This issue closes by itself.",
    ]
    details = [details_of_changes(fleet) for fleet in found]
    body = _whole(drift_mark(plan), head, details, foot, context, most)
    return f"{visible(plan.environment)}: {count} drifted", body


def proposal(
    reasons: Sequence[str], plan: Plan, context: Context, most: int = MOST_CHARACTERS
) -> str:
    """What the pull request of `retrain` says: why, and what merging would do."""
    found = fleets(change for change in plan.changes if words.worth_showing(change))
    head = [
        _listed("### Why", [escaped(reason) for reason in reasons[:MOST_REASONS]]),
        f"- … and {len(reasons) - MOST_REASONS:,} more" if len(reasons) > MOST_REASONS else "",
        "### What merging does",
        _listed("### In the way", [_refusal(f) for f in found if f.first.action is Action.BLOCK]),
        table(_HEADS, map(_row, found)) if found else "",
    ]
    details = [details_of_changes(fleet) for fleet in found]
    return _whole(_mark("retrain", plan), head, details, _foot(plan, context), context, most)


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


def is_marked(body: str, marked: str) -> bool:
    """Whether a comment begins with this mark."""
    return body.split("\n", 1)[0].rstrip() == marked


def superseded(body: str, marked: str) -> str:
    """A comment that another one took the place of, folded away and not to be found again."""
    rest = body.removeprefix(marked).strip()
    kept = rest if length(rest) <= MOST_CHARACTERS else ""
    head = "<details><summary>Superseded by another comment</summary>"
    return "\n\n".join(part for part in [head, kept, "</details>"] if part) + "\n"


def _earlier(context: Context) -> list[Shown]:
    """The plans that the comment has shown before this one, the last one first."""
    lines = context.before.splitlines()
    found = _SHOWN.findall(lines[1]) if len(lines) > 1 else []
    plans = dict.fromkeys(Shown(*each) for each in found)
    return [plan for plan in plans if plan != context.shown][:MOST_EARLIER]


def _hidden(shown: Iterable[Shown]) -> str:
    return f"<!-- reconciler:shown {' '.join(f'{one.plan}:{one.commit}' for one in shown)} -->"


# --- the head, which is never cut ----------------------------------------------------------

_HEADS = ["", "binding", "version", "what", "metrics and gates", "risk"]


def _listed(head: str, items: Sequence[str]) -> str:
    return "\n".join([head, "", *(f"- {item}" for item in items)]) if items else ""


def _refusal(fleet: Fleet[Change]) -> str:
    change = fleet.first
    why = escaped(why_of(fleet) or "; ".join(gates_of(fleet)))
    return f"{named(fleet)}, {escaped(words.what(change))}: {why or 'no reason is given'}"


def _row(fleet: Fleet[Change]) -> list[str]:
    change = fleet.first
    return [
        f"`{change.action.value}`",
        named(fleet),
        escaped(words.versions(before_of(fleet), change.after)),
        escaped(work_of(fleet)),
        "<br>".join(map(escaped, gates_of(fleet))),
        escaped(risk(change)),
    ]


def _failures(report: Report) -> list[str]:
    told = []
    for fleet in failure_fleets(report.failures, report.done):
        failure = fleet.first
        after = words.after_change(report, failure.address)
        said = f"{escaped(failure.message)} (exit code {failure.exit_code}{after})"
        told.append(f"{named(fleet)}: {said}")
    names = {change.address: change.name for change in report.plan.changes}
    return told + [
        f"**{shown_name(names.get(address, address))}**: {reached}"
        for address, reached in words.unproved(report)
    ]


# --- the foot ------------------------------------------------------------------------------


def _foot(plan: Plan, context: Context) -> list[str]:
    earlier = [f"- plan {one}" for one in _earlier(context)]
    head = f"<details><summary>Superseded: {counted(len(earlier), 'earlier plan')}</summary>"
    fold = [head, "\n".join(earlier), "</details>"] if earlier else []
    said = f"Plan {context.shown}, on {escaped(plan.cloud)}"
    return [*fold, f"{said}, told by reconciler {escaped(context.version)}."]


def _how_to_apply(plan: Plan, digest: str) -> list[str]:
    left = plan.counts[Action.NOOP] + plan.counts[Action.BLOCK]
    if left == len(plan.changes):
        return []
    environment = visible(shlex.quote(plan.environment))
    command = f"reconciler apply --environment {environment} --expect {digest}"
    said = (
        "To apply: merge, where a workflow applies what is merged. By hand, with the options "
        "that selected this plan:"
    )
    return [said, "\n".join(fenced([command], ""))]


def _whole(
    marked: str,
    head: Sequence[str],
    details: Sequence[Details],
    foot: Sequence[str],
    context: Context,
    most: int,
) -> str:
    hidden = f"{marked}\n{_hidden([context.shown, *_earlier(context)])}"
    before = "\n\n".join(part for part in [hidden, *head] if part)
    after = "\n\n".join(foot) + "\n"
    room = most - length(before) - length(after) - 4
    if room < 0:
        raise ValueError(
            f"what must not be cut takes {length(before) + length(after):,} characters of a "
            f"comment, and {most:,} is the most"
        )
    return "\n\n".join([before, *folded(details, room), after])
