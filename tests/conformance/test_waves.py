"""Promise 10: a bad version reaches one endpoint of a fleet. Counted at the world, in each twin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.ledger import Ledger
from tests.twins import TWINS, twin_of
from tests.twins.contract import FIRST, SECOND, Quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.model import Address, Record
    from tests.twins.contract import Twin

USUAL = ("local, folder", "shelves, folder")  # the cheap worlds; the others are in the long run
# A watch that scores endpoints of the emulated workspace disturbs the clock that it shares with them.
WORLDS = [
    pytest.param(name, marks=[] if name in USUAL else [pytest.mark.long])
    for name in TWINS
    if "emulated" not in name
]


@pytest.fixture(params=WORLDS)
def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twin]:
    """A twin that serves the first version, proved."""
    with twin_of(request.param, tmp_path, monkeypatch) as made:
        assert made.apply().failures == ()
        yield made


class Watch(Quiet):
    """Sees, at whatever a run says of its steps, which endpoints have a version, or were told it."""

    def __init__(self, twin: Twin, *names: str) -> None:
        super().__init__()
        self.twin, self.names, self.reached = twin, names, set[str]()
        self.seen: dict[str, tuple[str, str]] = {}

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        super().phase(name, phase, detail)
        if self.seen.get(name) != (phase, detail):  # a look costs more than a step of a quick world
            self.seen[name] = (phase, detail)
            self.look()

    def look(self) -> None:
        self.reached.update(name for name in self.names if self.twin.is_told(SECOND, name))


@pytest.fixture
def fleet(served: Twin) -> Twin:
    """A twin of two endpoints that serve the first version, and are to get the second in waves."""
    other = served.declare_another()
    served.give_out("{first: 1}")
    served.label(served.name, '{canary: "true"}')
    assert served.apply().failures == ()
    for name in (served.name, other):
        served.ask_for(SECOND, name)
    served.progress = Watch(served, served.name, other)
    return served


def test_a_good_version_reaches_the_fleet_wave_after_wave(fleet: Twin) -> None:
    assert sorted(c.wave.number for c in fleet.plan().changes if c.wave) == [1, 2]
    assert fleet.apply().failures == ()
    assert [fleet.serving(name) for name in fleet.progress.names] == [SECOND, SECOND]
    assert fleet.written_by(fleet.apply) == []


def test_a_bad_version_reaches_one_endpoint_of_a_fleet(fleet: Twin) -> None:
    fleet.spoil()
    report = fleet.apply()
    assert [failure.exit_code for failure in report.failures] == [errors.UNPROVED]
    (spared,) = report.held
    assert spared.why
    for _ in range(2):
        assert [fleet.serving(name) for name in fleet.progress.names] == [FIRST, FIRST]
        fleet.apply()
    assert len(fleet.progress.reached) <= 1


def test_runs_at_once_let_a_bad_version_reach_one_endpoint_of_a_fleet(fleet: Twin) -> None:
    fleet.spoil()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: fleet.run(), range(2)))
    assert [fleet.serving(name) for name in fleet.progress.names] == [FIRST, FIRST]
    assert len(fleet.progress.reached) <= 1


def test_a_run_that_is_stopped_anywhere_lets_it_reach_one_endpoint_too(fleet: Twin) -> None:
    fleet.spoil()
    for steps in (3, 9, 20):
        left = iter(range(steps))
        fleet.converge(
            replace(fleet.world(), stopping=lambda left=left: next(left, None) is None), 2
        )
    fleet.apply()
    assert [fleet.serving(name) for name in fleet.progress.names] == [FIRST, FIRST]
    assert len(fleet.progress.reached) <= 1


def test_a_run_ends_for_a_soak_and_a_later_one_goes_on(fleet: Twin) -> None:
    first, other = fleet.progress.names
    fleet.give_out("{first: 1, soak: 1h}")
    report = fleet.apply()
    assert report.failures == ()
    (held,) = report.held
    assert (held.name, held.why) == (other, "")
    assert (fleet.serving(first), fleet.serving(other)) == (SECOND, FIRST)
    (waiting,) = (change for change in fleet.plan().changes if change.wave)
    assert waiting.wave is not None
    assert waiting.wave.not_before <= held.until
    assert [each.name for each in fleet.apply().held] == [other]
    fleet.pass_time(3700)
    assert fleet.apply().failures == ()
    assert fleet.serving(other) == SECOND


def test_a_run_waits_for_a_pause(fleet: Twin) -> None:
    fleet.give_out("{first: 1, pause: 10s}")
    began = fleet.engine_clock.now()
    report = fleet.apply()
    assert (report.failures, report.held) == ((), ())
    assert fleet.engine_clock.now() - began > 10
    assert fleet.serving(fleet.progress.names[1]) == SECOND


def test_a_version_is_not_switched_to_that_was_rejected_since_the_look(
    served: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.ask_for(SECOND)
    keep = Ledger.keep_record

    def rejected_meanwhile(ledger: Ledger, address: Address, record: Record) -> Record:
        entry = ledger.read(served.binding().version)
        if entry is not None and not entry.manifest.rejected:
            ledger.reject(entry, "somebody else's endpoint answers nonsense with it")
        return keep(ledger, address, record)

    monkeypatch.setattr(Ledger, "keep_record", rejected_meanwhile)
    (failure,) = served.apply().failures
    assert "somebody else's" in failure.message
    assert not served.is_told(SECOND, served.name)
