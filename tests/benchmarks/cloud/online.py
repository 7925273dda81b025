"""Online endpoints of a workspace with two deployments each: lists, in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.benchmarks.cloud.door import Answer, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.benchmarks.cloud.door import Request

PROVIDER = "/providers/Microsoft.MachineLearningServices/"
PAGE = 50


class Online:
    """`serving` has the name and model of the deployment with all the traffic, and its tags and the
    endpoint's, by endpoint."""

    def __init__(self, serving: Mapping[str, Mapping[str, Any]], host: str) -> None:
        self._serving = serving
        self._host = host

    def answer(self, request: Request) -> Answer:
        below = request.path.partition("/onlineEndpoints")[2].strip("/").split("/")
        scope = request.path.partition("/onlineEndpoints")[0]
        if request.method != "GET" or below[1:] not in ([], ["deployments"]):
            return Answer("unknown", 501, f"501: {request.method} {request.path}".encode())
        if below[1:]:
            return as_json("deployments", {"value": self._deployments(scope, below[0])})
        if below[0]:
            return as_json("endpoint", self._endpoint(scope, below[0]))
        begin = int(request.parameters.get("$skip", "0"))
        names = list(self._serving)[begin : begin + PAGE]
        page: dict[str, Any] = {"value": [self._endpoint(scope, name) for name in names]}
        if begin + PAGE < len(self._serving):
            query = f"api-version=2024-04-01&$skip={begin + PAGE}"
            page["nextLink"] = f"{self._host}{scope}/onlineEndpoints?{query}"
        return as_json("endpoints", page)

    def _endpoint(self, scope: str, name: str) -> dict[str, Any]:
        traffic = {self._serving[name]["deployment"]: 100, "blue": 0}
        more = {"authMode": "Key", "provisioningState": "Succeeded", "mirrorTraffic": {}}
        return {
            **_envelope(f"{scope}/onlineEndpoints/{name}"),
            "tags": self._serving[name]["tags"],
            "kind": "Managed",
            "identity": {"type": "SystemAssigned"},
            "properties": {**more, "traffic": traffic, "publicNetworkAccess": "Enabled"},
        }

    def _deployments(self, scope: str, endpoint: str) -> list[dict[str, Any]]:
        known = self._serving[endpoint]
        names = {"blue": f"{scope}/models/m/versions/0", known["deployment"]: known["model"]}
        return [
            {
                **_envelope(f"{scope}/onlineEndpoints/{endpoint}/deployments/{name}"),
                "tags": {} if name == "blue" else known["tags"],
                "sku": {"name": "Default", "tier": "Standard", "capacity": 1},
                "properties": {
                    "endpointComputeType": "Managed",
                    "model": model,
                    "instanceType": "Standard_DS3_v2",
                    "environmentId": f"{scope}/environments/python/versions/1",
                    "environmentVariables": {"AZUREML_MODEL_DIR": f"/var/azureml-app/{model}"},
                    "requestSettings": {"requestTimeout": "PT5S", "maxQueueWait": "PT0S"},
                    "livenessProbe": {"initialDelay": "PT10S", "period": "PT10S"},
                    "provisioningState": "Succeeded",
                },
            }
            for name, model in names.items()
        ]


def _envelope(ident: str) -> dict[str, Any]:
    system = {"createdAt": "2026-11-01T12:00:00.000000Z", "createdByType": "User"}
    name = ident.rpartition("/")[2]
    return {"id": ident, "name": name, "location": "westeurope", "tags": {}, "systemData": system}
