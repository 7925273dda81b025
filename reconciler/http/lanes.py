"""How a request leaves: over connections that are pooled per origin, and how its answer is heard.

requests says once per origin how to get there (CA file, proxy, its credentials), and urllib3's pool
keeps the connections: it looks at an idle one before it is used again, and makes another where the
service has closed it or has sent what nobody asked for. What an answer may be is bounded here: how
long it takes, how much may come before its body, and that nothing follows it. HTTP/1.1 pairs
answers with requests by their position alone, so a connection on which anything unexpected came
answers no further request.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies_environment
from urllib.request import proxy_bypass_environment as bypasses  # type: ignore[attr-defined]

from reconciler.errors import ConfigurationError, redact
from reconciler.http.foreign import Unexpected
from reconciler.http.urls import is_loopback

if TYPE_CHECKING:
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

_PROXY = re.compile(
    r"(?:(?P<scheme>https?|socks(?:4a?|5h?))://)?(?:[^\s/?#]*@)?"
    r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)
UNHEARD_MS = 20_000  # a lock is given up 20 seconds before its lease ends
_CHUNK_BYTES = 64 * 1024
_HEAD_BYTES = 256 * 1024  # lines in succession: headers, interim answers, what follows chunks
_BYTES_PER_S = 128 * 1024  # at the least, beyond the time that any answer may take
_ACCEPTED = "gzip"  # and nothing else is unpacked


@dataclass(frozen=True)
class Came:
    """An answer whose body is still to be read, to its end or not; then it must be closed."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]


class Lanes:
    """One pool per origin, shared by `threads`; `trusted` is a CA file, or True for the usual ones.

    What it raises is foreign: see `foreign_errors`.
    """

    def __init__(self, threads: int, timeout_s: tuple[float, float], trusted: bool | str) -> None:
        from requests.utils import default_headers
        from urllib3 import Retry, Timeout

        self._trusted = trusted
        self._proxies = getproxies_environment()
        self._timeout = Timeout(connect=timeout_s[0], read=timeout_s[1])
        self._once = Retry(0, read=False)  # the loop of tries is not urllib3's
        own = {"User-Agent": "reconciler", "Accept-Encoding": _ACCEPTED}
        self._headers = {**default_headers(), **own}
        self._adapter = _adapter(threads)
        self._mounted: dict[str, BaseAdapter] = {}
        self._pools: dict[tuple[str, str], HTTPConnectionPool] = {}
        self._asking = threading.local()  # whose `check` is that of the request of a thread
        for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).addFilter(_redacted)

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()
        for pool in self._pools.values():
            pool.close()
        for adapter in self._mounted.values():
            adapter.close()

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        """Send URLs that begin with `prefix` through a requests adapter: the in-process door."""
        self._mounted[prefix] = adapter

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        check: Callable[[], None] = lambda: None,
    ) -> Came:
        """The answer, its body unread. A redirect is an answer, and cookies are not kept.

        `check` is called when a connection had to be made, which may take half a minute; where it
        raises, nothing is sent.
        """
        for prefix, adapter in self._mounted.items():
            if url.startswith(prefix):
                return self._through(adapter, method, url, headers, content)
        parts = urlsplit(url)
        pool = self._pools.get((parts.scheme, parts.netloc))
        if pool is None:
            pool = self._pools[parts.scheme, parts.netloc] = self._pool(url)
        self._asking.check = check
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
        chunks = _chunks(answer, method)
        return Came(answer.status, dict(answer.headers.itermerged()), chunks, answer.close)

    def _pool(self, url: str) -> HTTPConnectionPool:
        """What leads to the origin of a URL. http goes to this machine only, never by a proxy, so
        a proxy is always a tunnel, in which the target of a request is what it is without one."""
        check_proxy(url)
        prepared, proxies = _prepared("GET", url, {}, None), self._proxies_for(url)
        pool: Any = self._adapter.get_connection_with_tls_context(
            prepared, self._trusted, proxies=proxies
        )
        cert_verify: Any = self._adapter.cert_verify
        cert_verify(pool, url, self._trusted, None)
        usual = pool.ConnectionCls.default_socket_options
        pool.conn_kw["socket_options"] = [*usual, *_socket_options()]
        usual_class, asking = pool.ConnectionCls, self._asking

        class Connection(usual_class):  # type: ignore[misc, valid-type]
            response_class = _Answer

            def connect(self) -> None:
                super().connect()
                asking.check()

        pool.ConnectionCls = Connection
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
        return {} if _is_direct(url, self._proxies) else self._proxies


