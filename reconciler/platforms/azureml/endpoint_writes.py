"""Pure: the bodies of what is written to endpoints and deployments.

PATCH can change neither traffic nor a model, so most writes are a PUT of what was read, edited.
What the service adds by itself is not sent back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model import Binding, Model
from reconciler.platforms.arm_marks import owned_by, with_mark
from reconciler.platforms.azureml.connection import AzureMl
from reconciler.platforms.azureml.endpoint_spec import DURATIONS, Deployed, iso_of
from reconciler.platforms.azureml.endpoint_state import (
    GROUPS,
    MIRRORED,
    SWITCHED,
    SYSTEM,
    Reading,
)
from reconciler.platforms.azureml.ids import asset_id, whole_id
from reconciler.platforms.members import objects, text, texts, without

# What the service says beside what was written (§ "server noise" of the guide).
_SERVERS = ("provisioningState", "scoringUri", "swaggerUri", "keys")
ITS_VARIABLES = ("AZUREML_MODEL_DIR", "AZUREML_ENTRY_SCRIPT", "AML_APP_ROOT")
_ITS_NOTES = ("AzureAsyncOperationUri", "azureml.onlineendpointid")
SEVERAL = ("concurrent", "successes", "failures")  # settings that are whole numbers
MODEL_TAG, KEY_TAG, SHA256_TAG = (f"reconciler-{n}" for n in ("version", "key", "sha256"))


def endpoint_body(location: str, deployed: Deployed, binding: Binding, mark: str) -> dict[str, Any]:
    """The PUT that makes an endpoint, still without a deployment."""
    tags = with_mark(_tags_of(binding), mark, protect=binding.protect)
    identity: dict[str, Any] = {"type": SYSTEM}
    if deployed.identity not in ("", SYSTEM):
        identity = {"type": "UserAssigned", "userAssignedIdentities": {deployed.identity: {}}}
    return {
        "location": location,
        "kind": "Managed",
        "identity": identity,
        "tags": tags,
        "properties": {"authMode": deployed.auth_mode, "publicNetworkAccess": "Enabled"},
    }


def moved(reading: Reading, traffic: Mapping[str, int], now: float) -> dict[str, Any]:
    """The PUT of an endpoint with other traffic and our mark. A copy of the traffic goes on to a
    deployment of others that has none; one that we began ends."""
    kept = {n: s for n, s in reading.mirrored_by_others.items() if n not in traffic}
    body = mirrored(reading.endpoint, reading.spelled(kept), "")
    body["properties"] |= {"traffic": reading.spelled(traffic)}
    tags = owned_by(body["tags"], reading.mark, protect=reading.owner.protected)
    return {**body, "tags": {**tags, SWITCHED: str(int(now))}}


def mirrored(endpoint: Mapping[str, Any], mirror: Mapping[str, int], note: str) -> dict[str, Any]:
    """The PUT of an endpoint with another mirror, and what is noted of it; "" for nothing."""
    properties = _kept(objects(endpoint, "properties")) | {"mirrorTraffic": dict(mirror)}
    tags = without(texts(endpoint, "tags"), (MIRRORED,)) | ({MIRRORED: note} if note else {})
    return {**_outside(endpoint), "tags": tags, "properties": properties}


def retagged(reading: Reading, binding: Binding) -> dict[str, str]:
    """The tags of an endpoint with those that the binding owns, our mark and its protection."""
    tags = {**texts(reading.endpoint, "tags"), **_tags_of(binding)}
    return owned_by(tags, reading.mark, protect=binding.protect)


def _tags_of(binding: Binding) -> dict[str, str]:
    return {n.removeprefix("tags."): v for n, v in binding.settings if n.startswith("tags.")}


def deployment_body(
    reading: Reading,
    binding: Binding,
    model: Model,
    model_id: str,
    values: Mapping[str, str],
) -> dict[str, Any]:
    """The PUT that makes a deployment; the values of its variables go to the service alone."""
    deployed: Deployed = binding.part  # type: ignore[assignment]
    at = reading.at
    said = {
        MODEL_TAG: model.version.folder if model.version else "",
        KEY_TAG: model.key,
        SHA256_TAG: model.sha256,
    }
    tags = with_mark({n: v[:256] for n, v in said.items() if v}, reading.mark, protect=False)
    properties: dict[str, Any] = {
        "endpointComputeType": "Managed",
        "model": model_id,
        "instanceType": deployed.instance_type,
        "scaleSettings": {"scaleType": "Default"},
        "environmentVariables": dict(values),
    }
    if deployed.environment:
        properties["environmentId"] = whole_id(at, "environments", deployed.environment)
    if deployed.digest:
        code = asset_id(at, "codes", code_name(deployed.digest), "1")
        properties["codeConfiguration"] = {"codeId": code, "scoringScript": deployed.script}
    body = {
        "location": text(reading.endpoint, "location"),
        "sku": {"name": "Default", "capacity": reading.instances_of(deployed)},
        "tags": tags,
        "properties": properties,
    }
    return with_settings(at, body, dict(binding.settings))


def code_name(digest: str) -> str:
    """The name of the code asset of a digest."""
    return f"rc-{digest[:32]}"


def resettled(reading: Reading, name: str, binding: Binding) -> dict[str, Any]:
    """The PUT of a deployment as it is, with the settings that the binding owns."""
    deployment = reading.deployments[name]
    properties = _kept(objects(deployment, "properties"))
    variables = objects(properties, "environmentVariables")
    properties["environmentVariables"] = without(variables, ITS_VARIABLES)
    body = {**_outside(deployment), "properties": properties}
    return with_settings(reading.at, body, dict(binding.settings))


def with_settings(at: AzureMl, body: dict[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """A body of a deployment with these settings; what it says beside them stays."""
    properties = dict(body["properties"])
    for group, names in GROUPS.items():
        owned = {wire: settings[ours] for wire, ours in names.items() if ours in settings}
        if owned:
            said = {wire: _wired(names[wire], value) for wire, value in owned.items()}
            properties[group] = {**objects(properties, group), **said}
    if "environment" in settings:
        properties["environmentId"] = whole_id(at, "environments", settings["environment"])
    sku = body["sku"]
    if "instances" in settings:
        sku = {**sku, "capacity": int(settings["instances"])}
    return {**body, "sku": sku, "properties": properties}


def _wired(setting: str, value: str) -> str | int:
    last = setting.rpartition(".")[2]
    if last in DURATIONS:
        return iso_of(value)
    return int(value) if last in SEVERAL else value


def _outside(document: Mapping[str, Any]) -> dict[str, Any]:
    """The members beside the properties that may be written."""
    found: dict[str, Any] = {"location": text(document, "location")}
    found["tags"] = texts(document, "tags")
    for name in ("kind", "sku"):
        if document.get(name):
            found[name] = document[name]
    identity = objects(document, "identity")
    if text(identity, "type"):
        users: dict[str, Any] = {user: {} for user in objects(identity, "userAssignedIdentities")}
        found["identity"] = {"type": text(identity, "type")}
        if users:
            found["identity"]["userAssignedIdentities"] = users
    return found


def _kept(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that may be sent back: none of the server's own, and no nulls."""
    kept = {n: v for n, v in without(properties, _SERVERS).items() if v is not None}
    notes = without(objects(properties, "properties"), _ITS_NOTES)
    return {**without(kept, ("properties",)), **({"properties": notes} if notes else {})}
