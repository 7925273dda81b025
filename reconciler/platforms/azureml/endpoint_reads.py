"""Reads of endpoints: of one and its deployments, all of them by a list, and an export of one.

Nothing is missing because of one 404: the list must agree.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import UnreadableError
from reconciler.model import Address, Binding, Live, ModelRef, Reason, Refusal, Version, Witness
from reconciler.platforms.arm import CloudName
from reconciler.platforms.arm_marks import tagged
from reconciler.platforms.azureml.connection import AzureMl
from reconciler.platforms.azureml.endpoint_spec import Deployed, EndpointAddress
from reconciler.platforms.azureml.endpoint_state import Reading, live_of
from reconciler.platforms.azureml.ids import model_id, ref_of, registered_in
from reconciler.platforms.azureml.workspace import Workspace
from reconciler.platforms.members import objects, text, texts
from reconciler.soon import Soon

SCHEMA = "reconciler/onlineEndpoint/v1"


class Reads:
    """Readings of the endpoints of one workspace; `seen` are the last ones, by address."""

    def __init__(self, workspace: Workspace, mark: str) -> None:
        self._workspace = workspace
        self._mark = mark
        self._listed: Callable[[], dict[str, dict[str, Any]]] | None = None
        self.seen: dict[str, Reading] = {}

    def surveyed(self, soon: Soon) -> Reads:
        """These reads with one list of all endpoints, begun now."""
        return self.of_list(soon(self.endpoints))

    def of_list(self, listed: Callable[[], dict[str, dict[str, Any]]]) -> Reads:
        """These reads with a list of all endpoints: none that it shows is read again."""
        reads = copy.copy(self)
        reads._listed = listed
        return reads

    def reading(self, address: Address) -> Reading | None:
        """The endpoint with its deployments; None where the service and its list say that there is
        none."""
        at, what = address_in(address), f"reading {address}"
        endpoint = self._listed().get(at.name.lower()) if self._listed else None
        if endpoint is None:
            endpoint = self._workspace.find(at.path, what)
        if endpoint is None and at.name.lower() in (self._listed or self.endpoints)():
            endpoint = self._workspace.find(at.path, what)  # it may have been made in between
            if endpoint is None:
                raise UnreadableError(f"{what}: it is not there, and the list shows it; plan again")
        if endpoint is None:
            self.seen.pop(at.key, None)
            return None
        found = {}
        for item in self._workspace.list(f"{at.path}/deployments", f"{what}: its deployments"):
            if not (name := text(item, "name")):
                raise UnreadableError(f"{what}: a deployment came without a name")
            found[name.lower()] = item
        reading = Reading(self._workspace.at, endpoint, found, self._mark)
        self.seen[at.key] = reading
        return reading

    def endpoints(self) -> dict[str, dict[str, Any]]:
        """Every endpoint of the workspace by its name in lower case; by the list of a survey, where
        this is one."""
        if self._listed:
            return self._listed()
        what = f"listing the endpoints of {self._workspace.at.workspace}"
        found = {}
        for item in self._workspace.list("/onlineEndpoints", what):
            if not (name := text(item, "name")):
                raise UnreadableError(f"{what}: an endpoint came without a name")
            found[name.lower()] = item
        return found


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """The live state that an exported endpoint shows; UnreadableError if it is none."""
    reading, wanted = _read(document, binding), ref_from_export(document, binding)
    shown = ref_in(reading.at, reading.mark, binding, binding.version, reading)
    live = live_of(reading, shown, declared_in(binding), reading.switched_at)
    # An export shows no variables, so whichever deployment of the name serves is the declared one.
    served = wanted if live.served == shown else live.served
    return replace(live, served=served, witness=Witness.EXPORT)


def ref_from_export(document: Mapping[str, Any], binding: Binding) -> ModelRef:
    """How the declared version is referred to at an exported endpoint, whose mark is part of it."""
    reading = _read(document, binding)
    return ref_in(reading.at, reading.mark, binding, binding.version, None)


def _read(document: Mapping[str, Any], binding: Binding) -> Reading:
    endpoint, deployments = document.get("endpoint"), document.get("deployments")
    if document.get("schema") != SCHEMA or not isinstance(endpoint, dict):
        raise UnreadableError(f"it is no export of {binding.address}")
    if text(endpoint, "name").lower() != address_in(binding.address).name.lower():
        raise UnreadableError(f"it is the export of {text(endpoint, 'name')}")
    if not isinstance(deployments, list) or not all(isinstance(d, dict) for d in deployments):
        raise UnreadableError(f"the export of {binding.address} shows no deployments")
    where = address_in(binding.address)
    at = AzureMl(CloudName.AZURE, where.subscription, where.resource_group, where.workspace)
    mark = tagged(texts(endpoint, "tags")).environment
    found = {text(each, "name").lower(): each for each in deployments}
    return Reading(at, endpoint, found, mark)


def ref_in(
    at: AzureMl,
    mark: str,
    binding: Binding,
    version: Version,
    reading: Reading | None,
    values: Mapping[str, str] | None = None,
) -> ModelRef:
    """The deployment that a version has, or will have, with what is declared beside it."""
    model = model_id(at, mark, binding.recipe, version)
    name = declared_in(binding).name_for(model)
    return ref_of(at, model, reading.named(name, values) if reading else name)


def no_container(binding: Binding) -> Refusal | None:
    """Why no container could run a model: only one of MLflow brings its own environment, and no
    version that is made elsewhere is registered as one."""
    if declared_in(binding).environment or registered_in(binding.recipe) or binding.absent:
        return None
    why = (
        f"the model {binding.version.model} is made elsewhere, so its container needs an "
        "environment; write environment: NAME:VERSION"
    )
    return Refusal(Reason.REFUSED, why)


def exported(reading: Reading) -> dict[str, Any]:
    """An endpoint and its deployments as a document, without the values of variables."""
    deployments = [_blanked(each) for each in reading.deployments.values()]
    return {"schema": SCHEMA, "endpoint": dict(reading.endpoint), "deployments": deployments}


def _blanked(deployment: Mapping[str, Any]) -> dict[str, Any]:
    properties = dict(objects(deployment, "properties"))
    variables = objects(properties, "environmentVariables")
    properties["environmentVariables"] = dict.fromkeys(variables, "")
    return {**deployment, "properties": properties}


def address_in(address: Address) -> EndpointAddress:
    """The address of an endpoint, as what it is."""
    assert isinstance(address, EndpointAddress)
    return address


def declared_in(binding: Binding) -> Deployed:
    """The deployment that a binding declares."""
    assert isinstance(binding.part, Deployed)
    return binding.part
