"""Who says that a plan may be applied: a digest, a plan file, plans of pull requests that were
merged, `--yes`, or a person."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.console import say
from reconciler.errors import ConfigurationError, Problem, RefusedError, StalePlanError
from reconciler.model import Action, Reason
from reconciler.plan import TO_DO, beyond, uncovered
from reconciler.render.cells import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.ledger.plans import Plans
    from reconciler.model import Plan


@dataclass(frozen=True)
class Approval:
    """What was approved. A fresh plan is always made; this says whether it may be applied.

    `merged` are plans of which each approves what it shows, and one that was applied already
    nothing any more. `force` is the reason why limits and protection are overridden, "" where they
    are not.
    """

    expect: str | None = None
    plan: Plan | None = None
    merged: tuple[Plan, ...] | None = None
    yes: bool = False
    force: str = ""

    @property
    def prunes(self) -> bool:
        """Whether an approved plan deletes what is not declared."""
        plans = (*([self.plan] if self.plan else ()), *(self.merged or ()))
        doomed = (c for plan in plans for c in plan.changes if c.action is Action.DELETE)
        return any(change.code == Reason.NOT_DECLARED for change in doomed)

    def check(self, fresh: Plan, plans: Plans, *, trains: bool = False) -> None:
        """Return when the fresh plan may be applied, or what it trains be trained; StalePlanError
        or RefusedError otherwise."""
        if self.expect is not None and fresh.digest != self.expect:
            raise StalePlanError(
                f"approved {self.expect}, but the plan is now {fresh.digest}; review it and "
                "approve again"
            )
        if self.plan is not None:
            if self.plan.world not in ("", fresh.world):
                raise StalePlanError(
                    f"plan {self.plan.digest} was made in world {self.plan.world} of the emulator, "
                    f"and world {fresh.world or '?'} answers now; start that one again, lead "
                    "RECONCILER_EMULATOR to it, or plan anew"
                )
            plans.check(self.plan)
            _check_subset(fresh, self.plan)
        if self.merged is not None:
            _check_each(fresh, [plan for plan in self.merged if not plans.ended(plan)])
        if fresh.excess and not self.force:
            listed = "; ".join(fresh.excess)
            raise RefusedError(f"{listed}; raise the limit, or apply with --force REASON")
        approvals = (self.expect, self.plan, self.merged)
        approved = self.yes or any(one is not None for one in approvals)
        if not approved and any(fresh.counts[action] for action in TO_DO):
            if trains:
                self.confirm("Train these versions? No endpoint is changed.")
                return
            _ask(
                "Apply these changes?",
                f"pass --expect {fresh.digest} to apply exactly this plan, a plan file, or --yes "
                "to apply whatever the plan is",
            )

    def used(self, fresh: Plan, plans: Plans) -> list[Plan]:
        """The plans whose approval a run of the fresh plan uses up."""
        used = [self.plan] if self.plan is not None else []
        to_do = sum(fresh.counts[action] for action in TO_DO)
        for plan in _of_same(fresh, self.merged or ()):
            covers = len(uncovered(fresh, plan)) < to_do or plans.begun(plan)
            if covers and not plans.ended(plan):
                used.append(plan)
        return used

    def confirm(self, question: str) -> None:
        """Return when `--yes` was given or a person says yes; RefusedError otherwise."""
        if not self.yes:
            _ask(question, "pass --yes")


def approval(path: Path | None, expect: str | None, *, yes: bool, force: str) -> Approval:
    """What a command line approves; a folder holds plans of which each does."""
    if expect is not None:  # copied from a comment it may hold the invisible space of Markdown
        expect = expect.replace("\u200b", "").strip()
    if path is None or not path.is_dir():
        plan = read_plan(path) if path else None
        return Approval(expect, plan, yes=yes, force=force)
    merged = tuple(read_plan(file) for file in sorted(path.glob("*.json")))
    return Approval(expect, merged=merged, yes=yes, force=force)


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
            "this plan was only printed or made offline, so it approves nothing; write it by "
            "`plan --out`, without `--live`"
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


def _check_each(fresh: Plan, approved: Sequence[Plan]) -> None:
    """StalePlanError unless each change is in one of the plans; the newest is the last."""
    same = _of_same(fresh, approved)
    left = {c.address: f"{c.name}: no plan has it" for c in fresh.changes if c.action in TO_DO}
    for plan in same:
        beyond_it = uncovered(fresh, plan)
        left = {address: beyond_it[address] for address in left if address in beyond_it}
    if left:
        listed, count = "\n".join(left.values()), counted(len(same), "approved plan")
        raise StalePlanError(
            f"{listed}\nthe plan {fresh.digest} does more than {count} not applied yet; review it "
            "and approve it"
        )


def _of_same(fresh: Plan, plans: Sequence[Plan]) -> list[Plan]:
    """Those of the same environment: addresses of another may read the same."""
    return [p for p in plans if (p.environment, p.cloud) == (fresh.environment, fresh.cloud)]


def _ask(question: str, otherwise: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(f"nobody can be asked here; {otherwise}")
    say(f"\n{question} Only 'yes' is accepted: ", end="")
    if sys.stdin.readline().strip() != "yes":
        raise RefusedError("not approved; nothing was changed")
