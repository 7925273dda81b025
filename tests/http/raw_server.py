"""A server that writes bytes as it is told: HTTP, or what only looks like it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Send = Callable[[bytes], None]
Reply = Callable[[str, Send], None]  # the request line, and what sends


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer; `length` lies about the body's."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


@dataclass
class RawServer:
    """Answers each request by `reply`, which may send anything; `asked` are the request lines."""

    reply: Reply
    context: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if self.context else "http"
        self.url = f"{scheme}://127.0.0.1:{self.listening.getsockname()[1]}"
        self._begin(self._accept)

    def close(self) -> None:
        """End, threads first: one that is about to use a number which was closed under it would
        take the connections of whatever gets that number next."""
        self._end(self.listening)
        self.threads[0].join(5)  # no more connections come
        for connection in self.connections:
            self._end(connection)
        for thread in self.threads[1:]:
            thread.join(5)
        for each in (self.listening, *self.connections):
            each.close()

    def _end(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def _begin(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections.append(connection)
                self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.context is not None:
                place = self.connections.index(connection)
                connection = self.context.wrap_socket(connection, server_side=True)
                self.connections[place] = connection
            heard = b""
            while data := connection.recv(65536):
                heard += data
                head, ended, rest = heard.partition(b"\r\n\r\n")
                length = int(
                    (head.lower() + b"\r\n").partition(b"content-length: ")[2].split(b"\r\n")[0]
                    or 0
                )
                if ended and len(rest) >= length:
                    heard = rest[length:]
                    self.heads.append(head)
                    self.asked.append(head.split(b"\r\n")[0].decode())
                    self.reply(self.asked[-1], connection.sendall)
