"""A New service from nothing to nothing: made, kept as git says, and deleted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.cli import compose
from reconciler.emulator import Fault
from reconciler.engine.survey import survey
from reconciler.model import Action, ArtifactState, Reason
from reconciler.plan import Prune, make_plan
from tests.fresh import FRESH, NAME, SERVICE, binding_of, declare, service_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.world import WebService
    from reconciler.model import Change, NotDeclared, Plan, Report
    from tests.lab import Lab


def alone(lab: Lab, text: str = FRESH) -> None:
    """Let git declare nothing but the service that is not there."""
    declare(lab, text)
    for name in ("breast-cancer.yaml", "diabetes.yaml"):
        (lab.services / "local" / name).unlink(missing_ok=True)
    lab.sent.clear()


def change(lab: Lab) -> Change:
    return lab.changes()[NAME]


def well(lab: Lab) -> Report:
    """Apply, which must end well and leave nothing to do and nothing to write."""
    report = lab.apply()
    assert report.failures == ()
    assert report.plan.converged
    lab.sent.clear()
    again = lab.apply()
    assert again.plan.converged
    assert lab.writes == []
    return report


def there(lab: Lab) -> WebService:
    service = service_of(lab)
    assert service is not None
    return service


def test_a_service_is_trained_for_made_and_proved_and_then_nothing_is_left_to_do(lab: Lab) -> None:
    alone(lab)
    planned = change(lab)
    assert (planned.action, planned.trains) == (Action.CREATE, True)
    assert lab.writes == []
    report = well(lab)
    (proof,) = report.proofs
    assert proof.proved
    assert there(lab).properties["title"] == "Fresh"
    ref = lab.world().ledger.ref(binding_of(lab).version)
    assert lab.world().targets["WebService"].observe(binding_of(lab)).served == ref


def test_a_version_that_is_trained_already_is_created_at_once(lab: Lab) -> None:
    lab.apply()
    alone(lab)
    planned = change(lab)
    assert (planned.action, planned.trains) == (Action.CREATE, False)
    assert {f"settings.{name}" for name, value in binding_of(lab).settings if value} <= {
        *("settings.diagnostics.level", "settings.maxConcurrentCalls", "settings.title")
    }
    well(lab)
    assert not [url for method, url in lab.sent if url.endswith("/start")]


def test_a_service_begins_with_an_accepted_model_or_not_at_all(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    alone(lab)
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9"', 'atLeast: "1.1"')
    report = lab.apply()
    assert [f.exit_code for f in report.failures] == [errors.REFUSED]
    assert change(lab).code == "gate"
    assert service_of(lab) is None
    assert not [url for method, url in lab.writes if method == "PUT" and "webServices" in url]


@pytest.mark.parametrize(
    "options",
    [
        {"patch_maps": "merge"},
        {"if_none_match": "honoured"},
        {"list_tags": False, "page_size": 1},
        {"async_failure": "errorInfo", "pace": "looks"},
        {"payloads": "blob", "payload_limit": 10},
    ],
    ids=str,
)
def test_a_service_lives_and_dies_under_every_reading(
    switched: Callable[..., Lab], options: dict[str, Any]
) -> None:
    lab = switched(**options)
    alone(lab)
    well(lab)
    there(lab).properties["title"] = "drift"
    assert change(lab).action is Action.UPDATE
    well(lab)
    lab.edit("fresh.yaml", "spec:\n", "spec:\n  state: absent\n")
    assert change(lab).action is Action.DELETE
    well(lab)
    assert service_of(lab) is None


def test_drift_of_settings_is_shown_field_by_field_and_the_rest_is_left_alone(lab: Lab) -> None:
    alone(lab)
    lab.apply()
    properties = there(lab).properties
    properties["title"], properties["description"] = "drift", "theirs"
    properties["realtimeConfiguration"] = {"maxConcurrentCalls": 4}
    there(lab).tags["team"] = "risk"
    planned = change(lab)
    assert planned.action is Action.UPDATE
    assert [(d.path, d.before, d.after) for d in planned.diffs] == [
        ("settings.maxConcurrentCalls", "4", "20"),
        ("settings.title", "drift", "Fresh"),
    ]
    lab.sent.clear()
    report = lab.apply()
    assert report.plan.converged
    assert [method for method, _ in lab.writes if method != "POST"].count("PATCH") == 1
    assert there(lab).properties["description"] == "theirs"
    assert there(lab).tags["team"] == "risk"
    well(lab)


def test_a_model_and_settings_that_differ_are_one_change(switched: Callable[..., Lab]) -> None:
    lab = switched()
    alone(lab)
    lab.apply()
    lab.edit("fresh.yaml", "2026-10", "2026-11")
    lab.edit("fresh.yaml", "title: Fresh", "title: Fresher")
    planned = change(lab)
    assert planned.action is Action.TRAIN
    assert {diff.path for diff in planned.diffs} == {"model", "settings.title"}
    well(lab)
    assert there(lab).properties["title"] == "Fresher"


def test_a_setting_that_the_service_refuses_stands_in_the_way_of_no_model(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = switched()
    # On the day of its validation the expiry was still to come.
    passed = lambda: compose.loaded(lab.services)["local"]  # noqa: E731
    monkeypatch.setattr(lab, "desired", passed)
    alone(lab)
    lab.apply()
    lab.edit("fresh.yaml", "2026-10", "2026-11")
    lab.edit("fresh.yaml", "{level: Error}", '{level: Error, expiry: "2001-01-01T00:00:00Z"}')
    report = lab.apply()
    (failure,) = report.failures
    assert "ExpiryTimeInThePast" in failure.message
    planned = change(lab)
    assert planned.action is Action.UPDATE
    assert planned.before == "2026-11"


def test_a_service_that_must_be_absent_is_deleted_and_stays_so(lab: Lab) -> None:
    alone(lab)
    lab.apply()
    lab.edit("fresh.yaml", "spec:\n", "spec:\n  state: absent\n")
    assert change(lab).action is Action.DELETE
    assert service_of(lab) is not None
    well(lab)
    assert service_of(lab) is None
    lab.edit("fresh.yaml", "  state: absent\n", "")
    assert change(lab).action is Action.CREATE
    well(lab)


def test_absence_of_what_never_was_is_nothing_to_do(lab: Lab) -> None:
    alone(lab, FRESH.replace("spec:\n", "spec:\n  state: absent\n"))
    assert change(lab).action is Action.NOOP
    well(lab)


def test_a_service_that_somebody_deployed_is_deleted_only_by_name_once_it_was_bound(
    lab: Lab,
) -> None:
    alone(lab, FRESH.replace(SERVICE, "breast-cancer-predictive"))
    well(lab)
    assert service_of(lab, "breast-cancer-predictive").tags["reconciler-adopted"] == "true"  # type: ignore[union-attr]
    (owned,) = lab.world().targets["WebService"].owned(frozenset())
    assert owned.adopted
    lab.edit("fresh.yaml", "spec:\n", "spec:\n  state: absent\n")
    assert change(lab).action is Action.DELETE


def test_a_service_that_somebody_deployed_and_nobody_bound_is_never_deleted(lab: Lab) -> None:
    alone(lab, FRESH.replace(SERVICE, "breast-cancer-predictive"))
    lab.edit("fresh.yaml", "spec:\n", "spec:\n  state: absent\n")
    planned = change(lab)
    assert (planned.action, planned.code) == (Action.BLOCK, "not_owned")
    assert "az tag update --operation merge" in planned.why
    lab.sent.clear()
    report = lab.apply()
    assert [f.exit_code for f in report.failures] == [errors.REFUSED]
    assert lab.writes == []
    found = service_of(lab, "breast-cancer-predictive")
    assert found is not None
    assert found.tags == {}
    # As the message says: who tags it gives it away.
    found.tags = {"managed-by": "reconciler", "reconciler-environment": "local@mllocal/models"}
    assert change(lab).action is Action.DELETE


def test_a_creation_that_fails_is_told_and_the_way_out_works(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    alone(lab)
    lab.cloud.faults.play("operation", "no room")
    report = lab.apply()
    assert ["no room" in f.message for f in report.failures] == [True]
    planned = change(lab)
    assert (planned.action, planned.code) == (Action.BLOCK, "creation_failed")
    lab.edit("fresh.yaml", "spec:\n", "spec:\n  state: absent\n")
    well(lab)
    lab.edit("fresh.yaml", "  state: absent\n", "")
    well(lab)


def test_a_first_model_that_is_not_proved_is_rejected_and_the_next_one_takes_its_place(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    wrong = '    expect: {Scored Probabilities: {atLeast: "2"}}\n'
    alone(lab, FRESH + wrong)
    report = lab.apply()
    (failure,) = report.failures
    assert failure.exit_code == errors.UNPROVED
    assert "there is no way back" in failure.message
    assert (change(lab).action, change(lab).code) == (Action.BLOCK, "no_way_back")
    declare(lab, FRESH.replace("2026-10", "2026-11"))
    assert change(lab).action is Action.TRAIN
    well(lab)


@pytest.mark.parametrize("kind", ["lost-answer", "reset"])
def test_a_creation_whose_answer_is_lost_happens_once(
    switched: Callable[..., Lab], kind: str
) -> None:
    lab = switched()
    alone(lab)
    lab.cloud.faults.script(Fault("arm.put", kind))
    assert lab.apply().failures == ()
    assert there(lab).updates == 1
    well(lab)


def test_a_deletion_whose_answer_is_lost_is_gone_on_with(switched: Callable[..., Lab]) -> None:
    lab = switched()
    alone(lab)
    lab.apply()
    lab.edit("fresh.yaml", "spec:\n", "spec:\n  state: absent\n")
    lab.cloud.faults.script(Fault("arm.delete", "lost-answer"))
    assert lab.apply().failures == ()
    assert service_of(lab) is None
    well(lab)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_read_that_fails_makes_and_deletes_nothing(
    switched: Callable[..., Lab], status: int
) -> None:
    lab = switched()
    alone(lab)
    lab.apply()
    for text in (FRESH, FRESH.replace("spec:\n", "spec:\n  state: absent\n")):
        declare(lab, text)
        lab.sent.clear()
        lab.cloud.faults.script(Fault("arm.get", "status", times=1000, status=status))
        planned = change(lab)
        report = lab.apply()
        lab.cloud.faults.forget()
        assert (planned.action, planned.code) == (Action.BLOCK, "unreadable")
        assert [f.exit_code for f in report.failures] == [errors.ERROR]
        assert lab.writes == []
    assert service_of(lab) is not None


# --- what git declares no more ---------------------------------------------------------------


class Forgetful:
    """A lab that made a service, and whose git forgot it and declares only what is `beside`."""

    def __init__(self, lab: Lab, beside: str = "breast-cancer.yaml") -> None:
        self.lab = lab
        declare(lab)
        assert lab.apply().failures == ()
        for name in {"fresh.yaml", "breast-cancer.yaml", "diabetes.yaml"} - {beside}:
            (lab.services / "local" / name).unlink()
        lab.sent.clear()

    def look(self, prune: Prune | None = None) -> tuple[Plan, NotDeclared]:
        wanted = self.lab.desired()
        world = self.lab.world(read_only=True)
        observed, lost = survey(world, wanted.bindings, 8, wanted.bindings)
        return make_plan(wanted.environment, observed, None, lost, prune), lost

    def change(self, prune: Prune | None = None) -> Change | None:
        return next((c for c in self.look(prune)[0].changes if c.name == SERVICE), None)

    def apply(self, prune: Prune | None = None) -> None:
        plan, lost = self.look(prune)
        self.lab.converge(self.lab.world(), 8, plan, not_declared=lost.found)


@pytest.mark.parametrize("options", [{}, {"list_tags": False, "page_size": 1}], ids=str)
def test_what_git_forgot_is_shown_and_deleted_by_prune_alone(
    switched: Callable[..., Lab], options: dict[str, Any]
) -> None:
    forgetful = Forgetful(switched(**options))
    planned = forgetful.change()
    assert planned is not None
    assert (planned.action, planned.code) == (Action.NOOP, Reason.NOT_DECLARED)
    forgetful.apply()
    assert forgetful.lab.writes == []
    planned = forgetful.change(Prune())
    assert planned is not None
    assert planned.action is Action.DELETE
    forgetful.apply(Prune())
    assert [method for method, _ in forgetful.lab.writes if method != "PUT"] == ["DELETE"]
    assert service_of(forgetful.lab) is None
    assert service_of(forgetful.lab, "breast-cancer-predictive") is not None
    assert forgetful.change(Prune()) is None


def test_the_last_service_that_git_forgets_is_found_too(switched: Callable[..., Lab]) -> None:
    lab = switched()
    forgetful = Forgetful(lab, beside="diabetes.yaml")
    planned = forgetful.change()
    assert planned is not None
    assert (planned.kind, planned.code) == ("WebService", Reason.NOT_DECLARED)
    assert asked_for_services(lab)
    forgetful.apply(Prune())
    assert service_of(lab) is None
    assert service_of(lab, "breast-cancer-predictive") is not None
    assert forgetful.change(Prune()) is None


def test_a_kind_that_nobody_ever_declared_is_not_asked_for(lab: Lab) -> None:
    (lab.services / "local" / "breast-cancer.yaml").unlink()
    wanted = lab.desired()
    survey(lab.world(read_only=True), wanted.bindings, 8, wanted.bindings)
    assert lab.sent
    assert not asked_for_services(lab)


def asked_for_services(lab: Lab) -> list[str]:
    return [url for _, url in lab.sent if "/providers/Microsoft.MachineLearning/" in url]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
@pytest.mark.parametrize("route", ["arm.list", "arm.get"])
def test_what_was_not_read_to_its_end_deletes_nothing(
    switched: Callable[..., Lab], route: str, status: int
) -> None:
    forgetful = Forgetful(switched(page_size=1))
    forgetful.lab.cloud.faults.script(Fault(route, "status", times=1000, status=status))
    plan, lost = forgetful.look(Prune())
    assert plan.counts[Action.DELETE] == 0
    assert plan.notes
    forgetful.apply(Prune())
    forgetful.lab.cloud.faults.forget()
    assert lost.found == ()
    assert "DELETE" not in [method for method, _ in forgetful.lab.writes]
    assert service_of(forgetful.lab) is not None


def test_what_is_protected_by_its_tag_outlives_the_block_that_said_so(
    switched: Callable[..., Lab],
) -> None:
    forgetful = Forgetful(switched())
    there(forgetful.lab).tags["reconciler-protect"] = "true"
    planned = forgetful.change(Prune())
    assert planned is not None
    assert (planned.action, planned.code) == (Action.BLOCK, "protected")
    forced = forgetful.change(Prune(forced=True))
    assert forced is not None
    assert forced.action is Action.DELETE


def test_a_prune_beyond_its_threshold_is_refused(switched: Callable[..., Lab]) -> None:
    lab = switched()
    for number in range(2):
        text = FRESH.replace("name: fresh", f"name: fresh-{number}", 1)
        declare(lab, text.replace(SERVICE, f"{SERVICE}-{number}"), f"fresh-{number}.yaml")
    (lab.services / "local" / "diabetes.yaml").unlink()
    assert lab.apply().failures == ()
    for number in range(2):
        (lab.services / "local" / f"fresh-{number}.yaml").unlink()
    wanted = lab.desired()
    observed, lost = survey(lab.world(read_only=True), wanted.bindings, 8, wanted.bindings)
    plan = make_plan(wanted.environment, observed, None, lost, Prune())
    assert plan.counts[Action.DELETE] == 2
    (excess,) = plan.excess
    assert excess.startswith("2 of 3 endpoints would be deleted")
    assert "limits.deletes is 10%" in excess


def test_an_export_makes_a_service_that_exports_alike(switched: Callable[..., Lab]) -> None:
    lab = switched()
    alone(lab)
    lab.apply()
    target = lab.world().targets["WebService"]
    made = target.export(binding_of(lab))
    declare(lab, FRESH.replace(SERVICE, "breast-cancer-predictive"))
    first = target.export(binding_of(lab))
    owned = {"title", "realtimeConfiguration", "diagnostics", "assets", "readOnly"}
    assert {n: v for n, v in made["properties"].items() if n not in owned} == {
        n: v for n, v in first["properties"].items() if n not in owned
    }


def test_the_artifact_that_a_new_service_begins_with_is_the_accepted_one(
    switched: Callable[..., Lab],
) -> None:
    from reconciler.engine.observe import observe

    lab = switched()
    alone(lab)
    lab.apply()
    seen = observe(lab.world(), binding_of(lab))
    assert seen.artifact.state is ArtifactState.READY
    assert seen.proved
