"""Versions of models and other assets, shared registries, datastores and uploads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import emulator
from reconciler.emulator.azureml import containers
from tests.emulator.azureml import SEED, WS, Wire, deployment

WireOf = Callable[..., Wire]
STORE = "azureml://datastores/workspaceblobstore/paths"
LONG = (
    "azureml://subscriptions/00000000-0000-4000-8000-000000000001/resourcegroups/ml-local"
    "/workspaces/local/datastores/workspaceblobstore/paths"
)


def model(path: str = "models/churn/1/model.json", **properties: Any) -> dict[str, Any]:
    return {"properties": {"modelUri": f"{STORE}/{path}", **properties}}


def test_a_version_is_made_and_then_only_described(wire: Wire) -> None:
    made = wire.send("PUT", "models/fraud/versions/1", model())
    properties = made.json()["properties"]
    assert made.status_code == 201
    assert properties["modelUri"] == f"{LONG}/models/churn/1/model.json"
    assert properties["flavors"] == {}
    assert properties["provisioningState"] == "Succeeded"
    again = wire.send("PUT", "models/fraud/versions/1", model(stage="Production", tags={"a": "b"}))
    assert again.status_code == 200
    shown = wire.get("models/fraud/versions/1")["properties"]
    assert (shown["stage"], shown["tags"]) == ("Production", {"a": "b"})


@pytest.mark.parametrize("status", [409, 400])
def test_another_content_of_a_version_is_refused(wire_of: WireOf, status: int) -> None:
    wire = wire_of(asset_conflict=status)
    changed = wire.send("PUT", "models/churn/versions/1", model("models/churn/2/model.json"))
    assert changed.status_code == status
    assert wire.get("models/churn/versions/1")["properties"]["modelUri"].endswith("/1/model.json")


def test_a_container_knows_its_latest_and_next_version(wire: Wire) -> None:
    wire.clock.advance(1)
    wire.send("PUT", "models/churn/versions/7", model())
    shown = wire.get("models/churn")["properties"]
    assert (shown["latestVersion"], shown["nextVersion"]) == ("7", "8")
    assert [each["name"] for each in wire.get("models")["value"]] == ["churn"]


def test_versions_are_listed_by_what_is_asked_for(wire: Wire) -> None:
    wire.send("PUT", "models/churn/versions/3", model(isArchived=True, tags={"plan": "9"}))

    def names(query: str) -> list[str]:
        return [each["name"] for each in wire.get(f"models/churn/versions?{query}")["value"]]

    assert names("") == ["1", "2"]
    assert names("listViewType=All") == ["1", "2", "3"]
    assert names("listViewType=ArchivedOnly&tags=plan=9") == ["3"]
    assert names("version=2") == ["2"]
    assert names("$top=1") == ["1"]
    assert wire.get("models/nobody/versions") == {"value": []}


def test_versions_are_deleted(wire: Wire) -> None:
    assert wire.send("DELETE", "models/churn/versions/2").status_code == 200
    assert wire.send("DELETE", "models/churn/versions/2").status_code == 204
    assert wire.send("GET", "models/churn/versions/2").status_code == 404


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("models/a/versions/1", {}),
        ("models/a/versions/1", {"modelUri": "https://example.com/model"}),
        ("models/a/versions/1", {"modelUri": "azureml://datastores/nobody/paths/a"}),
        ("models/a/versions/1", {"modelUri": "azureml://jobs/nobody/outputs/model"}),
        ("models/a/versions/1", {"modelUri": f"{STORE}/a", "modelType": "toy"}),
        ("models/-a/versions/1", {"modelUri": f"{STORE}/a"}),
        ("codes/a/versions/1", {}),
        ("data/a/versions/1", {"dataUri": f"{STORE}/a", "dataType": "table"}),
        ("environments/a/versions/1", {}),
        ("models/a/versions/1", {"modelUri": f"{STORE}/a", "tags": {"a": []}}),
    ],
)
def test_a_version_that_cannot_be_is_refused(wire: Wire, path: str, properties: Any) -> None:
    refused = wire.send("PUT", path, {"properties": properties})
    assert refused.status_code in (400, 404)
    assert wire.send("GET", path).status_code == 404


def test_files_are_uploaded_where_a_version_is_pending(wire: Wire) -> None:
    asked = {"pendingUploadType": "TemporaryBlobReference"}
    pending = wire.send("POST", "codes/mine/versions/1/startPendingUpload", asked).json()
    place = pending["blobReferenceForConsumption"]
    uri, _, sas = place["credential"]["sasUri"].partition("?")
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06"}
    put = wire.session.put(f"{uri}/src/score.py?{sas}", b"def init(): ...", headers=headers)
    assert put.status_code == 201
    body = {"properties": {"codeUri": f"{place['blobUri']}/src"}}
    assert wire.send("PUT", "codes/mine/versions/1", body).status_code == 201


def test_datastores_name_their_containers_and_keys(wire: Wire) -> None:
    (store,) = wire.get("datastores?isDefault=true")["value"]
    properties = store["properties"]
    assert (properties["accountName"], properties["containerName"]) == ("mlazure", "workspace")
    key = wire.send("POST", "datastores/workspaceblobstore/listSecrets").json()["key"]
    assert wire.cloud._core.blobs.check_key("mlazure", key)
    assert key not in wire.send("GET", "datastores").text


@pytest.mark.parametrize("reading", ["short", "arm"])
def test_models_of_a_shared_registry_are_deployed_by_their_short_name(
    wire_of: WireOf, reading: str
) -> None:
    wire = wire_of(registry_ids=reading)
    known = wire.send("GET", "/registrymanagement/v1.0/registries/shared/discovery").json()
    scope = (
        f"/subscriptions/{known['subscriptionId']}/resourceGroups/{known['resourceGroup']}"
        "/providers/Microsoft.MachineLearningServices/registries/shared"
    )
    assert wire.get(f"{scope}/models/churn")["properties"]["latestVersion"] == "5"
    short = "azureml://registries/shared/models/churn/versions/5"
    shown = short if reading == "short" else f"{scope}/models/churn/versions/5"
    assert wire.get(f"/mferp/managementfrontend{scope}/models/churn/versions/5")["id"] == shown
    nobody = wire.send("GET", "/registrymanagement/v1.0/registries/nobody/discovery")
    assert nobody.status_code == 404
    path = "onlineEndpoints/churn/deployments/green"
    assert wire.put(path, deployment(model=short))["status"] == "Succeeded"
    assert wire.get(path)["properties"]["model"] == shown
    assert wire.score(deployment="green").json() != wire.score().json()
    missing = deployment(model=short.replace("/5", "/6"))
    assert wire.send("PUT", path, missing).status_code == 400


def test_a_world_with_a_workspace_survives_its_process(tmp_path: Any) -> None:
    cloud = emulator.Cloud(state=tmp_path)
    cloud.seed(SEED)
    before = cloud.world.dump()
    cloud.close()
    cloud = emulator.Cloud(state=tmp_path)
    assert cloud.world.dump() == before
    assert f"{WS}/onlineEndpoints/churn/deployments/blue" in cloud.world.resources
    cloud.close()


def test_deployments_start_again_and_jobs_are_lost_with_the_process(
    wire: Wire, tmp_path: Any
) -> None:
    wire.take(emulator.Cloud(state=tmp_path, clock=wire.clock))
    body = {"jobType": "Command", "command": "sleep 60", "environmentId": "azureml:python:1"}
    assert wire.send("PUT", "jobs/rc-1", {"properties": body}).status_code == 201
    before = wire.score().json()
    wire.cloud.close()
    wire.take(emulator.Cloud(state=tmp_path, clock=wire.clock))
    assert wire.score().json() == before
    wire.clock.advance(5)
    assert wire.get("jobs/rc-1")["properties"]["status"] == "Failed"


@pytest.mark.parametrize("name", ["../" * 9 + "out.json", "model.json/inner", "a" * 300])
def test_files_that_no_folder_can_hold_fail_the_deployment(wire: Wire, name: str) -> None:
    for path in ("odd/model.json", f"odd/{name}"):
        wire.cloud._core.blobs.put("mlazure", "workspace", path, b"{}")
    wire.send("PUT", "models/odd/versions/1", model("odd"))
    ended = wire.put("onlineEndpoints/churn/deployments/green", deployment("odd:1"))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "BadArgument")
    inputs = {"a": {"jobInputType": "uri_folder", "uri": f"{STORE}/odd"}}
    properties = {"command": "true", "environmentId": "azureml:python:1", "inputs": inputs}
    wire.send("PUT", "jobs/rc-1", {"properties": {"jobType": "Command", **properties}})
    assert wire.get("jobs/rc-1")["properties"]["status"] == "Failed"


def test_only_so_many_containers_run_at_once(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MOST_RUNNING", 2)
    for name in ("one", "two", "three"):
        wire.put(f"onlineEndpoints/churn/deployments/{name}", deployment("churn:2"))
    answers = [wire.score(deployment=name).status_code for name in ("blue", "one", "two", "three")]
    assert answers == [200] * 4
    assert wire.cloud._core.containers.running <= 2


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("storage: mlazure", "storage: nobody", "there is no storage 'nobody'"),
        ("model: azureml:churn:1", "model: azureml:churn:9", "deployments/blue: There is no"),
        ("authMode: Key, traffic: {blue: 100}", "authMode: Key, traffic: {blue: 90}", "adds up to"),
        ("at: computes/cpu", "at: toasters/one", "toasters/one: The emulator does not know"),
        ("region: westeurope", "region: West Europe", "region: not as"),
        ("quota: {Standard_DS3_v2: 6}", "quota: {Standard_DS3_v2: six}", "Standard_DS3_v2: write"),
    ],
)
def test_a_seed_that_is_wrong_says_where(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    shutil.copytree(SEED.parent.parent, tmp_path / "sample")
    seed = tmp_path / "sample" / SEED.parent.name / SEED.name
    text = seed.read_text()
    assert right in text
    seed.write_text(text.replace(right, wrong, 1))
    with pytest.raises(ValueError, match="is not a seed") as refused:
        emulator.Cloud().seed(seed)
    assert said in str(refused.value)
