"""Which lines a pull request or a push changed, where that can be known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler import git
from reconciler.ci.event import read_event
from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.ci.annotations import Lines

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NEW = re.compile(r'\+\+\+ (?:"?b/(.*?)"?\t?|/dev/null)')
_DIFF = (
    *("-c", "core.quotePath=false", "diff", "--unified=0", "--relative", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/"),
)


def changed_lines(environ: Mapping[str, str], root: Path) -> Lines | None:
    """Path below root → line numbers of YAML that are new since the event's base.

    None where the event has no base, or the checkout does not reach back to it.
    """
    base = _base(environ)
    if base is None:
        return None
    try:
        patterns = {"GIT_LITERAL_PATHSPECS": "0"}
        done = git.run(root, *_DIFF, base, "--", "*.yaml", "*.yml", environ=patterns)
    except ConfigurationError:
        return None
    return None if done.returncode else parse_diff(done.stdout.decode("utf-8", "replace"))


def _base(environ: Mapping[str, str]) -> str | None:
    """The commit before the event: of a pull request, a merge queue, or a push."""
    event = read_event(environ)
    pull, queue = event.get("pull_request"), event.get("merge_group")
    if isinstance(pull, dict) and isinstance(pull.get("base"), dict):
        base = pull["base"].get("sha")
    elif isinstance(queue, dict):
        base = queue.get("base_sha")
    else:
        base = event.get("before")
    return base if isinstance(base, str) and _COMMIT.fullmatch(base) else None


def parse_diff(diff: str) -> Lines:
    """Path → new lines of a diff without context; text that looks like a header is no header."""
    found: dict[str, list[range]] = {}
    path, hunk = "", 0
    for line in diff.split("\n"):
        if hunk and line[:1] in ("+", "-"):
            hunk -= 1
        elif header := _NEW.fullmatch(line):
            path = header[1] or ""
        elif path and (counts := _HUNK.match(line)):
            removed, first, added = (int(count or 1) for count in counts.groups())
            hunk = removed + added
            found.setdefault(path, []).append(range(first, first + added))
    return {path: tuple(ranges) for path, ranges in found.items()}
