"""The outputs of a step, by which later steps of a job decide what to do."""

from __future__ import annotations

import json
import secrets

from reconciler import errors
from reconciler.errors import redact
from reconciler.model import Action, Checkup, Level, Plan, Reason, Report
from reconciler.outcome import Outcome, Proofs, Valid

OUTPUTS = ("has-changes", "plan-id", "plan-file", "report-file", "html-file", "counts", "refused")


def outputs_text(outcome: Outcome) -> str:
    """Every output as GITHUB_OUTPUT wants them."""
    return "".join(_output(name, value) for name, value in _outputs(outcome).items())


def _output(name: str, value: str) -> str:
    """A name and a value between delimiters that nobody can guess, or write into the value."""
    delimiter = f"reconciler_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{redact(value)}\n{delimiter}\n"


def _outputs(outcome: Outcome) -> dict[str, str]:
    """Every output; "" for what the command does not know."""
    known = {file.output: str(file.path) for file in outcome.files}
    known |= {"refused": _flag(_is_refused(outcome)), "counts": _counts(outcome)}
    plan = outcome.planned or outcome.document
    if isinstance(plan, Plan):
        known["plan-id"] = plan.digest
        known["has-changes"] = _flag(bool(plan.to_do))
    if isinstance(outcome.document, Report):
        known["has-changes"] = _flag(bool(outcome.document.done))
    if outcome.has_changes is not None:
        known["has-changes"] = _flag(outcome.has_changes)
    return {name: known.get(name, "") for name in OUTPUTS}


def _is_refused(outcome: Outcome) -> bool:
    """Whether a rule refused: limits, gates, approval. What could not be read is not refused."""
    refusals = (errors.REFUSED, errors.STALE)
    document = outcome.document or outcome.planned
    if isinstance(document, Report):
        return any(failure.exit_code in refusals for failure in document.failures)
    blocked = isinstance(document, Plan) and (
        bool(document.excess)
        or any(c.action is Action.BLOCK and c.code != Reason.UNREADABLE for c in document.changes)
    )
    return blocked or outcome.exit_code in refusals


def _counts(outcome: Outcome) -> str:
    """How many changes, failures and proofs there are, as JSON on one line."""
    document = outcome.document or outcome.planned
    counts: dict[str, int] = {}
    if isinstance(document, Valid):
        counts = dict(document.counts)
    elif isinstance(document, Report):
        proved = sum(proof.proved for proof in document.proofs)
        counts = {"changed": len(document.done), "proved": proved}
        counts["failed"] = len(document.failures)
    elif isinstance(document, Proofs):
        proved = sum(proof.proved for proof in document.proofs)
        declared = sum(proof.converged and not proof.proved for proof in document.proofs)
        counts = {"proved": proved, "unproved": len(document.proofs) - proved - declared}
        counts["declared"] = declared
    elif isinstance(document, Checkup):
        counts = {level.value: 0 for level in Level}
        for check in document.checks:
            counts[check.level.value] += 1
    elif isinstance(document, Plan):
        counts = {action.name.lower(): count for action, count in document.counts.items()}
    return json.dumps(counts) if counts else ""


def _flag(value: bool) -> str:
    return "true" if value else "false"
