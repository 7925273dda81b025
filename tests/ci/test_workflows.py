"""The workflows of this repository, run from beginning to end without GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ci.hub import BREAST_CANCER, DIABETES, Hub
from tests.ci.standin import StandIn, serving, turned_away
from tests.ci.test_drift import tamper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ci.hosted import Job

OLD, NEW = 'version: "2026-10"', 'version: "2026-11"'
CANCER = (BREAST_CANCER, OLD, NEW)


@pytest.fixture
def github() -> Iterator[StandIn]:
    with serving(StandIn()) as stand_in:
        yield stand_in


@pytest.fixture
def hub(tmp_path: Path, github: StandIn) -> Iterator[Hub]:
    """Everything at 2026-10, as main says."""
    made = Hub(tmp_path, github)
    try:
        made.command("apply", "--yes")
        yield made
    finally:
        made.close()


def results(jobs: dict[str, Job]) -> dict[str, str]:
    return {name: job.result for name, job in jobs.items()}


def well(jobs: dict[str, Job]) -> None:
    """Every job ran and succeeded, but the one that is for pull requests of forks."""
    ran = {name: result for name, result in results(jobs).items() if name != "fork"}
    assert set(ran.values()) == {"success"}, "".join(job.log for job in jobs.values())


def young(version: str) -> tuple[str, str, str]:
    old = '{name: diabetes, version: "2026-10", with: {slice: young}}'
    return DIABETES, old, old.replace("2026-10", version)


# --- a pull request ----------------------------------------------------------------------------


def test_what_is_wrong_in_a_pull_request_is_said_on_its_line(
    tmp_path: Path, github: StandIn
) -> None:
    hub = Hub(tmp_path, github)
    try:
        pull = hub.pull((BREAST_CANCER, OLD, "version: 1.10"), fork=True)
        jobs = hub.run("validate", pull.event)
    finally:
        hub.close()
    assert results(jobs) == {"validate": "failure"}
    assert f"::error file={BREAST_CANCER},line=" in jobs["validate"].log
    assert 'write "1.10"' in jobs["validate"].summary
    assert github.asked == [], "nothing needs GitHub"
    (installed,) = hub.runner.installed.read_text().splitlines()
    assert "/temp/reconciler-" in installed, "in an environment of its own"


@pytest.mark.long
def test_a_pull_request_is_validated_planned_merged_and_applied(hub: Hub) -> None:
    pull = hub.pull(CANCER)
    well(hub.run("validate", pull.event))
    jobs = hub.run("plan", pull.event)
    assert jobs["plan"].result == "success", jobs["plan"].log
    (comment,) = pull.comments
    assert "**breast-cancer**" in comment
    assert "2026-10 → 2026-11" in comment
    assert hub.served()["breast-cancer"] == "2026-10", "a plan changes nothing"
    hub.github.review(pull.number, "ada", "APPROVED")
    hub.github.answer_run("kim", "approved", "production")
    hub.github.asked.clear()
    well(hub.run("reconcile", push := pull.merge()))
    assert hub.served()["breast-cancer"] == "2026-11"
    approval = f"approved by ada (pull request {pull.number}), kim (environment production)"
    assert approval in " ".join(hub.command("explain", "breast-cancer").split())
    _, told = pull.comments
    assert "1 changed, 1 proved, 0 failed" in told
    assert [str(one).replace("/repos/octo/endpoints", "") for one in hub.github.asked] == [
        "GET /pulls",
        "GET /actions/artifacts",
        f"GET /actions/artifacts/{hub.github.artifacts[0].id}/zip",
        f"GET /storage/{hub.github.artifacts[0].id}",
        f"GET /issues/{pull.number}/comments",
        "POST /graphql",
        f"GET /commits/{pull.head}/pulls",
        f"GET /pulls/{pull.number}/reviews",
        f"GET /actions/runs/{hub.runner.run_id}/approvals",
        f"GET /commits/{push.commit}/pulls",
        f"GET /issues/{pull.number}/comments",
        f"POST /issues/{pull.number}/comments",
    ]
    again = hub.run("reconcile", push)
    assert results(again) == {"plan": "success", "apply": "skipped"}, "there is nothing left to do"


@pytest.mark.long
def test_a_plan_that_changes_takes_the_place_of_the_one_before(hub: Hub) -> None:
    pull = hub.pull(CANCER)
    well(hub.run("plan", pull.event))
    pull.edit(young("2026-11"))
    well(hub.run("plan", pull.event))
    (comment,) = pull.comments
    assert "**diabetes-young**" in comment
    assert "Superseded: 1 earlier plan" in comment


@pytest.mark.long
def test_a_fork_is_planned_of_a_snapshot_and_shown_by_another_workflow(hub: Hub) -> None:
    well(hub.run("drift", hub.event("schedule")))
    pull = hub.pull(CANCER, fork=True)
    hub.github.asked.clear()
    jobs = hub.run("plan", pull.event)
    assert results(jobs) == {"plan": "skipped", "fork": "success"}, jobs["fork"].log
    assert hub.github.writes == []
    assert pull.comments == []
    well(hub.run("comment", pull.finished("plan")))
    (comment,) = pull.comments
    assert "**breast-cancer**" in comment
    assert "This plan approves nothing." in comment
    assert "2026-10 → 2026-11" in comment
    jobs = hub.run("reconcile", pull.merge())
    assert results(jobs) == {"plan": "success", "apply": "failure"}
    assert "no approved plan has it" in jobs["apply"].log, "a fork's plan is no approval"


# --- what is merged ----------------------------------------------------------------------------


@pytest.mark.long
def test_runs_that_github_dropped_are_made_up_for_by_the_next(hub: Hub) -> None:
    first, second = hub.pull(CANCER), hub.pull(young("2026-11"))
    well(hub.run("plan", first.event))
    well(hub.run("plan", second.event))
    first.merge()
    well(hub.run("reconcile", second.merge()))
    assert hub.served()["breast-cancer"] == hub.served()["diabetes-young"] == "2026-11"


@pytest.mark.long
def test_what_no_pull_request_showed_is_not_applied_until_reviewers_saw_it(hub: Hub) -> None:
    push = hub.push(CANCER)
    jobs = hub.run("reconcile", push)
    assert results(jobs) == {"plan": "success", "apply": "failure"}
    assert "breast-cancer: no approved plan has it" in jobs["apply"].log
    refused = [step.outputs["refused"] for step in jobs["apply"].steps if step.name == "run"]
    assert refused[:2] == ["false", "true"], "first `approved`, then `apply`"
    assert hub.served()["breast-cancer"] == "2026-10"
    by_hand = hub.run("reconcile", hub.event("workflow_dispatch"))
    well(by_hand)
    assert "breast-cancer" in by_hand["plan"].summary, "it is what reviewers see"
    assert hub.served()["breast-cancer"] == "2026-11"


@pytest.mark.long
def test_a_commit_after_the_plan_is_not_approved_by_it(hub: Hub) -> None:
    pull = hub.pull(CANCER)
    well(hub.run("plan", pull.event))
    pull.edit(young("2026-11"))
    jobs = hub.run("reconcile", pull.merge())
    assert results(jobs) == {"plan": "success", "apply": "failure"}
    assert hub.served()["breast-cancer"] == hub.served()["diabetes-young"] == "2026-10"
    assert "exit code 5" in pull.comments[1], "the pull request hears of it"


@pytest.mark.long
def test_a_plan_that_could_not_be_commented_is_kept_and_approves_nothing(hub: Hub) -> None:
    pull = hub.pull(CANCER)
    hub.github.instead = [turned_away(403, "Resource not accessible by integration")] * 4
    assert results(hub.run("plan", pull.event))["plan"] == "failure"
    hub.github.instead = []
    assert [each.name for each in hub.github.artifacts] == ["unseen-plan-local"]
    jobs = hub.run("reconcile", pull.merge())
    assert results(jobs) == {"plan": "success", "apply": "failure"}
    assert "no plan of local was found" in jobs["apply"].log
    assert hub.served()["breast-cancer"] == "2026-10"


@pytest.mark.long
def test_what_is_refused_does_not_stop_what_is_not(hub: Hub) -> None:
    default = (DIABETES, "endpoint: senior", "endpoint: default")
    pull = hub.pull(CANCER, default)
    jobs = hub.run("plan", pull.event)
    assert results(jobs)["plan"] == "failure", "a refusal fails the check of the pull request"
    assert "### In the way" in pull.comments[0]
    jobs = hub.run("reconcile", pull.merge())
    assert jobs["plan"].result == "failure"
    assert hub.served()["breast-cancer"] == "2026-11"


# --- what happens without a pull request --------------------------------------------------------


@pytest.mark.long
def test_drift_is_an_issue_until_it_is_healed(hub: Hub) -> None:
    well(hub.run("drift", hub.event("schedule")))
    assert hub.github.issues == {}
    tamper(hub.lab)
    for _ in range(2):
        well(hub.run("drift", hub.event("schedule")))
    (issue,) = hub.github.issues.values()
    assert (issue["title"], issue["state"]) == ("local: 1 binding drifted", "open")
    well(hub.run("reconcile", hub.event("workflow_dispatch")))
    well(hub.run("drift", hub.event("schedule")))
    assert issue["state"] == "closed"


@pytest.mark.long
def test_new_data_is_proposed_trained_and_merged(hub: Hub) -> None:
    for _ in range(2):
        well(hub.run("retrain", hub.event("schedule")))
    ((number, pull),) = hub.github.pulls.items()
    assert "2026-10 → 2026-11" in pull["body"]
    assert "AUC" in pull["body"]
    assert "known after training" not in pull["body"], "it was trained before anybody merges it"
    assert set(hub.served().values()) == {"2026-10"}, "no endpoint was touched"
    opened = hub.adopt(number)
    well_planned = hub.run("plan", opened.event)
    assert well_planned["plan"].result == "success", well_planned["plan"].log
    well(hub.run("reconcile", opened.merge()))
    assert set(hub.served().values()) == {"2026-11"}
    well(hub.run("retrain", hub.event("schedule")))
    assert list(hub.github.pulls) == [number]
