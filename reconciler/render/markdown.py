"""Plans, reports, rows and proofs as GitHub-flavoured Markdown, for pull requests.

Names and messages come from files and services, so none of them may become markup: text is
escaped for Markdown and HTML, and diffs stand in fences that are longer than any run of
backticks inside. GitHub looks for mentions, references, commits and the names of emoji (`:100:` in
`shops.yaml:100:18`) in the finished page, where an escape is gone again; an invisible space inside
is what it cannot read past. It looks into no fence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reconciler.model import Action, Change, Failure, FieldDiff, Plan, Proof, Report
from reconciler.render import words
from reconciler.render.cells import listed, visible
from reconciler.render.fleets import (
    Fleet,
    before_of,
    failure_fleets,
    gates_of,
    large_fleets,
    message_of,
    proof_fleets,
    why_of,
    work_of,
)
from reconciler.render.status import (
    StatusRow,
    gist_of,
    shared_messages,
    status_summary,
    worst_first,
)

_ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "@": "&#64;&#8203;",
    "#": "&#35;&#8203;",
    "\u200b": "&#8203;",
}
_ESCAPED = {char: f"\\{char}" for char in "\\`*_{}[]|~$^!"} | _ENTITIES
_WWW = re.compile(r"(www)\.", re.IGNORECASE)
_SUBSTITUTED = re.compile(
    r":(?=[\w+-]+(?::|\Z))"  # :bug:, whose last colon may follow in our words
    r"|\bgh(?=-\d)"  # GH-12 is #12
    r"|\b(?=\d*[a-f])[0-9a-f](?=[0-9a-f]{6,39}\b)",  # a commit; one without a letter is a date
    re.IGNORECASE,
)
NAMELESS = "(no name)"


def escaped(text: str) -> str:
    """The text as Markdown that shows exactly it, on one line, anywhere but at a line's start."""
    shown = "".join(_ESCAPED.get(char, char) for char in _plain(text))
    return _WWW.sub(r"\1&#46;", shown.replace("://", "&#58;//"))


def html(text: str) -> str:
    """The text as HTML, where Markdown's escapes do not work: in the block of a summary."""
    return "".join(_ENTITIES.get(char, char) for char in _plain(text))


def _plain(text: str) -> str:
    """The text with what is hidden shown, and an invisible space in all that GitHub replaces."""
    return _SUBSTITUTED.sub(lambda found: f"{found[0]}\u200b", visible(text).strip())


def plan_markdown(plan: Plan) -> str:
    """The plan: title and counts, refusals first, a table, and the details folded away."""
    title = f"## {escaped(plan.environment)}: plan {plan.digest} ({escaped(plan.cloud)})"
    found = large_fleets([change for change in plan.changes if words.worth_showing(change)])
    summary = words.nothing_to_do(plan) or words.plan_summary(plan)
    told = [*words.excess(plan), *words.notes(plan), *words.destinations(plan)]
    too_much = "\n".join(f"- {escaped(said)}" for said in told)
    parts = [title, summary, too_much, *_refusals(found)]
    if found:
        parts.append(table(["", "binding", "version", "what", "gates"], map(_plan_row, found)))
        parts += map(_details, found)
    return _document(parts)


def _refusals(found: list[Fleet[Change]]) -> list[str]:
    items = [_refusal(fleet) for fleet in found if fleet.first.action is Action.BLOCK]
    return ["### In the way", "\n".join(items)] if items else []


def _refusal(fleet: Fleet[Change]) -> str:
    why = escaped(why_of(fleet) or "; ".join(gates_of(fleet)))
    said = f"{escaped(words.what(fleet.first))}: {why or 'no reason was given'}"
    return f"- {named(fleet)}, {said}"


def shown_name(name: str) -> str:
    """The name; what has nothing to show would break the emphasis around it."""
    return escaped(name) or NAMELESS


def _plan_row(fleet: Fleet[Change]) -> list[str]:
    change = fleet.first
    return [
        f"`{change.action.value}`",
        " ".join(listed([escaped(fleet.name), fleet.count])),
        escaped(words.versions(before_of(fleet), change.after)),
        escaped(work_of(fleet)),
        "<br>".join(map(escaped, gates_of(fleet))),
    ]


