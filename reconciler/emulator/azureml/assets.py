"""Versions of models, codes, data, environments and components: made once, then described only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.emulator import blob_auth
from reconciler.emulator.azureml.calls import above, bad, envelope, flat_texts, page
from reconciler.emulator.azureml.records import Resource
from reconciler.emulator.azureml.storage import DEFAULT, long_form, place_of
from reconciler.emulator.messages import Refused, answer, json_object, unknown
from reconciler.emulator.world import blob_base

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json
    from reconciler.emulator.messages import Response

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
# What makes a version: a second PUT may not change it, nor what is not named here but these.
_DESCRIPTION = ("description", "tags", "properties", "isArchived", "isAnonymous", "stage")
_ADDRESS = {"models": "modelUri", "codes": "codeUri", "data": "dataUri"}
_NEEDED = {**_ADDRESS, "components": "componentSpec"}
_TYPES = {
    "models": ("modelType", ("custom_model", "mlflow_model", "triton_model")),
    "data": ("dataType", ("uri_file", "uri_folder", "mltable")),
}
_DEFAULTS: dict[str, Json] = {
    "models": {"flavors": {}, "stage": None, "jobName": None, "modelType": "custom_model"},
    "codes": {},
    "data": {"dataType": "uri_file"},
    "environments": {
        **{"environmentType": "UserCreated", "osType": "Linux", "image": None, "condaFile": None},
        **{"build": None, "inferenceConfig": None, "autoRebuild": None, "stage": None},
    },
    "components": {},
}
KINDS = tuple(_DEFAULTS)
_PENDING_S = 3600
_REFERENCE = re.compile(
    r"(?:azureml:)?(?P<long>/subscriptions/.+)|azureml:(?P<name>[^:/]+):(?P<version>[^:/]+)"
    r"|azureml://registries/(?P<registry>[^/]+)/(?P<kind>[^/]+)/(?P<of>[^/]+)/versions/(?P<no>[^/]+)"
)


def containers(call: Call) -> Response:
    """The answer to a request for the assets of one kind, without their versions."""
    method, kind = call.request.method, call.kinds[0]
    if method == "GET" and not call.names:
        wanted = [asset for asset in call.core.world.resources.listed(call.id) if asset.body]
        return page(call, lambda asset: _container(call, asset), wanted)
    if not NAME.fullmatch(call.names[0]):
        raise bad(f"{call.names[0]} is no name of one of the {kind}.")
    if method == "GET":
        return answer(200, _container(call, call.there))
    if method == "PUT":
        existed = call.found is not None
        resource = call.found or call.new({})
        properties = call.document().get("properties", {})
        resource.body = {"properties": {"tags": {}, "properties": {}, **properties}}
        return answer(200 if existed else 201, _container(call, resource))
    if method == "DELETE":
        if call.found is None:
            return answer(204)
        call.core.world.resources.drop_below(call.id)
        del call.core.world.resources[call.id]
        return answer(200)
    raise unknown(call.request)


def _container(call: Call, resource: Resource) -> Json:
    versions = call.core.world.resources.listed(f"{resource.id}/versions")
    latest = max(versions, key=lambda v: v.created, default=None)
    numbers = [int(v.name) for v in versions if v.name.isdecimal()]
    return {
        **envelope(call, resource),
        "properties": {
            **{"description": None, "tags": {}, "properties": {}, "isArchived": False},
            **resource.properties,
            "latestVersion": latest.name if latest else None,
            "nextVersion": str(max(numbers, default=0) + 1),
            "provisioningState": "Succeeded",
        },
    }


def versions(call: Call) -> Response:
    """The answer to a request for versions of an asset."""
    method = call.request.method
    if method == "POST" and call.action == "startpendingupload":
        return _pending(call)
    if call.action:
        raise unknown(call.request)
    if method == "GET" and len(call.names) == 1:
        return page(call, lambda version: shown(call, version), _wanted(call))
    if method == "GET":
        return answer(200, shown(call, call.there))
    if method == "PUT" and len(call.names) == 2:
        existed = call.found is not None
        return answer(200 if existed else 201, shown(call, put(call, call.document())))
    if method == "DELETE" and len(call.names) == 2:
        if call.found is None:
            return answer(204)
        del call.core.world.resources[call.id]
        return answer(200)
    raise unknown(call.request)


def _wanted(call: Call) -> list[Resource]:
    """The versions that the parameters ask for; those that are archived only when asked for."""
    parameters = call.request.parameters
    view = parameters.get("listviewtype", "ActiveOnly")
    found = call.core.world.resources.listed(call.id)
    if view != "All":
        archived = view == "ArchivedOnly"
        found = [v for v in found if bool(v.properties.get("isArchived")) == archived]
    if version := parameters.get("version"):
        found = [v for v in found if v.name == version]
    for pair in filter(None, parameters.get("tags", "").split(",")):
        name, equals, value = pair.partition("=")
        tags = [v.properties.get("tags") or {} for v in found]
        found = [
            v
            for v, has in zip(found, tags, strict=True)
            if name in has and (not equals or has[name] == value)
        ]
    return found


def shown(call: Call, version: Resource) -> Json:
    """A version as answers show it."""
    properties = {**version.properties, "provisioningState": "Succeeded"}
    return {**envelope(call, version), "properties": properties}


def put(call: Call, document: Json) -> Resource:
    """The version that was made or described anew; Refused where that would change its content."""
    kind = call.kinds[0]
    if not all(NAME.fullmatch(name) for name in call.names):
        raise bad(f"{'/'.join(call.names)} is no name and version of one of the {kind}.")
    properties = _checked(call, kind, document.get("properties", {}))
    if (found := call.found) is not None:
        _refuse_change(call, found.properties, properties)
        described = {name: properties[name] for name in _DESCRIPTION if name in properties}
        found.properties.update(described)
        found.modified = call.core.now()
        return found
    holder = above(call.id)
    now = call.core.now()
    if holder not in call.core.world.resources:
        call.core.world.resources[holder] = Resource(holder, {"properties": {}}, now, now)
    return call.new({"properties": properties})


def _checked(call: Call, kind: str, given: Json) -> Json:
    tags, free = flat_texts(given, "tags"), flat_texts(given, "properties")
    needed = _NEEDED.get(kind, "")
    if needed and not given.get(needed):
        raise bad(f"properties.{needed} is missing.")
    if not needed and not any(given.get(name) for name in ("image", "build", "condaFile")):
        raise bad("properties.image or properties.build is missing.")
    word, words = _TYPES.get(kind, ("", ()))
    if word in given and given[word] not in words:
        raise bad(f"properties.{word} must be one of {', '.join(words)}.")
    made: Json = {
        **{"description": None, "isAnonymous": False, "isArchived": False},
        **_DEFAULTS[kind],
        **{name: value for name, value in given.items() if value is not None},
        **{"tags": tags, "properties": free},
    }
    if address := _ADDRESS.get(kind):
        given[address] = str(given[address])
        place_of(call.core, call.scope, given[address])
        made[address] = long_form(call.core, call.scope, given[address])
    return made


def _refuse_change(call: Call, before: Json, after: Json) -> None:
    changed = [
        name
        for name in {*before, *after} - {*_DESCRIPTION, "flavors", "provisioningState"}
        if not _same(before.get(name), after.get(name))
    ]
    if changed:
        message = f"A version cannot be changed in {', '.join(sorted(changed))}; make a new one."
        status: Any = call.core.options.asset_conflict
        code = "Conflict" if status == 409 else "UserError"
        raise Refused(status, code, message, ("AssetVersionIsImmutable", message))


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, str) and isinstance(after, str):
        return before.rstrip("/") == after.rstrip("/")
    return bool(before == after)


def referred(call: Call, reference: Any, kind: str) -> str:
    """The full id of an asset that is there, of this workspace or of a registry."""
    match = _REFERENCE.fullmatch(str(reference))
    if match is None:
        raise bad(f"{reference} is no reference to one of the {kind}.")
    ident = match["long"] or f"{call.scope.id}/{kind}/{match['name']}/versions/{match['version']}"
    if registry := match["registry"]:
        below = f"{match['kind']}/{match['of']}/versions/{match['no']}"
        found = call.core.world.resources.named("registries", registry)
        ident = f"{found[0].id}/{below}" if found else below
    elif not ident.casefold().startswith(f"{call.scope.id.casefold()}/"):
        registries = call.core.world.resources.named("registries")
        shared = (f"{scope.id.casefold()}/" for scope in registries)
        if not ident.casefold().startswith(tuple(shared)):
            raise bad(f"{ident} is of another workspace.", "ResourceOfAnotherWorkspace")
    resource = call.core.world.resources.get(ident)
    if resource is None or f"/{kind}/" not in ident:
        raise bad(f"There is no {ident}.", "ResourceNotFound")
    return resource.id


def references(call: Call) -> Response:
    """The answer to who asks a registry for the files of a version: a SAS of their container."""
    if call.request.method != "POST" or len(call.names) != 2:
        raise unknown(call.request)
    document, (name, version) = json_object(call.request), call.names
    path = f"models/{name}/versions/{version}"
    asset = call.core.world.resources.get(f"{call.scope.id}/{path}")
    uri = str(document.get("blobUri") or "")
    if asset is None or document.get("assetId") != f"azureml://registries/{call.scope.name}/{path}":
        raise bad(f"There is no {document.get('assetId')}.", "ResourceNotFound")
    if uri != asset.properties["modelUri"]:
        raise bad(f"{uri.partition('?')[0]} is not where the files of {path} are.")
    place = place_of(call.core, call.scope, uri)
    return _lent(call, place.account, place.container, "rl")


def _pending(call: Call) -> Response:
    """Where the files of a version are to be uploaded, with a SAS of the container."""
    store = call.core.world.resources.get(f"{call.scope.id}/datastores/{DEFAULT}")
    account = call.scope.kept["storage"] if store is None else store.properties["accountName"]
    container = f"{call.core.world.id}-{call.scope.kept['guid']}"[:63]
    call.core.blobs.add_container(account, container)
    names = {"pendingUploadId": "/".join(call.names), "pendingUploadType": "TemporaryBlobReference"}
    return _lent(call, account, container, "racwl", **names)


def _lent(call: Call, account: str, container: str, permissions: str, **names: str) -> Response:
    now = call.core.now()
    key = call.core.blobs.accounts[account].key
    place = (account, container, "")
    sas = blob_auth.mint(key, place, permissions, now - 300, now + _PENDING_S)
    uri = f"{blob_base(account, call.request)}{container}"
    lent = {
        "blobUri": uri,
        "storageAccountArmId": account,
        "credential": {"credentialType": "SAS", "sasUri": f"{uri}{sas}"},
    }
    return answer(200, {**names, "blobReferenceForConsumption": lent})
