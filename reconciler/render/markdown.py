"""Plans, reports, rows and proofs as GitHub-flavoured Markdown, for pull requests.

Names and messages come from files and services, so none of them may become markup: text is
escaped for Markdown and HTML, and diffs stand in fences that are longer than any run of
backticks inside. GitHub looks for mentions, references, commits and the names of emoji (`:100:` in
`shops.yaml:100:18`) in the finished page, where an escape is gone again; an invisible space inside
is what it cannot read past. It looks into no fence.

Each document is a list of whole blocks before it is a text. Whoever has too little room (a comment,
the page of a job) leaves out blocks or lines of a block, and never cuts a text, because half of a
fence or a fold would swallow what follows. Which parts there are is said once, in `Body`; the
comment, the page and the file differ in how much of them they take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from reconciler.model import Action, Change, Failure, FieldDiff, NotManaged, Plan, Proof, Report
from reconciler.render import measures, words
from reconciler.render.causes import BEFORE, by_cause, causes, since
from reconciler.render.cells import cut, listed, visible
from reconciler.render.fleets import (
    Fleet,
    before_of,
    failure_fleets,
    failure_of,
    fleets,
    gates_of,
    proof_fleets,
    scored_of,
    why_of,
    whys_of,
    work_of,
)
from reconciler.render.risk import risk
from reconciler.render.status import (
    StatusRow,
    folded,
    gist_of,
    shared_messages,
    status_summary,
    worst_first,
)
from reconciler.render.unmanaged import unmanaged_sentences

_ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "@": "&#64;&#8203;",
    "#": "&#35;&#8203;",
    "\u200b": "&#8203;",
}
_ESCAPED = {char: f"\\{char}" for char in "\\`*_{}[]|~$^!"} | _ENTITIES
_SUBSTITUTED = re.compile(
    r":(?=[\w+-]+(?::|\Z))"  # :bug:, whose last colon may follow in our words
    r"|\bgh(?=-\d)"  # GH-12 is #12
    r"|\b(?=\d*[a-f])[0-9a-f](?=[0-9a-f]{6,39}\b)",  # a commit; one without a letter is a date
    re.IGNORECASE,
)
NAMELESS = "(no name)"
MOST_NAME = 100  # characters of a name in a title


def escaped(text: str) -> str:
    """The text as Markdown that shows exactly it, on one line, anywhere but at a line's start."""
    markdown = "".join(_ESCAPED.get(char, char) for char in _plain(text))
    return re.sub(r"(www)\.", r"\1&#46;", markdown.replace("://", "&#58;//"), flags=re.IGNORECASE)


def html(text: str) -> str:
    """The text as HTML, where Markdown's escapes do not work: in the block of a summary."""
    return "".join(_ENTITIES.get(char, char) for char in _plain(text))


def _plain(text: str) -> str:
    """The text with what is hidden shown, and an invisible space in all that GitHub replaces."""
    return _SUBSTITUTED.sub(lambda match: f"{match[0]}\u200b", visible(text).strip())


# --- documents -----------------------------------------------------------------------------


def plan_markdown(plan: Plan) -> str:
    """The plan: title and counts, refusals first, a table, and the details folded away."""
    title = f"## {escaped(plan.environment)}: plan {plan.digest} ({escaped(plan.cloud)})"
    summary = words.nothing_to_do(plan) or words.plan_summary(plan)
    sentences = [*words.excess(plan), *words.notes(plan), *words.waves(plan)]
    sentences += unmanaged_sentences(plan.unmanaged)
    sentences += words.destinations(plan)
    parts = [summary, escaped(causes(plan)), "\n".join(bullets(sentences)), *plan_body(plan).whole]
    return _document([title, *parts])


def report_markdown(report: Report) -> str:
    """The report: counts, failures first, a table of proofs, warnings."""
    plan = report.plan
    title = f"## {escaped(plan.environment)}: report ({escaped(plan.cloud)})"
    summary = escaped(words.report_summary(report))
    return _document([title, summary, *how_it_ended(report), *report_body(report).whole])


