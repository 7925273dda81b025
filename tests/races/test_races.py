"""Many runs at once: one training start per version, one winner, no lost update."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli import compose
from reconciler.engine.run import converge
from reconciler.engine.survey import observe_all
from reconciler.http.client import Http
from reconciler.plan import make_plan
from tests.cli.test_process import COMMAND, environment
from tests.conformance.test_way_back import only
from tests.lab import Lab, Quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.emulator.messages import Request, Response
    from reconciler.engine.steps import Ended


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, door="server", clock=time.time, speed=200.0)
    yield made
    made.close()


def one_start_per_version(lab: Lab, versions: int) -> None:
    ran = [job for job in lab.cloud.world.jobs.values() if job.state != "NotStarted"]
    starts = Counter(str(sorted(job.results.values())) for job in ran)
    assert sorted(starts.values()) == [1] * versions
    assert {job.state for job in ran} == {"Finished"}


def nothing_is_left(lab: Lab) -> None:
    plan = lab.plan()
    assert plan.converged, [(c.name, c.code, c.why) for c in plan.changes]


def without_the_lock(lab: Lab) -> list[str]:
    """What was written, from now on, while nobody held the lock of the environment."""
    written, serve = [], lab.cloud.handle

    def handle(request: Request) -> Response:
        scored = request.path.endswith("/execute")
        if request.method not in ("GET", "HEAD") and "/_locks/" not in request.path and not scored:
            blobs = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
            lock = blobs.get("_locks/local.json")
            if lock is None or json.loads(lock.content)["nonce"] == "":
                written.append(f"{request.method} {request.path}")
        return serve(request)

    lab.cloud.handle = handle  # type: ignore[method-assign]
    return written


# --- processes, which exclude each other by the lock ----------------------------------------


@pytest.mark.parametrize(("runs", "name"), [(2, "breast-cancer"), (8, "diabetes-young"), (4, "")])
def test_processes_take_turns_and_train_once(
    lab: Lab, tmp_path: Path, runs: int, name: str, figure: Callable[[str], None]
) -> None:
    if name:
        only(lab, name)
    alone = without_the_lock(lab)
    processes = [
        subprocess.Popen(
            [*COMMAND, "apply", "--yes"],
            cwd=tmp_path,
            env=environment(lab),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(runs)
    ]
    ended = [(p.communicate(timeout=120)[1], p.returncode) for p in processes]
    assert [code for _, code in ended] == [errors.SUCCESS] * runs, ended
    assert alone == []
    one_start_per_version(lab, 1 if name else 4)
    nothing_is_left(lab)
    figure(f"races: {runs} processes on {name or 'four endpoints'}, one training per version")


# --- runs without a lock, as after `unlock --force` on one that was alive --------------------


def unlocked(lab: Lab) -> dict[str, Ended]:
    wanted = lab.desired()
    with Http(threads=8, backoff_s=0.01) as http:
        world = compose.connect(wanted, http, environ=lab.environ)
        plan = make_plan(wanted.environment, observe_all(world, wanted.bindings, 8))
        return converge(world, wanted.bindings, plan, Quiet(), parallel=8)


def test_a_run_without_the_lock_is_seen(lab: Lab) -> None:
    only(lab, "breast-cancer")
    written = without_the_lock(lab)
    unlocked(lab)
    assert any(method.startswith("PATCH ") for method in written)


@pytest.mark.parametrize(("runs", "name"), [(2, "breast-cancer"), (8, "diabetes-young"), (4, "")])
def test_runs_without_a_lock_train_once_and_lose_no_update(
    lab: Lab, runs: int, name: str, figure: Callable[[str], None]
) -> None:
    if name:
        only(lab, name)
    for version in ("2026-10", "2026-11"):
        with ThreadPoolExecutor(runs) as pool:
            ended = list(pool.map(lambda _: unlocked(lab), range(runs)))
        failures = [o.failure.message for run in ended for o in run.values() if o.failure]
        assert failures == []
        one_start_per_version(lab, (1 if name else 4) * (1 if version == "2026-10" else 2))
        nothing_is_left(lab)
        (record,) = {r.wanted.url for r in records(lab)} if name else {version}
        assert version in record
        if version == "2026-10":
            for path in (lab.services / "local").glob("*.yaml"):
                path.write_text(path.read_text().replace('"2026-10"', '"2026-11"'))
    for record in records(lab):
        assert record.proved
        assert record.previous is not None
        assert "2026-10" in record.previous.url
    figure(f"races: {runs} runs without a lock on {name or 'four endpoints'}, no update lost")


def records(lab: Lab) -> list:
    ledger = compose.connect(lab.desired(), Http(threads=1), environ=lab.environ).ledger
    found = [ledger.record(binding.address) for binding in lab.desired().bindings]
    return [record for record in found if record is not None]
