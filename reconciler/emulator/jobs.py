"""Batch jobs (§4): submitted, started, run when their time has come, looked at."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from reconciler.emulator import learning, submission
from reconciler.emulator.messages import (
    Refused,
    Request,
    Response,
    answer,
    bad_argument,
    json_object,
    unknown,
)
from reconciler.emulator.world import Job, blob_base, iso, new_id

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.served import Served
    from reconciler.emulator.world import Json

OWN_OUTPUTS = "experimentoutput"  # §4.2: where outputs without an override go
MOST_RUNNING = 40  # §4.7: further ones are queued
_NUMBERS = {"NotStarted": 0, "Running": 1, "Failed": 2, "Cancelled": 3, "Finished": 4}


def handle(
    core: Core, request: Request, place: str, served: Served, job_id: str, start: bool
) -> Response:
    """The answer to a request below `/jobs`."""
    if not job_id and request.method == "POST":
        return _submit(core, request, place, served)
    job = core.world.jobs.get(job_id)
    if job is None or job.place != place:
        raise bad_argument("MissingJobId", f"Job {job_id} was not found.")
    if start and request.method == "POST":
        return _start(core, job)
    if not start and request.method == "GET":
        _look(core, job)
        return answer(200, _shown(core, request, job))
    if not start and request.method == "DELETE":
        return _cancel(core, job)
    raise unknown(request)


# --- submit -------------------------------------------------------------------------------------


def _submit(core: Core, request: Request, place: str, served: Served) -> Response:
    """A new job's id as a JSON string; argument errors come here, execution errors later (§4.2)."""
    body = json_object(request)
    experiment = served.experiment
    if experiment is None:
        raise Refused(
            400,
            "InvalidOperation",
            "The operation is not valid.",
            ("MissingModelPackage", "This emulated service trains nothing; it has no experiment."),
        )
    checked = submission.checked(body, experiment)
    job = Job(new_id(), place, checked, core.now(), trick=core.faults.trick("job"))
    core.world.jobs[job.id] = job
    return answer(200, job.id)


# --- start and cancel ---------------------------------------------------------------------------


def _start(core: Core, job: Job) -> Response:
    if job.state != "NotStarted" or job.queued:
        raise Refused(
            400,
            "InvalidOperation",
            "The operation is not valid.",
            ("CannotStartJob", f"The job cannot be started because it is in {job.state} state."),
        )
    job.queued = True
    _dequeue(core)
    return answer(204)


def _dequeue(core: Core) -> None:
    """Let queued jobs run, 40 at once per endpoint."""
    for job in core.world.jobs.values():
        if job.queued and job.state == "NotStarted":
            running = sum(
                j.state == "Running" and j.place == job.place for j in core.world.jobs.values()
            )
            if running < MOST_RUNNING:
                job.state, job.queued = "Running", False
                job.started = core.now()
                job.due = job.started + core.options.job_s / core.options.speed


def _cancel(core: Core, job: Job) -> Response:
    if job.state in ("NotStarted", "Running"):
        job.state, job.queued, job.ended = "Cancelled", False, core.now()
        _dequeue(core)
    return answer(204)


# --- run ----------------------------------------------------------------------------------------


def settle(core: Core, now: float) -> bool:
    """Run the jobs whose time has come; whether there were any.

    The work happens here, so nothing runs behind the scene.
    """
    if core.options.pace != "clock":
        return False
    jobs = core.world.jobs.values()
    due = [job for job in jobs if job.state == "Running" and job.due <= now]
    for job in due:
        _run(core, job, job.due)
    if due:
        _dequeue(core)
    return bool(due)


def _look(core: Core, job: Job) -> None:
    """With pace "looks" a running job is seen a number of times before it ends."""
    if core.options.pace != "looks" or job.state != "Running":
        return
    job.looks += 1
    if job.looks > core.options.looks:
        _run(core, job, core.now())
        _dequeue(core)


