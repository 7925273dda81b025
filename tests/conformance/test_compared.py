"""`compare`: the answers of two bindings must agree, and only the one that says so ever pays for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.approval import beyond
from reconciler.cli.selection import Selection
from reconciler.engine.prove import prove
from reconciler.engine.survey import survey
from reconciler.errors import ReconcilerError, RefusedError, UnavailableError
from reconciler.model import HealthCode, ModelRef, Score
from reconciler.plan import make_plan
from reconciler.platforms.contract import Answer, Can
from reconciler.render.measures import scored
from tests.conformance.memory import AT, Memory, MemoryTwin
from tests.twins.contract import SECOND
from tests.twins.shelves import Shelves, registered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.model import Binding

OTHER = "shelf/other"
STAGES = pytest.mark.parametrize("stages", [True, False])


class Pair(MemoryTwin):
    """Two shelves, `top` compared with `other`; both were proved to serve the first version."""

    def __init__(self, folder: Path, **how: Any) -> None:
        super().__init__(folder, **how)
        for field in (self.target.served, self.target.configured):
            field[OTHER] = ModelRef("https://elsewhere.example/other.model")
        self.declare_another()
        assert self.apply().failures == ()
        self.before = self.plan()
        self.compare_with("other", '"0.01"')
        self.ask_for(SECOND)

    def lay(self, name: str) -> None:
        """It is in memory already."""

    def answers(self, first: str, second: str) -> None:
        """What the models of the two versions answer."""
        rows = ((self.target.served[AT], first), (self.ref, second))
        self.target.answers = {ref: Score(("text",), ((cell,),)) for ref, cell in rows}


@pytest.fixture
def pair_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pair]]:
    """A maker of pairs; `top` is to serve the second version."""
    with registered(tmp_path, monkeypatch):
        yield lambda **how: Pair(tmp_path, **how)


@STAGES
def test_a_candidate_that_does_not_agree_is_rejected_and_the_other_endpoint_is_left_alone(
    pair_of: Callable[..., Pair], stages: bool
) -> None:
    pair = pair_of(can=Can(stage=stages))
    pair.answers("0.30", "0.3101")
    (failure,) = pair.apply().failures
    assert failure.exit_code == errors.UNPROVED
    assert (
        "row 1 of \"text\" is '0.3101', and '0.30' in the answer of other, more than 0.01 apart "
        "(spec.verify.compare)"
    ) in failure.message
    assert "2026-10" in pair.target.served[AT].path
    assert pair.changes()["top"].code == "rejected"
    assert not [w for w in pair.target.writes if w[1] == OTHER and w[2] != "2026-10"]
    switched = "switch" in [verb for verb, _, name in pair.target.writes if name == SECOND]
    assert switched is not stages


@STAGES
def test_a_candidate_that_agrees_is_proved(pair_of: Callable[..., Pair], stages: bool) -> None:
    pair = pair_of(can=Can(stage=stages))
    pair.answers("0.3", "0.31")
    (proof,) = pair.apply().proofs
    assert (proof.model, proof.proved, proof.warnings) == (SECOND, True, ())
    assert "0.31, in agreement with other" in scored(proof)
    again = prove(pair.world(read_only=True), pair.binding())
    assert (again.proved, again.agrees_with) == (True, "other")


def hears(heard: Answer | ReconcilerError) -> Callable[..., None]:
    """The other endpoint answers this from now on."""
    real = Memory.score

    def score(target: Memory, binding: Binding, *, staged: bool = False) -> Answer:
        if binding.name == "top":
            return real(target, binding, staged=staged)
        if isinstance(heard, ReconcilerError):
            raise heard
        return heard

    return lambda _, patch: patch.setattr(Memory, "score", score)


def moved(pair: Pair, _: object) -> None:
    for field in (pair.target.served, pair.target.configured):
        field[OTHER] = ModelRef("https://elsewhere.example/other.model")


def unproved(pair: Pair, _: object) -> None:
    address = pair.binding("other").address
    ledger = pair.world().ledger
    record = ledger.record(address)
    assert record is not None
    ledger.keep_record(address, replace(record, proved=False))


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (hears(UnavailableError("it is down")), "it is down"),
        (hears(RefusedError("no such probe")), "no such probe"),
        (hears(Answer(Score(("text",), (("",),)))), "the answer to the probe has empty cells"),
        (
            hears(Answer(Score(("label",), (("0.3",),)))),
            'the answer has no column "text" (it has "label")',
        ),
        (
            hears(Answer(Score(("text",), (("0.3",),)), "2026-09")),
            "the answer is of 2026-09, not of 2026-10",
        ),
        (moved, "it was not proved to serve version 2026-10"),
        (unproved, "it was not proved to serve version 2026-10"),
    ],
)
def test_what_cannot_be_had_of_the_other_endpoint_fails_no_proof_and_is_said(
    pair_of: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch, happens: Any, why: str
) -> None:
    pair = pair_of()
    pair.answers("0.3", "0.9")
    happens(pair, monkeypatch)
    only = Selection(targets=("top",)).of(pair.desired())
    plan = pair.plan()
    plan = replace(plan, changes=tuple(each for each in plan.changes if each.name == "top"))
    ended = pair.converge(pair.world(wanted=only), 1, plan)
    proof = ended[AT].proof
    assert proof is not None
    assert proof.proved
    assert proof.warnings == (f"the answer was not compared with that of other: {why}",)


FILE = """\
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: file}
spec:
  path: live.json
  create: true
  model: {name: words, version: "2026-10"}
  verify: {url: "http://127.0.0.1:9/", request: probe.json}
"""


def test_a_binding_of_another_platform_is_asked_also_where_a_selection_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registered(tmp_path, monkeypatch):
        twin = Shelves(tmp_path)
        twin.begin()
        twin.edit("toys.yaml", "shelves: {", "local: {}, shelves: {")
        twin.write("file.yaml", FILE)
        twin.compare_with("file")
        only = Selection(targets=("top",)).of(twin.desired())
        world = twin.world(wanted=only)
        plan = make_plan(only.environment, survey(world, only.bindings, 1)[0])
        proof = twin.converge(world, 1, plan)[AT].proof
        assert proof is not None
        why = "the answer was not compared with that of file: it was not proved to serve version"
        assert proof.warnings == (f"{why} 2026-10",)


def test_an_endpoint_that_does_not_agree_any_more_is_shown_by_verify(
    pair_of: Callable[..., Pair],
) -> None:
    pair = pair_of()
    pair.answers("0.3", "0.3")
    assert pair.apply().failures == ()
    pair.answers("0.3", "0.9")
    pair.target.answers[pair.target.served[OTHER]] = Score(("text",), (("0.3",),))
    proof = prove(pair.world(read_only=True), pair.binding())
    assert (proof.health.code, proof.agrees_with) == (HealthCode.DEGRADED, "")
    assert "in the answer of other" in proof.health.message


def test_people_approve_what_answers_are_compared_with(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of()
    approved = pair.plan()
    assert pair.before.converged
    pair.edit("toys.yaml", '"0.01"', '"0.5"')
    (why,) = beyond(pair.plan(), approved)
    assert "verify.compare is 'other, within 0.5', approved was 'other, within 0.01'" in why
    pair.edit("toys.yaml", '"0.5"', '"0.01"')
    pair.write("another.json", '{"rows": 2}')
    pair.edit("other.yaml", "probe.json", "another.json")
    (why,) = beyond(pair.plan(), approved)
    assert "spec.verify differs from the approved one" in why
