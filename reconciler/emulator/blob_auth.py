"""Who may do what in Blob storage: shared access signatures and shared keys.

The strings to sign are Microsoft's, by the `sv` of the token ("Create a service SAS", "Authorize
with Shared Key"). The official azure-storage-blob client is the second opinion in the tests.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.emulator.messages import Request

SIGNED_VERSION = "2021-12-02"
_HEADERS = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type"),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
_OVERRIDES = ("rscc", "rscd", "rsce", "rscl", "rsct")


def signature(key: bytes, text: str) -> str:
    """The base64 HMAC-SHA256 of a string to sign."""
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def sas_string(sas: Mapping[str, str], account: str, container: str, blob: str) -> str:
    """The string to sign of a service SAS; its lines came with the versions of the service."""
    version = sas.get("sv", "")
    place = f"/{account}/{container}" + (f"/{blob}" if sas.get("sr") == "b" else "")
    if version >= "2015-02-21":
        place = "/blob" + place
    lines = [sas.get("sp", ""), sas.get("st", ""), sas.get("se", ""), place, sas.get("si", "")]
    if version >= "2015-04-05":
        lines += [sas.get("sip", ""), sas.get("spr", "")]
    lines.append(version)
    if version >= "2018-11-09":
        lines += [sas.get("sr", ""), ""]
    if version >= "2020-12-06":
        lines.append(sas.get("ses", ""))
    return "\n".join([*lines, *(sas.get(name, "") for name in _OVERRIDES)])


def sas_allows(
    key: bytes, sas: Mapping[str, str], place: tuple[str, str, str], permissions: str, now: float
) -> str:
    """ "" when the SAS allows one of `permissions` now; else the error code."""
    text = sas_string(sas, *place)
    if not hmac.compare_digest(signature(key, text), sas.get("sig", "")):
        return "AuthenticationFailed"
    starts, ends = _seconds(sas.get("st", "")), _seconds(sas.get("se", ""))
    if ends is None or now >= ends or (starts is not None and now < starts):
        return "AuthenticationFailed"
    if not set(permissions) & set(sas.get("sp", "")):
        return "AuthorizationPermissionMismatch"
    return ""


def parse_sas(query: str) -> dict[str, str]:
    """The members of a SAS, with or without its leading question mark."""
    return dict(parse_qsl(query.lstrip("?"), keep_blank_values=True))


def mint(
    key: bytes, place: tuple[str, str, str], permissions: str, starts: float, ends: float
) -> str:
    """A SAS for one blob, with its leading question mark, as the service hands them out (§4.4)."""
    sas = {
        "sv": SIGNED_VERSION,
        "sr": "b",
        "st": _stamp(starts),
        "se": _stamp(ends),
        "sp": permissions,
    }
    sas["sig"] = signature(key, sas_string(sas, *place))
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in sas.items())


def shared_key_fits(key: bytes, account: str, request: Request) -> bool:
    """Whether the Authorization header is the SharedKey signature of this request."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    named, _, sent = given.partition(":")
    if scheme != "SharedKey" or named != account:
        return False
    return hmac.compare_digest(signature(key, _shared_key_string(account, request)), sent)


def _shared_key_string(account: str, request: Request) -> str:
    headers = dict(request.headers)
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    if "x-ms-date" in headers:
        headers["date"] = ""
    lines = [request.method, *(headers.get(name, "") for name in _HEADERS)]
    ours = sorted((n, " ".join(v.split())) for n, v in headers.items() if n.startswith("x-ms-"))
    lines += [f"{name}:{value}" for name, value in ours]
    lines.append(f"/{account}{request.path}")
    pairs: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        pairs.setdefault(unquote(name).casefold(), []).append(value)
    lines += [f"{name}:{','.join(sorted(values))}" for name, values in sorted(pairs.items())]
    return "\n".join(lines)


def _seconds(stamp: str) -> float | None:
    for shape in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"):
        try:
            return calendar.timegm(time.strptime(stamp, shape))
        except ValueError:
            continue
    return None


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
