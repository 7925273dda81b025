"""Whether versions were proved long enough in another environment, by the records of its store."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from reconciler.engine.reading import reading
from reconciler.engine.world import seconds_since_epoch, timestamp
from reconciler.errors import ReconcilerError
from reconciler.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.ledger import Ledger
    from reconciler.model import Binding, Desired, Record, Requires

_ENDS = (EventKind.SWAP, EventKind.CREATE, EventKind.DELETE)
_SPOILS = (EventKind.ROLL_BACK, EventKind.REJECTED)


def not_yet(
    ledger: Ledger,
    there: Desired,
    requires: Requires,
    bindings: Iterable[Binding],
    now: float,
    parallel: int,
) -> dict[str, str]:
    """By name, why these bindings must not get their versions yet, and when they may; those that
    may are missing. Who cannot be asked has proved nothing."""
    theirs = {binding.name: binding for binding in there.bindings}
    asked = list(bindings)

    def why(binding: Binding) -> str:
        if (other := theirs.get(binding.name)) is None:
            return f"{requires.proved} has no binding of this name"
        version = replace(other.version, version=binding.version.version)
        try:
            record, entry = ledger.record(other.address), ledger.read(version)
        except ReconcilerError as exc:
            return f"the record of {requires.proved} cannot be read: {exc.message}"
        lacks = missing(record, version.version, requires, now)
        if lacks or entry is None:
            return lacks
        made = entry.manifest
        if made.rejected:
            return f"version {version.version} was rejected in {requires.proved}: {made.rejected}"
        if version == other.version and made.recipe != other.recipe:
            return f"version {version.version} was made by another recipe in {requires.proved}"
        return ""

    with reading(parallel, "required") as pool:
        return {b.name: said for b, said in zip(asked, pool.map(why, asked), strict=True) if said}


def missing(record: Record | None, version: str, requires: Requires, now: float) -> str:
    """What a version still lacks there, in words; "" where it was proved for long enough."""
    since, proved_s = "", 0.0
    lasted = partial(_seconds, now=now)
    for event in record.history if record else ():
        same = event.version == version
        if event.what is EventKind.PROOF and same:
            since = since or event.at
        elif event.what in _SPOILS and (since or same):
            since, proved_s = "", 0.0
        elif event.what in _ENDS and since and not same:
            since, proved_s = "", max(proved_s, lasted(since, event.at))
    if max(proved_s, lasted(since)) >= requires.for_s and (since or proved_s):
        return ""
    if not since:
        return f"version {version} was not proved in {requires.proved} for that long"
    due = timestamp(seconds_since_epoch(since) + requires.for_s)
    return f"version {version} was proved in {requires.proved} at {since}; bind it from {due} on"


def _seconds(since: str, until: str = "", *, now: float) -> float:
    if not since:
        return 0.0
    return (seconds_since_epoch(until) if until else now) - seconds_since_epoch(since)
