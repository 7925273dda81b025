"""Reads that a plan of a *changed* desired state would need: made now, for a snapshot to hold. Only
reads.

A pull request may want another version, take back a change of a recipe, or bind anew. What its plan
would ask of the store and of training engines is read here besides what today's plan asks; who
keeps the answers listens to the client.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, takewhile

from reconciler.engine.observe import observe, observe_artifact
from reconciler.engine.world import World
from reconciler.errors import ReconcilerError, RefusedError
from reconciler.ledger import Manifest
from reconciler.model import Binding, Health, HealthCode, Live

log = logging.getLogger(__name__)

MOST_BESIDE = 2_000  # endpoints of one kind
MOST_LISTED = 50_000  # files below one folder of inputs; of a larger one, nothing is kept


def read_around(world: World, bindings: Iterable[Binding], parallel: int) -> None:
    """Read the store's list, records and manifests, the lists of inputs, unfinished jobs, and the
    endpoints beside those that are bound."""
    wanted = tuple(bindings)
    models = {binding.version.model for binding in wanted}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="around") as pool:
        manifests = world.ledger.around(models, pool.map)
        folders = {_folder(b, path) for b in wanted for _, path in b.recipe.inputs}
        for _ in pool.map(lambda folder: _read_list(world, folder), sorted(folders)):
            pass
        for _ in pool.map(lambda binding: _read_job(world, binding), _begun(wanted, manifests)):
            pass
        for _ in pool.map(lambda binding: observe(world, binding), _beside(world, wanted)):
            pass


def _folder(binding: Binding, path: str) -> str:
    """The folder of an input, as far as it is the same for every version and argument."""
    *folders, _ = path.split("/")
    names = [binding.version.version, *(value for _, value in binding.version.arguments)]
    same = takewhile(lambda name: not any(part in name for part in names), folders)
    return "".join(f"{name}/" for name in same)


def _read_list(world: World, folder: str) -> None:
    """Read the list of a folder, unless it is too long to be kept, or no list is given of it."""
    try:
        count = sum(1 for _ in islice(world.data.list(folder), MOST_LISTED + 1))
    except RefusedError as exc:
        log.info("%s", exc.message)
        return
    if count > MOST_LISTED:
        log.info("%s holds more than %s files; which, is not kept", folder, MOST_LISTED)


def _begun(wanted: Iterable[Binding], manifests: Iterable[Manifest]) -> Iterator[Binding]:
    """A binding that wants it, for each version whose job may be unfinished."""
    by_model = {(b.version.model, b.version.arguments): b for b in wanted}
    for manifest in manifests:
        binding = by_model.get((manifest.version.model, manifest.version.arguments))
        begun = manifest.evaluation is None and manifest.attempts and not manifest.rejected
        if binding is not None and begun and manifest.recipe.trainer == binding.recipe.trainer:
            yield replace(binding, version=manifest.version, recipe=manifest.recipe)


def _read_job(world: World, binding: Binding) -> None:
    """Look at the job; that it cannot be looked at will be said when somebody asks for it."""
    try:
        observe_artifact(world, binding, Live(Health(HealthCode.HEALTHY)))
    except ReconcilerError as exc:
        log.info("version %s: %s", binding.version, exc.message)


def _beside(world: World, wanted: tuple[Binding, ...]) -> Iterator[Binding]:
    """A binding of its kind for each endpoint that nobody binds, as far as lists show them."""
    for kind, target in world.targets.items():
        bound = [binding for binding in wanted if binding.kind == kind]
        try:
            addresses = list(islice(target.neighbours(bound), MOST_BESIDE))
        except ReconcilerError as exc:
            log.info("what is beside the endpoints of kind %s: %s", kind, exc.message)
            continue
        yield from (replace(bound[0], address=address) for address in addresses)
