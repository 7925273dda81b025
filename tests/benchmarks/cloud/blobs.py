"""Blob storage: whole blobs with conditions, and lists in pages of 5,000."""

from __future__ import annotations

import base64
import bisect
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.benchmarks.cloud.door import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.benchmarks.cloud.door import Request

_META = "x-ms-meta-"
_PAGE = 5_000


@dataclass
class Blob:
    content: bytes
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.content, usedforsecurity=False).digest()).decode()


class Blobs:
    """The blobs of one account by `container/name`, and their names in order."""

    def __init__(self) -> None:
        self._blobs: dict[str, Blob] = {}
        self._names: list[str] = []
        self._written = 0

    def put(self, path: str, content: bytes, metadata: Mapping[str, str] | None = None) -> Blob:
        """The blob, written whatever was there."""
        self._written += 1
        blob = Blob(content, f'"0x{self._written:012X}"', metadata or {})
        if path not in self._blobs:
            bisect.insort(self._names, path)
        self._blobs[path] = blob
        return blob

    def answer(self, request: Request, path: str) -> Answer:
        if request.method == "PUT":
            return self._put(request, path)
        if "comp=list" in request.query:
            return self._list(request, path)
        blob = self._blobs.get(path)
        return _refused("blob", 404, "BlobNotFound") if blob is None else _shown(blob, request)

    def _put(self, request: Request, path: str) -> Answer:
        blob, asked = self._blobs.get(path), request.headers
        if "if-none-match" in asked and blob is not None:
            return _refused("blob", 409, "BlobAlreadyExists")
        if "if-match" in asked and (blob is None or blob.etag != asked["if-match"]):
            return _refused("blob", 412, "ConditionNotMet")
        metadata = {n.removeprefix(_META): v for n, v in asked.items() if n.startswith(_META)}
        return Answer("blob", 201, headers={"ETag": self.put(path, request.body, metadata).etag})

    def _list(self, request: Request, container: str) -> Answer:
        asked = request.parameters
        prefix = f"{container}/{asked.get('prefix', '')}"
        begin = bisect.bisect_left(self._names, asked.get("marker") or prefix)
        end = bisect.bisect_left(self._names, prefix + "\U0010ffff", begin)
        last = min(end, begin + min(_PAGE, int(asked.get("maxresults", _PAGE))))
        more = self._names[last] if last < end else ""
        with_metadata = "metadata" in asked.get("include", "")
        listed = "".join(
            _listed(name.removeprefix(f"{container}/"), self._blobs[name], with_metadata)
            for name in self._names[begin:last]
        )
        text = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<EnumerationResults><Blobs>{listed}</Blobs>"
            f"<NextMarker>{escape(more)}</NextMarker></EnumerationResults>"
        )
        return Answer("list of blobs", 200, text.encode(), content_type="application/xml")


def _listed(name: str, blob: Blob, with_metadata: bool) -> str:
    told = "".join(f"<{n}>{escape(v)}</{n}>" for n, v in blob.metadata.items())
    metadata = f"<Metadata>{told}</Metadata>" if with_metadata else ""
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties>"
        f"<Etag>{blob.etag[1:-1]}</Etag><Content-Length>{len(blob.content)}</Content-Length>"
        f"<Content-MD5>{blob.md5}</Content-MD5>"
        f"</Properties>{metadata}</Blob>"
    )


def _shown(blob: Blob, request: Request) -> Answer:
    headers = {"ETag": blob.etag, "Content-MD5": blob.md5}
    headers |= {_META + name: value for name, value in blob.metadata.items()}
    body = b"" if request.method == "HEAD" else blob.content
    kind = "application/octet-stream"
    return Answer("blob", 200, body, headers, content_type=kind, length=len(blob.content))


def _refused(kind: str, status: int, code: str) -> Answer:
    body = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code></Error>".encode()
    headers = {"x-ms-error-code": code}
    return Answer(kind, status, body, headers, content_type="application/xml")
