"""Who says that a plan may be applied: a digest, a plan file, `--yes`, or a person."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.cli.output import say
from reconciler.errors import ConfigurationError, Problem, RefusedError, StalePlanError
from reconciler.plan import TO_DO, beyond

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.ledger.plans import Plans
    from reconciler.model import Plan


@dataclass(frozen=True)
class Approval:
    """What was approved. A fresh plan is always made; this says whether it may be applied.

    `force` is the reason why limits and protection are overridden, "" where they are not.
    """

    expect: str | None = None
    plan: Plan | None = None
    yes: bool = False
    force: str = ""

    def check(self, fresh: Plan, plans: Plans) -> None:
        """Return when the fresh plan may be applied; StalePlanError or RefusedError otherwise."""
        if self.expect is not None and fresh.digest != self.expect:
            raise StalePlanError(
                f"approved {self.expect}, but the plan is now {fresh.digest}; review it and "
                "approve again"
            )
        if self.plan is not None:
            plans.check(self.plan)
            _check_subset(fresh, self.plan)
        if fresh.excess and not self.force:
            listed = "; ".join(fresh.excess)
            raise RefusedError(f"{listed}; raise the limit, or apply with --force REASON")
        approved = self.yes or self.expect is not None or self.plan is not None
        if not approved and any(fresh.counts[action] for action in TO_DO):
            _ask(
                "Apply these changes?",
                f"pass --expect {fresh.digest} to apply exactly this plan, a plan file, or --yes "
                "to apply whatever the plan is",
            )

    def confirm(self, question: str) -> None:
        """Return when `--yes` was given or a person says yes; RefusedError otherwise."""
        if not self.yes:
            _ask(question, "pass --yes")


def read_plan(path: Path) -> Plan:
    """The plan in a file that `plan --out` wrote; ConfigurationError if it is none."""
    from reconciler.render import parse_plan

    try:
        plan = parse_plan(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(
            [Problem(str(path), 0, 0, f"cannot be read: {exc.strerror}")]
        ) from exc
    except ValueError as exc:
        why = f"not a plan that `plan --out` wrote: {exc}"
        raise ConfigurationError([Problem(str(path), 0, 0, why)]) from exc
    if not plan.id:
        why = (
            "this plan was only printed, so nothing tells it from others; write it by `plan --out`"
        )
        raise ConfigurationError([Problem(str(path), 0, 0, why)])
    return plan


def _check_subset(fresh: Plan, approved: Plan) -> None:
    if differences := beyond(fresh, approved):
        listed = "\n".join(differences)
        raise StalePlanError(
            f"{listed}\nthe plan {fresh.digest} does more than the approved {approved.digest}; "
            "review it and approve again"
        )


def _ask(question: str, otherwise: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(f"nobody can be asked here; {otherwise}")
    say(f"\n{question} Only 'yes' is accepted: ", end="")
    if sys.stdin.readline().strip() != "yes":
        raise RefusedError("not approved; nothing was changed")
