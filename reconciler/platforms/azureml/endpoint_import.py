"""Pure: endpoints that people made, as bindings say them: what differs from Azure's defaults.

The values of variables may be secrets, so only their names are told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.model import AddressId
from reconciler.platforms import arm_marks
from reconciler.platforms.arm_marks import tagged
from reconciler.platforms.azureml.connection import NAME, AzureMl
from reconciler.platforms.azureml.endpoint_spec import address_at
from reconciler.platforms.azureml.endpoint_state import MIRRORED, SWITCHED, Reading, settings_shown
from reconciler.platforms.azureml.endpoint_writes import ITS_VARIABLES, SEVERAL
from reconciler.platforms.azureml.ids import elsewhere, short_id
from reconciler.platforms.contract import HOW_MADE, Unmanaged
from reconciler.platforms.members import nested, objects, text, texts

_TAGS = "tags."
_REGISTERED = re.compile(
    r"(?P<name>azureml://registries/[^/]+/models/[^/]+|[^:/]+)(?::|/versions/)(?P<version>[^:/]+)"
)
_OURS = (
    *(SWITCHED, MIRRORED, arm_marks.MANAGED_BY),
    *(arm_marks.ENVIRONMENT, arm_marks.PROTECT, arm_marks.ADOPTED),
)
_PROBE = {
    **{"initialDelay": "10s", "period": "10s", "timeout": "2s"},
    **{"successes": "1", "failures": "30"},
}
# What the service fills in where nobody wrote anything.
_DEFAULTS = {
    "instances": "1",
    **{"requests.timeout": "5s", "requests.concurrent": "1", "requests.queueWait": "0.5s"},
    **{f"{probe}.{name}": v for probe in ("liveness", "readiness") for name, v in _PROBE.items()},
}
_BESIDE = ("instances", "environment")  # stand in the spec beside `settings`


def unmanaged_in(
    at: AzureMl, listed: Mapping[str, Mapping[str, Any]], declared: Collection[AddressId]
) -> Iterator[Unmanaged]:
    """The managed endpoints of a list that carry no mark."""
    for item in listed.values():
        address = address_at(at, text(item, "name"))
        managed = (text(item, "kind") or "Managed").casefold() == "managed"
        if managed and address.id not in declared and not tagged(texts(item, "tags")).environment:
            spec = {"endpoint": address.name}
            if (mode := text(objects(item, "properties"), "authMode")) != "Key":
                spec["authMode"] = mode
            yield Unmanaged(address.name, address, spec)


def described_by(reading: Reading, endpoint: Unmanaged) -> Unmanaged:
    """The endpoint with the settings of the deployment that has all of its traffic; of one whose
    traffic is shared, with its tags."""
    if not reading.deployments:
        why = "it has no deployment; make one, or delete it"
        return replace(endpoint, unread=why)
    serving = reading.serving if reading.serving in reading.deployments else ""
    chosen = objects(reading.deployments[serving or min(reading.deployments)], "properties")
    spec = {**endpoint.spec, "instanceType": text(chosen, "instanceType")}
    found = replace(endpoint, spec=spec, settings=_differing(settings_shown(reading, serving, {})))
    if not serving:
        which = f"which deployment gets all traffic ({', '.join(reading.deployments)})"
        return replace(found, decide=(*HOW_MADE, which))
    asset = _REGISTERED.fullmatch(short_id(reading.at, reading.model_of(serving)))
    if asset is not None:
        made = {"registry": {NAME: asset["name"]}}
        model = asset["name"].rpartition("/")[2]
        found = replace(found, model=model, version=asset["version"], made=made)
    decide = [] if asset else list(HOW_MADE)
    if other := elsewhere(reading.at, reading.model_of(serving)):
        decide = [f"how its versions are made (it serves {other}: register that here, or share it)"]
    if objects(chosen, "codeConfiguration"):
        decide.append("where git keeps its scoring code")
    names = (n for n in texts(chosen, "environmentVariables") if n not in ITS_VARIABLES)
    if variables := ", ".join(f"{name}: env:{name}" for name in sorted(names)):
        decide.append(f"whether git owns its variables ({variables})")
    return replace(found, decide=tuple(decide))


def _differing(settings: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The settings that are not Azure's defaults, as git writes them."""
    shown = dict(settings)
    tags = {n.removeprefix(_TAGS): v for n, v in shown.items() if n.startswith(_TAGS)}
    tags = {name: value for name, value in tags.items() if name.casefold() not in _OURS}
    values = {
        name: int(value) if name.rpartition(".")[2] in (*SEVERAL, "instances") else value
        for name, value in shown.items()
        if value != _DEFAULTS.get(name) and (name in _DEFAULTS or name in _BESIDE)
    }
    beside = {name: values.pop(name) for name in _BESIDE if name in values}
    owned = nested(values) | ({"tags": tags} if tags else {})
    return beside | ({"settings": owned} if owned else {})
