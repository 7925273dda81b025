"""Pure: what an endpoint and its deployments say, as the engine understands it.

What answers is the one deployment that has all of the traffic. While traffic is shared, or none has
any, no model is said to serve. The service fills in what nobody wrote (probes, limits, variables),
so only what the binding owns is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

from reconciler.errors import UnreadableError
from reconciler.model import UNSHOWN, Health, HealthCode, Live, ModelRef, Reason, Refusal
from reconciler.platforms.arm_marks import Mark, tagged
from reconciler.platforms.azureml.connection import AzureMl
from reconciler.platforms.azureml.endpoint_spec import DURATIONS, Deployed, seconds_of
from reconciler.platforms.azureml.ids import deployment_in, elsewhere, ref_of, short_id
from reconciler.platforms.azureml.workspace import BUSY, state_of
from reconciler.platforms.members import member, objects, text, texts
from reconciler.secrecy import HIDDEN

SWITCHED = "reconciler-switched"  # the tag that says when traffic was moved, in seconds
MIRRORED = "reconciler-mirrored"  # the tag that says to which deployment, and since when
SYSTEM = "SystemAssigned"  # the identity of an endpoint that nobody gave another one
_CODES = "/codes/rc-"  # how the code asset of a deployment of ours begins
# Our names of settings by those of the service.
LIMITS = {
    "requestTimeout": "requests.timeout",
    "maxConcurrentRequestsPerInstance": "requests.concurrent",
    "maxQueueWait": "requests.queueWait",
}
_PROBE = {
    "initialDelay": "initialDelay",
    "period": "period",
    "timeout": "timeout",
    "successThreshold": "successes",
    "failureThreshold": "failures",
}
GROUPS: Mapping[str, Mapping[str, str]] = {
    "requestSettings": LIMITS,
    "livenessProbe": {wire: f"liveness.{ours}" for wire, ours in _PROBE.items()},
    "readinessProbe": {wire: f"readiness.{ours}" for wire, ours in _PROBE.items()},
}


@dataclass(frozen=True)
class Reading:
    """An endpoint and its deployments by name, as they were read; `mark` is the environment's."""

    at: AzureMl
    endpoint: Mapping[str, Any]
    deployments: Mapping[str, Mapping[str, Any]]
    mark: str

    def __post_init__(self) -> None:
        """Raise UnreadableError for a shape that nothing can be decided on, before a write does."""
        for name in ("traffic", "mirrorTraffic"):
            shares(self.endpoint, name)
        for deployment in (self.endpoint, *self.deployments.values()):
            state_of(deployment)
            texts(deployment, "tags")
            texts(objects(deployment, "properties"), "environmentVariables")

    @cached_property
    def owner(self) -> Mark:
        """Which environment the endpoint belongs to."""
        return tagged(texts(self.endpoint, "tags"))

    @cached_property
    def traffic(self) -> dict[str, int]:
        """The percentage of each deployment that has any."""
        return shares(self.endpoint, "traffic")

    @cached_property
    def mirrored(self) -> dict[str, int]:
        """The percentage of the traffic that is copied, by the deployment that gets it."""
        return shares(self.endpoint, "mirrorTraffic")

    @property
    def identities(self) -> list[str]:
        """The identities that its code may use: the system's, and ARM ids of users' ones."""
        identity = objects(self.endpoint, "identity")
        system = [SYSTEM] if SYSTEM.casefold() in text(identity, "type").casefold() else []
        return [*system, *objects(identity, "userAssignedIdentities")]

    @property
    def serving(self) -> str:
        """The deployment that has all of the traffic, or ""."""
        return next((name for name, share in self.traffic.items() if share == 100), "")

    def begun(self, name: str) -> tuple[int, str]:
        """The share of a deployment, and the one other that has the rest; else 0 and ""."""
        others = [each for each in self.traffic if each != name]
        if name not in self.traffic or len(others) != 1 or others[0] not in self.deployments:
            return 0, ""
        return self.traffic[name], others[0]

    def traffic_with(self, name: str, shares: Iterable[int]) -> dict[str, int]:
        """The traffic with the next of these shares for a deployment, or all of it; the rest stays
        with the other one that has most."""
        others = sorted(n for n in self.traffic if n != name and n in self.deployments)
        more = [share for share in shares if share > self.traffic.get(name, 0)]
        if not (more and others):
            return {name: 100}
        return {name: more[0], max(others, key=self.traffic.__getitem__): 100 - more[0]}

    def model_of(self, name: str) -> str:
        """The id of the model of a deployment."""
        return text(objects(self.deployments[name], "properties"), "model")

    def ref(self, name: str) -> ModelRef:
        """The reference of a deployment that is there."""
        return ref_of(self.at, self.model_of(name), name)

    def named(self, base: str, values: Mapping[str, str] | None) -> str:
        """The deployment that has this name, or the first free `BASE-2`, `BASE-3` after it.

        At the whiteboard: the name follows from all that is fixed with a deployment, except the
        values of its variables, because no digest of a secret may leave. So a deployment of this
        name may run with a value that was rotated since, or changed by hand. A variable cannot
        change without a new container, so then the declared values get a deployment of their own,
        which is staged and proved. Where `values` are not known, whatever serves counts.
        """
        alike = [n for n in self.deployments if n == base or n.startswith(f"{base}-")]
        if base in alike and not self.is_ours(base):
            return base
        fit = [n for n in alike if self.is_ours(n) and self._has(n, values)]
        if not fit:
            names = (f"{base}-{number}" if number > 1 else base for number in count(1))
            return next(name for name in names if name not in alike)
        gone = {n for n in fit if state_of(self.deployments[n]) == "deleting"}
        return min(fit, key=lambda n: (n != self.serving, n not in self.traffic, n in gone, n))

    def _has(self, name: str, values: Mapping[str, str] | None) -> bool:
        there = texts(objects(self.deployments[name], "properties"), "environmentVariables")
        return all(there.get(n) in (value, HIDDEN) for n, value in (values or {}).items())

    def runs(self, name: str) -> bool:
        """Whether a deployment is there, and its last change went well."""
        return name in self.deployments and state_of(self.deployments[name]) == "succeeded"

    def is_ours(self, name: str) -> bool:
        """Whether a deployment carries this environment's mark."""
        return tagged(texts(self.deployments[name], "tags")).is_of(self.mark)

    def spelled(self, traffic: Mapping[str, int]) -> dict[str, int]:
        """The traffic by the names of deployments as the service spells them."""
        return {text(self.deployments[name], "name"): share for name, share in traffic.items()}

    def instances_of(self, deployed: Deployed) -> int:
        """How many machines a new deployment gets: it may take over from the one with most."""
        busy = (self.deployments[name] for name in self.traffic if name in self.deployments)
        kept = (member(objects(each, "sku"), "capacity") for each in busy)
        return deployed.instances or max((n for n in kept if isinstance(n, int)), default=1)

    @property
    def spare(self) -> list[str]:
        """Our deployments that nobody needs: without traffic. A copy of it is ours as well."""
        gone = (name for name, each in self.deployments.items() if state_of(each) == "deleting")
        needed = {*self.traffic, *gone}
        return [n for n in self.deployments if n not in needed and self.is_ours(n)]

    @property
    def mirrored_by_others(self) -> dict[str, int]:
        """The mirror to a deployment that is not ours."""
        ours = {name for name in self.mirrored if name in self.deployments and self.is_ours(name)}
        return {name: share for name, share in self.mirrored.items() if name not in ours}

    @property
    def switched_at(self) -> float:
        """When traffic was moved last, in seconds since the epoch; 0.0 where nobody noted it."""
        noted = texts(self.endpoint, "tags").get(SWITCHED, "")
        return float(noted) if noted.isdecimal() else 0.0


