"""The services of one world: New ones, one Classic service with its endpoints, and scoring."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any
from urllib.parse import quote

from tests.benchmarks.cloud.blobs import Blobs
from tests.benchmarks.cloud.definitions import HOST, NAME, URI, definition
from tests.benchmarks.cloud.door import Answer, Cloud, Request, Seen, as_json
from tests.benchmarks.cloud.jobs import TrainingService
from tests.benchmarks.cloud.online import PROVIDER, Online

_ARM = "/providers/Microsoft.MachineLearning/"
_PAGE = 1_000


class World(Cloud):
    """All of it. `begin` takes JSON: sizes, latency, services by name → URI of their model."""

    def __init__(self) -> None:
        self.begin({})

    def begin(self, world: dict[str, Any]) -> None:
        self.seen = Seen()
        self.latency_s = float(world.get("latency_s", 0.0))
        self._host: str = world.get("host", "")
        self._size: int = world.get("definition_bytes", 2_000)
        self._job_s: float = world.get("job_s", 2.0)
        self._new: dict[str, str] = world.get("new", {})
        self._classic: dict[str, dict[str, str]] = world.get("classic", {})
        self._service: str = world.get("classic_service", "")
        self._endpoint_ids = {endpoint_id(name): name for name in self._classic}
        self._training: dict[str, TrainingService] = {}
        self._listed: bytes | None = None
        self._online = Online(world.get("online", {}), self._host)
        self._tags: dict[str, str] = world.get("tags", {})
        self._blobs = Blobs()
        for path, text in sorted(world.get("blobs", {}).items()):
            self._blobs.put(path, text.encode())
        self.__dict__.pop("_parts", None)

    def answer(self, request: Request) -> Answer:
        path = request.path
        if path.startswith("/blob/"):
            return self._blobs.answer(request, path.split("/", 3)[3])
        if PROVIDER in path:
            return self._online.answer(request)
        if _ARM in path:
            return self._arm(request, path.partition(_ARM)[2].split("/"))
        way = path.strip("/").split("/")
        if way[0] == "workspaces" and way[2] == "webservices":
            return self._manage(request, way[3:])
        if way[2:3] == ["services"]:
            return self._run(request, way[3], way[4:])
        return Answer("unknown", 501, f"501: {request.method} {path}".encode())

    # --- New services ------------------------------------------------------------------------

    def _arm(self, request: Request, way: list[str]) -> Answer:
        if way[0] == "locations":
            return as_json("operation", {"status": "Succeeded", "percentComplete": 1.0})
        if way == ["webServices"]:
            return self._page(request)
        name = "/".join(way[1:2])
        if name not in self._new:
            return _not_found("definition", name)
        if way[2:] == ["listKeys"]:
            return as_json("keys", {"primary": f"key-of-{name}", "secondary": f"other-of-{name}"})
        if request.method == "PATCH":
            assets = json.loads(request.body)["properties"]["assets"]
            self._new[name] = assets["asset4"]["locationInfo"]["uri"]
            operation = f"{self._host}/subscriptions/S{_ARM}locations/here/operationsStatus/{name}"
            headers = {"Azure-AsyncOperation": f"{operation}?api-version=2017-01-01"}
            return Answer("definition", 200, b"{}", headers)
        return Answer("definition", 200, self._definition(name))

    def _page(self, request: Request) -> Answer:
        """What there is, by its envelope, in pages (§3.2)."""
        begin = int(request.parameters.get("$skiptoken", "0"))
        names = list(self._new)[begin : begin + _PAGE]
        page: dict[str, Any] = {"value": [self._envelope(name, request.path) for name in names]}
        if begin + _PAGE < len(self._new):
            more = f"{self._host}{request.path}?api-version=2017-01-01&$skiptoken={begin + _PAGE}"
            page["nextLink"] = more
        return as_json("list of services", page)

    def _envelope(self, name: str, folder: str) -> dict[str, Any]:
        return {
            "id": f"{folder}/{name}",
            "name": name,
            "type": "Microsoft.MachineLearning/webServices",
            "location": "South Central US",
            "tags": self._tags,
            "properties": {"packageType": "Graph", "title": name},
        }

    def _definition(self, name: str) -> bytes:
        values = {NAME: name, URI: self._new[name], HOST: self._host}
        return "".join(values.get(part, part) for part in self._parts).encode()

    @cached_property
    def _parts(self) -> list[str]:
        text = json.dumps(definition(self._size, tags=self._tags))
        for mark in (NAME, URI, HOST):
            text = text.replace(mark, f"\0{mark}\0")
        return text.split("\0")

    # --- Classic endpoints ---------------------------------------------------------------------

    def _manage(self, request: Request, way: list[str]) -> Answer:
        service = {
            "Id": service_id(self._service),
            "Name": self._service,
            "DefaultEndpointName": "default",
            "EndpointCount": len(self._classic) + 1,
        }
        if not way:
            return as_json("Classic services", [service])
        if len(way) == 1:
            return as_json("Classic service", service)
        if len(way) == 2:
            if self._listed is None:
                listed = [self._endpoint(name) for name in self._classic]
                self._listed = json.dumps(listed).encode()
            return Answer("list of endpoints", 200, self._listed)
        name = way[2]
        if request.method == "PATCH":
            self._classic[name] = json.loads(request.body)["Resources"][0]["Location"]
            self._listed = None
        elif name not in self._classic:
            return _not_found("endpoint", name)
        return as_json("endpoint", self._endpoint(name))

    def _endpoint(self, name: str) -> dict[str, Any]:
        location = {**self._classic[name], "SasBlobToken": ""}
        resource = {"Name": "Fleet [trained model]", "Kind": "TrainedModel", "Location": location}
        return {
            "Name": name,
            "Description": name,
            "CreationTime": "2016-01-29T13:27:14.153Z",
            "WorkspaceId": "f" * 32,
            "WebServiceId": service_id(self._service),
            "PrimaryKey": f"key-of-{name}",
            "SecondaryKey": f"other-of-{name}",
            "ApiLocation": f"{self._host}/workspaces/{'f' * 32}/services/{endpoint_id(name)}",
            "PreventUpdate": False,
            "MaxConcurrentCalls": 4,
            "ThrottleLevel": "Low",
            "DiagnosticsTraceLevel": "None",
            "Resources": [resource],
        }

    # --- scoring and jobs --------------------------------------------------------------------

    def _run(self, request: Request, service: str, way: list[str]) -> Answer:
        if way[0] == "jobs":
            if service not in self._training:
                self._training[service] = TrainingService(self._blobs, self._job_s)
            return self._training[service].answer(request, way[1:])
        label = hashlib.md5(self._model(service).encode(), usedforsecurity=False).hexdigest()
        value = {"ColumnNames": ["Scored Labels"], "Values": [[label]]}
        return as_json("score", {"Results": {"output1": {"type": "table", "value": value}}})

    def _model(self, service: str) -> str:
        if service in self._new:
            return self._new[service]
        return quote(self._classic[self._endpoint_ids[service]]["RelativeLocation"])


def endpoint_id(name: str) -> str:
    return hashlib.md5(f"endpoint {name}".encode(), usedforsecurity=False).hexdigest()


def service_id(name: str) -> str:
    return hashlib.md5(f"service {name}".encode(), usedforsecurity=False).hexdigest()


def _not_found(kind: str, name: str) -> Answer:
    details = [{"code": "WebServiceNotFound", "message": name}]
    return as_json(kind, {"error": {"code": "NotFound", "message": name, "details": details}}, 404)
