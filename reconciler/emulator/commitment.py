"""Commitment plans (§3.12): stored and shown, and nothing is ever billed."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reconciler.emulator.definitions import REGIONS
from reconciler.emulator.messages import (
    Refused,
    Request,
    Response,
    answer,
    json_object,
    member,
    unknown,
)
from reconciler.emulator.shapes import check_envelope, refused
from reconciler.emulator.world import Plan, iso

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

TYPE = "Microsoft.MachineLearning/commitmentPlans"
VERSION = "2016-05-01-preview"  # the only one that plans were ever served with
_PROVIDER = r"/providers/microsoft\.machinelearning"
PATH = re.compile(
    rf"/subscriptions/(?P<sub>[^/]+)/resourcegroups/(?P<group>[^/]+){_PROVIDER}/commitmentplans"
    r"(?:/(?P<name>[^/]+)(?:/(?P<below>commitmentassociations|usagehistory)(?:/(?P<one>[^/]+)"
    r"(?P<move>/move)?)?)?)?/?$",
    re.IGNORECASE,
)
_SUBSCRIPTION = re.compile(
    rf"/subscriptions/(?P<sub>[^/]+){_PROVIDER}/(?P<what>commitmentplans|skus)/?$", re.IGNORECASE
)
# Recorded by SKU: the hours and transactions that a plan has, their overage meters, and its own.
_SKUS = {
    "S1": (25.0, 100_000.0, "842f92f7-a46b-4522-ac62-8134271dc591",
           "c906e161-98b8-41b1-81e2-b59e0b263740", "4a5a4b83-6216-47c5-b3db-fe430fa6e2c3"),
    "S2": (500.0, 2_000_000.0, "e5921380-3088-471a-ae87-a47cc97e98dc",
           "96328029-e3da-49d7-bba1-48ef64f13ff1", "0242cdc7-456a-4024-a1d5-f00b54f37b76"),
    "DevTest": (2.0, 1000.0, "15fb14e6-ece4-4981-a179-2bc796d0b65b",
                "c7cf66fb-bcc3-4ee2-b81b-160bcf6c6a14", str(uuid.UUID(int=0))),
}  # fmt: skip
_HOURS, _TRANSACTIONS = (
    "29187de1-b4a1-4503-a6f6-078271b3fc9d",
    "303743b6-4cd0-44df-8ec2-a93c8f14943b",
)


def route(request: Request) -> str:
    """The name of the route of a request for plans, "" for another one."""
    if match := _SUBSCRIPTION.match(request.path):
        return "arm.plan.skus" if match["what"].casefold() == "skus" else "arm.plan.list"
    match = PATH.match(request.path)
    if not match:
        return ""
    if match["below"]:
        usage = match["below"].casefold() == "usagehistory"
        return "arm.plan.usage" if usage else "arm.plan.associations"
    return f"arm.plan.{request.method.casefold()}" if match["name"] else "arm.plan.list"


def handle(core: Core, request: Request) -> Response:
    """The answer to a request for plans; writes are synchronous (§3.12)."""
    asked = route(request).rpartition(".")[2]
    if asked in ("put", "patch", "delete", "get"):
        return _on_plan(core, request)
    if request.method != "GET":
        raise unknown(request)  # moving an association is not emulated: nothing is ever billed
    if asked == "skus":
        return answer(200, {"value": [_sku(name) for name in _SKUS]})
    if asked == "list":
        subscription, group, _ = _where(request)
        below = _ident(subscription, group, "") if group else f"/subscriptions/{subscription}/"
        plans = sorted(core.world.plans.items())
        shown = [_shown(plan) for key, plan in plans if key.startswith(below.casefold())]
        return answer(200, {"value": shown})
    plan = _there(core, request)
    if asked == "usage":
        return answer(200, {"value": []})  # nothing is ever used
    match = PATH.match(request.path)
    associations = _associations(core, plan)
    if match is None or not match["one"]:
        return answer(200, {"value": associations})
    for association in associations:
        if association["name"] == match["one"]:
            return answer(200, association)
    raise Refused(404, "NotFound", "The specified resource was not found.")


def _where(request: Request) -> tuple[str, str, str]:
    """Subscription, resource group and plan, decoded; "" for what the path does not name."""
    if match := PATH.match(request.path):
        return match["sub"], unquote(match["group"]), unquote(match["name"] or "")
    return request.path.split("/")[2], "", ""


def _ident(subscription: str, group: str, name: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{TYPE}/{name}"


def _on_plan(core: Core, request: Request) -> Response:
    ident = _ident(*_where(request))
    if request.method == "PUT":
        return answer(200, _shown(_put(core, request, ident.casefold(), ident)))
    if request.method == "DELETE":
        core.world.plans.pop(ident.casefold(), None)
        return answer(200)
    plan = _there(core, request)
    if request.method == "PATCH":
        _patch(request, plan)
    return answer(200, _shown(plan))


def _there(core: Core, request: Request) -> Plan:
    """The plan; for a missing one Resource Manager itself refuses, as recorded."""
    _, group, name = _where(request)
    plan = core.world.plans.get(_ident(*_where(request)).casefold())
    if plan is None:
        why = f"The Resource '{TYPE}/{name}' under resource group '{group}' was not found."
        raise Refused(404, "ResourceNotFound", why, gateway=True)
    return plan


def _patch(request: Request, plan: Plan) -> None:
    """§3.12: tags and sku only, each as a whole."""
    document = json_object(request)
    check_envelope(document)
    sku, tags = member(document, "sku"), member(document, "tags")
    if sku is not None:
        plan.sku = _checked(sku)
    if tags is not None:
        plan.tags = dict(tags)
    plan.etag = uuid.uuid4().hex


def _checked(sku: Any) -> Json:
    name = member(sku, "name") if isinstance(sku, dict) else None
    if not isinstance(name, str):
        raise refused("RequestBodyInvalid", "sku.name is required.")
    if name not in _SKUS:
        known = f"The emulator knows the SKUs {', '.join(_SKUS)}, and not {name}."
        raise Refused(501, "NotImplemented", known)
    found: Json = sku
    return found


def _put(core: Core, request: Request, key: str, ident: str) -> Plan:
    document = json_object(request)
    check_envelope(document)
    if not member(document, "location"):
        raise refused("RequestBodyInvalid", "location is required.")
    sku = _checked(member(document, "sku"))
    before = core.world.plans.get(key)
    created = before.created if before else core.now()
    tags = dict(member(document, "tags") or {})
    plan = Plan(ident, str(member(document, "location")), sku, tags, created, uuid.uuid4().hex)
    core.world.plans[key] = plan
    return plan


def _shown(plan: Plan) -> Json:
    hours, transactions, hours_meter, transactions_meter, meter = _SKUS.get(
        member(plan.sku, "name"), _SKUS["S1"]
    )
    quantities = {
        "machineLearningWebServiceComputeHours": _quantity(hours, _HOURS, hours_meter),
        "machineLearningWebServiceTransactions": _quantity(
            transactions, _TRANSACTIONS, transactions_meter
        ),
    }
    return {
        "id": plan.id,
        "name": plan.id.rpartition("/")[2],
        "type": TYPE,
        "location": plan.location,
        "tags": plan.tags,
        "etag": plan.etag,
        "sku": plan.sku,
        "properties": {
            "chargeForOverage": True,
            "chargeForPlan": True,
            "creationDate": iso(plan.created),
            "includedQuantities": quantities,
            "maxAssociationLimit": 10_000,
            "maxCapacityLimit": 10,
            "minCapacityLimit": 1,
            "planMeter": meter,
            "refillFrequencyInDays": 30,
            "suspendPlanOnOverage": False,
        },
    }


def _quantity(allowance: float, included: str, overage: str) -> Json:
    used = {"allowance": allowance, "amount": allowance}
    return {**used, "includedQuantityMeter": included, "overageMeter": overage}


def _sku(name: str) -> Json:
    """A row of the catalogue, as the swagger describes it; nobody recorded one."""
    return {
        "resourceType": "commitmentPlans",
        "name": name,
        "tier": "Standard",
        "locations": list(REGIONS),
        "capacity": {"minimum": 1, "maximum": 10, "default": 1, "scaleType": "manual"},
        "capabilities": [],
        "costs": [{"meterID": _SKUS[name][4], "quantity": 1, "extendedUnit": "month"}],
        "restrictions": [],
    }


def _associations(core: Core, plan: Plan) -> list[dict[str, Any]]:
    """The way to find a service's plan, since GET on the service hides it (§3.12)."""
    found = []
    for service in core.world.services.values():
        given = member(service.properties.get("commitmentPlan") or {}, "id", "")
        if str(given).casefold() == plan.id.casefold():
            linked = {
                "associatedResourceId": f"/subscriptions/{service.subscription}/resourceGroups/"
                f"{service.group}/providers/Microsoft.MachineLearning/webServices/{service.name}",
                "commitmentPlanId": plan.id,
                "creationDate": iso(service.created),
            }
            name = service.id
            found.append(
                {
                    "id": f"{plan.id}/commitmentAssociations/{name}",
                    "name": name,
                    "properties": linked,
                }
            )
    return found
