"""Accepted versions, registered where their model says so.

It happens before a version is bound, so that whatever serves is registered; a registry that cannot
be reached keeps an endpoint at its previous model. Nothing notes that it happened: the registry is
asked, and answers with the number that the version has there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.engine.world import World
    from reconciler.model import Binding, Model


def publish(world: World, binding: Binding, model: Model) -> None:
    """Register the declared version wherever its model is published to."""
    if not binding.publish:
        return
    entry = world.ledger.read(binding.version)
    labels: dict[str, str] = {}
    if entry is not None:
        manifest = entry.manifest
        inputs = manifest.attempts[-1].inputs if manifest.attempts else {}
        labels = {f"data.{path}": seen for path, seen in sorted(inputs.items())}
        labels |= {"commit": manifest.commit} if manifest.commit else {}
    for registry, name in binding.publish:
        world.registries[f"registry/{registry}"].publish(name, model, labels)
