"""Pure: what the status of a long-running ARM operation says.

Facts: STUDIO_PROTOCOL.md §3.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import UnreadableError
from reconciler.platforms.contract import DONE, OperationState, Progress
from reconciler.platforms.studio.members import member, objects, text

if TYPE_CHECKING:
    from collections.abc import Mapping

# What ends an operation. ARM writes "Canceled"; the other spelling costs nothing.
FAILED_STATES = ("failed", "canceled", "cancelled")


def operation_state(document: Mapping[str, Any]) -> Progress:
    """How far an operation is; UnreadableError where its answer does not say.

    The wire says `status` where the swagger says `provisioningState`; failures come as
    `errorInfo` (swagger) or `error` (ARM convention): both are read (§3.6 [U]).
    """
    nested = objects(document, "properties")
    state = text(document, "status") or text(document, "provisioningState")
    state = state or text(nested, "provisioningState")
    if not state:
        raise UnreadableError("the operation's answer has no status")
    if state.casefold() == "succeeded":
        return DONE
    if state.casefold() in FAILED_STATES:
        why = f"the update ended as {state}: {_operation_error(document)}"
        return Progress(OperationState.FAILED, why)
    done = member(document, "percentComplete")
    is_share = isinstance(done, int | float) and 0 <= done <= 1
    return Progress(OperationState.RUNNING, f"{state} {done:.0%}" if is_share else state)


def _operation_error(document: Mapping[str, Any]) -> str:
    error = objects(document, "error") or objects(document, "errorInfo")
    details = member(error, "details")  # whatever it is, it must not hide the failure
    listed = details if isinstance(details, list) else []
    said = [error, *(d for d in listed if isinstance(d, dict))]
    parts = [f"{text(e, 'code')}: {text(e, 'message')}".strip(": ") for e in said]
    return "; ".join(part for part in parts if part) or "the service gave no reason"
