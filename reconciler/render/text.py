"""Plans, reports and proofs as text for a terminal or a log: aligned, and never too wide."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model import Change, Failure, FieldDiff, Plan, Proof, Report
from reconciler.render import words
from reconciler.render.cells import Look, cells, heads, listed


def plan_text(
    plan: Plan,
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    verbose: bool = False,
) -> str:
    """The plan: a heading, the changes with what needs a person first, and their number."""
    look = Look(width, color, ascii_only, verbose)
    shown = [c for c in words.in_order(plan.changes) if verbose or words.worth_showing(c)]
    lines = look.lines(f"{plan.environment} · plan {plan.digest} · {plan.cloud}", color="bold")
    lines += ["", *_changes(look, shown)] if shown else []
    last = words.nothing_to_do(plan) or words.plan_summary(plan)
    lines += ["", *look.lines(last)]
    for said in words.excess(plan):
        lines += look.lines(said, color="red", hang=2)
    return _document(lines)


def _changes(look: Look, changes: list[Change]) -> list[str]:
    most = look.width // 4
    rows = [
        [
            f"{change.action.value} {look.clean(change.name)}",
            words.versions(look.cut(change.before, most), look.cut(change.after, most)),
            words.what(change),
        ]
        for change in changes
    ]
    lines: list[str] = []
    for head, change in zip(heads(look, rows), changes, strict=True):
        lines += [look.paint(line, words.COLORS[change.action]) for line in head]
        lines += _details(look, change)
    return lines


def _details(look: Look, change: Change) -> list[str]:
    lines = _place(look, change)
    lines += look.lines(change.why, 4)
    for judgement in change.gates:
        lines += _spaced(look, words.gate(judgement), words.gate_color(judgement))
    for diff in words.shown_diffs(change, look.verbose):
        lines += look.lines(_diff(diff), 4, hang=2)
    return lines + _warnings(look, change.warnings)


def _place(look: Look, change: Change) -> list[str]:
    """Address and source on one line, or on two where they do not fit one."""
    if not change.source.path:
        return look.lines(change.address, 4, "dim")
    address, source = look.clean(change.address), look.clean(str(change.source))
    whole = f"    {address} {look.clean('·')} {source}"
    if cells(whole) <= look.width:
        return [look.paint(whole, "dim")]
    return look.lines(address, 4, "dim") + look.lines(source, 4, "dim")


def _spaced(look: Look, text: str, color: str) -> list[str]:
    """The text with its own blanks where it fits one line; wrapped where it does not."""
    whole = " " * 4 + look.clean(text)
    if cells(whole) <= look.width:
        return [look.paint(whole, color)]
    return look.lines(text, 4, color, hang=2)


def _diff(diff: FieldDiff) -> str:
    before = "absent" if diff.before is None else diff.before or '""'
    after = "absent" if diff.after is None else diff.after or '""'
    return f"{diff.path}: {before} → {after}"


def _warnings(look: Look, warnings: Iterable[str]) -> list[str]:
    told = (f"warning: {warning}" for warning in listed(warnings))
    return [line for text in told for line in look.lines(text, 4, "yellow", hang=2)]


def report_text(
    report: Report,
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    verbose: bool = False,
) -> str:
    """What a run did: proofs, failures, warnings, and a line that counts them."""
    look = Look(width, color, ascii_only, verbose)
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
    lines += _block(look.lines(words.forced(report), color="yellow"))
    return _document([*lines, "", *look.lines(words.report_summary(report))])


def _block(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", *found] if found else []


def _proofs(look: Look, proofs: Iterable[Proof], report: Report | None = None) -> list[str]:
    shown = list(proofs)
    rows = [_proof_row(look, proof, report) for proof in shown]
    lines: list[str] = []
    for head, proof in zip(heads(look, rows), shown, strict=True):
        lines += [look.paint(line, "green" if proof.proved else "red") for line in head]
        lines += look.lines(proof.address, 4, "dim")
        lines += look.lines(words.scored(proof), 4, hang=2)
        lines += look.lines(words.ailing(proof), 4, "red")
        lines += _warnings(look, proof.warnings)
    return lines


def _proof_row(look: Look, proof: Proof, report: Report | None) -> list[str]:
    sign = "✓" if proof.proved else "✗"
    row = [f"{sign} {proof.name}", look.cut(proof.model, look.width // 4), words.read_back(proof)]
    if report is None:
        return row
    return [*row, "changed" if proof.address in report.done else "unchanged"]


def _unproved(look: Look, report: Report) -> list[str]:
    names = {change.address: change.name for change in report.plan.changes}
    lines: list[str] = []
    for address in words.unproved(report):
        lines.append(look.line(f"? {names.get(address, address)}   changed, not proved", "yellow"))
        lines += look.lines(address, 4, "dim")
    return lines


def _failures(look: Look, report: Report) -> list[str]:
    lines: list[str] = []
    for failure in report.failures:
        lines.append(look.line(_failed(failure, report), "red"))
        lines += look.lines(failure.address, 4, "dim")
        lines += look.lines(failure.message, 4)
    return lines


def _failed(failure: Failure, report: Report) -> str:
    after = ", after it was changed" if failure.address in report.done else ""
    return f"✗ {failure.name}   failed{after} (exit code {failure.exit_code})"


def proofs_text(
    proofs: Iterable[Proof],
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    verbose: bool = False,
) -> str:
    """What each endpoint serves and answers, and how many are proved."""
    look = Look(width, color, ascii_only, verbose)
    shown = tuple(proofs)
    lines = [*_proofs(look, shown), ""] if shown else []
    return _document([*lines, *look.lines(words.proofs_summary(shown))])


def _document(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
