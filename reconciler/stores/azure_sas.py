"""Shared access signatures: a URL's own short-lived permission, signed with the account key.

Service SAS and user delegation SAS of version 2021-12-02 (Microsoft's "Create a service SAS" and
"Create a user delegation SAS", strings-to-sign of 2020-12-06 and later). Pure: the clock is an
argument. A test holds both equal to what azure-storage-blob signs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from reconciler.errors import ConfigurationError, remember_secret

VERSION = "2021-12-02"  # Azurite and Azure know it (STUDIO_PROTOCOL.md §6.1)
CLOCK_SKEW_S = 300.0


@dataclass(frozen=True)
class SigningKey:
    """The key of a storage account, decoded; or one that storage lends to an identity, until it
    `ends`, in seconds since the epoch: then `terms` stand in each SAS that it signs."""

    account: str
    key: bytes = field(repr=False)
    terms: Mapping[str, str] = field(default_factory=dict)
    ends: float = math.inf


def account_key(account: str, text: str) -> SigningKey:
    """The key from its base64 text; raises ConfigurationError, without printing it."""
    remember_secret(text)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key or base64.b64encode(key).decode() != text:  # Python forgives surplus padding
        raise ConfigurationError(
            f"the key of storage account {account} is not base64; copy it again, whole"
        )
    return SigningKey(account, key)


def sign(
    key: SigningKey,
    path: str,
    *,
    permissions: str,
    now: float,
    expires_in_s: float,
    https_only: bool,
) -> str:
    """A SAS token with its leading `?`, for `container/blob` or, without a slash, a container.

    It begins five minutes ago, because clocks differ, and its permissions must stand in the
    documented order (`racwdl`).
    """
    fields = {
        "sp": permissions,
        "st": stamp(now - CLOCK_SKEW_S),
        "se": stamp(now + expires_in_s),
        "spr": "https" if https_only else "",
        "sv": VERSION,
        "sr": "b" if "/" in path else "c",
    }
    # Empty are: stored policy, or whom a delegated SAS is for; addresses; snapshot, encryption
    # scope, and five response headers.
    terms = [""]
    if key.terms:
        terms, fields = [*key.terms.values(), "", "", ""], {**fields, **key.terms}
    signed = [fields["sp"], fields["st"], fields["se"], f"/blob/{key.account}/{path}", *terms, ""]
    signed += [fields["spr"], fields["sv"], fields["sr"], *[""] * 7]
    digest = hmac.new(key.key, "\n".join(signed).encode(), hashlib.sha256).digest()
    fields["sig"] = base64.b64encode(digest).decode()
    asked = {name: value for name, value in fields.items() if value}
    return "?" + urlencode(asked, quote_via=quote)


def stamp(seconds: float) -> str:
    """The time as storage writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
