"""One run at a time per environment, or per shard of it: a record in the store that is renewed.

The lock is a small file, `_locks/ENV.json`, with the nonce of whoever holds it. Its holder writes
it anew every 20 seconds, each time by compare-and-swap and with another content, so its ETag
changes. Whoever waits looks at the ETag and at its own clock, and at nothing else: a record that
has not changed for a whole minute, as the waiter counts minutes, belongs to a run that is dead, and
is swapped for the waiter's own. No two clocks are ever compared; `since` in the record is for
people.

A store in a folder knows more. The holder keeps a sign of life there, which the kernel takes back
the moment its process dies, and the record names that sign. A waiter on the same machine that sees
it gone takes the lock at once; from another machine, nothing can be said of a sign, and the minute
passes. A process that is paused keeps its sign, and loses its lock by the minute like any other.

A holder that could not renew for 40 seconds gives up by its own clock, before any waiter may take
over; and as its next renewal names an ETag that is gone, it also hears of whoever did. Between the
two stands what no lock can prevent: a process that is frozen between its last look at the clock
and the request that it was about to send. Each step therefore looks again, and notes are swapped
too.

Shards of one division work side by side. The lock of the environment, and those of shards of
another division, stand in each other's way: a run writes its own record first, then looks for such
rivals, and gives its own back if there is one. Of two that come at once both see each other, so
never both go on; each tries again after a time of its own.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from reconciler.errors import (
    ConflictError,
    LockError,
    ReconcilerError,
    StoppedError,
    UnreadableError,
)
from reconciler.ledger.manifest import document_bytes
from reconciler.model import Actor
from reconciler.stores.contract import ShowsLife, Store
from reconciler.strict_json import parse_json

log = logging.getLogger(__name__)

SCHEMA = "reconciler/lock/v2"
LEASE_S = 60
RENEW_S = 20.0
LOOK_S = 2.0


class Clock(Protocol):
    """Time as runs and their locks see it; tests inject their own."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, or less if the run is asked to stop."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: the actor, since when (`2026-11-23T14:09:57Z`), and doing what."""

    actor: Actor
    since: str
    command: str


@dataclass(frozen=True)
class Seen:
    """The record of a lock as it was read. One that is damaged is somebody's all the same."""

    document: Mapping[str, Any]
    etag: str

    @property
    def is_held(self) -> bool:
        """Whether somebody holds it, dead or alive."""
        return self.document.get("nonce") != ""

    def __str__(self) -> str:
        """Who holds it, or held it last: `apply of octocat, run 42, since 2026-11-23T14:09:57Z`."""
        document = self.document
        if "broken" in document:
            return "another run (it was broken before)"
        if not all(isinstance(document.get(name), str) for name in ("command", "run", "since")):
            return "another run"
        who = document.get("who") or "somebody"
        return f"{document['command']} of {who}, run {document['run']}, since {document['since']}"


