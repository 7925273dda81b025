"""When drift was first seen, for people: one file per store, which only runs that note it write.

An endpoint cannot tell since when it has been changed. Only a run that looked and wrote down what
it saw can, and what looks by schedule or by hand (`drift`, `plan`, `status`) writes nothing. So
`drift --note` is a command of its own kind. Nothing is decided by this file: without it, drift is
as much drift, and is undone by the same command.

A sighting is good for one drift. It names the last deed on record at the endpoint, so whatever
`apply` does there ends it without a write here; where somebody undid a drift by hand, the next run
that notes finds the endpoint in sync and forgets it.
"""

from __future__ import annotations

from collections.abc import (
    Iterable,
    Mapping,  # at run time: the file is read by this type
)
from dataclasses import dataclass, field, replace

from reconciler.errors import ConflictError
from reconciler.ledger.manifest import CODEC, check_moments, document_bytes, read_document
from reconciler.model import ArtifactState, HealthCode, Observed, Sighting, drifted, last_deed
from reconciler.stores.contract import Store

SCHEMA = "reconciler/sightings/v1"
NAME = "_drift/seen.json"
ATTEMPTS = 20  # at a file that other runs write at the same time


@dataclass(frozen=True)
class _Noted:
    """The sightings by address."""

    seen: Mapping[str, Sighting] = field(default_factory=dict)


class Sightings:
    """The sightings of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def recalled(self, observed: Iterable[Observed]) -> tuple[Observed, ...]:
        """The observed state with what was noted; the store is asked only where something
        drifted."""
        every = tuple(observed)
        return _with(every, self._read()[0]) if any(map(drifted, every)) else every

    def noted(self, observed: Iterable[Observed], at: str, run: str) -> tuple[Observed, ...]:
        """The observed state with what is noted from now on: an earlier sighting of a drift that
        lasts, and otherwise this one. ConflictError where other runs are always faster."""
        every = tuple(observed)
        for left in reversed(range(ATTEMPTS)):
            before, etag = self._read()
            after = _after(before, every, at, run)
            if after == before:
                break
            content = document_bytes({"schema": SCHEMA, **CODEC.unstructure(_Noted(after))})
            try:
                self._store.swap(NAME, content, etag)
                break
            except ConflictError:
                if not left:
                    raise
        return _with(every, after)

    def _read(self) -> tuple[dict[str, Sighting], str]:
        """What is noted, and the ETag of the file; "" where there is none."""
        file = self._store.get(NAME)
        if file is None:
            return {}, ""
        seen = dict(read_document(file.content, SCHEMA, _Noted, NAME).seen)
        check_moments([sighting.at for sighting in seen.values()], NAME)
        return seen, file.etag


def _after(
    before: Mapping[str, Sighting], observed: Iterable[Observed], at: str, run: str
) -> dict[str, Sighting]:
    """The sightings after this look; those of endpoints that it cannot judge stay."""
    after = dict(before)
    for seen in observed:
        key = _key(seen)
        if (drift := drifted(seen)) is not None:
            deed = last_deed(seen)
            if key not in before or not before[key].goes_on(deed, drift):
                after[key] = Sighting(at, run, deed, tuple(diff.path for diff in drift.fields))
        elif not _unclear(seen):
            after.pop(key, None)
    return dict(sorted(after.items()))


def _unclear(observed: Observed) -> bool:
    """Whether this look could not tell whether the endpoint is as it must be."""
    unclear = (HealthCode.UNKNOWN, HealthCode.PROGRESSING)
    unread = observed.artifact.state is ArtifactState.UNKNOWN and not observed.binding.absent
    return unread or observed.live.health.code in unclear


def _with(observed: Iterable[Observed], seen: Mapping[str, Sighting]) -> tuple[Observed, ...]:
    return tuple(replace(o, sighting=seen[k]) if (k := _key(o)) in seen else o for o in observed)


def _key(observed: Observed) -> str:
    return observed.binding.address.id.folded
