"""New web services: the ARM door (azure-ml-studio-protocol.md §3).

Writes are long-running operations: the answer is slim (2017) or echoes everything (2016), the
definition changes when the operation has succeeded, and until then GET shows the old one.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reconciler.emulator import definitions
from reconciler.emulator.messages import Refused, Request, Response, answer, json_object, member
from reconciler.emulator.world import (
    Operation,
    WebService,
    canonicalised,
    iso,
    localised,
    new_id,
)

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

OLD, NEW = "2016-05-01-preview", "2017-01-01"
PROVIDER = "Microsoft.MachineLearning"
_GROUP = re.compile(
    r"/subscriptions/(?P<sub>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"/providers/microsoft\.machinelearning/webservices(?:/(?P<name>[^/]+)(?:/(?P<below>[^/]+))?)?/?$",
    re.IGNORECASE,
)
_SUBSCRIPTION = re.compile(
    r"/subscriptions/(?P<sub>[^/]+)/providers/microsoft\.machinelearning/webservices/?$",
    re.IGNORECASE,
)
_OPERATION = re.compile(
    r"/subscriptions/(?P<sub>[^/]+)/providers/microsoft\.machinelearning/locations/(?P<loc>[^/]+)"
    r"/(?P<what>operationsstatus|operationresults)/(?P<id>[^/]+)$",
    re.IGNORECASE,
)
_OPERATIONS = re.compile(r"/providers/microsoft\.machinelearning/operations$", re.IGNORECASE)


def route(request: Request) -> str:
    """The name of the ARM route of a request, "" when it is for another door."""
    path = request.path
    if _OPERATION.match(path):
        return "arm.operation"
    if _OPERATIONS.match(path):
        return "arm.operations"
    if _SUBSCRIPTION.match(path):
        return "arm.list"
    if match := _GROUP.match(path):
        below = (match["below"] or "").casefold()
        if below:
            return f"arm.{below}"
        return f"arm.{request.method.casefold()}" if match["name"] else "arm.list"
    return ""


def handle(core: Core, request: Request) -> Response:
    """The answer to an ARM request."""
    if not request.bearer:
        raise Refused(401, "InvalidAuthenticationToken", "The access token is missing or invalid.")
    version = request.parameters.get("api-version", "")
    if not version:
        raise Refused(
            400, "MissingApiVersionParameter", "The api-version query parameter is required."
        )
    if version not in (OLD, NEW):
        raise Refused(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider for api-version '{version}'. "
            f"The supported api-versions are '{OLD}, {NEW}'.",
        )
    return _dispatch(core, request).with_headers(
        Expires="-1",
        Pragma="no-cache",
        Cache_Control="no-cache",
        Server="Microsoft-HTTPAPI/2.0",
        Strict_Transport_Security="max-age=31536000; includeSubDomains",
        x_ms_correlation_request_id=str(uuid.uuid4()),
        x_ms_routing_request_id=f"EMULATOR:{uuid.uuid4()}",
        x_ms_request_duration="1",
        **_quota(request),
    )


def _quota(request: Request) -> dict[str, str]:
    kind = "reads" if request.method == "GET" else "writes"
    return {f"x_ms_ratelimit_remaining_subscription_{kind}": "1199"}


def _dispatch(core: Core, request: Request) -> Response:
    if match := _OPERATION.match(request.path):
        return _operation(core, request, match["what"].casefold(), match["id"])
    if _OPERATIONS.match(request.path):
        return answer(200, {"value": [_described()]})
    if match := _SUBSCRIPTION.match(request.path):
        return _listed(core, request, match["sub"], None)
    match = _GROUP.match(request.path)
    assert match is not None
    sub, group, name = match["sub"], match["group"], unquote(match["name"] or "")
    if not name:
        return _listed(core, request, sub, group)
    return _service(core, request, (sub, group, name), (match["below"] or "").casefold())


def _described() -> Json:
    display = {
        "provider": PROVIDER,
        "resource": "webServices",
        "operation": "Read web service",
        "description": "Read any web service",
    }
    return {"name": f"{PROVIDER}/webServices/read", "display": display}


def _service(core: Core, request: Request, where: tuple[str, str, str], below: str) -> Response:
    key = service_key(*where)
    service = core.world.services.get(key)
    method = request.method
    if below == "listkeys" and method == "GET":
        return answer(200, dict(_there(service, where[2]).keys))
    if below == "createregionalblob" and method == "POST":
        return _create_regional(core, request, key, _there(service, where[2]))
    if below:
        raise unknown(request)
    if method == "GET":
        return _get(request, _there(service, where[2]))
    if method == "PUT":
        return _put(core, request, key, service, where)
    if method == "PATCH":
        return _patch(core, request, key, _there(service, where[2]))
    if method == "DELETE":
        return _delete(core, request, key, service)
    raise unknown(request)


def service_key(subscription: str, group: str, name: str) -> str:
    """The key of a New service; ARM ids count in any case."""
    return "/".join((subscription, group, name)).casefold()


def unknown(request: Request) -> Refused:
    """501 that names what was asked."""
    return Refused(
        501, "NotImplemented", f"The emulator does not know {request.method} {request.path}."
    )


def _there(service: WebService | None, name: str) -> WebService:
    if service is None:
        raise Refused(
            404,
            "NotFound",
            "The specified resource was not found.",
            (
                "WebServiceNotFound",
                f"No Web Service could be found with the provided name: {name}.",
            ),
        )
    return service


def _get(request: Request, service: WebService) -> Response:
    region = request.parameters.get("region", "")
    if region and definitions.short(region) not in (
        definitions.short(service.location),
        *service.regions,
    ):
        raise Refused(
            404,
            "NotFound",
            "The specified resource was not found.",
            (
                "PerRegionPayloadNotFound",
                f"The payload for region {region} was not found; create it by a POST to "
                "CreateRegionalBlob first.",
            ),
        )
    shown = definitions.shown(service, request, region)
    if request.parameters["api-version"] == OLD:
        shown = definitions.old_dialect(shown)
    return answer(200, localised(shown, request))


def _listed(core: Core, request: Request, subscription: str, group: str | None) -> Response:
    """Sparse services, in pages that `nextLink` leads through (§3.2)."""
    found = sorted(
        (
            (key, s)
            for key, s in core.world.services.items()
            if s.subscription.casefold() == subscription.casefold()
            and (group is None or s.group.casefold() == group.casefold())
        ),
        key=lambda pair: pair[0],
    )
    start = int(request.parameters.get("$skiptoken", "0") or 0)
    size = core.options.page_size
    page: Json = {"value": [definitions.sparse(s) for _, s in found[start : start + size]]}
    if start + size < len(found):
        version = request.parameters["api-version"]
        link = f"{request.base}{request.path}?api-version={version}&%24skiptoken={start + size}"
        page["nextLink"] = link
    return answer(200, page)


def _put(
    core: Core,
    request: Request,
    key: str,
    service: WebService | None,
    where: tuple[str, str, str],
) -> Response:
    document = json_object(request)
    properties = definitions.checked(document, service)
    if service is None:
        service = _created(core, key, where, document)
        status = 201
    else:
        status = 200
        kept = {
            name: service.properties[name]
            for name in definitions.KEPT
            if name in service.properties
        }
        properties = {**kept, **properties}
    return _start_write(core, request, key, service, document, properties, status)


def _created(core: Core, key: str, where: tuple[str, str, str], document: Json) -> WebService:
    now = core.now()
    service = WebService(
        subscription=where[0],
        group=where[1],
        name=where[2],
        id=new_id(),
        location=definitions.display(str(member(document, "location", ""))),
        properties={},
        tags={},
        keys={"primary": definitions.new_key(), "secondary": definitions.new_key()},
        created=now,
        modified=now,
        state="Provisioning",
    )
    core.world.services[key] = service
    return service


def _patch(core: Core, request: Request, key: str, service: WebService) -> Response:
    document = json_object(request)
    patch = definitions.checked(document, service)
    merged = definitions.merged(service.properties, patch, core.options.patch_maps)
    return _start_write(core, request, key, service, document, merged, 200)


def _start_write(
    core: Core,
    request: Request,
    key: str,
    service: WebService,
    document: Json,
    properties: Json,
    status: int,
) -> Response:
    keys = member(member(document, "properties") or {}, "keys") or {}
    operation = _begin(
        core,
        service,
        key,
        kind="write",
        properties=canonicalised(definitions.without_keys(properties)),
        tags=member(document, "tags", service.tags) or {},
        keys={k.casefold(): v for k, v in keys.items() if v},
    )
    service.state = "Provisioning"
    if request.parameters["api-version"] == OLD:
        echo = {**definitions.envelope(service), "properties": {**properties, "keys": keys}}
        body = definitions.old_dialect(echo)
    else:
        body = _slim(service, request)
    return _accepted(request, operation, answer(status, localised(body, request)))


def _slim(service: WebService, request: Request) -> Json:
    said: Json = {"provisioningState": "Provisioning"}
    if request.method != "PATCH":
        said = {"payloadsInBlobStorage": False, **said}
    return {**definitions.envelope(service), "properties": said}


def _create_regional(core: Core, request: Request, key: str, service: WebService) -> Response:
    region = request.parameters.get("region", "")
    if not region:
        raise Refused(400, "BadRequest", "The request is invalid.", ("MissingRegion", "No region."))
    operation = _begin(core, service, key, kind="region", region=definitions.short(region))
    return _accepted(request, operation, answer(202, _slim(service, request)))


def _delete(core: Core, request: Request, key: str, service: WebService | None) -> Response:
    if service is None:
        return answer(204)
    operation = _begin(core, service, key, kind="delete")
    location = _operation_url(request, operation, "operationresults")
    return _accepted(request, operation, answer(202)).with_headers(Location=location)


def _begin(core: Core, service: WebService, key: str, *, kind: str, **more: Any) -> Operation:
    now = core.now()
    operation = Operation(
        id=str(uuid.uuid4()),
        subscription=service.subscription,
        location=definitions.short(service.location),
        service=key,
        kind=kind,
        started=now,
        due=now + core.options.operation_s / core.options.speed,
        trick=core.faults.trick("operation"),
        **more,
    )
    core.world.operations[operation.id] = operation
    return operation


def _operation_url(request: Request, operation: Operation, what: str) -> str:
    version = request.parameters["api-version"]
    return (
        f"{request.base}/subscriptions/{operation.subscription}/providers/{PROVIDER}"
        f"/locations/{operation.location}/{what}/{operation.id}?api-version={version}"
    )


def _accepted(request: Request, operation: Operation, response: Response) -> Response:
    """§3.6: the two headers of a long-running operation; no Retry-After was ever recorded."""
    return response.with_headers(
        Azure_AsyncOperation=_operation_url(request, operation, "operationsStatus"),
        Azure_AsyncOperationPercentComplete="0",
    )


def _operation(core: Core, request: Request, what: str, ident: str) -> Response:
    operation = core.world.operations.get(ident)
    if operation is None:
        raise Refused(404, "NotFound", "The specified resource was not found.")
    ended = operation.status != "Provisioning"
    if what == "operationresults":
        return answer(204 if ended else 202)
    body: Json = {
        "id": _operation_url(request, operation, "operationsStatus")
        .split("?")[0]
        .removeprefix(request.base),
        "name": operation.id,
        "status": operation.status,
        "startTime": iso(operation.started),
        "percentComplete": 1.0 if ended else _percent(core, operation),
    }
    if ended:
        body["endTime"] = iso(operation.ended)
    return answer(200, {**body, **_failure(core, operation)})


def _percent(core: Core, operation: Operation) -> float:
    """From 0.5, as recorded, towards 0.9."""
    share = (core.now() - operation.started) / max(operation.due - operation.started, 1e-9)
    return round(0.5 + 0.4 * min(max(share, 0.0), 1.0), 2)


def _failure(core: Core, operation: Operation) -> Json:
    """The error in the swagger's member, in ARM's, or in both: nobody recorded one [U]."""
    if operation.status != "Failed":
        return {}
    shape = core.options.async_failure
    return {name: operation.error for name in ("error", "errorInfo") if shape in ("both", name)}


def settle(core: Core, now: float) -> None:
    """End the operations whose time has come."""
    for operation in list(core.world.operations.values()):
        if operation.status == "Provisioning" and operation.due <= now:
            _end(core, operation)


def _end(core: Core, operation: Operation) -> None:
    service = core.world.services.get(operation.service)
    operation.ended = operation.due
    operation.status = "Succeeded"
    if service is None:
        return
    if operation.kind == "delete":
        del core.world.services[operation.service]
    elif operation.kind == "region":
        service.regions.append(operation.region)
    else:
        _write(core, operation, service)


def _write(core: Core, operation: Operation, service: WebService) -> None:
    """Take over a new definition, or fail and leave the old one."""
    service.state = "Succeeded"
    if operation.trick == "nothing":
        return
    try:
        if operation.trick:
            raise definitions.ModelError("InternalError", operation.trick)
        model = definitions.model_bytes(core, operation.properties)
    except definitions.ModelError as exc:
        operation.status = "Failed"
        service.state = "Succeeded" if service.properties else "Failed"
        detail = {"code": exc.code, "message": exc.message}
        operation.error = {
            "code": "InternalError",
            "message": "The web service could not be updated.",
            "target": service.name,
            "details": [detail],
        }
        return
    service.properties, service.tags = operation.properties, operation.tags
    service.keys.update(operation.keys)
    service.modified, service.updates = operation.due, service.updates + 1
    service.model = core.world.keep_model(model) if model is not None else ""