@dataclass
class Lock:
    """The lock of one environment, or of one `shard` of it (`2/4`).

    `stopping` ends the wait for it early. `options` of a command line lead to the environment.

    `lost` says why it is not held any more although nobody gave it back; "" while all is well.
    """

    store: Store
    environment: str
    clock: Clock
    stopping: Callable[[], bool] = lambda: False
    renew_s: float = RENEW_S
    shard: str = ""
    options: str = ""
    lost: str = field(default="", init=False)
    _record: dict[str, Any] = field(default_factory=dict, init=False)  # ours, as last sent
    _etag: str = field(default="", init=False)
    _renewed: float = field(default=0.0, init=False)
    _sign: str = field(default="", init=False)  # of our life, in the store
    _on_loss: Callable[[], None] | None = field(default=None, init=False)
    _watched: dict[str, float] = field(default_factory=dict, init=False)  # since when, by ETag

    @contextlib.contextmanager
    def held(
        self,
        holder: Holder,
        timeout_s: float,
        *,
        waiting: Callable[[str], None],
        lost: Callable[[], None],
    ) -> Iterator[None]:
        """Hold the lock inside; LockError when it cannot be had in `timeout_s`.

        `waiting` is told once who holds it. `lost` is called from another thread when somebody
        broke the lock or it could not be renewed, and must make the work inside stop. A run that
        is asked to stop while it waits goes in without the lock: it must do nothing there.
        """
        store = self.store
        signed = store.alive() if isinstance(store, ShowsLife) else contextlib.nullcontext("")
        with signed as self._sign:
            if not self._acquire(holder, timeout_s, waiting):
                yield
                return
            done, self._on_loss = threading.Event(), lost
            keepers = [
                threading.Thread(target=self._keep, args=(done,), name="lock"),
                threading.Thread(target=self._watch, args=(done,), name="lock-watch"),
            ]
            for keeper in keepers:
                keeper.start()
            try:
                yield
            finally:
                done.set()
                for keeper in keepers:
                    keeper.join()
                self._release()

    def holder(self) -> str:
        """Who holds the lock, or held it last, in words; "" when nobody ever did."""
        return str(self._look() or "")

    def lapsed(self) -> str:
        """Why the lock is not held any more; "" while it is.

        Whoever is about to write asks here, and the time is looked at: a process that was paused
        has heard of nothing, and its lease may have ended long ago.
        """
        if self.clock.now() - self._renewed > LEASE_S - self.renew_s:
            self._lose("it could not be renewed in time")
        return self.lost

    def is_held(self) -> bool:
        """Whether anybody holds it, dead or alive."""
        seen = self._look()
        return seen is not None and seen.is_held

    def ends_by_itself(self) -> bool:
        """Whether the lock is free, or nobody renewed it for a minute and it is ended now; False as
        soon as a run is seen to renew it."""
        first = self._look()
        while first is not None and first.is_held:
            if self._is_dead(first):
                return self._end(first)
            if self.stopping():
                raise StoppedError("the run was asked to stop; the lock was left as it is")
            self.clock.wait(LOOK_S)
            if (seen := self._look()) is None or not seen.is_held:
                return True
            if seen.etag != first.etag:
                return False
        return True

    def break_(self, by: Actor, at: str, why: str) -> bool:
        """Take the lock from whoever holds it, and return when it is free; False when nobody does.

        The run that holds it finds out at its next renewal; where no renewal is answered it gives
        up by its own clock, after two. The record stays taken until then, so that nobody begins
        while that run may still write.
        """
        if not self.is_held():
            return False
        broken = {"by": by.who, "run": by.run, "at": at, "why": why}
        record = {"schema": SCHEMA, "nonce": secrets.token_hex(8), "broken": broken}
        etag = self.store.put(self._name, document_bytes(record))
        free_at = self.clock.now() + 2.1 * self.renew_s
        while (left_s := free_at - self.clock.now()) > 0:
            if self.stopping():
                raise StoppedError(f"the lock of {self.what} is broken, and free in a minute")
            self.clock.wait(min(left_s, LOOK_S))
        self._end(Seen(record, etag))
        return True

    @property
    def _name(self) -> str:
        part = f"/{self.shard.replace('/', '-of-')}" if self.shard else ""
        return f"_locks/{self.environment}{part}.json"

    @property
    def what(self) -> str:
        """The name of what it locks: `environment prod`, or `shard 2/4 of environment prod`."""
        of = f"shard {self.shard} of " if self.shard else ""
        return f"{of}environment {self.environment}"

    def _acquire(self, holder: Holder, timeout_s: float, waiting: Callable[[str], None]) -> bool:
        """Whether the lock is ours; False when the run is asked to stop before it is."""
        began, announced = self.clock.now(), False
        while True:
            locked, by = (self, held_by) if (held_by := self._try(holder)) else self._rival()
            if not by or self.stopping():
                return not by
            if self.clock.now() - began >= timeout_s:
                options = self.options or f"-e {self.environment}"
                shard = f" --shard {locked.shard}" if locked.shard else ""
                raise LockError(
                    f"{locked.what} is locked by {by}; wait for it with --lock-timeout, or run "
                    f"`reconciler unlock {options}{shard} --force REASON`, which "
                    "sees whether that run is dead"
                )
            if not announced:
                announced = True
                waiting(f"{locked.what} is locked by {by}; waiting")
            self.clock.wait(LOOK_S * random.uniform(0.5, 1.5))

    def _try(self, holder: Holder) -> str:
        """Write our record where that may be; who holds the lock, "" once we do."""
        seen = self._look()
        if seen is not None and seen.is_held and not self._is_dead(seen):
            return str(seen)
        self._renewed = self.clock.now()
        self._record = {
            **{"schema": SCHEMA, "nonce": secrets.token_hex(16), "beat": 0, "process": self._sign},
            **{"who": holder.actor.who, "run": holder.actor.run, "commit": holder.actor.commit},
            **{"since": holder.since, "command": holder.command},
        }
        content = document_bytes(self._record)
        try:
            self._etag = self.store.swap(self._name, content, seen.etag if seen else "")
        except ConflictError:
            return self.holder() or "another run"
        return ""

    def _rival(self) -> tuple[Lock, str]:
        """A lock that is held and excludes this one, and its holder; "" if there is none.

        Then ours is given back. A list that does not show ours as it is now is believed nothing.
        """
        try:
            listed = {b.name: b.properties.etag for b in self.store.list(self._prefix)}
            if listed.get(self._name, "").strip('"') != self._etag.strip('"'):
                raise UnreadableError(f"the list of locks does not show that {self.what} is held")
            locks = [lock for name in listed if (lock := self._lock_of(name)) is not None]
            for lock in filter(self._excludes, locks):
                seen = lock._look()
                if seen is None or not seen.is_held or (self._is_dead(seen) and lock._end(seen)):
                    continue
                self._release()
                return lock, str(seen)
        except ReconcilerError:
            self._release()
            raise
        return self, ""

    def _look(self) -> Seen | None:
        """The record as it is now; None where nobody ever had the lock."""
        stored = self.store.get(self._name)
        return None if stored is None else seen_in(stored.content, stored.etag)

    def _is_dead(self, seen: Seen) -> bool:
        """Whether the process that wrote this record is known to have died, or nobody has renewed
        the record for as long as a lease lasts, by our clock."""
        sign, now = seen.document.get("process"), self.clock.now()
        if (
            isinstance(self.store, ShowsLife)
            and isinstance(sign, str)
            and self.store.has_died(sign)
        ):
            return True
        since = self._watched.setdefault(seen.etag, now)
        return now - since >= LEASE_S

    def _end(self, seen: Seen) -> bool:
        """Free a lock whose holder is dead; False where it was not dead after all."""
        try:
            freed = {"schema": SCHEMA, **seen.document, "nonce": ""}  # it still says who had it
            self.store.replace(self._name, document_bytes(freed), seen.etag)
        except ConflictError:
            return False
        return True

    @property
    def _prefix(self) -> str:
        return f"_locks/{self.environment}"

    def _lock_of(self, name: str) -> Lock | None:
        """The lock of this environment, or of a shard of it, that a file is; None for any other."""
        match = re.fullmatch(r"(?:/(\d+)-of-(\d+))?\.json", name.removeprefix(self._prefix))
        if match is None:
            return None
        return replace(self, shard=f"{match[1]}/{match[2]}" if match[1] else "")

    def _excludes(self, other: Lock) -> bool:
        """Whether the two may have a binding in common."""
        mine, its = self.shard.partition("/")[2], other.shard.partition("/")[2]
        return other._name != self._name and not (mine and mine == its)

    def _keep(self, done: threading.Event) -> None:
        """Renew until `done`, or until it is refused."""
        while not (done.wait(self.renew_s) or self.lost):
            asked_at = self.clock.now()
            try:
                self._swap({**self._record, "beat": self._record["beat"] + 1})
            except ConflictError as exc:
                self._lose(exc.message)
            except ReconcilerError as exc:  # a folder may be gone for a moment, too
                log.warning("the lock could not be renewed; trying again: %s", exc.message)
            else:
                self._renewed = asked_at

    def _swap(self, record: dict[str, Any]) -> None:
        """Replace our record; ConflictError, which says who has the lock, where it is not ours.

        A renewal whose answer was lost may have been done: then what is there has our nonce.
        """
        content = document_bytes(record)
        try:
            etag = self.store.replace(self._name, content, self._etag)
        except ConflictError as exc:
            seen = self._look()
            if seen is None or seen.document.get("nonce") != self._record["nonce"]:
                raise ConflictError(_lost_to(seen)) from exc
            etag = self.store.replace(self._name, content, seen.etag)
        self._record, self._etag = record, etag

    def _watch(self, done: threading.Event) -> None:
        """Give the lock up in time where no renewal is answered: one may hang for minutes."""
        while not (done.wait(self.renew_s / 10) or self.lapsed()):
            pass

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = why
            if self._on_loss is not None:
                self._on_loss()

    def _release(self) -> None:
        if self.lost:
            return
        try:
            self._swap({**self._record, "nonce": ""})
        except ReconcilerError as exc:
            log.warning("the lock could not be released; it expires by itself: %s", exc.message)


def seen_in(content: bytes, etag: str) -> Seen:
    """The record of a lock in such a file, whatever it holds."""
    try:
        document = parse_json(content)
    except ValueError:
        document = {}
    return Seen(document if isinstance(document, Mapping) else {}, etag)


def _lost_to(seen: Seen | None) -> str:
    """Why a lock that was ours is not any more."""
    if seen is None:
        return "its record was deleted"
    if isinstance(broken := seen.document.get("broken"), Mapping):
        return f"{broken.get('by') or 'somebody'} broke it: {broken.get('why')}"
    return f"it is locked by {seen}" if seen.is_held else "another run found it expired"
