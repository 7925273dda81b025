"""The engine `ray`: a command of the repository, run as a Ray Job on the nodes of a cluster.

The id of a job follows from its training key, the store and the attempt, and a cluster takes an id
once: of any number of submits one runs. So whatever a submit answers, the job is asked for by its
id, and if it is there it is ours. Environments with stores of their own may share a cluster, where
a version that is promoted has one key in both: each trains it for itself. A cluster that was
restarted without its state has forgotten its jobs; such a job is lost, and the next attempt has
another id.

How a job ended tells who is to blame. With an exit code the command ended, and its last lines say
why it failed. Without one the cluster lost it: a node died, or the package was gone.
"""

from __future__ import annotations

import json
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from reconciler.errors import NotFoundError, UnreadableError, WireError, printable, redact
from reconciler.model import MANIFEST_FILE, MODEL
from reconciler.platforms.commands import words_of
from reconciler.platforms.contract import Job, JobState, Order, Trainer
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.package import RUNNER, Package, Packages, packed
from reconciler.platforms.ray.serve_config import bytes_of
from reconciler.stores.alive import LOCK
from reconciler.stores.contract import Place

MOST_LINES = 10  # of a log that an error shows
MOST_JOBS = 200  # Ray queues what finds no room; each job that runs has a process of its own
ROOM_LASTS_S = 5.0  # how old a look at the free resources may be
HERE = "{reconciler.folder}"  # stands for the folder of a job, which only its node knows
# job_supervisor.py: Ray's own lines end here, and the command of the job is in the last of them
_BEGUN = "Running entrypoint for job "
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class RayJobs(Trainer):
    """Jobs of one cluster.

    `root` is what the `code` folders of recipes are relative to, and `store` the URI of the store.
    """

    most_jobs = MOST_JOBS
    forgets = True
    grants = False  # Ray shows what a job is told, so its nodes have an identity of their own

    def __init__(self, cluster: Cluster, store: str) -> None:
        self._cluster = cluster
        self._store = store
        self._sent = Packages(cluster)
        self._packing = threading.Lock()
        self._packages: dict[str, Package] = {}
        self._looking = threading.Lock()
        self._seen = _Room()

    def prepare(self, order: Order) -> str:
        """The id that the job will have. RefusedError for code that cannot be sent."""
        _words(order)
        self._package(order)
        return order.job_of(self._store)

    def start(self, job: str, order: Order) -> None:
        """Submit the job; the cluster refuses one that it has."""
        client = self._cluster.writing()
        if order.attempt > 1:
            self.cancel(f"{job.rpartition('-a')[0]}-a{order.attempt - 1}")
        package = self._package(order)
        self._sent.have(package, again=order.attempt > 1)  # the last may have failed without it
        try:
            what = f"submitting job {job}"
            client.post("/api/jobs/", what, json=self._submission(job, order, package))
        except WireError:
            # "already exists" is a 500 among others, and an answer may be lost: the id decides
            if self._asked(client, job) is None:
                raise

    def look(self, job: str) -> Job:
        """The job as it is now."""
        client = self._cluster.reading()
        document = self._asked(client, job)
        if document is None:
            self._cluster.reading_again()  # or it is missing because the cluster is another one
            return Job(JobState.NOT_STARTED)
        match document.get("status"):
            case "SUCCEEDED":
                return Job(JobState.FINISHED, "", _outputs(document, job))
            case "FAILED":
                return Job(JobState.FAILED, self._why_failed(job, document))
            case "STOPPED":
                return Job(JobState.CANCELLED, "it was stopped")
            case "PENDING":
                return self._waiting(client, document)
            case "RUNNING":
                return Job(JobState.RUNNING)
        status = printable(str(document.get("status")))[:60]
        raise UnreadableError(
            f"job {job} has the status {status}, which this program does not know"
        )

    def cancel(self, job: str) -> None:
        """Stop a job that has not ended; a job that is gone is fine."""
        client = self._cluster.writing()
        document = self._asked(client, job)
        if document is not None and document.get("status") not in _ENDED:
            try:
                client.post(f"/api/jobs/{job}/stop", f"stopping job {job}")
            except NotFoundError:  # a proxy has a 404 too
                if self._asked(client, job) is not None:
                    raise

    def log(self, job: str) -> str:
        """The last lines that the command printed, without secrets: a manifest keeps them."""
        client = self._cluster.reading()
        try:
            answer = client.get(f"/api/jobs/{job}/logs", f"reading the log of job {job}")
            text = answer.json_object().get("logs")
        except WireError:  # the node that has it may be gone
            return ""
        return _last_lines(text) if isinstance(text, str) else ""

    # --- what is sent -----------------------------------------------------------------------------

    def _package(self, order: Order) -> Package:
        """The package of the order's code; made once, for a thousand versions share it."""
        code, folder = order.recipe.code, order.recipe.folder
        with self._packing:
            if code not in self._packages:
                self._packages[code] = packed(Path(folder) if code else None, code)
            return self._packages[code]

    def _submission(self, job: str, order: Order, package: Package) -> dict[str, Any]:
        """The body of a job, which Ray shows to whoever asks: no grant and no other secret is in
        it."""
        outputs = {role: (name, _place(order.outputs[role])) for role, name in order.recipe.outputs}
        task = {
            "job": job,
            "command": _words(order),
            "here": HERE,
            "inputs": {name: _place(place) for name, place in order.inputs.items()},
            "outputs": outputs,
            "manifest": _place(order.outputs[MODEL]).rpartition("/")[0] + f"/{MANIFEST_FILE}",
            "root": (root := _place(Place(self._store))),
            "lock": f"{root}/{LOCK}",
            "timeout_s": order.timeout_s,
        }
        uris = {role: order.outputs[role].uri for role in outputs}
        reserved, words = _resources(dict(order.recipe.how))
        return {
            "submission_id": job,
            "entrypoint": f"python {RUNNER} {shlex.quote(json.dumps(task))}",
            # each attempt has an environment of its own: Ray keeps the failure of one for ten
            # minutes, such as a missing package, and does not look again (runtime_env_agent.py)
            "runtime_env": {
                "working_dir": package.uri,
                "env_vars": {"RECONCILER_ATTEMPT": str(order.attempt)},
            },
            "metadata": {**order.labels, "outputs": json.dumps(uris), "resources": words},
            **reserved,
        }

    # --- what is read -----------------------------------------------------------------------------

    def _asked(self, client: Client, job: str) -> dict[str, Any] | None:
        """The cluster's own words about a job; None where it says that it has no such job."""
        answer = client.find(f"/api/jobs/{job}", f"asking for job {job}")
        if answer is None:
            return None
        document = answer.json_object()
        if document.get("submission_id") != job:
            raise UnreadableError(f"asking for job {job}: the answer is about another one")
        return document

    def _why_failed(self, job: str, document: Mapping[str, Any]) -> str:
        code, message = document.get("driver_exit_code"), str(document.get("message") or "")
        if code is None:
            first = (message.strip() or "it did not say why").splitlines()[0]
            return redact(f"the cluster failed, not the command: {printable(first)[:300]}")
        lines = self.log(job) or _last_lines(message)
        last = lines.replace("\n", " | ")  # a reason stands on one line, wherever it is shown
        return f"exit code {code}" + (f"; its last lines: {last}" if last else "")

    def _waiting(self, client: Client, document: Mapping[str, Any]) -> Job:
        """A job that has no node yet. One in a queue, and one that asks for more than there is,
        wait alike; one that is older than the head waits for ever (Ray 2.60 with Redis).
        """
        room = self._room(client)
        submitted_ms = document.get("start_time")
        if isinstance(submitted_ms, int | float) and submitted_ms < room.head_started_ms:
            why = (
                "the cluster lost it: it waited when the head was restarted, and nothing starts it"
            )
            return Job(JobState.FAILED, why)
        wanted = (document.get("metadata") or {}).get("resources") or "a node"
        free = f"; free are {room.free}" if room.free else ""
        return Job(JobState.RUNNING, f"it waits for {wanted}{free}")

    def _room(self, client: Client) -> _Room:
        """When the head began, and which resources are free; one look serves all jobs a while."""
        with self._looking:
            if time.monotonic() - self._seen.at > ROOM_LASTS_S:
                started_ms = self._cluster.head_started_ms()
                self._seen = _Room(time.monotonic(), started_ms, _free_resources(client))
            return self._seen


