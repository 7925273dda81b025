"""What all threads of a client know of each server, and what people are told of it.

Nobody waits in silence. Who waits for an answer for some seconds is told so once for each server,
and who waits for another try every minute, however many threads wait for that server.

And nobody waits for a dead server twice. One that has never answered in this run, and took no
connection in all tries of one request, is not tried again for a while by the requests that follow:
a thousand bindings would else wait for it one after the other. A server that has answered before
may be starting again, so each request has all of its tries there.

At the whiteboard, who looks at the clock: a thread that waits for an answer sleeps in the kernel.
So one thread beside them looks each second for the oldest request, and ends when it finds none of
which something could still be said. Whoever asks next begins it anew.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from reconciler.http.response import Response
from reconciler.http.tries import Broken

log = logging.getLogger(__name__)

SILENCE_S = 2.0  # how long tries may go on without a word
TELL_AGAIN_S = 60.0  # of one server
LATE_S = 5.0  # how long one answer may take without a word
DEAD_S = 30.0  # how long a server counts as dead


class Servers:
    """The servers that a client asked, each by its scheme, host and port."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._answered: set[str] = set()  # whatever it was
        self._dead: dict[str, tuple[float, Broken]] = {}  # since when, and how its requests end
        self._told: dict[str, float] = {}  # when somebody was told of its tries
        self._late: set[str] = set()  # somebody was told of its late answers
        self._waiting: dict[object, tuple[float, str, str]] = {}  # since when, server, for what
        self._watched = False

    def has_answered(self, server: str) -> bool:
        """Whether it has answered in this run."""
        return server in self._answered

    def heard(self, server: str) -> None:
        """An answer of it came."""
        self._answered.add(server)
        self._dead.pop(server, None)

    def dead(self, server: str) -> Broken | None:
        """How a request ended there that was tried in vain a moment ago; None where one may try."""
        since, broken = self._dead.get(server, (-math.inf, None))
        return broken if time.monotonic() - since < DEAD_S else None

    def gave_up(self, server: str, outcome: Broken, tries: int, tried_s: float) -> Broken:
        """The outcome, which says how long it was tried. A server that never took a connection is
        dead."""
        times = f"{tries} tries in {tried_s:.0f} s"
        outcome = replace(outcome, why=f"{outcome.why} ({times})") if tries > 1 else outcome
        if tries > 1 and not outcome.sent and not self.has_answered(server):
            self._dead[server] = time.monotonic(), outcome
        return outcome

    def tell(self, server: str, outcome: Response | Broken, next_s: float, left: int) -> None:
        """Say that a server is tried again; once in a while, for many threads may wait for one."""
        with self._guard:
            now = time.monotonic()
            if now - self._told.get(server, -math.inf) < TELL_AGAIN_S:
                return
            self._told[server] = now
        why = outcome.why if isinstance(outcome, Broken) else f"it answers {outcome.status}"
        tries = "1 try" if left == 1 else f"{left} tries"
        log.warning("%s: %s; trying again in %.0f s (%s left)", server, why, next_s, tries)

    # --- answers that take long ---------------------------------------------------------------

    @contextlib.contextmanager
    def waiting(self, server: str, request: str) -> Iterator[None]:
        """Inside, an answer is waited for; `request` says to what, and may be shown."""
        one = object()
        with self._guard:
            self._waiting[one] = time.monotonic(), server, request
            begins = not self._watched and server not in self._late
            self._watched = self._watched or begins
        try:
            if begins:
                threading.Thread(target=self._watch, name="late answers", daemon=True).start()
            yield
        finally:
            with self._guard:
                del self._waiting[one]

    def _watch(self) -> None:
        """Tell of each server that is late, until nobody waits for another one."""
        while True:
            time.sleep(LATE_S / 5)
            with self._guard:
                waiting = [each for each in self._waiting.values() if each[1] not in self._late]
                if not waiting:
                    self._watched = False
                    return
                since, server, request = min(waiting)
                if (late_s := time.monotonic() - since) < LATE_S:
                    continue
                self._late.add(server)
            log.warning("waiting for %s (%s): no answer for %.0f s", server, request, late_s)
