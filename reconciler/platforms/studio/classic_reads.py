"""Reads of the services and endpoints of a Classic workspace: one at a time, or by lists.

Facts: STUDIO_PROTOCOL.md §2.4 (rows 1, 2, 5, 6), §2.6 (objects; names are not unique).
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.errors import NotFoundError, UnreadableError
from reconciler.http.credentials import Bearer
from reconciler.http.response import Response
from reconciler.http.urls import path_id, path_part
from reconciler.model import Health, HealthCode, Live, Reason, Refusal
from reconciler.platforms.members import check_is_of, near, text
from reconciler.platforms.studio.connection import Refused

if TYPE_CHECKING:
    from reconciler.http.client import Http
    from reconciler.platforms.studio.classic_state import ClassicAddress
    from reconciler.soon import Soon

_HEX_ID = re.compile(r"[0-9a-f]{32}")


class Reads:
    """The reads of one workspace, each a request of its own; `base` ends in `/webservices`."""

    def __init__(self, http: Http, base: str, token: Bearer) -> None:
        self._http = http
        self._base = base
        self._workspace = base.split("/")[-2]
        self._token = token
        self._found: dict[str, dict[str, Any]] = {}  # services by the name or id of addresses
        self._lists: Lists | None = None

    def surveyed(self, addresses: Iterable[ClassicAddress], soon: Soon) -> Reads:
        """These reads, answered by one list per service that the addresses name.

        What a list does not show is not believed to be absent: `listed` then says None, and the
        endpoint is asked for by a request of its own.
        """
        reader = copy.copy(self)
        reader._found, reader._lists = {}, read_all(self, addresses, soon)
        return reader

    def service(self, where: ClassicAddress) -> dict[str, Any] | Live:
        """The web service, or the Live that says why there is none.

        Which service a name leads to is asked once, and again when an endpoint is not found there:
        all that is written is decided by the endpoint, which is always read.
        """
        if self._lists is not None and (known := self._lists.services.get(where.service)):
            return known()
        if (found := self._found.get(where.service)) is not None:
            return found
        service = self.find(where, self.services)
        if not isinstance(service, Live):
            self._found[where.service] = service
        return service

    def find(
        self, where: ClassicAddress, every: Callable[[], list[dict[str, Any]]]
    ) -> dict[str, Any] | Live:
        """The service that an address names, by its id, or by its name among `every` one."""
        if _HEX_ID.fullmatch(where.service):
            try:
                what = f"reading Classic web service {where.service}"
                answer = self._read(f"{self._base}/{where.service}", what)
            except NotFoundError as exc:
                return no_service(exc.message)
            service = answer.json_object()
            check_is_of(service, answer.what, WorkspaceId=self._workspace, Id=where.service)
            return service
        return _service_by_name(every(), where)

    def endpoint(self, service: Mapping[str, Any], where: ClassicAddress) -> dict[str, Any]:
        """The endpoint as it is now; NotFoundError when the service has none of this name."""
        try:
            answer = self._read(self.endpoint_url(service, where), f"reading {where}")
        except NotFoundError:
            self._found.pop(where.service, None)
            raise
        endpoint = answer.json_object()
        if not text(endpoint, "Name"):
            raise answer.unreadable("an endpoint with a Name")
        self._check_is_of(service, endpoint, answer.what)
        check_is_of(endpoint, answer.what, Name=where.endpoint)
        return endpoint

    def endpoints(self, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every endpoint of a service, by one request, as far as its list says."""
        what = f'listing the endpoints of Classic web service "{text(service, "Name")}"'
        answer = self._read(f"{self._service_url(service)}/endpoints", what)
        found = answer.json_list()
        if not all(isinstance(item, dict) and text(item, "Name") for item in found):
            raise answer.unreadable("a list of endpoints with a Name each")
        for endpoint in found:
            self._check_is_of(service, endpoint, answer.what)
        return found

    def _check_is_of(
        self, service: Mapping[str, Any], endpoint: Mapping[str, Any], what: str
    ) -> None:
        check_is_of(endpoint, what, WorkspaceId=self._workspace, WebServiceId=text(service, "Id"))

    def services(self) -> list[dict[str, Any]]:
        """Every web service of the workspace, as far as its list says."""
        if self._lists is not None:
            return self._lists.every()
        answer = self._read(self._base, "listing the Classic web services")
        services = [service for service in answer.json_list() if isinstance(service, dict)]
        for service in services:
            check_is_of(service, answer.what, WorkspaceId=self._workspace)
        return services

    def endpoints_by(self, service: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
        """Every endpoint of a service that addresses call by one of `names`."""
        known = self._lists.of(*names) if self._lists is not None else None
        return self.endpoints(service) if known is None else known.all

    def listed(self, where: ClassicAddress) -> dict[str, Any] | None:
        """The endpoint as a list of a survey shows it; None where it has to be asked for."""
        known = self._lists.of(where.service) if self._lists is not None else None
        return known.by_name.get(where.endpoint) if known is not None else None

    def _read(self, url: str, what: str) -> Response:
        return self._http.request("GET", url, credential=self._token, what=what)

    def endpoint_url(self, service: Mapping[str, Any], where: ClassicAddress) -> str:
        """Where an endpoint is read and written."""
        return f"{self._service_url(service)}/endpoints/{path_part(where.endpoint, str(where))}"

    def _service_url(self, service: Mapping[str, Any]) -> str:
        if not (service_id := text(service, "Id")):
            name = text(service, "Name")
            raise UnreadableError(f'Classic web service "{name}" came without an Id')
        return f"{self._base}/{path_id(service_id, 'the Id of a Classic web service')}"


class Listed:
    """A list of endpoints; by name, those that it shows twice are left out."""

    def __init__(self, endpoints: list[dict[str, Any]]) -> None:
        self.all = endpoints
        times = Counter(text(endpoint, "Name") for endpoint in endpoints)
        named = {text(endpoint, "Name"): endpoint for endpoint in endpoints}
        self.by_name = {name: it for name, it in named.items() if times[name] == 1}


@dataclass(frozen=True)
class Lists:
    """Lists that were read at one moment: each service once, and its endpoints by one list.

    Each member waits for its answer when it is called. A list is None where there is none, and
    its endpoints can be asked for one by one.
    """

    every: Callable[[], list[dict[str, Any]]]
    services: Mapping[str, Callable[[], dict[str, Any] | Live]]
    endpoints: Mapping[str, Callable[[], Listed | None]]

    def of(self, *names: str) -> Listed | None:
        """The endpoints of the service that addresses call by one of `names`."""
        lists = (self.endpoints[name]() for name in names if name in self.endpoints)
        return next((found for found in lists if found is not None), None)


def read_all(reads: Reads, addresses: Iterable[ClassicAddress], soon: Soon) -> Lists:
    """The lists of the services that the addresses name; their reading begins now."""
    firsts = {where.service: where for where in addresses}
    by_name = any(not _HEX_ID.fullmatch(name) for name in firsts)
    every = soon(reads.services) if by_name else reads.services

    def endpoints(service: Callable[[], dict[str, Any] | Live]) -> Listed | None:
        found = service()
        try:
            return None if isinstance(found, Live) else Listed(reads.endpoints(found))
        except NotFoundError:
            return None

    services = {name: soon(partial(reads.find, where, every)) for name, where in firsts.items()}
    lists = {name: soon(partial(endpoints, services[name])) for name in firsts}
    return Lists(every, services, lists)


def _service_by_name(
    services: list[dict[str, Any]], where: ClassicAddress
) -> dict[str, Any] | Live:
    """The one service of that name; a Live that says why where there is none, or several."""
    named = [service for service in services if text(service, "Name") == where.service]
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(sorted(text(service, "Id") for service in named))
        why = f"{len(named)} web services are named {where.service!r}; use an id: {ids}"
        refusal = Refusal(Refused.AMBIGUOUS_SERVICE, why)
        return Live(Health(HealthCode.HEALTHY), refusal=refusal, keep=refusal)
    known = near(where.service, (text(service, "Name") for service in services))
    why = f'workspace {where.workspace} has no web service "{where.service}"; {known}'
    return no_service(why)


def no_service(why: str) -> Live:
    """That there is no web service, in which an endpoint could be made."""
    return Live(Health(HealthCode.MISSING, why), refusal=Refusal(Reason.MISSING, why))
