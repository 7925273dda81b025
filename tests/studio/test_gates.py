"""Gates judge what was trained, and the manifest keeps why a model was not accepted."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.ledger import Ledger
from reconciler.model import Action, Model
from tests.studio.test_way_back import only

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model import ModelRef
    from tests.lab import Lab

MODEL = "models/breast-cancer.yaml"
RULES = '{metric: AUC, atLeast: "0.9"}'


@pytest.mark.parametrize(("rows", "served"), [("10", True), ("100000", False)])
def test_a_model_of_too_few_rows_is_not_bound(
    switched: Callable[..., Lab], rows: str, served: bool
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.edit(MODEL, RULES, f'{RULES}\n    - {{metric: AUC, minRows: "{rows}"}}')
    report = lab.apply()
    assert (report.failures == ()) is served
    if not served:
        (failure,) = report.failures
        assert failure.exit_code == errors.REFUSED
        assert "inconclusive: AUC was measured on 228 rows" in failure.message
        lab.sent.clear()
        assert [f.message for f in lab.apply().failures] == [failure.message]
        assert lab.writes == []


def test_a_line_break_in_quotes_makes_no_further_row(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    store = lab.world().data
    data = store.get("datasets/breast-cancer/2026-10.csv")
    assert data is not None
    header, *rows = data.content.decode().splitlines()
    broken = ['"{}\n",{}'.format(*row.split(",", 1)) for row in rows]
    store.put("datasets/breast-cancer/2026-10.csv", "\n".join([header, *broken]).encode())
    lab.edit(MODEL, RULES, f'{RULES}\n    - {{metric: AUC, minRows: "229"}}')
    (failure,) = lab.apply().failures
    assert "inconclusive: AUC was measured on 228 rows" in failure.message


def test_a_rule_about_rows_that_is_younger_than_the_version_is_judged_too(
    switched: Callable[..., Lab],
) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.edit(MODEL, 'atLeast: "0.9"', 'atLeast: "0.9999"')
    lab.apply()
    lab.edit(MODEL, '{metric: AUC, atLeast: "0.9999"}', '{metric: AUC, minRows: "10"}')
    assert lab.changes()["breast-cancer"].action is Action.BIND


def test_the_manifest_keeps_why_a_model_was_not_accepted(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    lab.edit(MODEL, 'atLeast: "0.9"', 'atLeast: "0.9999"')
    (failure,) = lab.apply().failures
    (binding,) = lab.desired().bindings
    entry = lab.world().ledger.read(binding.version)
    assert entry is not None
    assert entry.manifest.refused == failure.message
    assert entry.manifest.refused.startswith("not accepted: AUC is 0.99")


def test_a_run_that_is_killed_after_the_metrics_has_kept_why_they_were_not_accepted(
    switched: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    lab = switched()
    only(lab, "breast-cancer")
    lab.edit(MODEL, 'atLeast: "0.9"', 'atLeast: "0.9999"')
    monkeypatch.setattr(Ledger, "note_refusal", killed)
    with contextlib.suppress(SystemExit):
        lab.apply()
    (binding,) = lab.desired().bindings
    entry = lab.world().ledger.read(binding.version)
    assert entry is not None
    assert entry.manifest.evaluation is not None
    assert entry.manifest.refused.startswith("not accepted: AUC is 0.99")


def drift_to_the_first_model(lab: Lab, first: ModelRef) -> None:
    """Somebody puts back by hand what served before this program came."""
    world = lab.world()
    (binding,) = lab.desired().bindings
    world.targets[binding.kind].switch(binding, Model(first))
    lab.clock.advance(60)


def test_drift_to_an_unknown_model_does_not_open_the_gates(switched: Callable[..., Lab]) -> None:
    lab = switched()
    only(lab, "breast-cancer")
    rule = '{metric: AUC, noWorseThanLive: "0.02"}'
    lab.edit("models/breast-cancer.yaml", rule, '{metric: AUC, betterThanLive: "0.5"}')
    world = lab.world()
    (binding,) = lab.desired().bindings
    first = world.targets[binding.kind].observe(binding).served
    assert first is not None
    assert not lab.apply().failures
    drift_to_the_first_model(lab, first)
    assert lab.changes()["breast-cancer"].action is Action.BIND  # the accepted version heals it
    lab.edit("breast-cancer.yaml", '"2026-10"', '"2026-11"')
    lab.apply()
    change = lab.changes()["breast-cancer"]
    assert (change.action, change.code) == (Action.BLOCK, "gate")
    assert "must be betterThanLive 0.5" in change.why