def status_markdown(rows: Iterable[StatusRow], unmanaged: NotManaged | None = None) -> str:
    """A table with a row per binding or fleet in sync, the counts, and what is unmanaged."""
    ordered = worst_first(rows)
    shared = shared_messages(ordered)
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
        for row in folded(ordered)
    ]
    parts = [table(heads, cells)] if ordered else []
    parts += [f"{escaped(', '.join(names))}: {escaped(text)}" for text, names in shared.items()]
    parts += map(escaped, unmanaged_sentences(unmanaged))
    return _document(["## Status", status_summary(ordered), *parts])


def proofs_markdown(proofs: Iterable[Proof]) -> str:
    """A table with a row per proof, and the details folded away."""
    every = list(proofs)
    body = _proofs_body(every, (), str)
    return _document(["## Proofs", words.proofs_summary(every), *body.whole])


def _document(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def how_it_ended(report: Report, most: int | None = None) -> list[str]:
    """A paragraph for each way in which a run did less, or more, than it should; `most` names."""
    sentences = [words.stopped(report), *words.left(report, most), words.forced(report)]
    return [escaped(sentence) for sentence in sentences]


# --- their body: what is wrong, a row per fleet, and details -------------------------------


@dataclass(frozen=True)
class Details:
    """A fold: a title, items that are Markdown, and lines of a diff."""

    title: str
    items: tuple[str, ...]
    diff: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The fold."""
        head = f"<details><summary>{html(self.title) or NAMELESS}</summary>"
        fence = "\n".join(fenced(self.diff)) if self.diff else ""
        return "\n\n".join(listed([head, "\n".join(self.items), fence, "</details>"]))


@dataclass(frozen=True)
class Body:
    """The parts of a plan or a run that pages and comments show, as Markdown."""

    title: str  # above what is wrong
    wrong: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[Sequence[str], ...]
    details: tuple[Details, ...]
    before: tuple[Sequence[str], ...] = ()  # rows that do not come from this change

    @property
    def top(self) -> list[str]:
        """The refusals or failures, and the tables."""
        rows = table(self.heads, self.rows) if self.rows else ""
        before = f"### {BEFORE.capitalize()}\n\n{table(self.heads, self.before)}"
        return [headed(self.title, self.wrong), rows, before if self.before else ""]

    @property
    def whole(self) -> list[str]:
        """Everything."""
        return [*self.top, *(fold.text for fold in self.details)]


def headed(head: str, items: Sequence[str]) -> str:
    """The items of a list below their heading; "" without any."""
    return "\n".join([head, "", *(f"- {item}" for item in items)]) if items else ""


CHANGES = ("", "binding", "version", "what", "metrics and gates", "risk")


def plan_body(plan: Plan, short: Callable[[str], str] = str) -> Body:
    """The refusals, a row per fleet, and the details, whose texts `short` may cut."""
    now, before = map(fleets, by_cause(filter(words.worth_showing, plan.changes)))
    grouped = (*now, *before)
    wrong = [_refusal(fleet) for fleet in now if fleet.first.action is Action.BLOCK]
    old_wrong = (_refusal(fleet) for fleet in before if fleet.first.action is Action.BLOCK)
    wrong += [f"{sentence} ({BEFORE})" for sentence in old_wrong]
    rows, old = tuple(map(_change_row, now)), tuple(map(_change_row, before))
    details = tuple(_change_details(fleet, short) for fleet in grouped)
    return Body("### In the way", tuple(wrong), CHANGES, rows, details, old)


def _refusal(fleet: Fleet[Change]) -> str:
    why = escaped(why_of(fleet) or "; ".join(gates_of(fleet)))
    return f"{named(fleet)}, {escaped(words.what(fleet.first))}: {why or 'no reason is given'}"


def _change_row(fleet: Fleet[Change]) -> list[str]:
    """The row of a fleet in the table of a plan."""
    change = fleet.first
    return [
        f"`{change.action.value}`",
        named(fleet),
        escaped(words.versions(before_of(fleet), change.after)),
        escaped(work_of(fleet)),
        "<br>".join(map(escaped, gates_of(fleet))),
        escaped(risk(change)),
    ]


def _change_details(fleet: Fleet[Change], short: Callable[[str], str]) -> Details:
    """Where each member is, why, what to be warned of, and every field that differs."""
    members = fleet.members
    sources = (f" ({change.source})" if change.source.path else "" for change in members)
    items = [
        _place(change.name, f"{change.address}{source}", short)
        for change, source in zip(members, sources, strict=True)
    ]
    items += bullets(map(short, whys_of(fleet)), "why: ")
    items += bullets(map(short, listed(map(since, members))), "since: ")
    items += bullets(map(short, fleet.first.warnings), "warning: ")
    if len({change.gates for change in members}) > 1:  # the row has no more than ranges
        gates = (f"{change.name}: {measures.gate(j)}" for change in members for j in change.gates)
        items += bullets(map(short, gates), "gate: ")
    diffs = listed(line for change in members for line in diff_lines(change.diffs))
    return Details(_title(fleet), tuple(items), tuple(map(short, diffs)))


PROOFS = ("", "binding", "version", "read back", "scored")


def report_body(report: Report, short: Callable[[str], str] = str) -> Body:
    """The failures, a row per fleet of proofs, and the details, whose texts `short` may cut."""
    failed = [
        f"{named(fleet)} ({escaped(fleet.address)}): {escaped(failure_of(fleet, report))}"
        for fleet in failure_fleets(report.failures, report.done)
    ]
    failed += [
        f"**{shown_name(name)}** ({escaped(address)}): {reached}"
        for name, address, reached in words.unproved(report)
    ]
    body = _proofs_body(report.proofs, failed, short)
    texts = [short(f"{name}: {warning}") for name, warning in words.report_warnings(report)]
    warnings = [Details("warnings", bullets(texts, "warning: "))] if texts else []
    return replace(body, details=(*body.details, *warnings))


def _proofs_body(
    proofs: Iterable[Proof], wrong: Iterable[str], short: Callable[[str], str]
) -> Body:
    grouped = proof_fleets(proofs)
    details = (_proof_details(fleet, short) for fleet in grouped)
    rows = map(_proof_row, grouped)
    return Body("### Failed or not proved", tuple(wrong), PROOFS, tuple(rows), tuple(details))


def _proof_row(fleet: Fleet[Proof]) -> list[str]:
    """The row of a fleet in the table of a report."""
    proof = fleet.first
    return [
        words.mark(proof),
        named(fleet),
        escaped(proof.model),
        words.read_back(proof).replace("read back ", ""),
        escaped(scored_of(fleet)),
    ]


def _proof_details(fleet: Fleet[Proof], short: Callable[[str], str]) -> Details:
    """Where each member is, what it scored, and how they all are."""
    health = fleet.first.health
    items = [
        _place(proof.name, ", ".join(listed([proof.address, measures.scored(proof)])), short)
        for proof in fleet.members
    ]
    items += bullets([short(": ".join(listed([health.code.value, health.message])))], "health: ")
    items += bullets(map(short, fleet.first.warnings), "warning: ")
    return Details(_title(fleet), tuple(items))


def _place(name: str, place: str, short: Callable[[str], str]) -> str:
    return f"- **{shown_name(short(name))}**, {escaped(short(place))}"


def _title(fleet: Fleet[Change] | Fleet[Proof]) -> str:
    return f"{cut(visible(fleet.name), MOST_NAME)} {fleet.count}".strip()


# --- pieces --------------------------------------------------------------------------------


def named(fleet: Fleet[Change] | Fleet[Proof] | Fleet[Failure]) -> str:
    """`**a**`, or `**a, b, … z** ×26`."""
    *names, last = map(shown_name, fleet.names)
    gap = ", … " if len(fleet.members) > len(fleet.names) else ", "
    text = gap.join(part for part in [", ".join(names), last] if part)
    return f"**{text}** {fleet.count}".rstrip()


def shown_name(name: str) -> str:
    """The name; what has nothing to show would break the emphasis around it."""
    return escaped(name) or NAMELESS


def bullets(texts: Iterable[str], label: str = "") -> tuple[str, ...]:
    """`- label: text` for each, escaped, and each once."""
    return tuple(f"- {label}{escaped(text)}" for text in listed(texts))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already."""
    lines: list[Sequence[str]] = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


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
