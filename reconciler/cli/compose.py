"""From the desired state to a world that can be asked: the one reader of the registry.

Clients leave here with different signs at which they stop (stopping.py): platforms ask whether the
run was told to stop, stores whether its lock is held, and the store of the lock itself only whether
anything may be written. Which part gets which is decided in this file alone, so no platform can
forget to ask.

Nothing is asked of a server yet. Targets are made for the kinds that bindings use. Of a whole
environment the other kinds stay idle, and are made when somebody looks for what git has stopped
declaring: so an environment that connects three platforms and uses one starts as fast as one that
connects one.
"""

from __future__ import annotations

import base64
import importlib.resources
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import desired
from reconciler.cli.stopping import Stop, SystemClock
from reconciler.desired.schema import Schema
from reconciler.engine.taking import Taking, TakingRegistered
from reconciler.engine.world import Idle, World, timestamp
from reconciler.errors import ConfigurationError, ReconcilerError, RefusedError
from reconciler.freeze import frozen
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken, resolve_all
from reconciler.http.origins import Origins, bound_origins
from reconciler.model import FILE, REGISTRY, Actor, Declared
from reconciler.platforms import platforms
from reconciler.platforms.azure import SignIn
from reconciler.platforms.platform import Connected, Demo, Means, Platform, Turn
from reconciler.stores import Opening, open_store
from reconciler.stores.contract import Access, Place, Store, name_in

if TYPE_CHECKING:
    from reconciler.ledger import Ledger
    from reconciler.ledger.lock import Clock
    from reconciler.model import Auth, Binding, Desired, Environment, ModelRef, SecretName, StoreUrl
    from reconciler.platforms.contract import Registry, Target, Trainer

    Tokens = Callable[[str, Origins, Auth], AccessToken]

EMULATOR_VARIABLE = "RECONCILER_EMULATOR"
NO_KEY = base64.b64encode(bytes(64)).decode()  # of the shape of a key; it opens nothing
# By this first line of a file editors find the schema to check it by.
SCHEMA_LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")
GRANT_S = 3600.0  # a service copies the model when it is patched; it needs no longer access


def load(services: Path, *only: str) -> dict[str, Desired]:
    """The desired state by environment; ConfigurationError with everything that is wrong.

    `only` are the environments that are asked for; what is wrong in others is then no error.
    """
    return loaded(services, only=only, today=datetime.now(UTC).date())


def loaded(services: Path, **how: Any) -> dict[str, Desired]:
    """The answer of `desired.load` with the platforms of this installation."""
    return desired.load(services, platforms(), **how)


def schema_text() -> str:
    """The schema of the desired state with the platforms of this installation, for editors."""
    return rules().text


def rules() -> Schema:
    """That schema, to check documents by."""
    return desired.composed_of(platforms())


def demo_of(name: str) -> tuple[Platform, Demo]:
    """A platform and its demo; ConfigurationError with the names of those that have one."""
    demos = {p.name: (p, p.demo) for p in platforms().values() if p.demo}
    if name not in demos:
        names = " or ".join(f"--on {demo}" for demo in demos)
        raise ConfigurationError(f"{name} has no demo; write {names}, or neither for the emulator")
    return demos[name]


def shipped(path: str) -> Path:
    """A folder of this program's repository, or the copy of it that comes with the wheel."""
    package = Path(str(importlib.resources.files("reconciler")))
    for place in (package.parent / path, package / path):
        if place.is_dir():
            return place
    raise ReconcilerError(f"{path} came neither with this checkout nor with the package")


def emulator_url() -> str | None:
    """Where the emulator is, if not at its default address."""
    return os.environ.get(EMULATOR_VARIABLE) or None


def emulator_of(environment: Environment, environ: Mapping[str, str] | None = None) -> str:
    """The base URL of what stands in for the environment's clouds, "" where nothing does."""
    environ = os.environ if environ is None else environ
    urls = (p.emulator(connection, environ) for p, connection in _connected(environment))
    return next(filter(None, urls), "")


def notices(environment: Environment) -> list[str]:
    """The sentences to print before a run talks to the platforms of an environment."""
    sentences = (platform.notice(connection) for platform, connection in _connected(environment))
    return list(filter(None, sentences))


def signed_in_by(environment: Environment, auth: Auth) -> Environment:
    """The environment with another way to sign in, wherever a connection has one."""
    connections = {
        platform.name: replace(connection, auth=auth) if hasattr(connection, "auth") else connection
        for platform, connection in _connected(environment)
    }
    store, data = (replace(place, auth=auth) for place in (environment.store, environment.data))
    return replace(environment, connections=connections, store=store, data=data)


def _connected(environment: Environment) -> Iterator[tuple[Platform, Any]]:
    known = platforms()
    for name, connection in environment.connections.items():
        yield known[name], connection


