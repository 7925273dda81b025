"""Scripted trouble, by route: what the wire does wrong, and what the service does wrong behind it.

Wire faults happen to the next `times` requests of a route:
`status` (answers `status` with `headers` and `body`), `html`, `truncated` (half of the real
answer), `reset` (dropped before anything was done), `lost-answer` (done, then dropped).

Tricks happen to the next thing that is made: an `operation` that fails with a text or does
`nothing`, a `job` that fails with a text or is `cancelled`, a `patch` that does `nothing`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.emulator.messages import Response

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("status", "html", "truncated", "reset", "lost-answer")
TRICKED = ("operation", "job", "patch")
HTML = b"<!DOCTYPE html><html><body><h1>Service Unavailable</h1></body></html>"


class Dropped(Exception):
    """The connection is closed without an answer."""


@dataclass
class Fault:
    """One scripted fault of a route."""

    route: str
    kind: str
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._faults: list[Fault] = []
        self._tricks: dict[str, list[str]] = {name: [] for name in TRICKED}

    def script(self, fault: Fault) -> None:
        """Let a fault happen; ValueError for a kind that does not exist."""
        if fault.kind not in KINDS:
            raise ValueError(f"fault {fault.kind!r} is none of {', '.join(KINDS)}")
        with self._guard:
            self._faults.append(fault)

    def play(self, what: str, trick: str, times: int = 1) -> None:
        """Let the next `times` operations, jobs or patches be tricked."""
        if what not in TRICKED:
            raise ValueError(f"{what!r} is none of {', '.join(TRICKED)}")
        with self._guard:
            self._tricks[what].extend([trick] * times)

    def trick(self, what: str) -> str:
        """The trick for the thing that is being made, "" for none."""
        with self._guard:
            return self._tricks[what].pop(0) if self._tricks[what] else ""

    def around(self, route: str, serve: Callable[[], Response]) -> Response:
        """The answer of `serve`, or what a fault makes of it; Dropped for no answer."""
        fault = self._next(route)
        if fault is None:
            return serve()
        if fault.kind == "status":
            return Response(fault.status, fault.headers, fault.body.encode())
        if fault.kind == "html":
            return Response(200, {"Content-Type": "text/html"}, HTML)
        if fault.kind == "reset":
            raise Dropped
        response = serve()
        if fault.kind == "lost-answer":
            raise Dropped
        return Response(response.status, response.headers, response.body[: len(response.body) // 2])

    def _next(self, route: str) -> Fault | None:
        with self._guard:
            for fault in self._faults:
                if fault.route == route and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None