def check_proxy(url: str) -> None:
    """ConfigurationError where the environment names a proxy for a URL that cannot be used.

    Libraries would say no more than that the request failed; and they would name the proxy, in
    whose URL a password may stand.
    """
    from requests.utils import select_proxy

    proxies = getproxies_environment()
    if _is_direct(url, proxies) or not (proxy := select_proxy(url, proxies)):
        return
    key = next(key for key in (urlsplit(url).scheme, "all") if proxies.get(key) == proxy)
    named = (f"{key}_proxy", f"{key}_proxy".upper())
    variable = next((name for name in named if name in os.environ), named[1])
    match = _PROXY.fullmatch(proxy)
    if match is None or int(match["port"] or 0) > 65535:
        raise ConfigurationError(
            f"environment variable {variable} is no URL of a proxy; write http://HOST:PORT"
        )
    if (match["scheme"] or "").lower().startswith("socks") and find_spec("socks") is None:
        raise ConfigurationError(
            f"environment variable {variable} names a SOCKS proxy, for which PySocks is not "
            "installed; install it with: pip install pysocks, or name a proxy of http://"
        )


def _is_direct(url: str, proxies: dict[str, str]) -> bool:
    parts = urlsplit(url)
    return is_loopback(parts.hostname or "") or bypasses(parts.netloc, proxies)


def _chunks(answer: BaseHTTPResponse, method: str) -> Iterator[bytes]:
    """The body, unpacked; Unexpected for a Content-Encoding that was not asked for."""
    packed = answer.headers.get("Content-Encoding", "").strip().lower()
    if method != "HEAD" and packed not in ("", "identity", _ACCEPTED):
        raise Unexpected("the answer is packed in a way that was not asked for")
    chunks = answer.stream(_CHUNK_BYTES, decode_content=False)
    yield from _unpacked(chunks) if packed == _ACCEPTED else chunks


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of a gzip body, piece by piece; Unexpected unless it is one, whole and alone."""
    unpacking, packed_bytes, content_bytes = zlib.decompressobj(16 + zlib.MAX_WBITS), 0, 0
    for chunk in chunks:
        packed_bytes += len(chunk)
        while True:
            try:
                piece = unpacking.decompress(chunk, _CHUNK_BYTES)
            except zlib.error as exc:
                raise Unexpected("the answer is no gzip, though it says so") from exc
            content_bytes += len(piece)
            yield piece
            chunk = unpacking.unconsumed_tail
            if len(piece) < _CHUNK_BYTES:
                break
        if unpacking.unused_data or packed_bytes > 2 * content_bytes + _CHUNK_BYTES:
            raise Unexpected("the packed answer holds more than its content")
    if packed_bytes and not unpacking.eof:
        raise Unexpected("the packed answer broke off")


class _Answer(HTTPResponse):
    """An answer that is bounded, and that closes its connection where it is not as it must be."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        self._heard = _Heard(sock)
        super().__init__(cast("socket.socket", self._heard), debuglevel, method, url)

    def begin(self) -> None:
        """Read the head of the final answer; interim ones are skipped (RFC 9110, 15.2)."""
        super().begin()
        interim = False
        while 100 <= self.status < 200:
            if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise Unexpected("the answer switches to another protocol")
            interim = True
            self.headers = None  # type: ignore[assignment]  # or `begin` takes it as read
            super().begin()
        lengths = [text.strip() for text in self.headers.get_all("Content-Length", [])]
        if len({part.strip() for length in lengths for part in length.split(",")}) > 1:
            raise Unexpected("the answer has more than one length")
        if lengths and not (lengths[0].isascii() and lengths[0].isdecimal()):
            raise Unexpected("the length of the answer is no number")
        framed_twice = bool(lengths) and "Transfer-Encoding" in self.headers
        self.will_close = self.will_close or interim or framed_twice