def table(heads: list[str], rows: Iterable[list[str]]) -> str:
    """A table; the cells are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _details(fleet: Fleet[Change]) -> str:
    if fleet.count:
        items = [f"- {escaped(each.name)}: {_place(each)}" for each in fleet.members]
    else:
        items = [f"- address: {escaped(fleet.first.address)}"]
        items += [f"- source: {escaped(str(s))}" for s in [fleet.first.source] if s.path]
    why = why_of(fleet)
    items += [f"- why: {escaped(why)}"] if why else []
    items += _warnings(fleet.first.warnings)
    diffs = [diff for each in fleet.members for diff in each.diffs]
    name = " ".join(listed([fleet.name, fleet.count]))
    return _folded(name, ["\n".join(items), *_fence(diffs)])


def _place(change: Change) -> str:
    return ", ".join(map(escaped, listed([change.address, str(change.source)])))


def _warnings(warnings: Iterable[str]) -> list[str]:
    return [f"- warning: {escaped(warning)}" for warning in listed(warnings)]


def _folded(name: str, parts: Iterable[str]) -> str:
    head = f"<details><summary>{html(name) or NAMELESS}</summary>"
    return "\n\n".join([head, *parts, "</details>"])


def _fence(diffs: Iterable[FieldDiff]) -> list[str]:
    lines = diff_lines(diffs)
    return ["\n".join(fenced(lines))] if lines else []


def diff_lines(diffs: Iterable[FieldDiff]) -> list[str]:
    """A line per value that goes or comes; each begins with its sign, so none closes a fence."""
    lines = []
    for diff in diffs:
        if diff.before is not None:
            lines.append(visible(f"- {diff.path}: {diff.before}"))
        if diff.after is not None:
            lines.append(visible(f"+ {diff.path}: {diff.after}"))
    return lines


def fenced(lines: Sequence[str], language: str = "diff") -> list[str]:
    """The lines in a fence that is longer than any run of backticks inside."""
    longest = max(map(len, re.findall("`+", "\n".join(lines))), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]


def report_markdown(report: Report) -> str:
    """What a run did: counts, failures first, a table of proofs, warnings."""
    plan = report.plan
    parts = [
        f"## {escaped(plan.environment)}: report ({escaped(plan.cloud)})",
        escaped(words.report_summary(report)),
        escaped(words.stopped(report)),
        *map(escaped, words.left(report)),
        escaped(words.forced(report)),
        *_failures(report),
    ]
    parts += _proofs(report.proofs)
    told = [(proof.name, said) for proof in report.proofs for said in listed(proof.warnings)]
    told += words.report_warnings(report)
    parts.append("\n".join(f"- warning: {escaped(name)}: {escaped(said)}" for name, said in told))
    return _document(parts)


def _failures(report: Report) -> list[str]:
    names = {change.address: change.name for change in report.plan.changes}
    items = [
        f"- {named(fleet)} ({escaped(fleet.address)}): {escaped(message_of(fleet))} "
        f"(exit code {fleet.first.exit_code}{words.after_change(report, fleet.first.address)})"
        for fleet in failure_fleets(report.failures, report.done)
    ]
    items += [
        f"- **{shown_name(names.get(address, address))}** ({escaped(address)}): {reached}"
        for address, reached in words.unproved(report)
    ]
    return ["### Failed or not proved", "\n".join(items)] if items else []


PROOF_HEADS = ["", "binding", "version", "read back", "scored"]


def proof_row(fleet: Fleet[Proof]) -> list[str]:
    """The cells below `PROOF_HEADS`."""
    proof = fleet.first
    scored = listed(words.scored(each).removeprefix("scored ") for each in fleet.members)
    return [
        words.mark(proof),
        named(fleet),
        escaped(proof.model),
        words.read_back(proof).replace("read back ", ""),
        escaped(scored[0]) if len(scored) == 1 else "see the details" if scored else "",
    ]


def named(fleet: Fleet[Change] | Fleet[Proof] | Fleet[Failure]) -> str:
    """`**a**`, or `**a, b, … z** ×26`."""
    *names, last = map(shown_name, fleet.names)
    gap = ", … " if len(fleet.members) > len(fleet.names) else ", "
    said = gap.join(part for part in [", ".join(names), last] if part)
    return f"**{said}** {fleet.count}".rstrip()


def _proof_details(fleet: Fleet[Proof]) -> str:
    proof = fleet.first
    health = ": ".join(listed([proof.health.code.value, proof.health.message]))
    items = [_proof_place(each, bool(fleet.count)) for each in fleet.members]
    items.append(f"- health: {escaped(health)}")
    name = " ".join(listed([fleet.name, fleet.count]))
    return _folded(name, ["\n".join([*items, *_warnings(proof.warnings)])])


def _proof_place(proof: Proof, one_of_many: bool) -> str:
    if not one_of_many:
        return f"- address: {escaped(proof.address)}"
    return f"- {', '.join(map(escaped, listed([proof.name, proof.address, words.scored(proof)])))}"


def status_markdown(rows: Iterable[StatusRow]) -> str:
    """A table with a row per binding, and the counts."""
    shown = worst_first(rows)
    shared = shared_messages(shown)
    heads = ["binding", "sync", "health", "live", "wanted", "message"]
    cells = [
        [
            escaped(row.name),
            row.sync.value,
            row.health.value,
            escaped(row.live),
            escaped(row.wanted),
            "" if gist_of(row) in shared else escaped(row.message),
        ]
        for row in shown
    ]
    found = [table(heads, cells)] if shown else []
    found += [f"{escaped(', '.join(names))}: {escaped(said)}" for said, names in shared.items()]
    return _document(["## Status", status_summary(shown), *found])


def proofs_markdown(proofs: Iterable[Proof]) -> str:
    """A table with a row per proof, and the details folded away."""
    shown = list(proofs)
    return _document(["## Proofs", words.proofs_summary(shown), *_proofs(shown)])


def _proofs(proofs: Iterable[Proof]) -> list[str]:
    found = proof_fleets(proofs)
    rows = [table(PROOF_HEADS, map(proof_row, found))] if found else []
    return [*rows, *map(_proof_details, found)]


def _document(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
