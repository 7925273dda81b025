"""The versions of a model and the events at an address, as the store remembers them. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.engine.models import version_name
from reconciler.engine.observe import observe_live
from reconciler.engine.reading import reading
from reconciler.engine.world import World
from reconciler.errors import WireError
from reconciler.ledger import Manifest
from reconciler.model import Binding, History, Live, MadeVersion, Observed, Record, VersionState


def history(world: World, binding: Binding) -> History:
    """The versions of the binding's model (and arguments), and the events at its address."""
    live, record = observe_live(world, binding)
    made, damaged = world.ledger.versions(binding.version.model)
    return _history(world, binding, live, record, made, "; ".join(damaged))


def histories(world: World, observed: Sequence[Observed], parallel: int) -> tuple[History, ...]:
    """The history of each of what was observed; the manifests of a model are read once for all.

    Where they cannot all be read, `unread` says why.
    """
    made: dict[str, dict[object, list[Manifest]]] = {}
    unread: dict[str, str] = {}
    with reading(parallel, "history") as pool:
        for model in dict.fromkeys(observation.binding.version.model for observation in observed):
            by_arguments = made.setdefault(model, {})
            try:
                manifests, damaged = world.ledger.versions(model, pool.map)
                unread[model] = "; ".join(damaged)
                for manifest in manifests:
                    by_arguments.setdefault(manifest.version.arguments, []).append(manifest)
            except WireError as exc:
                unread[model] = exc.message
    return tuple(
        _history(
            world,
            observation.binding,
            observation.live,
            observation.record,
            made[observation.binding.version.model].get(observation.binding.version.arguments, ()),
            unread.get(observation.binding.version.model, ""),
        )
        for observation in observed
    )


def _history(
    world: World,
    binding: Binding,
    live: Live,
    record: Record | None,
    manifests: Iterable[Manifest],
    unread: str = "",
) -> History:
    """The history of one binding: events of its record, and the versions of its model."""
    own = [m for m in manifests if m.version.arguments == binding.version.arguments]
    events = record.history if record else ()
    return History(
        name=binding.name,
        address=str(binding.address),
        live=_name(world, binding, live, record),
        versions=tuple(_made(m) for m in sorted(own, key=lambda m: m.claimed_at)),
        events=events,
        unread=unread,
    )


def _name(world: World, binding: Binding, live: Live, record: Record | None) -> str:
    if live.served is None:
        return ""
    return version_name(world, binding, live.served, record) or live.served.short_name


def _made(manifest: Manifest) -> MadeVersion:
    """One version as its manifest tells it, for people."""
    state, why = _state(manifest)
    evaluation = manifest.evaluation
    spent = evaluation.spent if evaluation else None
    return MadeVersion(
        version=manifest.version.version,
        state=state,
        at=manifest.claimed_at,
        commit=manifest.commit,
        job=manifest.attempts[-1].job if manifest.attempts else "",
        metrics=evaluation.metrics if evaluation else {},
        why=why,
        took_s=manifest.duration_s,
        run=manifest.claimed_by,
        recipe=manifest.recipe.as_json(),
        inputs=manifest.attempts[-1].inputs if manifest.attempts else {},
        made_at=evaluation.noted_at if evaluation else "",
        rows=evaluation.rows if evaluation else None,
        queued_s=spent.queued_s if spent else None,
        machines=spent.machines if spent else "",
    )


def _state(manifest: Manifest) -> tuple[VersionState, str]:
    """How far a version is by its manifest, and why, in words."""
    if manifest.rejected:
        return VersionState.REJECTED, manifest.rejection
    if manifest.evaluation is not None:
        if manifest.refused:
            return VersionState.NOT_ACCEPTED, manifest.refused
        return VersionState(manifest.recipe.made), ""
    if not manifest.attempts:
        return VersionState.CLAIMED, ""
    failure = manifest.attempts[-1].failure
    return (VersionState.FAILED, failure) if failure else (VersionState.BEGUN, "")