class _Heard(io.RawIOBase):
    """The bytes of one answer as they come, within its time; stands for the socket in `_Answer`.

    http.client closes what it reads from at the end of an answer. Whatever was received beyond
    that end is of nobody's request, so the connection is shut down: urllib3 sees that before it
    would use it again.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._raw = cast("io.RawIOBase", sock.makefile("rb", buffering=0))
        self._timeout_s = sock.gettimeout() or math.inf
        self._until = time.monotonic() + self._timeout_s
        self._came = 0
        self._over = False

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """What reads of it."""
        return _Reader(self)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """How many bytes came; None where there is nothing without waiting, once it is over."""
        if self._over:
            return None
        left_s = self._until + self._came / _BYTES_PER_S - time.monotonic()
        late = left_s < self._timeout_s / 2  # else to say it costs each answer a system call
        try:
            if late:
                self._socket.settimeout(max(left_s, 0.001))
            came = self._raw.readinto(buffer)
        except TimeoutError as exc:
            if not late:
                raise
            raise Unexpected("the answer did not end in time", again=False) from exc
        self._came += came or 0
        return came

    def end(self, rest: Callable[[], bytes]) -> None:
        """Close; nothing that was received may be left."""
        self._over = True
        pending: Callable[[], int] = getattr(self._socket, "pending", int)  # TLS has read ahead
        if rest() or pending():
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._raw.close()


class _Reader(io.BufferedReader):
    """What http.client reads an answer from: its lines, of which all but few are a head, and the
    body between them, which is for others to bound."""

    def __init__(self, heard: _Heard) -> None:
        self._heard = heard
        self._line_bytes = 0
        super().__init__(heard)

    def readline(self, size: int | None = -1) -> bytes:
        """The next line; Unexpected where so many came without anything else between them."""
        most = _HEAD_BYTES if size is None or size < 0 else size
        line = super().readline(most)
        self._line_bytes += len(line)
        if self._line_bytes >= _HEAD_BYTES:
            raise Unexpected("the head of the answer has no end")
        return line

    def read(self, size: int | None = -1) -> bytes:
        """So much of a body."""
        self._line_bytes = 0
        return super().read(size)

    def close(self) -> None:
        """Close, having looked for what follows the answer."""
        if not self.closed:
            self._heard.end(self.peek)
        super().close()


def _prepared(
    method: str, url: str, headers: Mapping[str, str], content: bytes | None
) -> requests.PreparedRequest:
    import requests

    return requests.Request(method, url, headers=dict(headers), data=content).prepare()


def _socket_options() -> list[tuple[int, int, int]]:
    """Where the system can: bytes that nobody acknowledges in time are never sent again, not even
    after their connection was given up. A write must not arrive when another run has the lock."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    return [] if option is None else [(socket.IPPROTO_TCP, option, UNHEARD_MS)]


def _adapter(threads: int) -> HTTPAdapter:
    from requests.adapters import HTTPAdapter

    return HTTPAdapter(pool_connections=16, pool_maxsize=max(threads, 1))


def _redacted(record: logging.LogRecord) -> bool:
    """True, after redacting the record: urllib3 logs URLs with their query."""
    record.msg, record.args, record.exc_info = redact(record.getMessage()), (), None
    return True
