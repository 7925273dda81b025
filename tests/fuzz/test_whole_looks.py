"""One kind of answer is odd, wherever it is given: whoever asks survives it.

This is where a value that a parser let through would meet whoever trusts it: the planner, the
digest, the tables, the ledger, the next request.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from reconciler.engine.explanation import explanation
from reconciler.engine.history import history
from reconciler.engine.observe import observe
from reconciler.engine.prove import prove
from reconciler.engine.survey import survey
from reconciler.errors import ReconcilerError
from reconciler.ledger.manifest import document_bytes, record_json
from reconciler.plan import make_plan
from reconciler.render import (
    explanation_json,
    explanation_text,
    history_json,
    history_text,
    proofs_json,
    proofs_text,
)
from tests.fuzz.mutations import every_other_value, foreign
from tests.fuzz.promise import always, check_types
from tests.fuzz.test_files import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.model import Observed
    from tests.fuzz.bodies import Town

EXAMPLES = 4
ODD_BODIES = 9


def look(town: Town) -> None:
    """What `plan` does: it raises nothing at all, whatever a service says."""
    wanted = town.wanted
    observed = survey(town.lab.world(read_only=True, wanted=wanted), wanted.bindings, 1)[0]
    shown(make_plan(wanted.environment, well_typed(observed)))


def step(town: Town) -> None:
    """What a step of `apply` does, which asks for each thing by itself and believes no list."""
    world = town.lab.world(read_only=True, wanted=town.wanted)
    well_typed([observe(world, binding) for binding in town.wanted.bindings])


def well_typed(observed: Iterable[Observed]) -> tuple[Observed, ...]:
    """What was observed, when all of it is what its types say."""
    seen = tuple(observed)
    for each in seen:
        check_types(each.live)
        check_types(each.artifact)
        document_bytes({"failure": each.artifact.failure, "metrics": dict(each.artifact.metrics)})
        if each.record is not None:
            check_types(each.record)
            record_json(each.record, each.binding.address)
    return seen


def proofs(town: Town) -> None:
    """What `verify` does, also of endpoints that serve another version."""
    world = town.lab.world(wanted=town.wanted)  # which has read no keys yet
    for binding in town.bindings.values():
        found = [prove(world, binding)]
        proofs_text(found).encode()
        proofs_json(found).encode()
        with contextlib.suppress(ReconcilerError):
            score = world.targets[binding.kind].score(binding).score
            check_types(score)
            document_bytes({"score": asdict(score)})


def exports(town: Town) -> None:
    """What `export` does."""
    for binding in town.bindings.values():
        with contextlib.suppress(ReconcilerError):
            document_bytes(town.world.targets[binding.kind].export(binding))


def memories(town: Town) -> None:
    """What `history` and `explain` do."""
    for binding in town.bindings.values():
        with contextlib.suppress(ReconcilerError):
            found = history(town.world, binding)
            history_text(found).encode()
            history_json(found).encode()
            why = explanation(found, binding)
            explanation_text(why).encode()
            explanation_json(why).encode()


# Whether it is a service's word or the store's, whoever reads it is asked of it.
LISTS = ("list of blobs", "list of endpoints")
ASKED = [
    *((look, kind) for kind in ("definition", "services", *LISTS, "job", "evaluation")),
    *((step, kind) for kind in ("endpoint", "manifest", "record")),
    (proofs, "score"),
    (proofs, "keys"),
    (proofs, "definition"),
    (proofs, "endpoint"),
    (exports, "definition"),
    (exports, "endpoint"),
    (memories, "record"),
    (memories, "list of blobs"),
]
NAMES = [f"{ask.__name__}-{kind}" for ask, kind in ASKED]


@pytest.fixture
def told(town: Town) -> Iterator[Callable[..., None]]:
    """Have something done while every answer of a kind has this body."""

    def tell(ask: Callable[[Town], None], kind: str, body: bytes) -> None:
        town.door.instead = (kind, body)
        try:
            ask(town)
        except Exception as exc:
            exc.add_note(f"while every answer of kind {kind} was {body[:2000]!r}")
            raise

    yield tell
    town.door.instead = None


@pytest.mark.parametrize(("ask", "kind"), ASKED, ids=NAMES)
def test_a_damaged_answer_is_survived(
    ask: Callable[[Town], None], kind: str, town: Town, told: Callable[..., None], times: int
) -> None:
    strategy = st.one_of([foreign(body) for body in town.bodies[kind]])
    always(EXAMPLES * times, strategy, lambda body: told(ask, kind, body))


@pytest.mark.parametrize(("ask", "kind"), ASKED, ids=NAMES)
def test_one_odd_value_in_an_answer_is_survived(
    ask: Callable[[Town], None], kind: str, town: Town, told: Callable[..., None], times: int
) -> None:
    before = town.door.told
    bodies = town.bodies[kind]
    for body in bodies:
        with contextlib.suppress(ValueError):
            for odd in every_other_value(json.loads(body), ODD_BODIES * times // len(bodies)):
                told(ask, kind, odd)
        told(ask, kind, body)
    assert town.door.told > before, "nobody asked for it"
