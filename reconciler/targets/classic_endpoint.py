"""Classic endpoints: named endpoints of a workspace service whose `Resources` are patched.

Facts: azure-ml-studio-protocol.md §2.4 (verbs), §2.6 (objects, and whether GET reveals the
model), §2.8 (PATCH: effective after about 30 seconds; the default endpoint is locked).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import NotFoundError, RefusedError, UnreadableError
from reconciler.model import Health, HealthCode, Live, ModelRef, Refusal, Score, Witness
from reconciler.targets import Connection, scoring
from reconciler.targets.classic_reads import Reads
from reconciler.targets.definition import model_ref, shown_uri
from reconciler.targets.members import flag, member, near, objects, text
from reconciler.wire.credentials import Bearer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model import Binding, Environment
    from reconciler.wire.soon import Soon

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
class ClassicAddress:
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
        return f"classic/{self.workspace}/{self.service}/{self.endpoint}"


def address(spec: Mapping[str, Any], environment: Environment) -> ClassicAddress:
    """The address of a binding of kind ClassicEndpoint; ValueError without a workspace."""
    if environment.workspace is None:
        raise ValueError(
            f"environment {environment.name} declares no workspace, which Classic endpoints need; "
            "add spec.workspace to it"
        )
    return ClassicAddress(environment.workspace.id, spec["webService"], spec["endpoint"])


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


class ClassicEndpoints:
    """The Classic endpoints of one environment's workspace."""

    settle_s = SETTLE_S
    needs_grant = True

    def __init__(self, connection: Connection) -> None:
        workspace = connection.environment.workspace
        assert workspace is not None
        self._http = connection.http
        self._hosts = connection.hosts
        self._grant = connection.grant
        self._token = Bearer(connection.secret(workspace.token), "classic", connection.hosts)
        base = f"{connection.hosts.classic}/workspaces/{workspace.id}/webservices"
        self._reads = Reads(connection.http, base, self._token)

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
            live = _live(service, listed, binding, Witness.SERVICE)
            if _tells_all(live):
                return live
        try:
            endpoint = self._reads.endpoint(service, where)
        except NotFoundError:
            return Live(Health(HealthCode.MISSING, _missing(where)))
        return _live(service, endpoint, binding, Witness.SERVICE)

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

    def bind(self, binding: Binding, ref: ModelRef) -> str:
        """PATCH the endpoint's one resource with the model and a short-lived read-only SAS."""
        service, endpoint = self._both(binding)
        live = _live(service, endpoint, binding, Witness.SERVICE)
        if live.refusal is not None:
            raise RefusedError(f"{binding.address}: {live.refusal.message}")
        location = self._grant(ref)
        resource = {
            "Name": live.asset,
            "Location": {
                "BaseLocation": location.base,
                "RelativeLocation": location.relative,
                "SasBlobToken": location.sas,
            },
        }
        self._http.request(
            "PATCH",
            self._reads.endpoint_url(service, _address(binding)),
            credential=self._token,
            json={"Resources": [resource]},
            expect=range(200, 300),
            what=f"updating {binding.address}",
        )
        return ""

    def progress(self, operation: str) -> str:  # noqa: ARG002
        """Always "": Classic has no operation to ask; `settle_s` bounds the wait."""
        return ""

    def score(self, binding: Binding) -> Score:
        """The answer to the probe, with the endpoint's own primary key."""
        assert binding.probe is not None
        _, endpoint = self._both(binding)
        base = text(endpoint, "ApiLocation").rstrip("/")
        if not base:
            raise UnreadableError(f"{binding.address} has no ApiLocation, so no scoring URL")
        credential = Bearer(text(endpoint, "PrimaryKey"), "scoring", self._hosts)
        return scoring.score(self._http, base, credential, binding.probe)

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
        service = self._reads.service(_address(binding))
        if isinstance(service, Live):
            raise RefusedError(f"{binding.address}: {_why_no_service(service)}")
        return service, self._reads.endpoint(service, _address(binding))


def _address(binding: Binding) -> ClassicAddress:
    assert isinstance(binding.address, ClassicAddress)
    return binding.address


def _tells_all(live: Live) -> bool:
    """Whether what a list showed can be believed to be all that the endpoint itself would say.

    Nobody knows whether a list shows every member of an endpoint (§2.6 [U]). One without its
    resources would look like a refusal, one without their locations like a hidden model.
    """
    return live.ref is not None and live.refusal is None


def _missing(where: ClassicAddress) -> str:
    return (
        f'web service "{where.service}" has no endpoint "{where.endpoint}"; add a non-default '
        "endpoint to the predictive service, or correct spec.endpoint"
    )


def _why_no_service(live: Live) -> str:
    return live.refusal.message if live.refusal else live.health.message


def _live(
    service: Mapping[str, Any], endpoint: Mapping[str, Any], binding: Binding, witness: Witness
) -> Live:
    resource = _find_resource(service, endpoint, binding.asset)
    health = Health(HealthCode.HEALTHY)
    place = f"{text(service, 'Id')}/{text(endpoint, 'Name')}".casefold()  # a name leads to an id
    if isinstance(resource, Refusal):
        return Live(health, refusal=resource, witness=witness, place=place)
    ref, written = _model(resource)
    return Live(
        health=health,
        ref=ref,
        asset=text(resource, "Name"),
        model_text="" if ref else shown_uri(written),
        hidden=not written,
        witness=witness,
        refusal=_protected(endpoint),
        place=place,
    )


def _find_resource(
    service: Mapping[str, Any], endpoint: Mapping[str, Any], wanted: str | None
) -> dict[str, Any] | Refusal:
    """The resource whose name is exactly `wanted` (§2.8: read the name, never make it up)."""
    default = text(service, "DefaultEndpointName") or "default"
    if text(endpoint, "Name").casefold() == default.casefold():
        why = (
            "the default endpoint follows its experiment and its model cannot be replaced; "
            "add another endpoint to the service and bind that"
        )
        return Refusal("default_endpoint", why)
    resources = _resources(endpoint)
    if not resources:
        why = (
            "the endpoint has no updatable resources; is it an endpoint of the training service? "
            "bind one of the predictive service"
        )
        return Refusal("no_updatable_resources", why)
    names = [text(resource, "Name") for resource in resources]
    if wanted is None and len(resources) > 1:
        listed = ", ".join(f'"{name}"' for name in names)
        why = f"{len(resources)} resources can be updated: {listed}; name one in spec.resource"
        return Refusal("ambiguous_resource", why)
    chosen = [r for r in resources if wanted is None or text(r, "Name") == wanted]
    if len(chosen) == 1:
        return chosen[0]
    why = f'no updatable resource is named "{wanted}"; {near(wanted or "", names)}'
    return Refusal("unknown_resource", why)


def _protected(endpoint: Mapping[str, Any]) -> Refusal | None:
    if not flag(endpoint, "PreventUpdate"):
        return None
    why = "the endpoint's own PreventUpdate flag is set; clear it in the portal, or unbind it here"
    return Refusal("prevent_update", why)


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
