"""When a request is tried again, and after which pause.

The retried statuses are those of STUDIO_PROTOCOL.md §4.9; submit and start are POST and never
repeated here, because each submit makes a job. urllib3's `Retry` is the policy, but the loop is
ours: inside urllib3 it would not see a body that breaks off, would warn with the whole URL in the
log, and would hide attempts from `on_request`, which must count every request that leaves the
process.

A refused connection may pass on a machine elsewhere, where a service is restarted or moved. On this
machine it means that nobody started the server, and that is said at once, as kubectl and psql do;
unless the server answered earlier in the run, for then it may be starting again.

Whether to try again and whether something may have happened are two questions. A 429 is tried again
and did nothing; a 503 of a gateway is tried again and may hide a write that went through.
`may_repeat` answers the first, `in_doubt` the second, and no caller derives one from the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.http.response import Response

if TYPE_CHECKING:
    from urllib3.util.retry import Retry

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
RETRIED_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
RETRY_AFTER_MAX_S = 60.0
BACKOFF_MAX_S = 30.0


@dataclass(frozen=True)
class Broken:
    """A request without a whole answer: why, and whether trying again may help."""

    why: str
    again: bool
    status: int | None = None  # an answer had begun
    request_id: str = ""
    sent: bool = True  # the service may have heard of it
    refused: bool = False  # nothing listens there


def retry_policy(retries: int, backoff_s: float) -> Retry:
    """The policy: which methods and statuses are tried again, and the pauses between, in
    seconds."""
    from urllib3.util.retry import Retry

    return Retry(
        total=retries,
        allowed_methods=RETRIED_METHODS,
        status_forcelist=RETRIED_STATUSES,
        backoff_factor=backoff_s,
        backoff_jitter=backoff_s,
        backoff_max=BACKOFF_MAX_S,
        raise_on_status=False,
    )


def is_repeated(method: str) -> bool:
    """Whether a request of this method may be sent again."""
    return method in RETRIED_METHODS


def may_repeat(retry: Retry, method: str, outcome: Response | Broken) -> bool:
    if isinstance(outcome, Response):
        return retry.is_retry(method, outcome.status)
    return outcome.again and is_repeated(method)


def in_doubt(outcome: Response | Broken) -> bool:
    """Whether the service may have done what was asked, whatever came back."""
    if isinstance(outcome, Broken):
        return outcome.sent
    return outcome.status == 408 or outcome.status >= 500


def pause_s(retry: Retry, outcome: Response | Broken) -> float:
    """Seconds until the next try: the back-off, or longer when the service asks for it."""
    backoff_s = retry.get_backoff_time()
    if isinstance(outcome, Broken) or "Retry-After" not in outcome.headers:
        return backoff_s
    from urllib3.exceptions import InvalidHeader

    try:
        asked_s = retry.parse_retry_after(outcome.headers["Retry-After"])
    except (InvalidHeader, ValueError, OverflowError):
        return backoff_s
    return max(backoff_s, min(asked_s, RETRY_AFTER_MAX_S))
