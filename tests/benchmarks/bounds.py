"""Pure: the least time that the network and the jobs allow, and how something grows."""

from __future__ import annotations

import math

# What a retrain, a swap and a proof of one Classic endpoint need at least, where each may be cut
# off at any point: claim, submit, note the job, start it, see it finished, read its evaluation
# and its model, note them, score, record the way back, swap, read back, score, record the proof.
FEWEST_REQUESTS = 14


def reads(count: int, in_flight: int, latency_s: float) -> float:
    """Seconds for `count` requests, `in_flight` at a time."""
    return math.ceil(count / in_flight) * latency_s


def retrains(
    count: int, *, job_s: float, jobs_at_once: int, in_flight: int, latency_s: float
) -> float:
    """Seconds for `count` retrains with their swaps and proofs: the jobs', or the requests'."""
    jobs = math.ceil(count / jobs_at_once) * job_s
    return max(jobs, reads(count * FEWEST_REQUESTS, in_flight, latency_s))


def exponent(small: tuple[int, float], large: tuple[int, float]) -> float:
    """The `k` of a cost that grows as N**k, from two pairs of N and cost."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])
