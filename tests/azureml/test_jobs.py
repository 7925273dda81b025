"""Command jobs of a workspace: started once by their id, with code and data by content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import (
    ConfigurationError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnreadableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken
from reconciler.model import METRICS, MODEL, Recipe
from reconciler.platforms.arm import CloudName, EmulatorSignIn, arm_origins
from reconciler.platforms.azureml.assets import Assets, take
from reconciler.platforms.azureml.connection import AzureMl
from reconciler.platforms.azureml.jobs import WorkspaceJobs
from reconciler.platforms.azureml.workspace import Workspace
from reconciler.platforms.code import digest_of
from reconciler.platforms.contract import JobState, Order
from reconciler.stores.azure_access import AnyToken
from reconciler.stores.azure_blob import AzureBlob
from reconciler.stores.azure_hosts import BlobHosts
from reconciler.stores.contract import Place
from reconciler.stores.folder import FolderStore
from tests.azureml.standin import SUBSCRIPTION, URL, WORKSPACE, Standin

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = "python train.py --data {inputs.train} --c {parameters.c} --model {outputs.model}"
STORE = "az://mlstorage/workspace/store"


class World:
    """A folder with code and data, and a workspace whose datastore has the store."""

    def __init__(self, folder: Path) -> None:
        self.standin = Standin()
        self.folder = folder
        (folder / "training").mkdir()
        (folder / "training" / "train.py").write_text("print('trained')\n")
        (folder / "data").mkdir()
        (folder / "data" / "train.csv").write_text("a,b")
        self.data = FolderStore(folder / "data")
        self.trainer = self.make(STORE)

    def make(self, store: str) -> WorkspaceJobs:
        http = Http(threads=2, backoff_s=0, retries=0)
        http.mount(URL, self.standin)
        at = AzureMl(CloudName.EMULATOR, SUBSCRIPTION, "ml", "prod")
        token = AccessToken(EmulatorSignIn(), "", arm_origins(URL))
        workspace = Workspace(http, at, token, URL)

        def blobs(account: str, container: str) -> AzureBlob:
            hosts = BlobHosts(URL)
            return AzureBlob(http, hosts, account, AnyToken(hosts.origins), container)

        assets = Assets(workspace, self.data, blobs, lambda _: "")
        return WorkspaceJobs(workspace, assets, lambda _: None, self.data, store)

    def order(self, attempt: int = 1, *, at: str = "", **more: Any) -> Order:
        at = at or f"{URL}/blob/mlstorage/workspace/store"
        how = {"command": COMMAND, "environment": "sklearn:3", "compute": "cpu"}
        recipe = Recipe(
            "azureml",
            inputs=(("train", "train.csv"),),
            parameters=(("c", "it's 0.1"),),
            outputs=((MODEL, "model.joblib"), (METRICS, "metrics.json")),
            how=tuple({**how, **more}.items()),
            code=digest_of(self.folder / "training"),
            folder=str(self.folder / "training"),
        )
        outputs = {MODEL: Place(f"{at}/m/1/model.joblib"), METRICS: Place(f"{at}/m/1/metrics.json")}
        inputs = {"train": Place(f"{self.data.base}train.csv")}
        labels = {"model": "churn", "version": "2026-11"}
        return Order("ab" * 32, attempt, recipe, inputs, outputs, 3600.0, labels)

    def started(self) -> list[str]:
        return [line for line in self.standin.requests if line.startswith("PUT /jobs/")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_job_is_told_its_command_code_data_and_outputs_and_no_secret(world: World) -> None:
    order = world.order()
    job = world.trainer.prepare(order)
    assert world.standin.jobs == {}
    world.trainer.start(job, order)
    told = world.standin.jobs[job]["properties"]
    assert told["command"] == (
        "python train.py --data '${{inputs.train}}' --c 'it'\"'\"'s 0.1' --model '${{outputs.model}}'"
    )
    assert told["computeId"] == f"{WORKSPACE}/computes/cpu"
    assert told["environmentId"] == f"{WORKSPACE}/environments/sklearn/versions/3"
    assert told["limits"] == {"jobLimitsType": "Command", "timeout": "PT3600S"}
    store = "azureml://datastores/workspaceblobstore/paths/store/m/1"
    assert told["outputs"][MODEL]["uri"] == f"{store}/model.joblib"
    data = told["inputs"]["train"]["uri"].partition("/paths/")[2]
    assert world.standin.blobs[f"mlstorage/workspace/{data}"] == b"a,b"
    code = told["codeId"].removeprefix(WORKSPACE).lower()
    folder = world.standin.assets[code]["properties"]["codeUri"].partition("/blob/")[2]
    assert world.standin.blobs[f"{folder}/train.py"] == b"print('trained')\n"
    assert "Bearer" not in json.dumps(told)


def test_a_job_without_a_cluster_runs_serverless(world: World) -> None:
    order = world.order(instanceType="Standard_DS3_v2")
    told = world.trainer._body("rc-1-a1", order)["properties"]
    assert told["resources"]["instanceType"] == "Standard_DS3_v2"


@pytest.mark.parametrize("again", [200, 409])
def test_a_job_is_started_once_whatever_a_second_put_would_do(world: World, again: int) -> None:
    world.standin.again = again
    order = world.order()
    job = world.trainer.prepare(order)
    for _ in range(3):
        world.trainer.start(job, order)
    assert len(world.started()) == 1


def test_a_start_whose_answer_is_lost_counts_by_its_id(world: World) -> None:
    order, standin = world.order(), world.standin
    job = world.trainer.prepare(order)

    def lost(method: str, path: str) -> Any:
        if method != "PUT" or not path.startswith("/jobs/"):
            return None
        standin.instead = lambda *_: None
        standin._on_job("PUT", job, None, {"properties": {}})
        return 500, {}

    standin.instead = lost
    world.trainer.start(job, order)
    assert list(standin.jobs) == [job]


def test_a_start_that_was_refused_is_an_error(world: World) -> None:
    order, standin = world.order(), world.standin
    error = {"error": {"code": "BadArgument", "message": "no such compute"}}
    standin.instead = lambda method, path: (
        (400, error) if method == "PUT" and path.startswith("/jobs/") else None
    )
    with pytest.raises(WireError, match="no such compute"):
        world.trainer.start(world.trainer.prepare(order), order)


def test_ids_differ_by_store_and_attempt(world: World) -> None:
    ids = {
        world.trainer.prepare(world.order()),
        world.trainer.prepare(world.order(2)),
        world.make("az://mlstorage/workspace/other").prepare(world.order()),
    }
    assert len(ids) == 3
    assert all(len(each) <= 255 for each in ids)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((s, JobState.RUNNING) for s in ("Starting", "Queued", "Running", "CancelRequested")),
        *(("Completed", JobState.FINISHED), ("Failed", JobState.FAILED)),
        ("Canceled", JobState.CANCELLED),
    ],
)
def test_a_job_is_seen_as_it_is(world: World, status: str, state: JobState) -> None:
    order = world.order()
    job = world.trainer.prepare(order)
    world.trainer.start(job, order)
    said = world.standin.jobs[job]["properties"]
    said |= {"status": status, "services": {"Studio": {"endpoint": "https://ml.azure.com/r?s=1"}}}
    seen = world.trainer.look(job)
    assert seen.state is state
    assert seen.outputs == (dict(order.outputs) if state is JobState.FINISHED else {})
    assert ("https://ml.azure.com/r" in seen.message) == (status in ("Failed", "Canceled"))
    assert "s=1" not in seen.message


def test_a_job_that_failed_shows_its_last_lines(world: World) -> None:
    store = {"accountName": "mlstorage", "containerName": "logs"}
    world.standin.instead = lambda _, path: (
        (200, {"name": "workspaceartifactstore", "properties": store})
        if path == "/datastores/workspaceartifactstore"
        else None
    )
    order = world.order()
    job = world.trainer.prepare(order)
    world.trainer.start(job, order)
    log = f"mlstorage/logs/ExperimentRun/dcid.{job}/user_logs/std_log.txt"
    world.standin.blobs[log] = b"one\n\nTypeError: no\n"
    world.standin.jobs[job]["properties"]["status"] = "Failed"
    assert world.trainer.look(job).message == "its last lines: one | TypeError: no"
    del world.standin.blobs[log]
    assert world.trainer.look(job).message == ""


def test_code_with_a_link_is_refused(world: World) -> None:
    (world.folder / "training" / "link.py").symlink_to("train.py")
    with pytest.raises(RefusedError, match=r"link.py is a symbolic link; put the file itself"):
        world.trainer.start("rc-1-a1", world.order())


def test_a_job_that_nobody_started_or_that_is_gone_is_known_as_such(world: World) -> None:
    assert world.trainer.look("rc-nothing-a1").state is JobState.NOT_STARTED
    world.trainer.cancel("rc-nothing-a1")


def test_a_finished_job_of_somebody_else_is_no_answer(world: World) -> None:
    world.standin._on_job("PUT", "theirs", None, {"properties": {}})
    world.standin.jobs["theirs"]["properties"]["status"] = "Completed"
    with pytest.raises(UnreadableError, match="not one that this program started"):
        world.trainer.look("theirs")


def test_a_job_is_cancelled_unless_it_has_ended(world: World) -> None:
    order = world.order()
    job = world.trainer.prepare(order)
    world.trainer.start(job, order)
    for _ in range(2):
        world.trainer.cancel(job)
    assert len([r for r in world.standin.requests if r.endswith("/cancel")]) == 1
    assert world.trainer.look(job).state is JobState.CANCELLED


def test_where_the_workspace_cannot_write_into_the_store_a_job_writes_below_its_own_id(
    world: World,
) -> None:
    order = world.order(at=f"{world.data.base}store")
    job = world.trainer.prepare(order)
    world.trainer.start(job, order)
    told = world.standin.jobs[job]["properties"]
    left = f"azureml://datastores/workspaceblobstore/paths/reconciler/jobs/{job}"
    assert told["outputs"][MODEL]["uri"] == f"{left}/model.joblib"
    told["status"] = "Completed"
    assert world.trainer.look(job).outputs == {}
    assert f"it left no files at {left}/m" in world.trainer.look(job).message
    there = f"mlstorage/workspace/reconciler/jobs/{job}"
    world.standin.blobs[f"{there}/model.joblib"] = b"a model"
    world.standin.blobs[f"{there}/metrics.json"] = b'{"auc": 0.9}'
    seen = world.trainer.look(job)
    assert (seen.outputs, seen.metrics) == (order.outputs, b'{"auc": 0.9}')
    world.trainer.collect(job, order)
    assert (world.folder / "data/store/m/1/model.joblib").read_bytes() == b"a model"
    assert (world.folder / "data/store/m/1/metrics.json").read_bytes() == b'{"auc": 0.9}'


@pytest.mark.parametrize("names", [("gone",), ("gone", "model.txt")])
def test_a_file_that_goes_while_it_is_taken_is_not_taken_as_empty(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    (tmp_path / "files").mkdir()
    store = FolderStore(tmp_path / "files")
    store.put("model.txt", b"a model")
    with pytest.raises(NotFoundError, match=r"gone is gone from .* while it was taken"):
        take(store, {name: name for name in names}, tmp_path / "taken")


def test_nothing_is_collected_of_a_job_that_writes_into_the_store(world: World) -> None:
    order = world.order()
    job = world.trainer.prepare(order)
    world.trainer.start(job, order)
    before = dict(world.standin.blobs)
    world.trainer.collect(job, order)
    assert world.standin.blobs == before


def test_code_that_was_changed_since_the_plan_is_not_sent(world: World) -> None:
    order = world.order()
    (world.folder / "training" / "train.py").write_text("print('other')\n")
    with pytest.raises(RefusedError, match="changed since it was planned"):
        world.trainer.start(world.trainer.prepare(order), order)


def test_a_command_that_names_nothing_known_is_refused(world: World) -> None:
    with pytest.raises(ConfigurationError):
        world.trainer.prepare(world.order(command="python {inputs.other}"))


def test_a_job_that_does_not_show_yet_is_not_noted_as_started(world: World) -> None:
    order = world.order()
    job = world.trainer.prepare(order)
    absent = (404, {"error": {"code": "ResourceNotFound", "message": "gone"}})
    late = [absent] * 2
    world.standin.instead = lambda method, path: (
        late.pop() if method == "GET" and path.startswith("/jobs/") and late else None
    )
    with pytest.raises(UnavailableError, match="does not show yet"):
        world.trainer.start(job, order)
    world.trainer.start(job, order)
    assert list(world.standin.jobs) == [job]
