"""Signatures of S3: of one request in its headers, or of one URL in its query.

AWS Signature Version 4, of the service `s3` ("Authenticating Requests" in the API reference of
Amazon S3). Pure: the clock is an argument. A test holds both equal to what botocore signs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
MOST_LASTING_S = 7 * 24 * 3600  # what the service allows a presigned URL to last


@dataclass(frozen=True)
class Keys:
    """An access key; `token` belongs to one that is lent for hours, else ""."""

    id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


def signed(
    keys: Keys,
    region: str,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
) -> dict[str, str]:
    """The headers, with those that prove who asks."""
    digest = hashlib.sha256(body).hexdigest()
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": _stamp(now)}
    if keys.token:
        sent["x-amz-security-token"] = keys.token
    parts = urlsplit(url)
    covered = {name.lower(): value for name, value in sent.items()} | {"host": parts.netloc}
    covered.pop("accept-encoding", None)  # proxies rewrite it; botocore leaves it out too
    names = ";".join(sorted(covered))
    lines = [f"{name}:{' '.join(covered[name].split())}" for name in sorted(covered)]
    query = _query(parse_qsl(parts.query, keep_blank_values=True))
    request = [method, parts.path or "/", query, *lines, "", names, digest]
    signature = _signature(keys, region, now, "\n".join(request))
    scope = f"{keys.id}/{_scope(region, now)}"
    sent["Authorization"] = (
        f"{_ALGORITHM} Credential={scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def presigned(keys: Keys, region: str, method: str, url: str, lasting_s: float, now: float) -> str:
    """The URL with a query that lets its bearer do this one thing for so many seconds."""
    asked = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.id}/{_scope(region, now)}",
        "X-Amz-Date": _stamp(now),
        "X-Amz-Expires": str(int(min(lasting_s, MOST_LASTING_S))),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.token:
        asked["X-Amz-Security-Token"] = keys.token
    parts, query = urlsplit(url), _query(asked.items())
    host = f"host:{parts.netloc}"
    request = [method, parts.path or "/", query, host, "", "host", "UNSIGNED-PAYLOAD"]
    return f"{url}?{query}&X-Amz-Signature={_signature(keys, region, now, chr(10).join(request))}"


def _query(items: Iterable[tuple[str, str]]) -> str:
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in items)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _quoted(text: str) -> str:
    return quote(text, safe="~")


def _scope(region: str, now: float) -> str:
    return f"{_stamp(now)[:8]}/{region}/s3/aws4_request"


def _signature(keys: Keys, region: str, now: float, request: str) -> str:
    key = f"AWS4{keys.secret}".encode()
    for part in _scope(region, now).split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, _stamp(now), _scope(region, now), digest])
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%dT%H%M%SZ")
