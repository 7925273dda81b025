"""The comment on a pull request: what a person who did not write it needs to judge a plan.

Its head, with every refusal and failure and a line per fleet, is shown whole; a comment that cannot
hold it says how much is missing. The details below it are folded, and lose their middle.

The first line is the mark by which the comment is found again, the second says which plans it
has shown, and whether whole: the one it shows now and, folded away at its end, the ones before.
`approved` reads that line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from reconciler.ci.fit import length
from reconciler.ci.folds import (
    Details,
    bullets,
    details_of_changes,
    details_of_proofs,
    folded,
)
from reconciler.model import Action, Change, Plan, Report
from reconciler.render import words
from reconciler.render.cells import counted, visible
from reconciler.render.fleets import (
    Fleet,
    before_of,
    failure_fleets,
    fleets,
    gates_of,
    message_of,
    proof_fleets,
    why_of,
    work_of,
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
    """What a comment says beside the document: the plan it is of, by which version of this
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
    found = fleets(change for change in plan.changes if words.worth_showing(change))
    title = words.nothing_to_do(plan) or words.plan_summary(plan)
    head = [
        f"## {escaped(plan.environment)} · {escaped(title)}",
        _FORKED if context.forked else "",
        "\n".join(f"- **{escaped(said)}**" for said in words.excess(plan)),
        "\n".join(f"- {escaped(said)}" for said in [*words.notes(plan), *words.destinations(plan)]),
    ]
    rows = _Rows(*_in_the_way(found), _HEADS, list(map(_row, found)), _CUT_PLAN)
    how = [] if context.forked else _how_to_apply(plan, context.shown.plan)
    details = [details_of_changes(f) for f in found]
    return _whole(mark(plan), head, rows, details, _foot(plan, context), context, most, how)


def report_comment(report: Report, context: Context, most: int = MOST_CHARACTERS) -> str:
    """The comment about what a run did; ValueError where even its head is too long."""
    plan = report.plan
    found = proof_fleets(report.proofs)
    head = [
        f"## {escaped(plan.environment)} · {escaped(words.report_summary(report))}",
        escaped(words.stopped(report)),
        *map(escaped, words.left(report, MOST_NAMED)),
        escaped(words.forced(report)),
    ]
    failed = ("### Failed or not proved", _failures(report))
    rows = _Rows(*failed, PROOF_HEADS, list(map(proof_row, found)))
    told = [f"{name}: {said}" for name, said in words.report_warnings(report)]
    details = [details_of_proofs(fleet) for fleet in found]
    details += [Details("warnings", bullets("warning", told))] if told else []
    return _whole(mark(report), head, rows, details, _foot(plan, context), context, most)


def drift_issue(plan: Plan, context: Context, most: int = MOST_CHARACTERS) -> tuple[str, str]:
    """Title and body of the issue about what drifted; ValueError where names are too long."""
    found = fleets(change for change in plan.changes if words.worth_showing(change))
    count = counted(sum(change.drift is not None for change in plan.changes), "binding")
    head = [
        f"## {escaped(plan.environment)} · {count} drifted",
        "These endpoints were changed outside git after they were proved.",
    ]
    rows = _Rows(*_in_the_way(found), _HEADS, list(map(_row, found)))
    foot = [
        *_foot(plan, context),
        "To put it right: run the workflow `reconcile` by hand and approve its plan, or write what "
        "is served into the YAML, if it is to stay. This issue closes by itself.",
    ]
    details = [details_of_changes(fleet) for fleet in found]
    body = _whole(drift_mark(plan), head, rows, details, foot, context, most)
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
        "\n".join(f"- {escaped(said)}" for said in words.destinations(plan)),
    ]
    rows = _Rows(*_in_the_way(found), _HEADS, list(map(_row, found)))
    details, foot = [details_of_changes(fleet) for fleet in found], _foot(plan, context)
    return _whole(_mark("retrain", plan), head, rows, details, foot, context, most)


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


