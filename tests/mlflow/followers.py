"""A server that follows an alias, as a user's own would: it answers with the version it serves."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def version_of(url: str, model: str, alias: str) -> Callable[[], str]:
    """The name of the version that an alias leads to, asked of the registry each time."""

    def ask() -> str:
        base = f"{url}/api/2.0/mlflow"
        found = json.load(urlopen(f"{base}/registered-models/get?name={model}"))["registered_model"]
        number = next(a["version"] for a in found["aliases"] if a["alias"] == alias)
        query = f"name={model}&version={number}"
        version = json.load(urlopen(f"{base}/model-versions/get?{query}"))["model_version"]
        tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
        return tags.get("reconciler.version", f"/{number}").rpartition("/")[2]

    return ask


@contextmanager
def follower(version: Callable[[], str]) -> Iterator[str]:
    """The URL of a server that answers every probe with the version of that moment."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                serves = version()
            except StopIteration:  # there is no alias yet
                return self.send_error(503)
            body = json.dumps({"y": [len(serves)], "version": serves}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/invocations"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
