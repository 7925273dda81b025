"""Plans, reports and proofs as text for a terminal or a log: aligned, and never too wide."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model import Change, Failure, Plan, Proof, Report
from reconciler.render import words
from reconciler.render.causes import BEFORE, by_cause, causes, since
from reconciler.render.cells import PLAIN, Look, cells, heads, listed
from reconciler.render.fleets import (
    Fleet,
    ailing_of,
    before_of,
    common,
    failure_fleets,
    gates_of,
    large_fleets,
    message_of,
    proof_fleets,
    why_of,
)
from reconciler.render.measures import gate_color, scored
from reconciler.render.times import about
from reconciler.render.unmanaged import unmanaged_text


def plan_text(plan: Plan, look: Look = PLAIN) -> str:
    """The plan: a heading, the changes with what needs a person first, and their number."""
    changes = [c for c in plan.changes if look.verbose or words.worth_showing(c)]
    lines = look.lines(f"{plan.environment} · plan {plan.digest} · {plan.cloud}", color="bold")
    now, before = by_cause(changes)
    lines += ["", *_changes(look, large_fleets(now, look.verbose))] if now else []
    if before:
        lines += ["", *look.lines(f"{BEFORE}:", color="bold")]
        lines += _changes(look, large_fleets(before, look.verbose))
    last = words.nothing_to_do(plan) or words.plan_summary(plan)
    lines += ["", *look.lines(last), *look.lines(causes(plan))]
    for sentence in words.excess(plan):
        lines += look.lines(sentence, color="red", hang=2)
    for sentence in (*words.waves(plan), *words.destinations(plan)):
        lines += look.lines(sentence, hang=2, whole=True)
    for sentence in words.notes(plan):
        lines += look.lines(sentence, color="yellow", hang=2)
    for sentence in unmanaged_text(plan.unmanaged, names=look.verbose):
        lines += look.lines(sentence, hang=2)
    return _document(lines)


def _changes(look: Look, grouped: list[Fleet[Change]]) -> list[str]:
    lines: list[str] = []
    rows = [_change_row(look, fleet) for fleet in grouped]
    for head, fleet in zip(heads(look, rows), grouped, strict=True):
        lines += [look.paint(line, words.COLORS[fleet.first.action]) for line in head]
        lines += _details(look, fleet)
    return lines


def _change_row(look: Look, fleet: Fleet[Change]) -> list[str]:
    change, most = fleet.first, look.width // 4
    name = " ".join(listed([look.clean(fleet.name), fleet.count]))
    return [
        f"{change.action.value} {name}",
        words.versions(look.cut(before_of(fleet), most), look.cut(change.after, most)),
        words.what(change),
    ]


def _details(look: Look, fleet: Fleet[Change]) -> list[str]:
    """The lines below the head of a fleet: places, reasons, gates, fields, warnings."""
    change = fleet.first
    lines = _place(look, fleet)
    lines += _members(look, fleet)
    lines += look.lines(why_of(fleet), 4)
    lines += look.lines(since(change) if look.verbose else "", 4)
    if time := about(fleet.members):
        lines += look.lines(f"training takes {time}", 4)
    for gate, judgement in zip(gates_of(fleet), change.gates, strict=True):
        color = gate_color(judgement)
        lines += _on_one_line(look, gate, color) or look.lines(gate, 4, color, hang=2)
    for diff in words.shown_diffs(change, look.verbose):
        before = "absent" if diff.before is None else diff.before or '""'
        after = "absent" if diff.after is None else diff.after or '""'
        lines += look.lines(f"{diff.path}: {before} → {after}", 4, hang=2)
    return lines + _warnings(look, change.warnings)


def _place(look: Look, fleet: Fleet[Change]) -> list[str]:
    """Address and source on one line, or on two where they do not fit one."""
    sources = listed(str(change.source) for change in fleet.members if change.source.path)
    if not sources:
        return look.lines(fleet.address, 4, "dim")
    address, source = fleet.address, common(sources)
    apart = look.lines(address, 4, "dim") + look.lines(source, 4, "dim")
    return _on_one_line(look, f"{address} · {source}", "dim") or apart


def _members(look: Look, fleet: Fleet[Change] | Fleet[Proof] | Fleet[Failure]) -> list[str]:
    """The names that a line speaks of, where it is more than one."""
    if not fleet.count:
        return []
    *names, last = fleet.names
    gap = ", … " if len(fleet.members) > len(fleet.names) else ", "
    return look.lines(f"the same for {', '.join(names)}{gap}{last}", 4, hang=2)


def _on_one_line(look: Look, text: str, color: str) -> list[str]:
    """The text with its own blanks, where one line has room for it; else nothing."""
    line = " " * 4 + look.clean(text)
    return [look.paint(line, color)] if cells(line) <= look.width else []


def _warnings(look: Look, warnings: Iterable[str]) -> list[str]:
    texts = (f"warning: {warning}" for warning in listed(warnings))
    return [line for text in texts for line in look.lines(text, 4, "yellow", hang=2)]


def report_text(report: Report, look: Look = PLAIN) -> str:
    """The report: proofs, failures, warnings, and a line that counts them."""
    plan = report.plan
    lines = look.lines(f"{plan.environment} · report · {plan.cloud}", color="bold")
    lines += _block(_proofs(look, report.proofs, report))
    lines += _block(_unproved(look, report))
    lines += _block(_failures(look, report))
    lines += _block(
        line
        for name, warning in words.report_warnings(report)
        for line in look.lines(f"warning: {name}: {warning}", 0, "yellow", hang=2)
    )
    lines += _block(look.lines(words.stopped(report), color="yellow"))
    lines += _block(line for text in words.left(report) for line in look.lines(text, hang=2))
    lines += _block(look.lines(words.forced(report), color="yellow"))
    return _document([*lines, "", *look.lines(words.report_summary(report))])


def _block(lines: Iterable[str]) -> list[str]:
    block = list(lines)
    return ["", *block] if block else []


def _proofs(look: Look, proofs: Iterable[Proof], report: Report | None = None) -> list[str]:
    """The lines about proofs, or fleets of them, those that are not proved first."""
    grouped = proof_fleets(proofs, look.verbose)
    rows = [_proof_row(look, fleet, report) for fleet in grouped]
    lines: list[str] = []
    for head, fleet in zip(heads(look, rows), grouped, strict=True):
        proof = fleet.first
        lines += [look.paint(line, "green" if proof.converged else "red") for line in head]
        lines += look.lines(fleet.address, 4, "dim")
        lines += _members(look, fleet)
        lines += look.lines("" if fleet.count else scored(proof), 4, hang=2)
        lines += look.lines(ailing_of(fleet), 4, "red")
        lines += _warnings(look, proof.warnings)
    return lines


def _proof_row(look: Look, fleet: Fleet[Proof], report: Report | None) -> list[str]:
    """The cells of one proof, or of a fleet of equal ones."""
    proof = fleet.first
    row = [
        f"{words.mark(proof)} {fleet.label}",
        look.cut(proof.model, look.width // 4),
        words.read_back(proof),
    ]
    if report is None:
        return row
    changed = sum(proof.address in report.done for proof in fleet.members)
    if changed in (0, len(fleet.members)):
        return [*row, "changed" if changed else "unchanged"]
    return [*row, f"{changed:,} changed"]


def _unproved(look: Look, report: Report) -> list[str]:
    lines: list[str] = []
    for name, address, reached in words.unproved(report):
        lines.append(look.line(f"? {name}   {reached}", "yellow"))
        lines += look.lines(address, 4, "dim")
    return lines


def _failures(look: Look, report: Report) -> list[str]:
    """The lines about what failed, with the names of all that failed alike."""
    lines: list[str] = []
    for fleet in failure_fleets(report.failures, report.done):
        failure = fleet.first
        after = words.after_change(report, failure.address)
        head = f"✗ {fleet.label}   failed{after} (exit code {failure.exit_code})"
        lines.append(look.line(head, "red"))
        lines += look.lines(fleet.address, 4, "dim")
        lines += _members(look, fleet)
        lines += look.lines(message_of(fleet), 4)
    return lines


def proofs_text(proofs: Iterable[Proof], look: Look = PLAIN) -> str:
    """The proofs: the model and answer of each endpoint, and how many are proved."""
    every = tuple(proofs)
    lines = [*_proofs(look, every), ""] if every else []
    return _document([*lines, *look.lines(words.proofs_summary(every))])


def _document(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
