"""Ways into a storage account: by its key, by a token of whoever runs the program, or by a
signature.

The key signs each request for one blob and for minutes. A token of Microsoft Entra needs no key at
all; where a job needs access to one blob, storage lends a key that signs as this identity for an
hour ("Create a user delegation SAS"), and what it signs can do no more than the identity may.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import UnauthorizedError, remember_secret
from reconciler.http.asking import Credential
from reconciler.http.response import parse_xml
from reconciler.stores.azure_sas import (
    CLOCK_SKEW_S,
    VERSION,
    SigningKey,
    account_key,
    sign,
    stamp,
)

if TYPE_CHECKING:
    from reconciler.http.client import Http
    from reconciler.http.origins import Origins

SCOPE = "https://storage.azure.com/.default"
TERMS = ("SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService", "SignedVersion")
_LENT_S = 3600.0  # how long a delegation key is asked for beyond what it is to sign


class Access(Protocol):
    """A way into one account; paths are `container/blob`."""

    credential: Credential | None

    def query(self, path: str, permissions: str, lasting_s: float) -> str:
        """The query that signs a request of ours, with its `?`; "" where a header does."""

    def sas(self, path: str, permissions: str, lasting_s: float) -> str:
        """The query that lets a bearer into one blob, with its `?`."""


class ByKey:
    """By the key of the account, which signs only for the hosts that may hear a signature."""

    credential: Credential | None = None

    def __init__(
        self, account: str, key: str, url: str, origins: Origins, clock: Callable[[], float]
    ) -> None:
        """ConfigurationError for a key that is none; `url` is the account's."""
        self._key = account_key(account, key)
        self._url = url
        self._origins = origins
        self._clock = clock

    def query(self, path: str, permissions: str, lasting_s: float) -> str:
        """A SAS for this path."""
        self._origins.check(self._url)
        return sign(
            self._key,
            path,
            permissions=permissions,
            now=self._clock(),
            expires_in_s=lasting_s,
            https_only=self._url.startswith("https:"),
        )

    sas = query


class BySas:
    """By a signature that somebody else made, for reading what it opens and nothing else.

    `sas` is "" where the container is open to all; `url` is the account's.
    """

    credential: Credential | None = None

    def __init__(self, sas: str, url: str, origins: Origins) -> None:
        self._sas = sas
        self._url = url
        self._origins = origins

    def query(self, path: str, permissions: str, lasting_s: float) -> str:  # noqa: ARG002
        """The signature, whatever is asked for."""
        self._origins.check(self._url)
        return f"?{self._sas}" if self._sas else ""

    sas = query


class ByToken:
    """By tokens; the delegation key is kept while it lasts."""

    def __init__(
        self, account: str, credential: Credential, url: str, http: Http, clock: Callable[[], float]
    ) -> None:
        """Nothing is asked yet; `url` is the account's."""
        self.credential: Credential | None = credential
        self._account = account
        self._url = url
        self._http = http
        self._clock = clock
        self._guard = threading.Lock()
        self._lent: SigningKey | None = None

    def query(self, path: str, permissions: str, lasting_s: float) -> str:  # noqa: ARG002
        """Nothing: the token is in a header."""
        return ""

    def sas(self, path: str, permissions: str, lasting_s: float) -> str:
        """A SAS that is signed as this identity."""
        now = self._clock()
        with self._guard:
            if self._lent is None or self._lent.ends < now + lasting_s:
                self._lent = self._borrowed(now, now + lasting_s + _LENT_S)
            lent = self._lent
        return sign(
            lent,
            path,
            permissions=permissions,
            now=now,
            expires_in_s=lasting_s,
            https_only=self._url.startswith("https:"),
        )

    def _borrowed(self, now: float, ends: float) -> SigningKey:
        """A key to sign with until `ends`, in seconds since the epoch, as the account lends it."""
        times = f"<Start>{stamp(now - CLOCK_SKEW_S)}</Start><Expiry>{stamp(ends)}</Expiry>"
        try:
            answer = self._http.request(
                "POST",
                f"{self._url}?restype=service&comp=userdelegationkey",
                credential=self.credential,
                content=f"<KeyInfo>{times}</KeyInfo>".encode(),
                headers={"x-ms-version": VERSION, "Content-Type": "application/xml"},
                what=f"asking for a user delegation key of storage account {self._account}",
            )
        except UnauthorizedError as exc:
            raise missing_role(exc, "Storage Blob Delegator") from exc
        page = parse_xml(answer.body)
        members = {child.tag: child.text or "" for child in page} if page is not None else {}
        try:
            key = base64.b64decode(members.get("Value", ""), validate=True)
        except binascii.Error:
            key = b""
        if not key or not all(members.get(name) for name in TERMS):
            raise answer.unreadable("a user delegation key")
        remember_secret(members["Value"])
        names = ("skoid", "sktid", "skt", "ske", "sks", "skv")
        terms = dict(zip(names, (members[name] for name in TERMS), strict=True))
        return SigningKey(self._account, key, terms, ends)


class AnyToken:
    """A credential of the emulator, which takes any word from whoever signs in."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def authorization(self, url: str) -> str:
        """A word that is no secret, for the emulator alone."""
        self._origins.check(url)
        return "Bearer anybody"


def missing_role(error: UnauthorizedError, role: str) -> UnauthorizedError:
    """The error with the role that such an identity needs."""
    why = f'{error.message}; give the identity the role "{role}" on the account or container'
    return UnauthorizedError(why, status=error.status, code=error.code)
