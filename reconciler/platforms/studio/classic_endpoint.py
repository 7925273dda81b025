"""Classic endpoints: named endpoints of a workspace service whose `Resources` are patched.

Facts: STUDIO_PROTOCOL.md §2.4 (verbs), §2.5 (creation and its limits), §2.6 (objects,
and whether GET reveals the model), §2.8 (PATCH: effective after about 30 seconds; the default
endpoint is locked).
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    RejectedError,
    UnreadableError,
)
from reconciler.http.credentials import Bearer
from reconciler.model import (
    Address,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Owned,
    Reason,
    Refusal,
    Witness,
)
from reconciler.platforms.contract import Answer, Can, Target
from reconciler.platforms.studio import scoring
from reconciler.platforms.studio.blobs import reference
from reconciler.platforms.studio.classic_reads import Reads
from reconciler.platforms.studio.connection import Connection, studio_of
from reconciler.platforms.studio.definition import model_ref, shown_uri
from reconciler.platforms.studio.marks import Described, described
from reconciler.platforms.studio.members import flag, member, near, objects, text
from reconciler.platforms.studio.reasons import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from reconciler.model import AddressId, Binding, Environment, Model
    from reconciler.soon import Soon

_TOLD = frozenset({"description", "throttlelevel", "maxconcurrentcalls"})
MOST_ENDPOINTS = 10_000  # §2.5: of one web service of a standard workspace
SETTLE_S = 30.0  # §2.8 [D]: "takes effect in approximately 30 seconds"
READ_ONLY_EXPORTED = ("webService", "endpoint.Name", "endpoint.PreventUpdate")
_EXPORTED_SERVICE = ("Id", "Name", "Description", "DefaultEndpointName")
_EXPORTED_ENDPOINT = (
    "Name",
    "Description",
    "ThrottleLevel",
    "MaxConcurrentCalls",
    "DiagnosticsTraceLevel",
    "PreventUpdate",
)


@dataclass(frozen=True)
class ClassicAddress(Address):
    """A named endpoint of a Classic web service; the service by its name or 32-hex id."""

    workspace: str
    service: str
    endpoint: str

    def __str__(self) -> str:
        """`classic/service/endpoint`; the workspace is the environment's only one."""
        return f"classic/{self.service}/{self.endpoint}"

    @property
    def key(self) -> str:
        """The same with the workspace."""
        return f"{_keys_of(self.workspace)}{self.service}/{self.endpoint}"


def key_prefix(environment: Environment) -> str | None:
    """What the keys of the workspace's endpoints begin with; None without a workspace."""
    workspace = studio_of(environment).workspace
    return _keys_of(workspace.id) if workspace else None


def _keys_of(workspace: str) -> str:
    return f"classic/{workspace}/"


def address(spec: Mapping[str, Any], environment: Environment) -> ClassicAddress:
    """The address of a binding of kind ClassicEndpoint; ValueError without a workspace."""
    workspace = studio_of(environment).workspace
    if workspace is None:
        raise ValueError(
            f"environment {environment.name} declares no workspace, which Classic endpoints need; "
            "add spec.studio.workspace to it"
        )
    settings = spec.get("settings", {})
    if "maxConcurrentCalls" in settings and settings.get("throttleLevel") != "High":
        raise ValueError(
            "settings.maxConcurrentCalls needs throttleLevel: High beside it; a Low endpoint has "
            "always 4 concurrent calls"
        )
    return ClassicAddress(workspace.id, spec["webService"], spec["endpoint"])


