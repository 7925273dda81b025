"""Waiting for the shard that has the first endpoint of a fleet."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from reconciler.engine import required
from reconciler.engine.world import timestamp
from reconciler.model import Desired, Event, EventKind, ModelRef, Observed, Record, Rollout
from tests.test_plan import ENVIRONMENT
from tests.test_waves import endpoint, proved

NOW = 1_796_040_000.0  # 2026-11-30T12:00:00Z


@pytest.fixture
def said() -> list[str]:
    return []


def waited(
    first: Observed, said: list[str], monkeypatch: pytest.MonkeyPatch, began: float = NOW
) -> bool:
    """Whether `b` waited for the first endpoint, which is in another shard and does not change."""
    times = [NOW]
    clock = Mock(now=lambda: times[-1], wait=lambda s: times.append(times[-1] + s))
    world = Mock(clock=clock, stopping=lambda: False)
    monkeypatch.setattr(required, "observe", lambda *_: first)
    second = endpoint("b", first.binding.rollout)
    wanted = Desired(ENVIRONMENT, (second.binding,), left_out=(first.binding,), shard="1/2")
    required.await_firsts(world, [second], wanted, 60.0, said.append, began)
    return len(times) > 1


@pytest.mark.parametrize("rollout", [Rollout(pause_s=600.0), Rollout(soak_s=600.0)])
def test_the_pause_after_a_proof_is_no_wait_for_a_proof(
    rollout: Rollout, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = proved("a", "2026-11-30T11:59:00Z", rollout)
    assert not waited(first, said, monkeypatch)
    assert said == []
    second = endpoint("b", rollout)
    wanted = Desired(ENVIRONMENT, (second.binding,), left_out=(first.binding,), shard="1/2")
    world = Mock(moment=timestamp(NOW))
    assert required.behind(world, [second], wanted) == ({}, {"b": "2026-11-30T12:09:00Z"})
    world = Mock(moment=timestamp(NOW + 600))
    assert required.behind(world, [second], wanted) == ({}, {})


def test_a_first_endpoint_that_does_not_move_is_waited_for_with_patience(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waited(endpoint("a"), said, monkeypatch)
    assert said == ["waiting for other shards: a must be proved first"]


@pytest.mark.parametrize(
    ("what", "began", "waits"),
    [("failed", NOW, True), ("failed", NOW - 60, False), ("settings rejected", NOW, False)],
)
def test_a_first_endpoint_that_failed_by_its_settings_is_not_waited_for(
    what: str, began: float, waits: bool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is, where that was before this run: its shard may try again."""
    first = endpoint("a")
    event = Event("2026-11-30T11:59:30Z", EventKind(what), first.artifact.ref, "run", "", "no key")
    before = ModelRef("file:///store/m/before")
    record = Record(before, None, None, True, event.at, history=(event,))
    first = replace(first, record=record)
    assert waited(first, said, monkeypatch, began) is waits
    monkeypatch.setattr(required, "observe", lambda *_: first)
    second = endpoint("b")
    wanted = Desired(ENVIRONMENT, (second.binding,), left_out=(first.binding,))
    reasons, _ = required.behind(Mock(), [second], wanted)
    assert reasons["b"] == (
        "a gets this version first, and was not proved with it; with its settings it failed at "
        "2026-11-30T11:59:30Z: no key; correct them"
    )
