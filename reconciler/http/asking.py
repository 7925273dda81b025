"""One request as its caller means it."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict
from urllib.parse import urlsplit

from reconciler.errors import RefusedError
from reconciler.http.urls import is_loopback, split_url


class Credential(Protocol):
    """Something that has an Authorization header for some hosts."""

    def authorization(self, url: str) -> str:
        """The header's value; raises RefusedError for a URL that must not have it."""


@dataclass(frozen=True)
class Dialect:
    """How a family of services names what goes with every request and answer, in headers.

    `asked_as` carries our own id of a request, which `echo` asks the service to repeat: an answer
    with another id is not the answer to that request. `request_id` is the service's id, for its
    support, and `error_code` says in a word what is wrong. "" where the family has no such header.
    """

    asked_as: str = ""
    echo: str = ""
    request_id: str = "x-request-id"
    error_code: str = ""


PLAIN = Dialect()


class Sending(TypedDict, total=False):
    """The parts of a request beside its URL: a body as JSON, as it is, or from a file of this
    machine, piece by piece; headers beside those of every request.

    `max_bytes` bounds the answer. `once` sends it a single time, for what may only follow a look:
    what was not there before the first try may be there before the second.
    """

    credential: Credential | None
    json: Any
    content: bytes | Path | None
    headers: Mapping[str, str]
    max_bytes: int
    once: bool


@dataclass(frozen=True)
class Asked:
    """One request as the caller meant it."""

    method: str
    url: str = field(repr=False)
    credential: Credential | None
    content: bytes | Path | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    what: str
    max_bytes: int
    once: bool

    @property
    def place(self) -> str:
        """Method and URL without query, which is where a SAS would be."""
        return f"{self.method} {without_query(self.url)}"

    @property
    def request(self) -> str:
        """The first line of the request without query, as RFC 9112 has it without its end."""
        return f"{self.method} {urlsplit(self.url).path or '/'}"


def asking(method: str, url: str, what: str, max_bytes: int, sending: Sending) -> Asked:
    """The request; RefusedError for a URL that must not be asked."""
    # Refuse what no service of ours hands out: a user name in a URL even replaces our token.
    parts = split_url(url)
    if parts is None:
        raise RefusedError(f"{what}: not a plain http(s) URL: {without_query(url)!r}")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise RefusedError(f"{what}: plain http leaves this machine only as https: {parts.netloc}")
    body, typed = _encoded(sending.get("json"), sending.get("content"))
    return Asked(
        method,
        url,
        sending.get("credential"),
        body,
        {**typed, **sending.get("headers", {})},
        what,
        sending.get("max_bytes", max_bytes),
        sending.get("once", False),
    )


def without_query(url: str) -> str:
    """The URL up to its query: what may be shown."""
    return url.partition("?")[0].partition("#")[0]


def _encoded(json: Any, content: bytes | Path | None) -> tuple[bytes | Path | None, dict[str, str]]:
    if isinstance(content, Path):  # with its length, or it would be sent without one, in chunks
        return content, {"Content-Length": str(content.stat().st_size)}
    if json is None:
        return content, {}
    text = jsonlib.dumps(json, allow_nan=False)
    return text.encode(), {"Content-Type": "application/json; charset=utf-8"}
