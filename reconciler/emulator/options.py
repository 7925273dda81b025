"""The switches of the emulator, and its clock.

Where the reference marks a fact as unknown [U], there is a switch here and both settings are
tested. Durations are those that were recorded or documented; `speed` divides them all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How this cloud behaves where the real one's behaviour is unknown, and how fast it is."""

    speed: float = 1.0
    pace: str = "clock"  # or "looks": nothing is due by time, work moves when it is looked at
    looks: int = 1  # with pace "looks": how often a job or an operation is seen unfinished
    settle_looks: int = 3  # with pace "looks": how often an endpoint still shows its old model
    job_s: float = 5.0
    operation_s: float = 12.0  # §3.6: 10-15 s recorded
    settle_s: float = 30.0  # §2.8: a Classic update is in effect after about 30 s
    status_codes: str = "strings"  # or "numbers" (§4.3)
    cancelled: str = "Cancelled"  # or "Canceled" (§4.3)
    classic_location: str = "visible"  # or "hidden" (§2.6)
    classic_put: str = "update"  # or "refused", "reset": what PUT does to an endpoint (§2.5)
    classic_patch_body: bool = True  # whether PATCH answers the endpoint (§2.8)
    patch_maps: str = "replace"  # or "merge" (§3.7)
    async_failure: str = "both"  # or "error", "errorInfo" (§3.6)
    prevent_update: bool = True  # whether PreventUpdate refuses PATCH and refresh (§2.5)
    job_times: bool = False  # whether jobs tell CreatedAt, StartTime, EndTime (§4.4)
    payloads: str = "inline"  # or "blob": GET leaves large parts in a blob (§3.10)
    payload_limit: int = 3_000_000  # bytes that count as large
    page_size: int = 50  # services per page of an ARM list
    list_tags: bool = True  # whether the sparse services of a list show their tags (§3.2)
    if_none_match: str = "ignored"  # or "honoured": what a conditional PUT of a service does (§3.2)
    rights: tuple[str, ...] = ("*",)  # of callers of ARM; ACTION, or ACTION@RESOURCE
    # Azure Machine Learning v2: what nobody recorded, and what differs from answer to answer.
    arm_ids: str = "kept"  # or "varied": ids come back in another case than they were written in
    registry_ids: str = "short"  # as Microsoft's client wants them, or "arm": ids in a registry
    last_page: str = "omitted"  # or "null", "empty": the nextLink of a last page
    signed_urls: bool = True  # whether operations are polled at addresses longer than 4 kB
    operation_host: str = "same"  # or "regional": the host of operations, called as azure.com
    operation_running: str = "Updating"  # what an operation shows before it ends
    traffic_s: float = 3.0  # how long an endpoint still shows its old traffic
    traffic_looks: int = 1  # with pace "looks": how often it does
    traffic_late: str = "shown"  # or "both": whether the routing is as late as what GET shows
    endpoint_identity: str = "refused"  # or "changed": what another identity of an endpoint does
    create_only: str = "refused"  # or "ignored": another instance type or code of a deployment
    failed_update: str = "before"  # or "configured": what GET shows after an update that failed
    asset_conflict: int = 409  # or 400: a version that exists with another content
    updated: int = 201  # as recorded, or 200: a PUT that replaces
    list_s: float = 0.0  # how long lists do not show what is new
    arm_budget: int = 0  # requests of a kind at once, a tenth of it again per second; 0: no limit
    job_again: int = 200  # or 201, 409: a PUT of a job that exists
    mirror_metrics: str = "counted"  # or "absent": whether metrics count what was mirrored
    answer_names: bool = True  # whether scoring says which deployment answered

    def __post_init__(self) -> None:
        """Raise ValueError for a setting that does not exist."""
        allowed: dict[str, tuple[object, ...]] = {
            "pace": ("clock", "looks"),
            "status_codes": ("strings", "numbers"),
            "cancelled": ("Cancelled", "Canceled"),
            "classic_location": ("visible", "hidden"),
            "classic_put": ("update", "refused", "reset"),
            "patch_maps": ("replace", "merge"),
            "payloads": ("inline", "blob"),
            "async_failure": ("both", "error", "errorInfo"),
            "if_none_match": ("ignored", "honoured"),
            "arm_ids": ("kept", "varied"),
            "registry_ids": ("short", "arm"),
            "last_page": ("omitted", "null", "empty"),
            "operation_host": ("same", "regional"),
            "traffic_late": ("shown", "both"),
            "endpoint_identity": ("refused", "changed"),
            "create_only": ("refused", "ignored"),
            "failed_update": ("before", "configured"),
            "asset_conflict": (409, 400),
            "job_again": (200, 201, 409),
            "updated": (201, 200),
            "mirror_metrics": ("counted", "absent"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}, must be one of {values}")


class ManualClock:
    """A clock that stands still until it is told to advance."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._guard = threading.Lock()

    def __call__(self) -> float:
        """Seconds since the epoch."""
        with self._guard:
            return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._guard:
            self._now += seconds
