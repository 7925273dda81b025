"""Registered models of the workspace: taken in with their metrics, published once, refused."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.engine.observe import observe
from reconciler.engine.rollback import rollback_of
from reconciler.errors import ConfigurationError
from reconciler.model import Action, Reason
from tests.azureml.standin import WORKSPACE

if TYPE_CHECKING:
    from tests.twins.azureml import Endpoints

REGISTERED = """\
apiVersion: reconciler/v1
kind: Model
metadata: {name: fraud}
spec:
  registry: {azureml: fraud}
  accept: [{metric: auc, atLeast: "0.8"}]
---
apiVersion: reconciler/v1
kind: OnlineEndpoint
metadata: {name: fraud}
spec:
  endpoint: fraud-prod
  create: true
  instanceType: Standard_DS3_v2
  environment: sklearn:3
  code: code
  model: {name: fraud, version: "7"}
  verify: {request: probe.json, answer: /rows, columns: [text]}
"""
FOLDER = "mlstorage/workspace/jobs/j7/model"
LONG = f"azureml:/{WORKSPACE}/datastores/workspaceblobstore/paths/jobs/j7/model"


@pytest.fixture
def metrics(twin: Endpoints) -> dict[str, Any]:
    """The metrics of the run of job j7, which a test may change."""
    known: dict[str, Any] = {"auc": 0.9}
    standin = twin.workspace

    def instead(method: str, path: str) -> Any:
        assert method in ("GET", "PUT", "POST", "PATCH", "DELETE")
        if path == "":
            uri = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{WORKSPACE}"
            said = {"mlFlowTrackingUri": uri}
            return 200, {"id": WORKSPACE, "location": "westeurope", "properties": said}
        if path == f"/mlflow/v1.0{WORKSPACE}/api/2.0/mlflow/runs/get":
            listed = [{"key": key, "value": value} for key, value in known.items()]
            return 200, {"run": {"info": {}, "data": {"metrics": listed}}}
        return None

    standin.instead = instead
    return known


@pytest.fixture
def registered(twin: Endpoints, metrics: dict[str, Any]) -> Endpoints:
    assert metrics
    (twin.folder / "fraud.yaml").write_text(REGISTERED)
    add(twin, "7", LONG)
    twin.workspace.blobs[f"{FOLDER}/model.txt"] = b"model 7"
    return twin


def add(twin: Endpoints, version: str, uri: str, **more: Any) -> None:
    said = {"modelType": "custom_model", "modelUri": uri, "jobName": "j7", "stage": "Production"}
    item = {"name": version, "properties": {**said, "provisioningState": "Succeeded", **more}}
    twin.workspace.assets["/models/fraud"] = {"name": "fraud", "properties": {}}
    twin.workspace.assets[f"/models/fraud/versions/{version}"] = item


def test_a_registered_version_is_taken_in_and_served_as_it_is_registered(
    registered: Endpoints,
) -> None:
    registered.edit("fraud.yaml", "{azureml: fraud}", "{azureml: fraud, path: model.txt}")
    assert registered.changes()["fraud"].action is Action.CREATE
    assert registered.apply().failures == ()
    serving = registered.workspace.serving("fraud-prod")
    model = registered.workspace.deployments["fraud-prod", serving]["properties"]["model"]
    assert model == f"{WORKSPACE}/models/fraud/versions/7"
    assert (registered.folder / "store/fraud/7/model.txt").read_bytes() == b"model 7"
    assert registered.plan().converged


def test_the_plan_says_what_else_is_known_of_a_version(registered: Endpoints) -> None:
    assert "stage Production" in registered.changes()["fraud"].why


@pytest.mark.parametrize("said", [{"error_code": "RESOURCE_DOES_NOT_EXIST"}, {}])
def test_a_version_whose_job_is_gone_is_refused_by_mlflows_own_word_only(
    registered: Endpoints, said: dict[str, str]
) -> None:
    instead = registered.workspace.instead
    registered.workspace.instead = lambda method, path: (
        (404, said) if path.endswith("/runs/get") else instead(method, path)
    )
    change = registered.changes()["fraud"]
    assert change.action is Action.BLOCK
    assert (change.code == Reason.NOT_REGISTERED) is bool(said)
    assert ("the job j7" in change.why and "is gone" in change.why) is bool(said)


def test_a_version_that_no_job_made_has_the_metrics_that_are_noted_with_it(
    registered: Endpoints,
) -> None:
    noted = {"metric.auc": "0.7", "metric.date": "monday", "owner": "anna"}
    add(registered, "7", LONG, jobName=None, properties=noted)
    look = registered.world(read_only=True).registries["registry/azureml"].look
    assert look(registered.binding("fraud").recipe).metrics == {"auc": 0.7}
    assert registered.changes()["fraud"].code == Reason.GATE


def test_a_model_that_is_not_registered_is_refused_with_the_near_ones(
    registered: Endpoints,
) -> None:
    registered.workspace.assets["/models"] = {"value": [{"name": "fraud"}]}
    registered.edit("fraud.yaml", "{azureml: fraud}", "{azureml: freud}")
    assert '"freud"; did you mean "fraud"?' in registered.changes()["fraud"].why


def test_several_files_become_one_archive(registered: Endpoints) -> None:
    registered.workspace.blobs[f"{FOLDER}/MLmodel"] = b"flavors: {}"
    add(registered, "7", LONG, modelType="mlflow_model")
    world = registered.world()
    path = registered.folder / "archive"
    world.registries["registry/azureml"].fetch(registered.binding("fraud").recipe, path)
    with zipfile.ZipFile(path) as found:
        assert found.namelist() == ["MLmodel", "model.txt"]


@pytest.mark.parametrize("path", ["", "model.txt"])
def test_a_version_of_one_file_is_that_file(registered: Endpoints, path: str) -> None:
    add(registered, "7", f"{LONG}/model.txt")
    named = f"{{azureml: fraud, path: {path}}}" if path else "{azureml: fraud}"
    registered.edit("fraud.yaml", "{azureml: fraud}", named)
    world, into = registered.world(), registered.folder / "taken"
    recipe = registered.binding("fraud").recipe
    assert world.registries["registry/azureml"].look(recipe).refusal == ""
    world.registries["registry/azureml"].fetch(recipe, into)
    assert into.read_bytes() == b"model 7"


def test_the_metrics_of_the_run_decide(registered: Endpoints, metrics: dict[str, Any]) -> None:
    metrics["auc"] = 0.5
    registered.apply()
    assert registered.changes()["fraud"].code == "gate"
    assert "fraud-prod" not in registered.workspace.endpoints


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"isArchived": True}, "is archived"),
        ({"provisioningState": "Failed"}, "is failed"),
        ({"modelUri": "runs:/j7/model"}, "only those of a datastore can be taken"),
        ({"modelUri": LONG.replace("/prod/", "/other/")}, "another workspace"),
        ({"modelUri": LONG.replace("j7", "gone")}, "are gone"),
    ],
)
def test_what_must_not_be_taken_is_refused(
    registered: Endpoints, change: dict[str, Any], words: str
) -> None:
    add(registered, "7", change.pop("modelUri", LONG), **change)
    refused = registered.changes()["fraud"]
    assert refused.action is Action.BLOCK
    assert words in refused.why


def test_a_version_that_is_not_there_is_refused_with_the_near_ones(registered: Endpoints) -> None:
    registered.ask_for("8", "fraud")
    assert "has no version 8" in registered.changes()["fraud"].why
    assert "it has 7" in registered.changes()["fraud"].why


def test_retrain_is_offered_what_is_newer(registered: Endpoints) -> None:
    for version in ("9", "10"):
        add(registered, version, LONG)
    world, binding = registered.world(read_only=True), registered.binding("fraud")
    assert world.registries["registry/azureml"].offers(binding.recipe, "") == ("10", "9")


def test_the_latest_version_cannot_be_declared(registered: Endpoints) -> None:
    registered.ask_for("latest", "fraud")
    with pytest.raises(ConfigurationError, match="the latest one moves"):
        registered.desired()


def test_an_alias_cannot_be_followed(registered: Endpoints) -> None:
    registered.edit("fraud.yaml", "{azureml: fraud}", "{azureml: fraud, follow: {alias: best}}")
    with pytest.raises(ConfigurationError, match="have no aliases"):
        registered.desired()


def test_a_version_that_was_trained_here_is_published_once(twin: Endpoints) -> None:
    twin.edit("all.yaml", "  accept:", "  publish: {azureml: churn}\n  accept:")
    assert twin.apply().failures == ()
    assert twin.apply().failures == ()
    made = [known for known in twin.workspace.assets if known.startswith("/models/churn/versions/")]
    (published,) = made
    properties = twin.workspace.assets[published]["properties"]
    assert properties["tags"]["reconciler-version"] == "m/2026-10"
    assert len([r for r in twin.workspace.requests if r.startswith("PUT /models/churn")]) == 1
    assert json.dumps(properties).count("Bearer") == 0


def test_a_version_of_another_content_is_not_overwritten(twin: Endpoints) -> None:
    assert twin.apply().failures == ()
    (known,) = [k for k in twin.workspace.assets if k.startswith("/models/m/versions/")]
    twin.workspace.assets[known]["properties"]["tags"]["reconciler-sha256"] = "0" * 64
    twin.declare_another()
    (failure,) = twin.apply().failures
    assert failure.exit_code == errors.REFUSED
    assert "of another content" in failure.message


def test_a_roll_back_to_a_deployment_made_by_hand_says_which_version_it_serves(
    registered: Endpoints,
) -> None:
    add(registered, "6", LONG)
    registered.workspace.add("fraud-prod", "blue", model=f"{WORKSPACE}/models/fraud/versions/6")
    assert registered.apply().failures == ()
    world = registered.world(read_only=True)
    back = rollback_of(world, observe(world, registered.binding("fraud")))
    assert (back.after, back.version, back.spares) == ("blue", "6", False)
