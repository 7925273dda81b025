"""The planner as a table: what is observed, and the one change that follows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from reconciler import gates
from reconciler.approval import covers
from reconciler.model import (
    Action,
    Artifact,
    ArtifactState,
    Binding,
    Environment,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Observed,
    Reason,
    Recipe,
    Refusal,
    Rule,
    RuleKind,
    SecretName,
    Source,
    StoreUrl,
    Version,
    Witness,
    differences,
)
from reconciler.plan import decide, make_plan
from reconciler.platforms.studio.connection import CloudName, Studio
from reconciler.platforms.studio.new import WebServiceAddress

NEW = ModelRef("https://acct.blob.core.windows.net/models/churn/2026-11/model.ilearner")
OLD = ModelRef("https://acct.blob.core.windows.net/models/churn/2026-10/model.ilearner")
RECIPE = Recipe("studio", "churn-training", (("input1", "data/2026-11.csv"),))
ENVIRONMENT = Environment(
    name="test",
    store=StoreUrl("az://acct/models", SecretName("KEY")),
    data=StoreUrl("az://acct", SecretName("KEY")),
    connections={"studio": Studio(CloudName.EMULATOR, "s", "g", "southcentralus")},
    where="emulator",
)
HEALTHY = Health(HealthCode.HEALTHY)
AUC = Rule("AUC", RuleKind.AT_LEAST, Decimal("0.85"))


def binding(name: str = "churn", **fields: object) -> Binding:
    base = Binding(
        name=name,
        kind="WebService",
        address=WebServiceAddress("s", "g", name),
        version=Version("churn", "2026-11"),
        recipe=RECIPE,
        accept=(AUC,),
        source=Source("services/test/churn.yaml", 7, 3),
    )
    return replace(base, **fields)


def observed(
    live: Live | None = None, artifact: Artifact | None = None, **fields: object
) -> Observed:
    base = Observed(
        binding(),
        live or Live(HEALTHY, served=OLD, asset="asset1"),
        artifact or Artifact(ArtifactState.READY, NEW, metrics={"AUC": 0.9}, recipe=RECIPE),
        live_version="2026-10",
    )
    return replace(base, **fields)


def of(state: ArtifactState, message: str = "", **fields: object) -> Artifact:
    return replace(Artifact(state, NEW, message, recipe=RECIPE, metrics={"AUC": 0.9}), **fields)


def refused(code: str) -> Live:
    return Live(HEALTHY, served=OLD, refusal=Refusal(code, "because"))


def of_health(code: HealthCode) -> Live:
    return Live(Health(code, "said so"), served=OLD)


TABLE = [
    ("the desired model is live", Live(HEALTHY, served=NEW), of(ArtifactState.READY), "= in_sync"),
    ("live, though its job is forgotten", Live(HEALTHY, served=NEW), of(ArtifactState.ABSENT), "= in_sync"),
    ("another version is live", None, of(ArtifactState.READY), "~ version_changed"),
    ("never trained", None, of(ArtifactState.ABSENT, recipe=None), "* not_trained"),
    ("claimed and not started", None, of(ArtifactState.ABSENT, "claimed"), "* not_trained"),
    ("training", None, of(ArtifactState.RUNNING), ". training"),
    ("the job failed", None, of(ArtifactState.FAILED, "no header"), "! training_failed"),
    ("an input is missing", None, of(ArtifactState.FAILED, code="input_missing"), "! input_missing"),
    ("rejected", None, of(ArtifactState.REJECTED, "proof failed"), "! rejected"),
    ("offline", None, of(ArtifactState.UNKNOWN), "~ offline"),
    ("the gate fails", None, of(ArtifactState.READY, metrics={"AUC": 0.8}), "! gate"),
    ("the metric is missing", None, of(ArtifactState.READY, metrics={"F1": 0.8}), "! gate"),
    ("an update is in flight", of_health(HealthCode.PROGRESSING), of(ArtifactState.READY), ". updating"),
    ("the last update failed", of_health(HealthCode.DEGRADED), of(ArtifactState.READY), "~ version_changed"),
    ("missing", of_health(HealthCode.MISSING), of(ArtifactState.READY), "! missing"),
    ("unreadable", of_health(HealthCode.UNKNOWN), of(ArtifactState.READY), f"! {Reason.UNREADABLE}"),
    ("readOnly", refused("read_only"), of(ArtifactState.READY), "! read_only"),
    ("refused, though never trained", refused("default_endpoint"), of(ArtifactState.ABSENT), "! default_endpoint"),
    ("the recipe changed", None, of(ArtifactState.READY, recipe=Recipe("studio", "other")), "! recipe_changed"),
    (
        "the recipe changed under the live version",
        Live(HEALTHY, served=NEW),
        of(ArtifactState.READY, recipe=Recipe("studio", "other")),
        "! recipe_changed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("live", "artifact", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_is_observed_decides_the_change(
    live: Live | None, artifact: Artifact, expected: str
) -> None:
    change = decide(observed(live, artifact))
    assert f"{change.action.value} {change.code}" == expected


def test_a_model_that_the_store_does_not_know_is_replaced_and_named() -> None:
    foreign = Live(HEALTHY, served=ModelRef("https://ws.blob.core.windows.net/assets/abc.ilearner"))
    change = decide(observed(foreign, live_version=""))
    assert (change.action, change.code, change.before) == (
        Action.BIND,
        "foreign_model",
        "abc.ilearner",
    )


def test_a_hidden_model_without_a_record_is_bound_to_be_sure() -> None:
    change = decide(observed(Live(HEALTHY, hidden=True), live_version=""))
    assert (change.action, change.before) == (Action.BIND, "hidden")


def test_a_record_as_witness_is_named_in_the_plan() -> None:
    change = decide(observed(Live(HEALTHY, served=NEW, hidden=True, witness=Witness.RECORD)))
    assert change.action is Action.NOOP
    assert change.warnings == (
        "the service does not reveal its model; the record in the store names it",
    )


def test_a_changed_recipe_names_the_fields_that_differ() -> None:
    artifact = of(
        ArtifactState.READY,
        recipe=Recipe("studio", "churn-training", (("input1", "data/old.csv"),)),
    )
    (diff,) = decide(observed(artifact=artifact)).diffs
    assert (diff.path, diff.before, diff.after) == (
        "recipe.inputs.input1",
        "data/old.csv",
        "data/2026-11.csv",
    )


def test_equal_values_have_no_diffs() -> None:
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, "x") == ()


def test_the_plan_of_nothing_to_do_is_converged() -> None:
    plan = make_plan(ENVIRONMENT, [observed(Live(HEALTHY, served=NEW))])
    assert plan.converged
    assert plan.counts[Action.NOOP] == 1


def test_the_plan_does_not_depend_on_the_order_of_observations() -> None:
    some = [observed(binding=binding(f"b{i}")) for i in range(5)]
    assert make_plan(ENVIRONMENT, some) == make_plan(ENVIRONMENT, reversed(some))


def test_every_binding_yields_one_change_and_the_counts_add_up() -> None:
    some = [
        observed(live, artifact, binding=binding(f"b{i}"))
        for i, (_, live, artifact, _) in enumerate(TABLE)
    ]
    plan = make_plan(ENVIRONMENT, some)
    assert len(plan.changes) == sum(plan.counts.values()) == len(TABLE)


def test_the_digest_ignores_sentences_and_sees_the_model() -> None:
    plan = make_plan(ENVIRONMENT, [observed()])
    reworded = replace(
        plan, changes=(replace(plan.changes[0], why="in other words", warnings=("x",)),)
    )
    elsewhere = replace(plan, changes=(replace(plan.changes[0], after_ref=OLD.url),))
    assert plan.digest == reworded.digest != elsewhere.digest


def test_the_digest_changes_with_the_recipe() -> None:
    plan = make_plan(ENVIRONMENT, [observed(artifact=of(ArtifactState.ABSENT, recipe=None))])
    other = binding(recipe=Recipe("studio", "churn-training", (("input1", "data/other.csv"),)))
    changed = observed(artifact=of(ArtifactState.ABSENT, recipe=None), binding=other)
    assert make_plan(ENVIRONMENT, [changed]).digest != plan.digest


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("AUC", False),
        ("Coefficient of Determination", False),
        ("Root Mean Squared Error", True),
        ("Average Log Loss", True),
        ("RMSE", True),
        ("test_mae", True),
        ("Maestro", False),
    ],
)
def test_of_errors_and_losses_smaller_is_better(metric: str, lower: bool) -> None:
    assert gates.lower_is_better(metric) is lower
    worse = {metric: 2.0 if lower else 1.0}
    rule = Rule(metric, RuleKind.BETTER_THAN_LIVE, Decimal("0"))
    (judgement,) = gates.judge([rule], worse, {metric: 1.5})
    assert judgement.passed is False


LIVE = {"AUC": 0.913, "Root Mean Squared Error": 60.0}
GATES = [
    ("AUC", RuleKind.AT_LEAST, "0.9", {"AUC": 0.9}, LIVE, True),
    ("AUC", RuleKind.AT_LEAST, "0.9", {"AUC": 0.8999}, LIVE, False),
    ("AUC", RuleKind.AT_MOST, "0.9", {"AUC": 0.9}, LIVE, True),
    ("AUC", RuleKind.AT_MOST, "0.9", {"AUC": 0.91}, LIVE, False),
    ("AUC", RuleKind.AT_LEAST, "0.9", {"F1": 1.0}, LIVE, None),
    ("AUC", RuleKind.NO_WORSE_THAN_LIVE, "0.01", {"AUC": 0.903}, LIVE, True),
    ("AUC", RuleKind.NO_WORSE_THAN_LIVE, "0.01", {"AUC": 0.902}, LIVE, False),
    ("AUC", RuleKind.NO_WORSE_THAN_LIVE, "0.01", {"AUC": 0.5}, None, True),
    ("AUC", RuleKind.BETTER_THAN_LIVE, "0", {"AUC": 0.914}, LIVE, True),
    ("AUC", RuleKind.BETTER_THAN_LIVE, "0", {"AUC": 0.913}, LIVE, False),
    ("AUC", RuleKind.BETTER_THAN_LIVE, "0.01", {"AUC": 0.92}, LIVE, False),
    ("AUC", RuleKind.BETTER_THAN_LIVE, "0", {"AUC": 0.5}, None, True),
    ("Root Mean Squared Error", RuleKind.BETTER_THAN_LIVE, "5", {"Root Mean Squared Error": 54.0}, LIVE, True),
    ("Root Mean Squared Error", RuleKind.BETTER_THAN_LIVE, "5", {"Root Mean Squared Error": 56.0}, LIVE, False),
    ("Root Mean Squared Error", RuleKind.NO_WORSE_THAN_LIVE, "1", {"Root Mean Squared Error": 61.0}, LIVE, True),
    ("Root Mean Squared Error", RuleKind.NO_WORSE_THAN_LIVE, "1", {"Root Mean Squared Error": 61.5}, LIVE, False),
    ("Root Mean Squared Error", RuleKind.NO_WORSE_THAN_LIVE, "1", {"Root Mean Squared Error": 10.0}, LIVE, True),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "kind", "bound", "candidate", "live", "passed"), GATES)
def test_a_gate_judges(
    metric: str,
    kind: RuleKind,
    bound: str,
    candidate: dict[str, float],
    live: dict[str, float] | None,
    passed: bool | None,
) -> None:
    (judgement,) = gates.judge([Rule(metric, kind, Decimal(bound))], candidate, live)
    assert judgement.passed is passed
    assert gates.allows([judgement]) is bool(passed)


def test_a_model_without_rules_is_allowed() -> None:
    assert gates.allows(gates.judge([], {}, None))


MIN_ROWS = Rule("AUC", RuleKind.MIN_ROWS, Decimal(100))


@pytest.mark.parametrize(
    ("rows", "passed", "message"),
    [
        (100, True, ""),
        (99, None, "AUC was measured on 99 rows; at least 100 are needed"),
        (None, None, "it is not known on how many rows AUC was measured"),
    ],
)
def test_too_few_rows_are_inconclusive_and_no_failure(
    rows: int | None, passed: bool | None, message: str
) -> None:
    (judgement,) = gates.judge([MIN_ROWS], {"AUC": 0.9}, None, rows)
    assert (judgement.passed, judgement.message) == (passed, message)


@pytest.mark.parametrize(
    ("metrics", "rules", "why"),
    [
        (
            {"AUC": 0.8},
            (AUC, MIN_ROWS),
            "not accepted: AUC is 0.8, and must be atLeast 0.85; AUC was",
        ),
        (
            {"AUC": 0.9},
            (AUC, MIN_ROWS),
            "inconclusive: AUC was measured on 7 rows; at least 100 are needed",
        ),
        ({"F1": 0.9}, (AUC,), "inconclusive: the evaluation has no metric 'AUC' (it has: F1)"),
    ],
)
def test_a_refusal_by_gates_says_which_verdict(
    metrics: dict[str, float], rules: tuple[Rule, ...], why: str
) -> None:
    ready = of(ArtifactState.READY, metrics=metrics, rows=7)
    change = decide(observed(artifact=ready, binding=binding(accept=rules)))
    assert (change.action, change.code) == (Action.BLOCK, "gate")
    assert change.why.startswith(why)


def test_a_swap_that_waits_for_a_training_counts_against_the_limit() -> None:
    waiting = [
        observed(artifact=of(ArtifactState.RUNNING), binding=binding(f"churn-{n}"))
        for n in range(11)
    ]
    plan = make_plan(ENVIRONMENT, waiting)
    assert plan.counts[Action.WAIT] == 11
    assert plan.excess == ("11 of 11 endpoints would change (100%), and limits.changes is 30%",)


@pytest.mark.parametrize(
    ("ref", "shown", "is_covered"),
    [(OLD, "2026-10", True), (NEW, "2026-11", True), (None, "", False)],
)
def test_an_update_of_another_run_is_waited_for_where_it_leads_to_the_approved_model(
    ref: ModelRef | None, shown: str, is_covered: bool
) -> None:
    approved = decide(observed(artifact=of(ArtifactState.ABSENT)))
    under_way = Live(Health(HealthCode.PROGRESSING, "an update is under way"), served=ref)
    assert covers(approved, decide(observed(under_way, live_version=shown))) is is_covered


def test_what_came_whole_is_shown_as_json_and_not_as_python() -> None:
    (diff,) = differences({}, {"inputs": {"input1": "a.csv"}}, "recipe")
    assert (diff.before, diff.after) == (None, '{"input1":"a.csv"}')