def connect(connection: Connection) -> ClassicEndpoints:
    """The target for Classic endpoints."""
    return ClassicEndpoints(connection)


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """What an exported endpoint says; UnreadableError if it is none, or of another name."""
    endpoint, service = objects(document, "endpoint"), objects(document, "webService")
    if not endpoint:
        raise UnreadableError('not an exported Classic endpoint: it has no object "endpoint"')
    where, names = _address(binding), (text(service, "Name"), text(service, "Id"))
    said = text(endpoint, "Name") or where.endpoint
    if said != where.endpoint or (any(names) and where.service not in names):
        raise UnreadableError(f'endpoint "{said}" of "{names[0]}", not {where}')
    return _live(service, endpoint, binding, Witness.EXPORT)


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
        self._token = Bearer(connection.secret(workspace.token), connection.hosts.classic_origins)
        base = f"{connection.hosts.classic}/workspaces/{workspace.id}/webservices"
        self._reads = Reads(connection.http, base, self._token)
        self._doors = scoring.Doors(connection.http)

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> ClassicEndpoints:
        """The same, reading the endpoints of each service by one list (§2.4 row 5)."""
        reader = copy.copy(self)
        reader._reads = self._reads.surveyed(map(_address, bindings), soon)
        return reader

    def observe(self, binding: Binding) -> Live:
        """What the endpoint and its service say now."""
        where = _address(binding)
        service = self._reads.service(where)
        if isinstance(service, Live):
            return service
        if (listed := self._reads.listed(where)) is not None:
            live = _live(service, listed, binding, Witness.SERVICE, self._mark)
            if _tells_all(live, listed, binding):
                return live
        try:
            endpoint = self._reads.endpoint(service, where)
        except NotFoundError:
            return self._missing(service, binding)
        return _live(service, endpoint, binding, Witness.SERVICE, self._mark)

    def _missing(self, service: Mapping[str, Any], binding: Binding) -> Live:
        """That there is no such endpoint. Where something would follow from that, the list of all
        must say so too, since anything between can answer 404; and the default endpoint shows
        what a new one would be like."""
        where = _address(binding)
        missing = Live(Health(HealthCode.MISSING, _missing(where)))
        if binding.create is None and not binding.absent:
            return missing
        found = self._reads.endpoints_by(service, where.service)
        if any(text(one, "Name").casefold() == where.endpoint.casefold() for one in found):
            raise UnreadableError(f"{where} is not found, though the service lists it; look again")
        refusal = None if binding.absent else _no_creation(service, found, binding)
        return replace(missing, refusal=refusal)

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[ClassicAddress]:
        """Every other endpoint of the services that these bindings name."""
        bound = {_address(binding) for binding in bindings}
        for where in {address.service: address for address in bound}.values():
            service = self._reads.service(where)
            if isinstance(service, Live):
                continue
            for endpoint in self._reads.endpoints(service):
                one = replace(where, endpoint=text(endpoint, "Name"))
                if one not in bound:
                    yield one

    def switch(self, binding: Binding, model: Model) -> str:
        """PATCH the endpoint's one resource with the model and a short-lived read-only SAS."""
        service, endpoint = self._both(binding)
        live = _live(service, endpoint, binding, Witness.SERVICE, self._mark)
        if live.refusal is not None:
            raise RefusedError(f"{binding.address}: {live.refusal.message}")
        location = reference(self._grant(model.ref), self._hosts.blob)
        resource = {"Name": live.asset, "Location": location}
        self._http.request(
            "PATCH",
            self._reads.endpoint_url(service, _address(binding)),
            credential=self._token,
            json={"Resources": [resource]},
            expect=range(200, 300),
            what=f"updating {binding.address}",
        )
        return ""

    def create(self, binding: Binding, model: Model) -> str:  # noqa: ARG002
        """PUT the endpoint; it serves the model of the default endpoint until it is bound (§2.5).

        One that a run before made is gone on with: it carries our mark.
        """
        where = _address(binding)
        service = self._service(where)
        with contextlib.suppress(NotFoundError):
            if self._described(self._reads.endpoint(service, where)).is_of(self._mark):
                return ""
            raise RefusedError(f"{where}: somebody else made it meanwhile; plan again")
        owned = dict(binding.settings)
        new = Described(owned.get("description", ""), self._mark, binding.protect)
        throttle = owned.get("throttleLevel", "Low")
        self._put(service, where, new, throttle, owned.get("maxConcurrentCalls"), prevent=False)
        return ""

    def update(self, binding: Binding) -> str:
        """PUT what is declared, and what is not as it is: one request takes them all (§2.5).

        Whether a PUT of an endpoint that exists is taken is not known [U]; that it leaves the
        model, neither. The look after it shows both.
        """
        where, owned = _address(binding), dict(binding.settings)
        service, endpoint = self._both(binding)
        now = self._described(endpoint)
        if now.mark and not now.is_of(self._mark):
            raise RefusedError(f"{where}: {_not_ours(now.mark).message}")
        protected = binding.protect if now.mark else False
        new = Described(owned.get("description", now.text), now.mark, protected)
        throttle = owned.get("throttleLevel") or text(endpoint, "ThrottleLevel") or "Low"
        stays = throttle == text(endpoint, "ThrottleLevel") == "High"
        calls = owned.get("maxConcurrentCalls") or (_calls(endpoint) if stays else None)
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
            raise RefusedError(f"{address}: {_why_no_service(service)}")
        try:
            endpoint = self._reads.endpoint(service, address)
        except NotFoundError:
            return ""
        ours = self._described(endpoint).is_of(self._mark)
        if (keep := _keep(service, endpoint)) or not ours:
            why = keep.message if keep else "it does not carry the mark of this environment"
            raise RefusedError(f"{address}: {why}")
        self._http.request(
            "DELETE",
            self._reads.endpoint_url(service, address),
            credential=self._token,
            expect=(*range(200, 300), 404),
            what=f"deleting {address}",
        )
        return ""

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """The endpoints with our mark that are not declared, by one list per service (§2.4)."""
        services = self._reads.services()
        times = Counter(text(service, "Name") for service in services)
        found = []
        for service in services:
            if member(service, "EndpointCount") in (0, 1):  # the default one is nobody's
                continue
            name, ident = text(service, "Name"), text(service, "Id")
            shown = name if times[name] == 1 else ident
            for endpoint in self._reads.endpoints_by(service, name, ident):
                if self._described(endpoint).is_of(self._mark):
                    at = [self._at(each, endpoint) for each in (shown, name, ident)]
                    if not any(where.id in declared for where in at):
                        found.append(self._owned(service, endpoint, at[0]))
        return tuple(found)

    def _owned(
        self, service: Mapping[str, Any], endpoint: Mapping[str, Any], where: ClassicAddress
    ) -> Owned:
        protected = self._described(endpoint).protected
        keep = _keep(service, endpoint)
        return Owned("ClassicEndpoint", where.endpoint, where, protected=protected, keep=keep)

    def _at(self, service: str, endpoint: Mapping[str, Any]) -> ClassicAddress:
        return ClassicAddress(self._workspace, service, text(endpoint, "Name"))

    def _described(self, endpoint: Mapping[str, Any]) -> Described:
        return described(text(endpoint, "Description"))

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
        body = {
            "Description": str(new),
            "ThrottleLevel": throttle,
            "MaxConcurrentCalls": int(calls) if calls else None,
            "PreventUpdate": prevent,
        }
        try:
            self._http.request(
                "PUT",
                self._reads.endpoint_url(service, where),
                credential=self._token,
                json=body,
                expect=range(200, 300),
                what=f"writing {where}",
            )
        except (RejectedError, ConflictError) as exc:
            raise RefusedError(
                f"{where}: the service refuses it: {exc.message}; a free workspace has at most 3 "
                "endpoints per web service, all of them with throttleLevel: Low"
            ) from exc

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:  # noqa: ARG002
        """The answer to the probe, with the endpoint's own primary key."""
        return Answer(self._doors.score(binding, lambda: self._door(binding)))

    def _door(self, binding: Binding) -> tuple[str, Bearer]:
        _, endpoint = self._both(binding)
        base = text(endpoint, "ApiLocation").rstrip("/")
        if not base:
            raise UnreadableError(f"{binding.address} has no ApiLocation, so no scoring URL")
        return base, Bearer(text(endpoint, "PrimaryKey"), self._hosts.scoring_origins)

    def export(self, binding: Binding) -> dict[str, Any]:
        """The endpoint and its service without keys and SAS tokens."""
        service, endpoint = self._both(binding)
        exported = _kept(endpoint, _EXPORTED_ENDPOINT)
        resources = [_without_sas(r) for r in _resources(endpoint)]
        return {
            "webService": _kept(service, _EXPORTED_SERVICE),
            "endpoint": {**exported, "Resources": resources},
        }

    def _both(self, binding: Binding) -> tuple[dict[str, Any], dict[str, Any]]:
        service = self._service(_address(binding))
        return service, self._reads.endpoint(service, _address(binding))

    def _service(self, where: ClassicAddress) -> dict[str, Any]:
        service = self._reads.service(where)
        if isinstance(service, Live):
            raise RefusedError(f"{where}: {_why_no_service(service)}")
        return service


