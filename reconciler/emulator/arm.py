"""New web services: the ARM door (STUDIO_PROTOCOL.md §3).

Writes are long-running operations: the answer is slim (2017) or echoes everything (2016), the
definition changes when the operation has succeeded, and until then GET shows the old one.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.emulator import commitment, definitions, operations, payloads
from reconciler.emulator.messages import (
    Refused,
    Request,
    Response,
    answer,
    json_object,
    member,
    unknown,
)
from reconciler.emulator.operations import PROVIDER
from reconciler.emulator.shapes import check_creation, refused
from reconciler.emulator.world import WebService, canonicalised, localised, new_id

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

OLD, NEW = "2016-05-01-preview", "2017-01-01"
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
    request = _plain(request)
    path = request.path
    if _OPERATION.match(path):
        return "arm.operation"
    if _OPERATIONS.match(path):
        return "arm.operations"
    if _SUBSCRIPTION.match(path):
        return "arm.list"
    if plan := commitment.route(request):
        return plan
    if match := _GROUP.match(path):
        below = (match["below"] or "").casefold()
        if below:
            return f"arm.{below}"
        return f"arm.{request.method.casefold()}" if match["name"] else "arm.list"
    return ""


def _plain(request: Request) -> Request:
    """The request without empty segments: `…/Microsoft.MachineLearning//commitmentPlans` was
    recorded as if it had none."""
    return replace(request, path=re.sub("/{2,}", "/", request.path))


def handle(core: Core, request: Request) -> Response:
    """The answer to an ARM request; refusals carry the common headers, too."""
    try:
        response = _handle(core, _plain(request))
    except Refused as exc:
        response = exc.response
    common = response.with_headers(
        Expires="-1",
        Pragma="no-cache",
        Cache_Control="no-cache",
        Strict_Transport_Security="max-age=31536000; includeSubDomains",
        x_ms_correlation_request_id=str(uuid.uuid4()),
        x_ms_routing_request_id=f"EMULATOR:{uuid.uuid4()}",
    )
    if "x-ms-failure-cause" in response.headers:
        return common
    return common.with_headers(
        Server="Microsoft-HTTPAPI/2.0", x_ms_request_duration="1", **_quota(request)
    )


def _handle(core: Core, request: Request) -> Response:
    if not request.bearer:
        raise Refused(401, "InvalidAuthenticationToken", "The access token is missing or invalid.")
    version = request.parameters.get("api-version", "")
    if not version:
        raise Refused(
            400, "MissingApiVersionParameter", "The api-version query parameter is required."
        )
    known = (commitment.VERSION,) if commitment.route(request) else (OLD, NEW)
    if version not in known:
        raise Refused(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider for api-version '{version}'. "
            f"The supported api-versions are '{', '.join(known)}'.",
        )
    return _dispatch(core, request)


def _quota(request: Request) -> dict[str, str]:
    kind = "reads" if request.method == "GET" else "writes"
    return {f"x_ms_ratelimit_remaining_subscription_{kind}": "1199"}


def _dispatch(core: Core, request: Request) -> Response:
    if match := _OPERATION.match(request.path):
        return operations.look_at(core, request, match["what"].casefold(), match["id"])
    if _OPERATIONS.match(request.path):
        return answer(200, {"value": [_described()]})
    if match := _SUBSCRIPTION.match(request.path):
        return _listed(core, request, match["sub"], None)
    if commitment.route(request):
        return commitment.handle(core, request)
    match = _GROUP.match(request.path)
    assert match is not None
    sub, group, name = match["sub"], unquote(match["group"]), unquote(match["name"] or "")
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
        operations.look(core, operations.running(core, key))
        return _get(core, request, _there(core.world.services.get(key), where[2]))
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


def _get(core: Core, request: Request, service: WebService) -> Response:
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
                f"Web Service Definition for region {region} was not found. Please use the same "
                "URL making a POST call and wait for it succeeded, then try GET again.",
            ),
        )
    shown = definitions.shown(service, request, region, old=_old(request))
    shown = payloads.shown(core, request, service, shown)
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
    token = request.parameters.get("$skiptoken", "") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", token):
        raise refused("InvalidQueryParameter", "The $skiptoken is not one of this list.")
    start = int(token)
    size = core.options.page_size
    shown = [
        definitions.sparse(s, request, old=_old(request)) for _, s in found[start : start + size]
    ]
    if not core.options.list_tags:
        shown = [{**service, "tags": {}} for service in shown]
    page: Json = {"value": shown}
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
    properties = payloads.taken_in(
        core, definitions.checked(document, service, core.now(), old=_old(request))
    )
    given = {name.casefold() for name, value in (properties.get("keys") or {}).items() if value}
    if len(given) == 1:  # a PATCH of one key was recorded; a definition needs both or none
        raise refused("MissingKeys", "One of primary and secondary is not provided.")
    if service is None:
        if not member(document, "location"):
            raise refused("RequestBodyInvalid", "location is required.")
        check_creation(properties)
        service = _created(core, key, where, document)
        status = 201
    else:
        if core.options.if_none_match == "honoured" and request.headers.get("if-none-match") == "*":
            raise Refused(412, "PreconditionFailed", "The resource exists already.")
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
        tags=dict(member(document, "tags") or {}),  # ARM's own: they do not wait for the service
        keys={"primary": definitions.new_key(), "secondary": definitions.new_key()},
        created=now,
        modified=now,
        state="Provisioning",
    )
    core.world.services[key] = service
    return service


def _patch(core: Core, request: Request, key: str, service: WebService) -> Response:
    document = json_object(request)
    patch = payloads.taken_in(
        core, definitions.checked(document, service, core.now(), old=_old(request))
    )
    merged = definitions.merged(service.properties, patch, core.options.patch_maps)
    if core.options.patch_maps == "merge":
        document = {**document, "tags": {**service.tags, **(member(document, "tags") or {})}}
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
    operation = operations.begin(
        core,
        service,
        key,
        kind="write",
        properties=canonicalised(definitions.without_keys(properties), core.blobs.accounts),
        tags=member(document, "tags", service.tags) or {},
        keys={k.casefold(): v for k, v in keys.items() if v},
    )
    service.state = "Provisioning"
    if _old(request):
        told = {"provisioningState": "Provisioning", **properties, "keys": keys}
        body = definitions.old_dialect({**definitions.envelope(service), "properties": told})
        body["tags"] = member(document, "tags")
        body = {name: value for name, value in body.items() if value is not None}
    else:
        body = _slim(service, request)
    return operations.accepted(request, operation, answer(status, localised(body, request)))


def _old(request: Request) -> bool:
    return request.parameters["api-version"] == OLD


def _slim(service: WebService, request: Request) -> Json:
    said: Json = {"provisioningState": "Provisioning"}
    if request.method != "PATCH":
        said = {"payloadsInBlobStorage": False, **said}
    return {**definitions.envelope(service), "properties": said}


def _create_regional(core: Core, request: Request, key: str, service: WebService) -> Response:
    region = request.parameters.get("region", "")
    if not region:
        raise refused("InvalidQueryParameter", "The region is missing.")
    operation = operations.begin(
        core, service, key, kind="region", region=definitions.short(region)
    )
    body = {**_slim(service, request), "id": service.name}  # as recorded: no path, and no tags
    del body["tags"]
    return operations.accepted(request, operation, answer(202, body))


def _delete(core: Core, request: Request, key: str, service: WebService | None) -> Response:
    if service is None:
        return answer(204)
    operation = operations.begin(core, service, key, kind="delete")
    location = operations.url(request, operation, "operationresults")
    return operations.accepted(request, operation, answer(202)).with_headers(Location=location)
