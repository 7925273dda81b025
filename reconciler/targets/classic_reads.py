"""What a Classic workspace says of its services and endpoints: one at a time, or by lists.

Facts: azure-ml-studio-protocol.md §2.4 (rows 1, 2, 5, 6), §2.6 (objects; names are not unique).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.errors import NotFoundError, UnreadableError
from reconciler.model import Health, HealthCode, Live, Refusal
from reconciler.targets.members import near, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.targets.classic_endpoint import ClassicAddress
    from reconciler.wire.credentials import Bearer
    from reconciler.wire.http import Http
    from reconciler.wire.soon import Soon

_HEX_ID = re.compile(r"[0-9a-f]{32}")


class Reads:
    """The reads of one workspace, each a request of its own; `base` ends in `/webservices`."""

    def __init__(self, http: Http, base: str, token: Bearer) -> None:
        self._http = http
        self._base = base
        self._token = token

    def service(self, where: ClassicAddress) -> dict[str, Any] | Live:
        """The web service, or the Live that says why there is none."""
        if _HEX_ID.fullmatch(where.service):
            return self._service_by_id(where.service)
        return _service_by_name(self._services(), where)

    def endpoint(self, service: Mapping[str, Any], where: ClassicAddress) -> dict[str, Any]:
        """The endpoint as it is now; NotFoundError when the service has none of this name."""
        answer = self._http.request(
            "GET",
            self.endpoint_url(service, where),
            credential=self._token,
            what=f"reading {where}",
        )
        endpoint = answer.json_object()
        if not text(endpoint, "Name"):
            raise answer.unreadable("an endpoint with a Name")
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
        return found

    def listed(self, where: ClassicAddress) -> dict[str, Any] | None:  # noqa: ARG002
        """The endpoint as a list of a survey shows it; None where it has to be asked for."""
        return None

    def endpoint_url(self, service: Mapping[str, Any], where: ClassicAddress) -> str:
        """Where an endpoint is read and written."""
        return f"{self._service_url(service)}/endpoints/{quote(where.endpoint, safe='')}"

    def _service_url(self, service: Mapping[str, Any]) -> str:
        if not (service_id := text(service, "Id")):
            name = text(service, "Name")
            raise UnreadableError(f'Classic web service "{name}" came without an Id')
        return f"{self._base}/{service_id}"

    def _services(self) -> list[dict[str, Any]]:
        answer = self._http.request(
            "GET", self._base, credential=self._token, what="listing the Classic web services"
        )
        return [service for service in answer.json_list() if isinstance(service, dict)]

    def _service_by_id(self, service_id: str) -> dict[str, Any] | Live:
        try:
            answer = self._http.request(
                "GET",
                f"{self._base}/{service_id}",
                credential=self._token,
                what=f"reading Classic web service {service_id}",
            )
        except NotFoundError as exc:
            return Live(Health(HealthCode.MISSING, exc.message))
        return answer.json_object()

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

    def _list_of(self, where: ClassicAddress) -> Callable[[], dict[str, dict[str, Any]]]:
        return lambda: self._by_name(self.service(where))

    def _by_name(self, service: dict[str, Any] | Live) -> dict[str, dict[str, Any]]:
        """The endpoints by name; those that a list shows twice are left out."""
        if isinstance(service, Live):
            return {}
        try:
            found = self.endpoints(service)
        except NotFoundError:  # no such list here; what there is can still be asked for one by one
            return {}
        times = Counter(text(endpoint, "Name") for endpoint in found)
        named = {text(endpoint, "Name"): endpoint for endpoint in found}
        return {name: endpoint for name, endpoint in named.items() if times[name] == 1}

    def service(self, where: ClassicAddress) -> dict[str, Any] | Live:
        known = self._known.get(where.service)
        return known() if known else super().service(where)

    def listed(self, where: ClassicAddress) -> dict[str, Any] | None:
        found = self._lists.get(where.service)
        return found().get(where.endpoint) if found else None

    def _services(self) -> list[dict[str, Any]]:
        return self._all()


def _service_by_name(
    services: list[dict[str, Any]], where: ClassicAddress
) -> dict[str, Any] | Live:
    named = [service for service in services if text(service, "Name") == where.service]
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(sorted(text(service, "Id") for service in named))
        why = f"{len(named)} web services are named {where.service!r}; use an id: {ids}"
        return Live(Health(HealthCode.HEALTHY), refusal=Refusal("ambiguous_service", why))
    known = near(where.service, (text(service, "Name") for service in services))
    why = f'workspace {where.workspace} has no web service "{where.service}"; {known}'
    return Live(Health(HealthCode.MISSING, why))
