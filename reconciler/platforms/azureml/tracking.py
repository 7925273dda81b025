"""The words of a workspace about its jobs that are not in ARM: metrics by MLflow, times by the run
history."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.errors import RefusedError, UnreadableError, WireError
from reconciler.http.asking import Credential
from reconciler.http.client import Http
from reconciler.http.origins import Origins
from reconciler.http.response import one_line
from reconciler.http.urls import split_url
from reconciler.model import Spent
from reconciler.platforms.arm import hearing
from reconciler.platforms.artifacts import metrics_of
from reconciler.platforms.azureml.scoring import ML_SCOPE
from reconciler.platforms.azureml.workspace import Workspace, part
from reconciler.platforms.members import member, objects, text

log = logging.getLogger(__name__)
_TRACKING_HOSTS = re.compile(r"[a-z0-9]+\.api\.azureml\.ms")


class Tracking:
    """The workspace's own MLflow and run history; `token` signs in for a scope."""

    def __init__(
        self, http: Http, workspace: Workspace, token: Callable[[str, Origins], Credential]
    ) -> None:
        self._http = http
        self._workspace = workspace
        origins = hearing("a token of Azure Machine Learning", workspace.emulator, _TRACKING_HOSTS)
        self._credential = token(ML_SCOPE, origins)
        self._known = ""

    def metrics(self, job: str) -> dict[str, float] | None:
        """The metrics of the run of a job; None where MLflow itself says that there is none."""
        what = f"reading the metrics of job {job}"
        url = f"{self._base(what)}/api/2.0/mlflow/runs/get?run_id={part(job)}"
        known = (200, 404)
        answer = self._http.request(
            "GET", url, credential=self._credential, what=what, expect=known
        )
        document = answer.json_object()
        if answer.status == 404 and document.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        run = document.get("run")
        if not isinstance(run, dict):
            raise UnreadableError(f"{what}: the answer shows no run")
        return metrics_of(run, what)

    def spent(self, job: str) -> Spent | None:
        """How long a job that ended waited and ran, and on which machines; None where the history
        does not tell, or this identity may not read it: nothing depends on it."""
        what = f"reading the times of job {job}"
        try:
            base = self._base(what).partition("/mlflow/")[0]
            url = f"{base}/history/v1.0{self._workspace.at.path}/runs/{part(job)}/details"
            answer = self._http.request("GET", url, credential=self._credential, what=what)
            return _spent(answer.json_object())
        except (WireError, RefusedError) as exc:
            log.debug("%s", exc)
            return None

    def _base(self, what: str) -> str:
        """Where the workspace says that its MLflow is; on the emulator, at its own origin."""
        if not self._known:
            properties = objects(self._workspace.read("", "reading the workspace"), "properties")
            uri = text(properties, "mlFlowTrackingUri")
            url = f"https://{uri.partition('://')[2].partition('?')[0]}".rstrip("/")
            parts = split_url(url)
            if not uri.startswith("azureml://") or parts is None:
                raise UnreadableError(f"{what}: the workspace does not say where its MLflow is")
            emulator = self._workspace.emulator
            self._known = f"{emulator}{parts.path}" if emulator else url
        return self._known


def _spent(run: Mapping[str, Any]) -> Spent:
    """The times of a run, and its machines where it had some of its own: a pipeline has none."""
    names = ("createdTimeUtc", "startTimeUtc", "endTimeUtc")
    created, started, ended = (_moment(text(run, name)) for name in names)
    compute = objects(run, "compute")
    machine = text(compute, "instanceType") or text(compute, "vmSize")
    count = member(compute, "instanceCount")
    machines = f"{count if isinstance(count, int) else 1} × {one_line(machine, 100)}"
    return Spent(_between(created, started), _between(started, ended), machines if machine else "")


def _moment(stamp: str) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _between(begin: datetime.datetime | None, end: datetime.datetime | None) -> float | None:
    if begin is None or end is None or end < begin:
        return None
    return round((end - begin).total_seconds(), 1)
