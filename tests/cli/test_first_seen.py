"""`drift --note` keeps when drift was first seen; every other look only tells."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler import errors
from tests.cli.test_accept import CANCER, drifted, swap_by_hand, target_of
from tests.cli.test_explain import fits
from tests.cli.test_safety import writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def seen(command: Command, *options: str) -> dict[str, Any]:
    ran = command("drift", *CANCER, "-o", "json", *options)
    assert ran.code == 0, ran.err
    (change,) = json.loads(ran.out)["changes"]
    return dict(change["drift"] or {})


def test_only_a_run_that_is_told_to_notes_when_drift_was_first_seen(
    lab: Lab, command: Command
) -> None:
    drifted(lab, command)
    binding, _ = target_of(lab)
    lab.cloud.log.clear()
    now = seen(command)
    record = lab.world().ledger.record(binding.address)
    assert record is not None
    assert record.proved_by is not None
    assert (now["proved_at"], now["proved_by"]) == (record.proved_by.at, record.proved_by.run)
    assert (now["seen_at"], now["seen_by"]) == ("", "")
    assert "drift seen now, and noted by no run" in " ".join(
        command("drift", *CANCER, "-v").out.split()
    )
    assert writes(lab) == []
    noted = seen(command, "--note")
    assert noted["seen_at"] >= now["proved_at"] != "", "to the second, both may be the same"
    assert len(writes(lab)) == 1
    assert seen(command, "--note") == seen(command) == noted, "it is the first sighting that counts"
    assert len(writes(lab)) == 1
    status = json.loads(command("status", *CANCER, "-o", "json").out)
    fits(status, "status")
    (row,) = status["bindings"]
    assert (row["drifted"], row["drift"]) == (True, noted)
    why = json.loads(command("explain", "breast-cancer", "-o", "json").out)
    fits(why, "explanation")
    assert why["drift"] == noted
    assert "model is 2026-10 now" in " ".join(command("explain", "breast-cancer").out.split())
    day = f"drift first seen on {noted['seen_at'][:10]}"
    for told in (command("plan", *CANCER), command("status", *CANCER), command("drift", *CANCER)):
        assert day in " ".join(told.out.split())
    exact = f"drift first seen at {noted['seen_at']} by run {noted['seen_by']}"
    assert exact in " ".join(command("plan", *CANCER, "-v").out.split())
    assert "since: in sync when run " in command("drift", *CANCER, "-o", "markdown").out


def test_a_drift_that_was_undone_and_comes_again_is_a_new_one(lab: Lab, command: Command) -> None:
    drifted(lab, command)
    binding, _ = target_of(lab)
    ledger = lab.world().ledger
    old, declared = (
        ledger.ref(replace(binding.version, version=v)) for v in ("2026-10", "2026-11")
    )
    first = seen(command, "--note")["seen_by"]
    assert command("apply", "--yes", *CANCER).code == 0
    swap_by_hand(lab, old)
    assert seen(command)["seen_at"] == "", "apply undid the one that was noted"
    second = seen(command, "--note")["seen_by"]
    assert second not in ("", first)
    swap_by_hand(lab, declared)
    assert seen(command, "--note") == {}
    swap_by_hand(lab, old)
    assert seen(command)["seen_at"] == "", "somebody undid it by hand, and a run noted that"


def test_a_damaged_note_hides_no_drift_and_is_not_overwritten(lab: Lab, command: Command) -> None:
    drifted(lab, command)
    store = lab.world().store
    store.put("_drift/seen.json", b'{"schema": "reconciler/sightings/v1", "seen": 3}')
    shown = command("drift", *CANCER, "--detailed-exitcode")
    assert (shown.code, "breast-cancer" in shown.out) == (errors.CHANGES, True)
    assert "when drift was first seen is not known: _drift/seen.json in the store" in shown.err
    lab.cloud.log.clear()
    ran = command("drift", *CANCER, "--note")
    assert ran.code == errors.ERROR
    assert "_drift/seen.json in the store is damaged" in ran.err
    assert writes(lab) == []


def test_what_writes_nothing_does_not_note(lab: Lab, command: Command) -> None:
    ran = command("drift", *CANCER, "--note", "--accept", "--dry-run")
    assert ran.code == errors.CONFIGURATION
    assert "--note writes to the store; leave out --note or --dry-run" in ran.err
