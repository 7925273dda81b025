"""The kind `ServeApplication`: an application of Ray Serve that serves one version of a model.

A write declares the configuration of the application, together with those of all others of the
cluster (coalesce.py). Ray then starts replicas with the new model beside the old ones, and ends the
old ones when the new ones run, for `maxSurge` is 100 % where nothing else is declared. Where the
new ones do not start, the old ones answer on, while the candidate stays declared: such a swap is
taken back by declaring the previous configuration again, letter for letter, in which Ray knows the
replicas that still run.

Before it declares anything the store notes what was in service, and what takes its place. The note
is what a later run knows of a swap that this one could not end.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConflictError, RefusedError, UnreadableError
from reconciler.model import Health, HealthCode, Live, Owned, Witness
from reconciler.platforms.answers import part, score_of
from reconciler.platforms.contract import DONE, Answer, Can, Left, OperationState, Progress, Target
from reconciler.platforms.ray.builder import MODEL
from reconciler.platforms.ray.coalesce import Readings, Writer
from reconciler.platforms.ray.package import Packages
from reconciler.platforms.ray.serve_config import (
    PACKAGE,
    Application,
    Config,
    Placed,
    ServeAddress,
    attempted_again,
    blanked,
    fingerprint,
    merged,
    placed,
    placed_of,
    refilled,
)
from reconciler.platforms.ray.serve_live import (
    NO_NOTE,
    Note,
    Reading,
    Seen,
    Status,
    Waited,
    astray_refusal,
    live_of,
    progress_of,
    refusal_of,
    served_config,
    unmanaged_in,
)
from reconciler.stores.contract import sha256_at
from reconciler.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from reconciler.http.client import Http
    from reconciler.model import Address, AddressId, Binding, Model
    from reconciler.platforms.contract import Unmanaged
    from reconciler.platforms.ray.cluster import Cluster
    from reconciler.platforms.ray.connection import Ray
    from reconciler.soon import Soon
    from reconciler.stores.contract import Store

KIND = "ServeApplication"
FOLDER = "_serve"  # of the notes, in the store
BACK_S = 600.0  # how long it may take at least to return to what ran before


@dataclass
class _Begun:
    """A write that this run sent: what it declared, and since when it waits."""

    application: Application
    declared: str
    since: float
    restores: Config | None = None  # what is declared again if it fails
    unhealthy_since: float | None = None


class ServeApplications(Target):
    """The applications of one cluster that an environment declares.

    `mark` is what they carry, `store` has models and notes. `now` is a monotonic clock.
    """

    can = Can(
        answer_names_model=True,
        create=True,
        delete=True,
        serves_at_once=True,
        foreign=False,  # a replica compares the SHA-256, which only the store tells
        writes_together=True,
        settle_s=5.0,
        stuck_after_s=3600.0,  # `startTimeout` of the spec is what gives up
    )

    def __init__(
        self,
        ray: Ray,
        cluster: Cluster,
        mark: str,
        store: Store,
        http: Http,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        readings = Readings(cluster, http.pause)
        self._ray = ray
        self._mark = mark
        self._store = store
        self._http = http
        self._readings: Callable[[], Reading] = readings
        self._writer = Writer(cluster, readings, http.pause)
        self._packages = Packages(cluster, now)
        self._now = now
        self._begun: dict[str, _Begun] = {}
        self._given_up: set[str] = set()  # fingerprints of what did not start in time
        self._ran: dict[str, str] = {}  # by application, the fingerprint that was last seen to run
        self._guard = threading.Lock()

    # --- reading ------------------------------------------------------------------------------

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> Target:  # noqa: ARG002
        """This target with one reading for all bindings: one request shows the whole cluster."""
        surveyed = copy.copy(self)
        surveyed._readings = soon(self._readings)
        return surveyed

    def observe(self, binding: Binding) -> Live:
        """The live state of the application."""
        address, application = _of(binding.address), _declared(binding)
        reading = self._readings()
        live = live_of(
            *(reading, address, application, self._mark, lambda: self._note(address)),
            adopt=binding.adopt,
            asked=binding.probe is not None,
        )
        seen = reading.applications.get(address.application)
        if seen is None:
            return live
        declared = fingerprint(seen.config or {})
        if seen.status in (Status.RUNNING, Status.UNHEALTHY):
            self._ran[seen.name] = declared
        if declared not in self._given_up:
            return live
        # Ray goes on trying, and nobody waits for that any more: it can be taken back.
        return replace(live, health=Health(HealthCode.DEGRADED, live.health.message))

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[Address]:
        """The other applications of the cluster."""
        bound = {_of(binding.address).application for binding in bindings}
        others = (name for name in self._readings().applications if name not in bound)
        return [ServeAddress(self._ray.host, name) for name in others]

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """The applications with our mark that are not declared."""
        return tuple(
            Owned(KIND, name, at, seen.placed.protected, adopted=seen.placed.adopted)
            for name, seen in self._readings().applications.items()
            for at in [ServeAddress(self._ray.host, name)]
            if seen.placed.mark == self._mark and at.id not in declared
        )

    def unmanaged(self, declared: Collection[AddressId]) -> Iterable[Unmanaged]:
        """The applications without a mark that somebody declared."""
        return unmanaged_in(self._readings(), self._ray.host, declared)

    def export(self, binding: Binding) -> dict[str, Any]:
        """The configuration, without values of environment variables."""
        seen = self._readings().applications.get(_of(binding.address).application)
        if seen is None or seen.config is None:
            raise RefusedError(f"there is no application {binding.address} to export")
        return dict(blanked(seen.config))

    # --- writing ------------------------------------------------------------------------------

    def switch(self, binding: Binding, model: Model) -> str:
        """Declare the model; where the application is gone meanwhile, that makes it again."""
        return self._declare("switch", binding, self._placed(binding, model))

    def create(self, binding: Binding, model: Model) -> str:
        """Declare an application that is not there; ConflictError where there is one by now."""
        return self._declare("create", binding, self._placed(binding, model))

    def update(self, binding: Binding) -> str:
        """Declare the settings. Where they do not come into effect the previous ones are declared
        again, for nobody else takes them back."""
        return self._declare("update", binding, None)

    def take_back(self, binding: Binding, model: Model) -> str:
        """Declare again what was in service: the very configuration, where the store noted it.

        Its code is still on the cluster, unless that was restarted; then the declared code serves
        the previous model."""
        previous = self._note(_of(binding.address)).previous
        if previous is not None and placed_of(previous).ref == model.ref:
            code = previous.get("runtime_env", {}).get("working_dir", "")
            if not code or self._packages.is_there(code):
                return self._declare("back", binding, None, previous)
        return self._declare("back", binding, self._placed(binding, model))

    def delete(self, address: Address) -> str:
        """Leave the application out of what is declared, if it carries our mark."""
        name = _of(address).application

        def edit(_: Reading, seen: Seen | None) -> None:
            if seen is not None and seen.placed.mark != self._mark:
                raise RefusedError(f"{address}: it does not carry this environment's mark")
            if seen is not None:  # whoever takes the name later did not take it from us
                self._keep(_of(address), NO_NOTE)

        self._writer.change(name, edit)
        return f"delete {name}"

    def progress(self, operation: str) -> Progress:
        """How far a write is; an update that failed is taken back here."""
        verb, name, *_ = operation.split(" ")
        seen = self._readings().applications.get(name)
        if self._writer.undone(name, seen):
            words = "another writer of the cluster undid the change, so it was made again"
            return Progress(OperationState.RUNNING, words)
        if verb == "delete":
            gone = seen is None or (seen.placed.mark != self._mark and seen.config is not None)
            return DONE if gone else Progress(OperationState.RUNNING, "being deleted")
        begun = self._begun.get(operation)
        if begun is None:
            return DONE  # of another run: what is read says how far it is
        now = self._now()
        if seen is None or seen.status is not Status.UNHEALTHY:
            begun.unhealthy_since = None
        elif begun.unhealthy_since is None:
            begun.unhealthy_since = now
        waited = Waited(now - begun.since, now - (begun.unhealthy_since or now))
        patience_s = max(begun.application.start_s, BACK_S if verb == "back" else 0.0)
        progress = progress_of(seen, begun.declared, waited, patience_s)
        if progress.state is not OperationState.FAILED:
            return progress
        if progress.left is not Left.AS_BEFORE:  # it is still declared
            self._given_up.add(begun.declared)
        if verb == "create":
            return DONE  # read back, it does not serve: a swap follows, whose failure rejects
        if verb == "update" and begun.restores is not None:
            self._restore(ServeAddress(self._ray.host, name), begun, progress)
            words = f"{progress.words}; its previous settings are declared again"
            return replace(progress, words=words)
        return progress

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:  # noqa: ARG002
        """The answer of the application, and which model it says it has."""
        application = _declared(binding)
        assert binding.probe is not None
        request = parse_json(binding.probe.request)
        url = f"{self._ray.serve}{application.route.rstrip('/')}{application.path}"
        response = self._http.request("POST", url, json=request, what="scoring the probe")
        document = response.json()
        names = str(part(document, application.names)) if application.names else ""
        model = response.headers.get(MODEL, "") if application.is_built else ""
        answer = score_of(document, application.answer, "", binding.probe)
        return replace(answer, model=model or names)

    # --- how a write is made ------------------------------------------------------------------

    def _declare(
        self, verb: str, binding: Binding, model: Placed | None, exact: Config | None = None
    ) -> str:
        """Declare what the binding says, with this model or the one that is there; or `exact`."""
        application, settings = _declared(binding), dict(binding.settings)
        planned = settings.get(PACKAGE, "") if verb != "back" else ""  # a way back is not refused
        session, packed = self._writer.session, application.folder and exact is None
        code = self._packages.place(application, planned) if packed else ""
        before: list[Config | None] = []

        def edit(reading: Reading, seen: Seen | None) -> Config:
            if verb != "back" and binding.probe and (refusal := astray_refusal(reading)):
                raise RefusedError(refusal.message)
            note = self._note(_of(binding.address))
            self._check(verb, binding, seen, note)
            current = seen.config if seen is not None else None
            owned = self._owned(current, model or placed_of(current or {}), application)
            config = refilled(exact, current) or merged(current, application, settings, owned, code)
            in_service = served_config(seen, note) if seen is not None else None
            if current is not None and self._ran.get(application.name) == fingerprint(current):
                in_service = current  # each write to the cluster makes all DEPLOYING for a moment
            if seen and current is not None and fingerprint(config) == fingerprint(current):
                if seen.status is not Status.DEPLOY_FAILED:
                    return current
                config = attempted_again(config)
            before[:] = [in_service]
            self._keep(_of(binding.address), Note(fingerprint(config), in_service))
            return config

        config = self._writer.change(application.name, edit, session)
        declared = fingerprint(config or {})
        operation = f"{verb} {application.name} {declared}"
        restores = before[0] if before else None
        with self._guard:
            self._begun[operation] = _Begun(application, declared, self._now(), restores)
        return operation

    def _owned(self, current: Config | None, model: Placed, application: Application) -> Placed:
        """The model as the arguments are to name it, with our mark. An application that was there
        without one stays an adopted one, whatever is served there later."""
        there = placed_of(current or {})
        adopted = there.adopted or (current is not None and not there.mark)
        return replace(model, mark=self._mark, protected=application.protect, adopted=adopted)

    def _check(self, verb: str, binding: Binding, seen: Seen | None, note: Note) -> None:
        """Look just before a write; RefusedError for what forbids it."""
        if seen is None:
            if verb == "update":
                raise RefusedError(f"{binding.address} is gone; plan again")
            return
        if seen.status is Status.DELETING:
            raise ConflictError(f"{binding.address} is being deleted; apply again")
        if refusal := refusal_of(seen, self._mark, note, adopt=binding.adopt):
            raise RefusedError(refusal.message)
        if verb == "create":
            raise ConflictError(f"{binding.address} is there by now; plan again")

    def _restore(self, address: ServeAddress, begun: _Begun, failed: Progress) -> None:
        """Declare again what was in service before an update that failed, unless somebody else has
        written since."""
        restores = begun.restores
        assert restores is not None

        def edit(_: Reading, seen: Seen | None) -> Config | None:
            current = seen.config if seen is not None else None
            if current is None or fingerprint(current) != begun.declared:
                raise RefusedError(f"{failed.words}; it was not taken back, for others changed it")
            self._keep(address, Note(fingerprint(restores), restores))
            return restores

        self._writer.change(begun.application.name, edit)

    def _placed(self, binding: Binding, model: Model) -> Placed:
        """The model, with the SHA-256 of one that was made before digests were noted."""
        sha256 = model.sha256 or sha256_at(self._store, model.ref.url)
        if not sha256:
            raise RefusedError(
                f"{model.ref} is not in the store {self._store.uri}, so nobody knows its SHA-256, "
                "which a replica compares before it starts"
            )
        return placed(model, sha256, self._mark, protect=_declared(binding).protect)

    # --- notes ----------------------------------------------------------------------------------

    def _note(self, address: ServeAddress) -> Note:
        stored = self._store.get(_note_name(address))
        if stored is None:
            return NO_NOTE
        try:
            note: Any = parse_json(stored.content)
            return Note(str(note["candidate"]), note["previous"])
        except (ValueError, TypeError, KeyError) as exc:
            raise UnreadableError(
                f"the store's note of {address} ({_note_name(address)}) is damaged; delete it if "
                "the application runs as it is declared"
            ) from exc

    def _keep(self, address: ServeAddress, note: Note) -> None:
        """Note a write that is about to be sent. What others placed may hold their secrets, and is
        not kept: an application that is taken over has no way back."""
        previous = note.previous
        if previous is not None and placed_of(previous).mark != self._mark:
            previous = None
        kept = {"candidate": note.candidate, "previous": blanked(previous)}
        self._store.put(_note_name(address), json.dumps(kept, indent=1).encode())


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """The live state that an exported configuration shows; UnreadableError if it is none."""
    if not isinstance(document.get("import_path"), str):
        raise UnreadableError("it is no configuration of an application: it has no import_path")
    config = {name: value for name, value in document.items() if not name.startswith("$")}
    address, application = _of(binding.address), _declared(binding)
    seen = Seen(address.application, Status.RUNNING, route=application.route, config=config)
    mark = placed_of(config).mark
    live = live_of(Reading(True, {seen.name: seen}), address, application, mark, lambda: NO_NOTE)
    return replace(live, witness=Witness.EXPORT)


def _of(address: Address) -> ServeAddress:
    assert isinstance(address, ServeAddress)
    return address


def _declared(binding: Binding) -> Application:
    assert isinstance(binding.part, Application)
    return binding.part


def _note_name(address: ServeAddress) -> str:
    return f"{FOLDER}/{address.key.removeprefix('serve/')}.json"
