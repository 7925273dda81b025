"""Secrets by name, and Authorization headers for the hosts that may see them.

Desired state names secrets; only here do the names become values, which `errors.redact`
knows from then on. A credential is asked per URL and refuses hosts that are not its own
(hosts.py), so neither a pull request nor a service's answer can send a token elsewhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.errors import (
    ConfigurationError,
    Problem,
    RefusedError,
    UnauthorizedError,
    remember_secret,
)
from reconciler.wire.hosts import split_url
from reconciler.wire.http import Credential, without_query

if TYPE_CHECKING:
    from reconciler.model import SecretName
    from reconciler.wire.hosts import Hosts, Role

__all__ = ["AUTH_MODES", "ArmToken", "Bearer", "Credential", "resolve", "resolve_all"]

ARM_SCOPE = "https://management.azure.com/.default"
EMULATOR_TOKEN = "emulator"  # the emulator accepts any: no secret
REFRESH_BEFORE_S = 300.0  # an operation of a few minutes must not outlive its token


# --- names to values ------------------------------------------------------------------------


def resolve(name: SecretName, environ: Mapping[str, str]) -> str:
    """The secret's value; raises ConfigurationError at the name's place when there is none."""
    return resolve_all([name], environ)[name.variable]


def resolve_all(names: Iterable[SecretName], environ: Mapping[str, str]) -> dict[str, str]:
    """The values by variable; raises one ConfigurationError with everything that is missing."""
    wanted = tuple(names)
    problems = [problem for name in wanted if (problem := _problem(name, environ))]
    if problems:
        if all(problem.path for problem in problems):
            raise ConfigurationError(problems)
        raise ConfigurationError("\n".join(sorted({p.message for p in problems})))
    for name in wanted:
        _remember(environ[name.variable])
    return {name.variable: environ[name.variable] for name in wanted}


def _problem(name: SecretName, environ: Mapping[str, str]) -> Problem | None:
    value = environ.get(name.variable, "")
    variable = f"environment variable {name.variable}"
    if not value:
        message = f"{variable} is not set; export it or add it to the CI secrets"
    elif not (value.isascii() and value.isprintable()) or value != value.strip():
        message = f"{variable} holds a line break, a blank at its end or a non-ASCII character"
        message += "; set it again without (printf, not echo)"
    else:
        return None
    where = name.source
    return Problem(where.path, where.line, where.column, message, rule="secret-not-set")


def _remember(secret: str) -> None:
    """Hide the secret, and its spelling in a URL."""
    remember_secret(secret)
    remember_secret(quote(secret, safe=""))


# --- Authorization headers ------------------------------------------------------------------


@dataclass(frozen=True)
class Bearer:
    """A workspace token or an endpoint key (§2.2), for the hosts of one role."""

    secret: str = field(repr=False)
    role: Role
    hosts: Hosts

    def __post_init__(self) -> None:
        """Hide the secret from now on: keys also arrive from services, not only by name."""
        _remember(self.secret)

    def authorization(self, url: str) -> str:
        """`Bearer …`; raises RefusedError for a host that must not have it."""
        _check_receiver(self.hosts, self.role, url)
        return f"Bearer {self.secret}"


class ArmToken:
    """A token for Azure Resource Manager, fetched when first needed and kept until it ages.

    `auth` is the environment's choice, one of AUTH_MODES. On the emulator it is a fixed word
    and azure.identity is never imported.
    """

    def __init__(
        self,
        auth: str,
        hosts: Hosts,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if auth not in AUTH_MODES:
            known = ", ".join(AUTH_MODES)
            raise ConfigurationError(f"auth: {auth!r} is not known; write one of: {known}")
        self._auth = auth
        self._hosts = hosts
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._lock = threading.Lock()
        self._credential: Any = None
        self._token = ""
        self._expires_on = 0.0

    def __repr__(self) -> str:
        """The kind of credential, never the token."""
        return f"ArmToken(auth={self._auth!r})"

    def authorization(self, url: str) -> str:
        """`Bearer …`; raises RefusedError for another host, UnauthorizedError without a token."""
        _check_receiver(self._hosts, "arm", url)
        if self._hosts.emulator:
            return f"Bearer {EMULATOR_TOKEN}"
        with self._lock:  # one thread asks, the others find the answer
            if self._clock() >= self._expires_on - REFRESH_BEFORE_S:
                self._fetch()
            return f"Bearer {self._token}"

    def _fetch(self) -> None:
        token = _asked(self._get_token)
        if isinstance(token, str):
            raise UnauthorizedError(
                f"getting a token for Azure Resource Manager (auth: {self._auth}): {token};"
                " sign in, or choose another `auth` in environment.yaml"
            )
        self._token, self._expires_on = token.token, float(token.expires_on)
        _remember(self._token)

    def _get_token(self) -> Any:
        if self._credential is None:
            self._credential = AUTH_MODES[self._auth](self._environ)
        return self._credential.get_token(ARM_SCOPE)


def _check_receiver(hosts: Hosts, role: Role, url: str) -> None:
    if hosts.may_receive(role, url):
        return
    parts = split_url(url)
    where = f"{parts.scheme}://{parts.netloc}" if parts else without_query(url)
    raise RefusedError(f"a {role} token must not go to {where}: not a {role} host of this cloud")


# --- azure-identity -------------------------------------------------------------------------


def _asked(get_token: Callable[[], Any]) -> Any:
    """The token, or in one short line why there is none; foreign exceptions end here."""
    from azure.core.exceptions import AzureError

    try:
        return get_token()
    except (AzureError, ValueError, OSError) as exc:
        lines = str(exc).strip().splitlines() or [type(exc).__name__]
        return lines[0].strip()[:300]


def _default(_: Mapping[str, str]) -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _azure_cli(_: Mapping[str, str]) -> Any:
    from azure.identity import AzureCliCredential

    return AzureCliCredential()


def _workload_identity(_: Mapping[str, str]) -> Any:
    from azure.identity import WorkloadIdentityCredential

    return WorkloadIdentityCredential()


def _managed_identity(environ: Mapping[str, str]) -> Any:
    from azure.identity import ManagedIdentityCredential

    # A user-assigned identity is told by its client id, as DefaultAzureCredential reads it.
    return ManagedIdentityCredential(client_id=environ.get("AZURE_CLIENT_ID") or None)


def _client_secret(environ: Mapping[str, str]) -> Any:
    from azure.identity import ClientSecretCredential

    names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    if missing := [name for name in names if not environ.get(name)]:
        raise ConfigurationError(
            f"auth: client-secret needs the environment variables {', '.join(missing)};"
            " export them or add them to the CI secrets"
        )
    tenant, client, secret = (environ[name] for name in names)
    _remember(secret)
    return ClientSecretCredential(tenant, client, secret)


# storage-and-identity.md §6.1: chosen explicitly in CI; the default chain tries them all.
AUTH_MODES: Mapping[str, Callable[[Mapping[str, str]], Any]] = {
    "default": _default,
    "azure-cli": _azure_cli,
    "workload-identity": _workload_identity,
    "managed-identity": _managed_identity,
    "client-secret": _client_secret,
}