def _address(binding: Binding) -> ClassicAddress:
    assert isinstance(binding.address, ClassicAddress)
    return binding.address


def _tells_all(live: Live, endpoint: Mapping[str, Any], binding: Binding) -> bool:
    """Whether what a list showed can be believed to be all that the endpoint itself would say.

    Nobody knows whether a list shows every member of an endpoint (§2.6 [U]). One without its
    resources would look like a refusal, one without their locations like a hidden model, one
    without its description as if nobody had made it.
    """
    owned = binding.create is not None or binding.absent or binding.settings
    there = {name.casefold() for name in endpoint} if owned else _TOLD
    return live.served is not None and live.refusal is None and there >= _TOLD


def _missing(where: ClassicAddress) -> str:
    return (
        f'web service "{where.service}" has no endpoint "{where.endpoint}"; add a non-default '
        "endpoint to the predictive service, or correct spec.endpoint"
    )


def _why_no_service(live: Live) -> str:
    return live.refusal.message if live.refusal else live.health.message


def _live(
    service: Mapping[str, Any],
    endpoint: Mapping[str, Any],
    binding: Binding,
    witness: Witness,
    mark: str = "",
) -> Live:
    """What an endpoint says; whose it is only where `mark` says what ours would be."""
    resource = _find_resource(service, endpoint, binding.asset)
    place = f"{text(service, 'Id')}/{text(endpoint, 'Name')}".casefold()  # a name leads to an id
    now = described(text(endpoint, "Description"))
    foreign = _not_ours(now.mark) if mark and now.mark and not now.is_of(mark) else None
    live = Live(
        health=Health(HealthCode.HEALTHY),
        witness=witness,
        place=place,
        settings=_settings(endpoint, now),
        ours=bool(mark) and now.is_of(mark),
        protected=now.protected,
        keep=_keep(service, endpoint) or foreign,
    )
    if isinstance(resource, Refusal):
        return replace(live, refusal=foreign or resource)
    ref, written = _model(resource)
    return replace(
        live,
        served=ref,
        asset=text(resource, "Name"),
        model_text="" if ref else shown_uri(written),
        hidden=not written,
        refusal=foreign or _protected(endpoint),
    )


