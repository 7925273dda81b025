"""What a run amounts to: a report, and the exit code that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.model import TOUCHED, Action, Failure, Report

if TYPE_CHECKING:
    from reconciler.engine.steps import Ended
    from reconciler.model import Plan, Unfinished


def make_report(
    last: Plan,
    ended: dict[str, Ended],
    elapsed_s: float,
    stopped_by: int,
    unfinished: tuple[Unfinished, ...] = (),
    *,
    looked: bool = True,
) -> Report:
    """What a run did, sorted by address; a binding that came undone at the last look failed.

    `looked` says that `last` is that look, and not what was planned before.
    """
    outcomes = [ended[address] for address in sorted(ended)]
    failures = [o.failure for o in outcomes if o.failure]
    failed = {failure.address for failure in failures}
    if looked:
        failures += [
            Failure(c.name, c.address, f"not converged at the last look: {c.why}", errors.ERROR)
            for c in last.changes
            if c.action is not Action.NOOP and c.address not in failed
        ]
    done = {address for address in ended if ended[address].changed}
    done |= {one.address for one in unfinished if one.reached in TOUCHED}
    return Report(
        plan=last,
        done=tuple(sorted(done)),
        proofs=tuple(o.proof for o in outcomes if o.proof),
        failures=tuple(failures),
        elapsed_s=elapsed_s,
        stopped_by=stopped_by,
        unfinished=unfinished,
    )


def report_exit_code(report: Report) -> int:
    """A lost proof outranks all; then the one kind of failure there is; partial for a mixture."""
    if report.stopped_by:
        return 128 + report.stopped_by
    codes = {failure.exit_code for failure in report.failures}
    if not codes:
        return errors.SUCCESS
    for code in (errors.BUG, errors.UNPROVED):
        if code in codes:
            return code
    if report.done or len(codes) > 1:
        return errors.PARTIAL
    return codes.pop()
