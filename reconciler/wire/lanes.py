"""How a request leaves: over connections that are pooled per origin.

requests says once per origin how to get there (CA file, proxy, its credentials), and urllib3's pool
makes each connection with its first request. Later ones go through `http.client`, which urllib3's
connections are made of: what requests and urllib3 do around it costs more processor time than the
request itself, and it sets and asks the socket three times, each of which lets another thread run.
A plan of a thousand services is as fast as one process can send.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
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
_FRESH_S = 1.0  # for so long nobody asks whether an idle connection is still open before a read
# What `http.client` sends as it is; for any other target urllib3 has the rules.
_PLAIN = re.compile(r"/[A-Za-z0-9/?&=%$@:;,.()!'*+~_-]*")


@dataclass(frozen=True)
class Came:
    """An answer whose body is still to be read, to its end or not; then it must be closed."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class _Lane:
    """How to get to an origin, and used connections with the moment since which they are idle."""

    pool: HTTPConnectionPool
    idle: deque[tuple[float, HTTPConnection]]


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
        self._lanes: dict[tuple[str, str], _Lane] = {}
        for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).addFilter(_redacted)

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()
        for lane in self._lanes.values():
            while lane.idle:
                lane.idle.pop()[1].close()
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
        lane = self._lanes.get((parts.scheme, parts.netloc))
        if lane is None:
            lane = self._lanes[parts.scheme, parts.netloc] = _Lane(self._pool(url), deque())
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {**self._headers, **headers}
        if _PLAIN.fullmatch(target) and (idle := _idle(lane, method)) is not None:
            return _asked(lane, idle, method, target, sent, content)
        return self._begun(lane.pool, method, target, sent, content)

    def _begun(
        self,
        pool: HTTPConnectionPool,
        method: str,
        target: str,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Came:
        """The answer over a connection that urllib3 makes, or makes anew."""
        answer = pool.urlopen(
            method,
            target,
            body=content,
            headers=headers,
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


def _idle(lane: _Lane, method: str) -> HTTPConnection | None:
    """A connection that is open and owes no answer; None where there is none.

    One that was closed just now only costs a read a second try, which a write might not get.
    """
    try:
        since, used = lane.idle.pop()
    except IndexError:
        return _first_used(lane.pool)
    if (method in ("GET", "HEAD") and time.monotonic() - since < _FRESH_S) or _is_open(used):
        return used
    used.close()
    return _idle(lane, method)


def _first_used(pool: HTTPConnectionPool) -> HTTPConnection | None:
    """A connection that urllib3 made and keeps, which is idle after its first request."""
    if pool.pool is None:  # closed, as urllib3 will say
        return None
    try:
        connection = pool.pool.get(block=False)
    except queue.Empty:
        return None
    if isinstance(connection, HTTPConnection) and _is_open(connection):
        return connection
    pool.pool.put(connection, block=False)
    return None


def _is_open(connection: HTTPConnection) -> bool:
    known: bool = getattr(connection, "is_connected", False)  # urllib3's connections tell
    return known


def _asked(
    lane: _Lane,
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    content: bytes | None,
) -> Came:
    """The answer over an idle connection, which is idle again when that is closed.

    http.client's own methods are called, whatever urllib3's connection does in their place. As
    there, a service may answer and close before it has read all that it was sent.
    """
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            HTTPConnection.request(connection, method, target, content, headers)
        answer = HTTPConnection.getresponse(connection)
    except BaseException:
        connection.close()
        raise

    def close() -> None:
        ended = answer.isclosed() and not answer.length  # what did not come stays in its length
        if ended and connection.sock is not None:
            lane.idle.append((time.monotonic(), connection))
        else:  # not read to its end, or the service wants no further request
            connection.close()

    came = _merged(answer)
    chunks = _unpacked(answer) if "content-encoding" in came else _chunks(answer)
    return Came(answer.status, came, chunks, close)


def _merged(answer: HTTPResponse) -> dict[str, str]:
    """The headers by their names in lower case; one that came several times has all its values."""
    merged: dict[str, str] = {}
    for name, value in answer.getheaders():
        key = name.lower()
        merged[key] = f"{merged[key]}, {value}" if key in merged else value
    return merged


def _chunks(answer: HTTPResponse) -> Iterator[bytes]:
    while chunk := answer.read(_CHUNK_BYTES):
        yield chunk
    if answer.length:
        raise IncompleteRead(b"", answer.length)


def _unpacked(answer: HTTPResponse) -> Iterator[bytes]:
    """The body without its Content-Encoding, which urllib3 knows to undo."""
    from urllib3 import HTTPResponse as Unpacking

    whole = Unpacking(answer, _merged(answer), preload_content=False, original_response=answer)
    return whole.stream(_CHUNK_BYTES, decode_content=True)


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
