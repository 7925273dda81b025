"""Where the reference says [U], the client must be right under both readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.cli import ending
from reconciler.emulator import Fault
from reconciler.engine.history import history
from reconciler.engine.steps import Goal
from reconciler.engine.train import claim
from reconciler.engine.world import timestamp
from reconciler.errors import ConflictError
from reconciler.ledger import Attempt
from reconciler.model import Action, Reason
from tests.fresh import binding_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

SWITCHES = [
    {"status_codes": "numbers"},
    {"classic_location": "hidden"},
    {"patch_maps": "merge"},
    {"classic_patch_body": False},
    {"job_times": True},
    {"async_failure": "error"},
    {"speed": 100.0},
]


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: next(iter(s)))
def test_apply_converges_under_every_switch(
    switched: Callable[..., Lab], switches: dict[str, Any]
) -> None:
    lab = switched(**switches)
    assert lab.apply().failures == ()
    lab.sent.clear()
    assert lab.apply().plan.converged
    assert lab.writes == []


def test_a_hidden_location_is_witnessed_by_a_record_and_the_plan_says_so(
    switched: Callable[..., Lab],
) -> None:
    lab = switched(classic_location="hidden")
    before = lab.changes()["diabetes-young"]
    assert before.before == "hidden"
    report = lab.apply()
    after = lab.changes()["diabetes-young"]
    assert after.action is Action.NOOP
    assert any("the record in the store names it" in text for text in after.warnings)
    proof = next(p for p in report.proofs if p.name == "diabetes-young")
    assert any("record in the store" in text for text in proof.warnings)


@pytest.mark.parametrize("shape", ["error", "errorInfo", "both"])
def test_a_failed_operation_is_a_failure_with_the_services_reason(
    switched: Callable[..., Lab], shape: str
) -> None:
    lab = switched(async_failure=shape)
    lab.cloud.faults.play("operation", "the disk is full")
    report = lab.apply()
    (failure,) = report.failures
    assert (failure.name, failure.exit_code) == ("breast-cancer", errors.UNPROVED)
    assert "the disk is full" in failure.message
    assert len(report.proofs) == 3


def test_a_success_that_changed_nothing_is_an_error_of_its_own(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.play("operation", "nothing")
    report = lab.apply()
    (failure,) = report.failures
    assert failure.exit_code == errors.UNPROVED
    assert failure.message.startswith(
        "the service said that the update succeeded, but reading it back shows "
    )
    assert ending.report_exit_code(report) == errors.UNPROVED


def test_a_classic_patch_that_changed_nothing_is_an_error_after_the_window(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.play("patch", "nothing", times=3)
    began = lab.clock()
    report = lab.apply()
    assert {failure.exit_code for failure in report.failures} == {errors.UNPROVED}
    assert len(report.failures) == 3
    assert lab.clock() - began > 30


def test_a_hidden_patch_that_changed_nothing_is_at_least_said_to_be_unwitnessed(
    switched: Callable[..., Lab],
) -> None:
    lab = switched(classic_location="hidden")
    lab.cloud.faults.play("patch", "nothing", times=3)
    proofs = {proof.name: " ".join(proof.warnings) for proof in lab.apply().proofs}
    assert "nothing but the service's word shows the swap" in proofs["diabetes-young"]
    assert "nothing but" not in proofs["breast-cancer"]


def test_a_failed_job_blocks_with_its_details_and_stays_so(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.cloud.faults.play("job", "Error 0018: no header", times=8)
    report = lab.apply()
    assert {failure.exit_code for failure in report.failures} == {errors.REFUSED}
    assert all("Error 0018: no header" in failure.message for failure in report.failures)
    lab.sent.clear()
    assert {c.code for c in lab.plan().changes} == {"training_failed"}
    lab.apply()
    assert lab.writes == []


def test_a_failed_attempt_is_kept_and_tried_again(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.cloud.faults.play("job", "Error 0018: no header", times=4)
    assert lab.apply().failures == ()
    for binding in lab.desired().bindings:
        entry = lab.world().ledger.read(binding.version)
        assert entry is not None
        first, second = entry.manifest.attempts
        assert "Error 0018: no header" in first.failure
        assert second.failure == ""
        assert first.job != second.job


def test_the_number_of_attempts_can_be_one(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.cloud.faults.play("job", "Error 0018: no header", times=4)
    for name in ("breast-cancer", "diabetes"):
        lab.edit(f"models/{name}.yaml", "timeout: 30m", "timeout: 30m\n    retry: {attempts: 1}")
    assert len(lab.apply().failures) == 4
    assert len(lab.cloud.world.jobs) == 4


def test_the_plan_says_that_an_attempt_failed_and_which_comes_next(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.play("job", "Error 0018: no header", times=4)
    lab.edit("models/diabetes.yaml", "timeout: 30m", "timeout: 30m\n    retry: {attempts: 1}")
    lab.apply()
    lab.edit("models/diabetes.yaml", "attempts: 1", "attempts: 2")
    failed = [c for c in lab.plan().changes if c.code == "retry"]
    assert len(failed) == 3
    assert all(c.action is Action.TRAIN for c in failed)
    assert all("attempt 1 of 2 failed: training job" in c.why for c in failed)


@pytest.mark.parametrize("spelling", ["Cancelled", "Canceled"])
def test_a_cancelled_job_ends_in_either_spelling(
    switched: Callable[..., Lab], spelling: str
) -> None:
    lab = switched(cancelled=spelling)
    lab.cloud.faults.play("job", "cancelled", times=8)
    assert len(lab.apply().failures) == 4


def test_a_job_that_takes_too_long_is_cancelled(switched: Callable[..., Lab]) -> None:
    lab = switched(job_s=1e6)
    report = lab.apply()
    assert len(report.failures) == 4
    assert all("not finished within 1800 s" in failure.message for failure in report.failures)
    assert {job.state for job in lab.cloud.world.jobs.values()} == {"Cancelled"}


UNREADABLE_READS = [
    ("status", {"status": 401}),
    ("status", {"status": 403}),
    ("status", {"status": 429}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("html", {}),
    ("truncated", {}),
    ("reset", {}),
    ("status", {"status": 200, "body": "[]"}),
    ("status", {"status": 200, "body": "{}"}),
    ("status", {"status": 200, "body": ""}),
    ("status", {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}),
]


@pytest.mark.parametrize("route", ["arm.get", "classic.endpoint.get", "classic.services.get"])
@pytest.mark.parametrize(("kind", "more"), UNREADABLE_READS)
def test_a_read_that_fails_never_becomes_a_change(
    switched: Callable[..., Lab], route: str, kind: str, more: dict[str, Any]
) -> None:
    lab = switched()
    lab.apply()
    lab.want("2026-11")
    lab.cloud.faults.script(Fault(route, kind, times=1000, **more))
    if route == "classic.endpoint.get":  # a plan lists them first, and asks for what it misses
        lab.cloud.faults.script(Fault("classic.endpoints.get", kind, times=1000, **more))
    changes = [c for c in lab.plan().changes if (c.kind == "WebService") == (route == "arm.get")]
    if route == "classic.services.get" and more.get("body") == "[]":
        # An empty list is a valid answer: nothing is there, and that is a BLOCK as well.
        assert {c.code for c in changes} == {"missing"}
    else:
        assert {c.code for c in changes} == {Reason.UNREADABLE}
    assert {c.action for c in changes} == {Action.BLOCK}
    assert all(c.why for c in changes)


@pytest.mark.parametrize("route", ["arm.patch", "classic.endpoint.patch"])
def test_a_page_in_answer_to_an_update_is_called_a_page_and_the_next_run_converges(
    switched: Callable[..., Lab], route: str
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault(route, "html"))
    (failure,) = lab.apply().failures
    assert "got an HTML page (text/html)" in failure.message
    assert failure.exit_code == errors.ERROR
    assert lab.apply().failures == ()
    assert lab.plan().converged


def test_a_throttled_service_is_asked_again_and_converges(switched: Callable[..., Lab]) -> None:
    lab = switched()
    for route in ("arm.get", "arm.patch", "classic.endpoint.patch", "bes.look", "blob.put"):
        throttled = Fault(route, "status", times=2, status=503, headers={"Retry-After": "3"})
        lab.cloud.faults.script(throttled)
    assert lab.apply().failures == ()


def test_a_submission_whose_answer_is_lost_is_submitted_again_and_one_job_starts(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("bes.submit", "lost-answer", times=2))
    lab.cloud.faults.script(Fault("bes.start", "lost-answer", times=2))
    assert lab.apply().failures == ()
    started = [job for job in lab.cloud.world.jobs.values() if job.state != "NotStarted"]
    assert len(started) == 4


@pytest.mark.parametrize("route", ["arm.patch", "classic.endpoint.patch"])
def test_a_swap_whose_answer_is_lost_is_proved_all_the_same(
    switched: Callable[..., Lab], route: str
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault(route, "lost-answer", times=1))
    report = lab.apply()
    assert report.failures == ()
    assert len(report.proofs) == 4


def test_a_read_only_service_is_refused_before_training(switched: Callable[..., Lab]) -> None:
    lab = switched()
    service = next(s for s in lab.cloud.world.services.values() if "predictive" in s.name)
    service.properties["readOnly"] = True
    change = lab.changes()["breast-cancer"]
    assert (change.action, change.code) == (Action.BLOCK, "read_only")
    lab.apply()
    assert not [url for _, url in lab.writes if "breast-cancer" in url]


def test_a_protected_endpoint_is_refused(switched: Callable[..., Lab]) -> None:
    lab = switched()
    for service in lab.cloud.world.classic.values():
        for endpoint in service.endpoints.values():
            endpoint.prevent_update = True
    assert lab.changes()["diabetes-young"].code == "prevent_update"


def test_a_model_that_fails_its_gate_is_never_bound(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.edit("models/breast-cancer.yaml", 'atLeast: "0.9"', 'atLeast: "0.9999"')
    report = lab.apply()
    (failure,) = report.failures
    assert failure.exit_code == errors.REFUSED
    assert failure.message == "not accepted: AUC is 0.992063, and must be atLeast 0.9999"
    assert not [w for w in lab.writes if w[0] == "PATCH" and "breast" in w[1]]


def test_a_missing_input_is_known_before_any_job(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.want("2027-01")
    assert {c.code for c in lab.plan().changes} == {"input_missing"}
    lab.apply()
    assert lab.writes == []


def test_a_changed_recipe_under_a_trained_version_is_blocked(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.apply()
    lab.edit("models/diabetes.yaml", 'Regularization: "2.0"', 'Regularization: "3.0"')
    change = lab.changes()["diabetes-young"]
    assert (change.action, change.code) == (Action.BLOCK, "recipe_changed")
    (diff,) = change.diffs
    assert (diff.path, diff.before, diff.after) == (
        "recipe.parameters.Regularization",
        "2.0",
        "3.0",
    )


def test_a_stopped_run_goes_on_where_it_was(switched: Callable[..., Lab]) -> None:
    from dataclasses import replace

    lab = switched()
    steps = iter(range(1000))
    world = replace(lab.world(), stopping=lambda: next(steps) > 12)
    ended = lab.converge(world, 4)
    assert len(ended) < 4
    assert lab.apply().failures == ()
    starts = [u for m, u in lab.writes if m == "POST" and u.endswith("/start")]
    assert len(starts) == 4


@pytest.mark.parametrize("status", [400, 404])
def test_an_endpoint_that_does_not_answer_its_probe_after_the_swap_is_not_proved(
    switched: Callable[..., Lab], status: int
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=1000, status=status))
    report = lab.apply()
    assert {failure.exit_code for failure in report.failures} == {errors.UNPROVED}
    assert len(report.failures) == 4
    assert all("does not answer the probe" in failure.message for failure in report.failures)


def test_an_endpoint_that_warms_up_is_waited_for(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=12, status=503))
    assert lab.apply().failures == ()


@pytest.mark.parametrize("goal", Goal, ids=lambda goal: goal.value)
def test_missing_columns_are_the_probes_mistake_and_found_before_anything_is_trained(
    switched: Callable[..., Lab], goal: Goal
) -> None:
    lab = switched()
    lab.edit("breast-cancer.yaml", "Scored Probabilities", "Scored Probability")
    ended = lab.converge(lab.world(), 8, goal=goal)
    (failure,) = [one.failure for one in ended.values() if one.failure]
    assert failure.exit_code == errors.REFUSED
    assert not [w for w in lab.writes if w[0] == "PATCH" and "breast" in w[1]]
    assert lab.world().ledger.read(binding_of(lab, "breast-cancer").version) is None
    assert not [job for job in lab.cloud.world.jobs.values() if "breast" in str(vars(job))]
    assert 'has no column "Scored Probability"' in failure.message
    assert 'did you mean "Scored Probabilities"?' in failure.message


def test_an_endpoint_that_does_not_answer_keeps_nobody_from_training(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("score.new", "status", times=10, status=503))
    assert all(e.failure is None for e in lab.converge(lab.world(), 8, goal=Goal.TRAINED).values())
    assert lab.changes()["breast-cancer"].action is Action.BIND


def test_whoever_only_trains_need_not_be_let_to_score(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("arm.listkeys", "status", times=100, status=403))
    assert all(e.failure is None for e in lab.converge(lab.world(), 8, goal=Goal.TRAINED).values())
    assert lab.changes()["breast-cancer"].action is Action.BIND


def test_a_job_that_was_noted_and_not_started_is_started_by_the_next_run(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("bes.start", "reset", times=24))
    assert len(lab.apply().failures) == 4
    noted = set(lab.cloud.world.jobs)
    lab.clock.advance(20 * 3600)
    assert lab.apply().failures == ()
    assert set(lab.cloud.world.jobs) == noted
    assert {job.state for job in lab.cloud.world.jobs.values()} == {"Finished"}


def test_a_job_that_waited_longer_than_its_access_lasts_says_so(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("bes.start", "reset", times=24))
    lab.apply()
    lab.clock.advance(48 * 3600)
    assert {c.code for c in lab.plan().changes} == {"retry"}
    assert all("access to the data has expired" in c.why for c in lab.plan().changes)


def test_a_service_that_points_outside_of_its_cloud_is_refused_and_stops_no_other(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.emulator import jobs

    lab = switched()
    place = jobs._place

    def elsewhere(core: Any, request: Any, path: str) -> dict[str, Any]:
        shown = place(core, request, path)
        if "young" in path:
            shown["BaseLocation"] = "https://elsewhere.example/"
        return shown

    monkeypatch.setattr(jobs, "_place", elsewhere)
    (failure,) = lab.apply().failures
    assert failure.name == "diabetes-young"
    assert "elsewhere.example" in failure.message


def test_the_plan_says_when_the_data_of_a_trained_version_changed(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.apply()
    path = "datasets/diabetes/young/2026-10.csv"
    blobs = lab.cloud._core.blobs
    content = blobs.get("mllocal", "datasets", path.removeprefix("datasets/"))
    assert content is not None
    blobs.put("mllocal", "datasets", path.removeprefix("datasets/"), content)
    assert lab.changes()["diabetes-young"].warnings == ()
    blobs.put("mllocal", "datasets", path.removeprefix("datasets/"), content + b"\n")
    change = lab.changes()["diabetes-young"]
    assert change.action is Action.NOOP
    assert change.warnings == (
        f"{path} changed since this version was trained on it; new data needs a new version",
    )
    assert lab.changes()["diabetes-middle"].warnings == ()


def changed_recipe(lab: Lab) -> None:
    lab.edit("models/diabetes.yaml", 'Regularization: "2.0"', 'Regularization: "3.0"')


def test_a_job_that_was_refused_at_submit_leaves_its_version_to_a_mended_recipe(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    lab.cloud.faults.script(Fault("bes.submit", "status", times=4, status=400))
    assert lab.apply().failures
    young = binding_of(lab, "diabetes-young")
    entry = lab.world().ledger.read(young.version)
    assert entry is not None, "the version was claimed"
    assert entry.manifest.vacant
    assert [m.state for m in history(lab.world(), young).versions] == ["claimed"]
    changed_recipe(lab)
    change = lab.changes()["diabetes-young"]
    assert (change.action, change.code) == (Action.TRAIN, "not_trained")
    assert lab.apply().failures == ()
    entry = lab.world().ledger.read(young.version)
    assert entry is not None
    assert dict(entry.manifest.recipe.parameters)["Regularization"] == "3.0"
    assert entry.manifest.key == binding_of(lab, "diabetes-young").key


def test_a_job_that_was_noted_meanwhile_keeps_its_version(switched: Callable[..., Lab]) -> None:
    lab = switched()
    young = binding_of(lab, "diabetes-young")
    world = lab.world()
    first = claim(world, young)
    assert first is not None
    changed_recipe(lab)
    taken = claim(world, binding_of(lab, "diabetes-young"))
    assert taken is not None
    assert taken.manifest.key != first.manifest.key
    attempt = Attempt("a" * 32, timestamp(world.clock.now()))
    with pytest.raises(ConflictError):
        world.ledger.note_attempt(first, attempt)
    world.ledger.note_attempt(taken, attempt)
    assert claim(world, young) is None, "a job of the other recipe is there"
