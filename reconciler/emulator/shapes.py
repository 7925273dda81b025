"""The shape of a definition (§3.3): whatever passes here can be stored, shown and updated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reconciler.emulator.messages import Refused, is_object, member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.emulator.world import Json

_OBJECTS = (
    *("realtimeConfiguration", "diagnostics", "storageAccount", "machineLearningWorkspace"),
    *("commitmentPlan", "payloadsLocation", "keys", "exampleRequest"),
    *("assets", "input", "output", "package", "parameters"),
)
_KINDS = ("module", "resource")
_LEVELS = ("None", "Error", "All")


def check_properties(properties: Json, now: float) -> None:
    """Refused with 400 for properties that are not of the documented shape."""
    for name in _OBJECTS:
        if properties.get(name) is not None:
            _object(properties[name], name)
    for kind in ("storageAccount", "keys", "payloadsLocation", "commitmentPlan"):
        for name, value in (properties.get(kind) or {}).items():
            _text(value, f"{kind}.{name}")
    _check_calls(properties)
    _check_diagnostics(properties, now)
    for key, asset in (properties.get("assets") or {}).items():
        _check_asset(key, asset)
    _check_parameters(properties.get("parameters") or {}, "parameters")
    _check_package(properties.get("package") or {})


def check_creation(properties: Json) -> None:
    """Refused with 400 when what a service cannot be made without is missing (§3.3)."""
    for kind, names in (("storageAccount", ("name", "key")), ("commitmentPlan", ("id",))):
        for name in names:
            if not member(properties.get(kind) or {}, name):
                raise refused("RequestBodyInvalid", f"{kind}.{name} is required.")


def check_envelope(document: Json) -> None:
    """Refused with 400 when what is around the properties has another shape."""
    if member(document, "location") is not None:
        _text(member(document, "location"), "location")
    for name, value in _object(member(document, "tags") or {}, "tags").items():
        _text(value, f"tags.{name}")


def refused(detail: str, message: str) -> Refused:
    """400 in ARM's words (§3.11)."""
    return Refused(400, "BadRequest", "The request is invalid.", (detail, message))


def _check_calls(properties: Json) -> None:
    calls = member(properties.get("realtimeConfiguration") or {}, "maxConcurrentCalls")
    if calls is not None and not (type(calls) is int and 4 <= calls <= 200):
        raise refused(
            "WebServiceConcurrentRequestRequirementInvalid", "maxConcurrentCalls must be 4 to 200."
        )


def _check_diagnostics(properties: Json, now: float) -> None:
    diagnostics = properties.get("diagnostics") or {}
    if diagnostics and member(diagnostics, "level") not in _LEVELS:
        raise refused("RequestBodyInvalid", f"diagnostics.level must be of {', '.join(_LEVELS)}.")
    expiry = member(diagnostics, "expiry")
    if expiry is None:
        return
    try:
        moment = datetime.fromisoformat(expiry)
    except (TypeError, ValueError) as exc:
        raise refused("RequestBodyInvalid", "diagnostics.expiry is not a time.") from exc
    if (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() <= now:
        raise refused("ExpiryTimeInThePast", "diagnostics.expiry must be in the future.")


def _check_asset(key: str, asset: Any) -> None:
    place = f"assets.{key}"
    info = _object(member(_object(asset, place), "locationInfo"), f"{place}.locationInfo")
    _text(member(info, "uri"), f"{place}.locationInfo.uri")
    _text(member(asset, "name"), f"{place}.name")
    if _text(member(asset, "type"), f"{place}.type").casefold() not in _KINDS:
        raise refused("RequestBodyInvalid", f"{place}.type must be Module or Resource.")


def _check_package(package: Json) -> None:
    for name, node in _object(member(package, "nodes") or {}, "package.nodes").items():
        place = f"package.nodes.{name}"
        for end in _ends(_object(node, place), ("assetId", "inputId", "outputId")):
            _text(end, place)
        _check_parameters(member(node, "parameters") or {}, f"{place}.parameters")
    edges = member(package, "edges") or []
    if not isinstance(edges, list):
        raise refused("RequestBodyInvalid", "package.edges must be an array.")
    ends = ("sourceNodeId", "sourcePortId", "targetNodeId", "targetPortId")
    for edge in edges:
        for end in _ends(_object(edge, "package.edges"), ends):
            _text(end, "package.edges")
    _object(member(package, "graphParameters") or {}, "package.graphParameters")


def _check_parameters(parameters: Any, place: str) -> None:
    """Plain texts are of the dialect of 2016-05-01-preview (§3.3)."""
    for name, value in _object(parameters, place).items():
        if value is not None:
            _object(value, f"{place}.{name}")


def _ends(value: Json, names: tuple[str, ...]) -> Iterator[Any]:
    """The members of these names that are there."""
    return (found for name in names if (found := member(value, name)) is not None)


def _object(value: Any, place: str) -> Json:
    if not is_object(value):
        raise refused("RequestBodyInvalid", f"{place} must be an object.")
    found: Json = value
    return found


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise refused("RequestBodyInvalid", f"{place} must be text.")
    return value
