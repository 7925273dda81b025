"""Online endpoints: made, changed by whole PUTs, deleted with all deployments; keys and tokens.

Traffic is settled by the PUT's operation, but GET goes on showing the old one for a while: that
was seen in the wild (a client that deploys and reads back must poll until it sees its own traffic).
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from reconciler.emulator.azureml import operations
from reconciler.emulator.azureml.calls import bad, envelope, flat_texts, page, part
from reconciler.emulator.definitions import new_key
from reconciler.emulator.messages import Refused, answer, json_object, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json, Resource, Work
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request, Response

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
MODES = {mode.casefold(): mode for mode in ("Key", "AMLToken", "AADToken")}
_IDENTITIES = ("None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned")
TOKEN_S = 3600 * 12
_MOST_MIRRORED = 50


def handle(call: Call) -> Response:
    """The answer to a request for online endpoints."""
    method, core = call.request.method, call.core
    if method == "GET" and not call.names:
        wanted = _wanted(call)
        operations.look(core, operations.running_in(core, call.id))
        for endpoint in wanted:
            _look(core, endpoint)
        return page(call, lambda endpoint: shown(call, endpoint), wanted)
    if call.action:
        return _act(call)
    if method == "GET":
        operations.look(core, operations.running(core, call.id, alone=True))
        endpoint = call.there
        _look(core, endpoint)
        return answer(200, shown(call, endpoint))
    if method == "PUT":
        work, created = put(call, call.document())
        return operations.accepted_put(
            call, work, _slim(call, call.there, created=created), created=created
        )
    if method == "PATCH":
        return _patch(call, call.there)
    if method == "DELETE":
        if call.found is None:
            return answer(204)
        operations.refuse_while_busy(core, call.id)
        call.there.state = "Deleting"
        work = operations.begin(call, call.there, "oeidp", "endpoint.delete")
        return operations.accepted(call, work)
    raise unknown(call.request)


def _wanted(call: Call) -> list[Resource]:
    parameters = call.request.parameters
    found = call.core.world.resources.listed(call.id)
    if name := parameters.get("name"):
        found = [endpoint for endpoint in found if endpoint.name.casefold() == name.casefold()]
    for pair in filter(None, parameters.get("tags", "").split(",")):
        key, equals, value = pair.partition("=")
        found = [
            endpoint
            for endpoint in found
            if key in endpoint.body["tags"] and (not equals or endpoint.body["tags"][key] == value)
        ]
    return found


# --- what is shown ------------------------------------------------------------------------------


def address(request: Request, endpoint: Resource) -> str:
    """The base of the scoring host of an endpoint, in the form by which the caller reached us."""
    region = str(endpoint.body["location"])
    if request.host.casefold().endswith((".azure.com", ".ms")):
        return f"https://{endpoint.name}.{region}.inference.ml.azure.com"
    return f"{request.base}/inference/{region}/{endpoint.name}"


def shown(call: Call, endpoint: Resource) -> Json:
    """An endpoint as GET and lists show it."""
    base = address(call.request, endpoint)
    made = "made" in endpoint.kept
    late = endpoint.kept.get("late") or {}
    if late and call.core.options.pace == "clock" and late["until"] <= call.core.now():
        late = {}
    properties: Json = {
        **{"description": None, "compute": None, "publicNetworkAccess": "Enabled"},
        **endpoint.properties,
        **late.get("traffic", {}),
        "scoringUri": f"{base}/score" if made else None,
        "swaggerUri": f"{base}/swagger.json" if made else None,
        "provisioningState": endpoint.state,
    }
    properties["properties"] = {**properties["properties"], **_address_of_work(call, endpoint)}
    if made:
        properties["properties"]["azureml.onlineendpointid"] = endpoint.id.lower()
    identity = endpoint.body["identity"]
    if identity["type"] != "None":
        ids = {"principalId": endpoint.kept["principal"], "tenantId": endpoint.kept["tenant"]}
        identity = {**identity, **ids}
    body = {name: endpoint.body[name] for name in ("location", "tags", "kind")}
    return {**envelope(call, endpoint), **body, "identity": identity, "properties": properties}


def _address_of_work(call: Call, resource: Resource) -> dict[str, str]:
    """The last operation, at its address without a signature."""
    work = call.core.world.works.get(resource.kept.get("work", ""))
    if work is None:
        return {}
    url = operations.url(call.core, call.request, work, "mfeOperationsStatus", signed=False)
    return {"AzureAsyncOperationUri": url}


def _slim(call: Call, endpoint: Resource, *, created: bool) -> Json:
    """The answer to a PUT: right after it was made, much is missing yet."""
    document = shown(call, endpoint)
    if created:
        del document["location"], document["identity"]
        document["systemData"] = {}
    return document


def _look(core: Core, endpoint: Resource) -> None:
    """With pace "looks" the old traffic is seen a number of times."""
    late = endpoint.kept.get("late")
    if core.options.pace != "looks" or not late:
        return
    late["looks"] += 1
    if late["looks"] > core.options.traffic_looks:
        del endpoint.kept["late"]


def routed(core: Core, endpoint: Resource) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The traffic and the mirror traffic by which requests are routed now."""
    shares: Json = endpoint.properties
    late = endpoint.kept.get("late")
    counted = core.options.pace == "looks"
    if late and core.options.traffic_late == "both" and (counted or late["until"] > core.now()):
        shares = late["traffic"]
    return shares["traffic"], shares["mirrorTraffic"]


