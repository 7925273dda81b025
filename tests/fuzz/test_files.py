"""The files that people hand over: a plan that was written out, an exported definition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from reconciler.approval import beyond
from reconciler.cli import compose
from reconciler.cli.approval import read_plan
from reconciler.cli.exporting import observe_exports
from reconciler.errors import ConfigurationError
from reconciler.plan import make_plan
from reconciler.render import parse_plan, plan_json, plan_markdown, plan_text
from tests.fuzz.mutations import every_other_value, foreign
from tests.fuzz.promise import always, check_types, parsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.model import Plan
    from tests.fuzz.bodies import Town

EXAMPLES = 60
ODD_BODIES = 200


def shown(plan: Plan) -> None:
    """Everything that is done with a plan on the way to people and programs."""
    check_types(plan)
    for text in (plan_text(plan), plan_markdown(plan), plan_json(plan), plan.digest):
        text.encode()
    assert parse_plan(plan_json(plan)).digest == plan.digest


@pytest.fixture
def reads(town: Town, tmp_path: Path) -> dict[str, Callable[[bytes], None]]:
    """By kind of file, what the program does with one."""
    place = tmp_path / "breast-cancer.json"
    wanted = town.lab.desired()

    def plan(body: bytes) -> None:
        place.write_bytes(body)
        approved = read_plan(place)
        check_types(approved)
        assert approved.digest
        assert not beyond(approved, approved)

    def export(body: bytes) -> None:
        place.write_bytes(body)
        observed = observe_exports(
            wanted, place, compose.store_base(wanted.environment, town.lab.url)
        )
        check_types(observed[0].live)
        shown(make_plan(wanted.environment, observed))

    return {"plan": plan, "export": export}


@pytest.mark.parametrize("kind", ["plan", "export"])
def test_a_damaged_file_is_read_or_refused(
    kind: str, town: Town, reads: dict[str, Callable[[bytes], None]], times: int
) -> None:
    strategy = st.one_of([foreign(body) for body in town.bodies[kind]])
    always(EXAMPLES * times, strategy, lambda body: parsed(reads[kind], body))


@pytest.mark.parametrize("kind", ["plan", "export"])
def test_one_odd_value_anywhere_in_a_file_is_survived(
    kind: str, town: Town, reads: dict[str, Callable[[bytes], None]], times: int
) -> None:
    for told in town.bodies[kind]:
        for body in every_other_value(json.loads(told), ODD_BODIES * times):
            outcome = parsed(reads[kind], body)
            assert outcome is None or isinstance(outcome, ConfigurationError)


@pytest.mark.parametrize("kind", ["plan", "export"])
def test_a_whole_file_is_read(
    kind: str, town: Town, reads: dict[str, Callable[[bytes], None]]
) -> None:
    for body in town.bodies[kind]:
        reads[kind](body)
