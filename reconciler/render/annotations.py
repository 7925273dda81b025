"""What people must look at, and how a line of a log tells GitHub to show it where it belongs.

A runner obeys every line that begins with `::`, and every `##[` in the middle of one. What is
printed holds names and messages of files and services, so everything but our own commands is
`disarmed`, and what our commands quote is escaped (actions/runner, `ActionCommand.cs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.model import NOWHERE, Action, Change, Failure, Plan, Proof, Report, Source
from reconciler.render import words
from reconciler.render.cells import visible

MOST = 10  # so many errors of one step does GitHub show
MOST_CHARACTERS = 4_000  # of one message: GitHub keeps 4096 at most

Lines = Mapping[str, tuple[range, ...]]

# What can be wrong with the desired state, by the rule of its problem.
RULES = {
    "configuration": "Invalid configuration",
    "file": "A file or folder cannot be used",
    "for-each": "Not what forEach can make documents of",
    "invalid-value": "Not a value that the schema allows",
    "missing-key": "Something that the schema wants is missing",
    "secret": "A secret stands in a file",
    "secret-not-set": "The variable of a secret is not set",
    "unknown-key": "Not a key that the schema knows",
    "unresolved": "The documents do not fit together",
    "yaml": "Not strict YAML",
}

# A comparison by culture, which the runner makes, passes over what is no printable ASCII.
_HIDDEN = r"[^\x20-\x7e\r\n]*"
_AT_THE_START = re.compile(rf"(\A|[\r\n])([^\x21-\x7e\r\n]*):(?={_HIDDEN}:)")
_ANYWHERE = re.compile(rf"(#{_HIDDEN}#{_HIDDEN})\[")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, the rule or reason code, a few words, and a sentence.

    The source is NOWHERE where no file is to blame; its line is 0 where a whole file is.
    """

    source: Source
    rule: str
    title: str
    message: str


def plan_findings(plan: Plan) -> list[Finding]:
    """What a plan refuses or could not read, and the limits that it exceeds."""
    blocked = _once(
        (change, Finding(change.source, change.code, words.what(change), change.why))
        for change in plan.changes
        if change.action is Action.BLOCK
    )
    return blocked + [Finding(NOWHERE, "limits", "refused: limits", s) for s in words.excess(plan)]


def report_findings(report: Report) -> list[Finding]:
    """What failed in a run."""
    sources = {change.address: change.source for change in report.plan.changes}
    return _once(
        (f, Finding(sources.get(f.address, NOWHERE), "failed", "failed", f.message))
        for f in report.failures
    )


def proof_findings(proofs: Iterable[Proof], sources: Mapping[str, Source]) -> list[Finding]:
    """What is not proved; `sources` says by address where a binding is written."""
    return _once(
        (
            proof,
            Finding(
                sources.get(proof.address, NOWHERE),
                "unproved",
                "not proved",
                words.ailing(proof) or f"{proof.model} is not what the endpoint serves",
            ),
        )
        for proof in proofs
        if not proof.converged
    )


def _once(found: Iterable[tuple[Change | Failure | Proof, Finding]]) -> list[Finding]:
    """The findings with the names of their bindings; one of several that say the same of a line,
    as of a fleet that one document declares: GitHub shows ten in all."""
    alike: dict[Finding, list[tuple[str, Finding]]] = {}
    for of, finding in found:
        message = words.gist(finding.message, of.name, of.address)
        alike.setdefault(replace(finding, message=message), []).append((of.name, finding))
    return [_of_all(finding, group) for finding, group in alike.items()]


def _of_all(finding: Finding, group: list[tuple[str, Finding]]) -> Finding:
    (first, whole), *others = group
    if not others:
        return replace(whole, title=f"{first}: {whole.title}")
    names = ", ".join(name for name, _ in group)
    title = f"{first} and {len(others):,} more: {finding.title}"
    return replace(finding, title=title, message=f"{finding.message} ({names})")


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


def disarmed(text: str) -> str:
    """The text without anything that a runner obeys; JSON stays the JSON that it was.

    No line of JSON begins with a colon, and in its strings an escape is the character itself.
    """
    text = _AT_THE_START.sub(r"\1\2\\u003a", text)
    return _ANYWHERE.sub(r"\1\\u005b", text)
