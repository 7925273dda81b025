"""Live states of applications, by what a cluster says of them: pure.

Configured is not served. Ray shows the configuration that it was given last, also while it starts
the replicas of it, and after it gave that up: then the replicas of the previous configuration go on
answering, and no route of Ray names them. So before each write the store notes which configuration
was in service and which one takes its place (`Note`); the note says what serves while the
application does not run as it is configured.

    status          configured is        served is
    RUNNING         what it shows        the same
    UNHEALTHY       what it shows        the same: a replica was lost, and Ray starts another
    DEPLOYING       what it shows        what the note says was in service before
    DEPLOY_FAILED   what it shows        what the note says was in service before
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from reconciler.errors import UnreadableError, printable, redact
from reconciler.http.urls import is_loopback, origin
from reconciler.model import AddressId, Health, HealthCode, Live, Reason, Refusal
from reconciler.platforms.contract import DONE, HOW_MADE, Left, OperationState, Progress, Unmanaged
from reconciler.platforms.ray.serve_config import (
    DEPLOYMENT,
    Application,
    Config,
    Placed,
    ServeAddress,
    configured_deployments,
    fingerprint,
    placed_of,
    refilled,
    settings_of,
    spec_of,
)

NO_PROXY = "Disabled"  # ray.serve.config.ProxyLocation
EVERYWHERE = ("", "0.0.0.0", "::")  # hosts of a proxy that is heard on loopback, too
UNHEALTHY_S = 60.0  # how long Ray may take to replace what it lost (measured: 25 s)
DIED = "ActorDiedError"  # ray.exceptions
_MOST_SAID = 300
_RUNNING = "RUNNING"  # also the state of a replica


class Status(StrEnum):
    """The statuses of an application (ray.serve.schema.ApplicationStatus)."""

    NOT_STARTED = "NOT_STARTED"
    DEPLOYING = "DEPLOYING"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DELETING = "DELETING"


@dataclass(frozen=True)
class Seen:
    """One application as the cluster shows it. `config` is None of one that is being deleted, and
    of one that is not `is_declared`: a program made it (`serve.run`)."""

    name: str
    status: Status
    is_declared: bool = True
    route: str = ""
    config: Config | None = field(default=None, hash=False)
    words: str = ""
    running: int = 0
    wanted: int = 0

    @property
    def placed(self) -> Placed:
        """The model that it is configured for."""
        return placed_of(self.config or {})


@dataclass(frozen=True)
class Reading:
    """All applications of a cluster at one moment.

    `started` says that Serve runs there. `around` is what else a write must send back. `surges`
    says that a new replica can be started before the old one ends. `astray` says why no answer can
    come from `spec.ray.serve`, "" where one may.
    """

    started: bool
    applications: Mapping[str, Seen] = field(default_factory=dict)
    around: Mapping[str, Any] = field(default_factory=dict)
    surges: bool = True
    astray: str = ""

    @cached_property
    def by_route(self) -> Mapping[str, list[str]]:
        """The names of the applications that have a route."""
        names: dict[str, list[str]] = {}
        for seen in self.applications.values():
            names.setdefault(seen.route, []).append(seen.name)
        return names


@dataclass(frozen=True)
class Note:
    """A note in the store about the last write to an application: the fingerprint of what was
    declared, and the configuration that was in service before, None where there was none. The
    values of environment variables, which may be secret, are in the cluster only."""

    candidate: str
    previous: Config | None = None


NO_NOTE = Note("")


def reading_of(document: Mapping[str, Any]) -> Reading:
    """The answer of GET /api/serve/applications/ as a value; UnreadableError for another shape."""
    listed = document.get("applications")
    if not isinstance(listed, Mapping) or not isinstance(document.get("controller_info"), Mapping):
        raise UnreadableError("listing the applications of Ray: the answer names none, not even 0")
    kept = ("proxy_location", "http_options", "target_capacity")
    around = {name: document[name] for name in kept if document.get(name) is not None}
    seen = {name: _seen(name, each) for name, each in listed.items()}
    return Reading(bool(document["controller_info"]), seen, around)


def other_proxy(reading: Reading, serve: str) -> str:
    """Where the proxy of a Serve that runs listens, if `serve` names another place of this machine;
    "" where they agree, and where the cluster cannot tell: an ingress has an address of its own."""
    wanted, options = origin(serve), reading.around.get("http_options")
    if wanted is None or not is_loopback(wanted[1]) or not isinstance(options, Mapping):
        return ""
    if reading.around.get("proxy_location") == NO_PROXY:
        return "nowhere"
    host, port = options.get("host"), options.get("port")
    if not isinstance(host, str) or not isinstance(port, int):
        return ""
    heard = host in EVERYWHERE or is_loopback(host)
    return "" if heard and port == wanted[2] else f"{host}:{port}"


def _seen(name: str, document: Any) -> Seen:
    """One application as the cluster shows it; UnreadableError where Ray's documents do not fit."""
    try:
        status, config = Status(document["status"]), document.get("deployed_app_config")
        deployments = list(document["deployments"].values())
        replicas = [each for d in deployments for each in d["replicas"]]
        return Seen(
            name,
            status,
            document.get("source", "declarative") != "imperative",
            document.get("route_prefix") or (config or {}).get("route_prefix") or "",
            config if isinstance(config, dict) else None,
            _words([document["message"], *(each["message"] for each in deployments)]),
            sum(each["state"] == _RUNNING for each in replicas),
            sum(each["target_num_replicas"] for each in deployments),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnreadableError(
            f"the application {name} of Ray is not as Ray documents it ({type(exc).__name__}: "
            f"{exc}); is this a newer version?"
        ) from exc


def _words(messages: list[str]) -> str:
    """The last line of what deployments say, which is the replica's own; else of the application's.

    Tracebacks are long, and hold what people wrote: a line of them is enough, without secrets.
    """
    texts = [text.strip() for text in (*messages[1:], messages[0]) if text.strip()]
    last = texts[0].splitlines()[-1].strip() if texts else ""
    if last.startswith(DIED):  # all that Ray says of a process that was killed
        last = (
            f"the process of a replica died while it started ({DIED}); if the model did not fit "
            "into memory, declare resources.memory; the log of the replica may say more"
        )
    return redact(printable(last))[:_MOST_SAID]


def refusal_of(seen: Seen, mark: str, note: Note, *, adopt: bool) -> Refusal | None:
    """Why an application must not be changed: it is somebody else's."""
    if not seen.is_declared:
        why = f"the application {seen.name} was deployed by a program (serve.run); delete it there"
        return Refusal(Reason.NOT_OWNED, f"{why}, or choose another name")
    other = seen.placed.mark
    if other and other != mark:
        why = f"the application {seen.name} belongs to {other}; choose another name"
        return Refusal(Reason.NOT_OWNED, why)
    if not other and not note.candidate and not adopt:
        why = (
            f"the application {seen.name} was not made by this environment; choose another name, "
            "or take it over with `adopt: true` below spec"
        )
        return Refusal(Reason.NOT_OWNED, why)
    return None


def route_refusal(reading: Reading, application: Application) -> Refusal | None:
    """Why an application cannot have its route: another one has it."""
    for name in reading.by_route.get(application.route, ()):
        if name != application.name:
            why = f"the route {application.route} is that of the application {name}"
            return Refusal("route_taken", f"{why}; declare another spec.route")
    return None


def surge_refusal(reading: Reading, application: Application) -> Refusal | None:
    """Why a swap there would take the only replica down before its successor runs."""
    owned = application.is_built or application.deployment != DEPLOYMENT
    if reading.surges or not owned:
        return None
    why = (
        "this Ray cannot start a new replica before it ends the old one (maxSurge); update it to "
        "Ray 2.60 or newer"
    )
    return Refusal("ray_too_old", why)


def astray_refusal(reading: Reading) -> Refusal | None:
    """Why what an application answers could not be heard, and so not be proved."""
    return Refusal("serve_elsewhere", reading.astray) if reading.astray else None


def live_of(
    reading: Reading,
    address: ServeAddress,
    application: Application,
    mark: str,
    noted: Callable[[], Note],
    *,
    adopt: bool = False,
    asked: bool = False,
) -> Live:
    """The live state of an address, by what the cluster shows; `noted` is asked where that says too
    little. Of an application that is `asked` for its proof the address must be right."""
    seen = reading.applications.get(address.application)
    taken = route_refusal(reading, application) or surge_refusal(reading, application)
    taken = taken or (astray_refusal(reading) if asked else None)
    if seen is None:
        missing = f"there is no application {address.application} on {address.host}"
        return Live(Health(HealthCode.MISSING, missing), refusal=taken, place=address.key)
    if seen.status is Status.DELETING:
        deleting = Health(HealthCode.PROGRESSING, "it is being deleted")
        return Live(deleting, place=address.key)
    unclear = not seen.placed.mark or seen.status not in (Status.RUNNING, Status.UNHEALTHY)
    note = noted() if unclear else NO_NOTE
    refusal = refusal_of(seen, mark, note, adopt=adopt) or taken
    config = seen.config or {}
    in_service = served_config(seen, note)
    live = Live(
        _health(seen),
        refusal=refusal,
        model_text="" if in_service else "none",
        settings=settings_of(_routed(in_service or config, seen), application.deployment),
        ours=seen.placed.mark == mark != "",
        protected=seen.placed.protected,
        unmarked=seen.placed.mark == "" and seen.placed.ref is not None,
        place=address.key,
    )
    configured = seen.placed.ref
    if in_service is None:
        return replace(live, configured=configured)
    served = placed_of(in_service).ref
    if served is None:
        live = replace(live, model_text=f"a model of {in_service.get('import_path')!s:.80}")
    return replace(live, served=served, configured=None if configured == served else configured)


def _routed(config: Config, seen: Seen) -> Config:
    """A configuration with the route that Ray gives an application which names none."""
    return {"route_prefix": seen.route, **config}


def unmanaged_in(
    reading: Reading, host: str, declared: Collection[AddressId]
) -> Iterator[Unmanaged]:
    """The applications without a mark that somebody declared. No route says which model they
    serve, or where their code is kept; their arguments may be secret, and nobody owns them."""
    for seen in reading.applications.values():
        address = ServeAddress(host, seen.name)
        if seen.placed.mark or seen.config is None or address.id in declared:
            continue
        spec = {"application": seen.name, "importPath": str(seen.config.get("import_path", ""))}
        spec |= {"route": seen.route} if seen.route != f"/{seen.name}" else {}
        decide = [*HOW_MADE, "whether to take it over (adopt: true)"]
        deployment, *more = configured_deployments(seen.config) or [""]
        if more:
            names = ", ".join([deployment, *more])
            decide.append(f"whose replicas and resources git owns, in spec.deployment ({names})")
        settings = spec_of(seen.config, deployment) if deployment and not more else {}
        yield Unmanaged(seen.name, address, spec, settings, decide=tuple(decide))


def served_config(seen: Seen, note: Note) -> Config | None:
    """The configuration whose replicas answer; None where nobody knows, or none does."""
    if seen.config is None or seen.status in (Status.RUNNING, Status.UNHEALTHY):
        return seen.config
    if note.previous is None or note.candidate != fingerprint(seen.config):
        return None
    previous: Config = refilled(note.previous, seen.config)
    return previous


def _health(seen: Seen) -> Health:
    """How the application is, by its status and Ray's own words."""
    match seen.status:
        case Status.RUNNING:
            return Health(HealthCode.HEALTHY)
        case Status.DEPLOY_FAILED:
            return Health(HealthCode.DEGRADED, f"it was not deployed: {seen.words or 'no reason'}")
        case Status.UNHEALTHY:
            return Health(HealthCode.DEGRADED, f"unhealthy: {seen.words or 'no reason'}")
        case _:
            return Health(HealthCode.PROGRESSING, deploying(seen))


def deploying(seen: Seen) -> str:
    """How far the start of an application is."""
    replicas = f", {seen.running} of {seen.wanted} replicas run" if seen.wanted else ""
    return f"being deployed{replicas}{f' ({seen.words})' if seen.words else ''}"


@dataclass(frozen=True)
class Waited:
    """How long an operation was waited for, and how long of that its application was unhealthy."""

    total_s: float
    unhealthy_s: float = 0.0


def progress_of(seen: Seen | None, declared: str, waited: Waited, start_s: float) -> Progress:
    """How far a write is, by what the cluster shows; `declared` is the fingerprint it was sent
    with. It may take `start_s` seconds.

    A write that others undid says nothing against the model: nothing of it is left to undo.
    """
    if seen is None or seen.config is None:
        why = "it is gone: somebody else replaced the applications of the cluster"
        return Progress(OperationState.FAILED, why, Left.AS_BEFORE)
    if fingerprint(seen.config) != declared:
        why = "somebody else replaced its configuration meanwhile; apply again"
        return Progress(OperationState.FAILED, why, Left.AS_BEFORE)
    left = Left.CANDIDATE_DECLARED if seen.running else Left.DOWN
    if seen.status is Status.DEPLOY_FAILED:
        why = f"Ray did not deploy it: {seen.words or 'no reason was given'}"
        return Progress(OperationState.FAILED, why, left)
    if seen.status is Status.RUNNING or waited.unhealthy_s > UNHEALTHY_S:
        return DONE  # of one that stays unhealthy, the answers decide
    if seen.status is Status.UNHEALTHY:
        return Progress(OperationState.RUNNING, f"unhealthy: {seen.words or 'no reason'}")
    if waited.total_s > start_s:
        why = f"it is still {deploying(seen)} after {start_s:g} s"
        return Progress(OperationState.FAILED, why, left)
    return Progress(OperationState.RUNNING, deploying(seen))
