"""Signing in to Azure: which credential of azure-identity, what it needs, what comes of it.

In CI a way is chosen explicitly; `default` tries a chain (storage-and-identity.md §6.1). In a
job of GitHub the ID token is asked for at every refresh: a login made at the start of the job
dies after minutes, in the middle of a long retrain (AADSTS700024, §6.2).

Foreign exceptions end here, as values: their text is redacted and cut, and none of them stays
behind as the context of an error, where a traceback would print it.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import (
    ConfigurationError,
    ReconcilerError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
    remember_secret,
)
from reconciler.http.credentials import NoToken, Token, unsendable
from reconciler.http.foreign import causes_of, phrase_of
from reconciler.http.response import one_line
from reconciler.http.transport import proxy_of
from reconciler.http.urls import is_loopback, named, origin, split_url
from reconciler.model import Auth
from reconciler.platforms.actions_token import (
    ID_TOKEN_TOKEN,
    ID_TOKEN_URL,
    GitHubIdToken,
    missing_id_token,
)

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from reconciler.http.client import Http

ARM_URL = "https://management.azure.com"
ARM_SCOPE = f"{ARM_URL}/.default"
AUTHORITY = "login.microsoftonline.com"  # whose tokens ARM_URL takes
_REGIONAL_AUTHORITY = ".login.microsoft.com"  # where MSAL goes by AZURE_REGIONAL_AUTHORITY_NAME
CLI_TIMEOUT_S = 30  # `az` takes seconds to start
PAUSE_MAX_S = 20.0  # azure-core would sleep as long as a Retry-After says
LONGEST_LIFE_S = 24 * 3600  # of a managed identity's token; what says more is not believed
MAX_TOKEN_CHARACTERS = 64 * 1024
_TENANT = re.compile(r"[A-Za-z0-9.-]+")
# Whatever azure-identity reads by itself and an identity provider could echo.
_SECRET_VARIABLES = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_PASSWORD",
    "IDENTITY_HEADER",
    "MSI_SECRET",
    ID_TOKEN_TOKEN,
)


class SignIn:
    """One way to sign in, for one thread at a time; `http` says how to connect.

    The credential is made when it is first needed.
    """

    def __init__(self, auth: Auth, http: Http, environ: Mapping[str, str] | None = None) -> None:
        self.auth = auth
        self._http = http
        self._environ = os.environ if environ is None else environ

    def __repr__(self) -> str:
        """The way, and nothing that it needs."""
        return f"SignIn({self.auth.value})"

    def check(self) -> None:
        """Raise what is known to be wrong before anything is asked, all of it at once.

        ConfigurationError for variables, RefusedError for an authority that is not Azure's.
        """
        for variable in _SECRET_VARIABLES:
            remember_secret(self._environ.get(variable, ""))
        wrong = [line for name in self._way.needs for line in _wrong(name, self._environ)]
        if wrong:
            lines = (f"auth: {self.auth.value}: {line}" for line in dict.fromkeys(wrong))
            raise ConfigurationError("\n".join(lines))
        _check_authority(self._environ)

    def token(self, scope: str) -> Token | NoToken:
        """A token for a scope that lives now; azure-identity may have it from its own cache."""
        found = self._asked(scope)
        if isinstance(found, NoToken):
            return found
        if unusable := _unusable(found):
            return self._no_token(UnreadableError, unusable)
        remember_secret(found.value)
        return replace(found, expires_on=min(found.expires_on, int(time.time()) + LONGEST_LIFE_S))

    def _asked(self, scope: str) -> Token | NoToken:
        try:
            self._transport.status = 0
            found = self._credential.get_token(scope)
            return Token(found.token, int(found.expires_on))
        except Exception as exc:  # a malformed answer escapes azure-identity as KeyError and worse
            if ours := next((c for c in causes_of(exc) if isinstance(c, ReconcilerError)), None):
                return NoToken(type(ours), ours.message)
            # What a chain was answered last need not be why it gave up.
            status = 0 if self.auth is Auth.DEFAULT else self._transport.status
            return self._no_token(*_reason(exc, status))

    def _no_token(self, kind: type[ReconcilerError], why: str) -> NoToken:
        asked = "AZURE_TENANT_ID" in self._way.needs
        where = f" at {_authority(self._environ)}" if asked else ""
        fix = f"; {self._way.fix}" if kind is UnauthorizedError else ""
        told = f"signing in to Azure{where} (auth: {self.auth.value}): {why}{fix}"
        return NoToken(kind, one_line(told, 1200))

    @property
    def _way(self) -> _Way:
        return _WAYS[self.auth]

    @functools.cached_property
    def _transport(self) -> _Transport:
        return _Transport(self._http)

    @functools.cached_property
    def _credential(self) -> TokenCredential:
        self.check()
        _quiet()
        try:
            return self._way.make(self._environ, self._http, self._transport)
        except ValueError as exc:  # azure-identity's words on a tenant that cannot be one
            raise ConfigurationError(f"auth: {self.auth.value}: {_words(str(exc))}") from exc


# --- what is known beforehand ---------------------------------------------------------------


def _wrong(variable: str, environ: Mapping[str, str]) -> list[str]:
    """What is wrong with a variable that is needed, with its fix; nothing, mostly."""
    value = environ.get(variable, "")
    if not value:
        return [_missing(variable, environ)]
    if bad := unsendable(variable, value):
        return [bad]
    if variable == "AZURE_TENANT_ID" and not _TENANT.fullmatch(value):
        return [f"AZURE_TENANT_ID is {one_line(value, 60)}, which is no tenant; write its id"]
    if variable == "AZURE_FEDERATED_TOKEN_FILE" and not Path(value).is_file():
        return [
            f"AZURE_FEDERATED_TOKEN_FILE names {value}, which is no file; mount the token there"
        ]
    return []


def _missing(variable: str, environ: Mapping[str, str]) -> str:
    if variable in (ID_TOKEN_URL, ID_TOKEN_TOKEN):
        return missing_id_token(environ)
    return f"environment variable {variable} is not set; {_FIXES[variable]}"


_FIXES = {
    "AZURE_CLIENT_ID": "give it the application (client) id of the app registration",
    "AZURE_TENANT_ID": "give it the directory (tenant) id",
    "AZURE_CLIENT_SECRET": "export it or add it to the CI secrets",
    "AZURE_FEDERATED_TOKEN_FILE": "Kubernetes sets it in pods that use workload identity",
}


def _authority(environ: Mapping[str, str]) -> str:
    """The https URL where tokens are given; azure-identity takes a bare host too."""
    named = environ.get("AZURE_AUTHORITY_HOST", "").strip().rstrip("/") or AUTHORITY
    return named if "://" in named else f"https://{named}"


def is_authority(url: str) -> bool:
    """Whether secrets and ID tokens may be exchanged for access tokens at this URL."""
    scheme, host, port = origin(url) or ("", "", 0)
    public = host == AUTHORITY or host.endswith(_REGIONAL_AUTHORITY)
    return scheme == "https" and (is_loopback(host) or (public and port == 443))


def _check_authority(environ: Mapping[str, str]) -> None:
    if is_authority(authority := _authority(environ)):
        return
    raise RefusedError(
        f"environment variable AZURE_AUTHORITY_HOST names {named(authority)}, which must not"
        f" have the means to sign in: this program needs tokens of https://{AUTHORITY}; unset it"
    )


# --- what came of it ------------------------------------------------------------------------


def _unusable(token: Token) -> str:
    """Why a token cannot be used; "" when it can. The token itself is not shown."""
    value: object = token.value
    if not isinstance(value, str) or not value or len(value) > MAX_TOKEN_CHARACTERS:
        return "the answer holds no access token"
    if not (value.isascii() and value.isprintable()) or " " in value:
        return "the access token of the answer can stand in no header"
    if token.expires_on <= time.time():
        return "the access token of the answer has expired already; see this machine's clock"
    return ""


def _reason(exc: Exception, status: int) -> tuple[type[ReconcilerError], str]:
    """What a foreign exception means, without its URLs and objects; status 0: nothing answered."""
    from azure.core.exceptions import (
        AzureError,
        DecodeError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.identity import CredentialUnavailableError

    def caused_by(*kinds: type[Exception]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes_of(exc))

    if caused_by(ServiceRequestError, ServiceResponseError):
        return UnreachableError, phrase_of(exc)[0]
    if status in (408, 429) or status >= 500:
        return UnavailableError, f"it answers {status}; try again later"
    if isinstance(exc, OSError) and exc.filename:  # the token that Kubernetes mounts
        return ConfigurationError, f"{exc.filename} cannot be read: {exc.strerror}"
    told = isinstance(exc, AzureError) and not caused_by(DecodeError, json.JSONDecodeError)
    if isinstance(exc, CredentialUnavailableError) or (told and not 0 < status < 400):
        return UnauthorizedError, _words(str(exc))
    return UnreadableError, "the answer is not that of a token endpoint"


def _words(text: str) -> str:
    """The first line of what was said; of a chain also why each of its members failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    members = [found for line in lines[1:] if (found := re.match(r"(\w+Credential): (.*)", line))]
    told = [f"{name}: {_sentence(said, name)}" for name, said in (m.groups() for m in members)]
    return one_line(" ".join([*lines[:1], *told]) or "no reason was given", 1000)


