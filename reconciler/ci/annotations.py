"""How a line of a log tells GitHub to show a finding where it belongs, on changed lines first.

A runner obeys every line that begins with `::`, so what our commands quote is escaped
(actions/runner, `ActionCommand.cs`); everything else that is printed is `disarmed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler import git
from reconciler.ci.event import COMMIT, base_of_pull, read_event
from reconciler.errors import ConfigurationError
from reconciler.render.cells import visible
from reconciler.render.findings import Finding

MOST = 10  # so many errors of one step does GitHub show
MOST_CHARACTERS = 4_000  # of one message: GitHub keeps 4096 at most

Lines = Mapping[str, tuple[range, ...]]
_NEW = re.compile(r'\+\+\+ (?:"?b/(.*?)"?\t?|/dev/null)')
_DIFF = (
    *("-c", "core.quotePath=false", "diff", "--unified=0", "--relative", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/"),
)


def by_importance(findings: Iterable[Finding], changed: Lines | None) -> list[Finding]:
    """The findings on changed lines first; in their order where these are not known."""

    def is_old(finding: Finding) -> bool:
        source, lines = finding.source, (changed or {}).get(finding.source.path)
        return lines is None or (source.line > 0 and not any(source.line in new for new in lines))

    return sorted(findings, key=is_old)


def error_command(finding: Finding) -> str:
    """`::error file=…,line=…,col=…,title=…::message`, on one line whatever the finding says."""
    source = finding.source
    properties = {
        "file": source.path,
        "line": str(source.line) if source.line else "",
        "col": str(source.column) if source.line and source.column else "",
        "title": visible(finding.title),
    }
    listed = ",".join(
        f"{name}={_data(value).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in properties.items()
        if value
    )
    message = "\n".join(visible(line) for line in finding.message.splitlines())
    return f"::error {listed}::{_data(_shortened(message))}"


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


# --- which lines are new ----------------------------------------------------------------------


def changed_lines(environ: Mapping[str, str], root: Path) -> Lines | None:
    """Path below root → line numbers of YAML that are new since the event's base.

    None where the event has no base, or the checkout does not reach back to it.
    """
    event = read_event(environ)
    base = base_of_pull(event) or event.get("before")
    if not isinstance(base, str) or not COMMIT.fullmatch(base):
        return None
    try:
        patterns = {"GIT_LITERAL_PATHSPECS": "0"}
        done = git.run(root, *_DIFF, base, "--", "*.yaml", "*.yml", environ=patterns)
    except ConfigurationError:
        return None
    return None if done.returncode else parse_diff(done.stdout.decode("utf-8", "replace"))


def parse_diff(diff: str) -> Lines:
    """Path → new lines of a diff without context; text that looks like a header is no header."""
    ranges_of: dict[str, list[range]] = {}
    path, hunk = "", 0
    for line in diff.split("\n"):
        if hunk and line[:1] in ("+", "-"):
            hunk -= 1
        elif header := _NEW.fullmatch(line):
            path = header[1] or ""
        elif path and (counts := re.match(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line)):
            removed, first, added = (int(count or 1) for count in counts.groups())
            hunk = removed + added
            ranges_of.setdefault(path, []).append(range(first, first + added))
    return {path: tuple(ranges) for path, ranges in ranges_of.items()}
