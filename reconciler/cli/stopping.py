"""How a run is asked to stop, and what it may still do then; and its clock, which hears of it.

Three things can forbid a write, and they forbid different writes:

    only reading    a plan is made              any write is a bug of ours, and raises as one
    lock lost       another run may be at it    nothing is written, not even a note
    asked to stop   Ctrl-C, SIGTERM             no endpoint is changed and no job begins, but notes
                                                are written: what was done must be found again

Each write asks just before it leaves, in the client or in the store, and not where it was decided:
between the two may lie a sign-in of a minute, a retry or a queue. The one store that is asked for
less is that of the lock itself, because a lock that is lost must still be given back.

A first signal lets the steps under way end, since a swap that is cut off costs the next run a look
and people an answer. A second one ends the process at once. Nothing depends on being asked nicely:
SIGKILL leaves what the next run finds by looking.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from signal import SIGINT, SIGTERM
from types import FrameType
from typing import TYPE_CHECKING

from reconciler.console import say

if TYPE_CHECKING:
    from reconciler.ledger.lock import Lock


@dataclass
class Stop:
    """Whether the run was asked to stop, and by which signal; and the lock that it must hold.

    Every client and every store of a run asks here just before a write leaves, so that one switch
    holds for all of them, whatever they were made of.
    """

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0
    lock: Lock | None = None
    reading: bool = False

    @contextlib.contextmanager
    def only_reading(self) -> Iterator[None]:
        """Inside, a write is a bug of ours, and none leaves."""
        before, self.reading = self.reading, True
        try:
            yield
        finally:
            self.reading = before

    def writing(self) -> str:
        """ "": a write may leave, as far as the lock is not asked; RuntimeError while only reads
        may."""
        if self.reading:
            raise RuntimeError("a write in a command that only reads")
        return ""

    def lost(self) -> str:
        """Why nothing at all may be written any more; "" while the lock is held."""
        self.writing()
        why = self.lock.lapsed() if self.lock is not None else ""
        return f"the lock was lost: {why}" if why else ""

    def halted(self) -> str:
        """Why no endpoint may be changed and no job started any more; "" while that may be."""
        return self.lost() or ("the run was asked to stop" if self.event.is_set() else "")


class SystemClock:
    """Real time; waiting ends early when the run is asked to stop.

    It asks for the time of day once and then counts the seconds that pass, also those in which
    the machine sleeps: a clock that is set meanwhile neither stalls a run nor ends its lock.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._began = time.time() - _seconds()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._began + _seconds()

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, or less."""
        self._stop.event.wait(seconds)


def _seconds() -> float:
    """Seconds since some moment. Where Linux has two such clocks, the one that counts on while the
    machine sleeps: a lease does."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


def ending_signals() -> list[signal.Signals]:
    """The signals by which others end a run: SIGTERM, and SIGHUP of a terminal that goes away,
    where there is one and `nohup` does not hold it off."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [SIGTERM]
    return [SIGTERM, hangup]


@contextlib.contextmanager
def stoppable(stop: Stop, *, quiet: bool = False) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP set `stop`; steps under way end first. A second signal quits,
    as the handler of SIGTERM outside says: it may have a report to write.

    Python lets only the main thread handle signals; in another one nothing is set up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.event.is_set():
            if callable(leave := before[SIGTERM]):
                leave(number, frame)
            os._exit(128 + number)
        stop.signal = number
        stop.event.set()
        if not quiet:
            with contextlib.suppress(OSError):  # the terminal may be gone
                say("stopping after the steps under way; once more to quit at once")

    before = {number: signal.signal(number, on_signal) for number in (SIGINT, *ending_signals())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
