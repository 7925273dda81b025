"""A row per binding: whether it is in sync, how it is doing, what is live and what is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from shlex import quote

from reconciler.model import (
    Action,
    Cause,
    Change,
    Drift,
    Health,
    HealthCode,
    Live,
    NotManaged,
    Reason,
)
from reconciler.render.cells import PLAIN, Look, alike, counted, heads, listed
from reconciler.render.fleets import MOST_EQUAL, common
from reconciler.render.unmanaged import unmanaged_text
from reconciler.render.words import gist


class Sync(StrEnum):
    """Whether the live model is the wanted one."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


class Wrong(StrEnum):
    """Kinds of trouble at an endpoint, the most urgent first: `status` and the page sort by it."""

    FAILED = "failed"
    DRIFTED = "drifted"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    WAITING = "waiting"
    TO_APPLY = "to apply"


def wrong_with(change: Change) -> Wrong | None:
    """The trouble at an endpoint; None where it serves what git declares, or is paused."""
    if change.code == Reason.UNREADABLE:
        return Wrong.UNREADABLE
    if change.drift is not None:
        return Wrong.DRIFTED
    if change.cause is Cause.FAILED:
        return Wrong.FAILED
    if change.action is Action.NOOP:
        return None
    by_action = {Action.BLOCK: Wrong.REFUSED, Action.WAIT: Wrong.WAITING}
    return by_action.get(change.action, Wrong.TO_APPLY)


def mending(what: Wrong, options: str, changes: Sequence[Change], *, kept: bool) -> str:
    """The command that mends endpoints with one trouble, or shows what to mend; a single one is
    named. `options` lead to them, and `kept` says that what drifted can be written into the YAML.
    """
    first, *more = changes
    target = "" if more else f" -t {quote(first.name)}"
    if what is Wrong.UNREADABLE:
        return f"reconciler doctor {options}{target}"
    if what is Wrong.FAILED and first.action is Action.BLOCK:
        return f"reconciler explain {quote(first.name)} {options}"
    if what is Wrong.DRIFTED and all(change.code == Reason.PAUSED for change in changes):
        return f"reconciler drift {options}{target}{' --accept' if kept else ''}"
    verb = "plan" if what is Wrong.REFUSED else "apply"
    return f"reconciler {verb} {options}{target}"


@dataclass(frozen=True)
class StatusRow:
    """How one binding is; `live` and `wanted` are versions for people, `message` says why."""

    name: str
    kind: str
    address: str
    sync: Sync
    health: HealthCode
    live: str
    wanted: str
    message: str = ""
    drift: Drift | None = None
    wrong: Wrong | None = None

    @property
    def drifted(self) -> bool:
        """Whether it was changed outside git after its proof."""
        return self.drift is not None


def status_row(change: Change, live: Live, health: Health) -> StatusRow:
    """The row of one binding: its change says whether it is in sync, `health` how it does as the
    one that must serve the declared version. The message says why, how it does where the reason
    does not say so already, and what to beware of."""
    health_message = "" if live.health.message in change.why else live.health.message
    return StatusRow(
        name=change.name,
        kind=change.kind,
        address=change.address,
        sync=_sync(change, live),
        health=health.code,
        live=change.before,
        wanted=change.after,
        message="; ".join(listed([change.why, health_message, *change.warnings])),
        drift=change.drift,
        wrong=wrong_with(change),
    )


def _sync(change: Change, live: Live) -> Sync:
    if change.action is Action.NOOP and change.code != Reason.PAUSED:
        return Sync.SYNCED
    unknown = live.health.code is HealthCode.UNKNOWN or (live.served is None and live.hidden)
    return Sync.UNKNOWN if unknown else Sync.OUT_OF_SYNC


def status_summary(rows: Iterable[StatusRow]) -> str:
    """`3 bindings: 1 Synced, 1 OutOfSync, 1 Unknown.`"""
    ordered = list(rows)
    counts = Counter(row.sync for row in ordered)
    parts = [f"{counts[sync]} {sync}" for sync in Sync if counts[sync]]
    if drifted := sum(row.drifted for row in ordered):
        parts.append(f"{drifted} drifted")
    return f"{counted(len(ordered), 'binding')}{': ' if parts else ''}{', '.join(parts)}."


