"""Whatever is sent to the doors of Azure Machine Learning, the answer is one of theirs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.azureml import WS, Wire, deployment

JUNK: tuple[Any, ...] = (None, -1, 1e300, "é\n", "", [1], {}, {"a": 1}, True)
MLFLOW = f"/mlflow/v1.0{WS}/api/2.0/mlflow"
ENDPOINT = {
    "location": "westeurope",
    "kind": "Managed",
    "tags": {"a": "b"},
    "identity": {"type": "SystemAssigned"},
    "properties": {
        "authMode": "Key",
        "traffic": {"blue": 100},
        "mirrorTraffic": {},
        "keys": {"primaryKey": "a"},
        "properties": {"a": "b"},
    },
}
DEPLOYMENT = deployment(
    scaleSettings={"scaleType": "Default"},
    requestSettings={"requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 1},
    livenessProbe={"period": "PT5S"},
    environmentVariables={"A": "b"},
)
JOB = {
    "properties": {
        "jobType": "Command",
        "command": "true ${{inputs.a}} ${{outputs.b}}",
        "computeId": f"{WS}/computes/cpu",
        "environmentId": "azureml:python:1",
        "inputs": {"a": {"jobInputType": "literal", "value": "1"}},
        "outputs": {"b": {"jobOutputType": "uri_file", "uri": None}},
        "limits": {"timeout": "PT1M"},
        "resources": {"instanceCount": 1},
        "environmentVariables": {"A": "b"},
        "tags": {"a": "b"},
        "properties": {"a": "b"},
    }
}
PIPELINE = {
    "properties": {
        "jobType": "Pipeline",
        "componentId": None,
        "inputs": {"a": {"jobInputType": "literal", "value": "1"}},
        "outputs": {"b": {"jobOutputType": "uri_folder"}},
        "jobs": {
            "step": {
                "type": "command",
                "command": "true ${{inputs.a}}",
                "environmentId": "azureml:python:1",
                "inputs": {"a": {"value": "${{parent.inputs.a}}"}},
                "outputs": {"b": "${{parent.outputs.b}}"},
            }
        },
    }
}
MODEL = {
    "properties": {
        "modelUri": "azureml://datastores/workspaceblobstore/paths/a",
        "modelType": "custom_model",
        "tags": {"a": "b"},
        "flavors": {},
    }
}
METRIC = {"run_id": "job-1", "key": "a", "value": 1.0, "timestamp": 1, "step": 1}


def broken(document: Any) -> Iterator[Any]:
    """The document with each of its values replaced by each piece of junk, and without it."""
    yield from JUNK
    if isinstance(document, dict):
        for name in document:
            yield {key: value for key, value in document.items() if key != name}
            for value in broken(document[name]):
                yield {**copy.deepcopy(document), name: value}


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PUT", "onlineEndpoints/churn", ENDPOINT),
        ("PATCH", "onlineEndpoints/churn", {"tags": {"a": "b"}, "identity": {"type": "None"}}),
        ("POST", "onlineEndpoints/churn/regenerateKeys", {"keyType": "Primary", "keyValue": "a"}),
        ("PUT", "onlineEndpoints/churn/deployments/blue", DEPLOYMENT),
        ("PATCH", "onlineEndpoints/churn/deployments/blue", {"sku": {"capacity": 1}, "tags": {}}),
        (
            *("POST", "onlineEndpoints/churn/deployments/blue/getLogs"),
            {"containerType": "InferenceServer", "tail": 1},
        ),
        ("PUT", "models/fresh/versions/{n}", MODEL),
        ("PUT", "models/fresh", {"properties": {"tags": {}}}),
        (
            "PUT",
            "environments/fresh/versions/{n}",
            {"properties": {"image": "a", "condaFile": "b"}},
        ),
        ("PUT", "jobs/fresh-{n}", JOB),
        ("PUT", "jobs/steps-{n}", PIPELINE),
        ("PUT", "components/fresh/versions/{n}", {"properties": {"componentSpec": {"a": 1}}}),
        ("POST", f"{MLFLOW}/runs/log-metric", METRIC),
        ("POST", f"{MLFLOW}/runs/log-batch", {"run_id": "job-1", "metrics": [METRIC], "tags": []}),
        ("POST", f"{MLFLOW}/runs/search", {"experiment_ids": ["a"], "filter": ""}),
    ],
)
def test_no_body_breaks_the_emulator(wire: Wire, method: str, path: str, document: Any) -> None:
    core = wire.cloud._core
    wire.send("PUT", "jobs/job-1", {**JOB, "properties": {**JOB["properties"], "command": "true"}})
    kept = copy.deepcopy(core.world.dump())
    for number, body in enumerate(broken(document)):
        for of in ("operation", "job"):
            core.faults.play(of, "a trick, so that nothing starts")
        answer = wire.send(method, path.replace("{n}", str(number)), body)
        assert answer.status_code < 500, (body, answer.text)
        assert answer.text == "" or json.loads(answer.text) is not ...
        wire.clock.advance(20)
        core.faults.forget()
    for shown in ("onlineEndpoints", "onlineEndpoints/churn/deployments", "models", "jobs"):
        assert wire.send("GET", shown).status_code == 200
    assert set(kept["resources"]) <= set(core.world.dump()["resources"])


@pytest.mark.parametrize(
    "path",
    [
        *(
            "onlineEndpoints/churn/deployments/blue/deployments/x",
            "batchEndpoints",
            "onlineEndpoints/",
        ),
        *(
            "models/churn/versions/1/other",
            "jobs/x/cancel",
            "computes/none",
            "%00",
            "models//versions",
        ),
        *("onlineEndpoints?$skip=%ff", "onlineEndpoints?count=x", "models/churn/versions?tags=="),
        "/subscriptions/a/providers/Microsoft.MachineLearningServices/locations/b/mfeOperationsStatus/c",
        *("/inference/westeurope/none/score", "/inference/a/b/c/d", f"{MLFLOW}/runs/get"),
        *(f"{MLFLOW}/nothing", f"/history/v1.0{WS}/runs/none/details", f"{WS}/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_no_path_breaks_the_emulator(wire: Wire, method: str, path: str) -> None:
    assert wire.send(method, path, {}).status_code != 500
