"""All of Studio's sample, New and Classic together: it converges, and what is refused is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli import compose, ending
from reconciler.model import Action, HealthCode

if TYPE_CHECKING:
    from tests.lab import Lab

ALL = ["breast-cancer", "diabetes-middle", "diabetes-senior", "diabetes-young"]


def test_apply_converges_by_either_door_and_then_writes_nothing(either_door: Lab) -> None:
    lab = either_door
    assert {change.action for change in lab.plan().changes} == {Action.TRAIN}
    report = lab.apply()
    assert report.failures == ()
    assert sorted(proof.name for proof in report.proofs) == ALL
    assert report.plan.converged
    assert lab.written_by(lab.apply) == []


def test_a_changed_version_is_trained_swapped_and_scored_differently(lab: Lab) -> None:
    lab.apply()
    lab.want("2026-11")
    assert {c.action for c in lab.plan().changes} == {Action.TRAIN}
    report = lab.apply()
    assert report.failures == ()
    for proof in report.proofs:
        assert proof.proved
        assert proof.model == "2026-11"
        assert proof.before is not None
        assert proof.after is not None
        assert proof.before != proof.after


def test_the_proof_on_demand_holds_after_and_not_before(lab: Lab) -> None:
    from reconciler.engine.prove import prove_all

    before = prove_all(lab.world(), lab.desired().bindings, 4)
    assert {proof.proved for proof in before} == {False}
    assert {proof.health.code for proof in before} == {HealthCode.DEGRADED}
    lab.apply()
    after = prove_all(lab.world(), lab.desired().bindings, 4)
    assert {proof.proved for proof in after} == {True}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("breast-cancer.yaml", "webService: breast-cancer-predictive", "webService: nowhere"),
        ("diabetes.yaml", "endpoint: young", "endpoint: nowhere"),
    ],
)
def test_a_missing_target_is_blocked_with_a_reason_and_the_rest_converges(
    lab: Lab, name: str, old: str, new: str
) -> None:
    lab.edit(name, old, new)
    blocked = [c for c in lab.plan().changes if c.action is Action.BLOCK]
    assert [c.code for c in blocked] == ["missing"]
    assert "nowhere" in blocked[0].why
    report = lab.apply()
    assert [failure.exit_code for failure in report.failures] == [errors.REFUSED]
    assert len(report.proofs) == 3
    assert ending.report_exit_code(report) == errors.PARTIAL


def test_an_unknown_classic_service_suggests_the_right_one(lab: Lab) -> None:
    lab.edit("diabetes.yaml", "webService: Diabetes Scoring", "webService: Diabetes scoring")
    change = lab.changes()["diabetes-young"]
    assert (change.action, change.code) == (Action.BLOCK, "missing")
    assert 'did you mean "Diabetes Scoring"?' in change.why


def test_a_classic_service_can_be_named_by_its_id(lab: Lab) -> None:
    by_name = {service.name: service.id for service in lab.cloud.world.classic.values()}
    ident = by_name["Diabetes Scoring"]
    lab.edit("diabetes.yaml", "webService: Diabetes Scoring", f"webService: {ident}")
    assert lab.apply().failures == ()
    lab.edit("diabetes.yaml", ident, "0a" * 16)
    assert {c.code for c in lab.plan().changes if c.kind == "ClassicEndpoint"} == {"missing"}


def test_two_classic_services_of_one_name_need_an_id(lab: Lab) -> None:

    world = lab.cloud.world
    twin = next(s for s in world.classic.values() if s.name == "Diabetes Scoring")
    world.classic["f" * 32] = replace(twin, id="f" * 32)
    change = lab.changes()["diabetes-young"]
    assert (change.action, change.code) == (Action.BLOCK, "ambiguous_service")
    assert twin.id in change.why
    assert "f" * 32 in change.why


def test_two_bindings_that_turn_out_to_be_one_endpoint_are_refused_both(lab: Lab) -> None:
    ids = [
        i for i, service in lab.cloud.world.classic.items() if service.name == "Diabetes Scoring"
    ]
    path = lab.services / "local" / "diabetes.yaml"
    young, rest = path.read_text().split("---\n", 1)
    again = young.replace("diabetes-young", "by-id").replace("Diabetes Scoring", ids[0])
    path.write_text(f"{young}---\n{again}---\n{rest}")
    changes = lab.changes()
    assert {c.code for n, c in changes.items() if n in ("diabetes-young", "by-id")} == {
        "same_endpoint"
    }
    assert "by diabetes-young (" in changes["by-id"].why
    assert "diabetes.yaml:" in changes["by-id"].why
    report = lab.apply()
    assert {failure.name for failure in report.failures} == {"diabetes-young", "by-id"}
    assert len(report.proofs) == 3
    assert not [w for w in lab.writes if "/young" in w[1]]


REFUSALS = [
    ("diabetes.yaml", "endpoint: young", "endpoint: default", "default_endpoint"),
    ("diabetes.yaml", "Diabetes [trained model]", "diabetes [trained model]", "unknown_resource"),
    (
        "breast-cancer.yaml",
        "Breast Cancer [trained model]",
        "breast cancer [trained model]",
        "unknown_asset",
    ),
    ("breast-cancer.yaml", "breast-cancer-predictive", "breast-cancer-training", "no_model_asset"),
]


@pytest.mark.parametrize(("name", "old", "new", "code"), REFUSALS)
def test_what_the_platform_forbids_is_blocked_before_anything_is_trained(
    lab: Lab, name: str, old: str, new: str, code: str
) -> None:
    lab.edit(name, old, new)
    blocked = [c for c in lab.plan().changes if c.action is Action.BLOCK]
    assert {c.code for c in blocked} == {code}
    names = {c.name for c in blocked}
    report = lab.apply()
    assert {failure.name for failure in report.failures} == names
    assert not [w for w in lab.writes if any(n.removeprefix("diabetes-") in w[1] for n in names)]


def test_an_export_is_planned_against_as_the_live_state_would_be(lab: Lab, tmp_path) -> None:
    from reconciler.cli.exporting import export_document, observe_exports
    from reconciler.plan import make_plan

    lab.apply()
    wanted = lab.desired()
    world = lab.world(read_only=True)
    folder = tmp_path / "exports"
    folder.mkdir()
    for b in wanted.bindings:
        document = export_document(b, world.targets[b.kind].export(b))
        (folder / f"{b.name}.json").write_text(json.dumps(document))
    assert make_plan(
        wanted.environment,
        observe_exports(wanted, folder, compose.store_base(wanted.environment, lab.url)),
    ).converged
    lab.want("2026-11")
    wanted = lab.desired()
    plan = make_plan(
        wanted.environment,
        observe_exports(wanted, folder, compose.store_base(wanted.environment, lab.url)),
    )
    assert {(c.action, c.code, c.after) for c in plan.changes} == {
        (Action.BIND, "offline", "2026-11")
    }
    assert all("/2026-10" in change.before for change in plan.changes)
