"""First sightings of drift: which last, which end, and what runs that note at once make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.ledger import Ledger
from reconciler.model import ArtifactState, EventKind, Health, HealthCode, Live, drifted
from reconciler.stores.folder import FolderStore
from tests.stores.test_ledger import RUNS, at_once
from tests.test_drift import FOREIGN, GONE, PROVED, event
from tests.test_plan import HEALTHY, OLD, binding, observed, of

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model import Observed

NOW, LATER = "2026-11-28T10:00:00Z", "2026-11-29T10:00:00Z"
DRIFTED = observed(Live(HEALTHY, served=FOREIGN), record=PROVED)
SETTING = observed(
    Live(HEALTHY, served=OLD, settings=(("title", "Mine"),)),
    binding=binding(settings=(("title", "Churn"),)),
    record=PROVED,
)
AGAIN = replace(PROVED, history=(*PROVED.history, event(EventKind.PROOF, OLD, NOW)))
UNREAD = observed(Live(Health(HealthCode.UNKNOWN)), of(ArtifactState.UNKNOWN))
TABLE = [
    ("nothing changed", DRIFTED, NOW),
    ("it was deleted by hand since", replace(DRIFTED, live=GONE), NOW),
    ("it was in sync", observed(Live(HEALTHY, served=OLD), record=PROVED), ""),
    ("another field drifted instead", SETTING, LATER),
    ("a run did something there", replace(DRIFTED, record=AGAIN), LATER),
    ("it could not be read", UNREAD, NOW),
    ("its service refused to be asked", replace(UNREAD, live=Live(HEALTHY)), NOW),
    ("an update was on its way", replace(DRIFTED, live=Live(Health(HealthCode.PROGRESSING))), NOW),
]


@pytest.mark.parametrize(("seen", "since"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_a_sighting_lasts_as_long_as_its_drift(tmp_path: Path, seen: Observed, since: str) -> None:
    sightings = Ledger(FolderStore(tmp_path)).sightings
    sightings.noted([DRIFTED], NOW, "1")
    sightings.noted([seen], LATER, "2")
    (now,) = sightings.recalled([seen if drifted(seen) else DRIFTED])
    drift = drifted(now)
    assert drift is not None
    assert drift.seen_at == since


def test_runs_that_note_at_once_lose_no_sighting(tmp_path: Path) -> None:
    every = [replace(DRIFTED, binding=binding(f"churn-{number}")) for number in range(RUNS)]
    store = FolderStore(tmp_path)
    at_once(lambda run: Ledger(store).sightings.noted([every[run]], NOW, str(run)))
    drifts = map(drifted, Ledger(store).sightings.recalled(every))
    assert [drift.seen_by for drift in drifts if drift] == [str(run) for run in range(RUNS)]
