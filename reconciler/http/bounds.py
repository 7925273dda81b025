"""Bounds of an answer: how long it takes, how much may come before its body, and what follows.

HTTP/1.1 pairs answers with requests by their position alone. So whatever was received beyond the
end of an answer would be taken for the answer to the next request, and a connection on which
anything unexpected came answers no further request. http.client reads an answer from a file that
stands for the socket; ours counts what came, and when, and looks at the end for what is left.
"""

from __future__ import annotations

import contextlib
import io
import math
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, cast

from reconciler.http.foreign import Unexpected

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CHUNK_BYTES = 64 * 1024
PACKED = "gzip"  # and nothing else is unpacked
_HEAD_BYTES = 256 * 1024  # lines in succession: headers, interim answers, what follows chunks
_BYTES_PER_S = 128 * 1024  # at the least, beyond the time that any answer may take


def chunks_of(answer: BaseHTTPResponse, method: str) -> Iterator[bytes]:
    """The body, unpacked; Unexpected for a Content-Encoding that was not asked for."""
    packed = answer.headers.get("Content-Encoding", "").strip().lower()
    if method != "HEAD" and packed not in ("", "identity", PACKED):
        raise Unexpected("the answer has an encoding that was not asked for")
    chunks = answer.stream(CHUNK_BYTES, decode_content=False)
    yield from _unpacked(chunks) if packed == PACKED else chunks


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of a gzip body, piece by piece; Unexpected unless it is one, whole and alone."""
    unpacking, packed_bytes, content_bytes = zlib.decompressobj(16 + zlib.MAX_WBITS), 0, 0
    for chunk in chunks:
        packed_bytes += len(chunk)
        while True:
            try:
                piece = unpacking.decompress(chunk, CHUNK_BYTES)
            except zlib.error as exc:
                raise Unexpected("the answer claims to be gzip, but is not") from exc
            content_bytes += len(piece)
            yield piece
            chunk = unpacking.unconsumed_tail
            if len(piece) < CHUNK_BYTES:
                break
        if unpacking.unused_data or packed_bytes > 2 * content_bytes + CHUNK_BYTES:
            raise Unexpected("the packed answer contains more than its content")
    if packed_bytes and not unpacking.eof:
        raise Unexpected("the packed answer broke off")


class BoundedAnswer(HTTPResponse):
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
            raise Unexpected("the length of the answer is not a number")
        framed_twice = bool(lengths) and "Transfer-Encoding" in self.headers
        self.will_close = self.will_close or interim or framed_twice


class _Heard(io.RawIOBase):
    """The bytes of one answer as they come, within its time, in the place of the socket.

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
        """A reader of it."""
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
            raise Unexpected("the answer took too long", again=False) from exc
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
    """The file that http.client reads an answer from: its lines, of which all but few are a head,
    and the body between them, which is for others to bound."""

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
            raise Unexpected("the headers of the answer are too long")
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