def _run(core: Core, job: Job, ended: float) -> None:
    """End the job. Whatever goes wrong is this job's own trouble, never that of other requests."""
    job.ended = ended
    if job.trick == "cancelled":
        job.state = "Cancelled"
        return
    try:
        if job.trick:
            raise learning.LearningError(job.trick)
        _train(core, job)
    except (learning.LearningError, Refused) as exc:
        job.state = "Failed"
        job.details = _details(exc)
        return
    except Exception:
        traceback.print_exc(file=sys.stderr)
        job.state = "Failed"
        job.details = "InternalError: The emulator has a bug; see its own output."
        return
    job.state = "Finished"


def _details(exc: Exception) -> str:
    if isinstance(exc, Refused) and exc.details:
        return f"{exc.details[0][0]}: {exc.details[0][1]}"
    return str(exc)


def _train(core: Core, job: Job) -> None:
    experiment = core.experiment_at(job.place)
    content = _read(core, job.body["Inputs"][experiment.input])
    model, evaluation = experiment.fit(content, job.body["GlobalParameters"])
    for port, made in (
        (experiment.model_output, model),
        (experiment.evaluation_output, evaluation),
    ):
        job.results[port] = _write(core, job, port, made)


def _read(core: Core, reference: Json) -> bytes:
    account, sas = _account(core, reference)
    relative = reference["RelativeLocation"].lstrip("/")
    if account:
        content = core.read_blob(f"{account}/{relative}")
        if content is None:
            raise bad_argument("BlobNotFound", f"The blob {relative} was not found.")
        return content
    return core.read_location(reference["BaseLocation"], relative, sas)


def _account(core: Core, reference: Json) -> tuple[str, str]:
    """The account of a connection string, "" for a reference by SAS; and the SAS."""
    given = reference["ConnectionString"]
    if not given:
        return "", reference["SasBlobToken"]
    parts = dict(p.strip().split("=", 1) for p in given.split(";") if "=" in p)
    account = parts.get("AccountName", "")
    if not core.blobs.check_key(account, parts.get("AccountKey", "")):
        raise bad_argument("InvalidBlobConnectionString", "The connection string is not valid.")
    return account, ""


def _write(core: Core, job: Job, port: str, content: bytes) -> str:
    """Where the output went: its override, or the workspace's own storage (§4.2)."""
    reference = job.body["Outputs"].get(port)
    if reference is None:
        ending = ".ilearner" if port == core.experiment_at(job.place).model_output else ".csv"
        ident = new_id()
        path = f"{core.default_account(job.place)}/{OWN_OUTPUTS}/{ident}/{ident}{ending}"
    else:
        account, sas = _account(core, reference)
        relative = reference["RelativeLocation"].lstrip("/")
        if not account:
            account = core.account_of(reference["BaseLocation"])
            container, _, name = relative.partition("/")
            if not core.blobs.may(account, container, name, sas, "w"):
                raise bad_argument(
                    "InvalidBlob", f"The SAS of output {port} does not allow writing."
                )
        path = f"{account}/{relative}"
    core.write_blob(path, content)
    return path


# --- look ---------------------------------------------------------------------------------------


def _shown(core: Core, request: Request, job: Job) -> Json:
    """§4.4: Results is null until the job is finished; every look issues fresh SAS tokens."""
    state: str | int = core.options.cancelled if job.state == "Cancelled" else job.state
    if core.options.status_codes == "numbers":
        state = _NUMBERS[job.state]
    results = None
    if job.state == "Finished":
        results = {port: _place(core, request, path) for port, path in sorted(job.results.items())}
    shown: Json = {"StatusCode": state, "Results": results, "Details": job.details}
    if core.options.job_times:
        times = (("CreatedAt", job.submitted), ("StartTime", job.started), ("EndTime", job.ended))
        shown.update({name: iso(at) for name, at in times if at})
    return shown


def _place(core: Core, request: Request, path: str) -> Json:
    """Where an output lies; in the service's own container the SAS is for all of it (§4.2)."""
    account, _, relative = path.partition("/")
    container, _, name = relative.partition("/")
    return {
        "ConnectionString": None,
        "RelativeLocation": relative,
        "BaseLocation": blob_base(account, request),
        "SasBlobToken": core.fresh_sas(
            account, container, "" if container == OWN_OUTPUTS else name
        ),
    }
