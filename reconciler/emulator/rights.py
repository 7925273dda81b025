"""Rights of the caller of ARM: the list that it can ask for, and the refusal of all else.

The switch `rights` lists the actions of the one role that every caller has, such as
`Microsoft.MachineLearningServices/workspaces/onlineEndpoints/*`; `ACTION@onlineEndpoints/churn` is
given on that resource and what is below it. The action of a request follows
from its path and verb: the kinds in the path, then `read`, `write`, `delete`, or `NAME/action` of
what is posted. An address where an operation is asked for is open to whoever it was handed to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.emulator.messages import Refused, answer

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request, Response

ROUTE = "rights.list"
_LIST = re.compile(
    r"(?P<scope>/subscriptions/[^/]+.*)/providers/microsoft\.authorization/permissions/?",
    re.IGNORECASE,
)
_OPEN = ("azureml.operation", "arm.operation")
_VERSION = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview)?")
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


def route(request: Request) -> str:
    """The name of the route of a request, "" when it is for another door."""
    return ROUTE if request.method == "GET" and _LIST.fullmatch(request.path) else ""


def handle(core: Core, request: Request) -> Response:
    """The roles of the caller at a scope: one, with what is given there or above."""
    if not request.bearer:
        raise Refused(401, "InvalidAuthenticationToken", "The access token is missing or invalid.")
    if not _VERSION.fullmatch(request.parameters.get("api-version", "")):
        raise Refused(400, "MissingApiVersionParameter", "The api-version query parameter is bad.")
    listed = _LIST.fullmatch(request.path)
    actions = _given(core, listed["scope"] if listed else "")
    role = {"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []}
    return answer(200, {"value": [role] if actions else []})


def check(core: Core, request: Request, route: str) -> None:
    """Refused with 403 where the caller may not do what it asks for."""
    of_arm = route.startswith(("arm.", "azureml.")) and route not in _OPEN
    if not (of_arm and request.path.casefold().startswith("/subscriptions/")):
        return
    action = _action(request)
    if not any(_covers(right, action) for right in _given(core, request.path)):
        raise Refused(
            403,
            "AuthorizationFailed",
            f"The client 'emulator' does not have authorization to perform action '{action}' over "
            f"scope '{request.path}' or the scope is invalid. If access was recently granted, "
            "please refresh your credentials.",
        )


def _given(core: Core, path: str) -> list[str]:
    """The actions that are given at a resource."""
    rights, below = (right.partition("@") for right in core.options.rights), f"{path}/".casefold()
    return [right for right, _, at in rights if not at or f"/{at}/".casefold() in below]


def _action(request: Request) -> str:
    provider, *below = request.path.strip("/").rpartition("providers/")[2].split("/")
    kinds = "/".join([provider, *below[::2]])
    return f"{kinds}/{_VERBS.get(request.method, 'action')}"


def _covers(right: str, action: str) -> bool:
    pattern = ".*".join(map(re.escape, right.split("*")))
    return re.fullmatch(pattern, action, re.IGNORECASE) is not None
