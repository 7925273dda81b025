"""A thousand equal changes are one line, and what differs from them is listed beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler import render
from reconciler.model import Action, Drift, Failure, Forecast, HealthCode, Plan, Reason, Report
from reconciler.render import StatusRow, Sync
from reconciler.render.cells import Look
from reconciler.render.fleets import MOST_EQUAL, common
from reconciler.render.words import plan_summary
from tests.render import cases


def rentals(count: int) -> Plan:
    return Plan("production", "azure", tuple(cases.rental(n) for n in range(1, count + 1)))


def marked(text: str) -> list[str]:
    """The lines that begin with the mark of a training."""
    return [line for line in text.splitlines() if line.startswith(("* ", "| `*`"))]


def test_a_thousand_equal_changes_are_one_line_with_their_number() -> None:
    plan = rentals(1_000)
    (line,) = marked(render.plan_text(plan))
    assert line.split("   ") == [
        "* bike-rental-… ×1,000",
        "2026-10 → 2026-11",
        "train, then bind",
    ]
    assert "the same for bike-rental-001, bike-rental-002, … bike-rental-1000" in (
        render.plan_text(plan)
    )
    (row,) = marked(render.plan_markdown(plan))
    assert "bike-rental-001, bike-rental-002, … bike-rental-1000** ×1,000" in row


def test_what_differs_is_listed_beside_the_line() -> None:
    plan = rentals(1_000)
    changes = list(plan.changes)
    changes[7] = replace(changes[7], before="2026-09")
    told = marked(render.plan_text(replace(plan, changes=tuple(changes))))
    assert [line.split("   ")[0].strip() for line in told] == [
        "* bike-rental-… ×999",
        "* bike-rental-008",
    ]


def test_a_few_equal_changes_stand_alone() -> None:
    assert len(marked(render.plan_text(rentals(MOST_EQUAL)))) == MOST_EQUAL
    assert len(marked(render.plan_text(rentals(MOST_EQUAL + 1)))) == 1


def test_verbose_lists_all() -> None:
    assert len(marked(render.plan_text(rentals(30), render.Look(verbose=True)))) == 30


def test_json_keeps_everything() -> None:
    plan = rentals(300)
    assert render.parse_plan(render.plan_json(plan)).changes == plan.changes


def test_the_report_of_a_fleet_is_as_short() -> None:
    proofs = tuple(cases.proof(f"bike-{n:03}") for n in range(500))
    lost = tuple(Failure(f"car-{n}", f"cars/{n}", "no answer", 1) for n in range(40))
    report = Report(cases.EMPTY, tuple(p.address for p in proofs[:200]), proofs, lost)
    text = render.report_text(report)
    assert "✓ bike-… ×500" in text
    assert "200 changed" in text
    assert "✗ car-… ×40   failed (exit code 1)" in text
    assert len(text.splitlines()) < 20
    assert len(render.report_text(report, render.Look(verbose=True)).splitlines()) > 500


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["one"], "one"),
        (["bike-001", "bike-002", "bike-010"], "bike-…"),
        (["a-scoring", "b-scoring"], "…-scoring"),
        (["rent12x", "rent13x"], "rent…x"),
        (["a", "aa"], "a…"),
        (["x", "y"], "…"),
        (["", "y"], "…"),
    ],
)
def test_what_names_have_in_common(texts: list[str], said: str) -> None:
    assert common(texts) == said
    assert common(texts[::-1]) == said


@pytest.mark.parametrize(
    ("count", "seconds", "said"),
    [
        (1, 0.2, "1 training, about 1 s."),
        (40, 89.0, "40 trainings, about 89 s."),
        (41, 89.0, "41 trainings, about 3 min."),
        (1_000, 120.0, "1,000 trainings, about 50 min."),
        (1_000, 192.0, "1,000 trainings, about 1 h 20 min."),
        (1_000, None, "1,000 trainings, how long is known after 3 runs."),
    ],
)
def test_trainings_are_counted_and_timed_in_rounds_of_forty(
    count: int, seconds: float | None, said: str
) -> None:
    forecast = Forecast("bike-rental-training", 40, 0 if seconds is None else 20, seconds)
    changes = tuple(replace(change, forecast=forecast) for change in rentals(count).changes)
    assert plan_summary(replace(rentals(0), changes=changes)).endswith(f" unchanged. {said}")


def test_two_endpoints_of_one_version_are_one_training_and_services_train_beside_each_other() -> (
    None
):
    one, two, three = rentals(3).changes
    other = Forecast("other-training", 40, 3, 300.0)
    changes = (one, replace(two, key=one.key), replace(three, forecast=other))
    said = plan_summary(replace(rentals(0), changes=changes))
    assert said.endswith(" unchanged. 2 trainings, about 5 min.")


def test_how_long_is_not_asked_offline() -> None:
    changes = tuple(replace(change, forecast=None) for change in rentals(2).changes)
    assert plan_summary(replace(rentals(0), changes=changes)).endswith(" unchanged. 2 trainings.")


def test_what_is_known_of_some_trainings_is_said() -> None:
    one, two, three = rentals(3).changes
    unknown = Forecast("other-training", 40, 2, None)
    summary = plan_summary(
        replace(rentals(0), changes=(one, two, replace(three, forecast=unknown)))
    )
    assert summary.endswith(" unchanged. 3 trainings: 2 about 2 min, 1 known after 1 more run.")


def unread(count: int) -> Plan:
    """Bindings that one trouble hits; each message names its own place and request."""
    changes = (
        replace(
            cases.change(f"b{n}", Action.BLOCK, Reason.UNREADABLE, ""),
            why=f"reading webServices/ml-local/b{n}: GET https://x.example/a/webServices/b{n}: 400 "
            f"BadArgument: no (request id {n:032})",
        )
        for n in range(count)
    )
    return Plan("e", "azure", tuple(changes))


def test_what_hits_many_bindings_is_said_once_with_their_names() -> None:
    for text in (render.plan_text(unread(12)), render.plan_markdown(unread(12))):
        assert text.count("400 BadArgument") <= 2  # in the way, and in the details
        for n in range(12):
            assert f"b{n}" in text
    assert render.plan_text(unread(12)).count("BadArgument") == 1


def test_two_troubles_are_said_apart() -> None:
    one, two = unread(2).changes
    other = replace(two, why=two.why.replace("400 BadArgument", "403 Forbidden"))
    text = render.plan_text(Plan("e", "azure", (one, other)))
    assert text.count("BadArgument") == text.count("Forbidden") == 1


def test_failures_that_differ_in_their_places_only_are_said_once_with_their_names() -> None:
    failures = tuple(Failure(c.name, c.address, c.why, 1) for c in unread(12).changes)
    report = Report(cases.EMPTY, failures=failures)
    for text in (render.report_text(report), render.report_markdown(report)):
        assert text.count("400 BadArgument") == 1
        for n in range(12):
            assert f"b{n}" in text


def test_status_says_once_what_could_not_be_read() -> None:
    rows = [
        StatusRow(c.name, c.kind, c.address, Sync.UNKNOWN, HealthCode.UNKNOWN, "", "1", c.why)
        for c in unread(12).changes
    ]
    for text in (render.status_text(rows), render.status_markdown(rows)):
        assert text.count("400 BadArgument") == 1
        assert "b0, b1, b2," in text


def test_status_says_once_what_a_whole_fleet_has_in_common() -> None:
    rows = [
        StatusRow(f"b{n}", "WebService", f"a/b{n}", Sync.OUT_OF_SYNC, HealthCode.DEGRADED, "1", "2")
        for n in range(12)
    ]
    told = [replace(row, message=f"a/{row.name} was never trained") for row in rows]
    few = [replace(row, message="somebody else's") for row in rows[:MOST_EQUAL]]
    for text in (render.status_text(told), render.status_markdown(told)):
        assert text.count("was never trained") == 1
        assert "b0, b1, b2," in text
    assert render.status_markdown(few).count("somebody else") == MOST_EQUAL


def test_status_shows_what_is_wrong_first_and_folds_a_fleet_in_sync() -> None:
    calm = [
        StatusRow(f"b{n}", "WebService", f"a/b{n}", Sync.SYNCED, HealthCode.HEALTHY, "2", "2")
        for n in range(1_000)
    ]
    drifted = replace(calm[7], name="theirs", drift=Drift((), ""))
    late = replace(calm[7], name="late", sync=Sync.OUT_OF_SYNC, live="1")
    for text in (render.status_text([*calm, drifted, late]), render.status_markdown([*calm, late])):
        assert text.count("\n") < 12
        assert text.index("late") < text.index("b… ×1,000")
        assert "1 OutOfSync" in text
    assert "theirs" in render.status_text([*calm, drifted])
    assert render.status_text(calm, Look(verbose=True)).count("a/b") == 1_000


def test_a_fleet_in_trouble_is_named_whole() -> None:
    text = render.plan_text(unread(61))
    assert all(f" b{n}" in text for n in range(61))
