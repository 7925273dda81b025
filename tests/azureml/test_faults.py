"""Trouble on the wire of a workspace: a read that failed plans nothing, whatever fails in a run is ended
by a later one, and a run is right whichever way the service does what nobody has recorded."""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from reconciler.model import TO_DO, Action, Reason
from tests.azureml.emulated import Emulated
from tests.azureml.test_trained import trained
from tests.faults.test_faults import FAULTS
from tests.oracle import NEEDS_A_PERSON
from tests.studio.test_fail_closed import ODD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENDPOINT, DEPLOYMENTS = "azureml.onlineendpoints", "azureml.onlineendpoints.deployments"
# What a run meets that trains in the workspace and serves there.
ROUTES = (
    *(f"{ENDPOINT}.get", f"{ENDPOINT}.put", f"{ENDPOINT}.listkeys", "azureml.operation"),
    *(f"{DEPLOYMENTS}.list", f"{DEPLOYMENTS}.put", "azureml.score"),
    *("azureml.codes.versions.get", "azureml.codes.versions.put", "azureml.workspaces.get"),
    *("azureml.datastores.get", "azureml.datastores.list", "azureml.history.details"),
    *("azureml.jobs.get", "azureml.jobs.put", "blob.get", "blob.head", "blob.put"),
    *("azureml.models.versions.get", "azureml.models.versions.put"),
)
# By route, the routes that a plan reads of the sample, before and after its version serves.
READS = {
    "to be served": (
        *(f"{ENDPOINT}.get", f"{DEPLOYMENTS}.list", "azureml.models.versions.get"),
        *("azureml.datastores.get", "blob.head"),
    ),
    "served": (f"{ENDPOINT}.get", f"{DEPLOYMENTS}.list"),
}


# --- plans ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The sample, whose endpoint would be made if it were taken for missing."""
    made = Emulated(tmp_path_factory.mktemp("sample"))
    made.edit("churn.yaml", "  keepWarm: 24h\n", "  keepWarm: 24h\n  create: true\n")
    if request.param == "served":
        assert made.apply().failures == ()
    yield made
    made.close()


def looks(every: int) -> list[Any]:
    """One in so many of all reads with all odd answers, by world."""
    pairs = [(name, route) for name, routes in READS.items() for route in routes]
    return [(*pair, odd) for n, (pair, odd) in enumerate(product(pairs, ODD)) if n % every == 0]


def plans_nothing(sample: Emulated, route: str, odd: str) -> None:
    (before,) = sample.changes().values()
    sample.sent.clear()
    sample.cloud.log.clear()
    sample.cloud.faults.script(Fault(route, times=10_000, **ODD[odd]))
    try:
        (after,) = sample.changes().values()
    finally:
        sample.cloud.faults.forget()
    assert {method for method, _ in sample.sent} <= {"GET", "HEAD"}
    assert any(entry.route == route for entry in sample.cloud.log)
    if after != before:
        assert after.action not in TO_DO, after
        assert after.why
    missing = route == f"{ENDPOINT}.get" and after.code == Reason.MISSING
    assert not missing, "an odd answer is taken for the word that there is no such endpoint"


@pytest.mark.parametrize(("sample", "route", "odd"), looks(5), indirect=["sample"])
def test_a_failed_read_plans_nothing(sample: Emulated, route: str, odd: str) -> None:
    plans_nothing(sample, route, odd)


@pytest.mark.long
@pytest.mark.parametrize(("sample", "route", "odd"), looks(1), indirect=["sample"])
def test_any_failed_read_plans_nothing(
    sample: Emulated, route: str, odd: str, figure: Callable[[str], None]
) -> None:
    plans_nothing(sample, route, odd)
    figure("odd answers to the reads of a plan of Azure ML, which then plans nothing")


# --- runs -----------------------------------------------------------------------------------------


def no_bug(world: Emulated) -> None:
    """An apply, which may fail by what was in its way, and by no bug of ours."""
    assert [f for f in world.apply().failures if f.exit_code == errors.BUG] == []


def quiet(world: Emulated) -> None:
    """One apply converges as far as no person is needed, and the next one writes nothing."""
    world.cloud.faults.forget()
    world.clock.advance(600)
    report = world.apply()
    (change,) = world.plan().changes
    in_sync = change.action is Action.NOOP
    assert in_sync or change.code in NEEDS_A_PERSON, (change, report.failures)
    assert world.written_by(world.apply) == []
    world.clock.advance(600)
    (serving,) = world.get("onlineEndpoints/churn")["properties"]["traffic"]
    assert (serving != "blue") is in_sync
    record = world.world(read_only=True).ledger.record(world.binding().address)
    assert record is None or record.proved
    assert one_training_per_version(world) or not in_sync