def _sentence(said: str, name: str) -> str:
    first = said.removeprefix(f"{name} ").partition(". ")[0]
    return f"{one_line(first, 160).rstrip('.')}."


def _quiet() -> None:
    """Keep the libraries from telling failures twice, and unredacted, on stderr."""
    for name in ("azure", "msal"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [logging.NullHandler()]


# --- the ways ---------------------------------------------------------------------------------


class _Transport:
    """azure-core's own transport, with the time-outs, the certificates and the pauses of ours.

    It remembers the status of the last answer, which azure-identity does not always tell, and
    what is posted, which holds the means to sign in, goes to an authority only: MSAL would follow
    a discovery document to any host.
    """

    def __init__(self, http: Http) -> None:
        from azure.core.pipeline.transport import RequestsTransport

        connect_s, read_s = http.timeout_s
        self._pause = http.pause
        self._inner = RequestsTransport(
            connection_timeout=connect_s, read_timeout=read_s, connection_verify=http.trusted
        )
        self.status = 0

    def __enter__(self) -> _Transport:
        """Itself, open."""
        self._inner.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        """Close the connections."""
        self._inner.__exit__(*failure)

    def send(self, request: Any, **how: Any) -> Any:
        """The answer; raises RefusedError for a host that must not have what is posted."""
        if request.method == "POST" and not _may_be_posted(request.url):
            raise RefusedError(
                f"signing in to Azure: the means to sign in must not go to {named(request.url)};"
                f" only to https://{AUTHORITY}"
            )
        proxy_of(request.url)  # or say which variable is wrong
        self.status = 0
        answer = self._inner.send(request, **how)
        self.status = int(answer.status_code)
        return answer

    def sleep(self, duration: float) -> None:
        """Wait before the next try, at most as long as people would."""
        self._pause(min(duration, PAUSE_MAX_S))


def _may_be_posted(url: str) -> bool:
    parts = split_url(url)  # the Cloud Shell gives tokens by plain http on its own machine
    return is_authority(url) or (parts is not None and is_loopback(parts.hostname or ""))


def _entra(environ: Mapping[str, str], transport: _Transport) -> dict[str, Any]:
    """How to speak with the authority. MSAL asks the public one about any other it is given."""
    authority = _authority(environ)
    parts = split_url(authority)
    return {
        "authority": authority,
        "disable_instance_discovery": parts is not None and is_loopback(parts.hostname or ""),
        "transport": transport,
    }


def _default(environ: Mapping[str, str], _: Http, transport: _Transport) -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(process_timeout=CLI_TIMEOUT_S, **_entra(environ, transport))


def _azure_cli(_: Mapping[str, str], __: Http, ___: _Transport) -> TokenCredential:
    from azure.identity import AzureCliCredential

    return AzureCliCredential(process_timeout=CLI_TIMEOUT_S)


def _workload_identity(
    environ: Mapping[str, str], _: Http, transport: _Transport
) -> TokenCredential:
    from azure.identity import WorkloadIdentityCredential

    return WorkloadIdentityCredential(
        tenant_id=environ["AZURE_TENANT_ID"],
        client_id=environ["AZURE_CLIENT_ID"],
        token_file_path=environ["AZURE_FEDERATED_TOKEN_FILE"],
        **_entra(environ, transport),
    )


def _github_oidc(environ: Mapping[str, str], http: Http, transport: _Transport) -> TokenCredential:
    from azure.identity import ClientAssertionCredential

    server = environ.get("GITHUB_SERVER_URL", "")
    fresh = GitHubIdToken(http, environ[ID_TOKEN_URL], environ[ID_TOKEN_TOKEN], server)
    tenant, client = environ["AZURE_TENANT_ID"], environ["AZURE_CLIENT_ID"]
    return ClientAssertionCredential(tenant, client, fresh, **_entra(environ, transport))


def _client_secret(environ: Mapping[str, str], _: Http, transport: _Transport) -> TokenCredential:
    from azure.identity import ClientSecretCredential

    tenant, client = environ["AZURE_TENANT_ID"], environ["AZURE_CLIENT_ID"]
    secret = environ["AZURE_CLIENT_SECRET"]
    return ClientSecretCredential(tenant, client, secret, **_entra(environ, transport))


def _managed_identity(
    environ: Mapping[str, str], _: Http, transport: _Transport
) -> TokenCredential:
    from azure.identity import ManagedIdentityCredential

    # A user-assigned identity is told by its client id, as DefaultAzureCredential reads it.
    client = environ.get("AZURE_CLIENT_ID") or None
    return ManagedIdentityCredential(client_id=client, transport=transport)


@dataclass(frozen=True)
class _Way:
    """The variables that a way needs, the credential, and what to do when it is turned down."""

    needs: tuple[str, ...]
    make: Callable[[Mapping[str, str], Http, _Transport], TokenCredential]
    fix: str


_APP = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
_WAYS: Mapping[Auth, _Way] = {
    Auth.DEFAULT: _Way(
        (), _default, "sign in with `az login`, or choose one way by `auth` or --auth"
    ),
    Auth.AZURE_CLI: _Way((), _azure_cli, "install the Azure CLI and sign in with `az login`"),
    Auth.WORKLOAD_IDENTITY: _Way(
        (*_APP, "AZURE_FEDERATED_TOKEN_FILE"),
        _workload_identity,
        "compare the federated credential of the app with the pod's service account",
    ),
    Auth.GITHUB_OIDC: _Way(
        (*_APP, ID_TOKEN_URL, ID_TOKEN_TOKEN),
        _github_oidc,
        "compare the federated credential of the app with this job's repository, branch and"
        " environment",
    ),
    Auth.CLIENT_SECRET: _Way(
        (*_APP, "AZURE_CLIENT_SECRET"),
        _client_secret,
        "compare tenant, client and secret with the app registration; secrets expire",
    ),
    Auth.MANAGED_IDENTITY: _Way(
        (),
        _managed_identity,
        "give this machine an identity, or AZURE_CLIENT_ID the client id of one that it has",
    ),
}
