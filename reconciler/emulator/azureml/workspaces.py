"""Workspaces and registries: read only, since a seed makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from reconciler.emulator.azureml.calls import PROVIDER, envelope, page
from reconciler.emulator.messages import Refused, answer, unknown

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json, Resource
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request, Response


def handle(call: Call) -> Response:
    """The answer to a request for a workspace or a registry itself."""
    if call.request.method != "GET":
        raise unknown(call.request)
    return answer(200, _shown(call))


def computes(call: Call) -> Response:
    """The answer to a request for computes: a seed names them, and jobs may."""
    if call.request.method == "GET" and not call.names:
        wanted = call.core.world.resources.listed(call.id)
        return page(call, lambda compute: _compute(call, compute), wanted)
    if call.request.method == "GET":
        return answer(200, _compute(call, call.there))
    if call.request.method == "PUT":
        existed = call.found is not None
        return answer(200 if existed else 201, _compute(call, call.new(call.document())))
    raise unknown(call.request)


def _compute(call: Call, compute: Resource) -> Json:
    properties = {"computeType": "AmlCompute", **compute.properties}
    body = {"location": call.region, "properties": {**properties, "provisioningState": "Succeeded"}}
    return {**envelope(call, compute), **body}


def data_plane(request: Request, region: str) -> str:
    """The base of the workspace's other host, in the form by which the caller reached us."""
    if request.host.casefold().endswith((".azure.com", ".ms")):
        return f"https://{region}.api.azureml.ms"
    return request.base


def tracking(call: Call) -> str:
    """Where runs are tracked, in the scheme of Azure's own MLflow plug-in."""
    host = urlsplit(data_plane(call.request, call.region)).netloc
    return f"azureml://{host}/mlflow/v1.0{call.scope.id}"


def _shown(call: Call) -> Json:
    scope = call.scope
    base = data_plane(call.request, call.region)
    storage = (
        f"/subscriptions/{scope.id.split('/')[2]}/resourceGroups/{scope.id.split('/')[4]}"
        f"/providers/Microsoft.Storage/storageAccounts/{scope.kept['storage']}"
    )
    return {
        **envelope(call, scope),
        **{name: scope.body[name] for name in ("location", "tags")},
        "identity": {"type": "SystemAssigned", "principalId": scope.kept["guid"]},
        "sku": {"name": "Basic", "tier": "Basic"},
        "kind": "Default",
        "properties": {
            "friendlyName": scope.name,
            "description": "",
            "storageAccount": storage,
            "workspaceId": scope.kept["guid"],
            "discoveryUrl": f"{base}/discovery",
            "mlFlowTrackingUri": tracking(call),
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
            "hbiWorkspace": False,
            "v1LegacyMode": False,
        },
    }


def registry(core: Core, request: Request) -> Response:
    """Where a registry is that a client knows by its name only; its region answers for it."""
    name = unquote(request.path.split("/")[-2])
    for found in core.world.resources.named("registries", name):
        _, _, subscription, _, group, *_ = found.id.split("/")
        return answer(
            200,
            {
                "registryName": found.name,
                "primaryRegion": found.body["location"],
                "regions": [found.body["location"]],
                "primaryRegionResourceProviderUri": f"{request.base}/",
                "resourceGroup": group,
                "subscriptionId": subscription,
            },
        )
    raise Refused(404, "UserError", f"There is no registry {name}.")


def registries(core: Core, subscription: str) -> Response:
    """The registries of a subscription."""
    found = core.world.resources.named("registries")
    mine = [each for each in found if each.id.split("/")[2].casefold() == subscription.casefold()]
    kind = f"{PROVIDER}/registries"
    listed = [{"id": each.id, "name": each.name, "type": kind, **each.body} for each in mine]
    return answer(200, {"value": listed})


def discovery(request: Request) -> Response:
    """The answer of a workspace's discovery: where its other services are."""
    names = ("api", "experimentation", "history", "hyperdrive", "labeling", "modelmanagement")
    return answer(200, dict.fromkeys(names, request.base))


def metadata(request: Request) -> Response:
    """The clouds that ARM names; a client that is sent here takes its hosts from it."""
    suffixes = {
        "storage": "core.windows.net",
        "keyVaultDns": "vault.azure.net",
        "azureMachineLearning": "api.azureml.ms",
        "acrLoginServer": "azurecr.io",
    }
    cloud = {
        "name": "Emulator",
        "portal": "https://portal.azure.com",
        "authentication": {
            "loginEndpoint": "https://login.microsoftonline.com",
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": f"{request.base}/",
        "suffixes": suffixes,
        "provider": PROVIDER,
    }
    return answer(200, [cloud])
