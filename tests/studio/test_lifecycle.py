"""Classic endpoints that are made, changed, deleted and forgotten, in the emulated world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli import ending
from reconciler.emulator.faults import Fault
from reconciler.engine.survey import survey
from reconciler.model import Action, NotDeclared, Reason
from reconciler.plan import Prune, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.world import ClassicService, Endpoint
    from reconciler.model import Change, Plan, Report
    from tests.lab import Lab

SETTINGS = "  settings: {description: Older people, throttleLevel: High, maxConcurrentCalls: 20}\n"


class Fleet:
    """A lab whose endpoint `old` is declared with `create: true` and is not there yet."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.lost = NotDeclared()
        path = lab.services / "local" / "diabetes.yaml"
        young = next(d for d in path.read_text().split("---\n") if "name: diabetes-young}" in d)
        self.document = young.replace("diabetes-young", "diabetes-old").replace(
            "endpoint: young", "endpoint: old\n  create: true"
        )
        self.write(self.document)

    def write(self, text: str) -> None:
        (self.lab.services / "local" / "old.yaml").write_text(text)

    def declare(self, more: str) -> None:
        """The same with more members of its spec."""
        self.write(self.document.replace("spec:\n", f"spec:\n{more}"))

    def forget(self) -> None:
        (self.lab.services / "local" / "old.yaml").unlink()

    def plan(self, prune: Prune | None = None) -> Plan:
        wanted = self.lab.desired()
        world = self.lab.world(read_only=True)
        observed, self.lost = survey(world, wanted.bindings, 8, wanted.bindings)
        return make_plan(wanted.environment, observed, None, self.lost, prune)

    def change(self, prune: Prune | None = None) -> Change:
        return next(c for c in self.plan(prune).changes if c.name in ("diabetes-old", "old"))

    def apply(self, prune: Prune | None = None) -> Report:
        plan = self.plan(prune)
        world = self.lab.world()
        ended = self.lab.converge(world, 8, plan, not_declared=self.lost.found)
        return ending.make_report(self.plan(prune), ended, 0.0, 0)

    @property
    def service(self) -> ClassicService:
        found = self.lab.cloud.world.classic.values()
        return next(service for service in found if service.name == "Diabetes Scoring")

    @property
    def endpoint(self) -> Endpoint:
        return self.service.endpoints["old"]


@pytest.fixture
def fleet(lab: Lab) -> Fleet:
    return Fleet(lab)


@pytest.fixture
def fleet_of(switched: Callable[..., Lab]) -> Callable[..., Fleet]:
    return lambda **options: Fleet(switched(**options))


# --- making ----------------------------------------------------------------------------------


def test_planning_a_creation_only_reads(fleet: Fleet) -> None:
    change = fleet.change()
    assert (change.action, change.code, change.before) == (Action.CREATE, "not_trained", "")
    assert fleet.lab.writes == []


def test_an_endpoint_is_made_trained_for_bound_and_proved(fleet: Fleet) -> None:
    report = fleet.apply()
    assert report.failures == ()
    assert "diabetes-old" in [proof.name for proof in report.proofs if proof.proved]
    assert report.plan.converged
    assert fleet.endpoint.model != fleet.service.endpoints["default"].model
    assert fleet.endpoint.description == "[reconciler: local@mllocal/models]"


def test_a_second_apply_of_what_was_made_writes_nothing(fleet: Fleet) -> None:
    fleet.declare(SETTINGS)
    assert fleet.apply().failures == ()
    fleet.lab.sent.clear()
    report = fleet.apply()
    assert (report.done, report.plan.converged, fleet.lab.writes) == ((), True, [])


@pytest.mark.parametrize("location", ["visible", "hidden"])
def test_what_is_made_needs_no_way_back(fleet_of: Callable[..., Fleet], location: str) -> None:
    fleet = fleet_of(classic_location=location)
    fleet.write(fleet.document.replace("  adopt: true\n", ""))
    report = fleet.apply()
    assert report.failures == ()
    assert report.plan.converged


