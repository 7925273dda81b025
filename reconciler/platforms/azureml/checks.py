"""Whether a run may write to the workspace, and finds there what its deployments and jobs name.

Only GET is sent. The machines of a region and what is used of them (`vmSizes`, `usages`) are of the
swagger [D]; where they do not name a machine or its family as we expect, nothing is said of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from reconciler.errors import ReconcilerError, RefusedError
from reconciler.http.asking import Credential
from reconciler.http.client import Http
from reconciler.model import Binding, Check, Level
from reconciler.near import near
from reconciler.platforms.arm import read_list
from reconciler.platforms.arm_rights import lacking, rights_check
from reconciler.platforms.azure import ARM_URL
from reconciler.platforms.azureml.assets import Assets
from reconciler.platforms.azureml.connection import NAME, PROVIDER
from reconciler.platforms.azureml.endpoint_reads import address_in
from reconciler.platforms.azureml.endpoint_spec import Deployed, EndpointAddress
from reconciler.platforms.azureml.ids import registered_in, whole_id
from reconciler.platforms.azureml.pipelines import component_of
from reconciler.platforms.azureml.workspace import API_VERSION, Workspace, part, state_of
from reconciler.platforms.members import member, objects, text
from reconciler.stores.contract import Store

_TYPE = f"{PROVIDER}/workspaces"
HELD_BACK = 1.2  # the service keeps a fifth more machines free for upgrades of many types [D]
_A_DEPLOYMENT = "the deployment that a swap starts, with a fifth for upgrades,"
_ROLE = "assign it AzureML Data Scientist on the workspace, or a role with these actions"
_MONITORING = "microsoft.insights/metrics/read"
_OF_ENDPOINTS = (f"{_TYPE}/onlineEndpoints/", _MONITORING)
_DEPLOY = {
    "onlineEndpoints/write": "change endpoints and their traffic",
    "onlineEndpoints/deployments/write": "deploy a model",
    "onlineEndpoints/deployments/delete": "delete a previous deployment",
}
_KEYS = {
    "key": {"onlineEndpoints/listKeys/action": "read the key that a probe needs"},
    "amltoken": {"onlineEndpoints/token/action": "fetch the token that a probe needs"},
}
_CODE = {"codes/versions/write": "send code"}
_REGISTER = {"models/versions/write": "register a model"}
_TRAIN = {"jobs/write": "start a job", "jobs/cancel/action": "cancel a job"}


class Checks:
    """The looks at one workspace for some bindings; `store` is where jobs must be able to write."""

    def __init__(
        self, http: Http, token: Credential, workspace: Workspace, assets: Assets, store: Store
    ) -> None:
        self._http = http
        self._token = token
        self._workspace = workspace
        self._assets = assets
        self._store = store
        self._arm = workspace.emulator or ARM_URL

    def of(self, bindings: Iterable[Binding]) -> Iterator[Check]:
        """The findings, each look for itself: one that fails says so and stops no other."""
        wanted = [binding for binding in bindings if not binding.absent]
        served = [b for b in wanted if isinstance(b.address, EndpointAddress)]
        trained = [b for b in wanted if b.recipe.engine == NAME]
        at, needs = self._workspace.at, _needs(wanted)
        self._workspace.read("", "reading the workspace")
        yield Check(f"platform {NAME}", Level.FINE, f"workspace {at.workspace} lets us read")
        looks = (
            rights_check(needs, lambda: self._lacking(needs, served), _ROLE, _TYPE),
            self._machines(served, trained),
            self._assets_named(served, trained),
            self._pipelines(trained),
            self._outputs(trained),
        )
        for look in looks:
            try:
                yield from look
            except ReconcilerError as exc:
                yield Check(f"platform {NAME}", Level.WARNING, exc.message)

    # --- rights ---------------------------------------------------------------------------------

    def _lacking(self, needs: Mapping[str, str], served: list[Binding]) -> dict[str, str]:
        """The needs that no role allows: on the workspace, or on the endpoint that has them. One
        that is still to be made has those of the workspace."""
        scope = f"{self._arm}{self._workspace.at.path}"
        lacks = lacking(self._http, self._token, scope, needs)
        of_endpoints = {n: does for n, does in lacks.items() if n.startswith(_OF_ENDPOINTS)}
        found = {n: does for n, does in lacks.items() if n not in of_endpoints}
        for binding in served:
            own = {n: does for n, does in of_endpoints.items() if n in _needs([binding])}
            path = address_in(binding.address).path
            if own and self._workspace.find(path, f"looking for {binding.address}") is not None:
                own = lacking(self._http, self._token, f"{scope}{path}", own)
            found |= own
        return {action: does for action, does in lacks.items() if action in found}

    # --- machines -------------------------------------------------------------------------------

    def _machines(self, served: list[Binding], trained: list[Binding]) -> Iterator[Check]:
        """A finding where the region has no such machine, or too few of its family are free for
        the deployment that a swap starts beside the serving one, or for a job."""
        for binding in served:
            deployed = _deployed(binding)
            count = math.ceil(HELD_BACK * max(deployed.instances, 1))
            yield from self._machine(binding, deployed.instance_type, count, _A_DEPLOYMENT)
        for binding in trained:
            if name := dict(binding.recipe.how).get("instanceType"):
                yield from self._machine(binding, name, 1, "its job")

    def _machine(self, binding: Binding, name: str, count: int, what: str) -> Iterator[Check]:
        """Whether the region has the machine, and quota for so many of it; nothing where nobody
        knows."""
        about = (binding.source, (binding.name,))
        known = {text(size, "name").casefold(): size for size in self._sizes}
        size = known.get(name.casefold())
        if size is None:
            names = [text(size, "name") for size in self._sizes]
            why = f"{self._region} has no machine {name}{near(name, names)}"
            if names:
                yield Check("machine", Level.ERROR, why, "correct instanceType", *about)
            return
        family, cpus = text(size, "family"), member(size, "vCPUs")
        usage = self._usages.get(family.casefold())
        if usage is None or not isinstance(cpus, int):
            return
        used, most = usage
        if count * cpus > most - used:
            free = f"{max(most - used, 0)} of {most} are free in {self._region}"
            why = f"{what} needs {count * cpus} vCPUs of {family}, and {free}"
            fix = "ask for more quota, choose another machine, or free some"
            yield Check("quota", Level.WARNING, why, fix, *about)
        else:
            yield Check("quota", Level.FINE, "", "", *about)

    @cached_property
    def _region(self) -> str:
        return self._workspace.region

    @cached_property
    def _sizes(self) -> list[dict[str, Any]]:
        return self._of_region("vmSizes", "listing the machines of the region")

    @cached_property
    def _usages(self) -> dict[str, tuple[int, int]]:
        """By family, the vCPUs in use and the most of them, whichever limit is the nearest."""
        usages: dict[str, tuple[int, int]] = {}
        ours = self._workspace.at.workspace.casefold()
        for usage in self._of_region("usages", "reading the quota of the region"):
            used, most = member(usage, "currentValue"), member(usage, "limit")
            # Of machines that may be taken away, and of other workspaces, there are lines as well.
            other = "lowpriority" in text(usage, "type").casefold()
            _, below, workspace = text(usage, "id").casefold().partition("/workspaces/")
            other |= bool(below) and workspace.partition("/")[0] != ours
            if other or not isinstance(used, int) or not isinstance(most, int) or most < 0:
                continue
            family = text(objects(usage, "name"), "value").casefold()
            before = usages.get(family, (0, most + 1 - used))
            usages[family] = min(before, (used, most), key=lambda line: line[1] - line[0])
        return usages

    def _of_region(self, kind: str, what: str) -> list[dict[str, Any]]:
        at = self._workspace.at
        place = f"/subscriptions/{at.subscription}/providers/{PROVIDER}/locations/{self._region}"
        url = f"{self._arm}{place}/{kind}?api-version={API_VERSION}"
        return read_list(self._http, self._token, url, what)

    # --- what is named --------------------------------------------------------------------------

    def _assets_named(self, served: list[Binding], trained: list[Binding]) -> Iterator[Check]:
        """A finding for each environment and compute that the workspace does not have."""
        at = self._workspace.at
        named = [(b, "environments", _deployed(b).environment) for b in served]
        for binding in trained:
            how = dict(binding.recipe.how)
            named.append((binding, "environments", how.get("environment", "")))
            named.append((binding, "computes", how.get("compute", "")))
        firsts = {(kind, name): binding for binding, kind, name in reversed(named) if name}
        for (kind, name), binding in firsts.items():
            ident = whole_id(at, kind, name)
            if kind == "computes":
                ident = f"{at.path}/computes/{part(name)}"
            path = ident.removeprefix(at.path)
            if path == ident:  # of a registry, or a service's own
                continue
            asset = self._workspace.find(path, f"looking for {name}")
            about = (binding.source, (binding.name,))
            what, fix = kind.removesuffix("s"), "make it, or correct its name"
            if asset is None:
                why = f"the workspace {at.workspace} has no {what} {name}"
                yield Check(what, Level.ERROR, why, fix, *about)
            elif state_of(asset) in ("failed", "deleting"):
                why = f"the {what} {name} is {state_of(asset)}"
                yield Check(what, Level.ERROR, why, "mend it, or name another one", *about)
            else:
                yield Check(what, Level.FINE, name)

    def _pipelines(self, trained: list[Binding]) -> Iterator[Check]:
        """Whether the component of each pipeline is there, and has what a recipe names."""
        for binding in trained:
            if written := dict(binding.recipe.how).get("pipeline"):
                try:
                    component_of(self._workspace, binding.recipe)
                except RefusedError as exc:
                    about = (binding.source, (binding.name,))
                    yield Check("pipeline", Level.ERROR, exc.message, "", *about)
                else:
                    yield Check("pipeline", Level.FINE, written)

    def _outputs(self, trained: list[Binding]) -> Iterator[Check]:
        """A finding where jobs could write neither into the store nor into a default datastore."""
        if not trained or self._assets.uri_of(f"{self._store.base}model"):
            return
        try:
            why = f"jobs leave their outputs in {self._assets.datastore().name}; runs copy them"
            yield Check("datastore", Level.FINE, why)
        except RefusedError as exc:
            fix = "make a container of blobs the default datastore (az ml datastore create)"
            names = tuple(binding.name for binding in trained)
            yield Check("datastore", Level.ERROR, exc.message, fix, trained[0].source, names)


def _deployed(binding: Binding) -> Deployed:
    assert isinstance(binding.part, Deployed)
    return binding.part


def _needs(bindings: Iterable[Binding]) -> dict[str, str]:
    """The actions that runs of these bindings may take, with what each is for."""
    needs: dict[str, str] = {}
    monitored = False
    for binding in bindings:
        if binding.recipe.engine == NAME:
            needs |= _TRAIN | (_CODE if binding.recipe.code else {})
        if NAME in dict(binding.publish):
            needs |= _REGISTER
        if isinstance(binding.part, Deployed):
            needs |= _DEPLOY | (_CODE if binding.part.digest else {})
            needs |= {} if registered_in(binding.recipe) else _REGISTER
            needs |= _KEYS.get(binding.part.auth_mode.casefold(), {}) if binding.probe else {}
            monitored |= binding.part.mirror is not None
    whole = {f"{_TYPE}/{action}": does for action, does in needs.items()}
    return whole | ({_MONITORING: "read the metrics of a mirror"} if monitored else {})