def shares(endpoint: Mapping[str, Any], name: str) -> dict[str, int]:
    """The shares of traffic that are not 0, by the names of deployments in lower case."""
    found = {}
    for deployment, share in objects(objects(endpoint, "properties"), name).items():
        if isinstance(share, bool) or not isinstance(share, int) or not 0 <= share <= 100:
            raise UnreadableError(f"the {name} of {deployment} is {share!r}, not 0 to 100")
        if share:
            found[deployment.lower()] = share
    return found


def live_of(
    reading: Reading,
    wanted: ModelRef,
    deployed: Deployed,
    now: float,
    values: Mapping[str, str] | None = None,
) -> Live:
    """The live state, as the engine wants it; `wanted` is how the declared version is referred to.
    `values` are those that the variables must have; None where the reading does not show any."""
    name = wanted.url.rpartition("/")[2]
    serving = reading.serving
    if serving and serving not in reading.deployments:
        raise UnreadableError(f"all traffic goes to {serving}, which the list does not show")
    begun, old = reading.begun(name)
    served = reading.ref(serving or old) if serving or old else None
    staged = reading.runs(name) and name != serving and reading.ref(name) == wanted
    warm = [n for n in reading.deployments if n not in (*reading.traffic, name) and reading.runs(n)]
    ours = reading.owner.is_of(reading.mark)
    shown = ", ".join(f"{n} {share} %" for n, share in sorted(reading.traffic.items()))
    foreign = [n for n in reading.deployments if not reading.is_ours(n)]
    return Live(
        _health(reading),
        served,
        configured=wanted if begun else None,
        share=begun,
        staged=wanted if staged else None,
        retired=tuple(map(reading.ref, warm)),
        model_text="" if served else shown or "no model",
        refusal=_refusal(reading, deployed, name),
        warnings=(*_costs(reading, deployed, name), *_of_others(reading, served, wanted)),
        place=reading.at.path.lower() + text(reading.endpoint, "name").lower(),
        settings=settings_shown(reading, serving or old or name, deployed.shown, values),
        ours=ours,
        protected=reading.owner.protected,
        unmarked=reading.owner.is_nobodys,
        keep=_keep(foreign) if ours else NOT_OURS,
        overdue=next(iter(overdue(reading, wanted, deployed, now)), ""),
    )


