"""The run history of a workspace, as far as clients follow a job by it: state, times, logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.emulator.azureml import jobs
from reconciler.emulator.azureml.calls import found_at
from reconciler.emulator.messages import Refused, answer
from reconciler.emulator.world import blob_base, iso

if TYPE_CHECKING:
    from reconciler.emulator.azureml.records import Json, Resource
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request, Response

_PATH = re.compile(
    r"/history/v1\.0(?P<scope>/subscriptions/[^/]+/resourcegroups/[^/]+/providers/"
    r"microsoft\.machinelearningservices/workspaces/[^/]+)(?:/experiments/[^/]+)?"
    r"/runs/(?P<run>[^/]+)/details",
    re.IGNORECASE,
)
_LASTING_S = 1800


def route(request: Request) -> str:
    """The name of the route of a request, "" when it is for another door."""
    return "azureml.history.details" if _PATH.fullmatch(request.path) else ""


def handle(core: Core, request: Request) -> Response:
    """The details of a run; its log is at an address that opens without a key for a while."""
    match = _PATH.fullmatch(request.path)
    assert match is not None
    if not request.bearer:
        raise Refused(401, "UserError", "The access token is missing or invalid.")
    job = found_at(core, f"{unquote(match['scope'])}/jobs/{unquote(match['run'])}")
    account, container, name = jobs.publish_log(core, job)
    sas = core.blobs.sign(account, container, name, lasting_s=_LASTING_S)
    kept, resources = job.kept, job.properties["resources"]
    machine = resources.get("instanceType") or _machine(core, job)
    document: Json = {
        "runId": job.name,
        "target": "serverless" if not job.properties.get("computeId") else "amlcompute",
        "status": kept["status"],
        "createdTimeUtc": iso(kept["started"]),
        "startTimeUtc": iso(began) if (began := _began(kept)) else None,
        "endTimeUtc": iso(kept["ended"]) if kept["ended"] else None,
        "compute": {
            "vmSize": machine,
            "instanceType": machine,
            "instanceCount": resources.get("instanceCount", 1),
        },
        "jobCost": {"chargedNodeUtilizationSeconds": None},
        "services": {},
        "properties": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": {},
        "logFiles": {jobs.LOG: f"{blob_base(account, request)}{container}/{name}{sas}"},
    }
    return answer(200, document)


def _began(kept: Json) -> float | None:
    """When the job got its machine: what a pipeline's steps had is not said of the pipeline."""
    began = kept["started"] + jobs.QUEUED * (kept["due"] - kept["started"])
    running = kept["status"] in ("Running", *jobs.ENDED)
    return min(began, kept["ended"] or began) if running else None


def _machine(core: Core, job: Resource) -> str | None:
    """The size of the machines of the job's cluster."""
    cluster = core.world.resources.get(str(job.properties.get("computeId")))
    size = (cluster.properties.get("properties") or {}).get("vmSize") if cluster else None
    return str(size) if size else None
