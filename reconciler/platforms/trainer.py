"""Training engines, and the seam they stand behind.

A job is *observed*, like everything else: nobody waits inside a call, so a run that is killed
loses nothing. An engine must keep submitting apart from starting (or make starting idempotent),
because the ledger notes the job's id between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model import Recipe
    from reconciler.stores.contract import Place


class JobState(StrEnum):
    """The states of a batch job (STUDIO_PROTOCOL.md §4.3)."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    FINISHED = "Finished"
    FORGOTTEN = "Forgotten"  # the engine knows no such job (any more)


ENDED = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.FINISHED})


@dataclass(frozen=True)
class Job:
    """What the engine said of one job; `outputs` by port, empty until it is finished."""

    state: JobState
    message: str = ""
    outputs: Mapping[str, Place] = field(default_factory=dict, hash=False)


class Trainer(Protocol):
    """What the engine asks of a training service. Only `look` is free of effects."""

    def submit(
        self, recipe: Recipe, inputs: Mapping[str, Place], outputs: Mapping[str, Place]
    ) -> str:
        """The id of a new job, which runs nothing until it is started. Never retried."""
        ...

    def start(self, job: str) -> None:
        """Start a job; a job that was started before is left alone."""
        ...

    def look(self, job: str) -> Job:
        """The job as it is now, with fresh access to its outputs."""
        ...

    def cancel(self, job: str) -> None:
        """End a job; a job that is gone is fine."""
        ...
