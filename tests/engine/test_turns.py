"""Turns: what runs with locks of their own do one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.errors import ConflictError, StoppedError, UnavailableError
from reconciler.ledger import Ledger
from reconciler.ledger.lock import LEASE_S, Holder
from reconciler.ledger.turns import WAIT_S, Turns
from reconciler.model import Actor
from reconciler.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.stores.contract import Store


class Clock:
    """Time that passes while somebody waits, when locks are renewed."""

    def __init__(self, renewed: Store | None = None) -> None:
        self.time = 0.0
        self.renewed = renewed

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds
        if self.renewed is not None:
            for file in list(self.renewed.list("_locks/")):
                stored = self.renewed.get(file.name)
                assert stored is not None
                self.renewed.put(file.name, stored.content + b" ")


def turns(folder: Path, clock: Clock | None = None, *, stopping: bool = False) -> Turns:
    ledger, holder = Ledger(FolderStore(folder)), Holder(Actor("run"), "t", "apply")
    return Turns(ledger, clock or Clock(), holder, lambda: stopping)


def test_a_turn_that_another_run_keeps_is_waited_for_and_given_up(tmp_path: Path) -> None:
    waiting = Clock(FolderStore(tmp_path))
    with turns(tmp_path).of("publishing a"):
        with turns(tmp_path).of("publishing b"):
            pass  # another thing has a turn of its own
        with (
            pytest.raises(UnavailableError, match="publishing a: another run is at it"),
            turns(tmp_path, waiting).of("publishing a"),
        ):
            pass
    assert waiting.time >= WAIT_S
    with turns(tmp_path).of("publishing a") as check:
        check()


def test_a_turn_whose_lease_ended_is_lost_before_the_next_write(tmp_path: Path) -> None:
    clock = Clock()
    with turns(tmp_path, clock).of("publishing a") as check:
        clock.time += LEASE_S
        with pytest.raises(ConflictError, match="publishing a: the turn was lost"):
            check()


def test_a_run_that_is_stopped_gets_no_turn(tmp_path: Path) -> None:
    with pytest.raises(StoppedError), turns(tmp_path, stopping=True).of("publishing a"):
        pass
