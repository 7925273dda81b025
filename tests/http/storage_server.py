"""A few lines of blob storage for the scripted server: what STUDIO_PROTOCOL.md §6.2 found."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from scripted_server import Answer, Heard


@dataclass
class Stored:
    content: bytes
    etag: str
    headers: dict[str, str]


@dataclass
class Storage:
    """Blobs by `container/name`. `lose` makes the next writes take effect and then answer 503."""

    account: str = "account"
    containers: set[str] = field(default_factory=lambda: {"models"})
    blobs: dict[str, Stored] = field(default_factory=dict)
    page_size: int = 3
    lose: int = 0
    page: bytes = b""  # what a proxy answers instead, with 200
    writes: int = 0

    def respond(self, heard: Heard) -> Answer:
        if self.page:
            return Answer(200, self.page, {"Content-Type": "text/html"})
        parts = urlsplit(heard.path)
        path = unquote(parts.path).removeprefix(f"/blob/{self.account}/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert query["sig"]
        assert heard.method != "PUT" or heard.headers["x-ms-version"] == "2021-12-02"
        if path.partition("/")[0] not in self.containers:
            return _error(404, "ContainerNotFound")
        if query.get("comp") == "list":
            return self._list(path, query)
        return self._put(path, heard) if heard.method == "PUT" else self._get(path)

    def _get(self, path: str) -> Answer:
        blob = self.blobs.get(path)
        if blob is None:
            return _error(404, "BlobNotFound")
        length = {"Content-Length": str(len(blob.content))}
        return Answer(200, blob.content, {"ETag": blob.etag, **blob.headers, **length})

    def _put(self, path: str, heard: Heard) -> Answer:
        blob = self.blobs.get(path)
        if heard.headers["If-None-Match"] == "*" and blob:
            return _error(409, "BlobAlreadyExists")
        if (wanted := heard.headers["If-Match"]) and (blob is None or wanted != blob.etag):
            return _error(412, "ConditionNotMet")
        md5 = base64.b64encode(hashlib.md5(heard.body).digest()).decode()
        if heard.headers["x-ms-blob-type"] != "BlockBlob" or heard.headers["Content-MD5"] != md5:
            return _error(400, "InvalidHeaderValue")
        self.writes += 1
        meta = {n: v for n, v in heard.headers.items() if n.lower().startswith("x-ms-meta-")}
        kept = {"Content-MD5": md5, "Content-Type": heard.headers["Content-Type"], **meta}
        self.blobs[path] = Stored(heard.body, f'"{self.writes}"', kept)
        if self.lose:
            self.lose -= 1
            return _error(503, "ServerBusy")
        return Answer(201, b"", {"ETag": self.blobs[path].etag})

    def _list(self, container: str, query: dict[str, str]) -> Answer:
        prefix = f"{container}/{query.get('prefix', '')}"
        names = sorted(p.partition("/")[2] for p in self.blobs if p.startswith(prefix))
        first = int(query.get("marker", "0"))
        last = first + self.page_size
        blobs = "".join(self._listed(f"{container}/", name) for name in names[first:last])
        marker = str(last) if last < len(names) else ""
        body = f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker>"
        text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults>{body}'
        return Answer(200, f"\ufeff{text}</EnumerationResults>".encode())

    def _listed(self, container: str, name: str) -> str:
        etag = self.blobs[container + name].etag.strip('"')
        shown = f"<Properties><Etag>{etag}</Etag></Properties>"
        return f"<Blob><Name>{escape(name)}</Name>{shown}</Blob>"


def _error(status: int, code: str) -> Answer:
    return Answer(status, b"", {"x-ms-error-code": code})
