"""Classic endpoints: named endpoints of a workspace service whose `Resources` are patched.

Facts: STUDIO_PROTOCOL.md §2.4 (verbs), §2.5 (creation), §2.8 (PATCH: effective after about 30
seconds).

Studio stages nothing and says nothing about progress: a PATCH is answered at once and takes effect
within half a minute (`SETTLE_S`), and during that time the endpoint may answer with either model.
So a proof waits for the time to pass, and an answer counts as evidence only if it could not be the
one from before. The model is handed over as a URL with a read-only SAS that ends soon; Studio
copies the file, so nothing of ours must stay readable afterwards.

Names of services are not unique (§2.6), and anything on the way can answer 404. So an endpoint
counts as absent only if the list of its service does not show it either, and as ours only by the
mark in its description, read again just before each write: its name proves nothing.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    RejectedError,
    UnreadableError,
)
from reconciler.http.credentials import Bearer
from reconciler.model import Address, Health, HealthCode, Live, Owned, Refusal, Witness
from reconciler.platforms.arm_marks import Mark
from reconciler.platforms.contract import HOW_MADE, Answer, Can, Target, Unmanaged
from reconciler.platforms.members import flag, member, objects, text
from reconciler.platforms.studio.blobs import reference
from reconciler.platforms.studio.classic_reads import Reads
from reconciler.platforms.studio.classic_state import (
    HIGH,
    ClassicAddress,
    calls_of,
    exported,
    find_resource,
    is_default,
    keep_of,
    keys_of,
    live_of,
    no_creation,
    no_endpoint,
    not_ours,
    spec_of,
    tells_all,
    why_no_service,
)
from reconciler.platforms.studio.connection import Refused, studio_of
from reconciler.platforms.studio.hosts import Connection
from reconciler.platforms.studio.marks import Described, described
from reconciler.platforms.studio.scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from reconciler.model import AddressId, Binding, Environment, Model
    from reconciler.soon import Soon

SETTLE_S = 30.0  # §2.8 [D]: "takes effect in approximately 30 seconds"


def key_prefix(environment: Environment) -> str | None:
    """The beginning of the keys of the workspace's endpoints; None without a workspace."""
    workspace = studio_of(environment).workspace
    return keys_of(workspace.id) if workspace else None


def address(spec: Mapping[str, Any], environment: Environment) -> ClassicAddress:
    """The address of a binding of kind ClassicEndpoint; ValueError without a workspace."""
    workspace = studio_of(environment).workspace
    if workspace is None:
        raise ValueError(
            f"environment {environment.name} declares no workspace, which Classic endpoints need; "
            "add spec.studio.workspace to it"
        )
    settings = spec.get("settings", {})
    if "maxConcurrentCalls" in settings and settings.get("throttleLevel") != HIGH:
        raise ValueError(
            "settings.maxConcurrentCalls needs throttleLevel: High; an endpoint with Low always "
            "has 4 concurrent calls"
        )
    return ClassicAddress(workspace.id, spec["webService"], spec["endpoint"])


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """The live state that an exported endpoint shows; UnreadableError if it is none, or of another
    name."""
    endpoint, service = objects(document, "endpoint"), objects(document, "webService")
    if not endpoint:
        raise UnreadableError('not an exported Classic endpoint: it has no object "endpoint"')
    where, names = _address(binding), (text(service, "Name"), text(service, "Id"))
    name = text(endpoint, "Name") or where.endpoint
    if name != where.endpoint or (any(names) and where.service not in names):
        raise UnreadableError(f'endpoint "{name}" of "{names[0]}", not {where}')
    return live_of(service, endpoint, binding, Witness.EXPORT)


