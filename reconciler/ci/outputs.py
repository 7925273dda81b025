"""The outputs of a step, by which later steps of a job decide what to do."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.errors import redact

if TYPE_CHECKING:
    from reconciler.ci.job import Job

OUTPUTS = ("has-changes", "plan-id", "plan-file", "report-file", "html-file", "counts", "refused")


def outputs_text(told: Job, code: int) -> str:
    """Every output as GITHUB_OUTPUT wants them, of a command that ends with this code."""
    return "".join(_output(name, value) for name, value in _outputs(told, code).items())


def _output(name: str, value: str) -> str:
    """A name and a value between delimiters that nobody can guess, or write into the value."""
    delimiter = f"reconciler_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{redact(value)}\n{delimiter}\n"


def _outputs(told: Job, code: int) -> dict[str, str]:
    """Every output; "" for what the command does not know."""
    known = {**told.files, "refused": _flag(_is_refused(told, code)), "counts": _counts(told)}
    if told.plan is not None:
        from reconciler.plan import TO_DO

        known["plan-id"] = told.plan.digest
        known["has-changes"] = _flag(any(told.plan.counts[action] for action in TO_DO))
    if told.report is not None:
        known["has-changes"] = _flag(bool(told.report.done))
    if told.has_changes is not None:
        known["has-changes"] = _flag(told.has_changes)
    return {name: known.get(name, "") for name in OUTPUTS}


def _is_refused(told: Job, code: int) -> bool:
    from reconciler.model import Action, Reason

    refusals = (errors.REFUSED, errors.STALE)
    if told.report is not None:
        return any(failure.exit_code in refusals for failure in told.report.failures)
    blocked = told.plan is not None and (
        bool(told.plan.excess)
        or any(c.action is Action.BLOCK and c.code != Reason.UNREADABLE for c in told.plan.changes)
    )
    return blocked or code in refusals


def _counts(told: Job) -> str:
    counts = dict(told.counts)
    if told.report is not None:
        proved = sum(proof.proved for proof in told.report.proofs)
        counts = {"changed": len(told.report.done), "proved": proved}
        counts["failed"] = len(told.report.failures)
    elif told.proofs is not None:
        proved = sum(proof.proved for proof in told.proofs)
        counts = {"proved": proved, "unproved": len(told.proofs) - proved}
    elif told.plan is not None:
        counts = {action.name.lower(): count for action, count in told.plan.counts.items()}
    return json.dumps(counts) if counts else ""


def _flag(value: bool) -> str:
    return "true" if value else "false"
