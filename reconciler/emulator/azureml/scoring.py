"""The scoring host: a request goes to a deployment by the traffic, or by a header, and to a mirror.

It is found by its host name, or below `/inference/{region}/{endpoint}` of the emulator's own
origin. Models run without the lock of the world, so that a slow one blocks nobody else.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from reconciler.emulator.azureml import endpoints, metrics
from reconciler.emulator.azureml.calls import seconds
from reconciler.emulator.azureml.containers import Busy, Scored
from reconciler.emulator.azureml.deployments import started
from reconciler.emulator.azureml.failures import Failure
from reconciler.emulator.azureml.tokens import audience
from reconciler.emulator.messages import Refused, Response, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.emulator.azureml.containers import Container
    from reconciler.emulator.azureml.records import Resource
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request

_HOST = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<region>[a-z0-9]+)\.inference\.ml\.azure\.com", re.I)
_PATH = re.compile(r"/inference/(?P<region>[^/]+)/(?P<name>[^/]+)(?P<below>/.*)?")
ROUTES = ("azureml.score", "azureml.swagger", "azureml.inference")
_WHAT = {"/score": "score", "/swagger.json": "swagger"}
SERVER = "azmlinfsrv/1.5.1"
DEPLOYMENT = "azureml-model-deployment"
_MOST_ID = 100  # characters of an id that the inference server takes; it says 431 for more
_COUNTING = threading.Lock()
_STRIDE, _MIRROR_STRIDE = 61, 37  # coprime to 100: every hundred requests meet every share exactly


def route(request: Request) -> str:
    """The name of the scoring route of a request, "" when it is for another door."""
    found = _found(request)
    return f"azureml.{_WHAT.get(found[2], 'inference')}" if found else ""


def _found(request: Request) -> tuple[str, str, str] | None:
    if match := _HOST.fullmatch(request.host):
        return match["region"].casefold(), match["name"].casefold(), request.path
    if match := _PATH.fullmatch(request.path):
        return match["region"].casefold(), match["name"].casefold(), match["below"] or ""
    return None


@dataclass(frozen=True)
class _Target:
    """A container to ask, and how long and with how many others to wait for it."""

    name: str
    container: Container
    timeout_s: float
    most_waiting: int
    counts: dict[str, int]
    series: metrics.Series


def admit(core: Core, request: Request) -> Callable[[], Response]:
    """A call that answers a request, to be made without the lock of the world; Refused at once."""
    found = _found(request)
    assert found is not None
    region, name, below = found
    endpoint = _endpoint(core, region, name)
    refused = endpoints.may_score(core, endpoint, request.bearer, audience(request.bearer))
    if refused is not None:
        raise refused
    if below == "/swagger.json":
        document = {"swagger": "2.0", "info": {"title": endpoint.name, "version": "1.0"}}
        return lambda: answer(200, {**document, "paths": {"/score": {"post": {}}}})
    if below != "/score" or request.method not in ("POST", "GET"):
        raise Refused(404, "NotFound", f"There is no {below or '/'} here.")
    number = endpoint.kept["requests"] = endpoint.kept.get("requests", -1) + 1
    target = _target(core, endpoint, _chosen(core, endpoint, request, number))
    mirrored = _mirror(core, endpoint, request, number)

    def respond() -> Response:
        if mirrored is not None:  # whoever asked neither waits for a mirror nor hears of it
            threading.Thread(
                target=_counted, args=(core, mirrored, request, "mirrored"), name="mirror"
            ).start()
        response = _counted(core, target, request, "served")
        if core.options.answer_names:
            response = response.with_headers(**{DEPLOYMENT: target.name})
        return replace(response, by=target.name)

    return respond


def _counted(core: Core, target: _Target, request: Request, what: str) -> Response:
    response = _asked(target, request)
    with _COUNTING:
        if what == "served" or core.options.mirror_metrics == "counted":
            metrics.count(target.series, core.now(), response.status)
        target.counts[what] += 1
        target.counts["failed"] += response.status != 200
    return response


def _endpoint(core: Core, region: str, name: str) -> Resource:
    for endpoint in core.world.resources.named("onlineendpoints", name):
        if endpoint.body["location"] == region and "made" in endpoint.kept:
            return endpoint
    raise Refused(404, "NotFound", f"There is no endpoint {name} in {region}.")


def _chosen(core: Core, endpoint: Resource, request: Request, number: int) -> str:
    """The deployment of a request: what its header names, at any traffic, or by share."""
    if named := request.headers.get(DEPLOYMENT):
        return named
    traffic, _ = endpoints.routed(core, endpoint)
    point = number * _STRIDE % 100
    for deployment, share in sorted(traffic.items()):
        if point < share:
            return deployment
        point -= share
    raise Refused(404, "NotFound", "No deployment of this endpoint has traffic.")


def _mirror(core: Core, endpoint: Resource, request: Request, number: int) -> _Target | None:
    """Where a copy of the request goes, None for nowhere; what a header names is not mirrored."""
    _, mirror = endpoints.routed(core, endpoint)
    for deployment, share in mirror.items():
        if number * _MIRROR_STRIDE % 100 < share and DEPLOYMENT not in request.headers:
            return _target(core, endpoint, deployment)
    return None


def _target(core: Core, endpoint: Resource, name: str) -> _Target:
    deployment = core.world.resources.get(f"{endpoint.id}/deployments/{name}")
    if deployment is None or "serving" not in deployment.kept:
        raise Refused(404, "NotFound", f"There is no deployment {name} that serves.")
    scope = core.world.resources[endpoint.id.rpartition("/onlineEndpoints/")[0]]
    kept, settings = deployment.kept, deployment.properties["requestSettings"]
    container = started(core, scope, deployment, kept["revision"], kept["serving"])
    capacity = deployment.body["sku"]["capacity"]
    most = 2 * settings["maxConcurrentRequestsPerInstance"] * capacity
    counts = kept.setdefault("counts", {"served": 0, "mirrored": 0, "failed": 0})
    timeout_s, series = seconds(settings["requestTimeout"]), kept.setdefault("series", {})
    return _Target(deployment.name, container, timeout_s, most, counts, series)


def _asked(target: _Target, request: Request) -> Response:
    """The container's answer as the host passes it on: what is not 200 becomes 424."""
    ids = _ids(request.headers)
    if long := [name for name in ids if len(ids[name]) > _MOST_ID]:
        why = f"{long[0]} must not exceed {_MOST_ID} characters"
        return _passed_on(Scored(431, json.dumps({"message": why}), failed=False), {})
    try:
        target.container.wait()
        target.container.check()
        text = request.body.decode()
        scored = target.container.score(text, target.timeout_s, target.most_waiting)
    except Failure as exc:
        return _model_error(503, {"message": exc.message})
    except UnicodeDecodeError as exc:
        why = f"Input cannot be decoded as UTF-8: {exc}"
        return _passed_on(Scored(400, json.dumps({"message": why}), failed=False), ids)
    except TimeoutError:
        return Refused(408, "RequestTimeout", "The model took longer than requestTimeout.").response
    except Busy:
        why = "Too many requests wait for this deployment."
        return Refused(429, "TooManyRequests", why).response.with_headers(Retry_After="1")
    if scored is None:
        return _model_error(502, {"message": "The container ended while it scored."})
    return _passed_on(scored, ids)