# --- written ------------------------------------------------------------------------------------


def put(call: Call, document: Json) -> tuple[Work, bool]:
    """The operation that makes or replaces an endpoint, and whether it is a new one."""
    core, found = call.core, call.found
    operations.refuse_while_busy(core, call.id)
    body = _checked(call, document, found)
    if found is not None:
        if body["identity"]["type"] != found.body["identity"]["type"]:
            _refuse_identity(call)
        found.state = "Updating"
        found.modified = core.now()
        work = operations.begin(call, found, "oe", "endpoint.put", body=body)
        found.kept["work"] = work.id
        return work, False
    made = _made(call, document, body)
    work = operations.begin(call, made, "oe", "endpoint.put", body=body)
    made.kept["work"] = work.id
    return work, True


def planted(call: Call, document: Json) -> None:
    """An endpoint of a seed, made or replaced at once."""
    body = _checked(call, document, call.found)
    endpoint = call.found or _made(call, document, body)
    endpoint.body, endpoint.state, endpoint.kept["made"] = body, "Succeeded", True


def _made(call: Call, document: Json, body: Json) -> Resource:
    _refuse_taken(call)
    given = flat_texts(document["properties"], "keys")
    made = call.new(body, "Creating")
    made.kept = {
        "primaryKey": given.get("primaryKey") or new_key(),
        "secondaryKey": given.get("secondaryKey") or new_key(),
        "principal": _guid(),
        "tenant": _guid(),
        "tokens": {},
    }
    return made


def _guid() -> str:
    digits = secrets.token_hex(16)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _checked(call: Call, document: Json, found: Resource | None) -> Json:
    if not NAME.fullmatch(call.names[0]):
        raise bad(
            f"{call.names[0]}: an endpoint's name has 3 to 32 letters, digits and dashes, "
            "and begins with a letter."
        )
    location = str(document.get("location") or "").replace(" ", "").casefold()
    if location != call.region:
        raise bad(f"location must be {call.region}, as the workspace's.", "LocationMismatch")
    given = document.get("properties", {})
    mode = MODES.get(str(given.get("authMode", "")).casefold())
    if mode is None:
        raise bad(f"properties.authMode must be one of {', '.join(MODES.values())}.")
    if found is not None and mode != found.properties["authMode"]:
        raise bad("properties.authMode cannot be changed.", "AuthModeIsImmutable")
    identity = part(document, "identity") or {"type": "SystemAssigned"}
    if identity.get("type") not in _IDENTITIES:
        raise bad(f"identity.type must be one of {', '.join(_IDENTITIES)}.")
    traffic, mirror = _shares(call, given, "traffic"), _shares(call, given, "mirrorTraffic")
    _check_shares(traffic, mirror)
    return {
        "location": call.region,
        "tags": flat_texts(document, "tags"),
        "kind": document.get("kind") or "Managed",
        "identity": {name: v for name, v in identity.items() if name[-2:] != "Id"},
        "properties": {
            "authMode": mode,
            "description": given.get("description"),
            "properties": {
                name: text
                for name, text in flat_texts(given, "properties").items()
                if name not in ("AzureAsyncOperationUri", "azureml.onlineendpointid")
            },
            "publicNetworkAccess": given.get("publicNetworkAccess") or "Enabled",
            "compute": given.get("compute"),
            "traffic": traffic,
            "mirrorTraffic": mirror,
        },
    }


def _shares(call: Call, given: Json, name: str) -> dict[str, int]:
    """Percentages by the names of deployments that exist."""
    shares = part(given, name)
    for deployment, share in shares.items():
        if type(share) is not int or not 0 <= share <= 100:
            raise bad(f"properties.{name}.{deployment} must be a whole number from 0 to 100.")
        if f"{call.id}/deployments/{deployment}" not in call.core.world.resources:
            raise bad(f"properties.{name}: there is no deployment {deployment}.", "InvalidTraffic")
    return shares


def _check_shares(traffic: Mapping[str, int], mirror: Mapping[str, int]) -> None:
    if sum(traffic.values()) not in (0, 100):
        raise bad(
            f"properties.traffic adds up to {sum(traffic.values())}; it must be 0 or 100.",
            "InvalidTraffic",
        )
    mirrored = {name: share for name, share in mirror.items() if share}
    if len(mirrored) > 1 or any(share > _MOST_MIRRORED for share in mirrored.values()):
        raise bad("mirrorTraffic takes one deployment and at most 50 percent.", "InvalidTraffic")
    if any(traffic.get(name) for name in mirrored):
        raise bad("A deployment has live traffic or mirror traffic, not both.", "InvalidTraffic")