def _settings(endpoint: Mapping[str, Any], now: Described) -> tuple[tuple[str, str], ...]:
    return (
        ("description", now.text),
        ("maxConcurrentCalls", _calls(endpoint)),
        ("throttleLevel", text(endpoint, "ThrottleLevel")),
    )


def _calls(endpoint: Mapping[str, Any]) -> str:
    found = member(endpoint, "MaxConcurrentCalls")
    return "" if found is None else str(found)


def _not_ours(mark: str) -> Refusal:
    why = (
        f"it carries the mark of {mark}, which made it; declare it there only, or take the mark "
        "out of its description to hand it over"
    )
    return Refusal(Reason.NOT_OWNED, why)


def _keep(service: Mapping[str, Any], endpoint: Mapping[str, Any]) -> Refusal | None:
    """Why an endpoint must not be deleted, whoever made it."""
    if _is_default(service, endpoint):
        return Refusal(Refused.DEFAULT_ENDPOINT, "the default endpoint is never deleted")
    return _protected(endpoint)


def _is_default(service: Mapping[str, Any], endpoint: Mapping[str, Any]) -> bool:
    default = text(service, "DefaultEndpointName") or "default"
    return text(endpoint, "Name").casefold() == default.casefold()


def _no_creation(
    service: Mapping[str, Any], endpoints: list[dict[str, Any]], binding: Binding
) -> Refusal | None:
    """Why a new endpoint of the service could not be made, or not be bound; None where it can."""
    if len(endpoints) >= MOST_ENDPOINTS:
        why = f"the service has {MOST_ENDPOINTS:,} endpoints, and it takes no more; deploy another"
        return Refusal(Refused.TOO_MANY_ENDPOINTS, why)
    default = next((one for one in endpoints if _is_default(service, one)), None)
    if default is None or member(default, "Resources") is None:
        return None  # what the list does not tell is for the service to say
    found = _resource_named(default, binding.asset)
    return found if isinstance(found, Refusal) else None


