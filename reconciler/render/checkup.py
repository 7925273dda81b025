"""The findings of `doctor`: text, Markdown and JSON; what is wrong stands first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace

from reconciler.model import Check, Checkup, Level
from reconciler.render.cells import PLAIN, Look, alike, counted, few, heads
from reconciler.render.documents import json_document
from reconciler.render.fleets import MOST_EQUAL
from reconciler.render.markdown import escaped, table
from reconciler.render.words import gist

SCHEMA = "reconciler/checkup/v1"
_MARKS = {Level.ERROR: "✗", Level.WARNING: "!", Level.FINE: "✓"}
_FIRST, _BEHIND = ("platform", "store"), ("engine", "endpoint", "plan")  # what checks are about
_COLORS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.FINE: "green"}


def folded(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks with the worst first; those that say the same of several bindings are one.

    A platform or a store that does not answer is an error once. Where an engine, an endpoint or a
    list of the plan ends with the same sentence, it could not be read for that very reason, and
    says nothing more.
    """
    kept: list[Check] = []
    reasons: list[str] = []
    for check in checks:
        if check.level is Level.ERROR and check.what.startswith(_FIRST):
            reasons.append(check.message)
        elif check.what.startswith(_BEHIND) and any(map(check.message.endswith, reasons)):
            continue
        kept.append(check)
    merged = []
    groups = alike(kept, lambda check: (check.what, check.level, gist(check.message, *check.names)))
    for (_, _, message), (first, *others) in groups.items():
        names = (*first.names, *(name for check in others for name in check.names))
        merged.append(replace(first, message=message, names=names) if others else first)
    return tuple(sorted(merged, key=lambda check: list(Level).index(check.level)))


def checkup_text(checkup: Checkup, look: Look = PLAIN) -> str:
    """A row per check, with its place, its message and its fix below, and a line that counts."""
    name = checkup.environment
    lines = [*look.lines(f"{name} · doctor" if name else "doctor", color="bold"), ""]
    rows = [[f"{_MARKS[c.level]} {c.what}", _of(c)] for c in checkup.checks]
    for (head, *more), check in zip(heads(look, rows), checkup.checks, strict=True):
        lines += [look.paint(line.rstrip(), _COLORS[check.level]) for line in (head, *more)]
        if check.level is not Level.FINE:
            lines += look.lines(_place(check), 4, "dim")
            lines += look.lines(check.message, 4)
            lines += look.lines(check.fix, 4, hang=2)
    return "".join(f"{line}\n" for line in [*lines, "", *look.lines(_summary(checkup))])


def _of(check: Check) -> str:
    """The bindings that a check is about; for one that is fine and of none, how it is."""
    if check.level is Level.FINE and not check.names:
        return check.message
    return few(check.names, MOST_EQUAL)


def _place(check: Check) -> str:
    source = check.source
    return str(source) if source.line else source.path


def _summary(checkup: Checkup) -> str:
    count = Counter(check.level for check in checkup.checks)
    wrong = [
        counted(count[level], level.value) for level in (Level.ERROR, Level.WARNING) if count[level]
    ]
    return f"{counted(len(checkup.checks), 'check')}: {', '.join(wrong) or 'all fine'}."


def checkup_markdown(checkup: Checkup) -> str:
    """A heading, a line that counts, and a table of what is wrong."""
    rows = [
        [
            f"{_MARKS[check.level]} {escaped(check.what)}",
            escaped(_of(check)),
            escaped("; ".join(filter(None, [check.message, check.fix]))),
            escaped(_place(check)),
        ]
        for check in checkup.checks
        if check.level is not Level.FINE
    ]
    findings = table(["check", "of", "finding", "place"], rows) if rows else ""
    title = f"## Doctor: {escaped(checkup.environment)}" if checkup.environment else "## Doctor"
    return "\n\n".join(filter(None, [title, _summary(checkup), findings])) + "\n"


def checkup_json(checkup: Checkup) -> str:
    """The checks for programs."""
    checks = [{**asdict(check), "source": asdict(check.source)} for check in checkup.checks]
    known = {"environment": checkup.environment, "healthy": checkup.healthy, "checks": checks}
    return json_document({"schema": SCHEMA, **known})
