"""From the desired state to a world that can be asked: the one reader of the registry."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from reconciler import desired
from reconciler.engine.world import Idle, World
from reconciler.errors import RefusedError
from reconciler.http.credentials import AccessToken, resolve_all
from reconciler.http.origins import bound_origins
from reconciler.ledger import Ledger
from reconciler.model import Actor
from reconciler.platforms import kinds
from reconciler.platforms.azure import ARM_SCOPE, SignIn
from reconciler.platforms.contract import Connection
from reconciler.platforms.studio.bes import BatchExecution
from reconciler.platforms.studio.hosts import EmulatorSignIn, hosts_of
from reconciler.stores.azure_blob import AzureBlob
from reconciler.stores.contract import Access, name_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reconciler.cli.session import Stop
    from reconciler.engine.world import Clock
    from reconciler.http.client import Http
    from reconciler.model import Binding, Desired, Environment, ModelRef, SecretName
    from reconciler.platforms.studio.hosts import Hosts
    from reconciler.stores.contract import Place

EMULATOR_VARIABLE = "RECONCILER_EMULATOR"
GRANT_S = 3600.0  # a service copies the model when it is patched; it needs no longer access


def load(services: Path, *only: str) -> dict[str, Desired]:
    """The desired state by environment; ConfigurationError with everything that is wrong.

    `only` are the environments that are asked for; what is wrong in others is then no error.
    """
    return loaded(services, only=only, today=datetime.now(UTC).date())


def loaded(services: Path, **how: Any) -> dict[str, Desired]:
    """What `desired.load` answers with the kinds of every platform."""
    return desired.load(services, kinds(), **how)


def emulator_url() -> str | None:
    """Where the emulator is, if not at its default address."""
    return os.environ.get(EMULATOR_VARIABLE) or None


def connect(
    wanted: Desired,
    http: Http,
    *,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    actor: Actor | None = None,
    arm: AccessToken | None = None,
) -> World:
    """The world of an environment; every missing secret is named at once, before any request.

    `arm` is a token that is shared with other worlds of the environment; else a new one is used.
    """
    from reconciler.cli.session import Stop, SystemClock

    environ = os.environ if environ is None else environ
    environment = wanted.environment
    stop = stop or Stop()
    hosts = _hosts(environment, environ)
    values = resolve_all(_secret_names(wanted), environ)
    clock = clock or SystemClock(stop)

    def secret(name: SecretName) -> str:
        if name.variable not in values:  # of a kind that nobody declares, if any of it is left
            values.update(resolve_all([name], environ))
        return values[name.variable]

    account = environment.store.account
    key, container = secret(environment.store.key), environment.store.container
    held = http.halted_by(stop.lost)
    store = AzureBlob(held, hosts.blob, account, key, container, clock.now)
    data = AzureBlob(held, hosts.blob, account, key, clock=clock.now)
    locks = AzureBlob(http, hosts.blob, account, key, container, clock.now)

    def grant(ref: ModelRef) -> Place:
        name = name_in(data.base, ref.url)
        if name is None:
            raise RefusedError(f"{ref} is not in storage account {account}; no access can be given")
        return data.grant(name, Access.READ, GRANT_S)

    arm = arm or arm_token(environment, http, environ)
    http = http.halted_by(stop.halted)
    connection = Connection(http, hosts, environment, secret, grant, arm)
    known, used = kinds(), _kinds(wanted)
    return World(
        targets={k: known[k].module.connect(connection) for k in used},
        idle=_idle(connection, used) if wanted.whole else {},
        trainers={
            name: BatchExecution(http, hosts, service, secret(service.key))
            for name, service in environment.training_services.items()
            if name in _services(wanted.bindings)
        },
        ledger=Ledger(store, locks),
        store=store,
        data=data,
        clock=clock,
        actor=actor or Actor(secrets.token_hex(8)),
        stopping=stop.event.is_set,
    )


def arm_token(
    environment: Environment, http: Http, environ: Mapping[str, str] | None = None
) -> AccessToken:
    """The token of Azure Resource Manager, got as the environment says."""
    environ = os.environ if environ is None else environ
    hosts = _hosts(environment, environ)
    sign_in = EmulatorSignIn() if hosts.emulator else SignIn(environment.auth, http, environ)
    return AccessToken(sign_in, ARM_SCOPE, hosts.arm_origins)


def _hosts(environment: Environment, environ: Mapping[str, str]) -> Hosts:
    url = environ.get(EMULATOR_VARIABLE) or None
    return hosts_of(environment, url, bound_origins(environ))


def blobs(environment: Environment, emulator: str | None) -> str:
    """The base URL of the environment's storage account."""
    return hosts_of(environment, emulator).blob.of(environment.store.account)


def _kinds(wanted: Desired) -> set[str]:
    """The kinds that are asked: of a whole environment or shard all, for the lost may be any."""
    asked = (*wanted.bindings, *wanted.left_out) if wanted.whole else wanted.bindings
    return {binding.kind for binding in asked}


def _idle(connection: Connection, declared: set[str]) -> dict[str, Idle]:
    """The other kinds that may be here, reached when they are asked for."""
    modules = {name: kind.module for name, kind in kinds().items() if name not in declared}
    prefixes = {kind: one.key_prefix(connection.environment) for kind, one in modules.items()}
    return {
        kind: Idle(prefix, cache(partial(modules[kind].connect, connection)))
        for kind, prefix in prefixes.items()
        if prefix
    }


def _services(bindings: Iterable[Binding]) -> set[str]:
    return {binding.recipe.service for binding in bindings}


def secret_variables(wanted: Desired) -> list[str]:
    """The environment variables that `connect` reads secrets from."""
    return [name.variable for name in _secret_names(wanted)]


def _secret_names(wanted: Desired) -> list[SecretName]:
    """The secrets that this environment's bindings need, and no others."""
    environment = wanted.environment
    names = [environment.store.key]
    used = _services(wanted.bindings)
    names += [s.key for n, s in environment.training_services.items() if n in used]
    for binding in wanted.bindings:
        names += [name for _, name in binding.create.secrets] if binding.create else []
    if environment.workspace is not None and "ClassicEndpoint" in _kinds(wanted):
        names.append(environment.workspace.token)
    return names
