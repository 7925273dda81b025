"""One run at a time per environment, or per shard of it: a lease on a blob that says who holds it.

Shards of one division work side by side. The lock of the environment, and those of shards of
another division, stand in each other's way: who has a lease looks for such a rival and gives it
back if there is one. Of two that come at once, both may step back; each tries again after a
time of its own.

A lease ends by itself when its holder is gone, so a killed run blocks the next for a minute and
not for ever. The holder renews it meanwhile; a holder that cannot must stop, because by then
another run may have begun (storage-and-identity.md, leases of 15 to 60 seconds).
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import (
    ConflictError,
    LockError,
    NotFoundError,
    UnreadableError,
    WireError,
)
from reconciler.ledger.manifest import document_bytes
from reconciler.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model import Actor
    from reconciler.stores.azure_blob import Container

log = logging.getLogger(__name__)

SCHEMA = "reconciler/lock/v1"
LEASE_S = 60
RENEW_S = 20.0
LOOK_S = 2.0


class Clock(Protocol):
    """Time as the lock sees it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, or less if the run is asked to stop."""
        ...


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: the actor, since when (`2026-11-23T14:09:57Z`), and doing what."""

    actor: Actor
    since: str
    command: str

    def __str__(self) -> str:
        """`apply of octocat, run 42, since 2026-11-23T14:09:57Z`."""
        who = self.actor.who or "somebody"
        return f"{self.command} of {who}, run {self.actor.run}, since {self.since}"


