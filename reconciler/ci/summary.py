"""The page of a job: what is wrong, and a document, no longer than it may be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.outcome import Kept, Outcome, Valid, rendered
from reconciler.render.cells import counted
from reconciler.render.findings import Finding
from reconciler.render.markdown import escaped

_FENCE = re.compile(r"(`{3,})(?:diff)?")
_CUT = "\n*The rest is left out: the page would be too long.*\n"


def summary_markdown(document: str, findings: Sequence[Finding]) -> str:
    """All findings, and the document below."""
    if not findings:
        return document
    lines = [f"### {counted(len(findings), 'error')}", ""]
    for finding in findings:
        source = finding.source
        place = str(source) if source.line else source.path
        where = f" ({escaped(place)})" if source.path else ""
        title, message = finding.title or finding.rule, " ".join(finding.message.split("\n"))
        lines.append(f"- **{escaped(title)}**{where}: {escaped(message)}")
    return "\n".join([*lines, "", document])


def page_markdown(outcome: Outcome) -> str:
    """The document that a command showed, or planned before it ended, as Markdown."""
    if (document := outcome.document or outcome.planned) is None:
        return ""
    if isinstance(document, Kept):
        return document.page
    if not isinstance(document, Valid):
        return rendered(document, "markdown")
    counts = document.counts.items()
    items = [f"- {escaped(name)}: {counted(count, 'binding')}" for name, count in counts]
    return "\n".join(["## Desired state: valid", "", *items, ""])


def cut_markdown(text: str, most_bytes: int) -> str:
    """Whole lines of our own Markdown from its beginning, with nothing left open at the end.

    The most important stands first in our documents, and text of others never opens a fence or a
    fold: it is escaped, or stands behind a sign. "" where not even the note fits.
    """
    if _size(text) <= most_bytes:
        return text
    taken: list[str] = []
    still_open: list[str] = []
    left = most_bytes - _size(_CUT)
    for line in text.split("\n"):
        still_open = _open_after(line, still_open)
        left -= _size(line) + 1
        if left < sum(map(_size, still_open)):
            break
        taken.append(f"{line}\n")
        closing = "".join(reversed(still_open))
    return f"{''.join(taken)}{closing}{_CUT}" if taken else ""


def _open_after(line: str, still_open: list[str]) -> list[str]:
    """The ends of all that is open after the line, outermost first."""
    if still_open and f"{line}\n" == still_open[-1].lstrip("\n"):
        return still_open[:-1]
    if still_open and still_open[-1].startswith("`"):
        return still_open
    if opened := _FENCE.fullmatch(line):
        return [*still_open, f"{opened[1]}\n"]
    return [*still_open, "\n</details>\n"] if line.startswith("<details>") else still_open


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))
