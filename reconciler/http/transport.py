"""How a request leaves: over connections that are pooled per origin.

urllib3's pool looks at an idle connection before it is used again, and makes another where the
service has closed it or has sent what nobody asked for (bounds.py). http goes to this machine only,
and never by a proxy, so a proxy is always a tunnel, in which the target of a request is what it is
without one.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment as bypasses  # type: ignore[attr-defined]

from reconciler.errors import ConfigurationError, redact
from reconciler.http.bounds import PACKED, BoundedAnswer, chunks_of
from reconciler.http.urls import is_loopback

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool, PoolManager

_PROXY = re.compile(
    r"(?:(?P<scheme>https?|socks(?:4a?|5h?))://)?(?:[^\s/?#]*@)?"
    r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)
UNHEARD_MS = 20_000  # a lock is given up 20 seconds before its lease ends
HEADERS = {"User-Agent": "reconciler", "Accept-Encoding": PACKED, "Accept": "*/*"}


@dataclass(frozen=True)
class Raw:
    """An answer whose body is still to be read, to its end or not; then it must be closed."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Transport(Protocol):
    """A sender of single requests. Whatever it raises is foreign: see `foreign_errors`."""

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | IO[bytes] | None,
        check: Callable[[], None],
    ) -> Raw:
        """The answer, its body unread. A redirect is an answer, and cookies are not kept.

        `check` is called when a connection had to be made, which may take half a minute; where it
        raises, nothing is sent.
        """

    def close(self) -> None:
        """Close the connections."""


class Pooled:
    """Connections that `threads` share; `trusted` is a CA file or folder, or True for certifi's."""

    def __init__(self, threads: int, timeout_s: tuple[float, float], trusted: bool | str) -> None:
        import certifi
        from urllib3 import Retry, Timeout
        from urllib3.connection import HTTPConnection

        options = list(HTTPConnection.default_socket_options)
        # Where the system can: bytes that nobody acknowledges in time are never sent again, not
        # even after their connection was given up. A write must not arrive when another run has
        # the lock.
        if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
            options.append((socket.IPPROTO_TCP, option, UNHEARD_MS))
        path = trusted if isinstance(trusted, str) else certifi.where()
        kind = "ca_cert_dir" if Path(path).is_dir() else "ca_certs"
        self._settings: dict[str, Any] = {
            "num_pools": 16,
            "maxsize": max(threads, 1),
            "timeout": Timeout(connect=timeout_s[0], read=timeout_s[1]),
            "retries": Retry(0, read=False),  # the loop of tries is not urllib3's
            "socket_options": options,
            "cert_reqs": "CERT_REQUIRED",
            kind: path,
        }
        self._managers: dict[str, PoolManager] = {}  # by proxy
        self._pools: dict[tuple[str, str], HTTPConnectionPool] = {}  # by origin
        self._asking = threading.local()  # whose `check` is that of the request of a thread
        for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).addFilter(_redacted)

    def close(self) -> None:
        """Close the pooled connections."""
        for pool in self._pools.values():
            pool.close()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | IO[bytes] | None,
        check: Callable[[], None],
    ) -> Raw:
        """The answer, its body unread."""
        parts = urlsplit(url)
        pool = self._pools.get((parts.scheme, parts.netloc))
        if pool is None:
            pool = self._manager(proxy_of(url)).connection_from_url(url)
            self._pools[parts.scheme, parts.netloc] = pool
        self._asking.check = check
        answer = pool.urlopen(
            method,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=content,
            headers={**HEADERS, **headers},
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        chunks = chunks_of(answer, method)
        return Raw(answer.status, dict(answer.headers.itermerged()), chunks, answer.close)

    def _manager(self, proxy: str) -> PoolManager:
        """The pools behind one proxy, made when it is first asked."""
        if proxy not in self._managers:
            manager = _new_manager(proxy, self._settings)
            manager.pool_classes_by_scheme = {
                scheme: self._pool_class(usual)
                for scheme, usual in manager.pool_classes_by_scheme.items()
            }
            self._managers[proxy] = manager
        return self._managers[proxy]

    def _pool_class(self, usual: Any) -> Any:
        """A class of pools whose connections bound what they are answered."""
        asking = self._asking

        class Connection(usual.ConnectionCls):  # type: ignore[misc]
            response_class = BoundedAnswer

            def connect(self) -> None:
                super().connect()
                asking.check()

        return type(usual.__name__, (usual,), {"ConnectionCls": Connection})


def proxy_of(url: str) -> str:
    """The proxy that the environment names for a URL, "" for none.

    ConfigurationError where it cannot be used. Libraries would say no more than that the request
    failed; and they would name the proxy, in whose URL a password may stand.
    """
    parts, proxies = urlsplit(url), getproxies_environment()
    if is_loopback(parts.hostname or "") or bypasses(parts.netloc, proxies):
        return ""
    key = next((key for key in (parts.scheme, "all") if proxies.get(key)), "")
    if not key:
        return ""
    proxy = proxies[key]
    names = (f"{key}_proxy", f"{key}_proxy".upper())
    variable = next((name for name in names if name in os.environ), names[1])
    match = _PROXY.fullmatch(proxy)
    if match is None or int(match["port"] or 0) > 65535:
        raise ConfigurationError(
            f"environment variable {variable} is not the URL of a proxy; write http://HOST:PORT"
        )
    if (match["scheme"] or "").lower().startswith("socks") and find_spec("socks") is None:
        raise ConfigurationError(
            f"environment variable {variable} names a SOCKS proxy, for which PySocks is not "
            "installed; install it with: pip install pysocks, or name a proxy of http://"
        )
    return proxy if match["scheme"] else f"http://{proxy}"


def _new_manager(proxy: str, settings: Mapping[str, Any]) -> PoolManager:
    """The pools behind one proxy, "" for none. A user in its URL goes into a header."""
    from urllib3 import PoolManager, ProxyManager, make_headers

    if not proxy:
        return PoolManager(**settings)
    if proxy.lower().startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager

        return SOCKSProxyManager(proxy, **settings)
    scheme, _, rest = proxy.partition("://")
    user, _, place = rest.rpartition("@")  # a password may hold an "@" itself
    headers = make_headers(proxy_basic_auth=unquote(user)) if user else None
    return ProxyManager(f"{scheme}://{place}", proxy_headers=headers, **settings)


def _redacted(record: logging.LogRecord) -> bool:
    """True, after redacting the record: urllib3 logs URLs with their query."""
    record.msg, record.args, record.exc_info = redact(record.getMessage()), (), None
    return True
