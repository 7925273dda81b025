"""A roll-back by hand: what a failed proof does, when it is a person who knows better.

It writes the way back into the record and rejects the live version; from there on the ordinary
plan says `roll_back`, and an ordinary run carries it out and proves it. So it can be killed at any
point as everything else can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler import gates
from reconciler.engine.models import wanted_ref
from reconciler.engine.way_back import is_rejected, way_back_to
from reconciler.engine.world import World, with_event
from reconciler.errors import RefusedError
from reconciler.ledger import Entry
from reconciler.model import PROOFS, ArtifactState, Binding, EventKind, ModelRef, Observed, Record


@dataclass(frozen=True)
class RollBack:
    """From which model to which, by the names that people use; `version` is what git can declare to
    keep the second, "" where it is no version of the binding's model. Where both are one version,
    with other settings, that is spared."""

    target: ModelRef
    before: str
    after: str
    version: str = ""
    spares: bool = False


def rollback_of(world: World, observed: Observed, to: str = "") -> RollBack:
    """The roll-back to a version, or to the model before; RefusedError where there is none."""
    binding = observed.binding
    if observed.live.served != observed.artifact.ref:
        raise RefusedError(
            f"{binding.name} does not serve version {binding.version.version}, which git declares; "
            "change the version in git and apply"
        )
    target = _named(world, observed, to) if to else _before(world, observed)
    back = way_back_to(world, binding, target, observed.record)
    if back.missing:
        raise RefusedError(f"{binding.name} cannot be rolled back: {back.missing}")
    name, declared, live = back.version, binding.version.version, observed.artifact.ref
    if world.targets[binding.kind].is_one_model(target, live):
        if target not in observed.live.retired:
            why = f"{target.short_name}, which served {declared} with other settings, runs no more"
            raise RefusedError(f"{binding.name}: {why}; correct the settings in git, and apply")
        return RollBack(target, live.short_name, target.short_name, declared, spares=True)
    same = wanted_ref(world, _at(binding, name)) == target
    version = name if same else world.targets[binding.kind].version_of(binding, target)
    return RollBack(target, declared, name, version)


def _at(binding: Binding, version: str) -> Binding:
    return replace(binding, version=replace(binding.version, version=version))


def _named(world: World, observed: Observed, version: str) -> ModelRef:
    """The file of the named version; RefusedError where it cannot serve here."""
    wanted = replace(observed.binding.version, version=version)
    if wanted == observed.binding.version:
        raise RefusedError(f"{observed.binding.name} serves version {version} already")
    entry = world.ledger.read(wanted)
    if entry is None or entry.manifest.evaluation is None:
        made = observed.binding.recipe.made
        raise RefusedError(f"version {version} of {wanted.model} was never {made} to its end")
    if entry.manifest.rejected:
        raise RefusedError(f"version {version} is rejected: {entry.manifest.rejection}")
    # As its manifest calls its file: what git calls it may have changed since.
    ref = wanted_ref(world, replace(observed.binding, version=entry.manifest.version))
    events = observed.record.history if observed.record else ()
    if not any(event.what is EventKind.PROOF and event.model == ref for event in events):
        # What serves now is no measure: it is what a person wants to be rid of.
        evaluation = entry.manifest.evaluation
        judged = gates.judge(observed.binding.accept, evaluation.metrics, None, evaluation.rows)
        if lost := [str(judgement.rule) for judgement in judged if not judgement.passed]:
            raise RefusedError(
                f"version {version} was never proved here, and its gates do not accept it: "
                f"{', '.join(lost)}; roll back to another version"
            )
    return ref


def _before(world: World, observed: Observed) -> ModelRef:
    """The model that serves if the last swap is undone, or else the last other one that was proved
    here: what brought a lost or changed endpoint back knows only itself. RefusedError names the
    other choices."""
    record, live = observed.record, observed.live.served
    previous = [record.previous] if record is not None and observed.swapped_in else []
    proved = [e.model for e in reversed(record.history) if e.what in PROOFS] if record else []
    known = [ref for ref in (*previous, *proved) if ref is not None and ref != live]
    for ref in known:
        failed = record is not None and record.failed(ref) is not None
        if not failed and not is_rejected(world, observed.binding, ref, record):
            return ref
    why = "that is not rejected is known" if known else "is known"
    wanted = observed.binding.version
    versions = (
        manifest.version.version
        for manifest in world.ledger.versions(wanted.model)[0]
        if manifest.version.arguments == wanted.arguments
        and manifest.evaluation is not None
        and not manifest.rejected
        and manifest.version != wanted
    )
    others = ", ".join(versions)
    fix = f"name a version by --to: {others}" if others else "and there is no other version"
    raise RefusedError(
        f"no previous model of {observed.binding.name} {why}{'; ' if others else ', '}{fix}"
    )


def order(world: World, observed: Observed, back: RollBack, reason: str) -> None:
    """Note the way back and reject the live version, or only its settings. The next plan carries it
    out."""
    name, ref = observed.binding.version.version, observed.artifact.ref
    entry = world.ledger.read(observed.binding.version)
    if entry is None:
        raise RefusedError(f"there is no manifest of version {name}; nothing was changed")
    record = observed.record or _first_record(world, observed)
    rejected = replace(record, previous=back.target, proved=False)
    kind = EventKind.SETTINGS_REJECTED if back.spares else EventKind.REJECTED
    rejected = with_event(world, rejected, kind, reason, name, ref)
    world.ledger.keep_record(observed.binding.address, rejected)
    if observed.artifact.state is not ArtifactState.REJECTED and not back.spares:
        world.ledger.reject(entry, reason, world.moment, str(world.actor))


def _first_record(world: World, observed: Observed) -> Record:
    """The record of an address whose model this program has not swapped in."""
    ref, hidden = observed.artifact.ref, observed.live.hidden
    return Record(ref, None, ref if hidden else None, proved=False, at=world.moment)


def reinstate(world: World, observed: Observed, version: str, reason: str) -> Entry:
    """The manifest of a version whose rejection, or that of its settings, is taken back; the
    address's record tells why."""
    wanted = replace(observed.binding.version, version=version)
    entry = world.ledger.read(wanted)
    spared = observed.taken_back and wanted == observed.binding.version
    if entry is None or not (entry.manifest.rejected or spared):
        raise RefusedError(f"version {version} of {wanted.model} is not rejected")
    if observed.record is not None:
        ref = wanted_ref(world, replace(observed.binding, version=entry.manifest.version))
        kind = EventKind.REINSTATED
        reinstated = with_event(world, observed.record, kind, reason, version, ref)
        world.ledger.keep_record(observed.binding.address, reinstated)
    return world.ledger.reject(entry, "") if entry.manifest.rejected else entry
