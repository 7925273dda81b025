"""Classic web services and their endpoints: the management door (§2)."""

from __future__ import annotations

import copy
import difflib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reconciler.emulator.definitions import ModelError, new_key, public_scoring_base
from reconciler.emulator.messages import (
    Refused,
    Request,
    Response,
    answer,
    bad_argument,
    json_object,
    member,
    unknown,
)
from reconciler.emulator.swagger import swagger
from reconciler.emulator.world import (
    ClassicService,
    Endpoint,
    Workspace,
    canonical,
    iso,
    localised,
    new_id,
)

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

_PATH = re.compile(
    r"/workspaces/(?P<ws>[^/]+)/webservices(?:/(?P<svc>[^/]+)"
    r"(?:/endpoints(?:/(?P<ep>[^/]+)(?:/(?P<below>[^/]+))?)?)?)?/?$",
    re.IGNORECASE,
)
_ENDPOINTS = re.compile(r"/endpoints/?$", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]{1,24}")
FREE_ENDPOINTS = 3
MOST_ENDPOINTS = 10_000  # §2.5: of a standard workspace


def route(request: Request) -> str:
    """The name of the management route of a request, "" when it is for another door."""
    match = _PATH.match(request.path)
    if not match:
        return ""
    level = "endpoint" if match["ep"] else "service" if match["svc"] else "services"
    if _ENDPOINTS.search(request.path):
        level = "endpoints"
    below = f".{match['below'].casefold()}" if match["below"] else ""
    return f"classic.{level}{below}.{request.method.casefold()}"


def handle(core: Core, request: Request) -> Response:
    """The answer to a management request."""
    match = _PATH.match(request.path)
    assert match is not None
    workspace = core.world.workspaces.get(match["ws"])
    if workspace is None:
        raise _not_found("WorkspaceNotFound", f"Workspace {match['ws']} was not found.")
    below = (match["below"] or "").casefold()
    if below == "apidocument" and request.method == "GET":
        service = _service(core, workspace, match["svc"])
        endpoint = _endpoint(service, unquote(match["ep"]))
        return answer(
            200, swagger(core, request, f"/workspaces/{workspace.id}/services/{endpoint.id}")
        )
    if request.bearer != workspace.token:
        return _with_endpoint_key(core, request, workspace, match)
    if not match["svc"]:
        return _services(core, request, workspace)
    if request.method == "PUT" and not match["ep"]:
        raise unknown(request)  # publishing a Code service (§2.7): it has nothing to retrain
    service = _service(core, workspace, match["svc"])
    if not match["ep"]:
        return _of_service(core, request, service)
    name = unquote(match["ep"])
    if request.method == "PUT" and not below:
        return _put(core, request, workspace, service, name)
    return _of_endpoint(core, request, service, _endpoint(service, name), below)


def _with_endpoint_key(
    core: Core, request: Request, workspace: Workspace, match: re.Match[str]
) -> Response:
    """An endpoint's own key serves for that endpoint only (§2.2)."""
    service = core.world.classic.get(match["svc"] or "")
    endpoint = _found(service, unquote(match["ep"] or "")) if service else None
    known = endpoint is not None and request.bearer in endpoint.keys.values()
    if service is None or endpoint is None or not known or service.workspace != workspace.id:
        raise unauthorized("ManagementRequestUnauthorized")
    return _of_endpoint(core, request, service, endpoint, (match["below"] or "").casefold())


def unauthorized(detail: str) -> Refused:
    """401 (§4.8)."""
    message = "Invalid credentials provided."
    return Refused(401, "Unauthorized", "Unauthorized to perform the request.", (detail, message))


def _not_found(detail: str, message: str) -> Refused:
    return Refused(404, "NotFound", "The resource was not found.", (detail, message))


def _invalid(detail: str, message: str) -> Refused:
    return Refused(400, "InvalidOperation", "The operation is not valid.", (detail, message))


# --- services -----------------------------------------------------------------------------------


