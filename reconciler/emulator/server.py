"""The server door: HTTP/1.1 with keep-alive on 127.0.0.1, one thread per connection."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import sys
import threading
import traceback
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from reconciler.emulator.faults import Dropped
from reconciler.emulator.messages import Request, Response, bug

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.emulator.cloud import Cloud

LOOPBACK = "127.0.0.1"
_MOST_SKIPPED = 5000 * 1024 * 1024
_PIECE, _SKIP_S = 1024 * 1024, 5
_LARGE = 1024 * 1024  # bodies above are read eight at a time: they are in memory before their key
_AT_ONCE = 8
_NO_HEADER = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")  # what would end a header, or not fit in one


class Server:
    """A cloud behind a socket."""

    def __init__(self, cloud: Cloud, http: ThreadingHTTPServer, scheme: str) -> None:
        self._cloud = cloud
        self._http = http
        self._thread: threading.Thread | None = None
        self.url = f"{scheme}://{LOOPBACK}:{http.server_address[1]}"

    def start(self) -> None:
        """Serve from a thread until `stop`."""
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Serve from this thread until another one calls `stop`."""
        self._http.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Stop serving, and let go of the port and the state folder."""
        self._http.shutdown()
        self._http.server_close()
        if self._thread is not None:
            self._thread.join()
        self._cloud.close()


def serve(
    cloud: Cloud, port: int = 8400, certfile: Path | None = None, keyfile: Path | None = None
) -> Server:
    """A server that is bound and not yet started; port 0 picks a free one.

    Raises OSError when the port is taken or a certificate cannot be read.
    """
    http = _Http((LOOPBACK, port), _handler(cloud))
    if certfile is None:
        return Server(cloud, http, "http")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    return Server(cloud, http, "https")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # more than 64 clients may connect at once
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are none of our business."""


def _handler(cloud: Cloud) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        served = cloud
        large = threading.BoundedSemaphore(_AT_ONCE)

    return Handler


class _Unreadable(Exception):
    """A request whose body has no end that we know."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    served: Cloud
    large: threading.BoundedSemaphore
    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-HTTPAPI/2.0"
    sys_version = ""
    timeout = 120
    disable_nagle_algorithm = True

    def _respond(self) -> None:
        with self.large if self._is_large() else contextlib.nullcontext():
            self._answer()

    def _is_large(self) -> bool:
        length = self.headers.get("Content-Length", "")
        small = length.isdecimal() and len(length) < 10 and int(length) <= _LARGE
        return "Transfer-Encoding" in self.headers or not (small or not length)

    def _answer(self) -> None:
        asked = self._asked()
        try:
            body = self._body(self.served.most_bytes(asked))
            response = self.served.handle(replace(asked, body=body))
        except Dropped:
            self._drop()
        except _Unreadable as exc:
            # Where this request ends is unknown, so nothing after it can be understood.
            self.close_connection = True
            response = self.served.unreadable(asked, exc.status, str(exc))
            self._write(response.with_headers(Connection="close"))
            self._skip()
        except OSError:  # the client went away
            raise
        except Exception:
            # A bug of ours, and what of the request was read is unknown.
            traceback.print_exc(file=sys.stderr)
            self.close_connection = True
            self._write(bug().with_headers(Connection="close"))
        else:
            self._write(response)

    def _skip(self) -> None:
        """Read on for a while: most clients hear an answer only after they have sent everything."""
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_SKIP_S)
            left = _MOST_SKIPPED
            while left > 0 and (content := self.rfile.read1(_PIECE)):
                left -= len(content)

    def __getattr__(self, name: str) -> Any:
        """Every method is answered, also one that nobody knows: by the cloud, and not in HTML."""
        if name.startswith("do_"):
            return self._respond
        raise AttributeError(name)

    def _asked(self) -> Request:
        """The request, without its body."""
        path, _, query = self.path.partition("?")
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        return Request(
            method=self.command,
            scheme=scheme,
            host=self.headers.get("Host", LOOPBACK),
            path=path,
            query=query,
            headers={name.casefold(): value for name, value in self.headers.items()},
            body=b"",
            names=tuple(self.headers.keys()),
        )

    def _body(self, most: int) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").casefold():
            return self._chunks(most)
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise _Unreadable(400, "The Content-Length is not a number.")
        if len(length) > 18 or int(length) > most:
            raise _Unreadable(413, f"The body is larger than {most} bytes.")
        return self._exactly(int(length))

    def _exactly(self, size: int) -> bytes:
        """So many bytes; Dropped when the client went away, so that no half body is believed."""
        content = self.rfile.read(size)
        if len(content) < size:
            raise Dropped
        return content

    def _chunks(self, most: int) -> bytes:
        content = bytearray()
        while size := self._chunk_size():
            if len(content) + size > most:
                raise _Unreadable(413, f"The body is larger than {most} bytes.")
            content += self._exactly(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return bytes(content)

    def _chunk_size(self) -> int:
        digits = self.rfile.readline().split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", digits):
            raise _Unreadable(400, "The size of a chunk is not a number.")
        return int(digits, 16)

    def _write(self, response: Response) -> None:
        self.send_response(response.status)
        named = {name.casefold() for name in response.headers}
        for name, value in response.headers.items():
            if name.casefold() not in ("date", "server"):
                self.send_header(name, _NO_HEADER.sub("?", value))
        if "content-length" not in named and response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(response.body)

    def _drop(self) -> None:
        """Close the connection in the middle of everything."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """The cloud keeps its own log, without queries."""
