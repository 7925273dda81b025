"""What an approval lets happen, and which of several approved plans a run uses up."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from reconciler.approval import Approval
from reconciler.cli.approval import approval as of_command_line
from reconciler.cli.approval import check
from reconciler.errors import RefusedError, StalePlanError
from reconciler.plan import make_plan
from reconciler.render.markdown import escaped
from tests.test_plan import ENVIRONMENT, observed

if TYPE_CHECKING:
    from reconciler.ledger.plans import Plans
    from reconciler.model import Plan


class NoMarks:
    def begun(self, plan: Plan) -> bool:  # noqa: ARG002
        return False

    def ended(self, plan: Plan) -> str:  # noqa: ARG002
        return ""

    def check(self, plan: Plan) -> None:
        """No plan was applied."""


def test_a_plan_of_another_environment_is_not_used_up() -> None:
    """Its addresses may read the same, since they do not show the workspace."""
    fresh = make_plan(ENVIRONMENT, [observed()])
    ours, other = replace(fresh, id="1"), replace(fresh, id="2", environment="production")
    used = Approval(merged=(other, ours)).used(fresh, cast("Plans", NoMarks()))
    assert used == [ours]


FRESH = make_plan(ENVIRONMENT, [observed()])
MARKS = cast("Plans", NoMarks())


def other_model(plan: Plan) -> Plan:
    (change,) = plan.changes
    return replace(plan, changes=(replace(change, after_ref="https://a.b/models/other"),))


def reads_otherwise(plan: Plan) -> Plan:
    """As a hand could make it read, without another digest."""
    (change,) = plan.changes
    edited = replace(plan, changes=(replace(change, after="9"),))
    assert edited.digest == plan.digest
    return edited


@pytest.mark.parametrize(
    "approval",
    [
        Approval(expect=FRESH.digest),
        Approval(plan=FRESH),
        Approval(merged=(other_model(FRESH), FRESH)),
        Approval(yes=True),
    ],
)
def test_what_was_approved_may_be_applied(approval: Approval) -> None:
    check(approval, FRESH, MARKS)


def test_a_digest_that_was_copied_from_a_comment_approves() -> None:
    """GitHub shows `&#8203;` in it as nothing, and copies it."""
    copied = html.unescape(escaped(f"the plan is now {FRESH.digest}; review it")).split()[4]
    assert len(copied) == len(f"{FRESH.digest}\u200b;")
    approved = of_command_line(None, copied.removesuffix(";"), yes=False, force="")
    check(approved, FRESH, MARKS)


@pytest.mark.parametrize(
    "approval",
    [
        Approval(expect="0" * 12, yes=True),
        Approval(plan=other_model(FRESH), yes=True),
        Approval(plan=reads_otherwise(FRESH), yes=True),
        Approval(plan=replace(FRESH, changes=()), yes=True),
        Approval(plan=replace(FRESH, environment="production"), yes=True),
        Approval(plan=replace(FRESH, cloud="azure"), yes=True),
        Approval(merged=(other_model(FRESH),), yes=True),
        Approval(merged=(), yes=True),
    ],
)
def test_nothing_else_may_be_applied(approval: Approval) -> None:
    with pytest.raises(StalePlanError):
        check(approval, FRESH, MARKS)


class Applied(NoMarks):
    def ended(self, plan: Plan) -> str:  # noqa: ARG002
        return "by run 1 at 2026-11-23T10:00:00Z"


def test_a_merged_plan_that_was_applied_approves_nothing_any_more() -> None:
    with pytest.raises(StalePlanError):
        check(Approval(merged=(FRESH,), yes=True), FRESH, cast("Plans", Applied()))


def test_a_plan_beyond_a_limit_needs_a_reason_whoever_approved_it() -> None:
    plan = replace(FRESH, excess=("12 versions would be trained, and limits.retrains is 10",))
    for approval in (Approval(yes=True), Approval(plan=plan), Approval(expect=plan.digest)):
        with pytest.raises(RefusedError, match="12 versions would be trained"):
            check(approval, plan, MARKS)
        check(replace(approval, force="a new region"), plan, MARKS)


def test_who_did_not_approve_is_asked_and_where_nobody_can_be_nothing_is_done() -> None:
    with pytest.raises(RefusedError, match="--expect"):
        check(Approval(), FRESH, MARKS)