def _services(core: Core, request: Request, workspace: Workspace) -> Response:
    if request.method != "GET":
        raise unknown(request)
    found = [s for s in core.world.classic.values() if s.workspace == workspace.id]
    return answer(200, [_shown_service(s) for s in found])


def _service(core: Core, workspace: Workspace, ident: str) -> ClassicService:
    service = core.world.classic.get(ident)
    if service is None or service.workspace != workspace.id:
        raise _not_found(
            "WebServiceIdNotFoundInWorkspace", f"Web service {ident} is not in the workspace."
        )
    return service


def _of_service(core: Core, request: Request, service: ClassicService) -> Response:
    if _ENDPOINTS.search(request.path) and request.method == "GET":
        shown = [_shown(core, request, service, e) for e in service.endpoints.values()]
        return answer(200, shown)
    if request.method == "GET":
        return answer(200, _shown_service(service))
    if request.method == "DELETE":
        del core.world.classic[service.id]
        return answer(204)
    raise unknown(request)


def _shown_service(service: ClassicService) -> Json:
    return {
        "Id": service.id,
        "Name": service.name,
        "Description": service.description,
        "CreationTime": iso(service.created, 3),
        "WorkspaceId": service.workspace,
        "DefaultEndpointName": service.default,
        "EndpointCount": len(service.endpoints),
    }


# --- endpoints ----------------------------------------------------------------------------------


def _found(service: ClassicService, name: str) -> Endpoint | None:
    """By name, or by id as the documented apidocument URL does (§2.4)."""
    by_id = (e for e in service.endpoints.values() if e.id == name)
    return service.endpoints.get(name.casefold()) or next(by_id, None)


def _endpoint(service: ClassicService, name: str) -> Endpoint:
    endpoint = _found(service, name)
    if endpoint is None:
        raise _not_found("EndpointNotFound", f"Endpoint {name} was not found.")
    return endpoint


def _of_endpoint(
    core: Core, request: Request, service: ClassicService, endpoint: Endpoint, below: str
) -> Response:
    if below == "refresh" and request.method == "POST":
        return _refresh(core, request, service, endpoint)
    if below:
        raise unknown(request)
    if request.method == "GET":
        core.look_at(endpoint)
        return answer(200, _shown(core, request, service, endpoint))
    if request.method == "PATCH":
        return _patch(core, request, service, endpoint)
    if request.method == "DELETE":
        return _delete(service, endpoint)
    raise unknown(request)


def _shown(core: Core, request: Request, service: ClassicService, endpoint: Endpoint) -> Json:
    workspace = core.world.workspaces[service.workspace]
    base = public_scoring_base(workspace.region, request)
    help_page = (
        f"https://studio.azureml.net/apihelp/workspaces/{workspace.id}"
        f"/webservices/{service.id}/endpoints/{endpoint.id}"
    )
    return {
        "Name": endpoint.name,
        "Description": endpoint.description,
        "CreationTime": iso(endpoint.created, 3),
        "WorkspaceId": workspace.id,
        "WebServiceId": service.id,
        "HelpLocation": help_page,
        "PrimaryKey": endpoint.keys["primary"],
        "SecondaryKey": endpoint.keys["secondary"],
        "ApiLocation": f"{base}/workspaces/{workspace.id}/services/{endpoint.id}",
        "PreventUpdate": endpoint.prevent_update,
        "SampleDataEnabled": False,
        "ExperimentLocation": None,
        "Version": None,
        "MaxConcurrentCalls": endpoint.max_calls,
        "DiagnosticsTraceLevel": endpoint.trace,
        "ThrottleLevel": endpoint.throttle,
        "Resources": [_resource(core, request, r) for r in endpoint.resources],
    }


def _resource(core: Core, request: Request, resource: Json) -> Json:
    """§2.6 [U]: the location without its SAS, which only `decryptSecrets=true` shows; or hidden."""
    shown = copy.deepcopy(resource)
    if core.options.classic_location == "hidden":
        del shown["Location"]
        return shown
    secret = request.parameters.get("decryptsecrets", "").casefold() == "true"
    if not secret:
        shown["Location"]["SasBlobToken"] = ""
    localised_location: Json = localised(shown["Location"], request)
    return {**shown, "Location": localised_location}


