"""Which of several approved plans a run uses up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from reconciler.cli.approval import Approval
from reconciler.plan import make_plan
from tests.test_plan import ENVIRONMENT, observed

if TYPE_CHECKING:
    from reconciler.ledger.plans import Plans
    from reconciler.model import Plan


class NoMarks:
    def begun(self, plan: Plan) -> bool:  # noqa: ARG002
        return False

    def ended(self, plan: Plan) -> str:  # noqa: ARG002
        return ""


def test_a_plan_of_another_environment_is_not_used_up() -> None:
    """Its addresses may read the same, since they do not show the workspace."""
    fresh = make_plan(ENVIRONMENT, [observed()])
    ours, other = replace(fresh, id="1"), replace(fresh, id="2", environment="production")
    used = Approval(merged=(other, ours)).used(fresh, cast("Plans", NoMarks()))
    assert used == [ours]
