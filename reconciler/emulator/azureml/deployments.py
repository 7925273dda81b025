"""Online deployments: a model with what runs it, at no traffic until the endpoint gives it some.

A deployment succeeds when its container has started: `init()` of the scoring script has run on the
files of the model. What GET shows is full of what the service added.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.emulator.azureml import capacity, operations
from reconciler.emulator.azureml.assets import referred
from reconciler.emulator.azureml.calls import (
    bad,
    envelope,
    flat_texts,
    found_at,
    page,
    part,
    seconds,
    shown_id,
)
from reconciler.emulator.azureml.failures import Failure
from reconciler.emulator.azureml.images import image
from reconciler.emulator.messages import answer, is_object, json_object, unknown

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.containers import Container
    from reconciler.emulator.azureml.records import Json, Resource, Work
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Response

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
_TYPES = ("Managed", "Kubernetes")
_REQUESTS = {
    "requestTimeout": "PT5S",
    "maxConcurrentRequestsPerInstance": 1,
    "maxQueueWait": "PT0.5S",
}
_PROBE = {
    **{"initialDelay": "PT10S", "period": "PT10S", "timeout": "PT2S"},
    **{"successThreshold": 1, "failureThreshold": 30},
}
_CREATE_ONLY = ("instanceType", "codeConfiguration", "endpointComputeType")
_ADDED = ("AZUREML_MODEL_DIR", "AZUREML_ENTRY_SCRIPT", "AML_APP_ROOT")  # by the service
_LOGS = {"inferenceserver": False, "storageinitializer": True}


def handle(call: Call) -> Response:
    """The answer to a request for deployments of an endpoint."""
    method, core = call.request.method, call.core
    endpoint = call.core.world.resources.get(call.id.rpartition("/deployments")[0])
    if endpoint is None and method == "DELETE":
        return answer(204)
    if endpoint is None:
        found_at(core, call.id.rpartition("/deployments")[0])
    if method == "GET" and len(call.names) == 1:
        operations.look(core, operations.running_in(core, call.id))
        return page(call, lambda d: shown(call, d), core.world.resources.listed(call.id))
    if call.action:
        return _act(call)
    if method == "GET":
        operations.look(core, operations.running(core, call.id))
        return answer(200, shown(call, call.there))
    if method == "PUT":
        created = call.found is None
        work = put(call, call.document())
        return operations.accepted_put(call, work, shown(call, call.there), created=created)
    if method == "PATCH":
        return _patch(call, call.there)
    if method == "DELETE":
        return _delete(call)
    raise unknown(call.request)


def shown(call: Call, deployment: Resource) -> Json:
    """A deployment as GET and lists show it, with what the service adds to it."""
    properties = dict(deployment.properties)
    properties["model"] = shown_id(call, properties["model"])
    variables = dict(properties["environmentVariables"])
    *_, model, _, version = properties["model"].split("/")
    variables["AZUREML_MODEL_DIR"] = f"/var/azureml-app/azureml-models/{model}/{version}"
    if code := properties["codeConfiguration"]:
        variables["AZUREML_ENTRY_SCRIPT"] = code["scoringScript"]
        variables["AML_APP_ROOT"] = f"/var/azureml-app/{code['codeId'].split('/')[-3]}"
    work = call.core.world.works.get(deployment.kept.get("work", ""))
    free = dict(properties["properties"])
    if work is not None:
        free["AzureAsyncOperationUri"] = operations.url(
            call.core, call.request, work, "mfeOperationsStatus", signed=False
        )
    return {
        **envelope(call, deployment),
        **{name: deployment.body[name] for name in ("location", "tags", "kind", "sku")},
        "properties": {
            **properties,
            "environmentVariables": variables,
            "properties": free,
            "provisioningState": deployment.state,
        },
    }


# --- written ------------------------------------------------------------------------------------


def put(call: Call, document: Json) -> Work:
    """The operation that makes or replaces a deployment; its container starts at once."""
    core, found = call.core, call.found
    operations.refuse_while_busy(core, call.parent.id)
    if call.parent.state == "Failed":
        raise bad("The endpoint's own provisioning failed; it takes no deployments.")
    body = _checked(call, document)
    if found is None:
        found = call.new(body, "Creating")
    else:
        _check_create_only(core, found.body, body)
        found.state = "Updating"
        found.modified = core.now()
    return _begun(call, found, "od", body)


def planted(call: Call, document: Json) -> None:
    """A deployment of a seed, whose container starts when somebody scores."""
    made = call.new(_checked(call, document))
    made.kept = {"serving": _serving(made.body), "revision": "seed"}


def _begun(call: Call, deployment: Resource, kind: str, body: Json) -> Work:
    work = operations.begin(call, deployment, kind, "deployment.put", body=body)
    deployment.kept["work"] = work.id
    serving = deployment.kept.get("serving")
    if not work.trick and serving != (wanted := _serving(body)):
        started(call.core, call.scope, deployment, work.id, wanted)
    return work


def started(
    core: Core, scope: Resource, deployment: Resource, revision: str, serving: Json
) -> Container:
    """The container of a revision, which is started if it does not run."""
    return core.containers.start(deployment.id, revision, lambda: image(core, scope, serving))


def _serving(body: Json) -> Json:
    """The parts of a deployment that its container is made of."""
    names = ("model", "environmentId", "codeConfiguration", "environmentVariables")
    return {name: body["properties"][name] for name in names}


def _checked(call: Call, document: Json) -> Json:
    if not NAME.fullmatch(call.names[1]):
        raise bad(f"{call.names[1]}: a deployment's name has 3 to 32 letters, digits and dashes.")
    location = str(document.get("location") or "").replace(" ", "").casefold()
    if location != call.region:
        raise bad(f"location must be {call.region}, as the workspace's.", "LocationMismatch")
    given = document.get("properties", {})
    if given.get("endpointComputeType") not in _TYPES:
        raise bad(f"properties.endpointComputeType must be one of {', '.join(_TYPES)}.")
    if not isinstance(given.get("instanceType"), str) or not given["instanceType"]:
        raise bad("properties.instanceType is missing.")
    requests = {**_REQUESTS, **part(given, "requestSettings")}
    for name in ("requestTimeout", "maxQueueWait"):
        seconds(requests[name])
    most = requests["maxConcurrentRequestsPerInstance"]
    if type(most) is not int or most < 1:
        raise bad("maxConcurrentRequestsPerInstance must be a number.")
    return {
        "location": call.region,
        "tags": flat_texts(document, "tags"),
        "kind": document.get("kind") or "Managed",
        "sku": _sku(document.get("sku")),
        "properties": {
            "endpointComputeType": given["endpointComputeType"],
            "description": given.get("description"),
            "properties": {
                name: text
                for name, text in flat_texts(given, "properties").items()
                if name != "AzureAsyncOperationUri"
            },
            **_made_of(call, given),
            "instanceType": given["instanceType"],
            "appInsightsEnabled": bool(given.get("appInsightsEnabled")),
            "modelMountPath": given.get("modelMountPath"),
            "scaleSettings": part(given, "scaleSettings") or {"scaleType": "Default"},
            "requestSettings": requests,
            "livenessProbe": {**_PROBE, **part(given, "livenessProbe")},
            "readinessProbe": {**_PROBE, **part(given, "readinessProbe")},
            "egressPublicNetworkAccess": given.get("egressPublicNetworkAccess") or "Enabled",
            "dataCollector": given.get("dataCollector"),
        },
    }


def _sku(given: Any) -> Json:
    sku = given or {"name": "Default", "capacity": 1}
    capacity = sku.get("capacity", 1) if is_object(sku) else None
    if type(capacity) is not int or not 1 <= capacity <= 500:
        raise bad("sku.capacity must be a number of instances.")
    return {"name": "Default", "tier": "Standard", "capacity": capacity}


def _made_of(call: Call, given: Json) -> Json:
    """Model, environment, code and variables, by their full ids."""
    if not given.get("model"):
        raise bad("properties.model is missing.")
    model = referred(call, given["model"], "models")
    mlflow = found_at(call.core, model).properties["modelType"] == "mlflow_model"
    code = given.get("codeConfiguration")
    if code is not None:
        if not is_object(code) or not str(code.get("scoringScript") or "").endswith(".py"):
            raise bad("properties.codeConfiguration.scoringScript must name a Python file.")
        ident = referred(call, str(code.get("codeId")), "codes")
        code = {"codeId": ident, "scoringScript": code["scoringScript"]}
    environment = given.get("environmentId")
    if not mlflow and (code is None or not environment):
        raise bad("Only an MLflow model is deployed without environmentId and codeConfiguration.")
    return {
        "model": model,
        "environmentId": environment and referred(call, environment, "environments"),
        "codeConfiguration": code,
        "environmentVariables": {
            name: text
            for name, text in flat_texts(given, "environmentVariables").items()
            if name not in _ADDED
        },
    }


def _check_create_only(core: Core, before: Json, after: Json) -> None:
    """Refused, or ignored, for what is written only when a deployment is made."""
    changed = [
        name for name in _CREATE_ONLY if before["properties"][name] != after["properties"][name]
    ]
    if changed and core.options.create_only == "refused":
        raise bad(f"{', '.join(changed)} cannot be changed; make a new deployment.")
    for name in changed:
        after["properties"][name] = before["properties"][name]


def _patch(call: Call, deployment: Resource) -> Response:
    """Only tags and sku can be patched; nothing else is looked at."""
    operations.refuse_while_busy(call.core, call.parent.id)
    document = json_object(call.request)
    body: Json = {**deployment.body}
    if "tags" in document:
        body["tags"] = flat_texts(document, "tags")
    if document.get("sku"):
        body["sku"] = _sku(document["sku"])
    deployment.state = "Scaling" if body["sku"] != deployment.body["sku"] else "Updating"
    return operations.accepted(call, _begun(call, deployment, "odidp", body))


@operations.ends("deployment.put")
def _written(core: Core, work: Work, deployment: Resource) -> None:
    body = work.change["body"]
    _check_quota(core, work, deployment, body)
    if deployment.kept.get("serving") != (wanted := _serving(body)):
        scope = core.world.resources[work.workspace]
        started(core, scope, deployment, work.id, wanted).check()
        deployment.kept["serving"], deployment.kept["revision"] = wanted, work.id
        core.containers.keep(deployment.id, work.id)
    deployment.body = body


def _check_quota(core: Core, work: Work, deployment: Resource, body: Json) -> None:
    """Failure when a workspace has too few instances of a type left."""
    kind = body["properties"]["instanceType"]
    most = core.world.resources[work.workspace].kept["quota"].get(kind)
    if most is None:
        return
    used = capacity.used(core, work.workspace, kind, but=deployment.id)
    wanted = body["sku"]["capacity"]
    if used + wanted > most:
        raise Failure(
            "OutOfQuota",
            f"Not enough quota available for {kind}: {most} instances, {used} in use, "
            f"{wanted} wanted.",
        )


def _delete(call: Call) -> Response:
    deployment = call.found
    if deployment is None:
        return answer(204)
    endpoint = call.parent
    operations.refuse_while_busy(call.core, endpoint.id)
    if endpoint.properties["traffic"].get(deployment.name):
        raise bad(
            f"Deployment {deployment.name} has traffic; give it to another one first.",
            "DeploymentHasTraffic",
        )
    deployment.state = "Deleting"
    return operations.accepted(
        call, operations.begin(call, deployment, "odidp", "deployment.delete")
    )


@operations.ends("deployment.delete")
def _deleted(core: Core, work: Work, deployment: Resource) -> None:
    endpoint = core.world.resources[work.target.rpartition("/deployments/")[0]]
    for name in ("traffic", "mirrorTraffic"):
        endpoint.properties[name].pop(deployment.name, None)
    core.containers.stop_below(deployment.id)
    del core.world.resources[deployment.id]


# --- logs and sizes -----------------------------------------------------------------------------


def _act(call: Call) -> Response:
    deployment = call.there
    if call.action == "getlogs" and call.request.method == "POST":
        document = json_object(call.request)
        kind = str(document.get("containerType") or "InferenceServer").casefold()
        if kind not in _LOGS:
            raise bad("containerType must be InferenceServer or StorageInitializer.")
        lines = call.core.containers.log(deployment.id, downloads=_LOGS[kind]).splitlines()
        tail = document.get("tail")
        if tail is not None and (type(tail) is not int or tail < 1):
            raise bad("tail must be a number of lines.")
        return answer(200, {"content": "\n".join(lines[-(tail or len(lines)) :])})
    if call.action == "skus" and call.request.method == "GET":
        capacity = {"minimum": 1, "maximum": 500, "default": 1, "scaleType": "Manual"}
        sku = {"name": "Default", "tier": "Standard"}
        kind = "Microsoft.MachineLearning.Services/endpoints/deployments"
        return answer(200, {"value": [{"resourceType": kind, "sku": sku, "capacity": capacity}]})
    raise unknown(call.request)
