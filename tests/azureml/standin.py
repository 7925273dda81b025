"""A small workspace in this process, for the faults of its wire: a transport without sockets.

It knows what the client writes and reads, and answers as was recorded of the service: 201 with a
slim body and an operation of several polls, 202 with `null`, ids in another case, defaults that
nobody wrote, 409 while anything runs on an endpoint. Every GET lets its operations come nearer to
their end. Blobs are kept beside it.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from reconciler.http.transport import Raw
from tests.azureml.blobs import blob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

URL = "http://127.0.0.1:8400"
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers"
    "/Microsoft.MachineLearningServices/workspaces/prod"
)
KEY = "the-key-of-the-endpoint"
DEFAULTS: dict[str, Any] = {
    "requestSettings": {
        "requestTimeout": "PT5S",
        "maxConcurrentRequestsPerInstance": 1,
        "maxQueueWait": "PT0S",
    },
    "livenessProbe": {"initialDelay": "PT10S", "period": "PT10S", "failureThreshold": 30},
    "dataCollector": None,
}


@dataclass
class Operation:
    """What is under way on an endpoint; `ends` is done when no poll is left."""

    endpoint: str
    left: int
    ends: Callable[[], None]
    error: dict[str, Any] | None = None
    done: bool = False


@dataclass
class Standin:
    """The workspace. `requests` are METHOD and path below it, `heard` the scoring requests.

    `polls` is how long an operation takes. `stale` reads of an endpoint show the old traffic after
    a change. `fails` makes the next deployments fail with an error. `instead` answers first, where
    it does.
    """

    url: str = URL
    polls: int = 2
    stale: int = 0
    signature: str = ""
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    heard: list[tuple[str, str, str]] = field(default_factory=list)
    fails: list[dict[str, Any]] = field(default_factory=list)
    log: str = ""
    metrics: dict[str, float] = field(default_factory=dict)  # requests of a minute, by status
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    again: int = 409  # what a PUT of a job that is there is answered
    instead: Callable[[str, str], tuple[int, Any] | None] = lambda *_: None
    answers: Callable[[str, bytes], tuple[int, Any]] | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)
    _old: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    # --- what tests look at ---------------------------------------------------------------------

    def serving(self, endpoint: str) -> str:
        """The deployment that has all of the traffic."""
        traffic = self.endpoints[endpoint]["properties"]["traffic"]
        return next((name for name, share in traffic.items() if share == 100), "")

    def content(self, endpoint: str, deployment: str) -> bytes:
        """The model that a deployment serves."""
        model = self.deployments[endpoint, deployment]["properties"]["model"]
        uri = self.assets[model.removeprefix(WORKSPACE).lower()]["properties"]["modelUri"]
        below = f"mlstorage/workspace/{uri.partition('/paths/')[2]}"
        return next(content for name, content in self.blobs.items() if name.startswith(below))

    def add(self, endpoint: str, deployment: str = "", traffic: int = 100, **model: Any) -> None:
        """An endpoint that somebody made, with a deployment."""
        if endpoint not in self.endpoints:
            body = {"location": "westeurope", "kind": "Managed", "tags": {}, "properties": {}}
            self._endpoint(endpoint, body | model.pop("said", {}))
            self.settle()
        if deployment:
            said = {"instanceType": "Standard_DS3_v2", "model": f"{WORKSPACE}/models/m/versions/1"}
            body = {"location": "westeurope", "sku": {"name": "Default", "capacity": 1}}
            body |= {"tags": {}, "properties": said | model}
            self._deployment(endpoint, deployment, body)
            self.settle()
            self.endpoints[endpoint]["properties"]["traffic"][deployment] = traffic

    def settle(self) -> None:
        """Let all operations end."""
        for operation in list(self.operations.values()):
            self._end(operation)

    def _end(self, operation: Operation) -> None:
        if not operation.done:
            operation.done, operation.left = True, 0
            operation.ends()

    # --- the transport --------------------------------------------------------------------------

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        check: Callable[[], None],  # noqa: ARG002 - it makes no connection
    ) -> Raw:
        """One answer."""
        parts = urlsplit(url)
        path = unquote(parts.path)
        if path.startswith("/blob/"):
            query = parse_qs(parts.query)
            status, said, more = blob(
                self.blobs, method, path.removeprefix("/blob/"), headers, content, query
            )
            return Raw(status, more, iter([said]), lambda: None)
        below = path.removeprefix(WORKSPACE)
        self.requests.append(f"{method} {below}")
        instead = self.instead(method, below)
        found = instead or self._answer(method, below, headers, json.loads(content or b"null"))
        status, body, *rest = found
        more = {"Content-Type": "application/json", **(rest[0] if rest else {})}
        if (ours := headers.get("x-ms-client-request-id")) and path.startswith("/subscriptions"):
            more["x-ms-client-request-id"] = ours
        said = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Raw(status, more, iter([said] if said else []), lambda: None)

    def close(self) -> None:
        """Nothing to close."""

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: Any
    ) -> tuple[Any, ...]:
        if method == "GET":
            for operation in list(self.operations.values()):
                operation.left -= 1
                if operation.left <= 0:
                    self._end(operation)
        if found := re.fullmatch(r"/score/([^/]+)", path):
            return self._score(found[1], headers, body)
        if found := re.fullmatch(r"/operations/(\w+)/(\d+)", path):
            return self._operation(found[1], found[2])
        if path == "":
            return 200, {
                "id": WORKSPACE,
                "location": "westeurope",
                "name": "prod",
                "properties": {},
            }
        if path == "/datastores":
            said = {"accountName": "mlstorage", "containerName": "workspace", "isDefault": True}
            return 200, {"value": [{"name": "workspaceblobstore", "properties": said}]}
        if path == "/datastores/workspaceblobstore":
            return 200, self._answer("GET", "/datastores", headers, None)[1]["value"][0]
        if found := re.fullmatch(r"(/models/[^/]+/versions)", path):
            below = f"{found[1]}/".lower()
            return 200, {"value": [v for k, v in self.assets.items() if k.startswith(below)]}
        if found := re.fullmatch(r"/jobs/([^/]+)(/cancel)?", path):
            return self._on_job(method, found[1], found[2], body)
        if path.endswith("/providers/Microsoft.Insights/metrics"):
            return 200, {"value": [{"timeseries": [_series(*m) for m in self.metrics.items()]}]}
        if path == "/onlineEndpoints":
            return 200, {"value": [self._shown(name) for name in sorted(self.endpoints)]}
        if found := re.fullmatch(r"/onlineEndpoints/([^/]+)(/[^/]+)?", path):
            return self._on_endpoint(method, found[1].lower(), (found[2] or "").lower(), body)
        if found := re.fullmatch(r"/onlineEndpoints/([^/]+)/deployments/([^/]+)(/\w+)?", path):
            return self._on_deployment(method, (found[1].lower(), found[2].lower()), found[3], body)
        return self._on_asset(method, path, body)

    # --- endpoints ------------------------------------------------------------------------------

    def _on_endpoint(self, method: str, name: str, below: str, body: Any) -> tuple[Any, ...]:
        there = name in self.endpoints
        if method == "PUT":
            if busy := self._busy(name):
                return busy
            return self._endpoint(name, body)
        if not there:
            return (204, b"") if method == "DELETE" else _absent(name)
        if below == "/deployments":
            mine = [d for (e, _), d in sorted(self.deployments.items()) if e == name]
            return 200, {"value": copy.deepcopy(mine)}
        if below == "/listkeys":
            return 200, {"primaryKey": KEY, "secondaryKey": KEY}
        if method == "GET":
            return 200, self._shown(name)
        if busy := self._busy(name):
            return busy
        if method == "PATCH":
            self.endpoints[name]["tags"] = body["tags"]
            return self._started(name, lambda: None, results=True)

        def gone() -> None:
            self.endpoints.pop(name)
            for key in [key for key in self.deployments if key[0] == name]:
                self.deployments.pop(key)

        self.endpoints[name]["properties"]["provisioningState"] = "Deleting"
        return self._started(name, gone, results=True)

    def _endpoint(self, name: str, body: dict[str, Any]) -> tuple[Any, ...]:
        wanted = {n: share for n, share in body["properties"].get("traffic", {}).items() if share}
        if sum(wanted.values()) not in (0, 100):
            return 400, _error("BadArgument", "traffic must add up to 0 or 100")
        if any((name, deployment.lower()) not in self.deployments for deployment in wanted):
            return 400, _error("BadArgument", "traffic names no deployment")
        mirror = body["properties"].get("mirrorTraffic", {})
        if len(mirror) > 1 or any(share > 50 or wanted.get(n) for n, share in mirror.items()):
            return 400, _error("BadArgument", "mirrorTraffic takes one without traffic, and 50")
        was = self.endpoints.get(name)
        if was is not None and self.stale:
            self._old[name] = (self.stale, copy.deepcopy(was))
        properties = {"authMode": "Key", "traffic": {}, "mirrorTraffic": {}, **body["properties"]}
        properties |= {"provisioningState": "Updating", "scoringUri": f"{self.url}/score/{name}"}
        properties["properties"] = {"AzureAsyncOperationUri": "https://management.azure.com/x"}
        made = {**body, "name": name, "properties": properties}
        made["id"] = f"{WORKSPACE}/onlineEndpoints/{name}".replace(
            "resourceGroups", "resourcegroups"
        )
        self.endpoints[name] = made

        def ends() -> None:
            made["properties"]["provisioningState"] = "Succeeded"

        return self._started(name, ends, {"name": name, "systemData": {}, "properties": {}})

    def _shown(self, name: str) -> dict[str, Any]:
        left, old = self._old.get(name, (0, {}))
        shown = copy.deepcopy(self.endpoints[name])
        if left and shown["properties"]["provisioningState"] == "Succeeded":
            self._old[name] = (left - 1, old)
            for name in ("traffic", "mirrorTraffic"):
                shown["properties"][name] = old["properties"][name]
        return shown

    # --- deployments ----------------------------------------------------------------------------

    def _on_deployment(
        self, method: str, key: tuple[str, str], below: str | None, body: Any
    ) -> tuple[Any, ...]:
        if below == "/getLogs":
            return 200, {"content": self.log}
        if method == "GET":
            return (
                (200, copy.deepcopy(self.deployments[key]))
                if key in self.deployments
                else _absent(key[1])
            )
        if busy := self._busy(key[0]):
            return busy
        if method == "PUT":
            return self._deployment(*key, body)
        if key not in self.deployments:
            return 204, b""
        if self.endpoints[key[0]]["properties"]["traffic"].get(key[1]):
            return 400, _error("UserError", "a deployment with traffic cannot be deleted")
        self.deployments[key]["properties"]["provisioningState"] = "Deleting"
        return self._started(key[0], lambda: self.deployments.pop(key, None) and None, results=True)

    def _deployment(self, endpoint: str, name: str, body: dict[str, Any]) -> tuple[Any, ...]:
        properties = {**copy.deepcopy(DEFAULTS), **body["properties"]}
        for group in ("requestSettings", "livenessProbe"):
            properties[group] = {**DEFAULTS[group], **properties[group]}
        model = properties["model"].rpartition("/versions/")
        seen = {"AZUREML_MODEL_DIR": f"/var/azureml-app/{model[0]}/{model[2]}"}
        properties["environmentVariables"] = {**properties.get("environmentVariables", {}), **seen}
        properties["provisioningState"] = (
            "Updating" if (endpoint, name) in self.deployments else "Creating"
        )
        made = {**body, "name": name, "properties": properties}
        made["id"] = f"{WORKSPACE}/onlineEndpoints/{endpoint}/deployments/{name}"
        made["sku"] = {**body["sku"], "tier": "Standard"}
        self.deployments[endpoint, name] = made
        error = self.fails.pop(0) if self.fails else None

        def ends() -> None:
            properties["provisioningState"] = "Failed" if error else "Succeeded"

        return self._started(endpoint, ends, {"name": name, "properties": {}}, error=error)

    def _score(self, endpoint: str, headers: Mapping[str, str], body: Any) -> tuple[Any, ...]:
        named = headers.get("azureml-model-deployment", "")
        self.heard.append((endpoint, named, json.dumps(body)))
        if headers.get("Authorization") != f"Bearer {KEY}":
            return 401, _error("Unauthorized", "the key is wrong")
        deployment = named or (self.serving(endpoint) if endpoint in self.endpoints else "")
        if (endpoint, deployment) not in self.deployments:
            return 404, _error("NotFound", "no deployment has traffic")
        content = self.content(endpoint, deployment)
        status, said = (self.answers or _echo)(deployment, content)
        return status, said, {"azureml-model-deployment": deployment}

    # --- operations, assets, blobs --------------------------------------------------------------

    def _busy(self, endpoint: str) -> tuple[Any, ...] | None:
        if any(o.endpoint == endpoint and not o.done for o in self.operations.values()):
            return 409, _error("Conflict", "an operation on this endpoint is already running")
        return None

    def _started(
        self,
        endpoint: str,
        ends: Callable[[], None],
        body: Any = None,
        *,
        results: bool = False,
        error: dict[str, Any] | None = None,
    ) -> tuple[Any, ...]:
        number = str(len(self.operations) + 1)
        self.operations[number] = Operation(endpoint, self.polls, ends, error)
        kind = "mfeOperationResults" if results else "mfeOperationsStatus"
        url = f"{self.url}{WORKSPACE}/operations/{kind}/{number}?api-version=1{self.signature}"
        if results:
            return 202, b"null", {"Location": url}
        return 201, body, {"Azure-AsyncOperation": url, "Location": f"{self.url}{WORKSPACE}/x"}

    def _operation(self, kind: str, number: str) -> tuple[Any, ...]:
        operation = self.operations[number]
        if not operation.done and kind == "mfeOperationResults":
            return 202, b"null"
        state = "Updating" if not operation.done else "Failed" if operation.error else "Succeeded"
        said: dict[str, Any] = {"name": number, "status": state, "percentComplete": 0.0}
        return 200, said | (
            {"error": operation.error} if operation.done and operation.error else {}
        )

    def _on_job(self, method: str, name: str, cancel: str | None, body: Any) -> tuple[Any, ...]:
        if method == "PUT" and name in self.jobs:
            return self.again, _error("Conflict", "the job exists already")
        if method == "PUT":
            said = {**body["properties"], "status": "Starting"}
            self.jobs[name] = {"id": f"{WORKSPACE}/jobs/{name}", "name": name, "properties": said}
            return 201, self.jobs[name]
        if name not in self.jobs:
            return _absent(name)
        if cancel:
            self.jobs[name]["properties"]["status"] = "Canceled"
            return 202, b"null"
        return 200, copy.deepcopy(self.jobs[name])

    def _on_asset(self, method: str, path: str, body: Any) -> tuple[Any, ...]:
        key = path.lower()
        if method == "PUT":
            if key in self.assets:
                return 200, self.assets[key]
            self.assets[key] = {**body, "id": f"{WORKSPACE}{path}"}
            return 201, self.assets[key]
        return (200, self.assets[key]) if key in self.assets else _absent(path)


def _series(status: str, average: float) -> dict[str, Any]:
    names = [{"name": {"value": "statuscode"}, "value": status}]
    return {"metadatavalues": names, "data": [{"timeStamp": "t", "average": average}, {}]}


def _echo(_: str, content: bytes) -> tuple[int, Any]:
    return 200, {"rows": [{"text": content.decode()}]}


def _absent(name: str) -> tuple[int, Any]:
    return 404, _error("ResourceNotFound", f"{name} was not found")


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": []}}
