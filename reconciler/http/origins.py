"""Which servers may hear which secret. This is decided outside git.

The desired state may name servers, and whoever can open a pull request can change these names. If
a secret followed them, one merged line would send it to a stranger. So a secret is bound to its
servers elsewhere: to the hosts of a cloud that are compiled into this program, or to those that
the variable RECONCILER_ORIGINS lists, which stands beside the secrets where no pull request
reaches. A URL of the desired state that is bound to nothing gets no secret, and neither does a URL
that a service answered: each request asks here again, and redirects are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.errors import ConfigurationError, RefusedError
from reconciler.http.urls import Origin, is_loopback, named, origin, split_url

VARIABLE = "RECONCILER_ORIGINS"


@dataclass(frozen=True)
class Origins:
    """The servers that may hear one secret.

    `secret` names it in messages: "a token of Azure Resource Manager". `exact` are whole origins.
    `hosts` matches whole names of hosts that are trusted at https and port 443. `bindable` says
    that RECONCILER_ORIGINS can add to them.
    """

    secret: str
    exact: frozenset[Origin] = frozenset()
    hosts: re.Pattern[str] | None = None
    bindable: bool = False

    def also(self, bound: frozenset[Origin]) -> Origins:
        """These and the origins that RECONCILER_ORIGINS binds."""
        return replace(self, exact=self.exact | bound, bindable=True)

    def __contains__(self, url: str) -> bool:
        """Whether the secret may go to this URL."""
        there = origin(url)
        if there is None:
            return False
        scheme, host, port = there
        at_home = self.hosts is not None and self.hosts.fullmatch(host) is not None
        return there in self.exact or ((scheme, port) == ("https", 443) and at_home)

    def check(self, url: str) -> None:
        """Raise RefusedError, with the fix, for a URL that must not get the secret."""
        if url in self:
            return
        fix = f"; if you trust it, add it to {VARIABLE} beside the secrets"
        raise RefusedError(
            f"{self.secret} must not go to {named(url)}, which is not bound to it outside git"
            + (fix if self.bindable and origin(url) else "")
        )


def bound_origins(environ: Mapping[str, str]) -> frozenset[Origin]:
    """The origins that RECONCILER_ORIGINS lists, separated by spaces.

    ConfigurationError for an entry that is not `https://HOST[:PORT]`; http is for this machine.
    """
    return frozenset(
        _bound(entry, number)
        for number, entry in enumerate(environ.get(VARIABLE, "").split(), start=1)
    )


def _bound(entry: str, number: int) -> Origin:
    """The origin in one entry of the variable. ConfigurationError names an entry by its number,
    because it may hold a password."""
    parts, there = split_url(entry), origin(entry)
    if parts is None or there is None or parts.path not in ("", "/") or parts.query:
        raise ConfigurationError(
            f"environment variable {VARIABLE}: entry {number} must be https://HOST:PORT, without a "
            "path, a query, a user or a wildcard; separate entries by spaces"
        )
    if parts.scheme != "https" and not is_loopback(there[1]):
        raise ConfigurationError(
            f"environment variable {VARIABLE}: entry {number} is {named(entry)}, and a secret "
            "leaves this machine by https only; write https://"
        )
    return there