def connect(
    desired: Desired,
    http: Http,
    *,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    actor: Actor | None = None,
    token: Tokens | None = None,
    through: Callable[[Store], Store] | None = None,
) -> World:
    """The world of an environment; every missing secret is named at once, before any request.

    `stop` says what may be written and when, `token` signs in, and `through` replaces each store.
    """
    from reconciler.ledger import Ledger  # with its codec, which `validate` has no use for

    environment, stop = desired.environment, stop or Stop()
    environ = os.environ if environ is None else environ
    secret, clock = _secrets(desired, environ), clock or SystemClock(stop)
    token = token or tokens(http, environ)
    opened = _opener(environment, http, clock, environ, token, secret)
    store, data = opened(environment.store, stop.lost), opened(environment.data, stop.lost)
    store, data = (store, data) if through is None else (through(store), through(data))
    http, actor = http.halted_by(stop.halted), actor or Actor(secrets.token_hex(8))
    ledger = Ledger(store, opened(environment.store, stop.writing))  # gives back a lost lock too
    turn, grant = _turn(ledger, clock, actor, stop.event.is_set), _grants(store, data)
    given = (http, environ, secret, grant, token, store, turn)
    means = Means(*given, bound_origins(environ), stop.halted, clock.now)
    connected = {p.name: p.connect(environment, means) for p, _ in _connected(environment)}
    registries = dict(_registries(desired, connected))
    return World(
        *_targets(desired, connected),
        trainers=dict(_trainers(desired, connected, registries, (data, store))),
        registries=registries,
        ledger=ledger,
        store=store,
        data=data,
        clock=clock,
        actor=actor,
        stopping=stop.event.is_set,
        connected=connected,
        frozen=lambda: frozen(desired.environment.freeze, clock.now()),
        declared={b.name: b for b in (*desired.bindings, *desired.left_out)},
    )


def ledger_of(environment: Environment, http: Http, clock: Clock) -> Ledger:
    """The ledger in the store of an environment, for reading only."""
    from reconciler.ledger import Ledger

    def secret(name: SecretName) -> str:
        return resolve_all([name], os.environ)[name.variable]

    token = tokens(http, os.environ)
    opened = _opener(environment, http, clock, os.environ, token, secret)
    return Ledger(opened(environment.store, Stop(reading=True).writing))


def _opener(
    environment: Environment,
    http: Http,
    clock: Clock,
    environ: Mapping[str, str],
    token: Tokens,
    secret: Callable[[SecretName], str],
) -> Callable[[StoreUrl, Callable[[], str]], Store]:
    """A function that opens a store of an environment; what that is halted by forbids writes."""
    emulator, bound = emulator_of(environment, environ), bound_origins(environ)
    folder = Path(environment.source.path).parent

    def opened(at: StoreUrl, halted: Callable[[], str]) -> Store:
        how = Opening(http.halted_by(halted), clock.now, folder, emulator, bound, token, halted)
        return open_store(at, secret(at.key) if at.key else "", how)

    return opened


def _turn(ledger: Ledger, clock: Clock, actor: Actor, stopping: Callable[[], bool]) -> Turn:
    from reconciler.ledger.lock import Holder
    from reconciler.ledger.turns import Turns

    return Turns(ledger, clock, Holder(actor, timestamp(clock.now()), "apply"), stopping).of


def _targets(
    desired: Desired, connected: Mapping[str, Connected]
) -> tuple[dict[str, Target], dict[str, Idle]]:
    """The targets of the kinds that are asked; and the other kinds of a whole environment, which
    may hold what git has stopped declaring, reached when somebody asks for them."""
    used = {binding.kind for binding in _bindings_asked(desired)}
    of_kind = {
        kind: connected[p.name] for p, _ in _connected(desired.environment) for kind in p.kinds
    }
    idle = {
        kind: Idle(prefix, cache(partial(platform.target, kind)))
        for platform in connected.values()
        for kind, prefix in platform.prefixes.items()
        if desired.whole and kind not in used
    }
    return {kind: of_kind[kind].target(kind) for kind in used}, idle


def _trainers(
    desired: Desired,
    connected: Mapping[str, Connected],
    registries: Mapping[str, Registry],
    stores: tuple[Store, Store],
) -> Iterator[tuple[str, Trainer]]:
    """Who makes versions, or takes them in, by the trainer of recipes: of a fleet, one or few."""
    data, store = stores
    of_engine = {
        e: connected[p.name] for p, _ in _connected(desired.environment) for e in p.engines
    }
    for name, recipe in {b.recipe.trainer: b.recipe for b in desired.bindings}.items():
        if recipe.engine == REGISTRY:
            yield name, TakingRegistered(registries[name], store)
        elif recipe.engine == FILE:
            yield name, Taking(data, store)
        else:
            yield name, of_engine[recipe.engine].trainer(recipe)


