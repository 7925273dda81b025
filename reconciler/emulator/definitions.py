"""Definitions of New web services: checking, merging and showing definitions (§3.3-§3.7)."""

from __future__ import annotations

import base64
import copy
import hashlib
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reconciler.emulator.messages import member
from reconciler.emulator.shapes import check_envelope, check_properties, refused
from reconciler.emulator.world import canonical, iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request
    from reconciler.emulator.world import Json, WebService

TYPE = "Microsoft.MachineLearning/webServices"
PARTS = ("assets", "input", "output", "package", "parameters", "exampleRequest")
# What a PUT may leave out without losing it: nobody can send back what GET hides [U].
KEPT = ("storageAccount", "commitmentPlan", "machineLearningWorkspace")
_MAPS = ("assets", "parameters", "realtimeConfiguration", "diagnostics")
# Of 2017-01-01, where nothing was sent; recorded. The swagger has exposeSampleData as true.
_DEFAULTS: Json = {
    "readOnly": False,
    "realtimeConfiguration": {"maxConcurrentCalls": 20},
    "exposeSampleData": False,
}
READ_ONLY = ("createdon", "modifiedon", "provisioningstate", "swaggerlocation")
_NAMES: dict[str, str] = {
    name.casefold(): name
    for name in (
        *("packageType", "title", "description", "readOnly", "exposeSampleData", "keys"),
        *("realtimeConfiguration", "diagnostics", "storageAccount", "machineLearningWorkspace"),
        *("commitmentPlan", "payloadsInBlobStorage", "payloadsLocation"),
        *PARTS,
    )
}
REGIONS = (
    *("South Central US", "West Europe", "Southeast Asia", "Japan East", "East US 2"),
    "West Central US",
)
# §2.1; no scoring host of East US 2 was ever found.
SCORING_HOSTS = {
    "southcentralus": "ussouthcentral",
    "westeurope": "europewest",
    "southeastasia": "asiasoutheast",
    "japaneast": "japaneast",
    "westcentralus": "uswestcentral",
}


class ModelError(Exception):
    """The model of a definition cannot be taken over."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def short(location: str) -> str:
    """`southcentralus`."""
    return location.replace(" ", "").casefold()


def display(location: str) -> str:
    """`South Central US` for any spelling of it (§3.3)."""
    known = {short(name): name for name in REGIONS}
    return known.get(short(location), location)


def new_key() -> str:
    """A service key: base64 of 64 random bytes, 88 characters."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


# --- what may be written ------------------------------------------------------------------------


def checked(document: Json, service: WebService | None, now: float, *, old: bool = False) -> Json:
    """The properties of a PUT or PATCH body under their documented names; Refused if invalid.

    `old`: in the dialect of 2016, in which parameters are texts; here they are objects always.
    """
    check_envelope(document)
    given = member(document, "properties")
    if not isinstance(given, dict):
        raise refused("RequestBodyInvalid", "The request body has no properties.")
    properties: Json = {
        _documented(name): copy.deepcopy(value)
        for name, value in given.items()
        if name.casefold() not in READ_ONLY
    }
    if str(properties.get("packageType", "")).casefold() != "graph":
        raise refused("WebServiceTypeInvalid", "packageType must be 'Graph'.")
    if old:
        _parameters(properties, lambda value: {"value": value} if isinstance(value, str) else value)
    check_properties(properties, now)
    if service is not None:
        _check_update(properties, service)
    return properties


def _documented(name: str) -> str:
    """A member's name as the documentation spells it."""
    return _NAMES.get(name.casefold(), name)


def _check_update(properties: Json, service: WebService) -> None:
    if service.properties.get("readOnly") in (True, "true", "True"):
        raise refused("WebServiceReadOnly", "The web service is read-only and cannot be updated.")
    configured = member(service.properties.get("storageAccount") or {}, "name")
    given = member(properties.get("storageAccount") or {}, "name")
    if given and configured and given != configured:
        raise refused(
            "CannotChangeStorageAccount",
            "The StorageAccount cannot be changed. Currently configured storage account name = "
            f"'{configured}'",
        )


def without_keys(properties: Json) -> Json:
    """The properties without the service keys, which are kept apart."""
    return {name: value for name, value in properties.items() if name != "keys"}


def merged(old: Json, patch: Json, maps: str) -> Json:
    """A PATCH at property level (§3.7): absent members stay as they are.

    Whether a map is replaced as a whole or merged by key is unknown; `maps` says which it is here.
    """
    result = copy.deepcopy(old)
    for name, value in patch.items():
        before = result.get(name)
        if name == "storageAccount" and isinstance(before, dict) and isinstance(value, dict):
            result[name] = {**before, **value}
        elif name in _MAPS and maps == "merge" and isinstance(before, dict):
            merged_map = {**before, **(value or {})}
            result[name] = {key: item for key, item in merged_map.items() if item is not None}
        elif value is not None:
            result[name] = value
    if not result.get("parameters"):
        result.pop("parameters", None)  # §3.5: `{}` after a PUT, absent after a PATCH
    return result


# --- the model ----------------------------------------------------------------------------------


def input_port(properties: Json) -> str:
    """The name of the first web service input; `input1` is the platform's own first name (§1)."""
    ports = member(properties.get("input") or {}, "properties") or {}
    return next(iter(ports), "input1")


