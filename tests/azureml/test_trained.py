"""Versions that the emulated workspace trains for a store that it cannot reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.engine import train
from reconciler.errors import UnavailableError
from reconciler.model import Action
from tests.azureml.emulated import Emulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRAINING = """\
  training:
    engine: azureml
    code: training
    command: python train.py {inputs.data} {parameters.c} {outputs.model} {outputs.metrics}
    environment: python:1
    compute: cpu
    inputs: {data: "${version}.csv"}
    parameters: {c: "0.5"}
    outputs: {model: model.json, metrics: metrics.json}
  accept: [{metric: auc, atLeast: "0.8"}]
"""
TRAIN = """\
import json, sys
data, c, model, metrics = sys.argv[1:]
rows = open(data).read().splitlines()
weights = {"intercept": float(c), "weights": {"months": 0.1, "calls": 0.2}}
json.dump(weights, open(model, "w"))
json.dump({"auc": 0.9, "rows": len(rows)}, open(metrics, "w"))
"""


def trained(folder: Path) -> Emulated:
    """The sample, whose version is trained by the workspace; the store is a folder."""
    made = Emulated(folder)
    registered = "  registry: {azureml: churn, path: model.json}"
    text = (made.files / "churn.yaml").read_text()
    lines = [line for line in text.splitlines(True) if line.startswith(registered)]
    made.edit("churn.yaml", *lines, TRAINING)
    (made.files / "training").mkdir()
    (made.files / "training/train.py").write_text(TRAIN)
    (made.files / ".reconciler").mkdir(exist_ok=True)
    (made.files / ".reconciler/2.csv").write_text("a,b\n1,2\n")
    return made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Emulated]:
    made = trained(tmp_path)
    yield made
    made.close()


def jobs(world: Emulated) -> list[str]:
    return [url for method, url in world.sent if method == "PUT" and "/jobs/rc-" in url]


def test_a_job_of_the_workspace_trains_for_a_store_that_it_cannot_reach(world: Emulated) -> None:
    assert world.changes()["churn"].action is Action.TRAIN
    assert world.apply().failures == ()
    assert len(jobs(world)) == 1
    kept = world.files / ".reconciler/churn/2"
    assert b'"intercept": 0.5' in (kept / "model.json").read_bytes()
    assert b'"auc": 0.9' in (kept / "metrics.json").read_bytes()
    assert world.plan().converged


def test_a_run_that_is_killed_before_it_notes_what_it_collected_trains_nothing_anew(
    world: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise UnavailableError("the run was killed")

    monkeypatch.setattr(train, "sha256_of", killed)
    assert world.apply().failures != ()
    monkeypatch.undo()
    assert world.changes()["churn"].action is not Action.BLOCK
    assert world.apply().failures == ()
    assert len(jobs(world)) == 1
    assert world.plan().converged


def test_metrics_that_are_still_to_be_collected_are_judged(world: Emulated) -> None:
    world.edit("churn.yaml", 'atLeast: "0.8"', 'atLeast: "0.95"')
    world.apply()
    assert world.changes()["churn"].code == "gate"
