"""Waves on the command line: a run that can only wait writes nothing, and says until when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.selection import in_shard
from tests.twins import twin_of
from tests.twins.contract import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.model import Address
    from tests.cli.conftest import Ran
    from tests.twins.contract import Twin

    Command = Callable[..., Ran]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    """Two endpoints that serve the first version, and are to get the second a day apart."""
    with twin_of("shelves, folder", tmp_path, monkeypatch) as twin:
        other = twin.declare_another()
        assert twin.apply().failures == ()
        twin.give_out("{first: 1, soak: 1d}")
        for name in (twin.name, other):
            twin.ask_for(SECOND, name)
        monkeypatch.chdir(tmp_path)
        yield twin


def test_a_plan_shows_the_waves(fleet: Twin, command: Command) -> None:
    shown = command("plan")
    assert "wave 1 of 2" in shown.out
    assert "wave 2 of 2" in shown.out
    assert "in waves: 2026-11 of other and 1 more goes to 1, then 1 endpoint;" in " ".join(
        shown.out.split()
    )
    plan = json.loads(command("plan", "-o", "json").out)
    assert [change["wave"]["number"] for change in plan["changes"]] == [1, 2]
    assert fleet.serving("top") != SECOND


def test_a_run_that_can_only_wait_says_until_when_and_writes_nothing(
    fleet: Twin, command: Command
) -> None:
    ran = command("apply", "--yes")
    assert ran.code == errors.SUCCESS, ran.err
    assert "1 endpoint waits for words/2026-11 until" in ran.out
    again: list[Ran] = []
    assert fleet.written_by(lambda: again.append(command("apply", "--yes"))) == []
    assert again[0].code == errors.SUCCESS
    assert "1 waiting" in again[0].out


def test_a_part_of_a_fleet_gets_a_version_when_its_first_endpoint_is_proved(
    fleet: Twin, command: Command
) -> None:
    fleet.give_out("{first: 1}")
    fleet.label(fleet.name, '{canary: "true"}')
    refused: list[Ran] = []
    assert fleet.written_by(lambda: refused.append(command("apply", "--yes", "-t", "other"))) == []
    assert refused[0].code == errors.REFUSED
    why = f"{fleet.name} gets this version first, and was not proved with it"
    assert why in " ".join(refused[0].err.split())
    assert command("apply", "--yes", "-t", fleet.name).code == errors.SUCCESS
    assert command("apply", "--yes", "-t", "other").code == errors.SUCCESS
    assert fleet.serving("other") == SECOND


def test_a_part_of_a_fleet_waits_for_the_soak_of_its_first_endpoint(
    fleet: Twin, command: Command
) -> None:
    fleet.label(fleet.name, '{canary: "true"}')
    assert command("apply", "--yes", "-t", fleet.name).code == errors.SUCCESS
    waiting: list[Ran] = []
    part = ("apply", "--yes", "-t", "other")
    assert fleet.written_by(lambda: waiting.append(command(*part))) == []
    assert waiting[0].code == errors.SUCCESS, waiting[0].err
    assert "1 endpoint waits for words/2026-11 until 20" in waiting[0].out
    assert "0 failed, 1 waiting" in waiting[0].out
    fleet.give_out("{first: 1}")
    assert command("apply", "--yes", "-t", "other").code == errors.SUCCESS


def test_a_shard_whose_first_endpoint_does_not_move_is_refused_after_its_patience(
    fleet: Twin, command: Command
) -> None:
    refused = command("apply", "--yes", "--lock-timeout", "0", "--shard", shard_of_other(fleet))
    assert refused.code == errors.REFUSED
    assert "it is in another shard, and `apply` waits for that" in " ".join(refused.err.split())


def test_an_approved_plan_of_a_shard_covers_what_waits_for_another_one(
    fleet: Twin, command: Command
) -> None:
    mine = ("--shard", shard_of_other(fleet))
    planned = command("plan", *mine, "--out", "plan.json")
    assert planned.code == errors.SUCCESS, planned.err
    assert "wait: other_shard" in planned.out
    assert f"{fleet.name} gets this version first" in " ".join(planned.out.split())
    approved = ("apply", "plan.json", *mine, "--lock-timeout", "0")
    assert command(*approved).code == errors.REFUSED
    assert command("apply", "--yes", "-t", fleet.name).code == errors.SUCCESS
    assert fleet.serving("other") != SECOND
    ran = command(*approved)
    assert ran.code == errors.SUCCESS, ran.err
    assert fleet.serving("other") == SECOND
    again = command(*approved)
    assert again.code == errors.STALE
    assert "was applied already" in again.err


def shard_of_other(fleet: Twin) -> str:
    """The shard of `other`, where the first endpoint is in another one."""
    fleet.give_out("{first: 1}")
    fleet.label(fleet.name, '{canary: "true"}')
    places = {name: fleet.binding(name).address for name in (fleet.name, "other")}
    of = next(n for n in range(2, 99) if len({shard(place, n) for place in places.values()}) == 2)
    return f"{shard(places['other'], of)}/{of}"


def shard(address: Address, of: int) -> int:
    return next(n for n in range(1, of + 1) if in_shard(address, f"{n}/{of}"))


def test_a_run_says_how_many_were_spared(fleet: Twin, command: Command) -> None:
    fleet.spoil()
    ran = command("apply", "--yes")
    assert ran.code == errors.UNPROVED
    assert "1 endpoint was spared words/2026-11" in ran.out
    assert "1 spared" in ran.out


def test_an_offline_plan_of_a_part_knows_that_another_part_goes_first(
    fleet: Twin, command: Command
) -> None:
    fleet.label(fleet.name, '{canary: "true"}')
    assert command("snapshot", "--out", "snapshot.json").code == errors.SUCCESS
    offline = command("plan", "--live", "snapshot.json", "-t", "other")
    assert offline.code == errors.REFUSED
    assert f"{fleet.name} gets this version first" in " ".join(offline.out.split())


def test_a_plan_against_exports_of_a_part_says_who_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    with twin_of("local, folder", tmp_path, monkeypatch) as twin:
        other = twin.declare_another()
        assert twin.apply().failures == ()
        twin.give_out("{first: 1}")
        twin.label(twin.name, '{canary: "true"}')
        for name in (twin.name, other):
            twin.ask_for(SECOND, name)
        monkeypatch.chdir(tmp_path)
        assert command("export", "--out", "exports").code == errors.SUCCESS
        planned = command("plan", "--live", "exports", "-t", other)
        why = "m gets m/2026-11 first; a run of this part is refused until it has been proved"
        assert why in " ".join((planned.out + planned.err).split())
        twin.edit(f"{other}.yaml", "\nspec:\n", "\nspec:\n  paused: true\n")
        planned = command("plan", "--live", "exports", "-t", other)
        assert "first; a run of this part" not in " ".join((planned.out + planned.err).split())
