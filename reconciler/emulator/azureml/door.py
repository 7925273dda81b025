"""The ARM door of Azure Machine Learning v2: finds the resource of a request, and who answers.

Paths count in any case. A route is named by the kinds in the path and the verb, such as
`azureml.onlineendpoints.deployments.put`, or by what is posted, such as `….getlogs`.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.emulator.azureml import (
    assets,
    capacity,
    deployments,
    endpoints,
    history,
    jobs,
    metrics,
    operations,
    scoring,
    storage,
    throttle,
    tokens,
    tracking,
    workspaces,
)
from reconciler.emulator.azureml.calls import Call
from reconciler.emulator.messages import Refused, Response, answer, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request

_RESOURCE = re.compile(
    r"(?P<scope>/subscriptions/[^/]+/resourcegroups/[^/]+/providers/"
    r"microsoft\.machinelearningservices/(?:workspaces|registries)/[^/]+)(?P<below>/.*?)?/?",
    re.IGNORECASE,
)
_OPERATION = re.compile(
    r"/subscriptions/[^/]+/providers/microsoft\.machinelearningservices/locations/[^/]+"
    r"/(?P<what>mfeoperationsstatus|mfeoperationresults)/(?P<id>[^/]+)",
    re.IGNORECASE,
)
_PLAIN = {
    "/metadata/endpoints": ("azureml.metadata", workspaces.metadata),
    "/discovery": ("azureml.discovery", workspaces.discovery),
}
_REGISTRY = re.compile(r"/registrymanagement/v1\.0/registries/[^/]+/discovery", re.IGNORECASE)
_REGISTRIES = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/providers/microsoft\.machinelearningservices/registries",
    re.IGNORECASE,
)
_REGIONAL = "/mferp/managementfrontend"  # before an ARM path, at the host of a region
VERSION = re.compile(r"202[1-9]-[0-9]{2}-[0-9]{2}(-(preview|dataplanepreview|privatepreview))?")
_ACTIONS = {
    *("listkeys", "regeneratekeys", "token", "getlogs", "skus", "cancel", "listsecrets"),
    "startpendingupload",
}
_HANDLERS: dict[tuple[str, ...], Callable[[Call], Response]] = {
    (): workspaces.handle,
    ("datastores",): storage.datastores,
    ("jobs",): jobs.handle,
    ("computes",): workspaces.computes,
    ("onlineendpoints",): endpoints.handle,
    ("onlineendpoints", "deployments"): deployments.handle,
    **dict.fromkeys((("datarefs", "versions"), ("datareferences", "versions")), assets.references),
    metrics.KINDS: metrics.handle,
    **{(kind,): assets.containers for kind in assets.KINDS},
    **{(kind, "versions"): assets.versions for kind in assets.KINDS},
}


def route(request: Request) -> str:
    """The name of the route of a request, "" when it is for another door."""
    if request.path.rstrip("/") in _PLAIN:
        return _PLAIN[request.path.rstrip("/")][0]
    request = _plain(request)
    if _OPERATION.fullmatch(request.path):
        return "azureml.operation"
    if _REGISTRY.fullmatch(request.path):
        return "azureml.registry"
    if _REGISTRIES.fullmatch(request.path):
        return "azureml.registries.list"
    if match := capacity.PATH.fullmatch(request.path):
        return f"azureml.{match['what'].casefold()}"
    if tracked := tracking.route(request) or history.route(request):
        return tracked
    match = _RESOURCE.fullmatch(request.path)
    if match is None:
        return scoring.route(request)
    kinds, names, action = _parsed(match["below"] or "")
    named = [kind.casefold() for kind in kinds] or ["workspaces"]
    listing = request.method == "GET" and len(kinds) > len(names)
    verb = action or ("list" if listing else request.method.casefold())
    return ".".join(("azureml", *named, verb))


def _plain(request: Request) -> Request:
    """The request as ARM would get it, which the host of a region is a second door of."""
    return replace(request, path=request.path.removeprefix(_REGIONAL))


def _parsed(below: str) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The kinds, the names and the action of a path below a scope."""
    parts = [unquote(part) for part in below.split("/")[1:]]
    action = ""
    if len(parts) % 2 and len(parts) > 1 and parts[-1].casefold() in _ACTIONS:
        action = parts.pop().casefold()
    return tuple(parts[::2]), tuple(parts[1::2]), action


