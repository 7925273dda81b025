"""Commitment plans (§3.12): stored and shown, and nothing is ever billed."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

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
PATH = re.compile(
    r"/subscriptions/(?P<sub>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"/providers/microsoft\.machinelearning/commitmentplans"
    r"(?:/(?P<name>[^/]+)(?P<below>/commitmentassociations)?)?/?$",
    re.IGNORECASE,
)


def route(request: Request) -> str:
    """The name of the route of a request for plans, "" for another one."""
    match = PATH.match(request.path)
    if not match:
        return ""
    if match["below"]:
        return "arm.plan.associations"
    return f"arm.plan.{request.method.casefold()}" if match["name"] else "arm.plan.list"


def handle(core: Core, request: Request) -> Response:
    """The answer to a request for plans; writes are synchronous (§3.12)."""
    match = PATH.match(request.path)
    assert match is not None
    where = match["sub"], match["group"], match["name"] or ""
    ident = "/subscriptions/{}/resourceGroups/{}/providers/" + TYPE + "/{}"
    key = ident.format(*where).casefold()
    if not match["name"] and request.method == "GET":
        plans = [p for name, p in sorted(core.world.plans.items()) if name.startswith(key)]
        return answer(200, {"value": [_shown(plan) for plan in plans]})
    if match["below"] and request.method == "GET":
        return answer(200, {"value": _associations(core, _there(core, key))})
    if match["name"] and not match["below"]:
        return _on_plan(core, request, key, ident.format(*where))
    raise unknown(request)


def _on_plan(core: Core, request: Request, key: str, ident: str) -> Response:
    if request.method == "GET":
        return answer(200, _shown(_there(core, key)))
    if request.method == "PUT":
        return answer(200, _shown(_put(core, request, key, ident)))
    if request.method == "DELETE":
        core.world.plans.pop(key, None)
        return answer(200)
    raise unknown(request)


def _there(core: Core, key: str) -> Plan:
    if key not in core.world.plans:
        raise Refused(404, "NotFound", "The specified resource was not found.")
    return core.world.plans[key]


def _put(core: Core, request: Request, key: str, ident: str) -> Plan:
    document = json_object(request)
    check_envelope(document)
    sku = member(document, "sku")
    if not isinstance(sku, dict) or not member(document, "location"):
        raise refused("RequestBodyInvalid", "location and sku are required.")
    before = core.world.plans.get(key)
    created = before.created if before else core.now()
    tags = dict(member(document, "tags") or {})
    plan = Plan(ident, str(member(document, "location")), sku, tags, created, uuid.uuid4().hex)
    core.world.plans[key] = plan
    return plan


def _shown(plan: Plan) -> Json:
    quantities = {
        "machineLearningWebServiceComputeHours": _quantity(25),
        "machineLearningWebServiceTransactions": _quantity(100_000),
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
            "planMeter": str(uuid.UUID(int=0)),
            "refillFrequencyInDays": 30,
            "suspendPlanOnOverage": False,
        },
    }


def _quantity(allowance: int) -> Json:
    meter = str(uuid.UUID(int=0))
    used = {"allowance": allowance, "amount": allowance}
    return {**used, "includedQuantityMeter": meter, "overageMeter": meter}


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
