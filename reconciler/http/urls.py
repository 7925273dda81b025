"""URLs that every parser reads alike, and their parts.

A pull request can write URLs, and services answer with URLs of their own choice. Code that decides
by a URL where a request or a secret goes must see the host that the HTTP library will see.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit

from reconciler.errors import UnreadableError, printable

Origin = tuple[str, str, int]  # scheme, host in lower case, port

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Stricter than the RFC on purpose: urllib, requests and proxies disagree about user names,
# backslashes and control characters in an authority, and disagreement here leaks tokens.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[::1\])(?::[0-9]{1,5})?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=256)  # each request asks twice: for its credential, and on its way
def split_url(url: str) -> SplitResult | None:
    """The parts of a plain http(s) URL; None for anything that two parsers may read differently."""
    if not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port  # raises ValueError above 65535
    except ValueError:
        return None
    plain = parts.scheme in _DEFAULT_PORTS and port != 0 and _AUTHORITY.fullmatch(parts.netloc)
    return parts if plain else None


def origin(url: str) -> Origin | None:
    """Scheme, host and port of a plain URL; None for anything else."""
    parts = split_url(url)
    if parts is None:
        return None
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def named(url: str) -> str:
    """Scheme, host and port, for a message; nothing else of a URL is fit to be shown."""
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc}" if parts else "that"


def why_not_asked(url: str, form: str = "https://HOST:PORT") -> str:
    """Why nobody is asked at a URL that a person wrote, with the fix; "" where it is fine."""
    if (parts := split_url(url)) is None:
        return f'"{url}" is not a plain URL; write {form}'
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return f"plain http does not leave this machine; write https://{parts.netloc}"
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    return host.lower() in LOOPBACK


def path_part(name: str, what: str) -> str:
    """A name that a person or a service gave, as one part of a path, quoted.

    UnreadableError for a name that would be another path.
    """
    if name in ("", ".", ".."):
        raise UnreadableError(f"{what} is {name!r}, which cannot be a part of a path")
    return quote(name, safe="")


def path_id(ident: str, what: str) -> str:
    """An id that a service handed out, as one part of a path; UnreadableError for what is none."""
    if not _ID.fullmatch(ident):
        raise UnreadableError(f"{what} is {printable(ident)[:100]!r}, which is not an id")
    return ident
