"""A freeze: `apply` refuses what would be changed, says until when, and obeys --force REASON."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.model import EventKind
from tests.twins import twin_of
from tests.twins.contract import FIRST, SECOND, THIRD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.twins.contract import Twin

    Command = Callable[..., Ran]

ALWAYS = '[{cron: "* * * * *", for: 1h}]'


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    """A twin that serves the first version and is to get the second."""
    with twin_of("shelves, folder", tmp_path, monkeypatch) as made:
        assert made.apply().failures == ()
        made.ask_for(SECOND)
        monkeypatch.chdir(tmp_path)
        yield made


def freeze(twin: Twin, windows: str = ALWAYS) -> None:
    twin.edit("toys.yaml", "spec: {store", f"spec: {{freeze: {windows}, store")


def test_a_change_is_refused_until_the_end_of_the_window(twin: Twin, command: Command) -> None:
    freeze(twin)
    assert "frozen until 20" in command("plan").out
    refused: list[Ran] = []
    assert twin.written_by(lambda: refused.append(command("apply", "--yes"))) == []
    assert refused[0].code == errors.REFUSED
    assert "toys is frozen until 20" in refused[0].err


def test_a_reason_overrides_it_and_is_kept(twin: Twin, command: Command) -> None:
    freeze(twin)
    assert "overridden by --force" in command("plan", "--force", "a fix").out
    assert command("apply", "--yes", "--force", "a fix").code == errors.SUCCESS
    record = twin.world(read_only=True).ledger.record(twin.binding().address)
    assert record is not None
    assert [e.why for e in record.history if e.what is EventKind.SWAP][-1] == "a fix"
    assert twin.serving() == SECOND


def test_nothing_is_said_where_nothing_is_to_be_changed(twin: Twin, command: Command) -> None:
    twin.ask_for(FIRST)
    freeze(twin)
    assert "frozen" not in command("plan").out
    assert command("apply", "--yes").code == errors.SUCCESS


def test_a_version_is_trained_in_a_freeze(twin: Twin, command: Command) -> None:
    freeze(twin)
    assert command("train", "--yes").code == errors.SUCCESS
    assert len(list(twin.starts())) == 2


def test_a_freeze_that_begins_while_a_run_trains_is_obeyed(twin: Twin) -> None:
    ended = twin.converge(replace(twin.world(), frozen=lambda: "frozen until noon"), 1)
    (failure,) = [end.failure for end in ended.values()]
    assert failure is not None
    assert (failure.exit_code, failure.message[:17]) == (errors.REFUSED, "frozen until noon")
    assert not twin.is_told(SECOND, twin.name)


def cut_off(twin: Twin, monkeypatch: pytest.MonkeyPatch, then: str = f"freeze: {ALWAYS}") -> None:
    """A run that ended between a swap to a bad version and its proof, before a freeze or a limit."""
    twin.spoil()
    twin.ask_for(SECOND)
    world, swapped = twin.world(), list[str]()
    target = world.targets[twin.binding().kind]
    switch = target.switch
    monkeypatch.setattr(target, "switch", lambda *of: swapped.append(switch(*of)) or "")
    twin.converge(replace(world, stopping=lambda: bool(swapped)), 1)
    assert twin.serving() == SECOND
    twin.edit("all.yaml", "spec: {store", f"spec: {{{then}, store")
    monkeypatch.chdir(twin.services.parent)


def test_what_was_swapped_in_is_proved_or_taken_back_in_a_freeze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    with twin_of("local, folder", tmp_path, monkeypatch) as twin:
        assert twin.apply().failures == ()
        cut_off(twin, monkeypatch)
        assert command("apply", "--yes").code == errors.UNPROVED
        assert twin.serving() == FIRST


def test_it_is_taken_back_though_another_endpoint_must_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    with twin_of("local, folder", tmp_path, monkeypatch) as twin:
        other = twin.declare_another()
        assert twin.apply().failures == ()
        cut_off(twin, monkeypatch)
        twin.ask_for(SECOND, other)
        ran = command("apply", "--yes")
        assert ran.code == errors.UNPROVED
        assert [twin.serving(), twin.serving(other)] == [FIRST, FIRST]
        assert "frozen until 20" in ran.err


def test_it_is_taken_back_though_the_plan_exceeds_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    with twin_of("local, folder", tmp_path, monkeypatch) as twin:
        other = twin.declare_another()
        assert twin.apply().failures == ()
        cut_off(twin, monkeypatch, "limits: {retrains: 0}")
        twin.ask_for(THIRD, other)
        ran = command("apply", "--yes")
        assert ran.code == errors.UNPROVED
        assert [twin.serving(), twin.serving(other)] == [FIRST, FIRST]
        assert "1 version would be trained, and limits.retrains is 0; raise the limit" in ran.err
        assert command("apply", "--yes").code == errors.REFUSED


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ('cron: "0 25 * * *", for: 1h', '7:21: spec.freeze.cron: "25" is no hour from 0 to 23'),
        ('cron: "0 0 30 2 *", for: 1h', '7:21: spec.freeze.cron: "0 0 30 2 *" begins on no day'),
        ('cron: "0 0 * * *", for: 32d', "spec.freeze.for: at most 31d"),
        ('cron: "0 0 * * *", for: 1h, timezone: Mars/Base', 'spec.freeze.timezone: "Mars/Base"'),
        ('cron: "0 0 * * *", for: forever', '"forever" is not a duration'),
        ("for: 1h", '"cron" is missing'),
    ],
)
def test_a_window_that_cannot_be_is_refused(
    twin: Twin, command: Command, window: str, why: str
) -> None:
    freeze(twin, f"[{{{window}}}]")
    ran = command("validate")
    assert ran.code == errors.CONFIGURATION
    assert why.removeprefix("7:21: ") in ran.err
