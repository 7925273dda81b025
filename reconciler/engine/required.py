"""Whether versions were proved where they must be before: long enough in another environment, by
the records of its store, or at the first endpoint of their fleet, where a run is of another part.

"Proved for two days" is read from events and not from a flag, because a flag cannot tell how long.
The events of an address are walked once, in order: a proof of the version begins a span; a swap to
another version ends it, and the longest span counts; a roll-back from it, or its rejection, takes
all that was gathered away, for a version that had to be taken back has not been proved by the time
before. A roll-back to it, from another version or from other settings, takes nothing away.

The clock of the other environment's runs wrote these times, and the clock of this one reads them.
They may differ by minutes, and nobody requires a proof of minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.engine.observe import observe
from reconciler.engine.reading import reading
from reconciler.engine.world import World, seconds_since_epoch, timestamp
from reconciler.errors import ReconcilerError
from reconciler.model import ArtifactState, EventKind
from reconciler.waves import due_after, first_of, serves_proved

if TYPE_CHECKING:
    from reconciler.ledger import Ledger
    from reconciler.ledger.manifest import Manifest
    from reconciler.model import Artifact, Binding, Desired, Observed, Record, Requires

_ENDS = (EventKind.SWAP, EventKind.CREATE, EventKind.DELETE)
_ENDED = (ArtifactState.REJECTED, ArtifactState.FAILED)  # of what no wait will prove
PAUSE_S = 5.0  # between two looks at what another shard does


def not_yet(
    ledger: Ledger,
    there: Desired,
    requires: Requires,
    new: Iterable[Observed],
    now: float,
    parallel: int,
) -> dict[str, str]:
    """By name, why these bindings must not get their versions yet, and when they may; those that
    may are missing. Who cannot be asked has proved nothing."""
    bindings_there = {binding.name: binding for binding in there.bindings}
    asked = list(new)

    def why(observed: Observed) -> str:
        binding = observed.binding
        if (other := bindings_there.get(binding.name)) is None:
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
        if differ(observed.artifact, made):
            return (
                f"version {version.version} is another model here than the one that was proved in "
                f"{requires.proved}; declare a version that was made alike"
            )
        return ""

    with reading(parallel, "required") as pool:
        reasons = zip(asked, pool.map(why, asked), strict=True)
        return {observed.binding.name: reason for observed, reason in reasons if reason}


def differ(here: Artifact, there: Manifest) -> bool:
    """Whether two models that were made by now, of one name, are known to differ. Two trainings by
    one recipe are one version, wherever they ran and whatever bytes came out; what was taken from
    elsewhere has the same bytes."""
    digest = there.evaluation.sha256 if there.evaluation else ""
    if not (here.sha256 and digest) or here.sha256 == digest:
        return False
    made = here.recipe
    if made is None or made.takes or there.recipe.takes:
        return True
    return replace(made, place="") != replace(there.recipe, place="")


def behind(
    world: World, new: Iterable[Observed], wanted: Desired
) -> tuple[dict[str, str], dict[str, str]]:
    """By name, which bindings of a part of a fleet must wait, as the endpoint that goes first is in
    another part: why, where it was not proved, and until when, where it was, but not for as long as
    its rollout says. Each such endpoint is read once."""
    reasons, due = {}, {}
    bindings = defaultdict(list)
    for observed in (asked := list(new)):
        bindings[observed.binding.version.folder].append(observed.binding.name)
    for version, binding in firsts_of(asked, wanted).items():
        first = observe(world, binding)
        if not serves_proved(first):
            how = "it is in another shard, and `apply` waits for that"
            how = how if wanted.shard else f"this run leaves it out, so apply {binding.name} before"
            if (failed := first.failed) is not None:
                how = f"with its settings it failed at {failed.at}: {failed.why}; correct them"
            why = f"{binding.name} gets this version first, and was not proved with it; {how}"
            reasons.update(dict.fromkeys(bindings[version], why))
        elif binding.rollout is not None and first.record:
            until = due_after(first.record.proved_at, binding.rollout)
            if until > world.moment:
                due.update(dict.fromkeys(bindings[version], until))
    return reasons, due


def await_firsts(
    world: World,
    new: Iterable[Observed],
    wanted: Desired,
    idle_s: float,
    say: Callable[[str], None],
    began: float,
) -> None:
    """Wait until other shards have proved the versions that are new here, or found them bad. The
    `pause` and the `soak` after a proof are those of a wave.

    Shards are begun together, and none knows of the others but by what it reads. While the first
    endpoint of a fleet moves (its model is being made, or was swapped in and is not proved), its
    shard is at work, however long that takes. `idle_s` is the patience while nothing moves: the
    shard may begin late, or not at all. A failure by settings, which spares the version, ends the
    wait if it is younger than this run, which `began` then: an older one is tried again.
    """
    firsts = firsts_of(new, wanted)
    since, waited = world.clock.now(), False
    while True:
        seen = [observe(world, first) for first in firsts.values()]
        now = world.clock.now()
        pending = [o for o in seen if not (serves_proved(o) or _is_over(o, began))]
        moves = any(o.artifact.state is ArtifactState.RUNNING or o.unproved for o in pending)
        since = now if moves else since
        if not pending or now - since >= idle_s or world.stopping():
            return
        if not waited:
            names = ", ".join(o.binding.name for o in pending)
            say(f"waiting for other shards: {names} must be proved first")
        waited = True
        world.clock.wait(PAUSE_S)


def _is_over(first: Observed, began: float) -> bool:
    """Whether nothing that its shard still does will prove the version there."""
    failed = first.failed
    tried = failed is not None and seconds_since_epoch(failed.at) >= began
    return first.artifact.state in _ENDED or first.taken_back or tried


def firsts_of(new: Iterable[Observed], wanted: Desired) -> dict[str, Binding]:
    """By version that is new here, the endpoint that goes first, where it is in another part."""
    if not wanted.left_out:
        return {}
    fleets = defaultdict(list)
    for binding in (*wanted.bindings, *wanted.left_out):
        fleets[binding.version.folder].append(binding)
    others = {binding.name for binding in wanted.left_out}
    firsts = {o.binding.version.folder: first_of(fleets[o.binding.version.folder]) for o in new}
    return {version: b for version, b in firsts.items() if b is not None and b.name in others}


def missing(record: Record | None, version: str, requires: Requires, now: float) -> str:
    """The proof that a version still lacks there, in words; "" where it was proved for long
    enough."""
    since, proved_s = "", 0.0
    for event in record.history if record else ():
        same, what = event.version == version, event.what
        spoils = EventKind.REJECTED if same else EventKind.ROLL_BACK
        if what is EventKind.PROOF and same:
            since = since or event.at
        elif what is spoils and (since or same):
            since, proved_s = "", 0.0
        elif what in _ENDS and since and not same:
            ran_s = seconds_since_epoch(event.at) - seconds_since_epoch(since)
            since, proved_s = "", max(proved_s, ran_s)
    if since:
        proved_s = max(proved_s, now - seconds_since_epoch(since))
    if proved_s >= requires.for_s and (since or proved_s):
        return ""
    if not since:
        return f"version {version} was not proved in {requires.proved} for that long"
    due = timestamp(seconds_since_epoch(since) + requires.for_s)
    return f"version {version} was proved in {requires.proved} at {since}; bind it from {due} on"
