"""Who may write: whoever holds the lock, by a clock that nobody sets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli import compose, stopping
from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    LockError,
    StoppedError,
    UnavailableError,
)
from reconciler.http.client import Http
from reconciler.ledger.lock import LEASE_S, RENEW_S, Holder, Lock
from reconciler.model import Actor, Model, StoreUrl
from reconciler.platforms.contract import Order
from reconciler.stores import open_store
from reconciler.stores.alive import OURS
from reconciler.stores.folder import FolderStore
from tests.lab import Lab, LabClock
from tests.stores.buckets import KEY, Google, google_key, new_bucket, opening, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.engine.world import World

HOLDER = Holder(Actor("42.1", "octocat"), "2026-11-23T10:00:00Z", "apply")
NOW = "2026-11-23T10:00:00Z"
NAME = "_locks/local.json"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, door="server")
    yield made
    made.close()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def google() -> Iterator[Google]:
    with Google() as server:
        yield server


def bucket_of(request: pytest.FixtureRequest) -> tuple[StoreUrl, str]:
    """A place in an empty bucket of the kind that a fixture is asked for, and the key to it."""
    if request.param == "s3":
        url = request.getfixturevalue("s3")
        return StoreUrl(f"s3://{new_bucket(url)}/prod", None, url), KEY
    google = request.getfixturevalue("google")
    return StoreUrl(f"gs://{google.bucket}/prod", None, google.url), google_key(google.url)


@pytest.fixture(params=["folder", "blob", "s3", "gs"])
def store(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Any]:
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield FolderStore(tmp_path / "store")
    elif request.param == "blob":
        yield lab.world().ledger._locks
    else:
        at, key = bucket_of(request)
        with Http(backoff_s=0) as http:
            yield open_store(at, key, opening(http, at.endpoint))


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


def lock_of(lab: Lab, store: Any, meanwhile: Callable[[], object] = bool, **fields: Any) -> Lock:
    return Lock(store, "local", Watched(lab, meanwhile), **fields)


def left(lab: Lab, store: Any, **fields: Any) -> Lock:
    """A lock that was taken by somebody who renews it no more."""
    lock = lock_of(lab, store, **fields)
    assert lock._try(HOLDER) == ""
    return lock


def renewing(lock: Lock) -> Callable[[], object]:
    return lambda: lock._swap({**lock._record, "beat": lock._record["beat"] + 1})


def enter(lock: Lock, timeout_s: float = 0) -> None:
    with lock.held(HOLDER, timeout_s, waiting=bool, lost=bool):
        pass


def record(store: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(store.get(NAME).content)
    return document


# --- taken, waited for, given back ----------------------------------------------------------


def test_a_lock_is_given_back(lab: Lab, store: Any) -> None:
    for _ in range(2):
        enter(lock_of(lab, store))
    assert record(store)["nonce"] == ""
    assert lock_of(lab, store).holder() == "apply of octocat, run 42.1, since 2026-11-23T10:00:00Z"
    assert not lock_of(lab, store).is_held()


def test_who_does_not_wait_is_told_who_holds_the_lock(lab: Lab, store: Any) -> None:
    left(lab, store)
    with pytest.raises(LockError, match=r"environment local is locked by apply of octocat, run 42"):
        enter(lock_of(lab, store))


def test_the_lock_of_a_dead_run_is_taken_after_a_lease_by_the_clock_of_who_waits(
    lab: Lab, store: Any
) -> None:
    left(lab, store)
    began = lab.clock()
    enter(lock_of(lab, store), timeout_s=90)
    assert LEASE_S <= lab.clock() - began < LEASE_S + 5


def test_the_lock_of_a_run_that_lives_is_never_taken(lab: Lab, store: Any) -> None:
    holder = left(lab, store)
    with pytest.raises(LockError):
        enter(lock_of(lab, store, renewing(holder)), timeout_s=200)


@pytest.mark.parametrize("since", ["2026-11-22T10:00:00Z", "2026-11-24T10:00:00Z", "yesterday"])
def test_it_does_not_matter_what_the_clock_of_another_machine_says(
    lab: Lab, store: Any, since: str
) -> None:
    holder = lock_of(lab, store)
    holder._try(Holder(Actor("1", "skewed"), since, "apply"))
    began = lab.clock()
    with pytest.raises(LockError, match=f"skewed, run 1, since {since}"):
        enter(lock_of(lab, store), timeout_s=LEASE_S - 10)
    enter(lock_of(lab, store), timeout_s=LEASE_S + 10)
    assert lab.clock() - began > LEASE_S


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"nonce": 3}', b"<html>"])
def test_a_record_that_is_damaged_is_held_by_somebody(lab: Lab, store: Any, content: bytes) -> None:
    store.put(NAME, content)
    with pytest.raises(LockError, match="locked by another run"):
        enter(lock_of(lab, store))
    enter(lock_of(lab, store), timeout_s=90)


def test_a_renewal_whose_answer_was_lost_is_known_again(
    lab: Lab, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, real = left(lab, store), store.replace

    def unheard(*arguments: Any) -> str:
        real(*arguments)
        raise UnavailableError("no answer")

    monkeypatch.setattr(store, "replace", unheard)
    with pytest.raises(UnavailableError):
        renewing(holder)()
    monkeypatch.setattr(store, "replace", real)
    renewing(holder)()
    holder._release()
    assert not lock_of(lab, store).is_held()


@pytest.mark.parametrize(("dead", "alive"), [("", "1/2"), ("2/2", ""), ("2/3", "1/2")])
def test_a_dead_rival_is_ended_and_hears_of_it(lab: Lab, store: Any, dead: str, alive: str) -> None:
    rival = left(lab, store, shard=dead)
    enter(lock_of(lab, store, shard=alive), timeout_s=90)
    with pytest.raises(ConflictError, match="another run found it expired"):
        renewing(rival)()


# --- unlock ---------------------------------------------------------------------------------


def test_the_lock_of_a_dead_run_is_seen_to_end(lab: Lab, store: Any) -> None:
    left(lab, store)
    began = lab.clock()
    assert lock_of(lab, store).ends_by_itself()
    assert LEASE_S - 5 < lab.clock() - began < LEASE_S + 5
    assert not lock_of(lab, store).is_held()


def test_the_lock_of_a_run_that_renews_it_is_seen_to_live(lab: Lab, store: Any) -> None:
    holder = left(lab, store)
    assert not lock_of(lab, store, renewing(holder)).ends_by_itself()
    assert lock_of(lab, store).is_held()


def test_a_lock_that_is_taken_away_is_free_only_when_its_run_must_have_heard_of_it(
    lab: Lab, store: Any
) -> None:
    holder, looks = left(lab, store), []

    def renewed_or_taken() -> None:
        with pytest.raises(ConflictError, match="octocat broke it: it hangs"):
            renewing(holder)()
        with pytest.raises(LockError):
            enter(lock_of(lab, store))
        looks.append(lab.clock())

    began = lab.clock()
    by = Actor("1", "octocat")
    assert lock_of(lab, store, renewed_or_taken).break_(by, NOW, "it hangs")
    assert looks
    assert lab.clock() - began > RENEW_S
    assert lock_of(lab, store).holder() == "another run (it was broken before)"
    assert record(store)["broken"]["why"] == "it hangs"
    enter(lock_of(lab, store))


def test_a_lock_that_is_taken_away_is_free_only_when_a_run_that_hears_nothing_gave_up(
    lab: Lab, store: Any
) -> None:
    holder = left(lab, store)
    lab.clock.advance(1)  # its renewals go unanswered from now on, and its writes do not
    assert lock_of(lab, store).break_(Actor("1"), NOW, "it hangs")
    enter(lock_of(lab, store))
    assert holder.lapsed() == "it could not be renewed in time"


@pytest.mark.parametrize(
    "unlocking", [Lock.ends_by_itself, lambda it: it.break_(Actor("1"), "", "")]
)
def test_a_person_who_ends_unlock_does_not_free_a_lock(
    lab: Lab, store: Any, unlocking: Callable[[Lock], bool]
) -> None:
    left(lab, store)
    with pytest.raises(StoppedError):
        unlocking(lock_of(lab, store, stopping=lambda: True))
    assert lock_of(lab, store).is_held()


# --- processes ------------------------------------------------------------------------------

ENTER = r"""
import os, sys
from pathlib import Path
from reconciler.cli import compose, stopping
from reconciler.http.client import Http
from reconciler.ledger import lock as room
from reconciler.model import Actor
from reconciler.stores.folder import FolderStore

