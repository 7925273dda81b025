"""Servers of buckets: a real one of S3 (moto's), and a small stand-in of Google Cloud Storage.

Google has no emulator in the registries. The stand-in speaks what is relied on of the XML API:
generations, their conditions, pages of lists, uploads in parts, and tokens of service accounts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import requests

from reconciler.http.client import Http
from reconciler.http.origins import bound_origins
from reconciler.stores import Opening

KEY = "test-id:test+secret/of=S3"
TOKEN = "ya29.token-of-the-stand-in"
PAGE = 3  # files that a list of the stand-in shows, unless it is told otherwise


def opening(http: Http, url: str) -> Opening:
    """How a store at this server is opened: the server is bound to its secrets."""
    return Opening(
        http, time.time, Path(), bound=bound_origins({"RECONCILER_ORIGINS": url} if url else {})
    )


# --- S3 -----------------------------------------------------------------------------------------


@dataclass
class Slow:
    """How long each answer of a server is kept back."""

    latency_s: float = 0.0


@contextlib.contextmanager
def s3_server(slow: Slow | None = None) -> Iterator[str]:
    """The URL of moto's server of S3, in threads of this process.

    moto looks at a condition and writes without a lock between: writes go one by one here.
    """
    os.environ["S3_UPLOAD_PART_MIN_SIZE"] = "1"
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    moto, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: object, **__: object) -> None:
            """Nothing."""

    def one_by_one(environ: Any, start: Any) -> Any:
        def untyped(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            """Amazon's empty answers have no type; werkzeug calls them pages."""
            if ("Content-Length", "0") in headers:
                headers = [each for each in headers if each[0] != "Content-Type"]
            return start(status, headers, *more)

        if slow is not None:
            time.sleep(slow.latency_s)
        with lock if environ["REQUEST_METHOD"] != "GET" else contextlib.nullcontext():
            return moto(environ, untyped)

    server = make_server("127.0.0.1", 0, one_by_one, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def new_bucket(url: str) -> str:
    """The name of a bucket that was just made."""
    name = f"b-{uuid.uuid4().hex[:12]}"
    requests.put(f"{url}/{name}", timeout=30).raise_for_status()
    return name


# --- Google Cloud Storage -------------------------------------------------------------------------


class Google:
    """A stand-in with one bucket; `spoil` is asked first and may answer in its place."""

    bucket = "models"

    def __init__(self, slow: Slow | None = None, page: int = PAGE) -> None:
        self.slow = slow or Slow()
        self.page = page
        self.files: dict[str, tuple[bytes, int]] = {}
        self.written: dict[int, float] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.generation = 1_700_000_000_000_000
        self.guard = threading.Lock()
        self.asked: list[str] = []
        self.signed_in = 0

    def __enter__(self) -> Google:
        google = self

        class Handler(_Handler):
            world = google

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def write(self, name: str, content: bytes) -> int:
        self.generation += 1
        self.files[name] = (content, self.generation)
        self.written[self.generation] = time.time()
        return self.generation


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that come at a time; one too many is tried after 1 s
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    world: Google
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of an answer are two packets

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _do(self) -> None:
        parts = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.world.slow.latency_s)
        with self.world.guard:
            self.world.asked.append(f"{self.command} {parts.path}")
            self._answer(*self._reply(unquote(parts.path), query, body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do

    def _reply(
        self, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        world = self.world
        if path == "/token":
            world.signed_in += 1
            token = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
            return 200, json.dumps(token).encode(), {"Content-Type": "application/json"}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "AuthenticationRequired")
        _, bucket, name = path.split("/", 2)
        if bucket != world.bucket:
            return _error(404, "NoSuchBucket")
        if not name:
            return 200, self._list(query), {"Content-Type": "application/xml"}
        if "uploads" in query:
            world.uploads["u1"] = {}
            return _xml("InitiateMultipartUploadResult", UploadId="u1")
        if "partNumber" in query:
            world.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return 200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        if "uploadId" in query:
            parts = world.uploads.pop(query["uploadId"])
            if self.command == "DELETE":
                return 204, b"", {}
            numbers = [int(e.text or "") for e in ElementTree.fromstring(body).iter("PartNumber")]
            world.write(name, b"".join(parts[number] for number in numbers))
            return _xml("CompleteMultipartUploadResult", ETag="x-1")
        return self._on_file(name, body)

    def _on_file(self, name: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        content, generation = self.world.files.get(name, (b"", 0))
        wanted = self.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != generation:
            return _error(412, "PreconditionFailed")
        if self.command == "PUT":
            content, generation = body, self.world.write(name, body)
        elif not generation:
            return _error(404, "NoSuchKey")
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        headers = {
            "x-goog-generation": str(generation),
            "x-goog-hash": f"crc32c=AAAAAA==,md5={md5}",
            "Last-Modified": formatdate(self.world.written[generation], usegmt=True),
            "Content-Type": "application/octet-stream",
        }
        if self.command == "PUT":
            return 200, b"", headers
        if span := self.headers.get("Range"):
            first, last = map(int, span.removeprefix("bytes=").split("-"))
            return 206, content[first : last + 1], headers
        return 200, content, headers

    def _list(self, query: dict[str, str]) -> bytes:
        prefix = query.get("prefix", "")
        names = [n for n in sorted(self.world.files) if n.startswith(prefix)]
        rest = [n for n in names if n > query.get("continuation-token", "")]
        shown, more = rest[: self.world.page], len(rest) > self.world.page
        entries = "".join(
            f"<Contents><Key>{escape(quote(n))}</Key><Generation>{self.world.files[n][1]}"
            f"</Generation><Size>{len(self.world.files[n][0])}</Size></Contents>"
            for n in shown
        )
        goes_on = (
            f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        )
        return (
            "<?xml version='1.0' encoding='UTF-8'?>"
            "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{goes_on}{entries}</ListBucketResult>"
        ).encode()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _xml(root: str, **told: str) -> tuple[int, bytes, dict[str, str]]:
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in told.items())
    return 200, f"<{root}>{inner}</{root}>".encode(), {"Content-Type": "application/xml"}


def _error(status: int, code: str) -> tuple[int, bytes, dict[str, str]]:
    _, body, headers = _xml("Error", Code=code, Message="As the stand-in says.")
    return status, body, headers


@cache
def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def google_key(url: str) -> str:
    """The key of a service account whose tokens this server gives, as JSON on one line."""
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "models@project.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": _private_key(),
            "token_uri": f"{url}/token",
        }
    )
