"""Which bindings a change of the desired state touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.desired.touched import touched
from tests.desired.trees import BINDING, ENVIRONMENT, GOOD, MODEL, loaded, write

if TYPE_CHECKING:
    from pathlib import Path

FLEET = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {name: "bike-${at}"}
forEach: {at: {file: sites.csv}}
spec:
  webService: Bikes
  endpoint: "${at}"
  model: {name: bikes, version: "7", with: {at: "${at.slice}"}}
  verify: {request: bike.json}
"""
SERVICES = "      churn-training: {url: /workspaces/w/services/s, key: env:TRAINING_KEY}\n"
BIKES = (
    MODEL.replace("name: churn", "name: bikes")
    .replace("churn/${", "${at}/${")
    .replace("churn-training", "bike-training")
)
BEFORE = {
    **GOOD,
    "environment.yaml": ENVIRONMENT + SERVICES.replace("churn", "bike"),
    "models/bikes.yaml": BIKES,
    "bikes.yaml": FLEET,
    "bike.json": "{}",
    "sites.csv": "at,slice\na,x\nb,y\n",
}
ALL = {"churn", "bike-a", "bike-b"}

CHANGES = [
    ("nothing", {}, set()),
    ("comments", {"churn.yaml": "# why\n" + BINDING.replace('"2026-10"', "'2026-10'  # new")}, set()),
    ("another file of the same", {"churn.yaml": None, "below/churn.yaml": BINDING, "below/probe.json": '{"Inputs": {}}'}, set()),
    ("documents of one file", {"churn.yaml": BINDING + "---\n" + MODEL, "models/churn.yaml": None}, set()),
    ("a file that nothing names", {"more.csv": "a\n"}, set()),
    ("a version", {"churn.yaml": BINDING.replace("2026-10", "2026-11")}, {"churn"}),
    ("a name", {"churn.yaml": BINDING.replace("churn\n", "churn-2\n", 1)}, {"churn-2"}),
    ("a recipe", {"models/churn.yaml": MODEL.replace("datasets", "data")}, {"churn"}),
    ("a gate", {"models/churn.yaml": MODEL.replace("0.85", "0.9")}, {"churn"}),
    ("an equal gate", {"models/churn.yaml": MODEL.replace("0.85", "0.850")}, set()),
    ("a recipe of many", {"models/bikes.yaml": BIKES.replace("datasets", "data")}, {"bike-a", "bike-b"}),
    ("a row", {"sites.csv": "at,slice\na,x\nb,z\n"}, {"bike-b"}),
    ("order and blank lines of rows", {"sites.csv": "slice,at\n\ny,b\nx,a\n"}, set()),
    ("one row more", {"sites.csv": "at,slice\na,x\nb,y\nc,x\n"}, {"bike-c"}),
    ("one row less", {"sites.csv": "at,slice\na,x\n"}, set()),
    ("a list instead of a file", {"bikes.yaml": FLEET.replace("{file: sites.csv}", "[a, b]").replace("${at.slice}", "x")}, {"bike-b"}),
    ("a probe", {"bike.json": '{"Inputs": 1}'}, {"bike-a", "bike-b"}),
    ("blanks of a probe", {"bike.json": "{ }\n"}, set()),
    ("the store", {"environment.yaml": BEFORE["environment.yaml"].replace("mlprod", "other")}, ALL),
    ("the place", {"environment.yaml": BEFORE["environment.yaml"].replace("ml-prod", "ml")}, ALL),
    ("signing in", {"environment.yaml": BEFORE["environment.yaml"] + "    auth: azure-cli\n"}, ALL),
    ("limits", {"environment.yaml": BEFORE["environment.yaml"] + "  limits: {parallel: 2, retrains: 1, changes: 9%, deletes: 9%, bindings: 3}\n"}, set()),
    ("a training service", {"environment.yaml": ENVIRONMENT + SERVICES.replace("churn", "bike").replace("w/", "v/")}, {"bike-a", "bike-b"}),
    ("one training service more", {"environment.yaml": BEFORE["environment.yaml"] + SERVICES.replace("churn", "cat")}, set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "names"), [row[1:] for row in CHANGES], ids=[r[0] for r in CHANGES]
)
def test_a_change_touches_what_refers_to_it(
    tmp_path: Path, files: dict[str, str | None], names: set[str]
) -> None:
    now = {name: text for name, text in {**BEFORE, **files}.items() if text is not None}
    before = loaded(write(tmp_path / "before", BEFORE))
    after = loaded(write(tmp_path / "after", now))
    assert touched(before["prod"], after["prod"]) == names


def test_everything_is_touched_where_nothing_was(tmp_path: Path) -> None:
    assert touched(None, loaded(write(tmp_path, BEFORE))["prod"]) == ALL