kind, where, lease_s, times = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
room.LEASE_S, room.LOOK_S = lease_s, 0.02
if kind in ("s3", "gs"):
    from reconciler.model import StoreUrl
    from reconciler.stores import open_store
    from tests.stores.buckets import opening

    url, at, key = (os.environ[f"BUCKET_{part}"] for part in ("SERVER", "URL", "KEY"))
    store = open_store(StoreUrl(at, None, url), key, opening(Http(threads=2), url))
elif kind == "blob":
    store = compose.connect(compose.load(where)["local"], Http(threads=2)).ledger._locks
else:
    store = FolderStore(where)
clock = stopping.SystemClock(stopping.Stop())
holder = room.Holder(Actor(str(os.getpid())), "", "apply")
diary = os.open(sys.argv[5], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for _ in range(times):
    lock = room.Lock(store, "local", clock, renew_s=lease_s / 3)
    with lock.held(holder, 120, waiting=bool, lost=bool):
        os.write(diary, b"in %d\n" % os.getpid())
        print("in", flush=True)
        if times == 1:
            sys.stdin.readline()
        print("lost" if lock.lapsed() else "mine", flush=True)
        os.write(diary, b"out %d\n" % os.getpid())
"""


class Runs:
    """Processes that hold the lock of one store, and what they wrote down."""

    def __init__(self, kind: str, where: Path, environ: dict[str, str], diary: Path) -> None:
        self.diary = diary
        self.kind, self.where = kind, where
        self._environ = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, lease_s: float, times: int) -> subprocess.Popen[str]:
        arguments = [self.kind, str(self.where), str(lease_s), str(times), str(self.diary)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", ENTER, *arguments],
            env=self._environ,
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        self.processes.append(process)
        return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(params=["folder", "blob", "s3", "gs"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runs]:
    lab = Lab(tmp_path, door="server", clock=time.time)
    (tmp_path / "store").mkdir()
    where = lab.services if request.param == "blob" else tmp_path / "store"
    environ = lab.environ
    if request.param in ("s3", "gs"):
        at, key = bucket_of(request)
        mine = {"BUCKET_SERVER": at.endpoint, "BUCKET_URL": at.url, "BUCKET_KEY": key}
        environ = {**environ, **mine}
    made = Runs(request.param, where, environ, tmp_path / "diary")
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()
    lab.close()


def test_of_six_processes_one_is_inside_at_a_time(runs: Runs) -> None:
    for process in [runs.begin(30.0, 8) for _ in range(6)]:
        assert process.communicate(timeout=120)[0].split() == ["in", "mine"] * 8
    lines = runs.diary.read_text().split("\n")[:-1]
    assert len(lines) == 96
    for entered, left in zip(lines[::2], lines[1::2], strict=True):
        assert entered.replace("in", "out") == left


def test_the_lock_of_a_killed_process_is_taken_over(runs: Runs) -> None:
    first = runs.begin(1.5, 1)
    assert said(first) == "in"
    first.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    second = runs.begin(1.5, 1)
    assert said(second) == "in"
    if runs.kind != "folder":
        assert time.monotonic() - killed_at >= 1.5
    assert second.communicate("\n", timeout=60)[0] == "mine\n"


@pytest.mark.parametrize("runs", ["folder"], indirect=True)
def test_the_lock_of_a_folder_ends_with_its_process_long_before_its_lease(runs: Runs) -> None:
    lease_s = 600.0
    first = runs.begin(lease_s, 1)
    assert said(first) == "in"
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = runs.begin(lease_s, 1)
    assert second.communicate("\n", timeout=60)[0] == "in\nmine\n"


@pytest.mark.parametrize("runs", ["folder"], indirect=True)
def test_a_paused_process_keeps_its_sign_of_life(runs: Runs) -> None:
    first = runs.begin(600.0, 1)
    assert said(first) == "in"
    first.send_signal(signal.SIGSTOP)
    store = FolderStore(runs.where)
    sign = record(store)["process"]
    assert not store.has_died(sign)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert store.has_died(sign)


def test_a_sign_of_another_machine_says_nothing(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = FolderStore(tmp_path / "store")
    with store.alive() as sign:
        kept = store.root / OURS / sign.partition("/")[2]
        kept.write_bytes(b"")
    kept.write_bytes(b"")  # nobody holds it
    assert store.has_died(sign)
    elsewhere = f"{uuid.uuid4()}/{kept.name}"
    for unknown in (elsewhere, f"{sign[:-1]}x", "../../etc/passwd", ""):
        assert not store.has_died(unknown)
    held = left(lab, store)
    held._swap({**held._record, "process": elsewhere})
    waiter = lock_of(lab, store)
    with pytest.raises(LockError):
        enter(waiter)
    held._swap({**held._record, "process": sign})
    enter(waiter)


def test_a_frozen_process_wakes_up_and_knows_that_it_lost_the_lock(
    runs: Runs,
) -> None:
    first = runs.begin(1.5, 1)
    assert said(first) == "in"
    first.send_signal(signal.SIGSTOP)
    second = runs.begin(1.5, 1)
    assert said(second) == "in"
    assert first.stdin is not None
    first.stdin.write("\n")
    first.stdin.flush()
    first.send_signal(signal.SIGCONT)
    assert first.communicate(timeout=60)[0] == "lost\n"
    assert second.communicate("\n", timeout=60)[0] == "mine\n"


# --- who lost the lock writes no more -------------------------------------------------------


def connected(lab: Lab, stop: stopping.Stop) -> World:
    http = Http(threads=1, on_request=lambda method, url: lab.sent.append((method, url)))
    clock = LabClock(lab.clock)
    return compose.connect(lab.desired(), http, environ=lab.environ, stop=stop, clock=clock)


def every_write(lab: Lab, world: World) -> list[Callable[[], object]]:
    """A write to each kind of endpoint, to the store, and to a training service."""
    new, classic = (
        next(b for b in lab.desired().bindings if b.name == name)
        for name in ("breast-cancer", "diabetes-young")
    )
    trainer = world.trainers[new.recipe.trainer]
    order = Order(new.key, 1, new.recipe, {}, {}, 60.0)
    ref = world.ledger.ref(classic.version)
    return [
        lambda: world.targets[new.kind].switch(new, Model(ref)),
        lambda: world.targets[classic.kind].switch(classic, Model(ref)),
        lambda: world.ledger._store.put("x", b"x"),
        lambda: trainer.prepare(order),
        lambda: trainer.start("x" * 32, order),
        lambda: trainer.cancel("x" * 32),
    ]


def test_a_run_that_lost_its_lock_writes_nothing_anywhere(lab: Lab) -> None:
    stop = stopping.Stop()
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
    stop = stopping.Stop()
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
    clock, real = stopping.SystemClock(stopping.Stop()), time.time
    before = clock.now()
    assert before == pytest.approx(real(), abs=1)
    lock = Lock(lab.world().ledger._locks, "local", clock)  # type: ignore[arg-type]
    with lock.held(HOLDER, 0, waiting=print, lost=bool):
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        assert 0 <= clock.now() - before < 10
        assert lock.lapsed() == ""


def test_a_store_that_is_gone_hides_no_result_and_no_later_renewal(
    lab: Lab, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, real, beats = threading.Event(), store.replace, []

    def replace(name: str, content: bytes, etag: str) -> str:
        beats.append(name)
        if gone.is_set():
            raise ConfigurationError("the store folder does not exist")
        return str(real(name, content, etag))

    def heard(more: int) -> None:
        goal, until = len(beats) + more, time.monotonic() + 10
        while len(beats) < goal:
            assert time.monotonic() < until, "nobody renews the lock any more"
            time.sleep(0.01)

    monkeypatch.setattr(store, "replace", replace)
    with lock_of(lab, store, renew_s=0.02).held(HOLDER, 0, waiting=bool, lost=bool):
        gone.set()
        heard(2)
        gone.clear()
        heard(2)
        gone.set()
    gone.clear()
    assert lock_of(lab, store).is_held()
