"""The MLflow API of a workspace: the runs of its jobs with their metrics, and its models.

The address is as recorded up to the workspace; what follows is MLflow's own [inf]. Both versions
of the prefix that Azure's plug-in has used are known. A token may be of either audience.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reconciler.emulator.azureml import tokens
from reconciler.emulator.messages import Refused, Response, json_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.azureml.records import Json, Resource
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request

_PATH = re.compile(
    r"/mlflow/v[12]\.0(?P<scope>/subscriptions/[^/]+/resourcegroups/[^/]+/providers/"
    r"microsoft\.machinelearningservices/workspaces/[^/]+)/api/2\.0/(?:preview/)?mlflow/(?P<what>.+)",
    re.IGNORECASE,
)
_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED", "Running": "RUNNING"}
_NAMED = re.compile(r"name\s*=\s*'(?P<name>[^']+)'")


def route(request: Request) -> str:
    """The name of the route of a request, "" when it is for another door."""
    match = _PATH.fullmatch(request.path)
    return "azureml.mlflow." + match["what"].replace("/", ".") if match else ""


class _Error(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = _answer({"error_code": code, "message": message}, status)


def handle(core: Core, request: Request) -> Response:
    """The answer to a request of MLflow, in MLflow's own shapes."""
    match = _PATH.fullmatch(request.path)
    assert match is not None
    try:
        audience = tokens.audience(request.bearer)
        if not request.bearer or audience not in ("", tokens.ML, *tokens.ARM):
            raise _Error(401, "UNAUTHENTICATED", "The access token is missing or invalid.")
        scope = core.world.resources.get(unquote(match["scope"]))
        act = _VERBS.get((request.method, match["what"]))
        if scope is None:
            raise _Error(404, "RESOURCE_DOES_NOT_EXIST", "There is no such workspace.")
        if act is None:
            raise _Error(404, "ENDPOINT_NOT_FOUND", f"{request.method} {match['what']} is unknown.")
        given: Json = dict(request.parameters)
        if request.method != "GET":
            given = json_object(request)
        return _answer(act(core, scope, given))
    except _Error as exc:
        return exc.response
    except (Refused, KeyError, TypeError, ValueError) as exc:
        return _Error(400, "INVALID_PARAMETER_VALUE", f"Not as MLflow sends it: {exc}").response


def _answer(document: Json, status: int = 200) -> Response:
    headers = {"Content-Type": "application/json"}
    return Response(status, headers, json.dumps(document).encode())


# --- runs ---------------------------------------------------------------------------------------


def _job(core: Core, scope: Resource, given: Json) -> Resource:
    ident = given.get("run_id") or given["run_uuid"]
    job = core.world.resources.get(f"{scope.id}/jobs/{ident}")
    if job is None:
        raise _Error(404, "RESOURCE_DOES_NOT_EXIST", f"There is no run {ident}.")
    return job


def _experiment(scope: Resource, name: str) -> Json:
    ident = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.id.casefold()}/{name}"))
    return {
        **{"experiment_id": ident, "name": name, "lifecycle_stage": "active", "tags": []},
        "artifact_location": "",
    }


def _name_of_experiment(job: Resource) -> str:
    return str(job.properties.get("experimentName") or "Default")


def _run(scope: Resource, job: Resource) -> Json:
    run, status = job.kept["run"], job.kept["status"]
    info = {
        **{"run_id": job.name, "run_uuid": job.name, "run_name": job.name, "user_id": ""},
        "experiment_id": _experiment(scope, _name_of_experiment(job))["experiment_id"],
        "status": _STATUS.get(status, "SCHEDULED"),
        "start_time": int(job.kept["started"] * 1000),
        "artifact_uri": f"azureml://jobs/{job.name}/outputs/artifacts/paths/",
        "lifecycle_stage": "active",
    }
    if job.kept["ended"]:
        info["end_time"] = int(job.kept["ended"] * 1000)
    data = {
        "metrics": [_metric(name, points[-1]) for name, points in run["metrics"].items()],
        "params": [{"key": name, "value": value} for name, value in run["params"].items()],
        "tags": [{"key": name, "value": value} for name, value in run["tags"].items()],
    }
    return {"info": info, "data": data}


def _metric(name: str, point: list[Any]) -> Json:
    return {"key": name, "value": point[0], "timestamp": point[1], "step": point[2]}


def _get_run(core: Core, scope: Resource, given: Json) -> Json:
    return {"run": _run(scope, _job(core, scope, given))}


def _search_runs(core: Core, scope: Resource, given: Json) -> Json:
    """The runs of experiments, the latest first; filters are not known here."""
    if given.get("filter"):
        raise _Error(400, "INVALID_PARAMETER_VALUE", "The emulator searches without filters only.")
    jobs = core.world.resources.listed(f"{scope.id}/jobs")
    runs = [_run(scope, job) for job in sorted(jobs, key=lambda job: -job.created)]
    wanted = given.get("experiment_ids") or []
    return {"runs": [run for run in runs if run["info"]["experiment_id"] in wanted]}


