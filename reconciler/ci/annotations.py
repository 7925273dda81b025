"""How a line of a log tells GitHub to show a finding where it belongs.

A runner obeys every line that begins with `::`, so what our commands quote is escaped
(actions/runner, `ActionCommand.cs`); everything else that is printed is `disarmed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model import Source
from reconciler.render.cells import visible
from reconciler.render.findings import Finding

MOST = 10  # so many errors of one step does GitHub show
MOST_CHARACTERS = 4_000  # of one message: GitHub keeps 4096 at most

Lines = Mapping[str, tuple[range, ...]]


def by_importance(findings: Iterable[Finding], changed: Lines | None) -> list[Finding]:
    """The findings on changed lines first; in their order where these are not known."""
    lines = changed or {}
    return sorted(findings, key=lambda finding: not _is_on(finding.source, lines))


def _is_on(source: Source, lines: Lines) -> bool:
    changed = lines.get(source.path)
    if changed is None:
        return False
    return not source.line or any(source.line in each for each in changed)


def error_command(finding: Finding) -> str:
    """`::error file=…,line=…,col=…,title=…::message`, on one line whatever the finding says."""
    source = finding.source
    properties = {
        "file": source.path,
        "line": str(source.line) if source.line else "",
        "col": str(source.column) if source.line and source.column else "",
        "title": visible(finding.title),
    }
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    message = "\n".join(visible(line) for line in finding.message.splitlines())
    return f"::error {told}::{_data(_shortened(message))}"


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
