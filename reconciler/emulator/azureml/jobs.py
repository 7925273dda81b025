"""Jobs of commands and pipelines: begun by a PUT with an id of the client's choice, run, looked at.

A PUT of an id that exists starts nothing. The command runs in a process of its own, from the files
of its code and inputs; what it wrote goes to storage when it ends. A job ends no sooner than the
recorded time and no sooner than its process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.emulator.azureml import operations, pipelines, workspaces
from reconciler.emulator.azureml.assets import NAME, referred
from reconciler.emulator.azureml.calls import (
    bad,
    envelope,
    flat_texts,
    found_at,
    page,
    part,
    seconds,
)
from reconciler.emulator.azureml.failures import Failure, Unready
from reconciler.emulator.azureml.orders import Order, order
from reconciler.emulator.azureml.processes import Running
from reconciler.emulator.azureml.storage import ARTIFACTS, Place, place_of
from reconciler.emulator.messages import Refused, answer, unknown

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json, Resource, Work
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Response

MOST_RUNNING = 100  # jobs at once; each is a process
ENDED = ("Completed", "Failed", "Canceled")
QUEUED = 0.4  # so much of the time of a job passes before it has a machine
_STAGES = ((0.2, "Starting"), (0.3, "Preparing"), (QUEUED, "Queued"), (1.0, "Running"))
LOG = "user_logs/std_log.txt"


def handle(call: Call) -> Response:
    """The answer to a request for jobs."""
    method, core = call.request.method, call.core
    if method == "GET" and not call.names:
        wanted = _wanted(call)
        for job in wanted:
            _look(core, job)
        return page(call, lambda job: shown(call, job), wanted)
    if call.action == "cancel" and method == "POST":
        return _cancel(call, call.there)
    if call.action:
        raise unknown(call.request)
    if method == "GET":
        job = call.there
        _look(core, job)
        return answer(200, shown(call, found_at(core, call.id)))
    if method == "PUT":
        if (found := call.found) is not None:
            return _again(call, found)
        return answer(201, shown(call, _put(call, call.document())))
    if method == "DELETE":
        return _delete(call)
    raise unknown(call.request)


def _wanted(call: Call) -> list[Resource]:
    parameters = call.request.parameters
    found = call.core.world.resources.listed(call.id)
    if kind := parameters.get("jobtype"):
        found = [job for job in found if job.properties["jobType"].casefold() == kind.casefold()]
    if tag := parameters.get("tag"):
        found = [job for job in found if tag in job.properties["tags"]]
    return found


def shown(call: Call, job: Resource) -> Json:
    """A job as answers show it, with what the service adds."""
    given = job.properties
    default = f"azureml://datastores/{ARTIFACTS}/ExperimentRun/dcid.{job.name}"
    outputs = {
        "default": {"jobOutputType": "uri_folder", "uri": default, "mode": "ReadWriteMount"},
        **(given.get("outputs") or {}),
    }
    target = "amlcompute" if given.get("computeId") else "serverless"
    services = {
        name: {"jobServiceType": name, "endpoint": endpoint, "status": None, "port": None}
        for name, endpoint in (
            ("Tracking", workspaces.tracking(call)),
            ("Studio", f"https://ml.azure.com/runs/{job.name}?wsid={call.scope.id}"),
        )
    }
    return {
        **envelope(call, job),
        "properties": {
            **{"description": None, "displayName": job.name, "experimentName": "Default"},
            **{"isArchived": False, "tags": {}, "componentId": None},
            **given,
            "outputs": outputs,
            "properties": {
                **given["properties"],
                "_azureml.ComputeTargetType": target,
            },
            "resources": {"instanceCount": 1, "shmSize": "2g", **given["resources"]},
            "services": services,
            "status": job.kept["status"],
        },
    }


# --- begun --------------------------------------------------------------------------------------


def _again(call: Call, job: Resource) -> Response:
    """A PUT of what exists starts nothing; how it is answered is not known."""
    status: Any = call.core.options.job_again
    if status != 409:
        return answer(status, shown(call, job))
    raise operations.conflict(f"A job {job.name} exists already.", "JobAlreadyExists")


def _put(call: Call, document: Json) -> Resource:
    if not NAME.fullmatch(call.names[0]):
        raise bad(f"{call.names[0]} is no name of a job.")
    properties = document.get("properties", {})
    kind = properties.get("jobType")
    if kind not in ("Command", "Pipeline"):
        raise bad("properties.jobType must be Command or Pipeline; the emulator runs no others.")
    if compute := properties.get("computeId"):
        _check_compute(call, compute)
    environment = properties.get("environmentId")
    if kind == "Command":
        environment = referred(call, environment, "environments")
    limits, resources = part(properties, "limits"), part(properties, "resources")
    limit = seconds(limits["timeout"]) if "timeout" in limits else None
    texts = {
        name: flat_texts(properties, name)
        for name in ("tags", "properties", "environmentVariables")
    }
    if len(call.core.processes) >= MOST_RUNNING:
        why = f"{MOST_RUNNING} jobs run already; more would need more machines."
        raise Refused(429, "TooManyRequests", why)
    made = (order if kind == "Command" else pipelines.order)(call, properties)
    core = call.core
    checked = {**texts, "environmentId": environment, "resources": resources}
    job = call.new({"properties": {**properties, **checked}})
    job.kept = {
        "status": "Starting",
        "started": core.now(),
        "due": core.now() + core.options.job_s / core.options.speed,
        "limit": limit,
        "looks": 0,
        "ended": 0.0,
        "trick": core.faults.trick("job"),
        "outputs": made.uris,
        "places": made.places,
        "run": {"metrics": {}, "params": {}, "tags": {}},
    }
    if not job.kept["trick"]:
        try:
            core.processes[job.id.casefold()] = _started(call, job, made)
        except Failure as exc:
            _stop(core, job, "Failed", str(exc))
    return job


def _check_compute(call: Call, compute: str) -> None:
    """Refused with 400 for a compute that the workspace does not have."""
    if call.core.world.resources.get(str(compute)) is None:
        raise bad(f"There is no compute {compute}.", "ComputeNotFound")


def _started(call: Call, job: Resource, made: Order) -> Running:
    running = Running(made.files, made.folders)
    root = str(running.root)
    tracking = f"{workspaces.data_plane(call.request, call.region)}/mlflow/v1.0{call.scope.id}"
    variables = {name: text.replace("{root}", root) for name, text in made.variables.items()}
    running.start(
        made.command.replace("{root}", root),
        {
            **job.properties["environmentVariables"],
            **variables,
            "AZUREML_RUN_ID": job.name,
            "MLFLOW_RUN_ID": job.name,
            "MLFLOW_TRACKING_URI": tracking,
            "MLFLOW_TRACKING_TOKEN": "of-the-job",
            "MLFLOW_EXPERIMENT_NAME": job.properties.get("experimentName") or "Default",
        },
    )
    return running


# --- looked at ----------------------------------------------------------------------------------


def settle(core: Core, now: float) -> bool:
    """Move the jobs on, and end those whose time has come; whether any has changed."""
    if core.options.pace != "clock":
        return False
    moved = [_move(core, job, now) for job in core.world.resources.named("jobs")]
    return any(moved)


def _look(core: Core, job: Resource) -> None:
    """With pace "looks" a job is seen unfinished a number of times."""
    if core.options.pace == "looks" and job.kept["status"] not in ENDED:
        job.kept["looks"] += 1
        _move(core, job, core.now())


def _move(core: Core, job: Resource, now: float) -> bool:
    kept = job.kept
    before = kept["status"]
    if before in ENDED or before == "CancelRequested":
        return False
    if core.options.pace == "looks":
        share = 0.5 if kept["looks"] <= core.options.looks else 1.0
    else:
        share = (now - kept["started"]) / max(kept["due"] - kept["started"], 1e-9)
        if _too_long(core, job, now):
            _stop(core, job, "Failed", f"The job ran longer than {kept['limit']} s.")
            return True
    if share >= 1.0:
        _end(core, job, now)
    else:
        kept["status"] = next(stage for until, stage in _STAGES if share < until)
    return bool(kept["status"] != before)


def _too_long(core: Core, job: Resource, now: float) -> bool:
    """Whether the limit has passed, of a job that is to take longer or whose process does."""
    kept, running = job.kept, core.processes.get(job.id.casefold())
    if kept["limit"] is None or now - kept["started"] < kept["limit"]:
        return False
    slow = running is not None and not running.ended and not core.patient
    return bool(slow or kept["due"] - kept["started"] >= kept["limit"])


def _end(core: Core, job: Resource, now: float) -> None:
    """End a job as its process or its trick says; a process that still runs is waited for."""
    trick, running = job.kept["trick"], core.processes.get(job.id.casefold())
    if trick == "forgotten":
        del core.world.resources[job.id]
    elif trick == "cancelled":
        _stop(core, job, "Canceled", "")
    elif running is None:
        _stop(core, job, "Failed", trick or "The node of the job was lost.")
    elif not running.ended:
        job.kept["status"] = "Running"
        if core.patient:
            raise Unready(running.wait)
    else:
        _take_outputs(core, job, running)
        _stop(core, job, "Completed" if running.code == 0 else "Failed", "")
        job.kept["ended"] = now


def _stop(core: Core, job: Resource, status: str, why: str) -> None:
    """End a job; its log is kept in storage, with a last line that says why."""
    running = core.processes.pop(job.id.casefold(), None)
    log = b""
    if running is not None:
        running.stop()
        log = running.log
        running.close()
    core.blobs.put(*_artifact(core, job, LOG), log + (f"{why}\n".encode() if why else b""))
    job.kept["status"], job.kept["ended"] = status, core.now()
    job.modified = core.now()


def publish_log(core: Core, job: Resource) -> tuple[str, str, str]:
    """Where the log of a job is; of one that runs, what it has written so far is put there."""
    place = _artifact(core, job, LOG)
    if running := core.processes.get(job.id.casefold()):
        core.blobs.put(*place, running.log)
    return place


def _artifact(core: Core, job: Resource, path: str) -> tuple[str, str, str]:
    store = core.world.resources[f"{job.id.rpartition('/jobs/')[0]}/datastores/{ARTIFACTS}"]
    account, container = (store.properties[name] for name in ("accountName", "containerName"))
    return account, container, f"ExperimentRun/dcid.{job.name}/{path}"


def _take_outputs(core: Core, job: Resource, running: Running) -> None:
    """Write what the process made to where its outputs go, and `outputs/` to its artifacts."""
    scope = core.world.resources[job.id.rpartition("/jobs/")[0]]
    for name, path in job.kept["places"].items():
        place = place_of(core, scope, job.kept["outputs"][name])
        for file, content in running.files(path).items():
            _write(core, place, file, content)
    for file, content in running.files("code/outputs").items():
        core.blobs.put(*_artifact(core, job, f"outputs/{file}"), content)


def _write(core: Core, place: Place, file: str, content: bytes) -> None:
    """An address that ends in a slash is of a folder; else the file has that name itself."""
    target = place.below(file) if place.path.endswith("/") else place
    core.blobs.put(target.account, target.container, target.path, content)


# --- cancelled and deleted ----------------------------------------------------------------------


def _cancel(call: Call, job: Resource) -> Response:
    if job.kept["status"] in ENDED:
        return answer(200)
    job.kept["status"] = "CancelRequested"
    return operations.accepted(call, operations.begin(call, job, "job", "job.cancel"))


@operations.ends("job.cancel")
def _cancelled(core: Core, _: Work, job: Resource) -> None:
    _stop(core, job, "Canceled", "The job was canceled.")


def _delete(call: Call) -> Response:
    job = call.found
    if job is None:
        return answer(204)
    if job.kept["status"] not in ENDED:
        raise bad(f"Job {job.name} has not ended; cancel it first.", "JobNotTerminal")
    return operations.accepted(call, operations.begin(call, job, "job", "job.delete"))


@operations.ends("job.delete")
def _deleted(core: Core, _: Work, job: Resource) -> None:
    del core.world.resources[job.id]
