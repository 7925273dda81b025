"""Command jobs of Azure Machine Learning v2: run for real, once per id, with files that stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.emulator.azureml import WS, Wire

WireOf = Callable[..., Wire]
STORE = "azureml://datastores/workspaceblobstore/paths"
TRAIN = """
import pathlib, sys
data, rate, model, metrics = sys.argv[1:]
rows = pathlib.Path(data).read_text().splitlines()
pathlib.Path(model, "model.txt").write_text(f"{len(rows)} rows at {rate}")
pathlib.Path(metrics).write_text('{"AUC": 0.9}')
pathlib.Path("outputs").mkdir()
pathlib.Path("outputs", "note.txt").write_text("by the way")
print("trained on", len(rows))
"""
COMMAND = (
    "python train.py ${{inputs.train}} ${{inputs.rate}} ${{outputs.model}} ${{outputs.metrics}}"
)


def blob(wire: Wire, path: str) -> bytes | None:
    container, _, name = path.partition("/")
    return wire.cloud._core.blobs.get("mlazure", container, name)


def job(wire: Wire, command: str = COMMAND, **properties: Any) -> dict[str, Any]:
    """The body of a job that trains, whose code and data are there."""
    put = wire.cloud._core.blobs.put
    put("mlazure", "workspace", "training/train.py", TRAIN.encode())
    put("mlazure", "workspace", "data/churn.csv", b"1,2\n3,4\n")
    code = {"properties": {"codeUri": f"{STORE}/training"}}
    data = {"properties": {"dataType": "uri_file", "dataUri": f"{STORE}/data/churn.csv"}}
    wire.send("PUT", "codes/train/versions/1", code)
    wire.send("PUT", "data/churn/versions/1", data)
    return {
        "properties": {
            "jobType": "Command",
            "experimentName": "retrain-churn",
            "computeId": f"{WS}/computes/cpu",
            "environmentId": "azureml:python:1",
            "codeId": "azureml:train:1",
            "command": command,
            "inputs": {
                "train": {"jobInputType": "uri_file", "uri": "azureml:churn:1"},
                "rate": {"jobInputType": "literal", "value": "0.1"},
            },
            "outputs": {
                "model": {"jobOutputType": "custom_model"},
                "metrics": {"jobOutputType": "uri_file"},
            },
            "tags": {"plan": "1"},
            **properties,
        }
    }


def ended(wire: Wire, name: str = "rc-1") -> dict[str, Any]:
    """A job when its time has come."""
    wire.clock.advance(5)
    found: dict[str, Any] = wire.get(f"jobs/{name}")
    return found


def log(wire: Wire, name: str = "rc-1") -> str:
    return (blob(wire, f"azureml/ExperimentRun/dcid.{name}/user_logs/std_log.txt") or b"").decode()


def test_a_job_runs_its_command_and_leaves_files(wire: Wire) -> None:
    made = wire.send("PUT", "jobs/rc-1", job(wire))
    shown = made.json()["properties"]
    assert (made.status_code, shown["status"]) == (201, "Starting")
    assert shown["services"]["Tracking"]["endpoint"].endswith(f"/mlflow/v1.0{WS}")
    assert shown["outputs"]["default"]["uri"].endswith("/ExperimentRun/dcid.rc-1")
    assert shown["resources"]["shmSize"] == "2g"
    assert ended(wire)["properties"]["status"] == "Completed"
    assert blob(wire, "workspace/azureml/rc-1/model/model.txt") == b"2 rows at 0.1"
    assert blob(wire, "workspace/azureml/rc-1/metrics") == b'{"AUC": 0.9}'
    assert blob(wire, "azureml/ExperimentRun/dcid.rc-1/outputs/note.txt") == b"by the way"
    assert log(wire) == "trained on 2\n"


def test_a_model_is_registered_from_an_output(wire: Wire) -> None:
    wire.send("PUT", "jobs/rc-1", job(wire))
    ended(wire)
    body = {"properties": {"modelUri": "azureml://jobs/rc-1/outputs/model", "jobName": "rc-1"}}
    made = wire.send("PUT", "models/churn/versions/3", body)
    uri = made.json()["properties"]["modelUri"]
    assert uri.startswith("azureml://subscriptions/")
    assert uri.endswith("/datastores/workspaceblobstore/paths/azureml/rc-1/model/")
    body["properties"]["modelUri"] = "azureml://jobs/rc-1/outputs/nothing"
    assert wire.send("PUT", "models/churn/versions/4", body).status_code == 400


def test_outputs_go_where_the_job_says(wire: Wire) -> None:
    outputs = {
        "model": {"jobOutputType": "uri_folder", "uri": f"{STORE}/made/1"},
        "metrics": {"jobOutputType": "uri_file", "uri": f"{STORE}/made/metrics.json"},
    }
    wire.send("PUT", "jobs/rc-1", job(wire, outputs=outputs))
    ended(wire)
    assert blob(wire, "workspace/made/1/model.txt") == b"2 rows at 0.1"
    assert blob(wire, "workspace/made/metrics.json") == b'{"AUC": 0.9}'


@pytest.mark.parametrize("status", [200, 201, 409])
def test_an_id_runs_once(wire_of: WireOf, status: int) -> None:
    wire = wire_of(job_again=status)
    command = "echo ran >> ${{outputs.model}}/count"
    body = job(wire, command, inputs={}, outputs={"model": {"jobOutputType": "uri_folder"}})
    assert wire.send("PUT", "jobs/rc-1", body).status_code == 201
    assert wire.send("PUT", "jobs/rc-1", body).status_code == status
    ended(wire)
    assert wire.send("PUT", "jobs/rc-1", body).status_code == status
    assert blob(wire, "workspace/azureml/rc-1/model/count") == b"ran\n"


def test_a_job_shows_its_stages(wire_of: WireOf) -> None:
    wire = wire_of(job_s=10.0)
    wire.send("PUT", "jobs/rc-1", job(wire))
    seen = []
    for _ in range(6):
        seen.append(wire.get("jobs/rc-1")["properties"]["status"])
        wire.clock.advance(2)
    assert seen == ["Starting", "Preparing", "Running", "Running", "Running", "Completed"]


def test_a_job_moves_by_looks_too(wire_of: WireOf) -> None:
    wire = wire_of(pace="looks", looks=2)
    wire.send("PUT", "jobs/rc-1", job(wire))
    seen = [wire.get("jobs/rc-1")["properties"]["status"] for _ in range(3)]
    assert seen == ["Running", "Running", "Completed"]


def test_a_command_that_fails_fails_the_job(wire: Wire) -> None:
    wire.send("PUT", "jobs/rc-1", job(wire, "echo no disk >&2; exit 3"))
    assert ended(wire)["properties"]["status"] == "Failed"
    assert log(wire) == "no disk\n"


def test_jobs_fail_are_cancelled_and_forgotten_by_script(wire: Wire) -> None:
    for trick in ("out of memory", "cancelled", "forgotten"):
        wire.cloud.faults.play("job", trick)
        wire.send("PUT", f"jobs/{trick.replace(' ', '-')}", job(wire))
    wire.clock.advance(5)
    assert wire.get("jobs/out-of-memory")["properties"]["status"] == "Failed"
    assert log(wire, "out-of-memory") == "out of memory\n"
    assert wire.get("jobs/cancelled")["properties"]["status"] == "Canceled"
    assert wire.send("GET", "jobs/forgotten").status_code == 404


def test_a_job_is_cancelled_by_an_operation(wire_of: WireOf) -> None:
    wire = wire_of(job_s=60.0)
    wire.send("PUT", "jobs/rc-1", job(wire, "echo begun; exec sleep 600"))
    running = wire.cloud._core.processes[f"{WS}/jobs/rc-1".casefold()]
    cancelled = wire.send("POST", "jobs/rc-1/cancel")
    assert (cancelled.status_code, cancelled.content) == (202, b"null")
    assert cancelled.headers["Retry-After"]
    assert wire.get("jobs/rc-1")["properties"]["status"] == "CancelRequested"
    assert not running.ended
    wire.done(cancelled)
    assert wire.get("jobs/rc-1")["properties"]["status"] == "Canceled"
    assert running.ended
    assert wire.send("POST", "jobs/rc-1/cancel").status_code == 200


def test_a_job_ends_at_its_limit(wire_of: WireOf) -> None:
    wire = wire_of(job_s=60.0)
    wire.send("PUT", "jobs/rc-1", job(wire, "sleep 600", limits={"timeout": "PT30S"}))
    wire.clock.advance(29)
    assert wire.get("jobs/rc-1")["properties"]["status"] == "Running"
    wire.clock.advance(1)
    assert wire.get("jobs/rc-1")["properties"]["status"] == "Failed"
    assert "longer than 30.0 s" in log(wire)


def test_a_job_is_deleted_when_it_has_ended(wire: Wire) -> None:
    wire.send("PUT", "jobs/rc-1", job(wire))
    assert wire.send("DELETE", "jobs/rc-1").status_code == 400
    ended(wire)
    wire.done(wire.send("DELETE", "jobs/rc-1"))
    assert wire.send("GET", "jobs/rc-1").status_code == 404
    assert wire.send("DELETE", "jobs/rc-1").status_code == 204


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"jobType": "Sweep"}, "BadArgument"),
        ({"command": ""}, "BadArgument"),
        ({"command": "cat ${{inputs.other}}"}, "BadArgument"),
        ({"computeId": f"{WS}/computes/gpu"}, "ComputeNotFound"),
        ({"environmentId": "azureml:none:1"}, "ResourceNotFound"),
        ({"codeId": "azureml:none:1"}, "ResourceNotFound"),
        ({"inputs": {"train": {"jobInputType": "uri_file", "uri": f"{STORE}/no"}}}, "InputMissing"),
        ({"inputs": {"a b": {"jobInputType": "literal", "value": "1"}}}, "BadArgument"),
        ({"outputs": {"model": {"jobOutputType": "picture"}}}, "BadArgument"),
        ({"limits": {"timeout": "long"}}, "BadArgument"),
    ],
)
def test_a_job_that_cannot_run_is_refused_at_once(
    wire: Wire, changes: dict[str, Any], code: str
) -> None:
    refused = wire.send("PUT", "jobs/rc-1", job(wire, **changes))
    assert refused.status_code == 400
    assert refused.json()["error"]["details"][0]["code"] == code
    assert wire.send("GET", "jobs/rc-1").status_code == 404


def test_jobs_are_listed_by_tag_and_type(wire: Wire) -> None:
    wire.send("PUT", "jobs/rc-1", job(wire))
    wire.send("PUT", "jobs/rc-2", job(wire, tags={"other": ""}))
    assert [each["name"] for each in wire.get("jobs?tag=plan")["value"]] == ["rc-1"]
    assert len(wire.get("jobs?jobType=command")["value"]) == 2
    assert wire.get("jobs?jobType=Sweep") == {"value": []}


# --- pipelines ----------------------------------------------------------------------------------


def pipeline(wire: Wire, **properties: Any) -> dict[str, Any]:
    """The body of a pipeline job whose second step is written first."""
    job(wire)
    common = {"type": "command", "environmentId": "azureml:python:1"}
    fit = {
        "command": "python train.py ${{inputs.rows}} ${{inputs.rate}} ${{outputs.model}} metrics",
        "codeId": "azureml:train:1",
        "inputs": {
            "rows": {"job_input_type": "literal", "value": "${{parent.jobs.clean.outputs.rows}}/r"},
            "rate": "${{parent.inputs.rate}}",
        },
        "outputs": {"model": {"value": "${{parent.outputs.model}}", "type": "literal"}},
    }
    clean = {
        "command": "head -n 1 ${{inputs.raw}} > ${{outputs.rows}}/r",
        "inputs": {"raw": {"path": "${{parent.inputs.train}}"}},
        "outputs": {"rows": {"type": "uri_folder"}},
    }
    return {
        "properties": {
            "jobType": "Pipeline",
            "inputs": {
                "train": {"jobInputType": "uri_file", "uri": "azureml:churn:1"},
                "rate": {"jobInputType": "literal", "value": "0.2"},
            },
            "outputs": {"model": {"jobOutputType": "uri_folder"}},
            "jobs": {"fit": {**common, **fit}, "clean": {**common, **clean}},
            **properties,
        }
    }


def component(wire: Wire, spec: dict[str, Any]) -> None:
    body = {"properties": {"componentSpec": spec}}
    assert wire.send("PUT", "components/whole/versions/1", body).status_code == 201


def test_a_pipeline_runs_its_steps_in_the_order_of_their_files(wire: Wire) -> None:
    wire.send("PUT", "jobs/rc-1", pipeline(wire))
    assert ended(wire)["properties"]["status"] == "Completed", log(wire)
    assert blob(wire, "workspace/azureml/rc-1/model/model.txt") == b"1 rows at 0.2"


@pytest.mark.parametrize("kind", ["pipeline", "command"])
def test_a_pipeline_runs_by_the_reference_of_a_component(wire: Wire, kind: str) -> None:
    whole = pipeline(wire)["properties"]
    declared = {
        "inputs": {"train": {"type": "uri_file"}, "rate": {"type": "string", "default": "0.3"}},
        "outputs": {"model": {"type": "uri_folder"}},
    }
    if kind == "command":
        command = "python train.py ${{inputs.train}} ${{inputs.rate}} ${{outputs.model}} metrics"
        spec = {"command": command, "code": "azureml:train:1", "environment": "azureml:python:1"}
    else:
        spec = {"jobs": whole["jobs"]}
    component(wire, {"name": "whole", "type": kind, **declared, **spec})
    body = {
        "jobType": "Pipeline",
        "componentId": "azureml:whole:1",
        "inputs": {"train": whole["inputs"]["train"]},
    }
    assert wire.send("PUT", "jobs/rc-1", {"properties": body}).status_code == 201
    assert ended(wire)["properties"]["status"] == "Completed", log(wire)
    rows = 1 if kind == "pipeline" else 2
    made = blob(wire, "workspace/azureml/rc-1/model/model.txt")
    assert made == f"{rows} rows at 0.3".encode()


def test_a_pipeline_that_cannot_run_is_refused_at_once(wire: Wire) -> None:
    steps = pipeline(wire)["properties"]["jobs"]
    circle = {"raw": "${{parent.jobs.fit.outputs.model}}"}
    unknown = {"raw": "${{parent.inputs.nothing}}"}
    for jobs in (
        {},
        {"fit": {**steps["fit"], "command": ""}},
        {"fit": steps["fit"], "clean": {**steps["clean"], "inputs": circle}},
        {"fit": steps["fit"], "clean": {**steps["clean"], "inputs": unknown}},
        {"clean": {**steps["clean"], "environmentId": "azureml:none:1"}},
        {"clean": 1},
    ):
        refused = wire.send("PUT", "jobs/rc-1", pipeline(wire, jobs=jobs))
        assert refused.status_code == 400, jobs
    assert wire.send("GET", "jobs/rc-1").status_code == 404


# --- tracking -----------------------------------------------------------------------------------


def mlflow(wire: Wire, what: str, body: Any = None) -> Any:
    method = "GET" if body is None else "POST"
    return wire.send(method, f"/mlflow/v1.0{WS}/api/2.0/mlflow/{what}", body)


def test_metrics_of_a_job_are_told_as_mlflow_tells_them(wire: Wire) -> None:
    wire.send("PUT", "jobs/rc-1", job(wire))
    for step, value in enumerate((0.5, 0.9)):
        metric = {"run_id": "rc-1", "key": "AUC", "value": value, "timestamp": 7, "step": step}
        assert mlflow(wire, "runs/log-metric", metric).status_code == 200
    batch = {"run_id": "rc-1", "params": [{"key": "rate", "value": "0.1"}], "tags": []}
    assert mlflow(wire, "runs/log-batch", batch).status_code == 200
    ended(wire)
    run = mlflow(wire, "runs/get?run_id=rc-1").json()["run"]
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["end_time"] - run["info"]["start_time"] == 5000
    assert run["data"]["metrics"] == [{"key": "AUC", "value": 0.9, "timestamp": 7, "step": 1}]
    assert run["data"]["params"] == [{"key": "rate", "value": "0.1"}]
    history = mlflow(wire, "metrics/get-history?run_id=rc-1&metric_key=AUC").json()["metrics"]
    assert [point["value"] for point in history] == [0.5, 0.9]
    named = mlflow(wire, "experiments/get-by-name?experiment_name=retrain-churn").json()
    found = mlflow(
        wire, "runs/search", {"experiment_ids": [named["experiment"]["experiment_id"]]}
    ).json()
    assert [each["info"]["run_id"] for each in found["runs"]] == ["rc-1"]


def test_models_are_told_as_mlflow_tells_them(wire: Wire) -> None:
    version = mlflow(wire, "model-versions/get?name=churn&version=2").json()["model_version"]
    assert (version["version"], version["status"]) == ("2", "READY")
    found = mlflow(wire, "model-versions/search?filter=name%20%3D%20'churn'").json()
    assert [each["version"] for each in found["model_versions"]] == ["1", "2"]
    model = mlflow(wire, "registered-models/get?name=churn").json()["registered_model"]
    assert model["name"] == "churn"


def test_mlflow_refuses_in_its_own_shape(wire: Wire) -> None:
    nobody = mlflow(wire, "runs/get?run_id=nobody")
    assert (nobody.status_code, nobody.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert mlflow(wire, "runs/get").status_code == 400
    assert mlflow(wire, "runs/log-metric", {"run_id": 1}).status_code == 404
    wire.send("PUT", "jobs/rc-1", job(wire))
    odd = {"run_id": "rc-1", "key": "a", "value": "high"}
    assert mlflow(wire, "runs/log-metric", odd).status_code == 400
