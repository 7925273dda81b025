"""Gates judge what was trained, and the manifest keeps why a model was not accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.model import Action
from tests.conformance.test_way_back import only

if TYPE_CHECKING:
    from collections.abc import Callable

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
        assert "inconclusive: AUC of 228 rows says nothing" in failure.message
        lab.sent.clear()
        assert [f.message for f in lab.apply().failures] == [failure.message]
        assert lab.writes == []


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
