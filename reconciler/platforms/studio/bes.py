"""The Batch Execution Service: submit a job, start it, look at it.

Facts: STUDIO_PROTOCOL.md §4.1 (URLs), §4.2 (submit body), §4.3 (states, as numbers or
words), §4.4 (results), §4.7 (limits), §4.9 (what may be sent again).
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping
from typing import Any, Unpack

from reconciler.errors import NotFoundError, RejectedError, UnreadableError
from reconciler.http.asking import Sending
from reconciler.http.client import Http
from reconciler.http.credentials import Bearer
from reconciler.http.response import Response
from reconciler.http.urls import path_id
from reconciler.model import METRICS, MODEL
from reconciler.platforms.contract import Job, JobState, Order, Trainer
from reconciler.platforms.studio.blobs import reference
from reconciler.platforms.studio.connection import FILES, TrainingService
from reconciler.platforms.studio.hosts import Hosts
from reconciler.stores.azure_hosts import BlobHosts
from reconciler.stores.contract import Place

API_VERSION = "api-version=2.0"


_STATES = {
    "0": JobState.NOT_STARTED,
    "notstarted": JobState.NOT_STARTED,
    "not started": JobState.NOT_STARTED,
    "1": JobState.RUNNING,
    "running": JobState.RUNNING,
    "2": JobState.FAILED,
    "failed": JobState.FAILED,
    "3": JobState.CANCELLED,
    "cancelled": JobState.CANCELLED,
    "canceled": JobState.CANCELLED,
    "4": JobState.FINISHED,
    "finished": JobState.FINISHED,
}


class BatchExecution(Trainer):
    """The jobs of one training service."""

    most_jobs = 40  # §4.7: more are queued by the service, out of our sight

    def __init__(self, http: Http, hosts: Hosts, service: TrainingService, key: str) -> None:
        self._http = http
        self._blobs = hosts.blob
        self._name = service.name
        base = f"{hosts.scoring}{service.url}" if service.url.startswith("/") else service.url
        self._jobs = f"{base.rstrip('/')}/jobs"
        self._credential = Bearer(key, hosts.scoring_origins)

    def prepare(self, order: Order) -> str:
        """The id of a new job. The answer is a JSON string; the job does not run yet (§4.1)."""
        body = job_body(order, self._blobs)
        job = self._ask("POST", "", "submitting a job", json=body).json()
        if not isinstance(job, str) or not job.strip():
            raise UnreadableError(f"training service {self._name} answered no job id")
        return self._checked(job.strip())

    def start(self, job: str, order: Order) -> None:  # noqa: ARG002
        """Start a job; "cannot be started because it is in … state" means that it was (§4.3)."""
        try:
            path = f"/{self._checked(job)}/start"
            self._ask("POST", path, f"starting job {job}", range(200, 300))
        except RejectedError as exc:
            # a detail code, below InvalidOperation (§4.8)
            if "CannotStartJob" not in (exc.code, *exc.details):
                raise

    def look(self, job: str) -> Job:
        """The job as it is now; every look hands out fresh SAS tokens (§4.4).

        How long a finished job can be read is unknown (§4.4 [U]); then it is MissingJobId (§4.8).
        """
        try:
            answer = self._ask("GET", f"/{self._checked(job)}", f"reading job {job}")
        except (NotFoundError, RejectedError) as exc:
            if "MissingJobId" not in (exc.code, *exc.details):
                raise
            return Job(JobState.FORGOTTEN, exc.message)
        return parse_job(answer.json_object())

    def cancel(self, job: str) -> None:
        """End a job; one that is gone is fine."""
        with contextlib.suppress(NotFoundError):
            path = f"/{self._checked(job)}"
            self._ask("DELETE", path, f"cancelling job {job}", range(200, 300))

    def _checked(self, job: str) -> str:
        return path_id(job, f"the job that training service {self._name} handed out")

    def _ask(
        self,
        method: str,
        path: str,
        what: str,
        expect: Container[int] = (200,),
        **sending: Unpack[Sending],
    ) -> Response:
        """The answer about the jobs of the service, or about a path below them."""
        sending["credential"] = self._credential
        url, what = f"{self._jobs}{path}?{API_VERSION}", f"{what} of training service {self._name}"
        return self._http.request(method, url, expect=expect, what=what, **sending)


def job_body(order: Order, blobs: BlobHosts) -> dict[str, Any]:
    """The submit body, blob references in SAS style; no `Inputs` where the recipe has none."""
    ports = dict(order.recipe.outputs)
    body: dict[str, Any] = {
        "Outputs": {
            ports[role]: reference(place, blobs)
            for role, place in order.outputs.items()
            if role in ports
        },
        "GlobalParameters": dict(order.recipe.parameters),
    }
    if order.inputs:
        body["Inputs"] = {port: reference(place, blobs) for port, place in order.inputs.items()}
    return body


def parse_job(document: Mapping[str, Any]) -> Job:
    """The job in a status answer; UnreadableError for a state that nobody documented."""
    code = document.get("StatusCode")
    state = _STATES.get(str(code).strip().casefold()) if isinstance(code, str | int) else None
    if state is None or isinstance(code, bool):
        raise UnreadableError(f"the job's StatusCode is {code!r}, which is not a documented state")
    details = document.get("Details")
    if state is JobState.FINISHED:
        return _finished(document.get("Results"))
    return Job(state, "" if details is None else str(details))


def _finished(results: object) -> Job:
    """A finished job, its outputs told by their files: a port's number depends on the experiment
    (§4.5). Of several of one kind, the one at our own file's name counts."""
    if not isinstance(results, dict):
        raise UnreadableError("the finished job has no Results")
    places = [_place(port, results[port]) for port in sorted(results)]
    models = _of_kind(places, (".ilearner",), FILES[MODEL])
    tables = _of_kind(places, (".csv", ".tsv"), FILES[METRICS])
    outputs = {METRICS: tables[0]} if tables else {}
    if len(models) != 1:
        why = f"{len(models)} of its outputs are .ilearner files, not one"
        return Job(JobState.FINISHED, why, outputs)
    return Job(JobState.FINISHED, outputs={MODEL: models[0], **outputs})


def _of_kind(places: list[Place], endings: tuple[str, ...], ours: str) -> list[Place]:
    fitting = [place for place in places if place.uri.casefold().endswith(endings)]
    return [place for place in fitting if place.uri.rpartition("/")[2] == ours] or fitting


def _place(port: str, result: object) -> Place:
    parts = result if isinstance(result, dict) else {}
    base, relative = parts.get("BaseLocation"), parts.get("RelativeLocation")
    sas = parts.get("SasBlobToken") or ""
    if not (isinstance(base, str) and isinstance(relative, str) and isinstance(sas, str)):
        raise UnreadableError(f"result {port} of the job has no BaseLocation or RelativeLocation")
    return Place(f"{base.rstrip('/')}/{relative.lstrip('/')}", sas)
