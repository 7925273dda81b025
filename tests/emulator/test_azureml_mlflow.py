"""A real MLflow against the emulated workspace: its client, jobs that log with it, and its models."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from reconciler import emulator
from tests.emulator.azureml import API, SEED, WS, deployment

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]
HEADERS = {"Authorization": "Bearer anything"}
KEY = {"Authorization": "Bearer local-churn-key"}
WAIT_S = 120


@pytest.fixture
def cloud() -> Iterator[emulator.Cloud]:
    if importlib.util.find_spec("mlflow") is None:
        missing = "MLflow is not installed; pip install -e '.[mlflow]'"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    made = emulator.Cloud(emulator.Options(speed=100))
    made.seed(SEED)
    yield made
    made.close()


@pytest.fixture
def url(cloud: emulator.Cloud) -> Iterator[str]:
    server = emulator.serve(cloud, 0)
    server.start()
    yield server.url
    server.stop()


def send(method: str, url: str, body: Any = None) -> Any:
    answer = requests.request(method, f"{url}?{API}", json=body, headers=HEADERS, timeout=60)
    assert answer.status_code < 300, answer.text
    return answer.json()


def until(url: str, name: str, ended: set[str]) -> Any:
    """The resource when one of its states has come."""
    deadline = time.monotonic() + WAIT_S
    while (shown := send("GET", url))["properties"][name] not in ended:
        assert time.monotonic() < deadline, shown
        time.sleep(0.2)
    return shown


def test_a_job_logs_with_mlflow_and_its_client_reads_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    script = "import mlflow; mlflow.log_metric('AUC', 0.9); mlflow.log_param('rate', 1)"
    properties = {
        "jobType": "Command",
        "command": f'python -c "{script}"',
        "environmentId": "azureml:python:1",
    }
    job = f"{url}{WS}/jobs/logs-1"
    send("PUT", job, {"properties": properties})
    assert until(job, "status", {"Completed", "Failed"})["properties"]["status"] == "Completed"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "anything")
    client = mlflow.MlflowClient(tracking_uri=f"{url}/mlflow/v1.0{WS}")
    run = client.get_run("logs-1")
    assert run.info.status == "FINISHED"
    assert (run.data.metrics, run.data.params) == ({"AUC": 0.9}, {"rate": "1"})
    assert [point.value for point in client.get_metric_history("logs-1", "AUC")] == [0.9]


def test_a_model_of_mlflow_is_deployed_without_code(
    cloud: emulator.Cloud, url: str, tmp_path: Path
) -> None:
    import mlflow.sklearn
    from sklearn.linear_model import LinearRegression

    folder = tmp_path / "model"
    mlflow.sklearn.save_model(
        LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), folder, pip_requirements=[]
    )
    for file in filter(Path.is_file, folder.rglob("*")):
        name = f"flow/{file.relative_to(folder).as_posix()}"
        cloud._core.blobs.put("mlazure", "workspace", name, file.read_bytes())
    uri = "azureml://datastores/workspaceblobstore/paths/flow"
    model = {"properties": {"modelType": "mlflow_model", "modelUri": uri}}
    send("PUT", f"{url}{WS}/models/flow/versions/1", model)
    green = f"{url}{WS}/onlineEndpoints/churn/deployments/green"
    send("PUT", green, deployment("flow:1", codeConfiguration=None, environmentId=None))
    shown = until(green, "provisioningState", {"Succeeded", "Failed"})
    assert shown["properties"]["provisioningState"] == "Succeeded"
    answer = requests.post(
        f"{url}/inference/westeurope/churn/score",
        json={"input_data": {"columns": ["x"], "index": [0], "data": [[3.0]]}},
        headers={**KEY, "azureml-model-deployment": "green"},
        timeout=60,
    )
    assert answer.json() == [pytest.approx(6.0)]
