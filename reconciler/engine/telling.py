"""What one binding tells of its steps, and how it ends: every end gives its job slot back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reconciler.engine.steps import Again, Ended, Patience
from reconciler.errors import ERROR, ReconcilerError, in_doubt
from reconciler.model import TOUCHED, Failure, Reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.engine.steps import Shared
    from reconciler.model import Binding, Proof


class Telling:
    """The voice of one binding, and its patience with updates that are under way."""

    def __init__(self, binding: Binding, shared: Shared) -> None:
        self.reached = Reached.NOT_BEGUN
        self.proof: Proof | None = None  # of a swap, where its settings still have to follow
        self._binding = binding
        self._shared = shared
        self._updating = Patience(0.25, 5.0)

    def say(self, phase: str, detail: str = "") -> None:
        """The binding entered a phase, or is still in it."""
        self._shared.progress.phase(self._binding.name, phase, detail)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Around a write to the endpoint: remembers that it was taken, or that nobody knows, which
        is so until its answer comes: the run may be cut off before that."""
        before = self.reached
        if before is not Reached.CHANGED:
            self.reached = Reached.ASKED
        try:
            yield
        except ReconcilerError as exc:
            if not in_doubt(exc):
                self.reached = before
            raise
        self.reached = Reached.CHANGED

    def written(self) -> Again:
        """The service took a write: look again soon."""
        self._updating.reset()
        return self._updating.again()

    def again(self, phase: str = "", detail: str = "") -> Again:
        """Look again after a while, that grows from look to look."""
        if phase:
            self.say(phase, detail)
        return self._updating.again()

    def still_updating(self, since: float, words: str, phase: str = "swapping") -> Again | Ended:
        """Look again at an update, unless it has lasted too long."""
        most_s = self._shared.world.targets[self._binding.kind].can.stuck_after_s
        if self._shared.world.clock.now() - since > most_s:
            why = f"the update is still {words} after {most_s:g} s"
            return self.failed(why, ERROR)
        return self.again(phase, words)

    def ended(self, ended: Ended, outcome: str) -> Ended:
        """The end of a binding that is as it must be."""
        self._shared.slots.give_back(self._binding)
        self._shared.progress.done(self._binding.name, outcome)
        return ended

    def failed(self, message: str, exit_code: int, proof: Proof | None = None) -> Ended:
        """The end of a binding that is not."""
        self._shared.slots.give_back(self._binding)
        self._shared.progress.failed(self._binding.name, message)
        failure = Failure(self._binding.name, str(self._binding.address), message, exit_code)
        return Ended(proof=proof or self.proof, failure=failure, changed=self.reached in TOUCHED)
