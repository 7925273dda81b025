"""What a gate asks for, as a number: the line that a chart draws."""

from __future__ import annotations

from decimal import Decimal

import pytest

from reconciler import gates
from reconciler.model import Rule, RuleKind

LIVE = {"AUC": 0.91, "Mean Absolute Error": 41.5}
TABLE = [
    ("AUC", RuleKind.AT_LEAST, "0.9", 0.9),
    ("Mean Absolute Error", RuleKind.AT_MOST, "90", 90.0),
    ("AUC", RuleKind.NO_WORSE_THAN_LIVE, "0.01", 0.9),
    ("AUC", RuleKind.BETTER_THAN_LIVE, "0.01", 0.92),
    ("Mean Absolute Error", RuleKind.NO_WORSE_THAN_LIVE, "0.5", 42.0),
    ("Mean Absolute Error", RuleKind.BETTER_THAN_LIVE, "0.5", 41.0),
]


@pytest.mark.parametrize(("metric", "kind", "asked", "line"), TABLE)
def test_the_line_parts_what_passes_from_what_does_not(
    metric: str, kind: RuleKind, asked: str, line: float
) -> None:
    rule = Rule(metric, kind, Decimal(asked))
    assert gates.bound(rule, LIVE) == line
    lower = kind is RuleKind.AT_MOST or gates.lower_is_better(metric)
    better, worse = (line - 0.001, line + 0.001) if lower else (line + 0.001, line - 0.001)
    assert gates.allows(gates.judge([rule], {metric: better}, LIVE))
    assert not gates.allows(gates.judge([rule], {metric: worse}, LIVE))


def test_there_is_no_line_where_nothing_is_known_to_compare_with() -> None:
    assert gates.bound(Rule("AUC", RuleKind.NO_WORSE_THAN_LIVE, Decimal("0.01")), None) is None
    assert gates.bound(Rule("AUC", RuleKind.MIN_ROWS, Decimal("100")), LIVE) is None
