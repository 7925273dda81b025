"""Signing in to Azure: which credential of azure-identity, what it needs, what comes of it.

In CI a way is chosen explicitly; `default` tries a chain (STUDIO_PROTOCOL.md §7.1). In a
job of GitHub the ID token is asked for at every refresh: a login made at the start of the job
dies after minutes, in the middle of a long retrain (AADSTS700024, §7.2).

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
from collections.abc import Iterator, Mapping
from dataclasses import replace
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
from reconciler.http.urls import is_loopback, named, origin
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
        if wrong := list(_wrong(self.auth, self._environ)):
            raise ConfigurationError("\n".join(f"auth: {self.auth.value}: {w}" for w in wrong))
        if not is_authority(authority := _authority(self._environ)):
            raise RefusedError(
                f"environment variable AZURE_AUTHORITY_HOST names {named(authority)}, which must "
                "not have the means to sign in: this program needs tokens of "
                f"https://{AUTHORITY}; unset it"
            )

    def token(self, scope: str) -> Token | NoToken:
        """A token for a scope that lives now; azure-identity may have it from its own cache."""
        token = self._asked(scope)
        if isinstance(token, NoToken):
            return token
        if unusable := _unusable(token):
            return self._no_token(UnreadableError, unusable)
        remember_secret(token.value)
        return replace(token, expires_on=min(token.expires_on, int(time.time()) + LONGEST_LIFE_S))

    def _asked(self, scope: str) -> Token | NoToken:
        """A token from the chosen way, or why there is none; foreign exceptions end here."""
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
        where = f" at {_authority(self._environ)}" if self.auth in _NEEDS else ""
        fix = f"; {_FIXES[self.auth]}" if kind is UnauthorizedError else ""
        message = f"signing in to Azure{where} (auth: {self.auth.value}): {why}{fix}"
        return NoToken(kind, one_line(message, 1200))

    @functools.cached_property
    def _transport(self) -> _Transport:
        return _Transport(self._http)

    @functools.cached_property
    def _credential(self) -> TokenCredential:
        self.check()
        # Keep the libraries from telling failures twice, and unredacted, on stderr.
        for name in ("azure", "msal"):
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.handlers = [logging.NullHandler()]
        try:
            return _credential(self.auth, self._environ, self._http, self._transport)
        except ValueError as exc:  # azure-identity's words on a tenant that cannot be one
            raise ConfigurationError(f"auth: {self.auth.value}: {_words(str(exc))}") from exc


# --- what is known beforehand ---------------------------------------------------------------


def _wrong(auth: Auth, environ: Mapping[str, str]) -> Iterator[str]:
    """Problems of the variables that a way needs"""
    for variable in _NEEDS.get(auth, ()):
        value = environ.get(variable, "")
        if bad := unsendable(variable, value):
            yield bad
        elif not value:
            fix = "export it or add it to the CI secrets"
            yield f"environment variable {variable} is not set; {fix}"
        elif variable == "AZURE_TENANT_ID" and not _TENANT.fullmatch(value):  # it stands in a URL
            yield f"AZURE_TENANT_ID is {one_line(value, 60)}, which is not a tenant; write its id"
    if auth is Auth.GITHUB_OIDC and not (environ.get(ID_TOKEN_URL) and environ.get(ID_TOKEN_TOKEN)):
        yield missing_id_token(environ)


def _authority(environ: Mapping[str, str]) -> str:
    """The https URL where tokens are given; azure-identity takes a bare host too."""
    named = environ.get("AZURE_AUTHORITY_HOST", "").strip().rstrip("/") or AUTHORITY
    return named if "://" in named else f"https://{named}"


def is_authority(url: str) -> bool:
    """Whether secrets and ID tokens may be exchanged for access tokens at this URL."""
    scheme, host, port = origin(url) or ("", "", 0)
    public = host == AUTHORITY or host.endswith(_REGIONAL_AUTHORITY)
    return scheme == "https" and (is_loopback(host) or (public and port == 443))


# --- what came of it ------------------------------------------------------------------------


def _unusable(token: Token) -> str:
    """Why a token cannot be used; "" when it can. The token itself is not shown."""
    value: object = token.value
    if not isinstance(value, str) or not value or len(value) > MAX_TOKEN_CHARACTERS:
        return "the answer holds no access token"
    if not (value.isascii() and value.isprintable()) or " " in value:
        return "the access token of the answer cannot be sent in a header"
    if token.expires_on <= time.time():
        return "the access token of the answer has expired already; check this machine's clock"
    return ""


def _reason(exc: Exception, status: int) -> tuple[type[ReconcilerError], str]:
    """Our kind of error and words for a foreign exception, without URLs; status 0: no answer."""
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
    by_azure = isinstance(exc, AzureError) and not caused_by(DecodeError, json.JSONDecodeError)
    if isinstance(exc, CredentialUnavailableError) or (by_azure and not 0 < status < 400):
        return UnauthorizedError, _words(str(exc))
    return UnreadableError, "the answer is not that of a token endpoint"


def _words(text: str) -> str:
    """The first line of what was said; of a chain also why each of its members failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    members = [match for line in lines[1:] if (match := re.match(r"(\w+Credential): (.*)", line))]
    reasons = []
    for name, words in (member.groups() for member in members):
        first = words.removeprefix(f"{name} ").partition(". ")[0]
        reasons.append(f"{name}: {one_line(first, 160).rstrip('.')}.")
    return one_line(" ".join([*lines[:1], *reasons]) or "no reason was given", 1000)


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
        there = origin(request.url)
        is_here = there is not None and is_loopback(there[1])  # the Cloud Shell's tokens, by http
        if request.method == "POST" and not (is_here or is_authority(request.url)):
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