def test_nothing_is_made_for_a_model_that_its_gates_refuse(fleet: Fleet) -> None:
    fleet.lab.edit("models/diabetes.yaml", 'atMost: "90"', 'atMost: "1"')
    report = fleet.apply()
    assert "diabetes-old" in [failure.name for failure in report.failures]
    assert "old" not in fleet.service.endpoints


def test_a_free_workspace_refuses_with_its_limits(fleet: Fleet) -> None:
    for workspace in fleet.lab.cloud.world.workspaces.values():
        workspace.tier = "free"
    report = fleet.apply()
    (failure,) = [f for f in report.failures if f.name == "diabetes-old" and f.exit_code != 1]
    assert failure.exit_code == errors.REFUSED
    assert "a free workspace has at most 3 endpoints" in failure.message


def test_an_endpoint_of_a_training_service_is_not_made(fleet: Fleet) -> None:
    fleet.write(fleet.document.replace("Diabetes Scoring", "Diabetes Training"))
    for service in fleet.lab.cloud.world.classic.values():
        if service is not fleet.service:
            service.name = "Diabetes Training"
    assert fleet.change().code == "no_updatable_resources"


def test_an_endpoint_that_was_there_before_is_marked_only_together_with_settings(
    fleet: Fleet,
) -> None:
    fleet.declare("")
    fleet.apply()
    fleet.endpoint.description = "somebody's"
    assert fleet.plan().converged  # nobody knows whether a PUT keeps the model
    fleet.declare("  state: absent\n")
    assert fleet.change().code == "not_owned"
    fleet.declare(SETTINGS)
    assert fleet.apply().failures == ()
    mark = "[reconciler: local@mllocal/models, adopted]"
    assert fleet.endpoint.description == f"Older people\n{mark}"
    fleet.forget()
    (owned,) = (
        fleet.lab.world()
        .targets["ClassicEndpoint"]
        .owned(frozenset(binding.address.id for binding in fleet.lab.desired().bindings))
    )
    assert owned.adopted


def test_what_another_environment_made_is_left_to_it(fleet: Fleet) -> None:
    fleet.apply()
    fleet.endpoint.description = "[reconciler: other@mllocal/models]"
    change = fleet.change()
    assert (change.action, change.code) == (Action.BLOCK, "not_owned")
    assert "other@mllocal/models" in change.why
    fleet.forget()
    assert "old" not in [c.name for c in fleet.plan().changes]


# --- settings --------------------------------------------------------------------------------


def test_settings_are_made_with_the_endpoint(fleet: Fleet) -> None:
    fleet.declare(SETTINGS)
    paths = [diff.path for diff in fleet.change().diffs if diff.path.startswith("settings.")]
    assert paths == [
        "settings.description",
        "settings.maxConcurrentCalls",
        "settings.throttleLevel",
    ]
    fleet.apply()
    assert (fleet.endpoint.throttle, fleet.endpoint.max_calls) == ("High", 20)
    assert fleet.endpoint.description == "Older people\n[reconciler: local@mllocal/models]"


def test_drift_of_a_setting_is_shown_by_field_and_healed(fleet: Fleet) -> None:
    fleet.declare(SETTINGS)
    fleet.apply()
    fleet.endpoint.max_calls = 7
    change = fleet.change()
    assert change.action is Action.UPDATE
    assert [(d.path, d.before, d.after) for d in change.diffs] == [
        ("settings.maxConcurrentCalls", "7", "20")
    ]
    model = fleet.endpoint.model
    report = fleet.apply()
    assert report.failures == ()
    assert [proof.name for proof in report.proofs if proof.proved] == ["diabetes-old"]
    assert (fleet.endpoint.max_calls, fleet.endpoint.model) == (20, model)


