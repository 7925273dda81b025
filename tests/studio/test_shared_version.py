"""Two endpoints that share one version: what one of them says of it is not unsaid by the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.emulator.messages import Response
from reconciler.model import Action
from tests.studio.test_way_back import served

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

COLUMNS = "columns: [Scored Labels]"


def shared(lab: Lab, young: str, middle: str) -> dict[str, str]:
    """A world where both serve 2026-10 and 2026-11 is wanted, each with its probe; what serves."""
    (lab.services / "local" / "breast-cancer.yaml").unlink()
    path = lab.services / "local" / "diabetes.yaml"
    first, second, _ = path.read_text().split("---\n")
    second = second.replace("{slice: middle}", "{slice: young}")
    path.write_text(f"{first}---\n{second}")
    assert not lab.apply().failures
    one, two = (text.replace("2026-10", "2026-11") for text in (first, second))
    path.write_text(f"{one.replace(COLUMNS, young)}---\n{two.replace(COLUMNS, middle)}")
    return {name: served(lab, name) for name in ("diabetes-young", "diabetes-middle")}


def silent(lab: Lab, name: str, but: str = "") -> None:
    """The endpoint refuses every probe, except while it scores with the model `but`."""
    (service,) = (s for s in lab.cloud.world.classic.values() if "young" in s.endpoints)
    ident, around = service.endpoints[name].id, lab.cloud.faults.around

    def refusing(route: str, address: str, serve: Callable[[], Response]) -> Response:
        mine = route == "rrs.execute" and ident in address
        if mine and served(lab, f"diabetes-{name}") != but:
            return Response(400, {}, b"")
        return around(route, address, serve)

    lab.cloud.faults.around = refusing  # type: ignore[method-assign]


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize(("deaf", "other"), [("young", "middle"), ("middle", "young")])
def test_a_wrong_answer_at_one_is_not_unsaid_by_the_silence_of_the_other(
    switched: Callable[..., Lab], deaf: str, other: str, parallel: int
) -> None:
    lab = switched()
    wrong = "expect: {Scored Labels: {values: [other]}}"
    probes = {deaf: COLUMNS, other: wrong}
    before = shared(lab, probes["young"], probes["middle"])
    silent(lab, deaf)
    ended = lab.converge(lab.world(), parallel)
    codes = {outcome.failure.exit_code for outcome in ended.values() if outcome.failure}
    assert codes == {errors.UNPROVED}
    lab.clock.advance(60)
    assert {name: served(lab, name) for name in before} == before
    change = lab.changes()[f"diabetes-{other}"]
    assert (change.action, change.code) == (Action.BLOCK, "rejected")
    assert "spec.verify.expect" in change.why


@pytest.mark.parametrize(("deaf", "other"), [("young", "middle"), ("middle", "young")])
def test_a_version_that_one_endpoint_blames_for_its_silence_stays_rejected(
    switched: Callable[..., Lab], deaf: str, other: str
) -> None:
    """One after the other; side by side, one may go back on the word of the deaf one alone, and
    so blame nothing itself."""
    lab = switched()
    before = shared(lab, COLUMNS, COLUMNS)
    silent(lab, deaf)
    silent(lab, other, but=before[f"diabetes-{other}"])
    lab.converge(lab.world(), 1)
    lab.clock.advance(60)
    assert {name: served(lab, name) for name in before} == before
    assert lab.changes()[f"diabetes-{other}"].code == "rejected"