def _find_resource(
    service: Mapping[str, Any], endpoint: Mapping[str, Any], wanted: str | None
) -> dict[str, Any] | Refusal:
    """The resource whose name is exactly `wanted` (§2.8: read the name, never make it up)."""
    if _is_default(service, endpoint) and _resources(endpoint):  # else it is the wrong service
        why = (
            "the default endpoint follows its experiment and its model cannot be replaced; "
            "add another endpoint to the service and bind that"
        )
        return Refusal(Refused.DEFAULT_ENDPOINT, why)
    return _resource_named(endpoint, wanted)


def _resource_named(endpoint: Mapping[str, Any], wanted: str | None) -> dict[str, Any] | Refusal:
    resources = _resources(endpoint)
    if not resources:
        why = (
            "the endpoint has no updatable resources; is it an endpoint of the training service? "
            "bind one of the predictive service"
        )
        return Refusal(Refused.NO_UPDATABLE_RESOURCES, why)
    names = [text(resource, "Name") for resource in resources]
    if wanted is None and len(resources) > 1:
        listed = ", ".join(f'"{name}"' for name in names)
        why = f"{len(resources)} resources can be updated: {listed}; name one in spec.resource"
        return Refusal(Refused.AMBIGUOUS_RESOURCE, why)
    chosen = [r for r in resources if wanted is None or text(r, "Name") == wanted]
    if len(chosen) == 1:
        return chosen[0]
    why = f'no updatable resource is named "{wanted}"; {near(wanted or "", names)}'
    return Refusal(Refused.UNKNOWN_RESOURCE, why)


def _protected(endpoint: Mapping[str, Any]) -> Refusal | None:
    if not flag(endpoint, "PreventUpdate"):
        return None
    why = "the endpoint's own PreventUpdate flag is set; clear it in the portal, or unbind it here"
    return Refusal(Refused.PREVENT_UPDATE, why, flag="PreventUpdate")


def _resources(endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = member(endpoint, "Resources") or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UnreadableError("Resources of the endpoint is not a list of objects")
    return found


def _model(resource: Mapping[str, Any]) -> tuple[ModelRef | None, str]:
    """The model of a resource and its location as written ("" when GET does not reveal it).

    Base and relative part are joined with exactly one slash; the SAS is never looked at (§2.6).
    """
    location = objects(resource, "Location")
    base, relative = text(location, "BaseLocation"), text(location, "RelativeLocation")
    if not base or not relative:
        return None, ""
    written = f"{base.rstrip('/')}/{relative.lstrip('/')}".split("?", 1)[0]
    return model_ref(written), written


def _without_sas(resource: Mapping[str, Any]) -> dict[str, Any]:
    location = _kept(objects(resource, "Location"), ("BaseLocation", "RelativeLocation"))
    location = {name: shown_uri(v) for name, v in location.items() if isinstance(v, str)}
    return {**_kept(resource, ("Name", "Kind")), "Location": location}


def _kept(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: member(value, name) for name in names if member(value, name) is not None}
