"""The way back: to which model an address returns if a swap is not proved. Sends only GET, HEAD.

It is the model that was last known to be good, which need not be the one that serves: a swap may
have been cut off before its proof, or a rejected version may have been put back by hand.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.engine.models import manifest_of, model_of, version_name
from reconciler.engine.world import World
from reconciler.model import (
    ArtifactState,
    Binding,
    HealthCode,
    Live,
    ModelRef,
    Observed,
    Record,
    WayBack,
)


def observe_way_back(world: World, observed: Observed) -> WayBack:
    """The way back of the swap that is in sight, forward or back; empty when there is none. Of an
    endpoint that is lost: to the model that was proved there, if the declared one is rejected."""
    binding, live, artifact = observed.binding, observed.live, observed.artifact
    record, barred = observed.record, observed.barred
    if live.health.code is HealthCode.MISSING:
        return _to_restore(world, observed)
    readable = live.health.code is not HealthCode.UNKNOWN
    there = live.served == artifact.ref and not live.undecided
    if not (readable and live.refusal is None and (barred or not there)):
        return WayBack()
    is_one_model = world.targets[binding.kind].is_one_model
    for ref in _candidates(live, record):
        if ref is None or ref == artifact.ref:
            continue
        # The version was rejected with another secret or machine, and was proved here without.
        was_good = ref == last_good(record) and is_one_model(ref, artifact.ref)
        if was_good or not is_rejected(world, binding, ref, record):
            return way_back_to(world, binding, ref, record)
    # Whether the wanted model is the way back itself, from one that is known to be no good.
    if not barred and last_good(record) == artifact.ref:
        return way_back_to(world, binding, artifact.ref, record)
    return WayBack(missing=_why_none(live))


def _to_restore(world: World, observed: Observed) -> WayBack:
    """The model that was proved at an endpoint which is lost, where git declares a version that is
    rejected; empty where this program deleted it, or cannot make it with a model."""
    binding, record, good = observed.binding, observed.record, last_good(observed.record)
    rejected = observed.artifact.state is ArtifactState.REJECTED and observed.live.refusal is None
    can = binding.create is not None and world.targets[binding.kind].can.serves_at_once
    if not (rejected and can) or record is None or good in (None, observed.artifact.ref):
        return WayBack()
    if record.deleted or not record.proved_at or is_rejected(world, binding, good, record):
        return WayBack()
    return way_back_to(world, binding, good, record)


def last_good(record: Record | None) -> ModelRef | None:
    """The model that was last known to be good at an address."""
    return record.good if record else None


def _candidates(live: Live, record: Record | None) -> tuple[ModelRef | None, ...]:
    """Models that may be good, the most trusted first.

    A model that this program swapped in and never proved is not among them. Any other that
    serves was there before us, or was put there by somebody, and comes after one that was proved.
    """
    if record is None:
        return (live.served,)
    if record.proved:
        return (record.wanted, live.served, record.previous)
    return (record.previous,) if record.wanted == live.served else (record.previous, live.served)


def is_rejected(world: World, binding: Binding, ref: ModelRef, record: Record | None) -> bool:
    """Whether the model is of a version that no run may bind."""
    manifest = manifest_of(world, binding, ref, record)
    return manifest is not None and bool(manifest.rejected)


def way_back_to(world: World, binding: Binding, ref: ModelRef, record: Record | None) -> WayBack:
    """The way back to a model; empty, with the reason, where it could not be swapped in again."""
    model = replace(model_of(manifest_of(world, binding, ref, record), ref), served_as=ref)
    at = world.file_at(model.ref.url)
    if at is None and not world.targets[binding.kind].can.foreign:
        return WayBack(missing=f"{ref} is not in the store, so it could not be swapped in again")
    if at is not None and at[0].head(at[1]) is None:
        return WayBack(missing=f"{ref} is gone from the store")
    name = version_name(world, binding, ref, record)
    return WayBack(ref, name or ref.short_name, model=model, named=name)


def _why_none(live: Live) -> str:
    if live.served is not None:
        return "the live model was never proved, or is rejected, and none before it is known"
    if live.hidden:
        return "the service hides its model, and no record of one was kept"
    return f"the live model has no plain URI: {live.model_text or 'none'}"
