"""Work that the runs of one store do by turns, though each holds a lock of its own.

Shards of an environment work side by side, and their locks let them. Some things they have in
common, such as a version that both publish, where two equal requests would make two of it. Such a
thing has a short lock of its own: whoever gets it looks again before it acts, for it may have been
done meanwhile. Threads of one run queue here first, so that they need not poll the store.

The environment's lock would be too wide for this: to hold it while a file of a gigabyte goes up
would stop every other shard. No lock would be too little, because a registry that numbers versions
has no conditional create. A turn is as wide as the one thing that two runs could do twice, and no
longer.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from reconciler.errors import ConflictError, LockError, StoppedError, UnavailableError
from reconciler.ledger import Ledger
from reconciler.ledger.lock import Clock, Holder

WAIT_S = 600.0


@dataclass
class Turns:
    """The turns of one run, whose locks name `holder`."""

    ledger: Ledger
    clock: Clock
    holder: Holder
    stopping: Callable[[], bool]
    _threads: dict[str, threading.Lock] = field(
        default_factory=lambda: defaultdict(threading.Lock), init=False
    )

    @contextlib.contextmanager
    def of(self, what: str) -> Iterator[Callable[[], None]]:
        """Be the only one who does this inside, of all threads, runs and machines.

        UnavailableError where another run is at it for ten minutes. The value is asked just before
        a write that must not be repeated: ConflictError if the turn was lost meanwhile.
        """
        digest = hashlib.sha256(what.encode()).hexdigest()[:32]
        lock = self.ledger.lock(f"turns/{digest}", self.clock, self.stopping)

        def check() -> None:
            if why := lock.lapsed():
                raise ConflictError(f"{what}: the turn was lost: {why}")

        with self._threads[digest], contextlib.ExitStack() as held:
            try:
                held.enter_context(
                    lock.held(self.holder, WAIT_S, waiting=lambda _: None, lost=lambda: None)
                )
            except LockError as exc:
                why = f"{what}: another run is at it for {WAIT_S:g} s by now; apply again"
                raise UnavailableError(why) from exc
            if self.stopping():
                raise StoppedError(f"{what}: the run was asked to stop")
            yield check
