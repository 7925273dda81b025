"""Scripted trouble, by route: what the wire does wrong, and what the service does wrong behind it.

Wire faults happen to the next `times` requests of a route (`azureml.*` is any that begins so) whose
path contains `where`: not to the first `after` of them, and of the others to one in `every`:
`status` (answers `status` with `headers` and `body`), `html`, `truncated` (half of the real
answer), `reset` (dropped before anything was done), `lost-answer` (done, then dropped), `delay`
(done, and answered after `delay_s`; a clock that stands still is advanced instead), `stale` (the
next `times` reads of an address are answered as the first of them was).

Tricks happen to the next thing that is made: an `operation` that fails with a text or does
`nothing`, a `job` that fails with a text or is `cancelled`, a `patch` that does `nothing`.
"""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.emulator.messages import Response

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("status", "html", "truncated", "reset", "lost-answer", "delay", "stale")
TRICKED = ("operation", "job", "patch")
MOST = 1000  # of what is scripted at once
MOST_TIMES = 100_000  # how often one fault happens, which takes no memory
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
    delay_s: float = 0.0
    where: str = ""
    after: int = 0
    every: int = 1
    seen: int = field(default=0, init=False, repr=False)
    first: dict[str, Response] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError for a fault that does not exist, so that no request trips over it."""
        if self.kind not in KINDS:
            raise ValueError(f"fault {self.kind!r} is none of {', '.join(KINDS)}")
        numbers = (self.times, self.status, self.after, self.every)
        if any(type(number) is not int for number in numbers):
            raise ValueError("times, status, after and every are numbers")
        if self.after < 0 or self.every < 1:
            raise ValueError("after is 0 or more, every is 1 or more")
        if self.times > MOST_TIMES:
            raise ValueError(f"times is at most {MOST_TIMES}")
        if not 100 <= self.status <= 599:
            raise ValueError(f"there is no status {self.status}")
        if not isinstance(self.delay_s, int | float) or self.delay_s < 0:
            raise ValueError("delay_s is a number of seconds")
        if not all(isinstance(text, str) for text in (self.route, self.body, self.where)):
            raise ValueError("route, body and where are text")
        if not isinstance(self.headers, dict) or not all(
            isinstance(part, str) for pair in self.headers.items() for part in pair
        ):
            raise ValueError("headers are texts by name")

    def due(self) -> bool:
        """Whether this request, which it is about, is one that it happens to."""
        self.seen += 1
        return self.seen > self.after and (self.seen - self.after) % self.every == 0


class Faults:
    """The faults that are still to come."""

    def __init__(self, wait: Callable[[float], None]) -> None:
        self._wait = wait
        self._guard = threading.Lock()
        self._faults: list[Fault] = []
        self._tricks: dict[str, list[str]] = {name: [] for name in TRICKED}

    def script(self, fault: Fault) -> None:
        """Let a fault happen; ValueError when too much is scripted already."""
        with self._guard:
            self._faults = [one for one in self._faults if one.times > 0]
            _check_most(len(self._faults) + 1)
            self._faults.append(fault)

    def forget(self) -> None:
        """Let nothing happen that was scripted and has not happened yet."""
        with self._guard:
            self._faults.clear()
            for tricks in self._tricks.values():
                tricks.clear()

    def play(self, what: str, trick: str, times: int = 1) -> None:
        """Let the next `times` operations, jobs or patches be tricked; ValueError for others."""
        if what not in TRICKED:
            raise ValueError(f"{what!r} is none of {', '.join(TRICKED)}")
        if not isinstance(trick, str) or type(times) is not int:
            raise ValueError("a trick is text, times is a number")
        with self._guard:
            _check_most(len(self._tricks[what]) + times)
            self._tricks[what].extend([trick] * times)

    def trick(self, what: str) -> str:
        """The trick for the thing that is being made, "" for none."""
        with self._guard:
            return self._tricks[what].pop(0) if self._tricks[what] else ""

    def around(self, route: str, address: str, serve: Callable[[], Response]) -> Response:
        """The answer of `serve`, or what a fault makes of it; Dropped for no answer."""
        fault = self._next(route, address)
        if fault is None:
            return serve()
        if fault.kind == "status":
            return Response(fault.status, fault.headers, fault.body.encode())
        if fault.kind == "html":
            return Response(200, {"Content-Type": "text/html"}, HTML)
        if fault.kind == "reset":
            raise Dropped
        if fault.kind == "stale" and address in fault.first:
            return fault.first[address]
        response = serve()
        if fault.kind == "stale":
            return fault.first.setdefault(address, response)
        if fault.kind == "lost-answer":
            raise Dropped
        if fault.kind == "delay":
            self._wait(fault.delay_s)
            return response
        return Response(response.status, response.headers, response.body[: len(response.body) // 2])

    def _next(self, route: str, address: str) -> Fault | None:
        with self._guard:
            for fault in self._faults:
                meant = fault.where in address and fnmatch.fnmatchcase(route, fault.route)
                if meant and fault.times > 0 and fault.due():
                    fault.times -= 1
                    return fault
        return None


def _check_most(scripted: int) -> None:
    if scripted > MOST:
        raise ValueError(f"at most {MOST} things can be scripted at once")
