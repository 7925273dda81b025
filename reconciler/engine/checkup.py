"""Checks of a world before money is spent. Only reads, and asks live endpoints probes.

A plan says what stands in the way of a change; here is what a plan does not ask: whether the store
can be listed and written, whether engines answer that have nothing to do today, and whether an
endpoint gives the answer that will prove its next version.

A check asks the question of a run beforehand, in the words of the run. It does not imitate: the
probe is sent by the code that proves, the store is listed by the code that reads it, and an engine
is asked for a job that cannot exist, which takes the same right as a real one. A check of its own
making would be right about itself, and the run would fail nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler import verify
from reconciler.engine import tables
from reconciler.engine.models import manifest_of
from reconciler.engine.prove import answer, asks
from reconciler.engine.reading import reading
from reconciler.engine.world import World
from reconciler.errors import ReconcilerError
from reconciler.model import ArtifactState, Binding, Check, HealthCode, Level, Observed
from reconciler.stores.contract import KnowsRights, Store, beginning_of

_NOBODY = f"rc-{0:032x}-a1"  # the id of a job that no training has
_NOTHING = "_doctor/"  # below which no store has anything


def stores(world: World, bindings: Iterable[Binding]) -> Iterator[Check]:
    """Whether the store and the data are there and open.

    Names in a whole account begin with a container, so the data is listed where inputs are.
    """
    yield _store("store", world.store, "", written=True)
    paths = {path for binding in bindings for _, path in binding.recipe.inputs}
    for below in sorted({"/".join(path.split("/", 1)[:-1]) for path in paths}):
        yield _store("data", world.data, below and f"{below}/", written=False)


def _store(what: str, store: Store, below: str, *, written: bool) -> Check:
    try:
        next(iter(store.list(below + _NOTHING)), None)
    except ReconcilerError as exc:
        return Check(what, Level.ERROR, exc.message)
    if written and isinstance(store, KnowsRights) and (why := store.why_not_writable()):
        return Check(what, Level.ERROR, why)
    return Check(what, Level.FINE, f"{store.uri}/{below}" if below else store.uri)


def engines(world: World) -> Iterator[Check]:
    """Whether each training engine answers, also one that has nothing to do today."""
    for name, trainer in sorted(world.trainers.items()):
        if name in world.registries:
            continue
        try:
            trainer.look(_NOBODY)
        except ReconcilerError as exc:
            yield Check(f"engine {name}", Level.ERROR, exc.message)
        else:
            yield Check(f"engine {name}", Level.FINE, "it answers")


def data(world: World, observed: Iterable[Observed], parallel: int) -> list[Check]:
    """Checks of the heads of tables that versions are still to be trained on."""
    wanted = [
        (o, port, path)
        for o in observed
        if o.artifact.state is ArtifactState.ABSENT and not o.binding.recipe.takes
        for port, path in o.binding.recipe.inputs
        if tables.is_table(path)
    ]
    before = {(o.binding.name, port): _before(world, o, port) for o, port, _ in wanted}
    paths = sorted({path for _, _, path in wanted} | set(filter(None, before.values())))
    with reading(parallel, "doctor") as pool:
        heads = dict(zip(paths, pool.map(lambda path: _head(world, path), paths), strict=True))
    checks = []
    for o, port, path in wanted:
        binding, head, other = o.binding, heads[path], before[o.binding.name, port]
        known = tables.columns_of(other, heads[other] or b"") if other else ()
        declared, about = dict(binding.columns).get(port, ()), (binding.source, (binding.name,))
        wrong = [] if head is None else list(tables.flaws(path, head, declared, known))
        fix = "correct the file, or declare what it holds"
        checks += [Check("data", level, f"{path}: {why}", fix, *about) for level, why in wrong]
        if head is not None and not wrong:
            checks.append(Check("data", Level.FINE, "", "", *about))
    return checks


def _before(world: World, o: Observed, port: str) -> str:
    """The path of the data that the serving version was trained on, "" where nobody knows it."""
    manifest = manifest_of(world, o.binding, o.live.served, o.record)
    path = dict(manifest.recipe.inputs).get(port, "") if manifest else ""
    return path if tables.is_table(path) else ""


def _head(world: World, path: str) -> bytes | None:
    """The first bytes of a table; None where they cannot be read, of which the plan tells."""
    try:
        return beginning_of(world.data, path, tables.MOST_HEAD)
    except ReconcilerError:
        return None


def registered(world: World, observed: Iterable[Observed], parallel: int) -> list[Check]:
    """Whether versions that serve could be taken in again; a plan looks at those that must be."""
    serving = [
        observation
        for observation in observed
        if observation.binding.recipe.trainer in world.registries
        and observation.live.served == observation.artifact.ref
    ]
    with reading(parallel, "doctor") as pool:
        return [
            check
            for check in pool.map(lambda observation: _registered(world, observation), serving)
            if check
        ]


def _registered(world: World, observation: Observed) -> Check | None:
    """The finding about the registry's word on a version that serves; None where all is well."""
    binding = observation.binding
    try:
        why = world.registries[binding.recipe.trainer].look(binding.recipe).refusal
    except ReconcilerError as exc:
        why = exc.message
    fix = "it serves now, and no run could bring it back"
    names = (binding.name,)
    return Check("registry", Level.WARNING, why, fix, binding.source, names) if why else None


def probes(world: World, observed: Iterable[Observed], parallel: int) -> list[Check]:
    """Checks of the answer of each live endpoint to the probe that will prove its next version."""
    serving = [
        observation
        for observation in observed
        if observation.live.served is not None
        and observation.live.health.code is not HealthCode.MISSING
        and not observation.binding.absent
        and asks(world.targets[observation.binding.kind], observation.binding)
    ]
    with reading(parallel, "doctor") as pool:
        return list(pool.map(lambda observation: _probe(world, observation), serving))


def _probe(world: World, observation: Observed) -> Check:
    """The finding about what an endpoint answers today to the probe of its next proof."""
    binding, level = observation.binding, Level.ERROR
    try:
        given = answer(world.targets[binding.kind], binding)
    except ReconcilerError as exc:
        why = exc.message
    else:
        assert binding.probe is not None
        # Another model than the declared one has the columns; its cells may be others.
        declared = observation.live.served == observation.artifact.ref
        probe = binding.probe if declared else binding.probe.of_any_model
        health = verify.judge_score(probe, given.score)
        why = "" if health.code is HealthCode.HEALTHY else health.message
        level = Level.ERROR if why else Level.FINE
    fix = "correct spec.verify or the server: the next swap would be rolled back" if why else ""
    words = why or "it answers as the proof will ask"
    return Check("probe", level, words, fix, binding.source, (binding.name,))


def platforms(world: World, bindings: Iterable[Binding]) -> Iterator[Check]:
    """Checks that only the platforms know."""
    wanted = tuple(bindings)
    for name, connected in sorted(world.connected.items()):
        try:
            yield from connected.checks(wanted)
        except ReconcilerError as exc:
            yield Check(f"platform {name}", Level.ERROR, exc.message)