def shown_by(body: str) -> list[Shown]:
    """The plans that a comment of ours shows or has shown, the last one first and each once."""
    lines = body.split("\n")
    found = _SHOWN.findall(lines[1]) if len(lines) > 1 else []
    plans: dict[tuple[str, str], Shown] = {}
    for plan, commit, cut in found:
        plans.setdefault((plan, commit), Shown(plan, commit, not cut))
    return list(plans.values())


def _earlier(context: Context) -> list[Shown]:
    """The plans that the comment has shown before this one."""
    now = (context.shown.plan, context.shown.commit)
    plans = shown_by(context.before)
    return [plan for plan in plans if (plan.plan, plan.commit) != now][:MOST_EARLIER]


def _hidden(shown: Iterable[Shown]) -> str:
    marks = (f"{each.plan}:{each.commit}{'' if each.whole else ':cut'}" for each in shown)
    return f"<!-- reconciler:shown {' '.join(marks)} -->"


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
        said = f"{escaped(message_of(fleet))} (exit code {failure.exit_code}{after})"
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


_CUT = (
    "> [!CAUTION]\n"
    "> This is too long for a comment: {} not shown here. The summary of the job and the file "
    "that the job kept have everything."
)
_CUT_PLAN = (
    f"{_CUT} Merging approves nothing of this plan. Change fewer bindings in one pull request; or "
    "run the workflow `reconcile` by hand after the merge, and approve the plan in its summary."
)


@dataclass(frozen=True)
class _Rows:
    """Two lists of which a comment shows all: what is wrong, then a row per fleet. `cut` takes
    their place, with a count of what is missing, where there is no room.
    """

    title: str
    wrong: Sequence[str]
    heads: list[str]
    rows: list[list[str]]
    cut: str = _CUT

    @property
    def whole(self) -> list[str]:
        return [_listed(self.title, self.wrong), table(self.heads, self.rows) if self.rows else ""]

    def fitting(self, room: int) -> list[str]:
        """How much is missing, and of what is wrong as many as fit."""
        most = counted(len(self.wrong), "reason") + " and " + counted(len(self.rows), "row")
        room -= length(self.cut.format(f"{most} are")) + length(self.title) + 6
        fit = 0
        for item in self.wrong:
            room -= length(item) + 3
            if room < 0:
                break
            fit += 1
        left = len(self.wrong) - fit
        missing = [counted(left, "reason")] if left else []
        missing.append(counted(len(self.rows), "row"))
        verb = "is" if not left and len(self.rows) == 1 else "are"
        note = self.cut.format(f"{' and '.join(missing)} {verb}")
        return [note, _listed(self.title, self.wrong[:fit])]


def _in_the_way(found: Iterable[Fleet[Change]]) -> tuple[str, list[str]]:
    refused = [_refusal(fleet) for fleet in found if fleet.first.action is Action.BLOCK]
    return "### In the way", refused


def _whole(
    marked: str,
    head: Sequence[str],
    rows: _Rows,
    details: Sequence[Details],
    foot: Sequence[str],
    context: Context,
    most: int,
    how: Sequence[str] = (),
) -> str:
    """The text with its rows, how to apply it, and as much of the details as fits; or without."""
    shown = [context.shown, *_earlier(context)]
    before = "\n\n".join(filter(None, [f"{marked}\n{_hidden(shown)}", *head, *rows.whole]))
    after = "\n\n".join([*foot, *how]) + "\n"
    room = most - length(before) - length(after) - 4
    if room >= 0:
        return "\n\n".join([before, *folded(details, room), after])
    shown[0] = replace(context.shown, whole=False)
    before = "\n\n".join(filter(None, [f"{marked}\n{_hidden(shown)}", *head]))
    after = "\n\n".join(foot) + "\n"
    room = most - length(before) - length(after) - 8
    fitting = [part for part in rows.fitting(room) if part]
    text = "\n\n".join([before, *fitting, after])
    if length(text) > most:
        raise ValueError(
            f"names and notes alone take {length(text):,} characters of a comment, and {most:,} "
            "is the most"
        )
    return text
