"""What is kept with a model about whether it may be bound: its gates' refusal, its rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.world import timestamp

if TYPE_CHECKING:
    from reconciler.engine.steps import Shared
    from reconciler.model import Binding


class Verdicts:
    """The verdicts on one binding's version, written into its manifest."""

    def __init__(self, binding: Binding, shared: Shared) -> None:
        self._version, self._address = binding.version, str(binding.address)
        self._world, self._ledger = shared.world, shared.world.ledger
        self._lock = shared.locks.of(binding)

    def refuse(self, why: str) -> None:
        """Keep why the gates did not accept it; "" now that they do."""
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is not None and entry.manifest.refused != why:
                self._ledger.note_refusal(entry, why)

    def reject(self, why: str, *, silent: bool = False) -> None:
        """Keep why no run may bind it; `silent`: for no answer, which replaces no other reason."""
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is None or (entry.manifest.rejected and (silent or not entry.manifest.silent)):
                return
            at, by = timestamp(self._world.clock.now()), str(self._world.actor)
            self._ledger.reject(entry, why, at, by, silent=self._address if silent else "")

    def take_back(self) -> bool:
        """Take back that this endpoint's silence rejected it: the previous model is silent too.

        False where it stays rejected: another endpoint, or a person, has a reason of its own.
        """
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is None or not entry.manifest.rejected:
                return True
            if entry.manifest.silent != self._address:
                return False
            self._ledger.reject(entry, "")
            return True
