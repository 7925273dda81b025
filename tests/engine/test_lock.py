"""Who may write: whoever holds the lock, by a clock that nobody sets."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from reconciler.cli import compose, session
from reconciler.errors import ConflictError, StoppedError
from reconciler.http.client import Http
from reconciler.ledger.lock import LEASE_S, RENEW_S, Holder, Lock
from reconciler.model import Actor, Model
from tests.lab import Lab, LabClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.engine.world import World

HOLDER = Holder(Actor("42.1", "octocat"), "2026-11-23T10:00:00Z", "apply")
NOW = "2026-11-23T10:00:00Z"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, door="server")
    yield made
    made.close()


@dataclass
class Watched(LabClock):
    """The laboratory's clock; something happens whenever somebody waits."""

    lab: Lab
    meanwhile: Callable[[], object]

    def now(self) -> float:
        return self.lab.clock()

    def wait(self, seconds: float) -> None:
        self.meanwhile()
        self.lab.clock.advance(seconds)


def lock_of(lab: Lab, meanwhile: Callable[[], object] = bool) -> Lock:
    return Lock(lab.world().ledger._locks, "local", Watched(lab, meanwhile))


def leased(lab: Lab) -> str:
    """The id of a lease on the lock that nobody keeps."""
    lock = lock_of(lab)
    return lock._try(HOLDER)


def test_the_lock_of_a_dead_run_is_seen_to_end(lab: Lab) -> None:
    leased(lab)
    began = lab.clock()
    assert lock_of(lab).ends_by_itself()
    assert LEASE_S - 5 < lab.clock() - began < LEASE_S + 5
    assert not lock_of(lab).is_held()


def test_the_lock_of_a_run_that_renews_it_is_seen_to_live(lab: Lab) -> None:
    lease, container = leased(lab), lab.world().ledger._locks
    assert not lock_of(lab, lambda: container.renew("_locks/local.json", lease)).ends_by_itself()
    assert lock_of(lab).is_held()


def test_a_lock_that_is_taken_away_is_free_only_when_its_run_must_have_heard_of_it(
    lab: Lab,
) -> None:
    lease, container = leased(lab), lab.world().ledger._locks
    looks = []

    def renewed_or_taken() -> None:
        with pytest.raises(ConflictError):
            container.renew("_locks/local.json", lease)
        with pytest.raises(ConflictError):
            container.acquire("_locks/local.json", 60)
        looks.append(lab.clock())

    began = lab.clock()
    assert lock_of(lab, renewed_or_taken).break_(Actor("1"), NOW, "test")
    assert looks
    assert lab.clock() - began > RENEW_S
    assert lock_of(lab).holder() == "another run (it was broken before)"
    container.acquire("_locks/local.json", 60)


# --- who lost the lock writes no more -------------------------------------------------------


def connected(lab: Lab, stop: session.Stop) -> World:
    http = Http(threads=1, on_request=lambda method, url: lab.sent.append((method, url)))
    clock = LabClock(lab.clock)
    return compose.connect(lab.desired(), http, environ=lab.environ, stop=stop, clock=clock)


def every_write(lab: Lab, world: World) -> list[Callable[[], object]]:
    """A write to each kind of endpoint, to the store, and to a training service."""
    new, classic = (
        next(b for b in lab.desired().bindings if b.name == name)
        for name in ("breast-cancer", "diabetes-young")
    )
    trainer = world.trainers[new.recipe.service]
    ref = world.ledger.ref(classic.version)
    return [
        lambda: world.targets[new.kind].switch(new, Model(ref)),
        lambda: world.targets[classic.kind].switch(classic, Model(ref)),
        lambda: world.ledger._container.put("x", b"x"),
        lambda: trainer.submit(new.recipe, {}, {}),
        lambda: trainer.start("x" * 32),
        lambda: trainer.cancel("x" * 32),
    ]


def test_a_run_that_lost_its_lock_writes_nothing_anywhere(lab: Lab) -> None:
    stop = session.Stop()
    world = connected(lab, stop)
    lock = world.ledger.lock("local", LabClock(lab.clock), bool)
    with lock.held(HOLDER, 0, waiting=print, lost=stop.event.set):
        stop.lock = lock
        lab.clock.advance(LEASE_S - RENEW_S + 1)  # the process was paused, and hears of nothing
        lab.sent.clear()
        for write in every_write(lab, world):
            with pytest.raises(StoppedError, match="the lock was lost"):
                write()
        assert lab.writes == []
        assert stop.event.is_set()


def test_a_run_that_is_asked_to_stop_notes_what_was_done_and_does_no_more(lab: Lab) -> None:
    stop = session.Stop()
    world = connected(lab, stop)
    stop.event.set()
    lab.sent.clear()
    to_the_store = every_write(lab, world).pop(2)
    for write in every_write(lab, world):
        with contextlib.suppress(StoppedError):
            write()
    to_the_store()
    assert {url.rsplit("/", 1)[-1] for _, url in lab.writes} == {"x"}


# --- clocks that are set --------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-600, -240, 120])
def test_a_clock_that_is_set_neither_stalls_a_run_nor_ends_its_lock(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    clock, real = session.SystemClock(session.Stop()), time.time
    before = clock.now()
    assert before == pytest.approx(real(), abs=1)
    lock = Lock(lab.world().ledger._locks, "local", clock)
    with lock.held(HOLDER, 0, waiting=print, lost=bool):
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        assert 0 <= clock.now() - before < 10
        assert lock.lapsed() == ""
