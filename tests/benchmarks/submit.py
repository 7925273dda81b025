"""Submits jobs by Ray's own client, waits for all of them, and prints the seconds that it took.

Run it with the address of a cluster, a folder with code and data, and a number of jobs.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

LOOK_S = 0.5
AT_ONCE = 16  # submits; the cluster queues what finds no room


def main(url: str, folder: str, count: int) -> None:
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.environ["BENCH_WORKSPACE_TOKEN"]}
    from ray.job_submission import JobStatus, JobSubmissionClient

    client = JobSubmissionClient(url)

    def submitted(number: int) -> str:
        files = f"{folder}/data/{number:04}.csv {folder}/theirs/{number:04}"
        return str(
            client.submit_job(
                entrypoint=f"python train.py {files}",
                runtime_env={"working_dir": f"{folder}/code"},
                entrypoint_num_cpus=1,
            )
        )

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = set(pool.map(submitted, range(1, count + 1)))
    while True:
        states = [job.status for job in client.list_jobs() if job.submission_id in jobs]
        if any(state in (JobStatus.FAILED, JobStatus.STOPPED) for state in states):
            sys.exit("a job failed")
        if states.count(JobStatus.SUCCEEDED) == count:
            print(time.monotonic() - began)
            return
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