def model_uri(properties: Json) -> str:
    """The URI of the asset that feeds the model port of a Score Model node, "" if there is none."""
    assets = properties.get("assets") or {}
    package = properties.get("package") or {}
    nodes = member(package, "nodes") or {}
    for edge in member(package, "edges") or []:
        target = _asset_of(nodes, assets, member(edge, "targetNodeId"))
        source = _asset_of(nodes, assets, member(edge, "sourceNodeId"))
        if "score" in str(member(target, "name", "")).casefold() and (
            str(member(source, "type", "")).casefold() == "resource"
            and "model" in str(member(edge, "targetPortId", "")).casefold()
        ):
            return str(member(member(source, "locationInfo") or {}, "uri", ""))
    return ""


def _asset_of(nodes: Json, assets: Json, node: object) -> Json:
    found = assets.get(member(nodes.get(str(node)) or {}, "assetId"))
    return found if isinstance(found, dict) else {}


def model_bytes(core: Core, properties: Json) -> bytes | None:
    """The bytes of the model, which the service copies when it is updated; None without a model.

    ModelError when the blob is not in the service's own storage account, missing, or no model.
    """
    uri = canonical(model_uri(properties), core.blobs.accounts).split("?", 1)[0]
    if not uri:
        return None
    account, _, path = uri.removeprefix("blob://").partition("/")
    configured = member(properties.get("storageAccount") or {}, "name", "")
    if account != configured:
        raise ModelError("InvalidBlob", f"The blob {uri} is not in storage account {configured}.")
    content = core.read_blob(f"{account}/{unquote(path)}")
    if content is None:
        raise ModelError("BlobNotFound", f"The blob {path} was not found.")
    core.check_model(content)
    return content


# --- what is shown ------------------------------------------------------------------------------


def envelope(service: WebService) -> Json:
    """The members around `properties`."""
    return {
        "id": f"/subscriptions/{service.subscription}/resourceGroups/{service.group}"
        f"/providers/{TYPE}/{service.name}",
        "name": service.name,
        "type": TYPE,
        "location": service.location,
        "tags": dict(service.tags),
    }


def sparse(service: WebService, request: Request, *, old: bool = False) -> Json:
    """A service in a list, as recorded: all but its payload (§3.10)."""
    return shown(service, request, "", old=old, without=PARTS)


def shown(
    service: WebService,
    request: Request,
    region: str,
    *,
    old: bool = False,
    without: tuple[str, ...] = (),
) -> Json:
    """A service as GET shows it: secrets omitted or encrypted anew, server's members added."""
    properties = {} if old else copy.deepcopy(_DEFAULTS)
    properties |= {
        name: copy.deepcopy(value)
        for name, value in service.properties.items()
        if name not in ("keys", "commitmentPlan", *without) and value is not None
    }
    if isinstance(storage := properties.get("storageAccount"), dict):
        properties["storageAccount"] = {"name": member(storage, "name")}
    example = properties.get("exampleRequest")
    if isinstance(example, dict) and member(example, "globalParameters") is None:
        example.pop("globalParameters", None)
    _encrypt(properties.get("package"), f"{service.id}{service.updates}{region}")
    package = properties.pop("package", None)
    if not old:
        properties["payloadsInBlobStorage"] = False
        calls = {"maxConcurrentCalls": 20, **properties["realtimeConfiguration"]}
        properties["realtimeConfiguration"] = calls
    properties.update(
        provisioningState=service.state,
        createdOn=iso(service.created),
        modifiedOn=iso(service.modified),
        swaggerLocation=f"{scoring_base(service, request)}/swagger.json",
    )
    if package is not None:
        properties["package"] = package
    document = {**envelope(service), "properties": properties}
    return old_dialect(document) if old else document


def scoring_base(service: WebService, request: Request) -> str:
    """Where the service scores, in the form by which the caller reached us (§3.3)."""
    base = public_scoring_base(service.location, request)
    sub32 = service.subscription.replace("-", "")
    return f"{base}/subscriptions/{sub32}/services/{service.id}"


def public_scoring_base(location: str, request: Request) -> str:
    """The region's scoring host for a caller who came by a real host name; else our own base."""
    if not request.host.casefold().endswith((".azure.com", ".azureml.net")):
        return request.base
    region = short(location)
    return f"https://{SCORING_HOSTS.get(region, region)}.services.azureml.net"


def _encrypt(value: Any, salt: str) -> None:
    """Replace credential parameters by a ciphertext that differs after every update (§3.5)."""
    if isinstance(value, list):
        for item in value:
            _encrypt(item, salt)
    elif isinstance(value, dict):
        if member(value, "certificateThumbprint"):
            plain = str(member(value, "value", ""))
            digest = hashlib.sha512(f"{salt}{plain}".encode()).digest()
            name = next((key for key in value if key.casefold() == "value"), "value")
            value[name] = "MII" + base64.b64encode(digest * 3).decode()
        for item in value.values():
            _encrypt(item, salt)


def old_dialect(document: Json) -> Json:
    """The 2016-05-01-preview dialect: parameters are plain strings (§3.3)."""
    result = copy.deepcopy(document)
    _parameters(result["properties"], _plain)
    return result


def _parameters(properties: Json, made: Callable[[Any], Any]) -> None:
    """Make something else of each parameter of the service and of its nodes."""
    maps = [properties.get("parameters")]
    package = properties.get("package")
    nodes = member(package, "nodes") if isinstance(package, dict) else None
    for node in nodes.values() if isinstance(nodes, dict) else ():
        maps.append(member(node, "parameters") if isinstance(node, dict) else None)
    for parameters in maps:
        if isinstance(parameters, dict):
            parameters.update({name: made(value) for name, value in parameters.items()})


def _plain(value: Any) -> Any:
    return member(value, "value", "") if isinstance(value, dict) else value