@dataclass
class Lock:
    """The lock of one environment, or of one `shard` of it (`2/4`).

    `stopping` ends the wait for it early.

    `lost` says why it is not held any more although nobody gave it back; "" while all is well.
    """

    container: Container
    environment: str
    clock: Clock
    stopping: Callable[[], bool] = lambda: False
    renew_s: float = RENEW_S
    shard: str = ""
    lost: str = field(default="", init=False)
    _renewed: float = field(default=0.0, init=False)
    _on_loss: Callable[[], None] | None = field(default=None, init=False)

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
        lease = self._acquire(holder, timeout_s, waiting)
        if not lease:
            yield
            return
        done, self._on_loss = threading.Event(), lost
        keepers = [
            threading.Thread(target=self._keep, args=(lease, done), name="lock"),
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
            self._release(lease)

    def holder(self) -> str:
        """Who holds the lock, or held it last, in words; "" when nobody ever did."""
        return self._holder_of(self._name)

    def _holder_of(self, name: str) -> str:
        blob = self.container.get(name)
        return _said(blob.content) if blob else ""

    def lapsed(self) -> str:
        """Why the lock is not held any more; "" while it is.

        Whoever is about to write asks here, and the time is looked at: a process that was paused
        has heard of nothing, and its lease may have ended long ago.
        """
        if self.clock.now() - self._renewed > LEASE_S - self.renew_s:
            self._lose("it could not be renewed in time")
        return self.lost

    def is_held(self) -> bool:
        """Whether anybody holds it, by the list of locks."""
        return any(b.leased for b in self.container.list(self._name) if b.name == self._name)

    def ends_by_itself(self) -> bool:
        """Whether the lock is free, or ends now that nobody renews it; False while a run does.

        A lease does not say when it was renewed, so this looks for as long as one lasts.
        """
        began = self.clock.now()
        while self.is_held():
            if self.clock.now() - began > LEASE_S:
                return False
            self.clock.wait(LOOK_S)
        return True

    def break_(self, by: Actor, at: str, why: str) -> bool:
        """Take the lock from whoever holds it, and return when it is free; False when nobody does.

        The run that holds it finds out at its next renewal. Its lease goes on until then, so that
        nobody begins while it may still write.
        """
        try:
            self.container.break_lease(self._name, math.ceil(1.25 * self.renew_s))
        except (ConflictError, NotFoundError):
            return False
        self.ends_by_itself()
        broken = {"schema": SCHEMA, "broken": {"by": by.who, "run": by.run, "at": at, "why": why}}
        with contextlib.suppress(ConflictError):  # another run has it already
            self.container.put(self._name, document_bytes(broken))
        return True

    @property
    def _name(self) -> str:
        part = f"/{self.shard.replace('/', '-of-')}" if self.shard else ""
        return f"_locks/{self.environment}{part}.json"

    @property
    def what(self) -> str:
        """What is locked: `environment prod`, or `shard 2/4 of environment prod`."""
        of = f"shard {self.shard} of " if self.shard else ""
        return f"{of}environment {self.environment}"

    @property
    def _options(self) -> str:
        return f"-e {self.environment}" + (f" --shard {self.shard}" if self.shard else "")

    def _acquire(self, holder: Holder, timeout_s: float, waiting: Callable[[str], None]) -> str:
        """The id of the lease; "" when the run is asked to stop before there is one."""
        began, told = self.clock.now(), False
        while True:
            try:
                lease = self._try(holder)
            except ConflictError:
                lease, locked, by = "", self, self.holder()
            else:
                locked, by = self._rival(lease)
            if not by or self.stopping():
                return lease if not by else ""
            if self.clock.now() - began >= timeout_s:
                raise LockError(
                    f"{locked.what} is locked by {by}; wait for it with "
                    f"--lock-timeout, or run `reconciler unlock {locked._options} --force REASON`, "
                    "which sees whether it is dead"
                )
            if not told:
                told = True
                waiting(f"{locked.what} is locked by {by}; waiting")
            self.clock.wait(LOOK_S * random.uniform(0.5, 1.5))

    def _rival(self, lease: str) -> tuple[Lock, str]:
        """A lock that is held and excludes this one, and its holder; "" if there is none.

        Then ours is given back. A list that does not show ours is believed nothing.
        """
        try:
            held = [self._lock_of(b.name) for b in self.container.list(self._prefix) if b.leased]
            if self._name not in {lock._name for lock in held if lock is not None}:
                raise UnreadableError(f"the list of locks does not show that {self.what} is held")
            rivals = [lock for lock in held if lock is not None and self._excludes(lock)]
            by = rivals[0].holder() if rivals else ""
        except WireError:
            self._release(lease)
            raise
        if by:
            self._release(lease)
        return (rivals[0], by) if by else (self, "")

    @property
    def _prefix(self) -> str:
        return f"_locks/{self.environment}"

    def _lock_of(self, name: str) -> Lock | None:
        """The lock of this environment, or of a shard of it, that a blob is; None for any other."""
        found = re.fullmatch(r"(?:/(\d+)-of-(\d+))?\.json", name.removeprefix(self._prefix))
        if found is None:
            return None
        return replace(self, shard=f"{found[1]}/{found[2]}" if found[1] else "")

    def _excludes(self, other: Lock) -> bool:
        """Whether the two may have a binding in common."""
        mine, its = self.shard.partition("/")[2], other.shard.partition("/")[2]
        return other._name != self._name and not (mine and mine == its)

    def _try(self, holder: Holder) -> str:
        """The id of the lease; ConflictError while another run has it."""
        content, self._renewed = _content(holder), self.clock.now()
        try:
            lease = self.container.acquire(self._name, LEASE_S)
        except NotFoundError:
            self.container.put_if_absent(self._name, content)
            lease = self.container.acquire(self._name, LEASE_S)
        self.container.put(self._name, content, lease=lease)
        return lease

    def _keep(self, lease: str, done: threading.Event) -> None:
        """Renew until `done`, or until it is refused."""
        while not (done.wait(self.renew_s) or self.lost):
            asked_at = self.clock.now()
            try:
                self.container.renew(self._name, lease)
            except (ConflictError, NotFoundError) as exc:
                self._lose(exc.message)
            except WireError as exc:
                log.warning("the lock could not be renewed, trying again: %s", exc.message)
            else:
                self._renewed = asked_at

    def _watch(self, done: threading.Event) -> None:
        """Give the lock up in time where no renewal is answered: one may hang for minutes."""
        while not (done.wait(self.renew_s / 10) or self.lapsed()):
            pass

    def _lose(self, why: str) -> None:
        if not self.lost:
            self.lost = why
            if self._on_loss is not None:
                self._on_loss()

    def _release(self, lease: str) -> None:
        if self.lost:
            return
        try:
            self.container.release(self._name, lease)
        except WireError as exc:
            log.warning("the lock could not be released, it ends by itself: %s", exc.message)


def _content(holder: Holder) -> bytes:
    actor = holder.actor
    return document_bytes(
        {
            "schema": SCHEMA,
            "who": actor.who,
            "run": actor.run,
            "commit": actor.commit,
            "since": holder.since,
            "command": holder.command,
        }
    )


def _said(content: bytes) -> str:
    """Who holds it, as far as the blob can be read: the lease is the lock, this is for people."""
    try:
        found = parse_json(content)
        if "broken" in found:
            return "another run (it was broken before)"
        command, who, run, since = (found[name] for name in ("command", "who", "run", "since"))
    except (ValueError, KeyError, TypeError):
        return "another run"
    return f"{command} of {who or 'somebody'}, run {run}, since {since}"
