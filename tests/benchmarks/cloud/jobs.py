"""Batch jobs of one training service: 40 run at once, the rest wait, each takes `job_s`."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cloud.door import Answer, as_json

if TYPE_CHECKING:
    from tests.benchmarks.cloud.blobs import Blobs
    from tests.benchmarks.cloud.door import Request

AT_ONCE = 40
EVALUATION = b"AUC,Accuracy\n0.93,0.91\n"


@dataclass
class Job:
    outputs: dict[str, dict[str, Any]]
    state: str = "NotStarted"


class TrainingService:
    """The jobs of one service by their ids."""

    def __init__(self, blobs: Blobs, job_s: float) -> None:
        self._blobs = blobs
        self._job_s = job_s
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running = 0

    def answer(self, request: Request, way: list[str]) -> Answer:
        """`way` is what follows `…/jobs` in the path."""
        if not way:
            return self._submit(request)
        job = self._jobs.get(way[0])
        if job is None:
            details = [{"code": "MissingJobId", "message": "no such job"}]
            error = {"code": "BadArgument", "message": "no such job", "details": details}
            return as_json("job", {"error": error}, 400)
        if way[1:] == ["start"]:
            return self._start(job)
        if request.method == "DELETE":
            return Answer("job", 204)
        results = job.outputs if job.state == "Finished" else None
        return as_json("job", {"StatusCode": job.state, "Results": results, "Details": None})

    def _submit(self, request: Request) -> Answer:
        outputs = json.loads(request.body)["Outputs"]
        name = f"{len(self._jobs):032x}"
        self._jobs[name] = Job(outputs)
        return as_json("job", name)

    def _start(self, job: Job) -> Answer:
        if job.state != "NotStarted":
            details = [{"code": "CannotStartJob", "message": f"it is {job.state}"}]
            error = {"code": "InvalidOperation", "message": "no", "details": details}
            return as_json("start of a job", {"error": error}, 400)
        job.state = "Queued"
        self._waiting.append(job)
        self._run()
        return Answer("start of a job", 204)

    def _run(self) -> None:
        while self._waiting and self._running < AT_ONCE:
            job = self._waiting.popleft()
            job.state = "Running"
            self._running += 1
            asyncio.get_running_loop().call_later(self._job_s, self._finish, job)

    def _finish(self, job: Job) -> None:
        for place in job.outputs.values():
            path = place["RelativeLocation"].lstrip("/")
            is_model = path.endswith(".ilearner")
            self._blobs.put(path, path.encode() if is_model else EVALUATION)
        job.state = "Finished"
        self._running -= 1
        self._run()