def _refuse_identity(call: Call) -> None:
    if call.core.options.endpoint_identity == "refused":
        raise bad("The identity of an endpoint cannot be changed.", "IdentityIsImmutable")


def _refuse_taken(call: Call) -> None:
    """Names are unique in a region, over all workspaces."""
    for other in call.core.world.resources.named("onlineendpoints", call.names[0]):
        if other.body["location"] == call.region:
            raise bad(
                f"The region {call.region} has an endpoint {call.names[0]} already; "
                "choose another name.",
                "EndpointNameAlreadyExists",
            )


@operations.ends("endpoint.put")
def _written(core: Core, work: Work, endpoint: Resource) -> None:
    """Take the new body over; deployments that went meanwhile have no share in it."""
    before = {name: endpoint.properties[name] for name in ("traffic", "mirrorTraffic")}
    endpoint.body = work.change["body"]
    after = {name: endpoint.properties[name] for name in before}
    if before != after and "made" in endpoint.kept:
        until = core.now() + core.options.traffic_s / core.options.speed
        endpoint.kept["late"] = {"traffic": before, "until": until, "looks": 0}
        if core.options.pace == "looks" and not core.options.traffic_looks:
            del endpoint.kept["late"]
    endpoint.kept["made"] = True


def _patch(call: Call, endpoint: Resource) -> Response:
    """Only tags and identity can be patched: neither traffic nor anything else is looked at."""
    operations.refuse_while_busy(call.core, call.id)
    document = json_object(call.request)
    identity = part(document, "identity") or endpoint.body["identity"]
    if identity.get("type") not in _IDENTITIES:
        raise bad(f"identity.type must be one of {', '.join(_IDENTITIES)}.")
    if identity["type"] != endpoint.body["identity"]["type"]:
        _refuse_identity(call)
    tags = flat_texts(document, "tags") if "tags" in document else endpoint.body["tags"]
    endpoint.state = "Updating"
    body: Json = {**endpoint.body, "tags": tags, "identity": identity}
    work = operations.begin(call, endpoint, "oeidp", "endpoint.put", body=body)
    endpoint.kept["work"] = work.id
    return operations.accepted(call, work)


@operations.ends("endpoint.delete")
def _deleted(core: Core, _: Work, endpoint: Resource) -> None:
    core.containers.stop_below(endpoint.id)
    core.world.resources.drop_below(endpoint.id)
    del core.world.resources[endpoint.id]


# --- keys and tokens ----------------------------------------------------------------------------


def _act(call: Call) -> Response:
    endpoint, mode = call.there, call.there.properties["authMode"]
    if call.request.method != "POST":
        raise unknown(call.request)
    keys: Any = {name: endpoint.kept[name] for name in ("primaryKey", "secondaryKey")}
    if call.action == "listkeys":
        if mode != "Key":
            raise bad(f"An endpoint with authMode {mode} has no keys.", "NoKeys")
        return answer(200, keys)
    if call.action == "regeneratekeys":
        document = json_object(call.request)
        name = f"{str(document.get('keyType', '')).casefold()}Key"
        if mode != "Key" or name not in keys:
            raise bad("keyType must be Primary or Secondary, of an endpoint with keys.")
        endpoint.kept[name] = str(document.get("keyValue") or new_key())
        return answer(200)
    if call.action == "token":
        return _token(call, endpoint, mode)
    raise unknown(call.request)


def _token(call: Call, endpoint: Resource, mode: str) -> Response:
    if mode == "Key":
        raise bad("An endpoint with authMode Key has no tokens.", "NoTokens")
    now = call.core.now()
    ends = int(now + TOKEN_S)
    token = secrets.token_urlsafe(32)
    kept = endpoint.kept["tokens"]
    endpoint.kept["tokens"] = {**{t: end for t, end in kept.items() if end > now}, token: ends}
    return answer(
        200,
        {
            "accessToken": token,
            "tokenType": "Bearer",
            "expiryTimeUtc": ends,
            "refreshAfterTimeUtc": ends - TOKEN_S // 2,
        },
    )


def may_score(core: Core, endpoint: Resource, bearer: str, audience: str) -> Refused | None:
    """Why a bearer may not score at an endpoint, None when it may; `audience` is that of a JWT."""
    mode, kept = endpoint.properties["authMode"], endpoint.kept
    if mode == "Key":
        fits = bearer in (kept["primaryKey"], kept["secondaryKey"])
    elif mode == "AMLToken":
        fits = kept["tokens"].get(bearer, 0) > core.now()
    else:
        fits = bool(bearer) and audience in ("", "https://ml.azure.com")
    return None if fits else Refused(401, "Unauthorized", "The key or token does not fit.")
