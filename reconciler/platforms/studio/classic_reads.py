"""What a Classic workspace says of its services and endpoints: one at a time, or by lists.

Facts: STUDIO_PROTOCOL.md §2.4 (rows 1, 2, 5, 6), §2.6 (objects; names are not unique).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from reconciler.errors import NotFoundError, UnreadableError
from reconciler.http.urls import path_id, path_part
from reconciler.model import Health, HealthCode, Live, Reason, Refusal
from reconciler.platforms.studio.members import check_is_of, near, text
from reconciler.platforms.studio.reasons import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.http.client import Http
    from reconciler.http.credentials import Bearer
    from reconciler.platforms.studio.classic_endpoint import ClassicAddress
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

    def service(self, where: ClassicAddress) -> dict[str, Any] | Live:
        """The web service, or the Live that says why there is none.

        Which service a name leads to is asked once, and again when an endpoint is not found there:
        all that is written is decided by the endpoint, which is always read.
        """
        if (found := self._found.get(where.service)) is not None:
            return found
        service = self._ask_for_service(where)
        if not isinstance(service, Live):
            self._found[where.service] = service
        return service

    def _ask_for_service(self, where: ClassicAddress) -> dict[str, Any] | Live:
        if _HEX_ID.fullmatch(where.service):
            return self._service_by_id(where.service)
        return _service_by_name(self._services(), where)

    def endpoint(self, service: Mapping[str, Any], where: ClassicAddress) -> dict[str, Any]:
        """The endpoint as it is now; NotFoundError when the service has none of this name."""
        try:
            answer = self._http.request(
                "GET",
                self.endpoint_url(service, where),
                credential=self._token,
                what=f"reading {where}",
            )
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
        answer = self._http.request(
            "GET",
            f"{self._service_url(service)}/endpoints",
            credential=self._token,
            what=f'listing the endpoints of Classic web service "{text(service, "Name")}"',
        )
        found = answer.json_list()
        if not all(isinstance(one, dict) and text(one, "Name") for one in found):
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
        return self._services()

    def endpoints_by(self, service: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:  # noqa: ARG002
        """Every endpoint of a service that addresses call by one of `names`."""
        return self.endpoints(service)

    def listed(self, where: ClassicAddress) -> dict[str, Any] | None:  # noqa: ARG002
        """The endpoint as a list of a survey shows it; None where it has to be asked for."""
        return None

    def endpoint_url(self, service: Mapping[str, Any], where: ClassicAddress) -> str:
        """Where an endpoint is read and written."""
        return f"{self._service_url(service)}/endpoints/{path_part(where.endpoint, str(where))}"

    def _service_url(self, service: Mapping[str, Any]) -> str:
        if not (service_id := text(service, "Id")):
            name = text(service, "Name")
            raise UnreadableError(f'Classic web service "{name}" came without an Id')
        return f"{self._base}/{path_id(service_id, 'the Id of a Classic web service')}"

    def _services(self) -> list[dict[str, Any]]:
        answer = self._http.request(
            "GET", self._base, credential=self._token, what="listing the Classic web services"
        )
        found = [service for service in answer.json_list() if isinstance(service, dict)]
        for service in found:
            check_is_of(service, answer.what, WorkspaceId=self._workspace)
        return found

    def _service_by_id(self, service_id: str) -> dict[str, Any] | Live:
        try:
            answer = self._http.request(
                "GET",
                f"{self._base}/{service_id}",
                credential=self._token,
                what=f"reading Classic web service {service_id}",
            )
        except NotFoundError as exc:
            return no_service(exc.message)
        service = answer.json_object()
        check_is_of(service, answer.what, WorkspaceId=self._workspace, Id=service_id)
        return service

    def surveyed(self, addresses: Iterable[ClassicAddress], soon: Soon) -> Reads:
        """The same reads, answered by one list per service that the addresses name."""
        return _Survey(self._http, self._base, self._token, addresses, soon)


class _Survey(Reads):
    """Reads of one moment: each service is read once and its endpoints are listed once.

    What a list does not show is not believed to be absent: `listed` then says None, and the
    endpoint is asked for by a request of its own.
    """

    def __init__(
        self,
        http: Http,
        base: str,
        token: Bearer,
        addresses: Iterable[ClassicAddress],
        soon: Soon,
    ) -> None:
        super().__init__(http, base, token)
        firsts = {where.service: where for where in addresses}
        by_name = any(not _HEX_ID.fullmatch(name) for name in firsts)
        self._all: Callable[[], list[dict[str, Any]]] = (
            soon(super()._services) if by_name else super()._services
        )
        self._known = {name: soon(self._service_of(where)) for name, where in firsts.items()}
        self._lists = {name: soon(self._list_of(where)) for name, where in firsts.items()}

    def _service_of(self, where: ClassicAddress) -> Callable[[], dict[str, Any] | Live]:
        return lambda: super(_Survey, self).service(where)

    def _list_of(self, where: ClassicAddress) -> Callable[[], _Listed | None]:
        return lambda: self._list(self.service(where))

    def _list(self, service: dict[str, Any] | Live) -> _Listed | None:
        """The endpoints; None where there is no such list, and they can be asked one by one."""
        if isinstance(service, Live):
            return None
        try:
            return _Listed(self.endpoints(service))
        except NotFoundError:
            return None

    def endpoints_by(self, service: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
        for found in filter(None, map(self._lists.get, names)):
            if (seen := found()) is not None:
                return seen.all
        return super().endpoints_by(service, *names)

    def service(self, where: ClassicAddress) -> dict[str, Any] | Live:
        known = self._known.get(where.service)
        return known() if known else super().service(where)

    def listed(self, where: ClassicAddress) -> dict[str, Any] | None:
        found = self._lists.get(where.service)
        seen = found() if found else None
        return seen.by_name.get(where.endpoint) if seen else None

    def _services(self) -> list[dict[str, Any]]:
        return self._all()


class _Listed:
    """A list of endpoints; by name, those that it shows twice are left out."""

    def __init__(self, endpoints: list[dict[str, Any]]) -> None:
        self.all = endpoints
        times = Counter(text(endpoint, "Name") for endpoint in endpoints)
        named = {text(endpoint, "Name"): endpoint for endpoint in endpoints}
        self.by_name = {name: it for name, it in named.items() if times[name] == 1}


def _service_by_name(
    services: list[dict[str, Any]], where: ClassicAddress
) -> dict[str, Any] | Live:
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
