"""What exactly-once rests on, on every kind of store: of many runs one wins each step."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest

from reconciler import model
from reconciler.errors import ConflictError, StalePlanError, UnreadableError
from reconciler.ledger import Attempt, Evaluation, Ledger, Manifest
from reconciler.model import Actor, Plan, Recipe, Record, Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.stores.contract import Store

T = TypeVar("T")
AT = "2026-11-23T10:00:00Z"
RUNS = 10
VERSION = Version("churn", "2026-11", (("slice", "young & old"),))


class Address(model.Address):
    """An address as records know it."""

    key = "local/churn"

    def __str__(self) -> str:
        return "local/churn"


def test_a_record_is_found_whatever_the_case_of_its_address(store: Store) -> None:
    class Capital(Address):
        key = "Local/CHURN"

        def __str__(self) -> str:
            return "Local/CHURN"

    ledger = Ledger(store)
    ref = ledger.ref(VERSION)
    kept = ledger.keep_record(Capital(), Record(ref, None, None, proved=False, at=AT))
    assert ledger.record(Address()) == ledger.record(Capital()) == kept
    assert ledger.has_records("LOCAL/")


def manifest(run: object) -> Manifest:
    return Manifest(VERSION, "k" * 64, Recipe("local"), AT, str(run))


def at_once(step: Callable[[int], T]) -> list[T]:
    """What each of many runs gets that do a step at the same moment; None for a conflict."""
    ready = threading.Barrier(RUNS)

    def run(number: int) -> T | None:
        ready.wait()
        try:
            return step(number)
        except ConflictError:
            return None

    with ThreadPoolExecutor(RUNS) as pool:
        return [made for made in pool.map(run, range(RUNS)) if made is not None]


def test_a_manifest_does_not_say_where_the_code_lies(store: Store) -> None:
    recipe = Recipe("local", code="c" * 64, folder="/home/somebody/training")
    claimed = Ledger(store).claim(replace(manifest(1), recipe=recipe)).manifest
    kept = store.get(Ledger(store).manifest_name(VERSION))
    assert kept is not None
    assert b"somebody" not in kept.content
    read = Ledger(store).read(VERSION)
    assert read is not None
    assert read.manifest == claimed
    assert read.manifest.recipe.folder == ""


def test_a_version_has_one_claim_which_everybody_sees(store: Store) -> None:
    entries = at_once(lambda run: Ledger(store).claim(manifest(run)))
    assert len(entries) == RUNS
    assert len({entry.manifest.claimed_by for entry in entries}) == 1
    assert len({entry.etag for entry in entries}) == 1
    assert Ledger(store).read(VERSION) == entries[0]


def test_a_claim_has_one_job(store: Store) -> None:
    entry = Ledger(store).claim(manifest(1))
    (noted,) = at_once(lambda run: Ledger(store).note_attempt(entry, Attempt(f"job-{run}", AT)))
    assert Ledger(store).read(VERSION) == noted
    with pytest.raises(ConflictError):
        Ledger(store).note_attempt(entry, Attempt("job-late", AT))


def test_what_came_of_a_job_is_found_again(store: Store) -> None:
    ledger = Ledger(store)
    entry = ledger.note_attempt(ledger.claim(manifest(1)), Attempt("job", AT, {"a.csv": "md5:x"}))
    entry = ledger.note_evaluation(
        ledger.note_start(entry, AT), Evaluation({"AUC": 0.9}, "0" * 64, AT)
    )
    assert ledger.read(VERSION) == entry
    assert ledger.beside(ledger.ref(VERSION)) == entry.manifest
    assert ledger.versions("churn") == ([entry.manifest], [])
    assert ledger.durations("churn", 10) == [0.0]
    assert ledger.around({"churn"}) == [entry.manifest]


def test_a_record_is_written_by_who_read_the_one_before(store: Store) -> None:
    ledger, address = Ledger(store), Address()
    ref = ledger.ref(VERSION)
    new = Record(wanted=ref, previous=None, bound=None, proved=False, at=AT)
    first = at_once(
        lambda run: ledger.keep_record(address, replace(new, settings=(("n", str(run)),)))
    )
    assert len(first) == 1
    assert ledger.record(address) == first[0]
    second = at_once(
        lambda run: ledger.keep_record(address, replace(first[0], settings=(("m", str(run)),)))
    )
    assert len(second) == 1
    assert ledger.record(address) == second[0]
    assert ledger.has_records("local/")
    assert not ledger.has_records("other/")


def test_a_plan_is_applied_once(store: Store) -> None:
    plans, plan = Ledger(store).plans, Plan("prod", "here", (), id="1")
    assert not plans.begun(plan)
    at_once(lambda run: plans.begin(plan, Actor(str(run)), AT) or run)
    assert plans.begun(plan)
    plans.check(plan)
    plans.end(plan, Actor("1"), AT)
    with pytest.raises(StalePlanError, match="was applied already, by run 1"):
        plans.begin(plan, Actor("2"), AT)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_manifest_is_never_an_absent_one(store: Store, damage: bytes) -> None:
    store.put(f"{VERSION.folder}/manifest.json", damage)
    for read in (lambda: Ledger(store).read(VERSION), lambda: Ledger(store).claim(manifest(1))):
        with pytest.raises(UnreadableError, match=r"churn/2026-11/.* in the store is damaged"):
            read()
    found, damaged = Ledger(store).versions("churn")
    assert (found, len(damaged)) == ([], 1)
