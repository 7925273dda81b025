"""One workspace, as its part of ARM answers: reads, lists, writes, and operations of minutes.

What was recorded of the service, and what follows for a client:

* A write answers at once and goes on for minutes. `Azure-AsyncOperation` says where it is asked
  for, or `Location` after a PATCH or DELETE, whose body is `null`. The `Location` of a PUT is the
  resource itself. These URLs are signed, longer than 4 kB, and may lead to a host of the region:
  they are followed as they were handed out, to hosts of ARM only, and never shown.
* An operation that ended well proves nothing yet: the resource is read again.
* No resource has an ETag, so two writers are kept apart by the environment's lock, by a look just
  before each write, and by the service, which answers 409 while anything runs on an endpoint.
* Ids come back in another case, and the last page of a list has no `nextLink`.

An operation is known to the engine by a name of ours, in which nothing is secret. Some have a
sequel, such as a deletion that must wait for a change: `then` begins it, and the name goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack
from urllib.parse import quote, urlencode

from reconciler.errors import NotFoundError, UnreadableError
from reconciler.http.asking import Credential, Sending
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken
from reconciler.http.response import Response
from reconciler.http.urls import path_part
from reconciler.platforms.arm import arm_origins, check_operation, operation_state, read_list
from reconciler.platforms.azure import ARM_URL
from reconciler.platforms.azureml.connection import PROVIDER, AzureMl
from reconciler.platforms.contract import DONE, OperationState, Progress
from reconciler.platforms.members import check_is_of, objects, text, without

API_VERSION = "2024-04-01"
METRICS_VERSION = "2018-01-01"
STARTED = (200, 201, 202, 204)
ABSENT = frozenset({"notfound", "resourcenotfound", "usererror"})  # codes of its own 404
BUSY = frozenset({"creating", "updating", "scaling", "deleting"})
_POLLED = "Azure-AsyncOperation"
Then = Callable[[], str] | None  # begins the sequel of a write, and answers its operation
Step = Callable[[Then], str]  # begins a write with such a sequel


@dataclass
class _Operation:
    """A write that goes on: where it is asked for, "" where only the resource tells, or `asked`."""

    url: str
    path: str
    then: Then = None
    asked: Callable[[], Progress] | None = None


class Workspace:
    """The resources of one workspace, by their paths below it: `/onlineEndpoints/fraud`.

    `emulator` is the base URL of what stands in for Azure, "" where nothing does.
    """

    def __init__(self, http: Http, at: AzureMl, token: Credential, emulator: str = "") -> None:
        self.at = at
        self.emulator = emulator
        self._http = http
        self._token = token
        self._origins = arm_origins(emulator)
        self._operations: dict[str, _Operation] = {}
        self._numbers = itertools.count(1)
        if isinstance(token, AccessToken):
            token.check()

    # --- reading ------------------------------------------------------------------------------

    @property
    def region(self) -> str:
        """Where new endpoints are made: as declared, or where the workspace is."""
        return self.at.region or text(self.read("", "reading the workspace"), "location")

    def find(self, path: str, what: str) -> dict[str, Any] | None:
        """A resource; None where the service says that it is not there."""
        try:
            answer = self._ask("GET", path, what)
        except NotFoundError as exc:
            proves_absence(exc)
            return None
        return self._checked(answer, path)

    def read(self, path: str, what: str) -> dict[str, Any]:
        """A resource that must be there."""
        return self._checked(self._ask("GET", path, what), path)

    def list(self, path: str, what: str, **only: str) -> list[dict[str, Any]]:
        """Every item of a list, or those that a filter lets through; WireError unless all of it was
        read."""
        more = "".join(f"&{name}={quote(value, safe='')}" for name, value in only.items())
        return read_list(self._http, self._token, self._url(path) + more, what)

    def registries(self) -> tuple[str, ...]:
        """The names of the shared registries of the workspace's subscription."""
        base = f"{self.emulator or ARM_URL}/subscriptions/{self.at.subscription}"
        url = f"{base}/providers/{PROVIDER}/registries?api-version={API_VERSION}"
        listed = read_list(self._http, self._token, url, "listing the shared registries")
        return tuple(text(item, "name") for item in listed)

    def post(self, path: str, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a question that is asked by POST: keys, tokens, logs."""
        return self._ask("POST", path, what, json=body or {}).json_object()

    def metrics(self, path: str, what: str, **asked: str) -> dict[str, Any]:
        """The counts of Azure Monitor, which is a part of ARM, for a resource."""
        query = urlencode({"api-version": METRICS_VERSION, **asked})
        url = f"{self._url(path).partition('?')[0]}/providers/Microsoft.Insights/metrics?{query}"
        return self._http.request("GET", url, credential=self._token, what=what).json_object()

    # --- writing ------------------------------------------------------------------------------

    def write(
        self, method: str, path: str, what: str, then: Then = None, **sending: Unpack[Sending]
    ) -> str:
        """The name of the operation that a write began; "" where it has ended."""
        answer = self._ask(method, path, what, expect=STARTED, **sending)
        url = answer.headers.get(_POLLED, "")
        if not url and answer.status == 202:
            url = answer.headers.get("Location", "")
        if not url and answer.status in (200, 204) and method == "DELETE":
            return then() if then else ""
        return self.watch(path, url, what, then)

    def watch(self, path: str, url: str, what: str, then: Then = None) -> str:
        """The name of an operation of a resource, also of one that another run began."""
        name = f"{what} ({next(self._numbers)})"
        self._operations[name] = _Operation(url, path, then)
        return name

    def await_(self, path: str, what: str, asked: Callable[[], Progress], then: Then) -> str:
        """The name of something that is waited for after a write, and says itself how far it is."""
        name = self.watch(path, "", what, then)
        self._operations[name].asked = asked
        return name

    def path_of(self, name: str) -> str:
        """The resource that an operation changes, "" of one that has ended."""
        return self._operations[name].path if name in self._operations else ""

    def progress(self, name: str) -> Progress:
        """How far an operation is; where its sequel begins, it is still running. A sequel that
        cannot begin is tried again when the operation is asked for again."""
        operation = self._operations.get(name)
        if operation is None:  # ended, or of another run: what is read says how far it is
            return DONE
        progress = self._polled(operation, name)
        if progress.state is OperationState.RUNNING:
            return progress
        following = ""
        if progress.state is OperationState.DONE and operation.then is not None:
            following = operation.then()
        del self._operations[name]
        if following:
            self._operations[name] = self._operations.pop(following)
            return Progress(OperationState.RUNNING, following)
        return progress

    def _polled(self, operation: _Operation, name: str) -> Progress:
        """How far an operation is, by its URL where it has one that may hear a token, else by what
        it makes."""
        what = f"asking how far it is with {name}"
        if operation.asked is not None:
            return operation.asked()
        if not operation.url:
            return self._by_resource(operation.path, what)
        check_operation(operation.url, self._origins, f"{name} was accepted")
        accepted = (200, 202, 204)
        try:
            answer = self._http.request(
                "GET", operation.url, expect=accepted, credential=self._token, what=what
            )
        except NotFoundError:  # forgotten: what became of the resource is still known
            return self._by_resource(operation.path, what)
        if answer.status == 202:
            return Progress(OperationState.RUNNING, "the service is at work")
        if answer.body.strip() in (b"", b"null"):
            return DONE
        # Its percentage is 0 from the beginning to the end.
        return operation_state(without(answer.json_object(), ("percentComplete",)))

    def _by_resource(self, path: str, what: str) -> Progress:
        item = self.find(path, what)
        return DONE if item is None else operation_state({"properties": item.get("properties")})

    # --- requests -------------------------------------------------------------------------------

    def _checked(self, answer: Response, path: str) -> dict[str, Any]:
        document = answer.json_object()
        check_is_of(document, answer.what, id=f"{self.at.path}{path}")
        return document

    def _ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        expect: tuple[int, ...] = (200,),
        **sending: Unpack[Sending],
    ) -> Response:
        sending["credential"] = self._token
        return self._http.request(method, self._url(path), expect=expect, what=what, **sending)

    def _url(self, path: str) -> str:
        base = self.emulator or ARM_URL
        return f"{base}{self.at.path}{path}?api-version={API_VERSION}"


def proves_absence(missing: NotFoundError) -> None:
    """Raise UnreadableError unless the service itself says that a resource is not there.

    A 404 without the service's own code, of a proxy, says nothing; nor does one of a workspace or
    a group that is gone.
    """
    if missing.code.casefold() not in ABSENT:
        why = missing.message
        raise UnreadableError(why, status=missing.status, code=missing.code) from missing


def in_turn(steps: Sequence[Step]) -> str:
    """The operation that begins the first step, whose sequels are the others; "" for no steps."""
    return steps[0](partial(in_turn, steps[1:])) if steps else ""


def part(name: str) -> str:
    """A name as a part of a path."""
    return path_part(name, "a name")


def state_of(document: Mapping[str, Any]) -> str:
    """The provisioning state of a resource, in lower case; "" where it says none."""
    return text(objects(document, "properties"), "provisioningState").casefold()