_WORST = [
    *(HealthCode.MISSING, HealthCode.DEGRADED, HealthCode.UNKNOWN),
    *(HealthCode.PROGRESSING, HealthCode.HEALTHY),
]


def urgency(row: StatusRow) -> tuple[int, int, bool]:
    """The sort key of rows, the most urgent first: the trouble, then how the endpoint does."""
    trouble = list(Wrong).index(row.wrong) if row.wrong else len(Wrong)
    return trouble, _WORST.index(row.health), row.sync is Sync.SYNCED


def worst_first(rows: Iterable[StatusRow]) -> list[StatusRow]:
    """The rows with what needs a person first; in their order where they are as bad."""
    return sorted(rows, key=urgency)


def folded(rows: Iterable[StatusRow]) -> list[StatusRow]:
    """The rows, with one for more than a few that are in sync, healthy and alike but for their
    names: `bike-rental-… ×964`."""

    def calm(row: StatusRow) -> StatusRow:
        fine = row.sync is Sync.SYNCED and row.health is HealthCode.HEALTHY
        told = row.message or row.drifted
        return replace(row, name="", address="") if fine and not told else row

    few = []
    for group in alike(rows, calm).values():
        if len(group) <= MOST_EQUAL:
            few += group
        else:
            names, addresses = zip(*((row.name, row.address) for row in group), strict=True)
            name = f"{common(names)} ×{len(group):,}"
            few.append(replace(group[0], name=name, address=common(addresses)))
    return few


_COLORS = {Sync.SYNCED: "green", Sync.OUT_OF_SYNC: "yellow", Sync.UNKNOWN: "red"}


def status_text(
    rows: Iterable[StatusRow], look: Look = PLAIN, unmanaged: NotManaged | None = None
) -> str:
    """A table with the worst first, the reason below each row that has one, a line that counts the
    rows, and what is unmanaged. Fleets in sync are folded unless `look` is verbose."""
    ordered = worst_first(rows)
    lines = _table(look, ordered if look.verbose else folded(ordered)) if ordered else []
    lines += look.lines(status_summary(ordered))
    for line in unmanaged_text(unmanaged, names=look.verbose):
        lines += look.lines(line, hang=2)
    return "".join(f"{line}\n" for line in lines)


def _table(look: Look, rows: list[StatusRow]) -> list[str]:
    """The rows as aligned lines, with messages that several share said once."""
    top, *below = heads(
        look,
        [["NAME", "SYNC", "HEALTH", "LIVE", "WANTED"], *(_cells(look, row) for row in rows)],
        gap=2,
    )
    lines = [look.paint(line, "bold") for line in top]
    shared = shared_messages(rows)
    for head, row in zip(below, rows, strict=True):
        lines += [look.paint(line, _COLORS[row.sync]) for line in head]
        lines += look.lines(f"{row.kind} · {row.address}", 4, "dim") if look.verbose else []
        lines += look.lines("" if gist_of(row) in shared else row.message, 4)
    for message, names in shared.items():
        lines += ["", *look.lines(f"{', '.join(names)}: {message}", hang=4)]
    return [*lines, ""]


def shared_messages(rows: Iterable[StatusRow]) -> dict[str, list[str]]:
    """The messages that are said once, below the table, each with the names of its bindings: what
    several could not be read for, and any other that more than a few have."""
    return {
        message: [row.name for row in group]
        for message, group in alike((row for row in rows if row.message), gist_of).items()
        if len(group) > (1 if group[0].health is HealthCode.UNKNOWN else MOST_EQUAL)
    }


def gist_of(row: StatusRow) -> str:
    """The message of the row without its own name and address."""
    return gist(row.message, row.name, row.address)


def _cells(look: Look, row: StatusRow) -> list[str]:
    """The cells of one row, before they are aligned."""
    most = look.width // 4
    return [
        row.name,
        row.sync.value,
        row.health.value,
        look.cut(row.live, most) or "-",
        look.cut(row.wanted, most) or "-",
    ]
