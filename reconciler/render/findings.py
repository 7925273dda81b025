"""Findings: refusals, failures and problems that people must look at, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.model import (
    NOWHERE,
    Action,
    Change,
    Checkup,
    Failure,
    Level,
    Plan,
    Proof,
    Report,
    Source,
)
from reconciler.render import words
from reconciler.render.cells import alike, few

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
    """The changes that a plan refuses or could not read, and the limits that it exceeds."""
    blocked = _once(
        (change, Finding(change.source, change.code, words.what(change), change.why))
        for change in plan.changes
        if change.action is Action.BLOCK
    )
    return blocked + [Finding(NOWHERE, "limits", "refused: limits", s) for s in words.excess(plan)]


def report_findings(report: Report) -> list[Finding]:
    """The failures of a run."""
    sources = {change.address: change.source for change in report.plan.changes}
    return _once(
        (f, Finding(sources.get(f.address, NOWHERE), "failed", "failed", f.message))
        for f in report.failures
    )


def proof_findings(proofs: Iterable[Proof], sources: Mapping[str, Source]) -> list[Finding]:
    """The proofs that failed; `sources` says by address where a binding is written."""
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


def checkup_findings(checkup: Checkup) -> list[Finding]:
    """The errors that `doctor` found."""
    return [
        Finding(c.source, "doctor", c.what, "; ".join(filter(None, [c.message, c.fix])))
        for c in checkup.checks
        if c.level is Level.ERROR
    ]


def _once(pairs: Iterable[tuple[Change | Failure | Proof, Finding]]) -> list[Finding]:
    """The findings with the names of their bindings; one of several that say the same of a line,
    as of a fleet that one document declares: GitHub shows ten in all."""

    def common(pair: tuple[Change | Failure | Proof, Finding]) -> Finding:
        of, finding = pair
        return replace(finding, message=words.gist(finding.message, of.name, of.address))

    findings = []
    for finding, group in alike(pairs, common).items():
        names = [of.name for of, _ in group]
        if len(names) == 1:
            message = group[0][1].message
        else:
            message = f"{finding.message} ({', '.join(names)})"
        title = f"{few(names)}: {finding.title}"
        findings.append(replace(finding, title=title, message=message))
    return findings
