"""Somebody else's client of the emulated Azure Machine Learning: plain requests, and waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from reconciler import emulator

SEED = Path(__file__).parent.parent.parent / "services/_azureml/_emulator/seed.yaml"
BASE = "http://127.0.0.1:8400"
WS = (
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/ml-local"
    "/providers/Microsoft.MachineLearningServices/workspaces/local"
)
API = "api-version=2024-04-01"
ROWS = {"rows": [{"months": 10, "calls": 2}]}
ENDPOINT: dict[str, Any] = {"location": "westeurope", "properties": {"authMode": "Key"}}


def deployment(of: str = "churn:1", **properties: Any) -> dict[str, Any]:
    """The body of a deployment that serves."""
    return {
        "location": "westeurope",
        "sku": {"name": "Default", "capacity": 1},
        "properties": {
            "endpointComputeType": "Managed",
            "model": f"azureml:{of}",
            "environmentId": "azureml:python:1",
            "codeConfiguration": {"codeId": "azureml:score:1", "scoringScript": "score.py"},
            "instanceType": "Standard_DS3_v2",
            **properties,
        },
    }


@dataclass
class Wire:
    """A cloud of its own, seeded, and a session that speaks to it without sockets."""

    options: dict[str, Any] = field(default_factory=dict)
    base: str = BASE

    def __post_init__(self) -> None:
        self.clock = emulator.ManualClock()
        self.take(emulator.Cloud(emulator.Options(**self.options), clock=self.clock))

    def take(self, cloud: emulator.Cloud) -> None:
        """Speak to this cloud, seeded if it is empty."""
        self.cloud = cloud
        cloud.seed(SEED)
        self.session = requests.Session()
        self.session.trust_env = False
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, emulator.InProcessAdapter(cloud))

    def send(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """The answer to a request below the workspace, or at a whole URL or another path."""
        if not path.startswith(("http", "/")):
            path = f"{WS}/{path}"
        url = path if path.startswith("http") else self.base + path
        if "api-version=" not in url:
            url += f"{'&' if '?' in url else '?'}{API}"
        headers = {"Authorization": "Bearer anything", **more.pop("headers", {})}
        return self.session.request(method, url, json=body, headers=headers, **more)

    def get(self, path: str) -> Any:
        """The document at a path, which is there."""
        answer = self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def done(self, answer: requests.Response) -> Any:
        """The last look at the operation of a write, when it has ended."""
        assert answer.status_code in (201, 202), answer.text
        url = answer.headers.get("Azure-AsyncOperation") or answer.headers["Location"]
        for _ in range(100):
            look = self.send("GET", url)
            if look.status_code == 200 and "endTime" in look.json():
                return look.json()
            self.clock.advance(5)
        raise AssertionError("the operation never ended")

    def put(self, path: str, body: Any) -> Any:
        """The end of an operation that makes or replaces something."""
        return self.done(self.send("PUT", path, body))

    def traffic(self, endpoint: str = "churn", **shares: int) -> Any:
        """Give the deployments of an endpoint these shares, and wait until it is seen."""
        body = {**ENDPOINT, "properties": {"authMode": "Key", "traffic": shares}}
        assert self.put(f"onlineEndpoints/{endpoint}", body)["status"] == "Succeeded"
        self.clock.advance(5)

    def score(self, body: Any = ROWS, *, deployment: str = "", key: str = "local-churn-key") -> Any:
        """The answer of the seed's endpoint."""
        headers = {"Authorization": f"Bearer {key}"}
        if deployment:
            headers["azureml-model-deployment"] = deployment
        uri = self.get("onlineEndpoints/churn")["properties"]["scoringUri"]
        return self.session.post(uri, json=body, headers=headers)

    def close(self) -> None:
        """End the containers."""
        self.cloud.close()