class ClassicEndpoints(Target):
    """The Classic endpoints of one environment's workspace."""

    can = Can(create=True, delete=True, foreign=False, settle_s=SETTLE_S)

    def __init__(self, connection: Connection) -> None:
        workspace = connection.studio.workspace
        assert workspace is not None
        self._http = connection.http
        self._hosts = connection.hosts
        self._grant = connection.grant
        self._mark = connection.environment.mark
        self._workspace = workspace.id
        self._trains_at = connection.studio.trains_at
        self._token = Bearer(connection.secret(workspace.token), connection.hosts.classic_origins)
        base = f"{connection.hosts.classic}/workspaces/{workspace.id}/webservices"
        self._reads = Reads(connection.http, base, self._token)
        self._scoring = Scoring(connection.http)

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> ClassicEndpoints:
        """This target, reading the endpoints of each service by one list (§2.4 row 5)."""
        reader = copy.copy(self)
        reader._reads = self._reads.surveyed(map(_address, bindings), soon)
        return reader

    def observe(self, binding: Binding) -> Live:
        """The state of the endpoint and its service now."""
        where = _address(binding)
        service = self._reads.service(where)
        if isinstance(service, Live):
            return service
        if (listed := self._reads.listed(where)) is not None:
            live = live_of(service, listed, binding, Witness.SERVICE, self._mark)
            if tells_all(live, listed, binding):
                return live
        try:
            endpoint = self._reads.endpoint(service, where)
        except NotFoundError:
            return self._missing(service, binding)
        return live_of(service, endpoint, binding, Witness.SERVICE, self._mark)

    def _missing(self, service: Mapping[str, Any], binding: Binding) -> Live:
        """That there is no such endpoint. Where something would follow from that, the list of all
        must say so too, since anything between can answer 404; and the default endpoint shows
        what a new one would be like."""
        where = _address(binding)
        missing = Live(Health(HealthCode.MISSING, no_endpoint(where)))
        if binding.create is None and not binding.absent:
            return missing
        endpoints = self._reads.endpoints_by(service, where.service)
        names = [text(endpoint, "Name").casefold() for endpoint in endpoints]
        if where.endpoint.casefold() in names:
            raise UnreadableError(f"{where} is not found, though the service lists it; plan again")
        refusal = None if binding.absent else no_creation(service, endpoints, binding)
        return replace(missing, refusal=refusal)

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[ClassicAddress]:
        """Every other endpoint of the services that these bindings name."""
        bound = {_address(binding) for binding in bindings}
        for where in {address.service: address for address in bound}.values():
            service = self._reads.service(where)
            if isinstance(service, Live):
                continue
            for endpoint in self._reads.endpoints(service):
                neighbour = replace(where, endpoint=text(endpoint, "Name"))
                if neighbour not in bound:
                    yield neighbour

    def switch(self, binding: Binding, model: Model) -> str:
        """PATCH the endpoint's one resource with the model and a short-lived read-only SAS."""
        service, endpoint = self._both(binding)
        live = live_of(service, endpoint, binding, Witness.SERVICE, self._mark)
        if live.refusal is not None:
            raise RefusedError(f"{binding.address}: {live.refusal.message}")
        location = reference(self._grant(model.ref), self._hosts.blob)
        body = {"Resources": [{"Name": live.asset, "Location": location}]}
        self._write("PATCH", service, _address(binding), "updating", body)
        return ""

    def create(self, binding: Binding, model: Model) -> str:  # noqa: ARG002
        """PUT the endpoint; it serves the model of the default endpoint until it is bound (§2.5).

        One that a run before made is gone on with: it carries our mark.
        """
        where = _address(binding)
        service = self._service(where)
        with contextlib.suppress(NotFoundError):
            if _mark_of(self._reads.endpoint(service, where)).is_of(self._mark):
                return ""
            raise RefusedError(f"{where}: somebody else has created it since; plan again")
        owned = dict(binding.settings)
        new = Described(owned.get("description", ""), Mark(self._mark, binding.protect))
        throttle = owned.get("throttleLevel", "Low")
        self._put(service, where, new, throttle, owned.get("maxConcurrentCalls"), prevent=False)
        return ""

    def update(self, binding: Binding) -> str:
        """PUT what is declared, and what is not as it is: one request takes them all (§2.5), and
        with them our mark. For the mark alone nothing is written: it is not worth the doubt.

        Whether a PUT of an endpoint that exists is taken is not known [U]; that it leaves the
        model, neither. The look after it shows both.
        """
        where, owned = _address(binding), dict(binding.settings)
        service, endpoint = self._both(binding)
        now = described(text(endpoint, "Description"))
        owner = now.mark.environment
        if owner and not now.mark.is_of(self._mark):
            raise RefusedError(f"{where}: {not_ours(owner).message}")
        mark = Mark(self._mark, binding.protect, adopted=now.mark.adopted or not owner)
        new = Described(owned.get("description", now.text), mark)
        throttle = owned.get("throttleLevel") or text(endpoint, "ThrottleLevel") or "Low"
        stays = throttle == text(endpoint, "ThrottleLevel") == HIGH
        calls = owned.get("maxConcurrentCalls") or (calls_of(endpoint) if stays else None)
        prevent = flag(endpoint, "PreventUpdate")
        self._put(service, where, new, throttle, calls, prevent=prevent)
        return ""

    def delete(self, address: Address) -> str:
        """DELETE the endpoint, read again just before: never the default one, nor a foreign one."""
        assert isinstance(address, ClassicAddress)
        service = self._reads.service(address)
        if isinstance(service, Live):
            if service.health.code is HealthCode.MISSING:
                return ""
            raise RefusedError(f"{address}: {why_no_service(service)}")
        try:
            endpoint = self._reads.endpoint(service, address)
        except NotFoundError:
            return ""
        ours = _mark_of(endpoint).is_of(self._mark)
        if (keep := keep_of(service, endpoint)) or not ours:
            why = keep.message if keep else "it does not carry the mark of this environment"
            raise RefusedError(f"{address}: {why}")
        self._write("DELETE", service, address, "deleting", expect=(*range(200, 300), 404))
        return ""

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """The endpoints with our mark that are not declared, by one list per service (§2.4)."""
        found = []
        for service, endpoint, where in self._undeclared(declared, alone=False):
            mark, keep = _mark_of(endpoint), keep_of(service, endpoint)
            if mark.is_of(self._mark):
                flags = (mark.protected, keep, mark.adopted)
                found.append(Owned("ClassicEndpoint", where.endpoint, where, *flags))
        return tuple(found)

    def unmanaged(self, declared: Collection[AddressId]) -> Iterator[Unmanaged]:
        """The endpoints without a mark, but for default ones, whose model nobody can replace, and
        for those that train."""
        for service, endpoint, where in self._undeclared(declared):
            trains = self._trains_at(text(endpoint, "ApiLocation"))
            if not (trains or is_default(service, endpoint) or _mark_of(endpoint).environment):
                name = f"{text(service, 'Name')}-{where.endpoint}"
                spec = {"webService": where.service, "endpoint": where.endpoint}
                yield Unmanaged(name, where, spec, decide=HOW_MADE)

    def _undeclared(
        self, declared: Collection[AddressId], *, alone: bool = True
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any], ClassicAddress]]:
        """The endpoints that git declares by no name of their service, each with its service; also
        those that are `alone` there: a default one is nobody's."""
        services = self._reads.services()
        times = Counter(text(service, "Name") for service in services)
        for service in services:
            if not alone and member(service, "EndpointCount") in (0, 1):
                continue
            name, ident = text(service, "Name"), text(service, "Id")
            label = name if times[name] == 1 else ident
            for endpoint in self._reads.endpoints_by(service, name, ident):
                first, *others = (
                    ClassicAddress(self._workspace, spelling, text(endpoint, "Name"))
                    for spelling in (label, name, ident)
                )
                if not any(where.id in declared for where in (first, *others)):
                    yield service, endpoint, first

    def described(self, endpoint: Unmanaged) -> Unmanaged:
        """It with what it says itself: whether a list shows every member is not known (§2.6)."""
        where = endpoint.address
        assert isinstance(where, ClassicAddress)
        service = self._reads.service(where)
        if isinstance(service, Live):
            return replace(endpoint, unread=why_no_service(service))
        document, decide = self._reads.endpoint(service, where), endpoint.decide
        resource = find_resource(service, document, None)
        if isinstance(resource, Refusal) and resource.code == Refused.AMBIGUOUS_RESOURCE:
            decide = (*decide, "which resource holds the model, in spec.resource")
        return replace(endpoint, settings=spec_of(document), decide=decide)

    def _put(
        self,
        service: Mapping[str, Any],
        where: ClassicAddress,
        new: Described,
        throttle: str,
        calls: str | None,
        *,
        prevent: bool,
    ) -> None:
        """Write all fields of an endpoint that a PUT carries; RefusedError if it is refused."""
        body = {
            "Description": str(new),
            "ThrottleLevel": throttle,
            "MaxConcurrentCalls": int(calls) if calls else None,
            "PreventUpdate": prevent,
        }
        try:
            self._write("PUT", service, where, "writing", body)
        except (RejectedError, ConflictError) as exc:
            raise RefusedError(
                f"{where}: the service refused this: {exc.message}; a free workspace has at most 3 "
                "endpoints per web service, all of them with throttleLevel: Low"
            ) from exc

    def _write(
        self,
        method: str,
        service: Mapping[str, Any],
        where: ClassicAddress,
        doing: str,
        body: Mapping[str, Any] | None = None,
        expect: Container[int] = range(200, 300),
    ) -> None:
        """Send one write about an endpoint, with the workspace's token."""
        self._http.request(
            method,
            self._reads.endpoint_url(service, where),
            credential=self._token,
            json=body,
            expect=expect,
            what=f"{doing} {where}",
        )

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:  # noqa: ARG002
        """The answer to the probe, with the endpoint's own primary key."""
        return Answer(self._scoring.score(binding, lambda: self._door(binding)))

    def _door(self, binding: Binding) -> tuple[str, Bearer]:
        _, endpoint = self._both(binding)
        base = text(endpoint, "ApiLocation").rstrip("/")
        if not base:
            raise UnreadableError(f"{binding.address} has no ApiLocation, so no scoring URL")
        return base, Bearer(text(endpoint, "PrimaryKey"), self._hosts.scoring_origins)

    def export(self, binding: Binding) -> dict[str, Any]:
        """The endpoint and its service without keys and SAS tokens."""
        return exported(*self._both(binding))

    def _both(self, binding: Binding) -> tuple[dict[str, Any], dict[str, Any]]:
        service = self._service(_address(binding))
        return service, self._reads.endpoint(service, _address(binding))

    def _service(self, where: ClassicAddress) -> dict[str, Any]:
        service = self._reads.service(where)
        if isinstance(service, Live):
            raise RefusedError(f"{where}: {why_no_service(service)}")
        return service


def _address(binding: Binding) -> ClassicAddress:
    assert isinstance(binding.address, ClassicAddress)
    return binding.address


def _mark_of(endpoint: Mapping[str, Any]) -> Mark:
    return described(text(endpoint, "Description")).mark
