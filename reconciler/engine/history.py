"""What was made of a model and done at an address, as the store remembers it. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.observe import observe_live
from reconciler.model import History, MadeVersion

if TYPE_CHECKING:
    from reconciler.engine.world import World
    from reconciler.ledger import Manifest
    from reconciler.model import Binding


def history(world: World, binding: Binding) -> History:
    """The versions of the binding's model (and arguments), and the events at its address."""
    live, record = observe_live(world, binding)
    manifests = [
        manifest
        for manifest in world.ledger.versions(binding.version.model)
        if manifest.version.arguments == binding.version.arguments
    ]
    events = record.history if record else ()
    return History(
        name=binding.name,
        address=str(binding.address),
        live=world.ledger.name_of(live.ref, binding.version) if live.ref else "",
        versions=tuple(_made(m) for m in sorted(manifests, key=lambda m: m.claimed_at)),
        events=events,
        names={e.model.url: world.ledger.name_of(e.model, binding.version) for e in events},
    )


def _made(manifest: Manifest) -> MadeVersion:
    state, why = _state(manifest)
    evaluation = manifest.evaluation
    return MadeVersion(
        version=manifest.version.version,
        state=state,
        at=manifest.claimed_at,
        commit=manifest.commit,
        job=manifest.attempts[-1].job if manifest.attempts else "",
        metrics=evaluation.metrics if evaluation else {},
        why=why,
    )


def _state(manifest: Manifest) -> tuple[str, str]:
    if manifest.rejected:
        return "rejected", manifest.rejected
    if manifest.evaluation is not None:
        return ("not accepted", manifest.refused) if manifest.refused else ("trained", "")
    failure = manifest.attempts[-1].failure if manifest.attempts else ""
    return ("failed", failure) if failure else ("begun", "")
