"""Many runs at once: one training start per version, one winner, no lost update."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.selection import in_shard
from tests.crash import harness
from tests.lab import APART, Lab
from tests.twins import LIVE, TWINS, twin_of
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.emulator.messages import Request, Response
    from reconciler.model import Address
    from tests.twins.contract import Twin


USUAL = ("local, folder", "shelves, s3")  # in the ordinary run; the others take a minute
WORLDS = [
    *(pytest.param(name, marks=[] if name in USUAL else [pytest.mark.long]) for name in TWINS),
    *(pytest.param(name, marks=pytest.mark.live) for name in LIVE),
]


@pytest.fixture(params=WORLDS)
def twin(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twin]:
    with twin_of(request.param, tmp_path, monkeypatch, apart=True) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, **APART)
    yield made
    made.close()


def apply_at_once(twin: Twin, runs: int) -> None:
    """So many processes; each must end well."""
    folders = [twin.services.parent / f"run-{number}" for number in range(runs)]
    for folder in folders:
        folder.mkdir()
    command = ("apply", "--yes", "--services", str(twin.services))
    processes = [harness.begin(folder, twin.environ, command) for folder in folders]
    ended = [(harness.end(p), harness.told(f)) for p, f in zip(processes, folders, strict=True)]
    assert [code for code, _ in ended] == [errors.SUCCESS] * runs, ended


# --- processes, which exclude each other by the lock ----------------------------------------


def test_processes_take_turns_and_train_once(twin: Twin, figure: Callable[[str], None]) -> None:
    apply_at_once(twin, 4)
    assert list(Counter(twin.starts()).values()) == [1]
    assert twin.plan().converged
    assert twin.serving() == FIRST
    figure("races: 4 processes on one endpoint, one training")


def without_the_lock(lab: Lab) -> list[str]:
    """What was written, from now on, while nobody held the lock of the environment."""
    written, serve = [], lab.cloud.handle

    def handle(request: Request) -> Response:
        scored = request.path.endswith("/execute")
        if request.method not in ("GET", "HEAD") and "/_locks/" not in request.path and not scored:
            blobs = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
            lock = blobs.get("_locks/local.json")
            if lock is None or json.loads(lock.content)["nonce"] == "":
                written.append(f"{request.method} {request.path}")
        return serve(request)

    lab.cloud.handle = handle  # type: ignore[method-assign]
    return written


def test_nothing_is_written_by_who_has_no_lock(lab: Lab) -> None:
    alone = without_the_lock(lab)
    apply_at_once(lab, 4)
    assert alone == []
    lab.want(SECOND)
    lab.run()  # which takes no lock
    assert any(method.startswith("PATCH ") for method in alone)


# --- runs without a lock, as after `unlock --force` on one that was alive --------------------


def test_runs_without_a_lock_train_once_and_lose_no_update(
    twin: Twin, figure: Callable[[str], None]
) -> None:
    if twin.by_turns:  # whose holder must not be outrun by a clock that waits move
        pytest.skip("runs in a time that jumps cannot take turns; the processes above do")
    for number, version in enumerate((FIRST, SECOND), 1):
        twin.ask_for(version)
        with ThreadPoolExecutor(8) as pool:
            runs = list(pool.map(lambda _: twin.run(), range(8)))
        assert [e.failure.message for run in runs for e in run.values() if e.failure] == []
        assert list(Counter(twin.starts()).values()) == [1] * number
        assert twin.plan().converged
        assert twin.serving() == version
    record = twin.world(read_only=True).ledger.record(twin.binding().address)
    assert record is not None
    assert record.proved
    assert record.previous is not None
    assert FIRST in record.previous.url
    figure("races: 8 runs without a lock on one endpoint, no update lost")


# --- shards of one fleet ----------------------------------------------------------------------


def shards_at_once(twin: Twin, names: list[str]) -> list[tuple[int, str]]:
    """How a run of each shard ended, where each of two endpoints is in another one."""
    places, of = [twin.binding(name).address for name in names], _count(twin, names)
    folders = [twin.services.parent / f"shard-{_shard(place, of)}" for place in places]
    processes = []
    for folder in reversed(folders):  # who must wait begins
        folder.mkdir(exist_ok=True)
        shard = folder.name.removeprefix("shard-")
        command = ("apply", "--yes", "--services", str(twin.services), "--shard", f"{shard}/{of}")
        processes.append(harness.begin(folder, twin.environ, command))
    codes = [harness.end(process) for process in reversed(processes)]
    return [(code, harness.told(folder)) for code, folder in zip(codes, folders, strict=True)]


def _count(twin: Twin, names: list[str]) -> int:
    """How many shards there must be for each of two endpoints to be in another one."""
    places = [twin.binding(name).address for name in names]
    return next(n for n in range(2, 99) if len({_shard(place, n) for place in places}) == 2)


def _shard(address: Address, of: int) -> int:
    return next(n for n in range(1, of + 1) if in_shard(address, f"{n}/{of}"))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Twin, list[str]]]:
    """Two endpoints of the first version that are to get the second, one after the other."""
    with twin_of("local, folder", tmp_path, monkeypatch, apart=True) as twin:
        names = [twin.name, twin.declare_another()]
        twin.give_out("{first: 1}")
        twin.label(twin.name, '{canary: "true"}')
        assert twin.apply().failures == ()
        for name in names:
            twin.ask_for(SECOND, name)
        yield twin, names


def test_a_shard_waits_for_the_one_that_has_the_first_endpoint(
    fleet: tuple[Twin, list[str]],
) -> None:
    twin, names = fleet
    (first, _), (second, told) = shards_at_once(twin, names)
    assert (first, second) == (errors.SUCCESS, errors.SUCCESS), told
    assert f"waiting for other shards: {twin.name} must be proved first" in told
    assert [twin.serving(name) for name in names] == [SECOND, SECOND]


def test_a_shard_that_waits_is_spared_a_version_that_is_found_bad(
    fleet: tuple[Twin, list[str]],
) -> None:
    twin, names = fleet
    twin.spoil()
    (first, _), (second, told) = shards_at_once(twin, names)
    assert (first, second) == (errors.UNPROVED, errors.REFUSED), told
    assert "rejected" in told
    assert [twin.serving(name) for name in names] == [FIRST, FIRST]
    record = twin.world(read_only=True).ledger.record(twin.binding(names[1]).address)
    assert record is not None
    assert SECOND not in [event.version for event in record.history]


def test_shards_that_have_the_first_endpoint_of_each_others_fleet_both_end(
    fleet: tuple[Twin, list[str]],
) -> None:
    twin, (first, second) = fleet
    of, candidates = _count(twin, [first, second]), [f"e{number}" for number in range(20)]
    folder = twin.services / twin.environment
    *_, model, binding = (folder / "all.yaml").read_text().split("---\n")

    def declare(*names: str) -> None:
        """Declare endpoints of another model; the last name is that of its canary."""
        texts = [model.replace("{name: m}", "{name: k}")]
        for name in names:
            text = binding.replace("{name: m, version", "{name: k, version")
            text = text.replace("{name: m,", f"{{name: {name},").replace('/m"', f'/{name}"')
            text = text if name == names[-1] else text.replace("canary", "later")
            texts.append(text.replace("serving/m.", f"serving/{name}."))
        (folder / "more.yaml").write_text("---\n".join(texts))

    def beside(other: str) -> str:
        shard = _shard(twin.binding(other).address, of)
        return next(n for n in candidates if _shard(twin.binding(n).address, of) == shard)

    declare(*candidates)
    names = [beside(first), beside(second)]
    declare(*names)
    (code, told), (other, told_there) = shards_at_once(twin, [first, second])
    # Which of the two waits, if any, is up to their timing.
    assert (code, other) == (errors.SUCCESS, errors.SUCCESS), told + told_there
    assert [twin.serving(name) for name in (second, *names)] == [SECOND] * 3