def one_training_per_version(world: Emulated) -> list[str]:
    """The jobs that ended well: one of a version, whichever attempt."""
    made = world.get("jobs")["value"]
    done = [job["name"] for job in made if job["properties"]["status"] == "Completed"]
    versions = [name.rpartition("-a")[0] for name in done]
    assert sorted(versions) == sorted(set(versions)), done
    return done


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Emulated]:
    """The sample, whose version is trained by the workspace."""
    made = trained(tmp_path)
    yield made
    made.close()


def test_every_route_that_is_disturbed_is_one_that_a_run_meets(world: Emulated) -> None:
    assert world.apply().failures == ()
    assert {entry.route for entry in world.cloud.log} == set(ROUTES)
    quiet(world)


def disturbed(every: int) -> list[tuple[str, str]]:
    """One in so many of all routes with all faults."""
    return [pair for n, pair in enumerate(product(ROUTES, FAULTS)) if n % every == 0]


def disturb(world: Emulated, route: str, name: str, times: int = 1) -> None:
    fields = dict(FAULTS[name])
    world.cloud.faults.script(Fault(route, str(fields.pop("kind")), times=times, **fields))


def one_fault_is_survived(world: Emulated, route: str, name: str) -> None:
    disturb(world, route, name)
    no_bug(world)
    quiet(world)


@pytest.mark.parametrize(("route", "name"), disturbed(29))
def test_one_fault_of_any_kind_is_survived(world: Emulated, route: str, name: str) -> None:
    one_fault_is_survived(world, route, name)


@pytest.mark.long
@pytest.mark.parametrize(("route", "name"), sorted({*disturbed(1)} - {*disturbed(29)}))
def test_every_fault_on_every_route_is_survived(
    world: Emulated, route: str, name: str, figure: Callable[[str], None]
) -> None:
    one_fault_is_survived(world, route, name)
    figure("faults of the wire of Azure ML, one in a run, and survived")


# --- many faults, and several runs ----------------------------------------------------------------


def schedule(world: Emulated, dice: random.Random) -> None:
    """Some applies, a change of version, and faults wherever the dice fall."""
    (world.files / ".reconciler/3.csv").write_text("a,b\n1,2\n3,4\n")
    for round_ in range(dice.randint(2, 4)):
        for _ in range(dice.randint(1, 3)):
            disturb(world, dice.choice(ROUTES), dice.choice(list(FAULTS)), dice.randint(1, 6))
        no_bug(world)
        one_training_per_version(world)
        if round_ == 0:
            world.edit("churn.yaml", 'version: "2"', 'version: "3"')
        world.clock.advance(dice.choice((0, 1, 60, 4000)))
    quiet(world)


def survived(folder: Path, seeds: range) -> int:
    for seed in seeds:
        dice = random.Random(seed)
        world = trained(folder / str(seed), **dice.choice(({}, *READINGS)))
        try:
            schedule(world, dice)
        except AssertionError as exc:
            raise AssertionError(f"schedule {seed}: {exc}") from exc
        finally:
            world.close()
    return len(seeds)


def test_seeded_schedules_of_faults_are_survived(tmp_path: Path) -> None:
    assert survived(tmp_path, range(3)) == 3


@pytest.mark.long
@pytest.mark.parametrize("first", [1000, 1020])
def test_many_seeded_schedules_of_faults_are_survived(
    tmp_path: Path, first: int, figure: Callable[[str], None]
) -> None:
    seeds = range(first, first + 20)
    figure(f"faults on the wire of Azure ML, from seed {first}: {survived(tmp_path, seeds)} of 20")


# --- what nobody has recorded ---------------------------------------------------------------------

READINGS: tuple[dict[str, Any], ...] = (
    *({"arm_ids": "varied"}, {"last_page": "null", "page_size": 1}, {"last_page": "empty"}),
    *({"signed_urls": False}, {"operation_running": "InProgress"}, {"traffic_late": "both"}),
    *({"traffic_s": 90.0}, {"list_s": 30.0}, {"updated": 200}, {"asset_conflict": 400}),
    *({"job_again": 409}, {"create_only": "ignored"}, {"failed_update": "configured"}),
    *({"answer_names": False}, {"mirror_metrics": "absent"}, {"registry_ids": "arm"}),
)


def converges(folder: Path, **reading: Any) -> None:
    world = trained(folder, **reading)
    world.clock.advance(60)  # since somebody made its endpoint
    how = "  keepWarm: 24h\n"
    world.edit("churn.yaml", how, f"{how}  rollout: [50%]\n  mirror: {{share: 10%, for: 2m}}\n")
    assert world.apply().failures == ()
    assert world.plan().converged
    quiet(world)
    world.close()


def test_a_run_is_right_where_the_service_does_all_that_otherwise(tmp_path: Path) -> None:
    converges(tmp_path, **{name: value for each in READINGS for name, value in each.items()})


@pytest.mark.long
@pytest.mark.parametrize("reading", READINGS, ids=lambda each: ", ".join(each))
def test_a_run_is_right_under_each_reading_of_what_is_unknown(
    tmp_path: Path, reading: dict[str, Any]
) -> None:
    converges(tmp_path, **reading)
