"""Versions that the emulated workspace trains, by a command or a pipeline, for a store elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.engine import checkup, train
from reconciler.engine.explanation import explanation
from reconciler.engine.history import history
from reconciler.errors import ConfigurationError, NotFoundError, UnavailableError
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken
from reconciler.model import Action, Level, Spent
from reconciler.platforms.arm import CloudName, EmulatorSignIn, arm_origins
from reconciler.platforms.azureml.assets import Assets
from reconciler.platforms.azureml.connection import AzureMl
from reconciler.platforms.azureml.tracking import Tracking
from reconciler.platforms.azureml.workspace import Workspace
from reconciler.render.explanation import explanation_text
from reconciler.render.history import history_text
from reconciler.render.times import duration
from tests.azureml.emulated import Emulated
from tests.azureml.standin import SUBSCRIPTION, URL, WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.twins.azureml import Endpoints

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


TOLD = {
    "createdTimeUtc": "2024-02-23T15:08:32.8845306+00:00",
    "startTimeUtc": "2024-02-23T15:09:06.984Z",
    "endTimeUtc": "2024-02-23T15:18:26.583Z",
    "compute": {"vmSize": "Standard_DS3_v2", "instanceType": None, "instanceCount": 2},
}


def trained(folder: Path, **options: Any) -> Emulated:
    """The sample, whose version is trained by the workspace; the store is a folder."""
    made = Emulated(folder, **options)
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


def test_what_the_run_history_tells_of_a_job_is_kept_and_shown(world: Emulated) -> None:
    world.edit("churn.yaml", "compute: cpu", "instanceType: Standard_DS3_v2")
    assert world.apply().failures == ()
    (made,) = history(world.world(read_only=True), world.binding()).versions
    assert (made.queued_s, made.machines) == (2.0, "1 × Standard_DS3_v2")
    assert made.took_s is not None
    assert made.took_s >= 3.0
    waited = f"waited 2 s, then ran {duration(made.took_s)} on 1 × Standard_DS3_v2"
    shown = history(world.world(read_only=True), world.binding())
    assert f"job {made.job} {waited}" in " ".join(history_text(shown).split())
    assert f"Its job {waited}." in explanation_text(explanation(shown, world.binding()))


@pytest.mark.parametrize(
    ("status", "run", "spent"),
    [
        (200, TOLD, Spent(34.1, 559.6, "2 × Standard_DS3_v2")),
        (200, {**TOLD, "compute": None, "startTimeUtc": None}, Spent()),
        (
            200,
            {**TOLD, "endTimeUtc": "2024-02-23T15:00:00Z"},
            Spent(34.1, None, "2 × Standard_DS3_v2"),
        ),
        (200, {**TOLD, "createdTimeUtc": "yesterday"}, Spent(None, 559.6, "2 × Standard_DS3_v2")),
        (403, {}, None),
        (200, [], None),
    ],
)
def test_the_times_of_a_job_are_taken_as_far_as_they_are_told(
    twin: Endpoints, status: int, run: object, spent: Spent | None
) -> None:
    def instead(method: str, path: str) -> tuple[int, object] | None:
        assert method in ("GET", "PUT")
        if path == "":
            uri = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{WORKSPACE}"
            return 200, {"id": WORKSPACE, "properties": {"mlFlowTrackingUri": uri}}
        of_job = path == f"/history/v1.0{WORKSPACE}/runs/rc-1-a1/details"
        return (status, run) if of_job else None

    twin.workspace.instead = instead
    http = Http(threads=2, backoff_s=0, retries=0)
    http.mount(URL, twin.workspace)
    token = AccessToken(EmulatorSignIn(), "", arm_origins(URL))
    at = AzureMl(CloudName.EMULATOR, SUBSCRIPTION, "ml", "prod")
    tracking = Tracking(http, Workspace(http, at, token, URL), lambda *_: token)
    assert tracking.spent("rc-1-a1") == spent


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


def test_a_job_whose_files_are_gone_before_they_are_collected_is_tried_again(
    world: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        monkeypatch.undo()
        raise NotFoundError("model.json is gone")

    monkeypatch.setattr(Assets, "collect", gone)
    assert world.apply().failures == ()
    assert len(jobs(world)) == 2
    assert world.plan().converged


def test_a_model_that_is_gone_after_each_attempt_asks_for_a_new_version(
    world: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "sha256_of", lambda *_: None)
    (failure,) = world.apply().failures
    assert "attempt 2 of 2 failed: training job" in failure.message
    assert "finished, but there is no model at" in failure.message
    assert "declare a new version" in failure.message
    monkeypatch.undo()
    assert world.changes()["churn"].action is Action.BLOCK
    assert len(jobs(world)) == 2


def test_metrics_that_are_still_to_be_collected_are_judged(world: Emulated) -> None:
    world.edit("churn.yaml", 'atLeast: "0.8"', 'atLeast: "0.95"')
    world.apply()
    assert world.changes()["churn"].code == "gate"


# --- pipelines ------------------------------------------------------------------------------------

STEP = {
    "type": "command",
    "code": "azureml:steps:1",
    "environment": "azureml:python:1",
    "command": "python train.py ${{inputs.data}} ${{inputs.c}} ${{outputs.fitted}}/model.json "
    "${{outputs.scores}}",
    "inputs": {"data": "${{parent.inputs.data}}", "c": "${{parent.inputs.c}}"},
    "outputs": {"fitted": "${{parent.outputs.fitted}}", "scores": "${{parent.outputs.scores}}"},
}
COMPONENT = {
    "name": "retrain",
    "type": "pipeline",
    "inputs": {"data": {"type": "uri_file"}, "c": {"type": "number", "default": "0.1"}},
    "outputs": {"fitted": {"type": "uri_folder"}, "scores": {"type": "uri_file"}},
    "jobs": {"fit": STEP},
}
PIPELINE = """\
  training:
    engine: azureml
    pipeline: retrain:3
    compute: cpu
    inputs: {data: "${version}.csv"}
    parameters: {c: "0.5"}
    outputs: {model: fitted, metrics: scores}