def handle(core: Core, request: Request) -> Response:
    """The answer to a request of this door, with the headers that all answers have."""
    request = _plain(request)
    budget: dict[str, str] = {}
    try:
        if "/providers/" in request.path and not tracking.route(request):
            budget = throttle.take(core, request.method)
        response = _handle(core, request)
    except throttle.Throttled as exc:
        response = refusal(exc).with_headers(Retry_After=str(exc.retry_after_s))
    except Refused as exc:
        response = refusal(exc)
    return response.with_headers(
        Cache_Control="no-cache",
        Pragma="no-cache",
        Strict_Transport_Security="max-age=31536000; includeSubDomains",
        x_ms_correlation_request_id=str(uuid.uuid4()),
        **budget,
    )


def refusal(refused: Refused) -> Response:
    """The answer to a refusal: the useful code is among the details."""
    details = [{"code": code, "message": text} for code, text in refused.details]
    error = {
        "code": refused.code,
        "message": refused.message,
        "target": None,
        "details": details,
        "additionalInfo": [{"type": "ComponentName", "info": {"value": "managementfrontend"}}],
    }
    return answer(refused.status, {"error": error})


def settle(core: Core, now: float) -> bool:
    """End the operations and the jobs whose time has come; whether anything has changed."""
    return any([part.settle(core, now) for part in (operations, jobs)])


def _handle(core: Core, request: Request) -> Response:
    if request.path.rstrip("/") in _PLAIN:
        return _PLAIN[request.path.rstrip("/")][1](request)
    if tracking.route(request):
        return tracking.handle(core, request)
    if history.route(request):
        return history.handle(core, request)
    if not request.bearer or tokens.audience(request.bearer) not in ("", *tokens.ARM):
        raise Refused(401, "InvalidAuthenticationToken", "The access token is missing or invalid.")
    if _REGISTRY.fullmatch(request.path):
        return workspaces.registry(core, request)
    version = request.parameters.get("api-version", "")
    if not version:
        raise Refused(
            400, "MissingApiVersionParameter", "The api-version query parameter is required."
        )
    of_metrics = request.path.casefold().endswith(metrics.PATH)
    if not (metrics.VERSION if of_metrics else VERSION).fullmatch(version):
        raise Refused(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider for api-version '{version}'.",
        )
    if capacity.PATH.fullmatch(request.path):
        return capacity.handle(core, request)
    if match := _OPERATION.fullmatch(request.path):
        return operations.look_at(core, request, match["what"].casefold(), unquote(match["id"]))
    if match := _REGISTRIES.fullmatch(request.path):
        return workspaces.registries(core, match["subscription"])
    return answered(call_of(core, request))


def answered(call: Call) -> Response:
    """The answer to a call by the file of its kind of resource."""
    handler = _HANDLERS.get(tuple(kind.casefold() for kind in call.kinds))
    if handler is None:
        raise unknown(call.request)
    if len(call.names) < len(call.kinds) and call.request.method != "GET":
        raise Refused(405, "MethodNotAllowed", "A collection can only be listed.")
    return handler(call)


def call_of(core: Core, request: Request) -> Call:
    """The call of a request below a scope that exists; Refused with 404 for any other."""
    match = _RESOURCE.fullmatch(request.path)
    assert match is not None
    scope = core.world.resources.get(unquote(match["scope"]))
    if scope is None:
        name = match["scope"].rpartition("/")[2]
        raise Refused(404, "ResourceNotFound", f"The resource {name} was not found.")
    kinds, names, action = _parsed(match["below"] or "")
    return Call(core, request, scope, _spelt(kinds), names, action)


# As the service itself writes the kinds, whatever case they come in.
_SPELLING = {
    name.casefold(): name for name in ("onlineEndpoints", "deployments", "versions", "datastores")
}


def _spelt(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_SPELLING.get(kind.casefold(), kind.casefold()) for kind in kinds)