def _credential(
    auth: Auth, environ: Mapping[str, str], http: Http, transport: _Transport
) -> TokenCredential:
    """The credential of azure-identity; ValueError where it takes a variable for wrong."""
    from azure import identity

    authority = _authority(environ)
    loopback = is_loopback((origin(authority) or ("", "", 0))[1])
    # MSAL asks the public authority about any other that it is given.
    entra = {"authority": authority, "disable_instance_discovery": loopback, "transport": transport}
    tenant, client = environ.get("AZURE_TENANT_ID", ""), environ.get("AZURE_CLIENT_ID", "")
    if auth is Auth.AZURE_CLI:
        return identity.AzureCliCredential(process_timeout=CLI_TIMEOUT_S)
    if auth is Auth.WORKLOAD_IDENTITY:
        path = environ["AZURE_FEDERATED_TOKEN_FILE"]
        return identity.WorkloadIdentityCredential(
            tenant_id=tenant, client_id=client, token_file_path=path, **entra
        )
    if auth is Auth.GITHUB_OIDC:
        server = environ.get("GITHUB_SERVER_URL", "")
        fresh = GitHubIdToken(http, environ[ID_TOKEN_URL], environ[ID_TOKEN_TOKEN], server)
        return identity.ClientAssertionCredential(tenant, client, fresh, **entra)
    if auth is Auth.CLIENT_SECRET:
        secret = environ["AZURE_CLIENT_SECRET"]
        return identity.ClientSecretCredential(tenant, client, secret, **entra)
    if auth is Auth.MANAGED_IDENTITY:  # of a user, told by its client id, or the machine's own
        return identity.ManagedIdentityCredential(client_id=client or None, transport=transport)
    return identity.DefaultAzureCredential(process_timeout=CLI_TIMEOUT_S, **entra)


_APP = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
_NEEDS: Mapping[Auth, tuple[str, ...]] = {
    Auth.WORKLOAD_IDENTITY: (*_APP, "AZURE_FEDERATED_TOKEN_FILE"),
    Auth.GITHUB_OIDC: _APP,
    Auth.CLIENT_SECRET: (*_APP, "AZURE_CLIENT_SECRET"),
}
_FIXES: Mapping[Auth, str] = {  # what to do where a way is turned down
    Auth.DEFAULT: "sign in with `az login`, or choose one way by `auth` or --auth",
    Auth.AZURE_CLI: "install the Azure CLI and sign in with `az login`",
    Auth.WORKLOAD_IDENTITY: "compare the federated credential of the app with the pod's service"
    " account",
    Auth.GITHUB_OIDC: "compare the federated credential of the app with this job's repository,"
    " branch and environment",
    Auth.CLIENT_SECRET: "compare tenant, client and secret with the app registration; secrets"
    " expire",
    Auth.MANAGED_IDENTITY: "give this machine an identity, or AZURE_CLIENT_ID the client id of one"
    " that it has",
}
