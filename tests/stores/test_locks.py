"""The lock of an environment in each kind of store."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import LockError
from reconciler.ledger import Ledger
from reconciler.ledger.lock import LEASE_S, SCHEMA, Holder
from reconciler.model import Actor

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from reconciler.ledger.lock import Lock
    from reconciler.stores.contract import Store


class Clock:
    """Time that passes while somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


def lock_of(store: Store, clock: Clock | None = None, shard: str = "") -> Lock:
    return Ledger(store).lock("prod", clock or Clock(), lambda: False, shard)


def held(lock: Lock, timeout_s: float = 0.0) -> AbstractContextManager[None]:
    holder = Holder(Actor("run"), "2026-11-23T14:09:57Z", "apply")
    return lock.held(holder, timeout_s, waiting=lambda _: None, lost=lambda: None)


def test_of_runs_that_ask_at_a_time_one_gets_the_lock(store: Store) -> None:
    every, over = threading.Barrier(4), threading.Barrier(4)

    def run(_: int) -> bool:
        every.wait(30)
        try:
            with held(lock_of(store)):
                over.wait(30)
                return True
        except LockError:
            over.wait(30)
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 1
    with held(lock_of(store)) as _:
        assert lock_of(store).is_held()
    assert not lock_of(store).is_held()


def test_shards_of_one_division_hold_theirs_side_by_side(store: Store) -> None:
    """A list of the store must show each lock as it is now, or nobody would get one."""
    with held(lock_of(store, shard="1/2")), held(lock_of(store, shard="2/2")):
        for shard in ("", "1/3"):
            with (
                pytest.raises(LockError, match="is locked by apply"),
                held(lock_of(store, shard=shard)),
            ):
                pass
    with held(lock_of(store)):
        pass


def test_the_lock_of_a_run_that_is_dead_is_taken_over_after_a_minute(store: Store) -> None:
    record = {"schema": SCHEMA, "nonce": "of another machine", "process": ""}
    store.put("_locks/prod.json", json.dumps(record).encode())
    with pytest.raises(LockError), held(lock_of(store), timeout_s=LEASE_S / 2):
        pass
    clock = Clock()
    with held(lock_of(store, clock), timeout_s=2 * LEASE_S):
        assert clock.time >= LEASE_S


def test_a_lock_that_another_run_took_is_not_given_back_for_it(store: Store) -> None:
    lock = lock_of(store)
    with held(lock):
        seen = store.get("_locks/prod.json")
        assert seen is not None
        record = {**json.loads(seen.content), "nonce": "another's"}
        store.replace("_locks/prod.json", json.dumps(record).encode(), seen.etag)
    after = store.get("_locks/prod.json")
    assert after is not None
    assert json.loads(after.content)["nonce"] == "another's", "it gave back what is not its own"
