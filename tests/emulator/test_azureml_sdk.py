"""Microsoft's own client, as it is, against the emulator: what it makes, lists, scores and deletes."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import emulator
from tests.emulator.azureml import SEED

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore::Warning:azure.ai.ml"),
    pytest.mark.filterwarnings("ignore::Warning:marshmallow"),
]
SUBSCRIPTION, CODE = "00000000-0000-4000-8000-000000000001", SEED.parents[1] / "scoring"
STORE = "azureml://datastores/workspaceblobstore/paths"


class Anybody:
    """A credential whose token opens the emulator."""

    def get_token(self, *_: str, **__: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("anything", int(time.time()) + 3600)


@pytest.fixture
def cloud() -> emulator.Cloud:
    """One in which everything ends when it is looked at, since this client polls every 30 s."""
    return emulator.Cloud(emulator.Options(pace="looks", looks=0, traffic_looks=0))


@pytest.fixture
def client(
    cloud: emulator.Cloud,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """It takes bearer tokens to https only, and finds its cloud by the metadata of ARM."""
    if importlib.util.find_spec("azure") is None or not importlib.util.find_spec("azure.ai"):
        missing = "azure-ai-ml is not installed: pip install -e '.[azureml]'"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    from azure.ai.ml import MLClient

    cloud.seed(SEED)
    server = emulator.serve(cloud, 0, *certificate)
    server.start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.setenv("ARM_CLOUD_METADATA_URL", f"{server.url}/metadata/endpoints")
    monkeypatch.setenv("REGISTRY_DISCOVERY_ENDPOINT_URL", f"{server.url}/")
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "Emulator")  # which it would leave behind
    monkeypatch.chdir(tmp_path)
    _resolve_storage(monkeypatch, int(server.url.rpartition(":")[2]))
    yield MLClient(Anybody(), SUBSCRIPTION, "ml-local", "local")
    server.stop()


def _resolve_storage(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """It makes the host of a storage account of its name: here that resolves to the emulator."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, wanted: Any, *more: Any, **named: Any) -> Any:
        if str(host).endswith(".blob.core.windows.net"):
            host, wanted = "127.0.0.1", port
        return resolve(host, wanted, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def test_the_official_client_deploys_scores_and_deletes(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import (
        CodeConfiguration,
        ManagedOnlineDeployment,
        ManagedOnlineEndpoint,
    )

    endpoints, deployments = client.online_endpoints, client.online_deployments
    assert client.workspaces.get("local").location == "westeurope"
    endpoint = ManagedOnlineEndpoint(name="made", auth_mode="key", tags={"by": "hand"})
    made = endpoints.begin_create_or_update(endpoint).result()
    assert (made.provisioning_state, made.tags) == ("Succeeded", {"by": "hand"})
    assert sorted(each.name for each in endpoints.list()) == ["churn", "made"]
    deployment = ManagedOnlineDeployment(
        name="green",
        endpoint_name="made",
        model="azureml:churn:2",
        environment="azureml:python:1",
        code_configuration=CodeConfiguration(code=str(CODE), scoring_script="score.py"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    deployed = deployments.begin_create_or_update(deployment).result()
    assert deployed.provisioning_state == "Succeeded"
    assert "Users's init has completed" in deployments.get_logs("green", "made", lines=9)
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"rows": [{"months": 1, "calls": 2}]}))
    staged = endpoints.invoke("made", request_file=request, deployment_name="green")
    endpoint.traffic = {"green": 100}
    assert endpoints.begin_create_or_update(endpoint).result().traffic == {"green": 100}
    assert endpoints.invoke("made", request_file=request) == staged
    assert len(json.loads(staged)["predictions"]) == 1
    endpoint.traffic = {}
    endpoints.begin_create_or_update(endpoint).result()
    deployments.begin_delete("green", "made").result()
    assert [each.name for each in deployments.list("made")] == []
    endpoints.begin_delete("made").result()
    assert [each.name for each in endpoints.list()] == ["churn"]


def test_the_official_client_trains_and_registers(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml import Input, Output, command
    from azure.ai.ml.entities import Data, Model

    (tmp_path / "training").mkdir()
    (tmp_path / "training/train.sh").write_text('cp "$1" "$2/model.json"\n')
    data = Data(
        name="rows", version="1", type="uri_file", path=f"{STORE}/models/churn/1/model.json"
    )
    client.data.create_or_update(data)
    job = command(
        name="by-hand",
        code=str(tmp_path / "training"),
        command="sh train.sh ${{inputs.rows}} ${{outputs.model}}",
        inputs={"rows": Input(type="uri_file", path="azureml:rows:1")},
        outputs={"model": Output(type="custom_model")},
        environment="azureml:python:1",
        compute="cpu",
    )
    assert client.jobs.create_or_update(job).name == "by-hand"
    assert client.jobs.get("by-hand").status == "Completed"
    client.jobs.stream("by-hand")
    path = "azureml://jobs/by-hand/outputs/model"
    model = Model(name="churn", version="3", path=path, type="custom_model")
    assert client.models.create_or_update(model).path.endswith("/azureml/by-hand/model/")
    assert [each.version for each in client.models.list("churn")] == ["1", "2", "3"]


def test_the_official_client_reads_a_shared_registry(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml import MLClient

    shared = MLClient(Anybody(), registry_name="shared")
    assert shared.models.get("churn", "5").version == "5"
    assert [each.version for each in shared.models.list("churn")] == ["5"]
    shared.models.download("churn", "5", download_path=tmp_path)
    assert [path.name for path in tmp_path.rglob("*.json")] == ["model.json"]


def test_the_official_client_uploads_a_model_and_deploys_it(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import CodeConfiguration, ManagedOnlineDeployment, Model

    weights = {"intercept": 0.0, "weights": {"months": 0.0}}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/model.json").write_text(json.dumps(weights))
    model = Model(name="mine", version="1", path=str(tmp_path / "mine"), type="custom_model")
    uploaded = client.models.create_or_update(model)
    assert "/datastores/workspaceblobstore/paths/LocalUpload/" in uploaded.path
    deployment = ManagedOnlineDeployment(
        name="green",
        endpoint_name="churn",
        model="azureml:mine:1",
        environment="azureml:python:1",
        code_configuration=CodeConfiguration(code="azureml:score:1", scoring_script="score.py"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    client.online_deployments.begin_create_or_update(deployment).result()
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"rows": [{"months": 1}]}))
    answer = client.online_endpoints.invoke("churn", request_file=request, deployment_name="green")
    assert json.loads(answer) == {"predictions": [0.5]}
