"""The engine `ray` on a real Ray: the code arrives, runs once, and its outputs are where they belong."""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.platforms.contract import Job, JobState
from tests.ray.orders import TRAIN, Home

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.platforms.ray.jobs import RayJobs
    from tests.ray.head import RealRay

pytestmark = pytest.mark.live
WAIT_S = 120.0  # on two busy cores


def new_key() -> str:
    """A training key that no cluster has seen."""
    return secrets.token_hex(32)


def ended(jobs: RayJobs, job: str) -> Job:
    """The job once it has ended."""
    end = time.monotonic() + WAIT_S
    while (seen := jobs.look(job)).state is JobState.RUNNING:
        assert time.monotonic() < end, seen
        time.sleep(0.3)
    return seen


def until_running(ray: RealRay, job: str) -> dict[str, Any]:
    end = time.monotonic() + WAIT_S
    while (found := ray.get(f"/api/jobs/{job}"))["status"] == "PENDING":
        assert time.monotonic() < end, found
        time.sleep(0.3)
    assert found["status"] == "RUNNING", found
    return dict(found)


def started(home: Home, ray: RealRay, key: str, **fields: Any) -> tuple[RayJobs, str]:
    jobs = home.jobs(ray.url, ray.token)
    order = home.order(key=key, **fields)
    job = jobs.prepare(order)
    jobs.start(job, order)
    return jobs, job


@dataclass(frozen=True)
class Begun:
    """A job that was started, and the tree that it is of."""

    home: Home
    key: str
    jobs: RayJobs
    job: str

    def ended(self) -> Job:
        """The job once it has ended."""
        return ended(self.jobs, self.job)


PROGRAMS = {
    "trains": TRAIN,
    "fails": "print('reading')\nraise ValueError('no column y')",
    "writes nothing": "pass",
}


@pytest.fixture(scope="module")
def begun(real_ray: RealRay, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Begun]:
    """Jobs that nobody disturbs, started together: most of the time of a job is its start."""
    found = {}
    for name, program in PROGRAMS.items():
        home, key = Home(tmp_path_factory.mktemp("home"), program), new_key()
        found[name] = Begun(home, key, *started(home, real_ray, key))
    return found


def test_a_training_runs_and_its_outputs_are_where_they_belong(begun: dict[str, Begun]) -> None:
    trained = begun["trains"]
    seen, home, key = trained.ended(), trained.home, trained.key
    assert seen.state is JobState.FINISHED, seen
    assert seen.outputs["model"].uri == home.made("model.txt", key).as_uri()
    assert home.made("model.txt", key).read_text() == "trained on a,b"
    assert json.loads(home.made("metrics.json", key).read_text()) == {"AUC": 0.9}
    names = sorted(path.name for path in home.made("", key).iterdir())
    assert names == ["manifest.json", "metrics.json", "model.txt"]
    assert "trained" in trained.jobs.log(trained.job)


def test_a_training_that_fails_says_why_with_its_last_lines(begun: dict[str, Begun]) -> None:
    seen = begun["fails"].ended()
    assert seen.state is JobState.FAILED
    assert seen.message.startswith("exit code 1; its last lines: reading | Traceback")
    assert "ValueError: no column y" in seen.message


def test_a_command_that_leaves_no_model_fails(begun: dict[str, Begun]) -> None:
    idle = begun["writes nothing"]
    seen = idle.ended()
    assert seen.state is JobState.FAILED
    why = "wrote nothing to {outputs.model} and {outputs.metrics}"
    assert seen.message == (
        f"exit code 1; its last lines: reconciler: the command ended well, but {why}"
    )
    assert not idle.home.made("model.txt", idle.key).exists()


def test_eight_runs_that_submit_at_a_time_run_one_job(real_ray: RealRay, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    home = Home(tmp_path, f"open({str(ran)!r}, 'a').write('x')\n{TRAIN}")
    order = home.order(key=new_key())
    runs = [home.jobs(real_ray.url, real_ray.token) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for begun in [pool.submit(run.start, home.job(order), order) for run in runs]:
            begun.result()
    assert ended(runs[0], home.job(order)).state is JobState.FINISHED
    runs[0].start(home.job(order), order)  # and it is not run again once it has ended
    assert ended(runs[0], home.job(order)).state is JobState.FINISHED
    assert ran.read_text() == "x"


def test_a_training_that_is_stopped_leaves_nothing(real_ray: RealRay, tmp_path: Path) -> None:
    home, key = Home(tmp_path, f"import time; time.sleep(600)\n{TRAIN}"), new_key()
    jobs, job = started(home, real_ray, key)
    until_running(real_ray, job)
    jobs.cancel(job)
    assert ended(jobs, job).state is JobState.CANCELLED
    assert not home.made("model.txt", key).exists()


def test_more_than_there_is_waits_and_says_so(real_ray: RealRay, tmp_path: Path) -> None:
    home = Home(tmp_path)
    jobs, job = started(home, real_ray, new_key(), cpus="64")
    seen = jobs.look(job)
    assert seen.state is JobState.RUNNING
    assert seen.message.startswith("it waits for 64 CPU; free are ")
    assert " of 8 CPU" in seen.message
    jobs.cancel(job)


def test_code_whose_package_is_no_zip_is_a_failure_of_the_cluster(
    real_ray: RealRay, tmp_path: Path
) -> None:
    home = Home(tmp_path, f"# other code than that of the tests above\n{TRAIN}")
    jobs = home.jobs(real_ray.url, real_ray.token)
    order = home.order(key=new_key())
    package = jobs._package(order)
    client = jobs._cluster.writing()
    client.put(f"/api/packages/gcs/{package.name}", "sending what is no zip", content=b"no zip")
    jobs.start(home.job(order), order)
    seen = ended(jobs, home.job(order))
    assert seen.state is JobState.FAILED
    assert seen.message.startswith("the cluster failed, not the command: runtime_env setup failed")