@dataclass(frozen=True)
class _Room:
    at: float = float("-inf")
    head_started_ms: float = 0.0
    free: str = ""


def _free_resources(client: Client) -> str:
    """The resources that the nodes have left, in words; "" where Ray does not say."""
    try:
        status = client.get("/api/cluster_status", "asking for free resources").json_object()
        usage = status["data"]["clusterStatus"]["loadMetricsReport"]["usage"]
        return ", ".join(
            f"{total - used:g} of {total:g} {name}"
            for name, (used, total) in sorted(usage.items())
            if not name.startswith(("node:", "memory", "objectStore"))
        )
    except (WireError, KeyError, TypeError, ValueError):
        return ""


def _words(order: Order) -> list[str]:
    """The words of the command, as its node completes them."""
    how = dict(order.recipe.how)
    inputs = {name: _place(place) for name, place in order.inputs.items()}
    given = {
        "inputs": {
            name: place if place.startswith("/") else f"{HERE}/inputs/{name}/{_base(place)}"
            for name, place in inputs.items()
        },
        "parameters": dict(order.recipe.parameters),
        "outputs": {role: f"{HERE}/outputs/{name}" for role, name in order.recipe.outputs},
    }
    return words_of(how["command"], given)


def _place(place: Place) -> str:
    """The place as a node is told it: the path of a file that all share, or a URI without grant."""
    parts = urlsplit(place.uri)
    return unquote(parts.path) if parts.scheme == "file" else place.uri


def _base(place: str) -> str:
    return unquote(place.rpartition("/")[2])


def _resources(how: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The reservation of a job, for Ray and in words. Without any, Ray runs each on the head."""
    cpus, gpus, memory = how.get("cpus", "1"), how.get("gpus", "0"), how.get("memory", "")
    custom = json.loads(how.get("custom", "{}"))
    reserved: dict[str, Any] = {
        "entrypoint_num_cpus": float(cpus),
        "entrypoint_num_gpus": float(gpus),
        "entrypoint_resources": {name: float(amount) for name, amount in custom.items()},
    }
    if memory:
        reserved["entrypoint_memory"] = int(bytes_of(memory))
    amounts = {"CPU": cpus, "GPU": gpus, "of memory": memory or "0", **custom}
    words = (f"{amount} {name}" for name, amount in amounts.items() if amount != "0")
    return reserved, ", ".join(words)


def _outputs(document: Mapping[str, Any], job: str) -> dict[str, Place]:
    try:
        outputs = json.loads(document["metadata"]["outputs"])
        return {role: Place(uri) for role, uri in outputs.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnreadableError(f"job {job} is not one that this program submitted") from exc


def _last_lines(text: str) -> str:
    lines = text.splitlines()
    begun = max((n for n, line in enumerate(lines, 1) if line.startswith(_BEGUN)), default=0)
    return redact("\n".join(printable(line) for line in lines[begun:][-MOST_LINES:]))
