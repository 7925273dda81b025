"""ARM's budgets: buckets of requests that fill again with time, one per kind of request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.emulator.messages import Refused

if TYPE_CHECKING:
    from reconciler.emulator.core import Core

_SHARE = 0.1  # of a bucket comes back every second
RECORDED = 250


def take(core: Core, method: str) -> dict[str, str]:
    """The header that tells what is left of a budget; Refused with 429 when nothing is.

    Without the switch nobody is throttled, and the header says what a first request was told.
    """
    kind = {"GET": "reads", "DELETE": "deletes"}.get(method, "writes")
    header, size = f"x_ms_ratelimit_remaining_subscription_{kind}", core.options.arm_budget
    if not size:
        return {header: str(RECORDED - 1)}
    left, since = core.budgets.get(kind, (float(size), core.now()))
    left = min(float(size), left + (core.now() - since) * size * _SHARE)
    if left < 1:
        core.budgets[kind] = (left, core.now())
        raise Throttled(math.ceil((1 - left) / (size * _SHARE)))
    core.budgets[kind] = (left - 1, core.now())
    return {header: str(int(left - 1))}


class Throttled(Refused):
    """429, with how many seconds to wait."""

    def __init__(self, retry_after_s: int) -> None:
        why = "The request limit of the subscription is exceeded."
        super().__init__(429, "TooManyRequests", why)
        self.retry_after_s = retry_after_s