def _update_run(core: Core, scope: Resource, given: Json) -> Json:
    return {"run_info": _run(scope, _job(core, scope, given))["info"]}


def _log_metric(core: Core, scope: Resource, given: Json) -> Json:
    _keep_metric(_job(core, scope, given), given)
    return {}


def _keep_metric(job: Resource, given: Json) -> None:
    point = [float(given["value"]), int(given.get("timestamp", 0)), int(given.get("step", 0))]
    job.kept["run"]["metrics"].setdefault(str(given["key"]), []).append(point)


def _log_batch(core: Core, scope: Resource, given: Json) -> Json:
    job = _job(core, scope, given)
    for metric in given.get("metrics") or []:
        _keep_metric(job, metric)
    for name in ("params", "tags"):
        pairs = {str(each["key"]): str(each["value"]) for each in given.get(name) or []}
        job.kept["run"][name].update(pairs)
    return {}


def _log_parameter(core: Core, scope: Resource, given: Json) -> Json:
    return _log_batch(core, scope, {**given, "params": [given]})


def _set_tag(core: Core, scope: Resource, given: Json) -> Json:
    return _log_batch(core, scope, {**given, "tags": [given]})


def _history(core: Core, scope: Resource, given: Json) -> Json:
    name = given["metric_key"]
    points = _job(core, scope, given).kept["run"]["metrics"].get(name, [])
    return {"metrics": [_metric(name, point) for point in points]}


# --- experiments and models ---------------------------------------------------------------------


def _get_experiment(core: Core, scope: Resource, given: Json) -> Json:
    names = {_name_of_experiment(job) for job in core.world.resources.listed(f"{scope.id}/jobs")}
    for experiment in (_experiment(scope, name) for name in sorted({*names, "Default"})):
        wanted = (experiment["name"], experiment["experiment_id"])
        if given.get("experiment_name", given.get("experiment_id")) in wanted:
            return {"experiment": experiment}
    raise _Error(404, "RESOURCE_DOES_NOT_EXIST", "There is no such experiment.")


def _version(resource: Resource) -> Json:
    properties = resource.properties
    return {
        "name": resource.id.split("/")[-3],
        "version": resource.name,
        "creation_timestamp": int(resource.created * 1000),
        "last_updated_timestamp": int(resource.modified * 1000),
        "current_stage": properties.get("stage") or "None",
        "description": properties.get("description") or "",
        "source": properties["modelUri"],
        "run_id": properties.get("jobName") or "",
        "status": "READY",
        "tags": [{"key": name, "value": text} for name, text in properties["tags"].items()],
    }


def _get_version(core: Core, scope: Resource, given: Json) -> Json:
    place = f"{scope.id}/models/{given['name']}/versions/{given['version']}"
    found = core.world.resources.get(place)
    if found is None:
        raise _Error(404, "RESOURCE_DOES_NOT_EXIST", f"There is no version {given['version']}.")
    return {"model_version": _version(found)}


def _search_versions(core: Core, scope: Resource, given: Json) -> Json:
    match = _NAMED.fullmatch(str(given.get("filter", "")).strip())
    if match is None:
        raise _Error(400, "INVALID_PARAMETER_VALUE", "The filter must be name = '…'.")
    found = core.world.resources.listed(f"{scope.id}/models/{match['name']}/versions")
    return {"model_versions": [_version(each) for each in found]}


def _get_model(core: Core, scope: Resource, given: Json) -> Json:
    found = core.world.resources.get(f"{scope.id}/models/{given['name']}")
    if found is None:
        raise _Error(404, "RESOURCE_DOES_NOT_EXIST", f"There is no model {given['name']}.")
    versions = core.world.resources.listed(f"{found.id}/versions")
    latest = sorted(versions, key=lambda version: version.created)[-1:]
    model: Json = {"name": found.name, "creation_timestamp": int(found.created * 1000)}
    return {"registered_model": {**model, "latest_versions": [_version(v) for v in latest]}}


_VERBS: dict[tuple[str, str], Callable[[Core, Resource, Json], Json]] = {
    ("GET", "runs/get"): _get_run,
    ("POST", "runs/search"): _search_runs,
    ("POST", "runs/update"): _update_run,
    ("POST", "runs/log-metric"): _log_metric,
    ("POST", "runs/log-batch"): _log_batch,
    ("POST", "runs/log-parameter"): _log_parameter,
    ("POST", "runs/set-tag"): _set_tag,
    ("GET", "metrics/get-history"): _history,
    ("GET", "experiments/get"): _get_experiment,
    ("GET", "experiments/get-by-name"): _get_experiment,
    ("GET", "model-versions/get"): _get_version,
    ("GET", "model-versions/search"): _search_versions,
    ("GET", "registered-models/get"): _get_model,
}
