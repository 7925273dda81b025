"""HTTP/1.1 with keep-alive and nothing more: a request is answered `latency_s` after it came."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PHRASES = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content"}


@dataclass(frozen=True)
class Request:
    """One request: the path decoded, the query as it came, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """`kind` is what `Seen` counts it as."""

    kind: str
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    length: int | None = None  # of what a HEAD does not send


def as_json(kind: str, value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(kind, status, json.dumps(value).encode(), headers)


@dataclass
class Seen:
    """What was asked: requests by method and kind, the most at once, and when it began."""

    requests: Counter[str] = field(default_factory=Counter)
    first_at: float = 0.0
    last_at: float = 0.0
    most_at_once: int = 0
    at_once: int = 0

    def came(self) -> None:
        self.first_at = self.first_at or time.monotonic()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

    def went(self) -> None:
        self.last_at = time.monotonic()
        self.at_once -= 1

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": dict(self.requests),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "most_at_once": self.most_at_once,
            "cpu_s": time.process_time(),
        }


class Cloud:
    """What answers behind the door; `begin` replaces it by a new world."""

    latency_s: float = 0.0
    seen: Seen

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def begin(self, world: dict[str, Any]) -> None:
        raise NotImplementedError


class Door(asyncio.Protocol):
    """One connection."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._loop = asyncio.get_running_loop()
        self._came = bytearray()
        self._send: Callable[[bytes], None] = lambda _: None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (request := self._next_request()) is not None:
            self._asked(request)

    def _next_request(self) -> Request | None:
        end = self._came.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._came[:end].decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        whole = end + 4 + int(headers.get("content-length", "0"))
        if len(self._came) < whole:
            return None
        body = bytes(self._came[end + 4 : whole])
        del self._came[:whole]
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        return Request(method, unquote(path), query, headers, body)

    def _asked(self, request: Request) -> None:
        if request.path.startswith("/bench/"):
            self._write(self._control(request), request)
            return
        if request.path.startswith("/_emulator/"):  # no service of a real cloud is asked this
            self._write(as_json("emulator", {"world": ""}), request)
            return
        cloud = self._cloud
        cloud.seen.came()
        answer = cloud.answer(request)
        cloud.seen.requests[f"{request.method} {answer.kind}"] += 1
        self._loop.call_later(cloud.latency_s, self._answered, answer, request)

    def _answered(self, answer: Answer, request: Request) -> None:
        self._cloud.seen.went()
        self._write(answer, request)

    def _write(self, answer: Answer, request: Request) -> None:
        assert self._transport is not None
        length = len(answer.body) if answer.length is None else answer.length
        said = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        head = (
            f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'No')}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {length}\r\n{said}\r\n"
        )
        body = b"" if request.method == "HEAD" else answer.body
        if not self._transport.is_closing():
            self._transport.write(head.encode("latin-1") + body)

    def _control(self, request: Request) -> Answer:
        cloud = self._cloud
        if request.path == "/bench/world":
            cloud.begin(json.loads(request.body))
        elif request.path == "/bench/latency":
            cloud.latency_s = float(json.loads(request.body)["latency_s"])
        elif request.path == "/bench/forget":
            cloud.seen = Seen()
        return as_json("control", cloud.seen.as_json())


async def serve(cloud: Cloud) -> None:
    """Serve until the process ends; the port is the first line of stdout."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Door(cloud), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()