def _ids(headers: Mapping[str, str]) -> dict[str, str]:
    """The ids of a request, as the inference server answers them."""
    request_id = headers.get("x-request-id") or str(uuid.uuid4())
    client = headers.get("x-ms-client-request-id") or headers.get("x-ms-request-id", "")
    ids = {"x-request-id": request_id, "x-ms-request-id": client or request_id}
    return {**ids, "x-ms-client-request-id": client} if client else ids


def _passed_on(scored: Scored, ids: Mapping[str, str]) -> Response:
    """The answer of the inference server in the container, with its headers."""
    headers = {
        "Content-Type": "application/json",
        "x-ms-run-function-failed": str(scored.failed),
        "x-ms-server-version": SERVER,
        **ids,
    }
    if scored.ms:
        headers["x-ms-run-fn-exec-ms"] = scored.ms
    if scored.status == 200:
        return Response(200, headers, scored.body.encode())
    failed = _model_error(scored.status, {})
    return Response(424, {**headers, **failed.headers}, scored.body.encode())


def _model_error(status: int, body: Mapping[str, str]) -> Response:
    headers = {
        "Content-Type": "application/json",
        "ms-azureml-model-error-statuscode": str(status),
        "ms-azureml-model-error-reason": HTTPStatus(status).phrase.upper(),
    }
    return Response(424, headers, json.dumps(body).encode())
