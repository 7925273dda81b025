"""What a run did comes back from its file as it went, or with the place of the damage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from reconciler import render
from reconciler.model import Plan, Report
from reconciler.render.documents import RUN, parse_document
from tests.render import cases
from tests.render.test_properties import FEW, plans, reports


def run(report: Report) -> dict[str, Any]:
    return {"schema": RUN, "error": "", "report": json.loads(render.report_json(report))}


@FEW
@given(reports)
def test_a_report_comes_back_as_it_went(report: Report) -> None:
    assert parse_document(render.report_json(report)) == report
    back = parse_document(json.dumps(run(report)))
    assert isinstance(back, Report)
    assert render.report_json(back) == render.report_json(report)


@FEW
@given(plans)
def test_a_plan_is_known_by_its_schema(plan: Plan) -> None:
    assert parse_document(render.plan_json(plan)) == plan


def test_the_limits_that_a_plan_exceeds_come_back_too() -> None:
    plan = Plan("e", "c", (), excess=("12 of 20",), commit="a1" * 20)
    back = render.parse_plan(render.plan_json(plan))
    assert (back.excess, back.commit) == (plan.excess, plan.commit)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("schema",), "x", "document.report.schema"),
        (("done",), [1], r"document.report.done\[0\]: must be text"),
        (("stopped_by",), True, "document.report.stopped_by"),
        (("forced",), None, "document.report.forced: must be text"),
        (("elapsed_s",), "long", "document.report.elapsed_s"),
        (("plan", "digest"), "0" * 12, "document.report.plan.digest"),
        (("plan", "commit"), "main", "document.report.plan.commit: 'main' is not 40 or 64"),
        (("failures", 0, "exit_code"), "8", r"failures\[0\].exit_code: must be a whole number"),
        (("proofs", 0, "health", "code"), "Fine", r"proofs\[0\].health.code: 'Fine'"),
        (("proofs", 0, "read_back"), 1, r"proofs\[0\].read_back: must be true or false"),
        (("proofs", 0, "after", "rows"), [["a"], 4], r"after.rows\[1\]: must be a list"),
        (("proofs", 0, "after", "rows"), [[4]], r"after.rows\[0\]\[0\]: must be text"),
    ],
)
def test_a_damaged_report_is_refused_with_the_place_of_the_damage(
    path: tuple[str | int, ...], value: object, place: str
) -> None:
    document = run(cases.REPORTS["failures"])
    inside: Any = document["report"]
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    with pytest.raises(ValueError, match=place):
        parse_document(json.dumps(document))