NOT_OURS = Refusal(Reason.NOT_OWNED, "the endpoint does not carry this environment's mark")


def _keep(foreign: list[str]) -> Refusal | None:
    if not foreign:
        return None
    why = f"others made the deployment {foreign[0]} of it; delete that first"
    return Refusal(Reason.NOT_OWNED, why)


def _health(reading: Reading) -> Health:
    """How the endpoint is: busy, or whether its last change, or that of what serves, failed."""
    state = state_of(reading.endpoint)
    if state in BUSY:
        return Health(HealthCode.PROGRESSING, f"the endpoint is {state}")
    for name, deployment in reading.deployments.items():
        if state_of(deployment) in BUSY - {"deleting"}:
            return Health(HealthCode.PROGRESSING, f"{name} is {state_of(deployment)}")
    serving = reading.deployments.get(reading.serving)
    if state == "failed" or (serving is not None and state_of(serving) == "failed"):
        return Health(HealthCode.DEGRADED, "its last change failed")
    return Health(HealthCode.HEALTHY)


def _refusal(reading: Reading, deployed: Deployed, name: str) -> Refusal | None:
    """Why the endpoint must not be written as it is declared, with the fix; None where it may."""
    properties, owner = objects(reading.endpoint, "properties"), reading.owner
    if owner.environment and not owner.is_of(reading.mark):
        why = (
            f"the endpoint belongs to the environment {owner.environment}; delete it there, or "
            "take another name"
        )
        return Refusal(Reason.NOT_OWNED, why)
    kind = text(reading.endpoint, "kind") or "Managed"
    if kind.casefold() != "managed":
        why = f"it is of the kind {kind}; only managed endpoints are changed"
        return Refusal(Reason.REFUSED, why)
    mode = text(properties, "authMode")
    if mode.casefold() != deployed.auth_mode.casefold():
        why = (
            f"its callers sign in by {mode}, which cannot be changed; write authMode: {mode}, or "
            "take another name"
        )
        return Refusal(Reason.REFUSED, why)
    has = {each.casefold() for each in reading.identities}
    if deployed.identity and deployed.identity.casefold() not in has:
        named = ", ".join(reading.identities) or "no identity"
        why = (
            f"its code has the rights of {named}, which cannot be changed; correct identity, or "
            "take another name"
        )
        return Refusal(Reason.REFUSED, why)
    region = text(reading.endpoint, "location").replace(" ", "").lower()
    if reading.at.region and region and region != reading.at.region:
        why = f"it is in {region}, and azureml.region is {reading.at.region}; correct that"
        return Refusal(Reason.REFUSED, why)
    if (total := sum(reading.traffic.values())) not in (0, 100):
        return Refusal(Reason.REFUSED, f"its traffic adds up to {total} %, not to 100; mend it")
    if deployed.mirror and name not in reading.traffic and reading.mirrored_by_others:
        other = next(iter(reading.mirrored_by_others))
        why = (
            f"others mirror its traffic to {other}, and only one deployment can have a copy; "
            "switch that off, or take mirror out of the spec"
        )
        return Refusal(Reason.REFUSED, why)
    if name in reading.deployments and not reading.is_ours(name):
        why = f"it has a deployment {name} that others made; delete that"
        return Refusal(Reason.NOT_OWNED, why)
    return None