def _put(
    core: Core, request: Request, workspace: Workspace, service: ClassicService, name: str
) -> Response:
    """Create an endpoint, or change the settings of an existing one (§2.5).

    What the real service does with one that exists is not known [U]: `classic_put` changes it,
    refuses, or begins again with the model of the default endpoint.
    """
    body = json_object(request)
    throttle, calls = _limits(body, workspace)
    default = service.endpoints[service.default.casefold()]
    endpoint = _found(service, name)
    status = 201 if endpoint is None else 200
    if endpoint is None:
        _check_new(service, workspace, name)
        endpoint = _new_endpoint(core, name, default)
        service.endpoints[name.casefold()] = endpoint
    elif core.options.classic_put == "refused":
        raise Refused(409, "Conflict", "The endpoint exists already.", ("BadParameterValue", name))
    elif core.options.classic_put == "reset" and endpoint is not default:
        endpoint.resources = copy.deepcopy(default.resources)
        endpoint.model, endpoint.next_model = default.model, ""
    endpoint.description = str(member(body, "Description") or "")
    endpoint.throttle, endpoint.max_calls = throttle, calls
    endpoint.prevent_update = _truth(member(body, "PreventUpdate"), endpoint.prevent_update)
    return answer(status, _shown(core, request, service, endpoint))


def _new_endpoint(core: Core, name: str, default: Endpoint) -> Endpoint:
    """It starts with the same trained model as the default endpoint (§2.5)."""
    return Endpoint(
        id=new_id(),
        name=name,
        description="",
        created=core.now(),
        keys={"primary": new_key(), "secondary": new_key()},
        resources=copy.deepcopy(default.resources),
        model=default.model,
    )


def _truth(value: Any, default: bool) -> bool:
    """A JSON boolean, or its text as C# writes it; null and absent are the default."""
    return default if value is None else str(value).casefold() == "true"


