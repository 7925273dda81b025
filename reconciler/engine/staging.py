"""What precedes a switch: a candidate is made known, started beside what serves, and proved there.

Where the platform can stage, the candidate is scored before it has any traffic. If it answers as it
must, the switch follows; if not, it is dropped and rejected, and the endpoint was never changed.
What is staged is read and not remembered: a run that is killed anywhere here leaves a candidate
that the next run finds and proves. Other platforms only learn of the model, where they have a
registry of their own; their candidate is proved after the switch. Silence is blamed on a candidate
only while the endpoint itself answers: an outage, or a wrong probe, silences both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.lifecycle import APPEARS_S, progress_of, wanted_model
from reconciler.engine.prove import answer, asks, judge, names_another, score_before
from reconciler.errors import (
    UNPROVED,
    ProofError,
    ReconcilerError,
    StoppedError,
    UnavailableError,
    UnreachableError,
)
from reconciler.model import HealthCode
from reconciler.platforms.contract import OperationState

if TYPE_CHECKING:
    from reconciler.engine.steps import Again, Ended, Shared
    from reconciler.engine.telling import Telling
    from reconciler.engine.verdicts import Verdicts
    from reconciler.model import Binding, Observed
    from reconciler.platforms.contract import Target

COLD_START_S = 120.0  # a model that was just started may not answer for a while


class Staging:
    """The candidate of one binding before its switch."""

    def __init__(
        self, binding: Binding, shared: Shared, telling: Telling, verdicts: Verdicts
    ) -> None:
        self._binding = binding
        self._world = shared.world
        self._target: Target = shared.world.targets[binding.kind]
        self._telling = telling
        self._verdicts = verdicts
        self._published = False
        self._operation = ""  # of the last write, while it is not known to have ended
        self._asked_at: float | None = None  # when the candidate was staged by this run
        self._written_at = 0.0  # when the operation began
        self._failed = ""  # why it did not start

    def forget(self) -> None:
        """Another run was here: what this one remembers is not what is."""
        self._published, self._operation, self._asked_at = False, "", None
        self._failed = ""

    def still_working(self) -> Again | Ended | None:
        """Look again while the platform is not done with the last write; None when it is."""
        if not self._operation:
            return None
        try:
            seen = progress_of(self._target, self._operation)
        except ProofError as exc:  # the next look finds what to drop
            self._operation, self._failed = "", f"the candidate did not start: {exc.message}"
            return None
        if seen.state is OperationState.RUNNING:
            phase = "publishing" if self._asked_at is None else "staging"
            return self._telling.still_updating(self._written_at, seen.words, phase)
        self._operation = ""
        return None

    def candidate(self, observed: Observed) -> Again | Ended | None:
        """One step towards a candidate that may be switched to; None when it may."""
        if self._failed:
            return self._dropped(self._failed, observed)
        model, now = wanted_model(observed), self._world.clock.now()
        if not self._published:
            self._operation = self._target.publish(self._binding, model)
            self._published, self._written_at = True, now
            if self._operation:
                return self._telling.again("publishing", model.name)
        if not self._target.can.stage:
            return None
        if observed.live.staged == observed.artifact.ref:
            return self._proved(observed)
        if self._asked_at is None:
            self._operation = self._target.stage(self._binding, model)
            self._asked_at = self._written_at = now
            return self._telling.again("staging", model.name)
        if now - self._asked_at < self._target.can.settle_s + APPEARS_S:
            return self._telling.again("staging", "the candidate does not show yet")
        raise ProofError("the platform staged the candidate, and reading it back does not show it")

    def _proved(self, observed: Observed) -> Again | Ended | None:
        if not asks(self._target, self._binding):
            return None
        self._telling.say("proving", "the staged candidate")
        if self._asked_at is None:  # another run staged it: its time is counted from now
            self._asked_at = self._world.clock.now()
        try:
            after = answer(self._target, self._binding, staged=True)
        except ReconcilerError as exc:
            if isinstance(exc, StoppedError) or self._world.stopping():
                raise StoppedError("a run that ends judges nobody") from exc
            waited_s = self._world.clock.now() - self._asked_at
            if isinstance(exc, UnavailableError | UnreachableError) and waited_s < COLD_START_S:
                return self._telling.again()
            why = f"the staged candidate does not answer: {exc.message}"
            if score_before(self._target, self._binding, forward=False) is None:
                said = f"{why}; nor does the endpoint, so the version is not rejected; apply again"
                return self._telling.failed(said, UNPROVED)
            return self._dropped(why, observed)
        version = self._binding.version.version
        health = judge(self._binding, after.score)
        why = names_another(after, observed.artifact.ref, version)
        if health.code is HealthCode.HEALTHY and not why:
            return None
        return self._dropped(f"the staged candidate is no good: {why or health.message}", observed)

    def _dropped(self, why: str, observed: Observed) -> Ended:
        """Drop the candidate and reject it; the endpoint goes on serving what it did.

        In this order: nobody looks for the candidate of a version that is rejected.
        """
        if (back := observed.way_back.model) is not None:
            self._target.take_back(self._binding, back)
        self._verdicts.reject(why)
        said = f"{why}; version {self._binding.version.version} is rejected"
        return self._telling.failed(f"{said}; the endpoint was not changed", UNPROVED)
