"""Operations that take time: begun by a write, polled at two kinds of addresses, ended when due.

A write that creates or replaces answers 201 with the resource and `Azure-AsyncOperation`; PATCH and
DELETE answer 202 with `null`. Nothing happens behind the scene: an operation ends in the first
request after its time, or, with pace "looks", when it was looked at often enough. An operation
that waits for a process is not ended before that has started: `Unready` says for which.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
import traceback
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reconciler.emulator.azureml.calls import PROVIDER, Call
from reconciler.emulator.azureml.failures import Failure, Unready
from reconciler.emulator.azureml.records import Resource, Work
from reconciler.emulator.messages import Refused, Request, Response, answer
from reconciler.emulator.world import iso

if TYPE_CHECKING:
    from reconciler.emulator.azureml.records import Json
    from reconciler.emulator.core import Core

CANCELED = "Canceled"  # as a trick: the operation ends like this
_MOST = 20_000  # of the latest operations; those before are asked for no more
_CODE = re.compile(r"(?P<code>[A-Z][A-Za-z]+)(?:: (?P<message>.*))?", re.DOTALL)
_LONG = "0123456789abcdef" * 264  # the real signatures are longer than 4 kB

Effect = Callable[["Core", Work, Resource], None]
_EFFECTS: dict[str, Effect] = {}


def ends(what: str) -> Callable[[Effect], Effect]:
    """A decorator for what ends the operations of one kind; that raises Failure or Unready."""

    def keep(effect: Effect) -> Effect:
        _EFFECTS[what] = effect
        return effect

    return keep


def begin(call: Call, target: Resource, kind: str, what: str, **change: Any) -> Work:
    """A new operation on a resource."""
    core = call.core
    now = core.now()
    work = Work(
        id=str(uuid.uuid4()),
        kind=kind,
        what=what,
        target=target.id.casefold(),
        workspace=call.scope.id.casefold(),
        started=now,
        due=now + core.options.operation_s / core.options.speed,
        trick=core.faults.trick("operation"),
        change=change,
    )
    core.world.works[work.id] = work
    if len(core.world.works) > _MOST:
        ended = [ident for ident, old in core.world.works.items() if old.status]
        for ident in ended[: _MOST // 2]:
            del core.world.works[ident]
    return work


def running(core: Core, below: str, *, alone: bool = False) -> list[Work]:
    """The operations that have not ended, on a resource and, not `alone`, on what is below it."""
    place = below.casefold()
    return [
        work
        for work in core.world.works.values()
        if not work.status
        and (work.target == place or (not alone and work.target.startswith(f"{place}/")))
    ]


def running_in(core: Core, collection: str) -> list[Work]:
    """The operations that have not ended, on the resources of one collection."""
    place = collection.casefold()
    works = core.world.works.values()
    return [work for work in works if not work.status and work.target.rpartition("/")[0] == place]


def refuse_while_busy(core: Core, endpoint: str) -> None:
    """Refused with 409 while an operation runs on an endpoint or on one of its deployments."""
    if busy := running(core, endpoint):
        name = busy[0].target.rpartition("/")[2]
        message = f"Already running method on {name}: another operation on it has not ended."
        raise conflict(message, "OperationInProgress")


def conflict(message: str, code: str) -> Refused:
    """409 in the words of the service."""
    return Refused(409, "Conflict", message, (code, message))


# --- what a write answers -----------------------------------------------------------------------


def accepted_put(call: Call, work: Work, body: Json, *, created: bool) -> Response:
    """201, whether it was made or replaced; `Location` is the resource and no operation."""
    request = call.request
    return answer(
        201 if created else call.core.options.updated,
        body,
        Azure_AsyncOperation=url(call.core, request, work, "mfeOperationsStatus"),
        x_ms_async_operation_timeout="PT30M",
        Location=f"{request.base}{request.path}?{request.query}",
    )


def accepted(call: Call, work: Work) -> Response:
    """202 with `null`, for PATCH and DELETE; who deletes is told both addresses."""
    location = url(call.core, call.request, work, "mfeOperationResults")
    response = Response(202, {**answer(202).headers, "Content-Type": "application/json"}, b"null")
    response = response.with_headers(Location=location)
    if work.what.endswith("delete"):
        status = url(call.core, call.request, work, "mfeOperationsStatus")
        return response.with_headers(Azure_AsyncOperation=status)
    return response.with_headers(Retry_After="10")


def url(core: Core, request: Request, work: Work, what: str, *, signed: bool = True) -> str:
    """Where an operation is polled; its address has no resource group."""
    workspace = core.world.resources[work.workspace]
    region, base = workspace.body["location"], request.base
    if core.options.operation_host == "regional" and request.host.endswith("azure.com"):
        base = f"{request.scheme}://{region}.management.azure.com"
    version = request.parameters.get("api-version", "")
    address = (
        f"{base}/subscriptions/{workspace.id.split('/')[2]}/providers/{PROVIDER}/locations/{region}"
        f"/{what}/{_full_id(core, work)}?api-version={version}"
    )
    if not (signed and core.options.signed_urls):
        return address
    return f"{address}&{_signature(core, work)}"


def _full_id(core: Core, work: Work) -> str:
    return f"{work.kind}:{core.world.resources[work.workspace].kept['guid']}:{work.id}"


def _signature(core: Core, work: Work) -> str:
    """Four parameters of which the client understands none."""
    secret = f"{core.world.id}:{work.id}".encode()
    digest = hmac.new(secret, work.id.encode(), hashlib.sha256).hexdigest()
    return f"t={int(work.started)}&c={_LONG}&s={digest}&h={digest[:16]}"


# --- looking at one -----------------------------------------------------------------------------


def look_at(core: Core, request: Request, what: str, full_id: str) -> Response:
    """The answer to a poll, of the status or of the result."""
    work = core.world.works.get(full_id.rpartition(":")[2])
    if work is None or full_id.casefold() != _full_id(core, work).casefold():
        raise Refused(404, "NotFound", "There is no such operation.")
    if "s" in request.parameters and f"&{_signature(core, work)}" not in f"&{request.query}":
        raise Refused(403, "AuthorizationFailed", "The signature of this address does not fit.")
    look(core, [work])
    if what == "mfeoperationresults" and not work.status:
        return answer(202, Location=url(core, request, work, "mfeOperationResults"))
    body: Json = {
        "id": url(core, request, work, "mfeOperationsStatus", signed=False)
        .split("?")[0]
        .removeprefix(request.base),
        "name": _full_id(core, work),
        "status": work.status or core.options.operation_running,
        "startTime": iso(work.started),
        "percentComplete": 0.0,
    }
    if work.status:
        body["endTime"] = iso(work.ended)
    if work.error:
        body["error"] = work.error
    return answer(200, body)


def look(core: Core, works: list[Work]) -> None:
    """With pace "looks" an operation is seen a number of times before it ends."""
    if core.options.pace != "looks":
        return
    for work in works:
        if not work.status:
            work.looks += 1
            if work.looks > core.options.looks:
                _end(core, work, core.now())


def settle(core: Core, now: float) -> bool:
    """End the operations whose time has come; whether any has ended."""
    if core.options.pace != "clock":
        return False
    due = [work for work in core.world.works.values() if not work.status and work.due <= now]
    for work in due:
        _end(core, work, work.due)
    return any(work.status for work in due)


def _end(core: Core, work: Work, ended: float) -> None:
    """Do what the operation is for; whatever goes wrong is this operation's own trouble."""
    resource = core.world.resources.get(work.target)
    try:
        if work.trick == CANCELED:
            work.status, state = CANCELED, CANCELED
        elif work.trick not in ("", "nothing"):
            raise _scripted(work.trick)
        else:
            if resource is not None and work.trick != "nothing":
                _EFFECTS[work.what](core, work, resource)
            work.status, state = "Succeeded", "Succeeded"
    except Unready:
        if core.patient:
            raise
        return  # the next look after its start ends it
    except Failure as exc:
        work.status, state = "Failed", "Failed"
        work.error = _error(exc)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        work.status, state = "Failed", "Failed"
        work.error = _error(Failure("ServiceError", "The emulator has a bug; see its output."))
    if resource is not None:
        resource.state = state
        if work.what == "deployment.put" and core.options.failed_update == "configured":
            resource.body = work.change["body"]
    work.ended, work.change = ended, {}


def _scripted(trick: str) -> Failure:
    match = _CODE.fullmatch(trick)
    if match is None:
        return Failure("InternalServerError", trick)
    return Failure(match["code"], match["message"] or f"The operation failed: {match['code']}.")


def _error(failure: Failure) -> Json:
    return {
        "code": failure.code,
        "message": failure.message,
        "target": None,
        "details": [],
        "additionalInfo": [{"type": "ComponentName", "info": {"value": "managementfrontend"}}],
    }