def test_settings_that_are_not_declared_survive(fleet: Fleet) -> None:
    fleet.declare('  settings: {description: "Older people"}\n')
    fleet.apply()
    fleet.endpoint.throttle, fleet.endpoint.max_calls = "High", 33
    fleet.declare('  settings: {description: "Old people"}\n')
    assert fleet.apply().failures == ()
    assert (fleet.endpoint.throttle, fleet.endpoint.max_calls) == ("High", 33)
    assert fleet.endpoint.description.startswith("Old people\n")


def test_a_settings_write_that_takes_the_model_away_is_healed_by_the_same_run(
    fleet_of: Callable[..., Fleet],
) -> None:
    fleet = fleet_of(classic_put="reset")
    fleet.declare(SETTINGS)
    fleet.apply()
    model, fleet.endpoint.max_calls = fleet.endpoint.model, 7
    report = fleet.apply()
    assert report.failures == ()
    assert report.plan.converged
    assert (fleet.endpoint.max_calls, fleet.endpoint.model) == (20, model)


def test_a_service_that_changes_no_settings_is_told_and_keeps_its_model(
    fleet_of: Callable[..., Fleet],
) -> None:
    fleet = fleet_of(classic_put="refused")
    fleet.declare(SETTINGS)
    fleet.apply()
    model, fleet.endpoint.max_calls = fleet.endpoint.model, 7
    report = fleet.apply()
    (failure,) = [f for f in report.failures if f.exit_code == errors.REFUSED]
    assert "the service refused this" in failure.message
    assert fleet.endpoint.model == model


# --- the end ---------------------------------------------------------------------------------


def test_what_is_declared_absent_is_deleted_and_stays_away(fleet: Fleet) -> None:
    fleet.apply()
    fleet.declare("  state: absent\n")
    assert fleet.change().action is Action.DELETE
    report = fleet.apply()
    assert report.failures == ()
    assert [(p.name, p.gone, p.proved) for p in report.proofs] == [("diabetes-old", True, True)]
    assert "old" not in fleet.service.endpoints
    fleet.lab.sent.clear()
    assert fleet.apply().done == ()
    assert fleet.lab.writes == []


def test_what_was_deleted_can_be_made_again(fleet: Fleet) -> None:
    fleet.apply()
    fleet.declare("  state: absent\n")
    fleet.apply()
    fleet.write(fleet.document)
    assert fleet.change().code == "missing"
    report = fleet.apply()
    assert report.failures == ()
    assert report.plan.converged


def test_a_forgotten_endpoint_is_shown_and_left(fleet: Fleet) -> None:
    fleet.apply()
    fleet.forget()
    change = fleet.change()
    assert (change.action, change.code) == (Action.NOOP, Reason.NOT_DECLARED)
    fleet.lab.sent.clear()
    report = fleet.apply()
    assert (report.plan.converged, report.done, fleet.lab.writes) == (True, (), [])
    assert "old" in fleet.service.endpoints


def test_prune_deletes_what_is_forgotten_and_nothing_else(fleet: Fleet) -> None:
    fleet.apply()
    fleet.forget()
    before = set(fleet.service.endpoints)
    report = fleet.apply(Prune())
    assert report.failures == ()
    assert before - set(fleet.service.endpoints) == {"old"}
    assert fleet.plan(Prune()).converged


def test_the_last_endpoint_that_git_forgets_is_found_too(fleet: Fleet) -> None:
    fleet.apply()
    fleet.forget()
    (fleet.lab.services / "local" / "diabetes.yaml").unlink()
    assert fleet.change().code == Reason.NOT_DECLARED
    assert fleet.apply(Prune()).failures == ()
    assert "old" not in fleet.service.endpoints
    assert fleet.plan(Prune()).converged


