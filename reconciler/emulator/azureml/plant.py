"""The first resources of a seed: workspaces and registries with what is in them, ready at once."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from reconciler.emulator.azureml import deployments, door, endpoints, storage
from reconciler.emulator.azureml.calls import PROVIDER, Call
from reconciler.emulator.azureml.records import Resource
from reconciler.emulator.messages import Refused, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.azureml.records import Json
    from reconciler.emulator.core import Core

_PLANTED: dict[tuple[str, ...], Callable[[Call, Json], None]] = {
    ("onlineEndpoints",): endpoints.planted,
    ("onlineEndpoints", "deployments"): deployments.planted,
}


def plant(core: Core, entry: Json) -> None:
    """Make what an entry of the seed describes; ValueError names what is wrong with it."""
    if (account := entry["storage"]) not in core.blobs.accounts:
        raise ValueError(f"this is not a seed: azureml: there is no storage {account!r}")
    scope = _scope(core, entry)
    for resource in entry.get("resources", []):
        body = {"location": entry["region"], **resource["body"]}
        path = f"{scope.id}/{resource['at']}"
        content = json.dumps(body).encode()
        headers = {"authorization": "Bearer seed"}
        query = "api-version=2024-04-01"
        request = Request("PUT", "http", "127.0.0.1", path, query, headers, content)
        try:
            call = door.call_of(core, request)
            if plants := _PLANTED.get(call.kinds):
                plants(call, body)
            else:
                door.answered(call)
        except Refused as exc:
            raise ValueError(f"this is not a seed: {resource['at']}: {exc.message}") from exc


def _scope(core: Core, entry: Json) -> Resource:
    kind = "registries" if "registry" in entry else "workspaces"
    name = entry.get("registry") or entry["workspace"]
    ident = (
        f"/subscriptions/{entry['subscription']}/resourceGroups/{entry['resourceGroup']}"
        f"/providers/{PROVIDER}/{kind}/{name}"
    )
    now, account = core.now(), entry["storage"]
    scope = Resource(ident, {"location": entry["region"], "tags": entry.get("tags", {})}, now, now)
    scope.kept = {
        "guid": str(uuid.uuid5(uuid.NAMESPACE_URL, ident)),
        "storage": account,
        "quota": entry.get("quota", {}),
    }
    core.world.resources[ident] = scope
    stores = {storage.DEFAULT: entry["container"], storage.ARTIFACTS: "azureml"}
    for store, container in stores.items():
        core.blobs.add_container(account, container)
        body = storage.datastore(account, container, default=store == storage.DEFAULT)
        place = f"{ident}/datastores/{store}"
        core.world.resources[place] = Resource(place, body, now, now)
    return scope