def _registries(
    desired: Desired, connected: Mapping[str, Connected]
) -> Iterator[tuple[str, Registry]]:
    """The registries that versions are taken from or published to, by the trainer of recipes."""
    used = {b.recipe.place for b in desired.bindings if b.recipe.engine == REGISTRY}
    used |= {registry for b in desired.bindings for registry, _ in b.publish}
    for platform, _ in _connected(desired.environment):
        for place in used & platform.registries.keys():
            make = connected[platform.name].registry
            assert make is not None
            yield f"{REGISTRY}/{place}", make()


def _secrets(desired: Desired, environ: Mapping[str, str]) -> Callable[[SecretName], str]:
    """The value of a secret by its name; all that are surely needed are resolved now."""
    values = resolve_all(secret_names(desired), environ)

    def secret(name: SecretName) -> str:
        if name.variable not in values:  # of a kind that nobody declares, if any of it is left
            values.update(resolve_all([name], environ))
        return values[name.variable]

    return secret


def _grants(store: Store, data: Store) -> Callable[[ModelRef], Place]:
    """A function that grants access to a model, in whichever of the two stores it is."""

    def grant(ref: ModelRef) -> Place:
        for root in (store, data):
            if name := name_in(root.base, ref.url):
                return root.grant(name, Access.READ, GRANT_S)
        raise RefusedError(
            f"{ref} is neither in {store.uri} nor in {data.uri}; no access can be given"
        )

    return grant


def tokens(http: Http, environ: Mapping[str, str]) -> Tokens:
    """A function that signs in, once per way and scope."""

    @cache
    def token(scope: str, origins: Origins, auth: Auth) -> AccessToken:
        return AccessToken(SignIn(auth, http, environ), scope, origins)

    return token


def store_base(environment: Environment, emulator: str | None = None) -> str:
    """How the URLs of the environment's store begin; nothing is asked."""
    with Http(threads=1) as http:
        folder = Path(environment.source.path).parent
        environ = {EMULATOR_VARIABLE: emulator} if emulator else None
        opening = Opening(http, time.time, folder, emulator_of(environment, environ))
        return open_store(environment.store, NO_KEY, opening).base


def read_here(desired: Desired) -> tuple[set[str], set[str]]:
    """The kinds, and the engines, whose files are read on this machine instead of asked for."""
    here = [platform for platform, _ in _connected(desired.environment) if platform.here]
    return {kind for p in here for kind in p.kinds}, {name for p in here for name in p.engines}


def _bindings_asked(desired: Desired) -> tuple[Binding, ...]:
    """Whose kinds are asked: of a whole environment or shard all, for the lost may be of any; else
    the chosen, and those that their answers are compared with."""
    if desired.whole:
        return (*desired.bindings, *desired.left_out)
    probes = [binding.probe for binding in desired.bindings if binding.probe]
    others = {probe.compare.name for probe in probes if probe.compare}
    return (*desired.bindings, *(other for other in desired.left_out if other.name in others))


def secret_variables(desired: Desired) -> list[str]:
    """The environment variables that `connect` reads secrets from."""
    return [name.variable for name in secret_names(desired)]


def kinds_of(world: World) -> Iterator[tuple[str, Callable[[], Target]]]:
    """Each kind that connected platforms can hold, and what makes its target, declared or not."""
    for name, connected in world.connected.items():
        kinds = (kind for kind in platforms()[name].kinds if kind not in connected.lacks)
        yield from ((kind, partial(connected.target, kind)) for kind in kinds)


def opened_by(environ: Mapping[str, str], desired: Desired) -> Desired | None:
    """The part of an environment whose secrets are set; None where those of its stores are not."""
    at, kinds = desired.environment, {binding.kind for binding in _bindings_asked(desired)}
    if any(store.key and not environ.get(store.key.variable) for store in (at.store, at.data)):
        return None
    shut = {
        platform.name: platform
        for platform, connection in _connected(at)
        for name in platform.secrets(connection, desired.bindings, kinds)
        if not environ.get(name.variable)
    }
    lost = {name for p in shut.values() for name in (*p.kinds, *p.engines, *p.registries)}
    bindings = tuple(
        b for b in desired.bindings if not lost & {b.kind, b.recipe.engine, b.recipe.place}
    )
    connections = {name: made for name, made in at.connections.items() if name not in shut}
    # Never whole: what is left out is declared all the same.
    declared = Declared(len(desired.bindings), len(desired.bindings) + 1)
    left_out = tuple(b for b in desired.left_out if b.kind not in lost)
    part = replace(desired, bindings=bindings, declared=declared, left_out=left_out)
    return replace(part, environment=replace(at, connections=connections))


def secret_names(desired: Desired) -> list[SecretName]:
    """The secrets that this environment's bindings need, and no others."""
    environment = desired.environment
    names = [*filter(None, [environment.store.key, environment.data.key])]
    kinds = {binding.kind for binding in _bindings_asked(desired)}
    for platform, connection in _connected(environment):
        names += platform.secrets(connection, desired.bindings, kinds)
    return names