def test_without_the_token_of_a_kind_that_is_left_the_plan_says_what_it_does_not_know(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.apply()
    fleet.forget()
    (fleet.lab.services / "local" / "diabetes.yaml").unlink()
    environ = {**fleet.lab.environ, "LOCAL_WORKSPACE_TOKEN": ""}
    monkeypatch.setattr(type(fleet.lab), "environ", environ)
    plan = fleet.plan(Prune())
    assert plan.counts[Action.DELETE] == 0
    (unknown, kept) = plan.notes
    assert unknown.startswith("could not look for undeclared endpoints: ClassicEndpoint: ")
    assert "environment variable LOCAL_WORKSPACE_TOKEN is not set" in unknown
    assert kept.startswith("undeclared endpoints were not deleted, because ")


def test_protection_survives_the_block_that_declared_it(fleet: Fleet) -> None:
    fleet.declare("  protect: true\n")
    fleet.write(fleet.document)
    fleet.apply()
    fleet.declare("  protect: true\n")
    assert fleet.change().action is Action.UPDATE
    assert fleet.apply().failures == ()
    assert fleet.endpoint.description == "[reconciler: local@mllocal/models, protected]"
    fleet.forget()
    assert fleet.change(Prune()).code == "protected"
    fleet.apply(Prune())
    assert "old" in fleet.service.endpoints
    fleet.apply(Prune(forced=True))
    assert "old" not in fleet.service.endpoints


def test_the_platforms_own_protection_is_honoured(fleet: Fleet) -> None:
    fleet.apply()
    fleet.forget()
    fleet.endpoint.prevent_update = True
    assert fleet.change(Prune(forced=True)).code == "prevent_update"


def test_the_default_endpoint_is_never_deleted_whatever_its_mark(fleet: Fleet) -> None:
    default = fleet.service.endpoints["default"]
    default.description = "[reconciler: local@mllocal/models]"
    plan = fleet.plan(Prune(forced=True))
    assert "classic/Diabetes Scoring/default" not in {c.address for c in plan.changes}
    assert fleet.lost.unrecorded == ("classic/Diabetes Scoring/default",)
    target = fleet.lab.world().targets["ClassicEndpoint"]
    (lost,) = [one for one in target.owned(frozenset()) if one.name == "default"]
    assert lost.keep is not None
    assert lost.keep.code == "default_endpoint"
    with pytest.raises(errors.RefusedError, match="never deleted"):
        target.delete(lost.address)


def test_a_list_that_cannot_be_read_deletes_nothing(fleet: Fleet) -> None:
    fleet.apply()
    fleet.forget()
    fleet.lab.cloud.faults.script(Fault("classic.endpoints.get", "status", status=403, times=1000))
    plan = fleet.plan(Prune())
    assert plan.counts[Action.DELETE] == 0
    assert any("were not deleted" in note for note in plan.notes)


def test_a_404_alone_makes_nothing(fleet: Fleet) -> None:
    fleet.apply()
    fleet.lab.cloud.faults.script(Fault("classic.endpoint.get", "status", status=404, times=1000))
    assert {c.code for c in fleet.plan().changes} <= {
        "unreadable",
        "in_sync",
        "missing",
        "default_endpoint",
    }
    assert fleet.plan().counts[Action.CREATE] == 0


@pytest.mark.parametrize("absent", [False, True])
def test_a_step_believes_no_404_of_an_endpoint_that_the_service_lists(
    fleet: Fleet, absent: bool
) -> None:
    fleet.apply()
    if absent:
        fleet.write(fleet.document.replace("\n  create: true", "\n  state: absent"))
    binding = next(b for b in fleet.lab.desired().bindings if b.name == "diabetes-old")
    fleet.lab.cloud.faults.script(Fault("classic.endpoint.get", "status", status=404))
    with pytest.raises(errors.UnreadableError, match="though the service lists it"):
        fleet.lab.world().targets["ClassicEndpoint"].observe(binding)


def test_an_endpoint_without_our_mark_is_never_deleted(fleet: Fleet) -> None:
    young = next(b for b in fleet.lab.desired().bindings if b.name == "diabetes-young")
    with pytest.raises(errors.RefusedError, match="does not carry the mark"):
        fleet.lab.world().target("ClassicEndpoint").delete(young.address)
    assert "young" in fleet.service.endpoints