def _costs(reading: Reading, deployed: Deployed, name: str) -> tuple[str, ...]:
    """Warnings of what a swap costs while two deployments run."""
    if reading.serving in ("", name) or _refusal(reading, deployed, name):
        return ()
    sku = objects(reading.deployments[reading.serving], "sku")
    kept = member(sku, "capacity") or 1
    properties = objects(reading.deployments[reading.serving], "properties")
    how_long = f"for {deployed.keep_warm_s / 3600:g} h after" if deployed.keep_warm_s else "until"
    new = f"a new deployment of {reading.instances_of(deployed)} × {deployed.instance_type} starts"
    if reading.runs(name):
        new = f"the deployment {name} runs already"
    return (
        f"{new} beside the one that serves, whose {kept} × {text(properties, 'instanceType')} "
        f"are paid for and count as quota {how_long} the proof",
    )


def _of_others(reading: Reading, served: ModelRef | None, wanted: ModelRef) -> Iterator[str]:
    """A warning where what serves, and must be swapped, is a model of another workspace."""
    if served is None or served == wanted:
        return
    name = deployment_in(served)
    if model := elsewhere(reading.at, reading.model_of(name)):
        yield f"{name} serves {model}; nothing but that deployment leads back to it"


def overdue(reading: Reading, wanted: ModelRef, deployed: Deployed, now: float) -> list[str]:
    """Our deployments whose time is over; a failed one is of no use to anybody."""
    previous = [n for n in reading.spare if n != deployment_in(wanted)] if reading.serving else []
    if now - reading.switched_at >= deployed.keep_warm_s:
        return previous
    never = [n for n in previous if n in reading.mirrored]  # a candidate of a run that was killed
    return never or [n for n in previous if state_of(reading.deployments[n]) == "failed"]


def settings_shown(
    reading: Reading,
    name: str,
    variables: Mapping[str, str],
    values: Mapping[str, str] | None = None,
) -> tuple[tuple[str, str], ...]:
    """The settings of the endpoint and of a deployment of it that is there, but for empty ones.

    `variables` are declared, as git has them; `values` as of `live_of`.
    """
    tags = texts(reading.endpoint, "tags")
    found = {f"tags.{tag}": value for tag, value in tags.items()}
    if name in reading.deployments:
        deployment = reading.deployments[name]
        properties = objects(deployment, "properties")
        found["instances"] = str(member(objects(deployment, "sku"), "capacity") or "")
        found["instanceType"] = text(properties, "instanceType")
        found["environment"] = short_id(reading.at, text(properties, "environmentId"))
        code = text(objects(properties, "codeConfiguration"), "codeId")
        _, ours, digest = code.partition(_CODES)
        found["code"] = digest[:12] if ours else code
        there = texts(properties, "environmentVariables")
        for variable, written in variables.items():
            # A value may be a secret, so another one than git's is not shown.
            same = values is None or there.get(variable) in (values[variable], HIDDEN)
            other = UNSHOWN if variable in there else ""
            found[f"variables.{variable}"] = written if same else other
        for group, names in GROUPS.items():
            of_group = objects(properties, group)
            for wire, setting in names.items():
                value = member(of_group, wire)
                shown = "" if value is None else str(value)
                is_time = setting.rpartition(".")[2] in DURATIONS
                found[setting] = seconds_of(shown) if is_time else shown
    return tuple(sorted((setting, value) for setting, value in found.items() if value))
