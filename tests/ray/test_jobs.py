"""The engine `ray` against a dashboard that can be told to fail; what really runs is in live tests."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import ReconcilerError, RefusedError, UnavailableError
from reconciler.platforms.contract import JobState
from tests.ray.orders import TRAIN, Home
from tests.ray.standin import PAGE, TOKEN, Standin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.platforms.ray.jobs import RayJobs

POST, JOBS = ("POST", "/api/jobs/"), "/api/jobs/"


@pytest.fixture
def ray() -> Iterator[Standin]:
    made = Standin()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def jobs(home: Home, ray: Standin) -> RayJobs:
    return home.jobs(ray.url, TOKEN)


def started(jobs: RayJobs, home: Home, **fields: Any) -> str:
    order = home.order(**fields)
    job = jobs.prepare(order)
    jobs.start(job, order)
    return job


def test_preparing_a_job_sends_nothing(jobs: RayJobs, home: Home, ray: Standin) -> None:
    assert re.fullmatch("rc-(ab){16}-[0-9a-f]{8}-a1", jobs.prepare(home.order()))
    assert ray.world.requests == []


def test_environments_of_one_cluster_take_no_job_of_each_other_for_theirs(
    home: Home, ray: Standin, tmp_path: Path
) -> None:
    """A version that is promoted has one training key in both."""
    (tmp_path / "production").mkdir()
    production = Home(tmp_path / "production", TRAIN)
    staging, order = home.jobs(ray.url, TOKEN), production.order()
    started(staging, home)
    jobs = production.jobs(ray.url, TOKEN)
    assert jobs.look(jobs.prepare(order)).state is JobState.NOT_STARTED


def test_a_job_that_nobody_started_is_not_started(jobs: RayJobs, home: Home) -> None:
    assert jobs.look(home.order().job).state is JobState.NOT_STARTED
    assert jobs.forgets


def test_a_job_is_submitted_once_with_its_code(jobs: RayJobs, home: Home, ray: Standin) -> None:
    job = started(jobs, home, cpus="2", gpus="0.5", memory="1Gi", custom='{"TPU":"1"}')
    jobs.start(job, home.order())
    assert ray.world.starts == {job: 1}
    told = ray.world.jobs[job]
    assert told["entrypoint_num_cpus"] == 2
    assert told["entrypoint_num_gpus"] == 0.5
    assert told["entrypoint_memory"] == 2**30
    assert told["entrypoint_resources"] == {"TPU": 1}
    assert told["metadata"]["model"] == "churn"
    assert told["metadata"]["resources"] == "2 CPU, 0.5 GPU, 1Gi of memory, 1 TPU"
    (package,) = ray.world.packages
    assert told["runtime_env"]["working_dir"] == f"gcs://{package}"


def test_each_job_reserves_a_cpu_or_all_would_run_on_the_head(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    assert ray.world.jobs[started(jobs, home)]["entrypoint_num_cpus"] == 1


def test_code_that_the_cluster_has_is_not_sent_again(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    started(jobs, home)
    started(home.jobs(ray.url, TOKEN), home, key="cd" * 32)
    assert sum(request.startswith("PUT") for request in ray.world.requests) == 1


def test_a_run_looks_for_its_code_once_and_asks_for_no_job_that_it_submits(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    started(jobs, home)
    ray.world.requests = []
    job = started(jobs, home, key="cd" * 32)
    sent = [r for r in ray.world.requests if r.startswith(("GET /api/p", "GET /api/j", "POST"))]
    assert sent == ["POST /api/jobs/"]
    assert job in ray.world.jobs


def test_no_grant_and_no_token_is_in_anything_that_the_cluster_shows(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    job = started(jobs, home)
    shown = json.dumps(ray.world.jobs[job]).encode() + b"".join(ray.world.packages.values())
    assert b"train.csv" in shown
    assert b"sig=" not in shown
    assert TOKEN.encode() not in shown


def test_eight_runs_that_submit_at_a_time_start_one_job(home: Home, ray: Standin) -> None:
    order = home.order()
    runs = [home.jobs(ray.url, TOKEN) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for begun in [pool.submit(run.start, order.job, order) for run in runs]:
            begun.result()
    assert ray.world.starts == {order.job: 1}


def test_a_submit_whose_answer_is_lost_is_adopted(jobs: RayJobs, home: Home, ray: Standin) -> None:
    ray.world.faults[POST] = ["lost"]
    assert jobs.look(started(jobs, home)).state is JobState.RUNNING
    assert ray.world.requests.count("POST /api/jobs/") == 1


@pytest.mark.long
def test_a_hundred_lost_answers_start_a_hundred_jobs(home: Home, ray: Standin) -> None:
    ray.world.faults[POST] = ["lost"] * 100
    jobs = home.jobs(ray.url, TOKEN)
    keys = [f"{number:064x}"[::-1] for number in range(100)]
    for key in keys:
        started(jobs, home, key=key)
    assert set(ray.world.starts.values()) == {1}
    assert len(ray.world.starts) == 100


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"No available agent to submit job, please try again later.", "text/plain"),
        (502, b"<html>bad gateway</html>", "text/html"),
        (200, PAGE, "text/html"),
        (400, b"Traceback: invalid request", "text/plain"),
        (401, b"Unauthorized", "text/plain"),
        (403, b"Forbidden", "text/plain"),
        (302, b"", "text/html"),
    ],
)
def test_a_submit_that_did_not_happen_is_an_error_and_is_made_good_by_the_next_run(
    jobs: RayJobs, home: Home, ray: Standin, answer: Any
) -> None:
    ray.world.faults[POST] = [answer]
    order = home.order()
    with pytest.raises(ReconcilerError):
        jobs.start(order.job, order)
    assert ray.world.starts == {}
    again = home.jobs(ray.url, TOKEN)
    assert again.look(order.job).state is JobState.NOT_STARTED
    again.start(order.job, order)
    assert ray.world.starts == {order.job: 1}


@pytest.mark.parametrize(
    "answer",
    [
        (200, PAGE, "text/html"),
        (401, b"Unauthorized: Missing authentication token", "text/plain"),
        (403, b"Forbidden: Invalid authentication token", "text/plain"),
        (404, b"no such page", "text/plain"),
        (404, PAGE, "text/html"),
        (200, b"", "application/json"),
        (200, b"{}", "application/json"),
        (200, b'{"submission_id": "rc-other-a1", "status": "FAILED"}', "application/json"),
        (302, b"", "text/plain"),
    ],
)
def test_an_answer_that_says_nothing_of_a_job_is_an_error_and_never_its_absence(
    jobs: RayJobs, home: Home, ray: Standin, answer: Any
) -> None:
    job = started(jobs, home)
    ray.world.faults["GET", JOBS + job] = [answer]
    with pytest.raises(ReconcilerError):
        jobs.look(job)
    assert jobs.look(job).state is JobState.RUNNING


def test_a_cluster_that_answers_nothing_right_now_is_an_error(
    home: Home, ray: Standin, jobs: RayJobs
) -> None:
    job = started(jobs, home)
    ray.world.faults["GET", JOBS + job] = [(503, b"", "text/plain")] * 5
    with pytest.raises(UnavailableError):
        jobs.look(job)


def test_a_finished_job_names_its_outputs(jobs: RayJobs, home: Home, ray: Standin) -> None:
    job = started(jobs, home)
    ray.world.end(job, "SUCCEEDED", code=0)
    seen = jobs.look(job)
    assert seen.state is JobState.FINISHED
    assert {role: place.uri for role, place in seen.outputs.items()} == {
        "model": home.made("model.txt").as_uri(),
        "metrics": home.made("metrics.json").as_uri(),
    }


def test_a_command_that_fails_shows_its_last_lines_without_secrets(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    job = started(jobs, home)
    ray.world.logs[job] = "\n".join(
        ["line"] * 30 + ["\x1b[31mValueError: no column y", f"used {TOKEN}"]
    )
    ray.world.end(job, "FAILED", "Job entrypoint command failed with exit code 3", code=3)
    seen = jobs.look(job)
    assert seen.state is JobState.FAILED
    assert seen.message.startswith("exit code 3; its last lines: line | ")
    assert "ValueError: no column y" in seen.message
    assert "\x1b" not in seen.message
    assert TOKEN not in seen.message
    assert seen.message.count("line |") == 8


@pytest.mark.parametrize(
    "message",
    [
        "Job supervisor actor died: The actor died because its node has died. Node Id: ab",
        "runtime_env setup failed: Failed to download runtime_env file package gcs://x.zip",
        "",
    ],
)
def test_a_job_that_the_cluster_lost_does_not_blame_its_command(
    jobs: RayJobs, home: Home, ray: Standin, message: str
) -> None:
    job = started(jobs, home)
    ray.world.end(job, "FAILED", message)
    seen = jobs.look(job)
    assert seen.state is JobState.FAILED
    assert seen.message.startswith("the cluster failed, not the command: ")
    assert not any("logs" in request for request in ray.world.requests)


def test_the_next_attempt_sends_a_lost_package_again(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    job = started(jobs, home)
    ray.world.end(job, "FAILED", "runtime_env setup failed: no package")
    ray.world.packages.clear()
    again = started(jobs, home, attempt=2)
    assert len(ray.world.packages) == 1
    environments = [ray.world.jobs[each]["runtime_env"] for each in (job, again)]
    assert environments[0] != environments[1], "Ray keeps the failure of the first one"


def test_the_next_attempt_stops_the_one_before_where_that_still_runs(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    job = started(jobs, home)
    started(jobs, home, attempt=2)
    assert ray.world.jobs[job]["status"] == "STOPPED"
    assert sorted(ray.world.starts.values()) == [1, 1]


def test_a_job_that_waits_says_for_which_resources(jobs: RayJobs, home: Home, ray: Standin) -> None:
    job = started(jobs, home, cpus="16")
    ray.world.jobs[job]["status"] = "PENDING"
    seen = jobs.look(job)
    assert seen.state is JobState.RUNNING
    assert seen.message == "it waits for 16 CPU; free are 0 of 8 CPU"


def test_a_job_that_waited_when_the_head_was_restarted_is_lost(
    home: Home, ray: Standin, jobs: RayJobs
) -> None:
    job = started(jobs, home)
    ray.world.jobs[job]["status"] = "PENDING"
    ray.world.restart(kept=True)
    ray.world.head_started_ms = 5_000
    seen = jobs.look(job)
    assert seen.state is JobState.FAILED
    assert "it waited when the head was restarted" in seen.message
    started(jobs, home, attempt=2)
    assert ray.world.jobs[job]["status"] == "STOPPED"


def test_a_job_is_lost_with_its_cluster_only_once_that_is_said_to_be_meant(
    home: Home, ray: Standin, jobs: RayJobs
) -> None:
    job = started(jobs, home)
    ray.world.restart()
    with pytest.raises(RefusedError, match="has forgotten all its jobs"):
        jobs.look(job)
    with pytest.raises(RefusedError):
        jobs.start(job, home.order())
    assert ray.world.starts == {job: 1}
    assert home.jobs(ray.url, TOKEN, cluster="any").look(job).state is JobState.NOT_STARTED


def test_a_job_is_stopped_once_and_a_job_that_is_gone_is_fine(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    job = started(jobs, home)
    jobs.cancel(job)
    jobs.cancel(job)
    jobs.cancel("rc-" + "00" * 16 + "-a1")
    assert jobs.look(job).state is JobState.CANCELLED
    assert sum(request.endswith("/stop") for request in ray.world.requests) == 1


def test_a_404_of_a_proxy_does_not_count_as_stopped(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    job = started(jobs, home)
    ray.world.faults["POST", f"/api/jobs/{job}/stop"] = [(404, b"no such page", "text/plain")]
    with pytest.raises(ReconcilerError, match="404"):
        jobs.cancel(job)
    jobs.cancel(job)
    assert jobs.look(job).state is JobState.CANCELLED


def test_code_that_changed_since_the_plan_is_not_sent(
    jobs: RayJobs, home: Home, ray: Standin
) -> None:
    order = home.order()
    (home.code / "train.py").write_text("other")
    with pytest.raises(RefusedError, match="changed since this was planned"):
        jobs.start(order.job, order)
    assert ray.world.starts == {}
    assert not ray.world.packages


def test_a_state_that_ray_did_not_have_is_an_error(jobs: RayJobs, home: Home, ray: Standin) -> None:
    job = started(jobs, home)
    ray.world.jobs[job]["status"] = "SUSPENDED"
    with pytest.raises(ReconcilerError, match=re.escape(job)):
        jobs.look(job)
