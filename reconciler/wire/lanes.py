"""How a request leaves: over connections that are pooled per origin.

requests says once per origin how to get there (CA file, proxy, its credentials); after that each
request goes straight to urllib3's pool. Preparing a `requests.Request` and sending it through an
adapter costs twice the processor time of all the rest of a request, and a plan of a thousand
services is as fast as one process can send.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment as bypasses  # type: ignore[attr-defined]

from reconciler.errors import redact
from reconciler.wire.hosts import is_loopback

if TYPE_CHECKING:
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter
    from urllib3 import HTTPConnectionPool

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Came:
    """An answer whose body is still to be read, to its end or not; then it must be closed."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Lanes:
    """One lane per origin, shared by `threads`; `trusted` is a CA file, or True for the usual ones.

    What it raises is foreign: see `foreign_errors`.
    """

    def __init__(self, threads: int, timeout_s: tuple[float, float], trusted: bool | str) -> None:
        from requests.utils import default_headers
        from urllib3 import Retry, Timeout

        self._trusted = trusted
        self._proxies = getproxies_environment()
        self._timeout = Timeout(connect=timeout_s[0], read=timeout_s[1])
        self._once = Retry(0, read=False)  # the loop of tries is not urllib3's
        self._headers = {**default_headers(), "User-Agent": "reconciler"}
        self._adapter = _adapter(threads)
        self._mounted: dict[str, BaseAdapter] = {}
        self._pools: dict[tuple[str, str], HTTPConnectionPool] = {}
        for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).addFilter(_redacted)

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()
        for adapter in self._mounted.values():
            adapter.close()

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        """Send URLs that begin with `prefix` through a requests adapter: the in-process door."""
        self._mounted[prefix] = adapter

    def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> Came:
        """The answer, its body unread. A redirect is an answer, and cookies are not kept."""
        for prefix, adapter in self._mounted.items():
            if url.startswith(prefix):
                return self._through(adapter, method, url, headers, content)
        parts = urlsplit(url)
        pool = self._pools.get((parts.scheme, parts.netloc))
        if pool is None:
            pool = self._pools[parts.scheme, parts.netloc] = self._pool(url)
        answer = pool.urlopen(
            method,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=content,
            headers={**self._headers, **headers},
            retries=self._once,
            redirect=False,
            assert_same_host=False,
            timeout=self._timeout,
            preload_content=False,
            decode_content=False,
        )
        chunks = answer.stream(_CHUNK_BYTES, decode_content=True)
        return Came(answer.status, dict(answer.headers.itermerged()), chunks, answer.close)

    def _pool(self, url: str) -> HTTPConnectionPool:
        """What leads to the origin of a URL. http goes to this machine only, never by a proxy, so
        a proxy is always a tunnel, in which the target of a request is what it is without one."""
        asking, proxies = _prepared("GET", url, {}, None), self._proxies_for(url)
        pool: Any = self._adapter.get_connection_with_tls_context(
            asking, self._trusted, proxies=proxies
        )
        cert_verify: Any = self._adapter.cert_verify
        cert_verify(pool, url, self._trusted, None)
        found: HTTPConnectionPool = pool
        return found

    def _through(
        self,
        adapter: BaseAdapter,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Came:
        asking = _prepared(method, url, {**self._headers, **headers}, content)
        answer = adapter.send(asking, stream=True, verify=self._trusted, proxies={})
        chunks = answer.iter_content(_CHUNK_BYTES)
        return Came(answer.status_code, answer.headers, chunks, answer.close)

    def _proxies_for(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        if is_loopback(parts.hostname or "") or bypasses(parts.netloc, self._proxies):
            return {}
        return self._proxies


def _prepared(
    method: str, url: str, headers: Mapping[str, str], content: bytes | None
) -> requests.PreparedRequest:
    import requests

    return requests.Request(method, url, headers=dict(headers), data=content).prepare()


def _adapter(threads: int) -> HTTPAdapter:
    from requests.adapters import HTTPAdapter

    return HTTPAdapter(pool_connections=16, pool_maxsize=max(threads, 1))


def _redacted(record: logging.LogRecord) -> bool:
    """True, after redacting the record: urllib3 logs URLs with their query."""
    record.msg, record.args, record.exc_info = redact(record.getMessage()), (), None
    return True
