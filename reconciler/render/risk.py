"""The risk of a change, in words that a person who did not write it can judge by."""

from __future__ import annotations

from reconciler.model import GIVEN, Action, Change, Reason
from reconciler.render.cells import counted, listed


def risk(change: Change) -> str:
    """`low: gates and a probe decide`, or `medium` or `high` and every reason."""
    match change.action:
        case Action.BLOCK:
            return "unknown" if change.code == Reason.UNREADABLE else "none: nothing is changed"
        case Action.NOOP:
            left = change.code in (Reason.PAUSED, Reason.NOT_DECLARED)
            return "none: left as it is" if left else "none"
        case Action.UPDATE if change.code == Reason.UNMARKED:
            return "low: the endpoint gets a mark, the model stays"
        case Action.UPDATE:
            return "low: settings change, the model does not"
        case Action.DELETE:
            return "high: the endpoint is deleted"
        case Action.WAIT if change.code not in (Reason.TRAINING, Reason.OTHER_SHARD):
            return "none: an earlier run started it"
        case Action.BIND | Action.CREATE if change.code == Reason.ROLL_BACK:
            return "low: the last model known to be good returns"
        case _:
            return _of_a_swap(change)


def _of_a_swap(change: Change) -> str:
    """The risk of giving an endpoint another model: what is missing to find out and to go back."""
    unknown = any(judgement.passed is None for judgement in change.gates)
    warnings = len(change.warnings) - change.adopted
    reasons = listed(
        [
            "there is no way back" if change.adopted else "",
            "" if change.gates else "no gate judges the model",
            "" if change.probe else "no probe proves it",
            "it is given secrets" if change.terms.get(GIVEN) else "",
            "its metrics are not known yet" if unknown else "",
            counted(warnings, "warning") if warnings else "",
        ]
    )
    if not reasons:
        return "low: the gates passed, and a probe proves it"
    high = change.adopted or not (change.gates or change.probe)
    return f"{'high' if high else 'medium'}: {', '.join(reasons)}"
