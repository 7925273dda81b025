"""Faults, one at a time and in seeded schedules: whatever went wrong, the promises hold."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

import pytest

from reconciler.emulator import Fault, serve
from reconciler.http import tries
from reconciler.model import Reason
from tests.lab import Lab
from tests.oracle import ROUTES, no_bug, one_training_per_version, quiet, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.emulator.messages import Request, Response

FAULTS = {
    "429": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "headers": {"Retry-After": "2"}},
    "503": {"kind": "status", "status": 503},
    "503 with Retry-After": {"kind": "status", "status": 503, "headers": {"Retry-After": "2"}},
    "500": {"kind": "status", "status": 500},
    "403": {"kind": "status", "status": 403},
    "HTML": {"kind": "html"},
    "truncated": {"kind": "truncated"},
    "reset": {"kind": "reset"},
    "lost answer": {"kind": "lost-answer"},
}
TRICKS = [("operation", "the disk is full"), ("job", "the disk is full"), ("patch", "ignored")]
SWITCHES = [
    {},
    {"classic_location": "hidden"},
    {"patch_maps": "merge"},
    {"status_codes": "numbers"},
    {"async_failure": "error"},
]


def disturb(lab: Lab, route: str, name: str, times: int = 1) -> None:
    fields = dict(FAULTS[name])
    lab.cloud.faults.script(Fault(route, str(fields.pop("kind")), times=times, **fields))


def test_every_route_that_is_disturbed_is_one_that_a_run_meets(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.apply()
    assert {entry.route for entry in lab.cloud.log} == set(ROUTES)


def one_in_three() -> list[tuple[str, str]]:
    """Every route and every fault occurs; the long run tries each with each."""
    return [pair for i, pair in enumerate(product(ROUTES, FAULTS)) if i % 3 == 0]


@pytest.mark.parametrize(("route", "name"), one_in_three())
def test_one_fault_of_any_kind_is_survived(tmp_path: Path, route: str, name: str) -> None:
    one_fault_is_survived(tmp_path, route, name)


@pytest.mark.long
@pytest.mark.parametrize(
    ("route", "name"), sorted(set(product(ROUTES, FAULTS)) - set(one_in_three()))
)
def test_every_fault_on_every_route_is_survived(tmp_path: Path, route: str, name: str) -> None:
    one_fault_is_survived(tmp_path, route, name)


def one_fault_is_survived(folder: Path, route: str, name: str) -> None:
    lab = Lab(folder)
    old, sent = served(lab), submits_of(lab)
    disturb(lab, route, name)
    no_bug(lab)
    assert max(Counter(sent).values(), default=1) == 1, "a submit was sent again"
    assert served(lab) <= old | set(lab.cloud.world.models)
    quiet(lab)


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_that_never_answers_leaves_everything_as_it_was_or_converged(
    tmp_path: Path, route: str
) -> None:
    lab = Lab(tmp_path)
    disturb(lab, route, "503", times=10_000)
    no_bug(lab)
    quiet(lab)


@pytest.mark.parametrize(
    "route", ["arm.get", "classic.endpoint.get", "classic.services.get", "bes.look"]
)
@pytest.mark.parametrize("times", [2, 5, 40])
def test_stale_reads_are_survived(tmp_path: Path, route: str, times: int) -> None:
    lab = Lab(tmp_path)
    lab.cloud.faults.script(Fault(route, "stale", times=times))
    no_bug(lab)
    quiet(lab)


def answers_too_late_are_survived(folder: Path, route: str, log: pytest.LogCaptureFixture) -> None:
    lab = Lab(folder, door="server")
    lab.timeout_s = (1.0, 0.25)
    lab.cloud.faults._wait = time.sleep
    lab.cloud.faults.script(Fault(route, "delay", times=3, delay_s=0.5))
    with log.at_level(logging.DEBUG, "reconciler.http"):
        no_bug(lab)
    lab.timeout_s = (10.0, 60.0)
    quiet(lab)
    lab.close()
    assert "no answer in time" in log.text, "no request was given up"


# Of what is written, the service does it and the client does not hear of it.
@pytest.mark.parametrize("route", ["bes.submit", "blob.put"])
def test_answers_that_come_too_late_are_survived(
    tmp_path: Path, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers_too_late_are_survived(tmp_path, route, caplog)


@pytest.mark.long
@pytest.mark.parametrize("route", sorted({*ROUTES} - {"bes.submit", "blob.put"}))
def test_answers_that_come_too_late_on_any_route_are_survived(
    tmp_path: Path, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers_too_late_are_survived(tmp_path, route, caplog)


def test_a_cloud_that_cannot_be_reached_at_all_is_left_as_it_is(tmp_path: Path) -> None:
    lab = Lab(tmp_path, door="server")
    port = int(lab.url.rsplit(":", 1)[1])
    lab.close()
    assert {change.code for change in lab.plan().changes} == {Reason.UNREADABLE}
    assert all("connection refused" in f.message for f in lab.apply().failures)
    lab.server = serve(lab.cloud, port)
    lab.server.start()
    quiet(lab)
    lab.close()


def schedule(lab: Lab, dice: random.Random) -> None:
    """Some applies, a change of version, and faults wherever the dice fall."""
    for round_ in range(dice.randint(2, 4)):
        for _ in range(dice.randint(1, 3)):
            disturb(lab, dice.choice(ROUTES), dice.choice(list(FAULTS)), dice.randint(1, 6))
        if dice.random() < 0.3:
            lab.cloud.faults.play(*dice.choice(TRICKS))
        no_bug(lab)
        one_training_per_version_so_far(lab)
        if round_ == 0:
            lab.want("2026-11")
        lab.clock.advance(dice.choice((0, 1, 60, 4000)))


def one_training_per_version_so_far(lab: Lab) -> None:
    lab.clock.advance(600)
    lab.cloud.settle()
    one_training_per_version(lab)


def submits_of(lab: Lab) -> list[bytes]:
    """The bodies of the submits from now on. Each look makes another one, by its signatures; one
    that is there twice was sent again, and makes another job."""
    sent: list[bytes] = []
    serve = lab.cloud.handle

    def handle(request: Request) -> Response:
        if request.method == "POST" and request.path.endswith("/jobs"):
            sent.append(request.body)
        return serve(request)

    lab.cloud.handle = handle  # type: ignore[method-assign]
    return sent


def test_submits_that_are_sent_again_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "RETRIED_METHODS", tries.RETRIED_METHODS | {"POST"})
    lab = Lab(tmp_path)
    sent = submits_of(lab)
    disturb(lab, "bes.submit", "lost answer")
    no_bug(lab)
    assert max(Counter(sent).values()) == 2


def survived(folder: Path, seeds: range) -> int:
    for seed in seeds:
        dice = random.Random(seed)
        lab = Lab(folder / str(seed), **dice.choice(SWITCHES))
        sent = submits_of(lab)
        try:
            schedule(lab, dice)
            quiet(lab)
            assert max(Counter(sent).values(), default=1) == 1, "a submit was sent again"
        except AssertionError as exc:
            raise AssertionError(f"schedule {seed}: {exc}") from exc
    return len(seeds)


def test_seeded_schedules_of_faults_are_survived(tmp_path: Path) -> None:
    assert survived(tmp_path, range(8)) == 8


@pytest.mark.long
@pytest.mark.parametrize("first", [1000, 1050])
def test_many_seeded_schedules_of_faults_are_survived(
    tmp_path: Path, first: int, figure: Callable[[str], None]
) -> None:
    seeds = range(first, first + 50)
    figure(f"faults, from seed {first}: {survived(tmp_path, seeds)} of 50 schedules survived")