def _check_new(service: ClassicService, workspace: Workspace, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise bad_argument(
            "BadParameterValue",
            "An endpoint name has at most 24 characters, lower-case letters or digits only.",
        )
    if workspace.tier == "free" and len(service.endpoints) >= FREE_ENDPOINTS:
        raise bad_argument(
            "BadParameterValue", "A free workspace has at most 3 endpoints per web service."
        )
    if len(service.endpoints) >= MOST_ENDPOINTS:
        raise bad_argument("BadParameterValue", "A web service has at most 10,000 endpoints.")


def _limits(body: Json, workspace: Workspace) -> tuple[str, int]:
    throttle = str(member(body, "ThrottleLevel") or "Low")
    if throttle not in ("Low", "High"):
        raise bad_argument("BadParameterValue", "ThrottleLevel must be Low or High.")
    if throttle == "Low":
        return "Low", 4
    if workspace.tier == "free":
        raise bad_argument("BadParameterValue", "A free workspace has throttle level Low only.")
    given = member(body, "MaxConcurrentCalls")
    calls = int(str(given)[:9]) if str(given).isdecimal() else 20
    if not 1 <= calls <= 200:
        raise bad_argument("BadParameterValue", "MaxConcurrentCalls must be 1 to 200.")
    return "High", calls


def _delete(service: ClassicService, endpoint: Endpoint) -> Response:
    if endpoint.name == service.default and len(service.endpoints) > 1:
        raise _invalid(
            "BadParameterValue", "The default endpoint cannot be deleted while others exist."
        )
    del service.endpoints[endpoint.name.casefold()]
    return answer(204)


# --- replacing the model ------------------------------------------------------------------------


def _patch(core: Core, request: Request, service: ClassicService, endpoint: Endpoint) -> Response:
    """§2.8: the location is taken over at once, the model is in effect after a while."""
    _check_updatable(core, service, endpoint)
    resources = member(json_object(request), "Resources")
    if not isinstance(resources, list) or not resources:
        raise bad_argument("RequestBodyInvalid", "Resources must be a non-empty array.")
    updates = [_read_update(core, endpoint, resource) for resource in resources]
    trick = core.faults.trick("patch")
    for resource, location, content in updates:
        if trick == "nothing":
            continue
        resource["Location"] = location
        endpoint.next_model = core.world.keep_model(content)
        endpoint.next_at = core.now() + core.options.settle_s / core.options.speed
        endpoint.next_looks = 0
    body = _shown(core, request, service, endpoint) if core.options.classic_patch_body else None
    return answer(200, body)


def _check_updatable(core: Core, service: ClassicService, endpoint: Endpoint) -> None:
    if endpoint.name == service.default:
        raise _invalid("BadParameterValue", "The default endpoint cannot be updated.")
    if endpoint.prevent_update and core.options.prevent_update:
        raise _invalid("BadParameterValue", "The endpoint does not allow updates (PreventUpdate).")
    if not endpoint.resources:
        raise bad_argument("BadParameterValue", "This Web Service has no updatable resources.")


def _read_update(core: Core, endpoint: Endpoint, update: Any) -> tuple[Json, Json, bytes]:
    given = update if isinstance(update, dict) else {}
    name = str(member(given, "Name") or "")
    resource = next((r for r in endpoint.resources if r["Name"] == name), None)
    if resource is None:
        names = [r["Name"] for r in endpoint.resources]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise bad_argument(
            "BadParameterValue", f"Resource '{name}' is not one of {', '.join(names)}.{hint}"
        )
    location = member(given, "Location")
    if not isinstance(location, dict):
        raise bad_argument("MissingInputBlobInformation", f"Resource '{name}' has no Location.")
    kept, content = _read_location(core, location)
    return resource, kept, content


def _read_location(core: Core, location: Json) -> tuple[Json, bytes]:
    """The location to keep, and the bytes that its SAS can read now."""
    base = str(member(location, "BaseLocation") or "")
    relative = str(member(location, "RelativeLocation") or "").lstrip("/")
    sas = str(member(location, "SasBlobToken") or "")
    if not relative.casefold().endswith(".ilearner"):
        raise bad_argument(
            "InvalidBlobExtension",
            f"The blob reference {relative} has an invalid or missing file extension. "
            "Supported file extensions for this output type: .ilearner",
        )
    content = core.read_location(base, relative, sas)
    try:
        core.check_model(content)
    except ModelError as exc:
        raise Refused(
            500,
            "InternalError",
            "An internal error occurred.",
            ("UpdateWebServiceResourceFailed", exc.message),
        ) from exc
    kept_base = canonical(base.rstrip("/") + "/", core.blobs.accounts)
    return {"BaseLocation": kept_base, "RelativeLocation": relative, "SasBlobToken": sas}, content


def _refresh(core: Core, request: Request, service: ClassicService, endpoint: Endpoint) -> Response:
    """§2.9: with OverwriteResources the models of the default endpoint come too."""
    if endpoint.name == service.default:
        raise _invalid("BadParameterValue", "The default endpoint cannot be refreshed.")
    if endpoint.prevent_update and core.options.prevent_update:
        raise _invalid("BadParameterValue", "The endpoint does not allow updates (PreventUpdate).")
    overwrite = _truth(member(json_object(request), "OverwriteResources"), default=False)
    default = service.endpoints[service.default.casefold()]
    same = endpoint.resources == default.resources and endpoint.model == default.model
    if not overwrite or (same and not endpoint.next_model):
        return answer(304)
    endpoint.resources = copy.deepcopy(default.resources)
    endpoint.model, endpoint.next_model = default.model, ""
    return answer(200)


def settle(core: Core, now: float) -> bool:
    """Put patched models into effect whose time has come; whether there were any."""
    if core.options.pace != "clock":
        return False
    due = [
        endpoint
        for service in core.world.classic.values()
        for endpoint in service.endpoints.values()
        if endpoint.next_model and endpoint.next_at <= now
    ]
    for endpoint in due:
        endpoint.model, endpoint.next_model = endpoint.next_model, ""
    return bool(due)