"""


def piped(folder: Path, **changed: object) -> Emulated:
    """The sample, whose version is made by a pipeline of the workspace."""
    made = trained(folder)
    command, accept = TRAINING.split("  accept", 1)
    assert accept
    made.edit("churn.yaml", command, PIPELINE)
    script = made.files / "scoring/score.py"  # the store keeps an output under its own name
    script.write_text(script.read_text().replace('"model.json"', '"fitted"'))
    uri = "https://mlazure.blob.core.windows.net/code/steps/"
    made.cloud._core.blobs.put("mlazure", "code", "steps/train.py", TRAIN.encode())
    made.put("codes/steps/versions/1", {"codeUri": uri})
    made.put("components/retrain/versions/3", {"componentSpec": {**COMPONENT, **changed}})
    return made


def test_a_pipeline_of_the_workspace_makes_a_version_once(tmp_path: Path) -> None:
    world = piped(tmp_path)
    assert world.apply().failures == ()
    (url,) = jobs(world)
    told = world.get(f"jobs/{url.partition('?')[0].rpartition('/')[2]}")["properties"]
    assert told["jobType"] == "Pipeline"
    assert told["componentId"].endswith("/components/retrain/versions/3")
    assert told["settings"]["force_rerun"] is True
    assert told["settings"]["default_compute"].endswith("/computes/cpu")
    assert b'"intercept": 0.5' in (world.files / ".reconciler/churn/2/fitted").read_bytes()
    assert b'"auc": 0.9' in (world.files / ".reconciler/churn/2/scores").read_bytes()
    assert world.plan().converged
    world.close()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"type": "command"}, 'it is of the type "command"; only a pipeline can be run by itself'),
        ({"inputs": {"date": {"type": "uri_file"}, "c": {"type": "number"}}}, 'mean "date"'),
        ({"inputs": {**COMPONENT["inputs"], "data": {"type": "mltable"}}}, '"data" is a mltable'),
        ({"inputs": {**COMPONENT["inputs"], "n": {"type": "integer"}}}, '"n" has no default'),
        ({"outputs": {"fitted": {"type": "uri_folder"}}}, 'it has no output "scores"'),
    ],
)
def test_a_pipeline_that_does_not_fit_is_refused_before_it_is_started(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    world = piped(tmp_path, **changed)
    (failure,) = world.apply().failures
    assert words in failure.message
    assert jobs(world) == []
    world.close()


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [({}, Level.FINE, "retrain:3"), ({"outputs": {}}, Level.ERROR, 'it has no output "fitted"')],
)
def test_doctor_says_whether_a_pipeline_fits(
    tmp_path: Path, changed: dict[str, object], level: Level, words: str
) -> None:
    world = piped(tmp_path, **changed)
    bindings = world.desired().bindings
    checks = {c.what: c for c in checkup.platforms(world.world(read_only=True), bindings)}
    assert checks["pipeline"].level == level
    assert words in checks["pipeline"].message
    assert "jobs leave their outputs in workspaceblobstore" in checks["datastore"].message
    world.close()


def test_a_component_that_is_not_there_is_refused_with_the_near_ones(tmp_path: Path) -> None:
    world = piped(tmp_path)
    world.edit("churn.yaml", "retrain:3", "retrain:4")
    (failure,) = world.apply().failures
    assert "there is no component retrain:4; known: 3; correct training.pipeline" in failure.message
    world.close()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    pipeline: retrain:3\n", "", "name what runs: either command, or pipeline"),
        ("compute: cpu", "environment: python:1", "is of a command; a pipeline brings its own"),
        ("model: fitted", "model: fitted.pkl", '"fitted.pkl" is no output of a pipeline'),
        ("retrain:3", "retrain", "is not a component; write NAME:VERSION"),
    ],
)
def test_a_pipeline_that_cannot_be_declared_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    world = piped(tmp_path)
    world.edit("churn.yaml", old, new)
    with pytest.raises(ConfigurationError, match=words):
        world.desired()
    world.close()
