"""What holds for every plan, report, row and proof, whatever names and numbers they hold."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import gates, render
from reconciler.model import (
    Action,
    Change,
    Drift,
    Failure,
    FieldDiff,
    Health,
    HealthCode,
    History,
    Judgement,
    Live,
    MadeVersion,
    NotManaged,
    Plan,
    Proof,
    Report,
    Rule,
    RuleKind,
    Score,
    Source,
    Unowned,
    VersionState,
)
from reconciler.render import measures
from tests.render import cases

FEW = settings(derandomize=True, max_examples=80, deadline=None, database=None)

texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["breast cancer", "データ分類", "x" * 150, "\x1b[2J", "\u202e", "@everyone", ""]
    ),
    st.text("ab ̈\n\t→✓`|<>&@#*_\\\u200b\u2066", max_size=60),
)
maybe_texts = st.none() | texts
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
bounds = st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000)
rules = st.builds(Rule, texts, st.sampled_from(RuleKind), bounds)
judgements = st.builds(Judgement, rules, st.none() | st.booleans(), numbers, numbers, texts)
diffs = st.builds(FieldDiff, texts | st.just("model"), maybe_texts, maybe_texts)


def few(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=3).map(tuple)


sources = st.builds(Source, texts, st.integers(0, 9999), st.integers(0, 999))
changes = st.builds(
    Change,
    name=texts,
    kind=texts,
    address=texts,
    action=st.sampled_from(Action),
    code=texts | st.just("unreadable"),
    why=texts,
    before=texts,
    after=texts,
    after_ref=texts,
    key=texts,
    diffs=few(diffs),
    gates=few(judgements),
    warnings=few(texts),
    source=sources,
    drift=st.none() | st.builds(Drift, few(diffs), texts),
)
unmanaged = st.builds(NotManaged, few(st.builds(Unowned, texts, texts, texts)), few(texts))
plans = st.builds(Plan, texts, texts, few(changes), unmanaged=st.none() | unmanaged)
scores = st.builds(Score, few(texts), few(few(texts)))
healths = st.builds(Health, st.sampled_from(HealthCode), texts)
proofs = st.builds(
    Proof,
    texts,
    texts,
    texts,
    st.booleans(),
    healths,
    st.none() | scores,
    st.none() | scores,
    few(texts),
)
failures = st.builds(Failure, texts, texts, texts, st.integers(1, 70))
reports = st.builds(
    Report,
    plans,
    few(texts),
    few(proofs),
    few(failures),
    st.floats(0, 1e6),
    texts,
    st.sampled_from([0, 2, 9, 15]),
)
lives = st.builds(Live, healths, hidden=st.booleans())
rows = st.builds(render.status_row, changes, lives, healths)
looks = st.builds(
    render.Look, st.integers(20, 130), ascii_only=st.booleans(), verbose=st.booleans()
)


def wide(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def check_text(text: str, look: render.Look) -> None:
    assert text.endswith("\n")
    assert all(wide(line) <= look.asked_width for line in text.split("\n"))
    assert not look.ascii_only or text.isascii()
    check_harmless(text)


def check_harmless(text: str) -> None:
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [char for char in text if char != "\n" and unicodedata.category(char) in bad]


@FEW
@given(plans, looks)
def test_a_plan_never_exceeds_its_width_and_controls_no_terminal(
    plan: Plan, look: render.Look
) -> None:
    check_text(render.plan_text(plan, look), look)


@FEW
@given(reports, looks)
def test_a_report_never_exceeds_its_width_and_controls_no_terminal(
    report: Report, look: render.Look
) -> None:
    check_text(render.report_text(report, look), look)


@FEW
@given(st.lists(rows, max_size=4), looks)
def test_a_status_never_exceeds_its_width_and_controls_no_terminal(
    found: list[render.StatusRow], look: render.Look
) -> None:
    check_text(render.status_text(found, look), look)


@FEW
@given(st.lists(proofs, max_size=3), looks)
def test_proofs_never_exceed_their_width_and_control_no_terminal(
    found: list[Proof], look: render.Look
) -> None:
    check_text(render.proofs_text(found, look), look)


@FEW
@given(plans, looks)
def test_colours_change_nothing_but_colour(plan: Plan, look: render.Look) -> None:
    colored = render.plan_text(plan, replace(look, color=True))
    assert re.sub(r"\x1b\[\d+m", "", colored) == render.plan_text(plan, look)


@FEW
@given(plans)
def test_a_plan_comes_back_from_json_as_it_went(plan: Plan) -> None:
    back = render.parse_plan(render.plan_json(plan))
    assert back == plan
    assert (back.digest, back.unmanaged) == (plan.digest, plan.unmanaged)
    assert [change.source for change in back.changes] == [c.source for c in plan.changes]
    assert render.plan_json(back) == render.plan_json(plan)


@FEW
@given(plans, reports, st.lists(rows, max_size=3), st.lists(proofs, max_size=3))
def test_no_document_for_programs_or_pull_requests_holds_a_control_character(
    plan: Plan, report: Report, found: list[render.StatusRow], proved: list[Proof]
) -> None:
    documents = [render.plan_json(plan), render.report_json(report)]
    documents += [render.status_json(found), render.proofs_json(proved)]
    for document in documents:
        check_harmless(document)
        assert document.endswith("}\n")
        assert json.loads(document)["schema"].startswith("reconciler/")
    pages = [render.plan_markdown(plan), render.report_markdown(report)]
    pages += [render.status_markdown(found), render.proofs_markdown(proved)]
    for page in pages:
        check_harmless(page)
        check_markup(page)


def check_markup(page: str) -> None:
    """Outside of fences the only HTML is ours, and every table row has its number of cells."""
    prose = re.sub(r"^(`{3,})diff\n.*?\n\1$", "", page, flags=re.M | re.S)
    ours = {"details", "/details", "summary", "/summary", "br"}
    assert set(re.findall(r"<([^>]*)", prose)) <= ours
    assert prose.count("<details>") == prose.count("</details>")
    assert "@" not in prose
    for table in re.findall(r"(?:^\|.*\n)+", prose, flags=re.M):
        lines = [re.sub(r"\\.", "", line) for line in table.splitlines()]
        assert len({line.count("|") for line in lines}) == 1


def damage(change: dict[str, Any] | None = None, **root: Any) -> str:
    """The JSON of a plan with members replaced, in itself and in its first change."""
    document = json.loads(render.plan_json(cases.EVERY_ACTION))
    document["changes"][0].update(change or {})
    return json.dumps(document | root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "plan: not JSON"),
        ("[]", "plan: must be an object"),
        ("[" * 100_000, "plan: not JSON"),
        ("{}", "plan.schema: is missing"),
        (damage(schema="reconciler/plan/v2"), "plan.schema: 'reconciler/plan/v2'"),
        (damage(environment=4), "plan.environment: must be text"),
        (damage(changes={}), "plan.changes: must be a list"),
        (damage(changes=[4]), r"plan.changes\[0\]: must be an object"),
        (damage({"action": "EXPLODE"}), r"plan.changes\[0\].action: 'EXPLODE'"),
        (damage({"warnings": [None]}), r"plan.changes\[0\].warnings\[0\]: must be text"),
        (damage({"source": None}), r"plan.changes\[0\].source: must be an object"),
        (damage({"diffs": [{"path": 1}]}), r"plan.changes\[0\].diffs\[0\].path: must be text"),
        (damage({"name": "another"}), "plan.digest: '51a8b04a9391' does not fit"),
        (damage({"name": "\ud800"}), "plan: not JSON: half a character"),
        (damage(digest="000000000000"), "plan.digest: '000000000000' does not fit"),
        (damage(converged=True), "plan.converged: True does not fit"),
        (damage(counts={"NOOP": 2}), "plan.counts: .* does not fit the changes"),
    ],
)
def test_a_damaged_plan_is_refused_with_the_place_of_the_damage(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        render.parse_plan(text)


@pytest.mark.parametrize(
    ("member", "value"),
    [("bound", "NaN"), ("bound", "many"), ("rule", "atBest"), ("live", True), ("passed", 1)],
)
def test_a_damaged_gate_is_refused_with_the_place_of_the_damage(member: str, value: object) -> None:
    document = json.loads(render.plan_json(cases.EVERY_ACTION))
    place = next(at for at, one in enumerate(document["changes"]) if one["gates"])
    document["changes"][place]["gates"][0][member] = value
    with pytest.raises(ValueError, match=rf"plan.changes\[{place}\].gates\[0\].{member}: "):
        render.parse_plan(json.dumps(document))


def test_metrics_that_are_no_numbers_survive_json() -> None:
    nan = Judgement(Rule("AUC", RuleKind.AT_LEAST, Decimal(1)), False, float("nan"), -1e999, "")
    plan = Plan("e", "c", (cases.change("a", Action.BLOCK, "gate", "", gates=(nan,)),))
    back = render.parse_plan(render.plan_json(plan))
    assert repr(back) == repr(plan)


def test_the_history_tells_of_metrics_that_are_no_numbers_too() -> None:
    made = MadeVersion("1", VersionState.TRAINED, "", "", "", {"AUC": float("nan")})
    shown = json.loads(render.history_json(History("a", "a", "", (made,), ())))
    assert shown["versions"][0]["metrics"] == {"AUC": "nan"}


def test_a_gate_before_training_says_when_its_metrics_are_known() -> None:
    (judgement,) = gates.pending([cases.AUC])
    assert measures.gate(judgement) == "AUC  known after training   atLeast 0.9"


@pytest.mark.parametrize(
    ("live", "candidate", "bound", "said"),
    [
        (0.913, 0.921, "0.01", "AUC 0.913 → 0.921 (+0.008) ✓ noWorseThanLive 0.01"),
        (0.9, 0.9, "0", "AUC 0.9 → 0.9 (+0) ✓ noWorseThanLive 0"),
        (0.90001, 0.90002, "0", "AUC 0.90001 → 0.90002 (+1e-05) ✓ noWorseThanLive 0"),
        (None, 0.99996, "1", "AUC 0.99996 ✓ noWorseThanLive 1"),
        (123456.0, 123450.5, "9", "AUC 123456 → 123450 (-5.5) ✓ noWorseThanLive 9"),
        (0.000001, 2.0, "1", "AUC 1e-06 → 2 (+2) ✓ noWorseThanLive 1"),
    ],
)
def test_different_numbers_look_different(
    live: float | None, candidate: float, bound: str, said: str
) -> None:
    rule = Rule("AUC", RuleKind.NO_WORSE_THAN_LIVE, Decimal(bound))
    assert measures.gate(Judgement(rule, True, candidate, live, "")) == said
