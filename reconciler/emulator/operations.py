"""Long-running operations of New web services (§3.6): begun by a write, looked at until they end.

Nothing runs behind the scene. An operation ends in the first request after its time, or, with
pace "looks", when it was looked at often enough.
"""

from __future__ import annotations

import sys
import traceback
import uuid
from typing import TYPE_CHECKING, Any

from reconciler.emulator import definitions
from reconciler.emulator.messages import Refused, Request, Response, answer
from reconciler.emulator.world import Operation, WebService, iso

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

PROVIDER = "Microsoft.MachineLearning"
RUNNING = "Provisioning"
MOST_OPERATIONS = 20_000  # of the latest; those before are asked for no more


def begin(core: Core, service: WebService, key: str, *, kind: str, **more: Any) -> Operation:
    """A new operation on a service; its end decides about what it is for."""
    now = core.now()
    operation = Operation(
        id=str(uuid.uuid4()),
        subscription=service.subscription,
        location=definitions.short(service.location),
        service=key,
        kind=kind,
        started=now,
        due=now + core.options.operation_s / core.options.speed,
        trick=core.faults.trick("operation"),
        **more,
    )
    operations = core.world.operations
    operations[operation.id] = operation
    if len(operations) > MOST_OPERATIONS:
        ended = [ident for ident, old in operations.items() if old.status != RUNNING]
        for ident in ended[: len(operations) // 2]:
            del operations[ident]
    return operation


def url(request: Request, operation: Operation, what: str) -> str:
    """Where the status or the result of an operation is, as the caller reached us."""
    version = request.parameters["api-version"]
    return (
        f"{request.base}/subscriptions/{operation.subscription}/providers/{PROVIDER}"
        f"/locations/{operation.location}/{what}/{operation.id}?api-version={version}"
    )


def accepted(request: Request, operation: Operation, response: Response) -> Response:
    """§3.6: the two headers of a long-running operation; no Retry-After was ever recorded."""
    return response.with_headers(
        Azure_AsyncOperation=url(request, operation, "operationsStatus"),
        Azure_AsyncOperationPercentComplete="0",
    )


def look_at(core: Core, request: Request, what: str, ident: str) -> Response:
    """The answer to a look at an operation."""
    operation = core.world.operations.get(ident)
    if operation is None:
        raise Refused(404, "NotFound", "The specified resource was not found.")
    look(core, [operation] if operation.status == RUNNING else [])
    ended = operation.status != RUNNING
    if what == "operationresults":
        return answer(204 if ended else 202)
    body: Json = {
        "id": url(request, operation, "operationsStatus").split("?")[0].removeprefix(request.base),
        "name": operation.id,
        "status": operation.status,
        "startTime": iso(operation.started),
        "percentComplete": 1.0 if ended else _percent(core, operation),
    }
    if ended:
        body["endTime"] = iso(operation.ended)
    return answer(200, {**body, **_failure(core, operation)})


def _percent(core: Core, operation: Operation) -> float:
    """From 0.5, as recorded, towards 0.9."""
    if core.options.pace == "looks":
        return round(0.5 + 0.4 * (operation.looks - 1) / max(core.options.looks, 1), 2)
    share = (core.now() - operation.started) / max(operation.due - operation.started, 1e-9)
    return round(0.5 + 0.4 * min(max(share, 0.0), 1.0), 2)


def _failure(core: Core, operation: Operation) -> Json:
    """The error in the swagger's member, in ARM's, or in both: nobody recorded one [U]."""
    if operation.status != "Failed":
        return {}
    shape = core.options.async_failure
    return {name: operation.error for name in ("error", "errorInfo") if shape in ("both", name)}


def settle(core: Core, now: float) -> bool:
    """End the operations whose time has come; whether there were any."""
    if core.options.pace != "clock":
        return False
    due = [operation for operation in running(core) if operation.due <= now]
    for operation in due:
        _end(core, operation, operation.due)
    return bool(due)


def running(core: Core, service: str = "") -> list[Operation]:
    """The operations that have not ended, oldest first; of one service, or of all."""
    operations = core.world.operations.values()
    return [o for o in operations if o.status == RUNNING and service in ("", o.service)]


def look(core: Core, operations: list[Operation]) -> None:
    """With pace "looks" an operation is seen a number of times before it ends."""
    if core.options.pace != "looks":
        return
    for operation in operations:
        operation.looks += 1
        if operation.looks > core.options.looks:
            _end(core, operation, core.now())


def _end(core: Core, operation: Operation, ended: float) -> None:
    """Do what the operation is for; whatever goes wrong is this operation's own trouble."""
    operation.ended = ended
    operation.status = "Succeeded"
    service = core.world.services.get(operation.service)
    if service is not None:
        _carry_out(core, operation, service)
    operation.properties, operation.tags, operation.keys = {}, {}, {}  # what is over is only shown


def _carry_out(core: Core, operation: Operation, service: WebService) -> None:
    try:
        if operation.trick not in ("", "nothing"):
            raise definitions.ModelError("InternalError", operation.trick)
        if operation.trick != "nothing":
            _do(core, operation, service)
    except definitions.ModelError as exc:
        _fail(operation, service, exc)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        bug = definitions.ModelError("InternalError", "The emulator has a bug; see its output.")
        _fail(operation, service, bug)
    if not running(core, operation.service):
        service.state = "Succeeded" if service.properties else "Failed"


def _do(core: Core, operation: Operation, service: WebService) -> None:
    if operation.kind == "delete":
        del core.world.services[operation.service]
    elif operation.kind == "region":
        service.regions.append(operation.region)
        service.modified = operation.ended
    else:
        _write(core, operation, service)


def _write(core: Core, operation: Operation, service: WebService) -> None:
    """Take over a new definition; ModelError leaves the old one."""
    model = definitions.model_bytes(core, operation.properties)
    service.properties, service.tags = operation.properties, operation.tags
    service.keys.update(operation.keys)
    service.modified, service.updates = operation.ended, service.updates + 1
    service.model = core.world.keep_model(model) if model is not None else ""


def _fail(operation: Operation, service: WebService, why: definitions.ModelError) -> None:
    operation.status = "Failed"
    operation.error = {
        "code": "InternalError",
        "message": "The web service could not be updated.",
        "target": service.name,
        "details": [{"code": why.code, "message": why.message}],
    }
