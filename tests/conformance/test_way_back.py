"""After any failure the endpoint serves the old proven model or the new proven one (promise 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.emulator import Fault
from reconciler.engine.run import converge
from reconciler.model import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine.binding import Ended
    from tests.lab import Lab

KINDS = ["breast-cancer", "diabetes-young"]


def only(lab: Lab, name: str) -> None:
    """Leave one binding."""
    local = lab.services / "local"
    if name == "breast-cancer":
        (local / "diabetes.yaml").unlink()
        return
    (local / "breast-cancer.yaml").unlink()
    path = local / "diabetes.yaml"
    path.write_text(next(d for d in path.read_text().split("---\n") if f"{name}}}" in d))


def want(lab: Lab, name: str, version: str) -> None:
    file = "breast-cancer.yaml" if name == "breast-cancer" else "diabetes.yaml"
    old = "2026-11" if version == "2026-10" else "2026-10"
    lab.edit(file, f'"{old}"', f'"{version}"')


def served(lab: Lab, name: str) -> str:
    """The digest of the bytes that score now."""
    lab.cloud._settle()
    for service in lab.cloud.world.services.values():
        if name == "breast-cancer" and "predictive" in service.name:
            return service.model
    for classic in lab.cloud.world.classic.values():
        for endpoint in classic.endpoints.values():
            if endpoint.name == name.removeprefix("diabetes-") and endpoint.model:
                return endpoint.model
    raise AssertionError(name)


def unanswered(lab: Lab, times: int = 2) -> None:
    """The probe is refused before the swap (once, for people) and after it."""
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=times, status=400))


@pytest.mark.parametrize("name", KINDS)
def test_a_failed_proof_is_rolled_back_proved_and_rejected(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab)
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "does not answer the probe" in failure.message
    assert failure.message.endswith("version 2026-11 is rejected; rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before
    lab.sent.clear()
    change = lab.changes()[name]
    assert (change.action, change.code) == (Action.BLOCK, "rejected")
    assert [f.exit_code for f in lab.apply().failures] == [errors.REFUSED]
    assert lab.writes == []
    want(lab, name, "2026-10")
    assert lab.plan().converged


@pytest.mark.parametrize("name", KINDS)
def test_the_first_model_of_all_can_be_rolled_back_to(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    before = served(lab, name)
    unanswered(lab)
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, name) == before


def stopped_when(lab: Lab, said: str) -> dict[str, Ended]:
    """A run that is stopped as soon as a binding enters a phase."""
    lab.progress.said.clear()
    world = replace(
        lab.world(), stopping=lambda: any(words[1] == said for words in lab.progress.said)
    )
    wanted = lab.desired()
    return converge(world, wanted.bindings, lab.progress, parallel=1, most_jobs=40)


@pytest.mark.parametrize("name", KINDS)
def test_a_swap_that_nobody_proved_is_proved_by_the_next_run(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    assert stopped_when(lab, "swapping") == {}
    lab.clock.advance(60)
    change = lab.changes()[name]
    assert (change.action, change.code) == (Action.WAIT, "unproved")
    report = lab.apply()
    assert report.failures == ()
    assert [proof.name for proof in report.proofs] == [name]
    lab.sent.clear()
    assert lab.apply().plan.converged
    assert lab.writes == []


@pytest.mark.parametrize("name", KINDS)
def test_a_way_back_that_was_cut_off_is_gone_by_the_next_run(
    switched: Callable[..., Lab], name: str
) -> None:
    lab = switched()
    only(lab, name)
    lab.apply()
    before = served(lab, name)
    want(lab, name, "2026-11")
    unanswered(lab)
    assert stopped_when(lab, "rolling back") == {}
    lab.clock.advance(60)
    assert served(lab, name) != before
    change = lab.changes()[name]
    assert (change.action, change.code, change.after) == (Action.BIND, "roll_back", "2026-10")
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    lab.clock.advance(60)
    assert served(lab, name) == before


def test_a_way_back_that_fails_too_says_both(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.apply()
    want(lab, "breast-cancer", "2026-11")
    unanswered(lab, times=1000)
    (failure,) = lab.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert "version 2026-11 is rejected; and the way back could not be proved" in failure.message


def test_a_live_model_whose_file_is_gone_blocks_the_swap(switched: Callable[..., Lab]) -> None:
    lab = switched()
    lab.apply()
    lab.want("2026-11")
    blobs: Any = lab.cloud._core.blobs.accounts["mllocal"].containers["models"]
    del blobs["breast-cancer/2026-10/model.ilearner"]
    report = lab.apply()
    (failure,) = report.failures
    assert failure.name == "breast-cancer"
    assert failure.exit_code == errors.REFUSED
    assert "there would be no way back" in failure.message
    assert len(report.proofs) == 3


def test_a_hidden_model_has_no_way_back_the_first_time_and_one_later(
    switched: Callable[..., Lab],
) -> None:
    lab = switched(classic_location="hidden")
    only(lab, "diabetes-young")
    lab.apply()
    before = served(lab, "diabetes-young")
    want(lab, "diabetes-young", "2026-11")
    unanswered(lab)
    (failure,) = lab.apply().failures
    assert failure.message.endswith("rolled back, and proved")
    lab.clock.advance(60)
    assert served(lab, "diabetes-young") == before
