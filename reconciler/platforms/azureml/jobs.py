"""The engine `azureml`: jobs of a workspace, which run a command of the repository or a pipeline.

The id of a job follows from its training key, the store and the attempt. A workspace takes an id
once, so whatever a start answers, the job is asked for by its id, and if it is there it is ours.

The workspace reads and writes datastores only. Where the store is in a container that it has as a
datastore, the job writes model and metrics there itself, where the program looks for them. Else it
writes them below its own id in the default datastore, and the program copies them into the store
once it is finished. An input that lies elsewhere is copied into the default datastore first, once
for its content. How a pipeline calls its outputs, and of which type they are, its author decided,
so they are always copied.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import NotFoundError, UnavailableError, UnreadableError, WireError
from reconciler.http.response import one_line
from reconciler.model import METRICS, MODEL, Spent
from reconciler.platforms.azureml.assets import ROOT, Assets, files_below
from reconciler.platforms.azureml.endpoint_writes import code_name
from reconciler.platforms.azureml.ids import asset_id, spelled, whole_id
from reconciler.platforms.azureml.pipelines import component_of, pipeline_body
from reconciler.platforms.azureml.workspace import Workspace, part
from reconciler.platforms.commands import words_of
from reconciler.platforms.contract import Job, JobState, Order, Trainer
from reconciler.platforms.members import objects, text
from reconciler.stores.contract import Place, Store
from reconciler.strict_json import parse_json

MOST_JOBS = 100  # the workspace queues what finds no machine
OUTPUTS = "reconciler.outputs"  # the property of a job that says where its outputs go
LEFT = "reconciler.left"  # the property that says where it leaves them first, where not there
_ENDED = {"completed": JobState.FINISHED, "failed": JobState.FAILED, "canceled": JobState.CANCELLED}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(eq=False)
class WorkspaceJobs(Trainer):
    """The jobs of one workspace.

    `_spent` asks the run history for a job. `_data` has the inputs, and `_store` is the URI of the
    store.
    """

    most_jobs = MOST_JOBS
    forgets = True
    collects = True
    grants = False  # a workspace shows what a job is told, so it reads and writes by its identity

    _workspace: Workspace
    _assets: Assets
    _spent: Callable[[str], Spent | None]
    _data: Store
    _store: str

    def prepare(self, order: Order) -> str:
        """The id that the job will have; RefusedError where its pipeline could not be run."""
        if "pipeline" in dict(order.recipe.how):
            component_of(self._workspace, order.recipe)
        else:
            _words(order)
        return order.job_of(self._store)

    def start(self, job: str, order: Order) -> None:
        """Start the job, unless the workspace has it."""
        what = f"starting job {job}"
        if self._found(job, what) is not None:
            return
        if order.recipe.code:
            self._assets.send_code(order.recipe.folder, order.recipe.code)
        body = self._body(job, order)
        try:
            self._workspace.write("PUT", f"/jobs/{part(job)}", what, json=body, once=True)
        except WireError:
            # 409 of an id that is taken, and an answer that was lost: the id decides
            if self._found(job, what) is None:
                raise
            return
        if self._found(job, what) is None:  # noted as started, it would be taken for lost
            raise UnavailableError(f"{what}: it was accepted, and does not show yet")

    def look(self, job: str) -> Job:
        """The job as it is now."""
        document = self._found(job, f"asking for job {job}")
        if document is None:
            return Job(JobState.NOT_STARTED)
        properties = objects(document, "properties")
        status = text(properties, "status")
        state = _ENDED.get(status.casefold(), JobState.RUNNING)
        if not status:
            raise UnreadableError(f"asking for job {job}: the answer has no status")
        if state is JobState.FINISHED:
            return self._finished(job, objects(properties, "properties"))
        if state is JobState.RUNNING:
            return Job(state, "" if status.casefold() == "running" else f"it is {status}")
        page = text(objects(objects(properties, "services"), "Studio"), "endpoint")
        words = [f"its log is at {one_line(page.partition('?')[0], 300)}"] if page else []
        if state is JobState.FAILED and (lines := self._assets.log_of(job)):
            words.append(f"its last lines: {lines}")
        return Job(state, "; ".join(words))

    def cancel(self, job: str) -> None:
        """End a job that has not ended; a job that is gone is fine."""
        what = f"cancelling job {job}"
        document = self._found(job, what)
        status = text(objects(document or {}, "properties"), "status")
        if document is not None and status.casefold() not in _ENDED:
            try:
                self._workspace.write("POST", f"/jobs/{part(job)}/cancel", what)
            except NotFoundError:
                if self._found(job, what) is not None:
                    raise

    def collect(self, job: str, order: Order) -> None:
        """Copy what the job left below its own id into the store."""
        what = f"collecting the outputs of job {job}"
        properties = objects(self._workspace.read(f"/jobs/{part(job)}", what), "properties")
        for role, uri in _noted(objects(properties, "properties"), LEFT, job).items():
            self._assets.collect(uri, order.outputs[role].uri)

    def spent(self, job: str) -> Spent | None:
        """The word of the run history on it."""
        return self._spent(job)

    def _finished(self, job: str, properties: Mapping[str, Any]) -> Job:
        """A job that ended well, with its metrics where they are still to be collected."""
        places = {role: Place(uri) for role, uri in _noted(properties, OUTPUTS, job).items()}
        if MODEL not in places:
            raise UnreadableError(f"job {job} does not say where its model is")
        metrics = None
        for role, uri in _noted(properties, LEFT, job).items():
            store, below = self._assets.opened(uri)
            files = files_below(store, below)
            if not files or (role == METRICS and len(files) > 1):
                why = f"it left {len(files) or 'no'} files at {uri}, where its {role} should be"
                return Job(JobState.FINISHED, why)
            if role == METRICS:
                stored = store.get(*files.values())
                metrics = stored.content if stored else None
        return Job(JobState.FINISHED, "", places, metrics)

    def _found(self, job: str, what: str) -> dict[str, Any] | None:
        return self._workspace.find(f"/jobs/{part(job)}", what)

    # --- what is sent -----------------------------------------------------------------------------

    def _body(self, job: str, order: Order) -> dict[str, Any]:
        """The body of a job, which whoever may read jobs can see: no secret is in it."""
        recipe, assets = order.recipe, self._assets
        is_pipeline = "pipeline" in dict(recipe.how)
        direct = {} if is_pipeline else self._outputs(order)
        left = {} if direct else self._left(job, order)
        places = {role: order.outputs[role].uri for role, _ in recipe.outputs}
        inputs = {
            name: assets.uri_of(place.uri) or assets.copied(self._data, place.uri)
            for name, place in order.inputs.items()
        }
        if is_pipeline:
            properties = pipeline_body(self._workspace, recipe, inputs, left)
        else:
            properties = self._command(order, inputs, direct or left)
        properties |= {
            "experimentName": spelled(order.labels.get("model", "reconciler")),
            "displayName": order.labels.get("version", order.job),
            "tags": {name: value[:256] for name, value in order.labels.items()},
            "properties": {OUTPUTS: json.dumps(places), LEFT: json.dumps(left)},
        }
        return {"properties": properties}

    def _command(
        self, order: Order, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> dict[str, Any]:
        """The part of a body that only the job of a command has."""
        at, how = self._workspace.at, dict(order.recipe.how)
        serverless = {"instanceType": how["instanceType"]} if "instanceType" in how else {}
        properties: dict[str, Any] = {
            "jobType": "Command",
            "command": shlex.join(_words(order)),
            "environmentId": whole_id(at, "environments", how["environment"]),
            "inputs": {
                name: {"jobInputType": "uri_file", "uri": uri, "mode": "Download"}
                for name, uri in inputs.items()
            },
            "outputs": {
                role: {"jobOutputType": "uri_file", "uri": uri, "mode": "Upload"}
                for role, uri in outputs.items()
            },
            "resources": {"instanceCount": 1, **serverless},
            "limits": {"jobLimitsType": "Command", "timeout": f"PT{order.timeout_s:.0f}S"},
        }
        if "compute" in how:
            properties["computeId"] = f"{at.path}/computes/{part(how['compute'])}"
        if order.recipe.code:
            properties["codeId"] = asset_id(at, "codes", code_name(order.recipe.code), "1")
        return properties

    def _outputs(self, order: Order) -> dict[str, str]:
        """Where the job writes in the store, as the workspace calls it, by role; {} where the store
        is in none of its datastores."""
        roles = [role for role, _ in order.recipe.outputs]
        uris = {role: self._assets.uri_of(order.outputs[role].uri) for role in roles}
        return uris if all(uris.values()) else {}

    def _left(self, job: str, order: Order) -> dict[str, str]:
        """Where the job leaves its outputs below its own id, by role."""
        datastore, folder = self._assets.datastore(), f"{ROOT}/jobs/{job}"
        return {role: datastore.uri(f"{folder}/{name}") for role, name in order.recipe.outputs}


def bad_name(name: str) -> str:
    """Why an input cannot be called so; "" where it can."""
    if _NAME.fullmatch(name):
        return ""
    return "is no name of an input of a job; use letters, digits and underscores"


def _words(order: Order) -> list[str]:
    """The words of the command, as the workspace completes them."""
    given = {
        "inputs": {name: f"${{{{inputs.{name}}}}}" for name in order.inputs},
        "parameters": dict(order.recipe.parameters),
        "outputs": {role: f"${{{{outputs.{role}}}}}" for role, _ in order.recipe.outputs},
    }
    return words_of(dict(order.recipe.how)["command"], given)


def _noted(properties: Mapping[str, Any], name: str, job: str) -> dict[str, str]:
    """The places by role that this program noted with a job, and that nobody else notes."""
    noted = text(properties, name) or ("{}" if name == LEFT else "")
    try:
        return {str(role): str(uri) for role, uri in parse_json(noted.encode()).items()}
    except (ValueError, AttributeError) as exc:
        raise UnreadableError(f"job {job} is not one that this program started") from exc
