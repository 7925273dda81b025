"""What is kept with a model about whether it may be bound: its gates' refusal, its rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.world import timestamp

if TYPE_CHECKING:
    from reconciler.engine.steps import Shared
    from reconciler.ledger import Entry
    from reconciler.model import Binding


class Verdicts:
    """The verdicts on one binding's version, written into its manifest."""

    def __init__(self, binding: Binding, shared: Shared) -> None:
        self._version = binding.version
        self._world, self._ledger = shared.world, shared.world.ledger
        self._lock = shared.locks.of(binding)

    def refuse(self, why: str) -> None:
        """Keep why the gates did not accept it; "" now that they do."""
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is not None and entry.manifest.refused != why:
                self._ledger.note_refusal(entry, why)

    def reject(self, why: str) -> None:
        """Keep why no run may bind it: what an endpoint answered. That outranks silence."""
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is not None and entry.manifest.rejected != why:
                self._reject(entry, why)

    def reject_for_silence(self, why: str) -> None:
        """The same where it gave no answer, which takes the place of no other reason."""
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is not None and not entry.manifest.rejected:
                self._reject(entry, why)

    def _reject(self, entry: Entry, why: str) -> None:
        world = self._world
        self._ledger.reject(entry, why, timestamp(world.clock.now()), str(world.actor))

    def take_back(self, why: str) -> None:
        """Take the rejection back, if it is this one."""
        with self._lock:
            entry = self._ledger.read(self._version)
            if entry is not None and entry.manifest.rejected == why:
                self._ledger.reject(entry, "")
