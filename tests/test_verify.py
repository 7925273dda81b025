"""What an endpoint answered, judged by what its binding declares."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from reconciler.model import Comparison, Expectation, HealthCode, Probe, Score
from reconciler.verify import breaking, disagreement, judge_score

ANSWER = Score(("label", "p"), (("1", "0.9731582"), ("0", "2e-05"), ("1", "1.0")))


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (ANSWER, ""),
        (Score(("p", "more", "label"), (("0.5", "x", "1"),)), ""),  # order and more are no matter
        (Score(("label",), (("1",),)), 'lacks the column "p"'),
        (Score(("label", "p"), (("yes", "0.5"),)), 'the column "label" has texts, and had numbers'),
        (Score(("label", "p"), (("true", "0.5"),)), "has truths, and had numbers"),
        (Score(("label", "p"), (("", "0.5"),)), ""),  # nobody knows what an empty one is
        (Score(("label", "p"), ()), ""),
    ],
)
def test_a_breaking_change_is_a_column_that_is_gone_or_of_another_type(
    after: Score, why: str
) -> None:
    assert why in breaking(ANSWER, after)
    assert bool(breaking(ANSWER, after)) is bool(why)


AGREEING = [
    ("1", "1", "0"),
    ("0.50", "0.5", "0"),  # a service may print another number of digits
    ("0.31", "0.30", "0.01"),  # which is less than that as floats
    ("-1", "1e0", "2"),
    ("yes", "yes", "0"),
    ("Infinity", "Infinity", "0"),
]
DIFFERING = [
    ("0.3101", "0.30", "0.01"),
    ("0.5", "0.50000001", "0"),
    ("yes", "no", "9"),
    ("yes", "1", "9"),
    ("Infinity", "1", "9"),
    ("NaN", "1", "9"),
    ("Infinity", "-Infinity", "9"),
]


@pytest.mark.parametrize(
    ("cell", "other", "within", "agree"),
    [(*each, True) for each in AGREEING] + [(*each, False) for each in DIFFERING],
)
def test_two_answers_agree_where_no_cell_is_further_apart_than_allowed(
    cell: str, other: str, within: str, agree: bool
) -> None:
    compare = Comparison("studio", Decimal(within))
    pair = (Score(("more", "p"), (("x", each),)) for each in (cell, other))
    why = disagreement(compare, ("p",), *pair)
    assert (why == "") is agree
    assert agree or why.startswith(
        f"row 1 of \"p\" is '{cell}', and '{other}' in the answer of studio"
    )


def test_columns_are_compared_by_their_names_and_rows_must_be_as_many() -> None:
    exactly = Comparison("studio", Decimal(0))
    turned = Score(("p", "label"), tuple((p, label) for label, p in ANSWER.rows))
    assert disagreement(exactly, ("label", "p"), ANSWER, turned) == ""
    fewer = Score(ANSWER.columns, ANSWER.rows[:2])
    why = disagreement(exactly, ("p",), ANSWER, fewer)
    assert why == "rows in the answer: 3, and in that of studio 2"


def said(column: str = "p", **expected: Any) -> str:
    health = judge_score(Probe("{}", (), (Expectation(column, **expected),)), ANSWER)
    assert (health.code is HealthCode.HEALTHY) == (health.message == "scored 3 rows")
    return health.message


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("p", {}),
        ("p", {"at_least": Decimal(0), "at_most": Decimal(1)}),
        ("p", {"at_least": Decimal("0.00002")}),
        ("label", {"one_of": ("0", "1", "unknown")}),
        ("label", {"one_of": ("0.0", "1.0")}),
        ("label", {"values": ("1", "0", "1")}),
        ("p", {"values": ("0.9731583", "0.00002", "1")}),
    ],
)
def test_an_answer_as_expected_is_healthy(column: str, expected: dict[str, Any]) -> None:
    assert said(column, **expected) == "scored 3 rows"


@pytest.mark.parametrize(
    ("column", "expected", "why"),
    [
        (
            "p",
            {"at_least": Decimal("0.1")},
            "row 2 of \"p\" is '2e-05', and at least 0.1 is expected",
        ),
        (
            "p",
            {"at_most": Decimal("0.99")},
            "row 3 of \"p\" is '1.0', and at most 0.99 is expected",
        ),
        ("label", {"one_of": ("0",)}, "row 1 of \"label\" is '1', and one of '0' is expected"),
        ("label", {"values": ("1", "1", "1")}, "row 2 of \"label\" is '0', and '1' is expected"),
        (
            "p",
            {"values": ("0.9732", "2e-5", "1")},
            "row 1 of \"p\" is '0.9731582', and '0.9732' is expected",
        ),
        ("label", {"values": ("1",)}, 'rows of "label": 3, expected 1'),
    ],
)
def test_an_answer_that_is_not_as_expected_is_degraded_and_says_where(
    column: str, expected: dict[str, Any], why: str
) -> None:
    assert said(column, **expected) == f"{why} (spec.verify.expect)"


def test_an_expected_column_must_be_there() -> None:
    assert said("q").startswith('the answer has no column "q" (it has "label", "p")')


def test_an_answer_without_rows_is_degraded() -> None:
    health = judge_score(Probe("{}", ("p",)), Score(("p",), ()))
    assert (health.code, "no rows" in health.message) == (HealthCode.DEGRADED, True)


@pytest.mark.parametrize(
    "bounds", [{"at_least": -9}, {"at_most": 9}, {"at_least": -9, "at_most": 9}]
)
@pytest.mark.parametrize("cell", ["nine", "1_0x", "-", "nan "])
def test_what_is_no_number_is_in_no_range(cell: str, bounds: dict[str, int]) -> None:
    limits = {name: Decimal(bound) for name, bound in bounds.items()}
    probe = Probe("{}", (), (Expectation("p", **limits),))
    assert judge_score(probe, Score(("p",), ((cell,),))).code is HealthCode.DEGRADED


@pytest.mark.parametrize("cell", ["", "None", "nan", "NaN"])
def test_an_empty_cell_of_a_declared_column_is_degraded(cell: str) -> None:
    health = judge_score(Probe("{}", ("p",)), Score(("p",), (("1",), (cell,))))
    assert (health.code, "empty cells" in health.message) == (HealthCode.DEGRADED, True)


def test_a_column_that_nobody_declared_may_be_empty() -> None:
    health = judge_score(Probe("{}", ("p",)), Score(("p", "q"), (("1", ""),)))
    assert health.code is HealthCode.HEALTHY
