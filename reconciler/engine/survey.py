"""One look at many bindings: what lists can answer at once is asked once. Sends only GET and HEAD.

A survey is a world like any other, and `observe` asks it the same questions; there is no second
notion of what is. Its answers come from lists where these show the whole answer, and from requests
of their own everywhere else: absence from a list is never believed, so that a list which is short,
late or empty costs requests and decides nothing. Only planning uses it. A step looks afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

from reconciler.engine.observe import look, observe
from reconciler.engine.reading import each, reading
from reconciler.engine.world import World
from reconciler.errors import ReconcilerError
from reconciler.ledger import Ledger
from reconciler.model import Binding, NotDeclared, Observed, Owned
from reconciler.soon import Once, Soon
from reconciler.stores.survey import Survey

T = TypeVar("T")


def survey(
    world: World,
    bindings: Iterable[Binding],
    parallel: int,
    declared: Iterable[Binding] | None = None,
) -> tuple[tuple[Observed, ...], NotDeclared]:
    """The observed state of all, and what is at no address of `declared`; None: not looked for."""
    wanted = tuple(bindings)
    with reading(parallel, "observe") as pool:
        lists: list[Future[Any]] = []

        def soon(work: Callable[[], T]) -> Callable[[], T]:
            lists.append(begun := pool.submit(work))
            return begun.result

        seen = surveyed(world, wanted, soon)
        # What this look waits for was begun before it, so it cannot wait for ever.
        lost = pool.submit(_not_declared, seen, declared)
        observed = each(
            pool,
            parallel,
            lambda binding: look(seen, binding),
            lambda binding, live: observe(seen, binding, live),
            wanted,
            ready=lambda: all(listed.done() for listed in lists),
        )
        return observed, lost.result()


def _not_declared(world: World, declared: Iterable[Binding] | None) -> NotDeclared:
    """Endpoints with our mark at none of the addresses of `declared`, which are all of them.

    A kind of which nothing is declared is asked where the store has records of it. A list that
    cannot be read to its end shows nothing. None: nobody wants to know.

    A mark alone is no proof of who made an endpoint: two clones with a store of their own at equal
    relative paths have one mark. The record is written before an endpoint is made, so whatever this
    environment made has one in its store. An adopted endpoint needs none, for it is not deleted.
    """
    if declared is None:
        return NotDeclared()
    known = frozenset(binding.address.id for binding in declared)
    ours: list[Owned] = []
    unread: list[str] = []
    unrecorded: list[str] = []
    # The store's word of the idle kinds comes while the lists of the others are on their way.
    for kind in (*sorted(world.idle), *sorted(world.targets)):
        try:
            if kind in world.targets or world.ledger.has_records(world.idle[kind].prefix):
                for owned in world.target(kind).owned(known):
                    if not owned.adopted and world.ledger.record(owned.address) is None:
                        unrecorded.append(str(owned.address))
                    else:
                        ours.append(owned)
        except ReconcilerError as exc:
            unread.append(f"{kind}: {exc.message}")
    ours.sort(key=lambda owned: str(owned.address))
    return NotDeclared(tuple(ours), tuple(unread), tuple(sorted(unrecorded)))


def surveyed(world: World, bindings: tuple[Binding, ...], soon: Soon) -> World:
    """The world as it is seen by the lists that are read from now on."""
    targets = {
        kind: target.surveyed([b for b in bindings if b.kind == kind], soon)
        for kind, target in world.targets.items()
    }
    groups = _groups(world.ledger, bindings) if world.store.lists_contents else ()
    store = Survey(world.store, groups, soon)
    inputs = [path for binding in bindings for _, path in binding.recipe.inputs]
    data = Survey(world.data, [inputs] if world.data.lists_fingerprints else (), soon)
    ledger = Ledger(store).glance()
    return replace(world, targets=targets, store=store, data=data, ledger=ledger, looked=Once())


def _groups(ledger: Ledger, bindings: tuple[Binding, ...]) -> list[list[str]]:
    """The files that `observe` asks for of bindings in sync: records, and versions."""
    versions = [binding.version for binding in bindings]
    return [
        [ledger.record_name(binding.address) for binding in bindings],
        [name(v) for v in versions for name in (ledger.manifest_name, ledger.model_name)],
    ]
