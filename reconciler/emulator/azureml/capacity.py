"""The machines of a region, and how many vCPUs of a family a subscription may use there.

`GET …/providers/Microsoft.MachineLearningServices/locations/{region}/vmSizes`, and `…/usages`. A
seed limits a workspace by instances of a type (`quota`); the usage of its family is those in vCPUs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.emulator.azureml.calls import PROVIDER
from reconciler.emulator.messages import answer

if TYPE_CHECKING:
    from reconciler.emulator.azureml.records import Json, Resource
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request, Response

PATH = re.compile(
    r"/subscriptions/(?P<sub>[^/]+)/providers/microsoft\.machinelearningservices"
    r"/locations/(?P<region>[^/]+)/(?P<what>vmsizes|usages)/?",
    re.IGNORECASE,
)
_UNLIMITED = 100
_SIZES = {  # family, vCPUs, GPUs, GB of memory
    "Standard_DS2_v2": ("standardDSv2Family", 2, 0, 7.0),
    "Standard_DS3_v2": ("standardDSv2Family", 4, 0, 14.0),
    "Standard_DS4_v2": ("standardDSv2Family", 8, 0, 28.0),
    "Standard_E4s_v3": ("standardESv3Family", 4, 0, 32.0),
    "Standard_F4s_v2": ("standardFSv2Family", 4, 0, 8.0),
    "Standard_NC6s_v3": ("standardNCSv3Family", 6, 1, 112.0),
}


def used(core: Core, workspace: str, kind: str, but: str = "") -> int:
    """The instances of a type that serve in a workspace, but for one deployment."""
    return sum(
        other.body["sku"]["capacity"]
        for ident, other in core.world.resources.items()
        if ident.startswith(f"{workspace.casefold()}/onlineendpoints/")
        and "/deployments/" in ident
        and ident != but.casefold()
        and other.properties["instanceType"] == kind
        and "serving" in other.kept
    )


def handle(core: Core, request: Request) -> Response:
    """The machines of a region, or what is used of them."""
    match = PATH.fullmatch(request.path)
    assert match is not None
    if match["what"].casefold() == "vmsizes":
        return answer(200, {"value": [_size(name) for name in _SIZES]})
    families: dict[str, list[int]] = {}
    for scope in _workspaces(core, match["sub"], match["region"]):
        for kind, (family, cpus, _, _) in _SIZES.items():
            count = families.setdefault(family, [0, 0])
            count[0] += cpus * used(core, scope.id, kind)
            count[1] += cpus * scope.kept["quota"].get(kind, 0)
    place = f"/subscriptions/{match['sub']}/providers/{PROVIDER}/locations/{match['region']}"
    usages = [_usage(place, family, *count) for family, count in families.items()]
    return answer(200, {"value": usages})


def _workspaces(core: Core, subscription: str, region: str) -> list[Resource]:
    return [
        scope
        for scope in core.world.resources.named("workspaces")
        if scope.id.split("/")[2].casefold() == subscription.casefold()
        and scope.body["location"].casefold() == region.casefold()
    ]


def _size(name: str) -> Json:
    family, cpus, gpus, memory = _SIZES[name]
    return {
        "name": name,
        "family": family,
        "vCPUs": cpus,
        "gpus": gpus,
        "memoryGB": memory,
        "lowPriorityCapable": True,
        "premiumIO": True,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
    }


def _usage(place: str, family: str, in_use: int, limit: int) -> Json:
    return {
        "id": f"{place}/usages/{family}",
        "type": f"{PROVIDER}/dedicatedCores/usages",
        "unit": "Count",
        "currentValue": in_use,
        "limit": limit or max(_UNLIMITED, in_use),
        "name": {"value": family, "localizedValue": f"{family} Cluster Dedicated vCPUs"},
    }
