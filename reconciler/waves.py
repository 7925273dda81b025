"""Pure: in which wave each endpoint gets its version, so that a bad one reaches few of them.

A fleet are the endpoints of one version. Nothing remembers how far a rollout is: the endpoints that
serve the version, proved, are its beginning, and the others follow in their order. So a run that
was killed is continued. An endpoint that no run may change does not hold up the others, unless it
may already serve the version without a proof: then they wait until that endpoint is mended.

The order: first those that have the version half, because a run was cut off there; then those
labelled `canary: "true"`; then those that no other update keeps busy, which may be stuck; then by
address.

At the whiteboard, `first: 1, then: 4` for nine endpoints, and a run that is killed in its second
wave:

    sizes      1 │ 4       │ 4          what `sizes_of` says, always for the whole fleet
    proved     a │ b c     │            by their records: the first three places are taken
    begun        │     d   │            swapped, and killed before its proof: it sorts first
    to come      │       e │ f g h i    the places that are left, in order

The next run finds the three proved, gives the fourth place to `d` and the fifth to `e`, and is in
the second wave again. A counter in the store would say "second wave" too, until somebody rolls back
`c` by hand, removes `b` from git or labels another canary: then it counts endpoints that are not
there. Counting what is proved cannot disagree with the world, because it is read from the world.

The same rule bounds the damage. At any moment the endpoints that may have an unproved version are
those of one wave, for no place of a later wave is given out before all earlier ones are proved.
Places are taken by number and not by name, so an endpoint that was proved early, by hand or by a
run of a part of the fleet, takes a place at the front and makes no wave larger.

`pause` and `soak` count from the proof that completed the former wave: proofs are sorted by time,
and that of the last place of the wave is taken. An endpoint proved there before has no time to
wait, for going back to a known version is not giving out a new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.model import Action, Binding, Change, EventKind, Observed, Reason, Rollout, Wave

ALWAYS_AT_ONCE = 10  # endpoints, where nobody says how a version is to be given out
CANARY = ("canary", "true")  # a label
_GIVES_OUT = (Action.TRAIN, Action.BIND, Action.CREATE, Action.WAIT)


@dataclass(frozen=True)
class Waits:
    """Bindings, by name, whose version must first be proved elsewhere.

    `reasons` says why; those of `awaited` are left for later in the run, as another shard is at
    that. `due` says from when on a binding may follow a first endpoint that is not in this run.
    """

    reasons: Mapping[str, str] = field(default_factory=dict)
    due: Mapping[str, str] = field(default_factory=dict)
    awaited: frozenset[str] = frozenset()


def in_waves(decided: Iterable[tuple[Observed, Change]]) -> list[Change]:
    """The changes, each with its wave where it has one."""
    fleets: dict[str, list[tuple[Observed, Change]]] = defaultdict(list)
    doubtful: dict[str, Change] = {}
    changes = []
    for observed, change in decided:
        version = observed.binding.version.folder
        if serves_proved(observed) or _is_to_come(observed, change):
            fleets[version].append((observed, change))
            continue
        changes.append(change)
        # Swapped in and not proved, at an endpoint that this run may neither prove nor take it
        # back from; what cannot be read may serve it.
        begun = observed.begun or (
            observed.unproved and observed.live.served == observed.artifact.ref
        )
        if begun and not observed.binding.absent:
            doubtful[version] = change
    for version, fleet in fleets.items():
        changes += _of_fleet(fleet, doubtful.get(version))
    return changes


def first_of(fleet: Sequence[Binding]) -> Binding | None:
    """The endpoint that decides for all of a version, in whatever part of them a run is; None where
    they are not given it in waves. Those that no run may change decide nothing."""
    declared = [binding for binding in fleet if not binding.absent]
    if not declared or _rollout_of(declared[0], len(declared)) is None:
        return None
    free = [binding for binding in declared if not (binding.paused or binding.protect)]
    return min(free, key=lambda b: (CANARY not in b.labels, str(b.address)), default=None)


def hold(observed: Observed, change: Change, waits: Waits) -> Change:
    """The change, refused if it gives out a version that was proved neither here nor where it must
    have been before: long enough in another environment, and at the first of its fleet. One that
    is due later waits like any wave."""
    why, until = waits.reasons.get(change.name), waits.due.get(change.name)
    if not (why or until) or not gives_out(observed, change):
        return change
    if why and change.name in waits.awaited:
        return replace(change, action=Action.WAIT, code=Reason.OTHER_SHARD, why=why)
    if why:
        return replace(change, action=Action.BLOCK, code=Reason.NOT_YET, why=why)
    rollout = observed.binding.rollout or Rollout()
    return replace(change, wave=Wave(1, (1,), rollout.pause_s, rollout.soak_s, until or ""))


def gives_out(observed: Observed, change: Change) -> bool:
    """Whether the change gives the endpoint a version that must have been proved elsewhere; to go
    on with one, or to go back to one that was proved here, needs no such proof."""
    binding = observed.binding
    if change.action not in _GIVES_OUT or binding.absent or binding.forced:
        return False
    goes_on = change.code in (Reason.ROLL_BACK, Reason.UNPROVED, Reason.CONFIGURED_OTHERWISE)
    return not goes_on and not _was_proved(observed)


def serves_proved(observed: Observed) -> bool:
    """Whether the endpoint serves the declared version, and that was proved there."""
    record = observed.record
    proved = record is not None and observed.swapped_in and record.proved
    return proved and observed.live.served == observed.artifact.ref


def _is_to_come(observed: Observed, change: Change) -> bool:
    """Whether the version is still to be given to the endpoint, or to be proved there."""
    if change.action not in _GIVES_OUT or change.code == Reason.ROLL_BACK:
        return False
    if observed.binding.absent:  # an update of it is waited for, and then it is deleted
        return False
    return observed.live.served != observed.artifact.ref or change.code == Reason.UNPROVED


def _rollout_of(binding: Binding, endpoints: int) -> Rollout | None:
    return binding.rollout or (Rollout() if endpoints > ALWAYS_AT_ONCE else None)


def _of_fleet(
    fleet: Sequence[tuple[Observed, Change]], doubtful: Change | None = None
) -> list[Change]:
    """The changes of a fleet; `doubtful` is that of an endpoint outside which may have the version
    without a proof."""
    proved = [(observed, change) for observed, change in fleet if serves_proved(observed)]
    to_come = [(observed, change) for observed, change in fleet if not serves_proved(observed)]
    to_come.sort(key=lambda pair: _place(*pair))
    rollout = _rollout_of(fleet[0][0].binding, len(fleet) + (doubtful is not None))
    if rollout is not None and doubtful is not None:
        return [_behind(observed, change, doubtful) for observed, change in fleet]
    after_first = max((c.wave.not_before for _, c in to_come if c.wave), default="")  # of `hold`
    if rollout is None or not to_come or (len(fleet) <= rollout.first and not after_first):
        return [change for _, change in fleet]
    sizes = sizes_of(rollout, len(fleet))
    numbers = [number for number, size in enumerate(sizes, 1) for _ in range(size)]
    now, *_ = numbers = numbers[len(proved) :]
    since = sorted(observed.record.proved_at for observed, _ in proved if observed.record)
    former = since[sum(sizes[: now - 1]) - 1] if now > 1 else ""
    due = due_after(former, rollout) if former and max(rollout.pause_s, rollout.soak_s) else ""
    due = max(due, after_first)
    changes = [change for _, change in proved]
    for (observed, change), number in zip(to_come, numbers, strict=True):
        if change.code == Reason.UNPROVED:  # it has the version: that is proved, or taken back
            wave = Wave(now, sizes)
        elif _was_proved(observed):
            wave = Wave(number, sizes)
        else:
            wave = Wave(number, sizes, rollout.pause_s, rollout.soak_s, due)
        changes.append(replace(change, wave=wave))
    return changes


def _behind(observed: Observed, change: Change, doubtful: Change) -> Change:
    """The change, refused while nobody knows whether the version is good at that endpoint."""
    if change.code == Reason.UNPROVED or not _is_to_come(observed, change) or _was_proved(observed):
        return change
    why = f": {doubtful.why}" if doubtful.why else ""
    why = f"{doubtful.name} may have this version without a proof, and cannot be proved now{why}"
    return replace(
        change,
        action=Action.BLOCK,
        code=Reason.NOT_YET,
        wave=None,
        why=f"{why}; mend that endpoint, or declare another version",
    )


def sizes_of(rollout: Rollout, endpoints: int) -> tuple[int, ...]:
    """How many endpoints each wave has."""
    step = -(-rollout.then * endpoints // 100) if rollout.percent else rollout.then
    sizes = [min(rollout.first, endpoints)]
    while (left := endpoints - sum(sizes)) > 0:
        sizes.append(min(step, left))
    return tuple(sizes)


def _was_proved(observed: Observed) -> bool:
    """Whether the version was proved at this endpoint before: to go back to it has no time."""
    events = observed.record.history if observed.record else ()
    return any(e.what is EventKind.PROOF and e.model == observed.artifact.ref for e in events)


def _place(observed: Observed, change: Change) -> tuple[bool, bool, bool, str]:
    """The sort key of endpoints that do not serve the version, proved, yet."""
    ref, live, record = observed.artifact.ref, observed.live, observed.record
    begun = ref in (live.served, live.configured, live.staged)
    begun |= record is not None and record.wanted == ref and not record.proved
    other, busy = CANARY not in observed.binding.labels, change.code == Reason.UPDATING
    return not begun, other, busy, change.address


def due_after(former: str, rollout: Rollout) -> str:
    """The time at which the next wave may begin, where the former one was proved then."""
    wait = timedelta(seconds=max(rollout.pause_s, rollout.soak_s))
    return (datetime.fromisoformat(former) + wait).strftime("%Y-%m-%dT%H:%M:%SZ")
