"""A few of the calls of Blob storage, over a dict of blobs by `account/container/name`."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def blob(
    blobs: dict[str, bytes],
    method: str,
    name: str,
    headers: Mapping[str, str],
    content: bytes | None,
    query: Mapping[str, list[str]],
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers."""
    if query.get("comp") == ["list"]:
        below = f"{name}/{query['prefix'][0]}"
        listed = "".join(
            f"<Blob><Name>{n.removeprefix(name + '/')}</Name><Properties><Etag>1</Etag>"
            "</Properties></Blob>"
            for n in sorted(blobs)
            if n.startswith(below)
        )
        page = f"<EnumerationResults><Blobs>{listed}</Blobs></EnumerationResults>"
        return 200, page.encode(), {"Content-Type": "application/xml"}
    assert not query, "no signature: a token opens the storage"
    if method == "PUT":
        blobs[name] = content or b""
        return 201, b"", {"ETag": '"1"'}
    if name not in blobs:
        return 404, b"", {"x-ms-error-code": "BlobNotFound"}
    stored = blobs[name]
    md5 = base64.b64encode(hashlib.md5(stored, usedforsecurity=False).digest()).decode()
    said = {"ETag": '"1"', "Content-MD5": md5, "Content-Length": str(len(stored))}
    if asked := headers.get("x-ms-range"):
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        return 206, stored[first : last + 1], {"ETag": '"1"'}
    return 200, b"" if method == "HEAD" else stored, said
