"""Secrets by name, and Authorization headers for the hosts that may see them.

Desired state names secrets; only here do the names become values, which `errors.redact` knows from
then on. A credential is asked per URL and refuses servers that are not bound to it (origins.py), so
neither a pull request nor a service's answer can send a token elsewhere.

A token that a thousand endpoints share has three ages, counted from its end:

    fresh         used as it is, without any lock
    soon too old  one thread signs in, the others go on with the token that still lives
    dead          everybody waits for the one that signs in

To renew only when it is dead would be simpler, and all threads would stand still once an hour,
behind a sign-in that may take seconds. To let each thread renew for itself would ask the sign-in
service a thousand times. A failure is shared as well, for a while: where signing in does not work,
a run of a thousand bindings would otherwise wait for a thousand timeouts, and tell the same reason
each time.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import ConfigurationError, Problem, ReconcilerError, remember_secret
from reconciler.http.asking import Credential

if TYPE_CHECKING:
    from reconciler.http.origins import Origins
    from reconciler.model import SecretName

log = logging.getLogger(__name__)

__all__ = ["AccessToken", "Bearer", "Credential", "NoToken", "Token", "resolve", "resolve_all"]

RENEW_BEFORE_S = 300.0  # an operation of a few minutes must not outlive its token
USABLE_S = 60.0  # a request with its retries may take so long
PAUSE_S = 30.0  # between two tries to sign in


# --- names to values ------------------------------------------------------------------------


def resolve(name: SecretName, environ: Mapping[str, str]) -> str:
    """The secret's value; raises ConfigurationError at the name's place when there is none."""
    return resolve_all([name], environ)[name.variable]


def resolve_all(names: Iterable[SecretName], environ: Mapping[str, str]) -> dict[str, str]:
    """The values by variable; raises one ConfigurationError with everything that is missing."""
    listed = tuple(names)
    problems = [problem for name in listed if (problem := _problem(name, environ))]
    if problems:
        if all(problem.path for problem in problems):
            raise ConfigurationError(problems)
        raise ConfigurationError("\n".join(sorted({p.message for p in problems})))
    for name in listed:
        remember_secret(environ[name.variable])
    return {name.variable: environ[name.variable] for name in listed}


def _problem(name: SecretName, environ: Mapping[str, str]) -> Problem | None:
    """The problem of a variable that is not set, or cannot be sent; None where it is fine."""
    value = environ.get(name.variable, "")
    message = unsendable(name.variable, value)
    if not value:
        variable = f"environment variable {name.variable}"
        message = f"{variable} is not set; export it or add it to the CI secrets"
    if not message:
        return None
    where = name.source
    return Problem(where.path, where.line, where.column, message, rule="secret-not-set")


def unsendable(variable: str, value: str) -> str:
    """Why a variable's value cannot be sent in a header, with the fix; "" when it can."""
    if value.isascii() and value.isprintable() and value == value.strip():
        return ""
    return (
        f"environment variable {variable} holds a line break, a blank at its end or a non-ASCII"
        " character; set it again without (printf, not echo)"
    )


# --- Authorization headers ------------------------------------------------------------------


@dataclass(frozen=True)
class Bearer:
    """A token or a key that is known beforehand, for the origins that may hear it."""

    secret: str = field(repr=False)
    origins: Origins

    def __post_init__(self) -> None:
        """Hide the secret from now on: keys also arrive from services, not only by name."""
        remember_secret(self.secret)

    def authorization(self, url: str) -> str:
        """`Bearer …`; raises RefusedError for a server that must not have it."""
        self.origins.check(url)
        return f"Bearer {self.secret}"


@dataclass(frozen=True)
class Token:
    """An access token and when it expires, in seconds since the epoch."""

    value: str = field(repr=False)
    expires_on: int


@dataclass(frozen=True)
class NoToken:
    """Why there is no token, as the error to raise: on one line, with its fix."""

    kind: type[ReconcilerError]
    message: str

    def error(self) -> ReconcilerError:
        """A new error; many threads raise the same one."""
        return self.kind(self.message)


class SignIn(Protocol):
    """A way to get access tokens."""

    def check(self) -> None:
        """Raise what is known to be missing before any request."""

    def token(self, scope: str) -> Token | NoToken:
        """A token for a scope that lives now."""


class AccessToken:
    """The access token of one scope, fetched when first needed and renewed before it expires.

    Threads share it: one renews, and while the old token lives the others go on with it. Where
    signing in fails, all hear of the same failure for a while, or each of a thousand bindings
    would wait for a sign-in of its own.
    """

    def __init__(
        self, sign_in: SignIn, scope: str, origins: Origins, clock: Callable[[], float] = time.time
    ) -> None:
        self._sign_in = sign_in
        self._scope = scope
        self._origins = origins
        self._clock = clock
        self._renewing = threading.Lock()
        self._kept = Token("", 0)
        self._failure: NoToken | None = None
        self._asked_at = -math.inf

    def __repr__(self) -> str:
        """How it is got, never the token."""
        return f"AccessToken({self._scope}, {self._sign_in!r})"

    def check(self) -> None:
        """Raise what is known to be missing before any request."""
        self._sign_in.check()

    def authorization(self, url: str) -> str:
        """`Bearer …`; RefusedError for another server, and the failure where there is no token."""
        self._origins.check(url)
        return f"Bearer {self._current().value}"

    def _current(self) -> Token:
        """A token that lives; the shared failure where there is none. One thread renews at a
        time."""
        token = self._kept
        if self._lasts(token, RENEW_BEFORE_S):
            return token
        # Who finds the lock taken waits for the answer, but not with a token that still lives.
        if self._renewing.acquire(blocking=not self._lasts(token, USABLE_S)):
            try:
                self._renew()
            finally:
                self._renewing.release()
        token, failure = self._kept, self._failure
        if failure is not None and not self._lasts(token, 0):
            raise failure.error()
        return token

    def _renew(self) -> None:
        """Ask for a token, unless another thread just did."""
        answered = self._failure is not None or self._lasts(self._kept, USABLE_S)
        just_asked = answered and 0 <= self._clock() - self._asked_at < PAUSE_S
        if just_asked or self._lasts(self._kept, RENEW_BEFORE_S):
            return
        token = self._sign_in.token(self._scope)
        self._asked_at = self._clock()
        self._failure = token if isinstance(token, NoToken) else None
        if isinstance(token, Token):
            self._kept = token
            left_s = token.expires_on - self._clock()
            log.info("%r: signed in; the access token lasts %.0f minutes", self, left_s / 60)
        elif self._lasts(self._kept, 0):
            log.warning("the old access token is used until it expires: %s", token.message)

    def _lasts(self, token: Token, seconds: float) -> bool:
        return self._clock() < token.expires_on - seconds
