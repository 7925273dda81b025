"""What this environment made and git does not declare any more. Sends only GET and HEAD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError
from reconciler.model import NotDeclared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.engine.world import World
    from reconciler.model import Binding, Owned


def look_for_not_declared(world: World, declared: Iterable[Binding] | None) -> NotDeclared:
    """What carries our mark and is at none of the addresses of `declared`, all of the environment.

    A kind of which nothing is declared is asked where the store has records of it. A list that
    cannot be read to its end shows nothing. None: nobody wants to know.
    """
    if declared is None:
        return NotDeclared()
    known = frozenset(binding.address.id for binding in declared)
    found: list[Owned] = []
    unread: list[str] = []
    # The store's word of the idle kinds comes while the lists of the others are on their way.
    for kind in (*sorted(world.idle), *sorted(world.targets)):
        try:
            if kind in world.targets or world.ledger.has_records(world.idle[kind].prefix):
                found += world.target(kind).owned(known)
        except ReconcilerError as exc:
            unread.append(f"{kind}: {exc.message}")
    return NotDeclared(tuple(sorted(found, key=lambda one: str(one.address))), tuple(unread))
