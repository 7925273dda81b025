"""What somebody changes behind git's back in the emulated world, and what is no drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.engine.prove import prove_all
from reconciler.engine.survey import survey
from reconciler.model import Action, HealthCode, Model
from reconciler.plan import Prune
from tests.fresh import FRESH, NAME, declare, service_of
from tests.studio.test_lifecycle import SETTINGS, Fleet

if TYPE_CHECKING:
    from reconciler.model import Drift
    from tests.lab import Lab


@pytest.fixture
def fleet(lab: Lab) -> Fleet:
    made = Fleet(lab)
    made.declare(SETTINGS)
    assert made.apply().failures == ()
    return made


def drift_of(fleet: Fleet) -> Drift | None:
    return fleet.change().drift


def paths(drift: Drift | None) -> list[tuple[str, str | None, str | None]]:
    assert drift is not None
    return [(field.path, field.before, field.after) for field in drift.fields]


def test_a_world_as_it_was_left_shows_no_drift_and_a_look_writes_nothing(fleet: Fleet) -> None:
    fleet.lab.sent.clear()
    assert [change.drift for change in fleet.plan().changes] == [None] * 5
    assert fleet.apply().done == ()
    assert fleet.lab.writes == []


def test_settings_of_classic_that_were_changed_by_hand_drifted(fleet: Fleet) -> None:
    fleet.endpoint.max_calls = 7
    assert paths(drift_of(fleet)) == [("settings.maxConcurrentCalls", "20", "7")]
    assert "drifted from settings.maxConcurrentCalls" in fleet.change().why
    assert fleet.apply().failures == ()
    assert drift_of(fleet) is None


def test_prevent_update_that_was_set_by_hand_drifted(fleet: Fleet) -> None:
    fleet.endpoint.prevent_update = True
    assert paths(drift_of(fleet)) == [("PreventUpdate", "false", "true")]
    assert fleet.change().code == "prevent_update"


def test_a_setting_that_git_changed_waits_and_is_no_drift(fleet: Fleet) -> None:
    fleet.declare(SETTINGS.replace("20", "30"))
    assert (fleet.change().action, drift_of(fleet)) == (Action.UPDATE, None)
    assert fleet.apply().failures == ()
    fleet.endpoint.max_calls = 20
    assert paths(drift_of(fleet)) == [("settings.maxConcurrentCalls", "30", "20")]


def test_an_endpoint_that_was_deleted_by_hand_drifted_and_is_made_again(fleet: Fleet) -> None:
    del fleet.service.endpoints["old"]
    assert paths(drift_of(fleet)) == [("model", "2026-10", None)]
    assert fleet.change().action is Action.CREATE
    assert fleet.apply().failures == ()
    assert drift_of(fleet) is None


@pytest.mark.parametrize("how", ["prune", "absent"])
def test_what_this_program_deleted_and_git_declares_again_is_no_drift(
    fleet: Fleet, how: str
) -> None:
    if how == "prune":
        fleet.forget()
        assert fleet.apply(Prune()).failures == ()
    else:
        fleet.declare("  state: absent\n")
        assert fleet.apply().failures == ()
    assert "old" not in fleet.service.endpoints
    fleet.declare(SETTINGS)
    assert (fleet.change().action, drift_of(fleet)) == (Action.CREATE, None)
    assert fleet.apply().failures == ()
    fleet.endpoint.max_calls = 7
    assert drift_of(fleet) is not None


def test_settings_of_a_new_service_that_were_changed_by_hand_drifted(lab: Lab) -> None:
    declare(lab, FRESH)
    lab.apply()
    service = service_of(lab)
    assert service is not None
    service.properties["title"] = "Mine"
    service.properties["realtimeConfiguration"] = {"maxConcurrentCalls": 7}
    assert paths(lab.changes()[NAME].drift) == [
        ("settings.maxConcurrentCalls", "20", "7"),
        ("settings.title", "Fresh", "Mine"),
    ]


def test_settings_of_a_service_whose_model_this_program_never_swapped_drift_too(
    lab: Lab,
) -> None:
    lab.apply()
    blobs = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
    del blobs[f"_records/{binding_key(lab)}.json"]
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  settings: {title: Ours}\n")
    assert lab.changes()["breast-cancer"].action is Action.UPDATE
    lab.apply()
    assert lab.changes()["breast-cancer"].action is Action.NOOP
    service = service_of(lab, "breast-cancer-predictive")
    assert service is not None
    service.properties["title"] = "Mine"
    assert paths(lab.changes()["breast-cancer"].drift) == [("settings.title", "Ours", "Mine")]


def binding_key(lab: Lab) -> str:
    address = next(b for b in lab.desired().bindings if b.name == "breast-cancer").address
    return address.id.folded


def test_what_was_changed_before_git_owned_it_waits_and_is_no_drift(lab: Lab) -> None:
    lab.apply()
    (endpoint,) = [
        service.endpoints["young"]
        for service in lab.cloud.world.classic.values()
        if service.name == "Diabetes Scoring"
    ]
    endpoint.description = "Mine"
    lab.edit(
        "diabetes.yaml",
        "  endpoint: young\n",
        "  endpoint: young\n  settings: {description: Ours}\n",
    )
    change = lab.changes()["diabetes-young"]
    assert (change.action, change.drift) == (Action.UPDATE, None)
    assert lab.apply().failures == ()
    endpoint.description = "Mine"
    drift = lab.changes()["diabetes-young"].drift
    assert paths(drift) == [("settings.description", "Ours", "Mine")]


@pytest.mark.parametrize("applied", [True, False], ids=["drifted", "never applied"])
def test_status_and_verify_agree_about_a_model_that_is_not_the_declared_one(
    lab: Lab, applied: bool
) -> None:
    if applied:
        lab.apply()
        (binding,) = [b for b in lab.desired().bindings if b.name == "breast-cancer"]
        world = lab.world()
        record = world.ledger.record(binding.address)
        assert record is not None
        assert record.previous is not None
        world.targets[binding.kind].switch(binding, Model(record.previous))
        lab.clock.advance(60)
    bindings = lab.desired().bindings
    status = {o.binding.name: o.health.code for o in survey(lab.world(), bindings, 8)[0]}
    verified = {p.name: p.health.code for p in prove_all(lab.world(), bindings, 8)}
    assert status == verified
    assert status["breast-cancer"] is HealthCode.DEGRADED
    assert (HealthCode.HEALTHY in status.values()) == applied
