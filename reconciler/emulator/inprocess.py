"""The in-process door: a requests adapter, for tests without sockets."""

from __future__ import annotations

import io
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.response import HTTPResponse

from reconciler.emulator.faults import Dropped
from reconciler.emulator.messages import Request, Response

if TYPE_CHECKING:
    from reconciler.emulator.cloud import Cloud


class InProcessAdapter(BaseAdapter):
    """`session.mount("http://127.0.0.1:8400", InProcessAdapter(cloud))`."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self._cloud = cloud

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """The cloud's answer; a dropped connection is requests' own ConnectionError."""
        try:
            response = self._cloud.handle(_asked(request))
        except Dropped as exc:
            raise requests.ConnectionError("the connection was dropped") from exc
        return _answered(request, response)

    def close(self) -> None:
        """Nothing to close."""


def _asked(request: requests.PreparedRequest) -> Request:
    parts = urlsplit(request.url or "")
    return Request(
        method=(request.method or "GET").upper(),
        scheme=parts.scheme,
        host=parts.netloc,
        path=parts.path or "/",
        query=parts.query,
        headers={name.casefold(): str(value) for name, value in request.headers.items()},
        body=_sent(request.body),
        names=tuple(request.headers),
    )


def _sent(body: Any) -> bytes:
    """The bytes of a body: requests takes text, bytes, files, and chunks one after the other."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        return _sent(body.read())
    return bytes(body) if isinstance(body, bytes | bytearray) else b"".join(map(_sent, body))


def _answered(request: requests.PreparedRequest, response: Response) -> requests.Response:
    made = requests.Response()
    made.status_code = response.status
    made.reason = responses.get(response.status, "")
    made.headers = CaseInsensitiveDict(response.headers)
    made.encoding = get_encoding_from_headers(made.headers)
    made.url = request.url or ""
    made.request = request
    body = b"" if request.method == "HEAD" else response.body
    made.raw = HTTPResponse(
        body=io.BytesIO(body),
        headers=response.headers,
        status=response.status,
        preload_content=False,
        request_method=request.method,
    )
    return made
