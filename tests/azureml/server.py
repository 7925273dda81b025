"""The small workspace behind a socket, for other processes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.azureml.standin import Standin


@contextmanager
def served(known: Standin) -> Iterator[Standin]:
    """The same workspace behind a socket, for other processes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with known.guard:
                raw = known.send(
                    self.command, self.path, dict(self.headers.items()), content, lambda: None
                )
            body = b"".join(raw.chunks)
            self.send_response(raw.status)
            for name, value in {"Content-Length": str(len(body)), **raw.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
