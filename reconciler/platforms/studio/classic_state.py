"""Pure: what a Classic endpoint and its service say, and what may be done to it.

Facts: STUDIO_PROTOCOL.md §2.5 (limits), §2.6 (objects, and whether GET reveals the model), §2.8
(the default endpoint is locked).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import UnreadableError
from reconciler.model import Address, Health, HealthCode, Live, ModelRef, Reason, Refusal, Witness
from reconciler.platforms.members import flag, member, near, objects, text
from reconciler.platforms.studio.connection import Refused, holder_of
from reconciler.platforms.studio.marks import Described, described
from reconciler.platforms.studio.new_definition import model_ref, shown_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model import Binding

HIGH = "High"  # the throttle level
MOST_ENDPOINTS = 10_000  # §2.5: of one web service of a standard workspace
_TOLD = frozenset({"description", "throttlelevel", "maxconcurrentcalls"})
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
        """Its id with the workspace: unique in the world."""
        return f"{keys_of(self.workspace)}{self.service}/{self.endpoint}"


def keys_of(workspace: str) -> str:
    return f"classic/{workspace}/"


def tells_all(live: Live, endpoint: Mapping[str, Any], binding: Binding) -> bool:
    """Whether what a list showed can be believed to be all that the endpoint itself would say.

    Nobody knows whether a list shows every member of an endpoint (§2.6 [U]). One without its
    resources would look like a refusal, one without their locations like a hidden model, one
    without its description as if nobody had made it.
    """
    owned = binding.create is not None or binding.absent or binding.settings
    there = {name.casefold() for name in endpoint} if owned else _TOLD
    return live.served is not None and live.refusal is None and there >= _TOLD


def no_endpoint(where: ClassicAddress) -> str:
    return (
        f'web service "{where.service}" has no endpoint "{where.endpoint}"; add a non-default '
        "endpoint to the predictive service, or correct spec.endpoint"
    )


def why_no_service(live: Live) -> str:
    return live.refusal.message if live.refusal else live.health.message


def live_of(
    service: Mapping[str, Any],
    endpoint: Mapping[str, Any],
    binding: Binding,
    witness: Witness,
    mark: str = "",
) -> Live:
    """The live state of an endpoint; its owner is told only where `mark` says what ours would
    be."""
    resource = find_resource(service, endpoint, holder_of(binding))
    place = f"{text(service, 'Id')}/{text(endpoint, 'Name')}".casefold()  # a name leads to an id
    now = described(text(endpoint, "Description"))
    owner = now.mark.environment
    foreign = not_ours(owner) if mark and owner and not now.mark.is_of(mark) else None
    live = Live(
        health=Health(HealthCode.HEALTHY),
        witness=witness,
        place=place,
        settings=_settings(endpoint, now),
        ours=now.mark.is_of(mark),
        protected=now.mark.protected,
        keep=keep_of(service, endpoint) or foreign,
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
        ("maxConcurrentCalls", calls_of(endpoint)),
        ("throttleLevel", text(endpoint, "ThrottleLevel")),
    )


def spec_of(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the service's defaults, as git writes them."""
    written: dict[str, Any] = dict(_settings(endpoint, described(text(endpoint, "Description"))))
    if written["throttleLevel"] != HIGH:  # a low one always has four calls
        written = {"description": written["description"]}
    elif written["maxConcurrentCalls"].isdecimal():
        written["maxConcurrentCalls"] = int(written["maxConcurrentCalls"])
    made = {name: value for name, value in written.items() if value}
    return {"settings": made} if made else {}


def calls_of(endpoint: Mapping[str, Any]) -> str:
    calls = member(endpoint, "MaxConcurrentCalls")
    return "" if calls is None else str(calls)


def not_ours(mark: str) -> Refusal:
    why = (
        f"it carries the mark of {mark}, which made it; declare it there only, or take the mark "
        "out of its description to hand it over"
    )
    return Refusal(Reason.NOT_OWNED, why)


def keep_of(service: Mapping[str, Any], endpoint: Mapping[str, Any]) -> Refusal | None:
    """Why an endpoint must not be deleted, whoever made it."""
    if is_default(service, endpoint):
        return Refusal(Refused.DEFAULT_ENDPOINT, "the default endpoint is never deleted")
    return _protected(endpoint)


def is_default(service: Mapping[str, Any], endpoint: Mapping[str, Any]) -> bool:
    default = text(service, "DefaultEndpointName") or "default"
    return text(endpoint, "Name").casefold() == default.casefold()


def no_creation(
    service: Mapping[str, Any], endpoints: list[dict[str, Any]], binding: Binding
) -> Refusal | None:
    """Why a new endpoint of the service could not be made, or not be bound; None where it can."""
    if len(endpoints) >= MOST_ENDPOINTS:
        most = f"{MOST_ENDPOINTS:,} endpoints, the most it can have"
        why = f"the service has {most}; deploy another service"
        return Refusal(Refused.TOO_MANY_ENDPOINTS, why)
    default = next((endpoint for endpoint in endpoints if is_default(service, endpoint)), None)
    if default is None or member(default, "Resources") is None:
        return None  # what the list does not tell is for the service to say
    resource = _resource_named(default, holder_of(binding))
    return resource if isinstance(resource, Refusal) else None


def find_resource(
    service: Mapping[str, Any], endpoint: Mapping[str, Any], wanted: str | None
) -> dict[str, Any] | Refusal:
    """The resource whose name is exactly `wanted` (§2.8: read the name, never make it up)."""
    if is_default(service, endpoint) and resources_of(endpoint):  # else it is the wrong service
        why = (
            "the default endpoint follows its experiment and its model cannot be replaced; "
            "add another endpoint to the service and bind that"
        )
        return Refusal(Refused.DEFAULT_ENDPOINT, why)
    return _resource_named(endpoint, wanted)


def _resource_named(endpoint: Mapping[str, Any], wanted: str | None) -> dict[str, Any] | Refusal:
    """The resource that holds the model; a refusal where it is missing or one of several."""
    resources = resources_of(endpoint)
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


def resources_of(endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    resources = member(endpoint, "Resources") or []
    if not isinstance(resources, list) or not all(isinstance(item, dict) for item in resources):
        raise UnreadableError("Resources of the endpoint is not a list of objects")
    return resources


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


def exported(service: Mapping[str, Any], endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint and its service without keys and SAS tokens."""
    resources = [_without_sas(resource) for resource in resources_of(endpoint)]
    return {
        "webService": _kept(service, ("Id", "Name", "Description", "DefaultEndpointName")),
        "endpoint": {**_kept(endpoint, _EXPORTED_ENDPOINT), "Resources": resources},
    }


def _without_sas(resource: Mapping[str, Any]) -> dict[str, Any]:
    location = _kept(objects(resource, "Location"), ("BaseLocation", "RelativeLocation"))
    location = {name: shown_uri(v) for name, v in location.items() if isinstance(v, str)}
    return {**_kept(resource, ("Name", "Kind")), "Location": location}


def _kept(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: member(value, name) for name in names if member(value, name) is not None}
