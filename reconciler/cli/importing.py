"""`reconciler import`: what is live and nobody declares, as files of desired state.

The world is only read. A file is written where there was none, so what people wrote is never
edited; and what is declared is left out, so a second import finds nothing. An endpoint whose
versions nobody can tell how they are made is `paused` until a person says it: the first plan is
empty either way.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import desired, errors
from reconciler.cli import choose, compose, session
from reconciler.cli.made import Made
from reconciler.console import say
from reconciler.desired.writing import Draft, folded, wrong
from reconciler.errors import ReconcilerError
from reconciler.model import Action
from reconciler.outcome import Kept, Outcome, Valid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from reconciler.cli.options import Where
    from reconciler.engine.world import World
    from reconciler.model import AddressId, Desired
    from reconciler.platforms.contract import Unmanaged

FOLDER = "imported"
MODEL = "Model"
UNKNOWN = "unknown"  # the version of an endpoint whose model nobody can tell
_NO_NAME = re.compile(r"[^a-z0-9.-]+")
_MOST_NAMED = 120
_MOST_SAID = 10


@dataclass(frozen=True)
class Found:
    """An endpoint that nobody declares, and its kind."""

    kind: str
    endpoint: Unmanaged


def import_(where: Where, globs: list[str], *, dry_run: bool) -> Outcome:
    """`import`: 0 when everything that was asked for is declared now, 7 when some could not be, 1
    when nothing could be read."""
    wanted, every = choose.among(where)
    session.introduce(wanted.environment)
    with session.opened(wanted, None) as opened, opened.stop.only_reading():
        found, failed = unmanaged(opened.world, wanted, every.values())
    for why in failed:
        say(why)
    chosen = [each for each in found if _fits(each, globs)]
    taken = {binding.name for each in every.values() for binding in each.bindings}
    drafts, left = _drafts(chosen, taken, set(desired.models(where.services)))
    for why, names in left.items():
        more = f" and {len(names) - _MOST_SAID:,} more" if len(names) > _MOST_SAID else ""
        say(f"left out: {', '.join(names[:_MOST_SAID])}{more}: {why}")
    code = errors.PARTIAL if left or failed else errors.SUCCESS
    if not drafts:
        say("nothing is to be imported: all that was found is declared")
        return Outcome(exit_code=errors.ERROR if failed and not found else code)
    models = [draft for draft in drafts if draft.kind == MODEL]
    bindings = [draft for draft in drafts if draft.kind != MODEL]
    texts = dict(_texts(wanted, [*models, *folded(bindings)]))  # one Model stands for one model
    if dry_run:
        return Outcome(Kept("".join(texts.values())), code)
    return _written(where, wanted, texts, {draft.name for draft in bindings}, code)


def unmanaged(
    world: World, wanted: Desired, every: Iterable[Desired]
) -> tuple[list[Found], list[str]]:
    """What is live of every kind and declared by no environment; why some could not be listed."""
    declared, found, failed = _declared(wanted, every), list[Found](), list[str]()
    for kind, target in compose.kinds_of(world):
        try:
            found += [Found(kind, each) for each in target().unmanaged(declared)]
        except ReconcilerError as exc:
            failed.append(f"{kind}: {exc.message}")
    return found, failed


def _declared(wanted: Desired, every: Iterable[Desired]) -> frozenset[AddressId]:
    """The addresses that any environment of the tree declares in the same place."""
    here = wanted.environment.places
    return frozenset(
        binding.address.id
        for each in every
        if each.environment.places == here
        for binding in each.bindings
    )


def _fits(found: Found, globs: list[str]) -> bool:
    names = (found.endpoint.name, str(found.endpoint.address))
    return not globs or any(fnmatchcase(name, glob) for name in names for glob in globs)


# --- documents ---------------------------------------------------------------------------------


def _drafts(
    chosen: Iterable[Found], names: set[str], models: set[str]
) -> tuple[list[Draft], dict[str, list[str]]]:
    """Models and bindings, and the names of what can be no document, by the reason. `names` of
    bindings, and of `models`, are declared already."""
    rules = compose.rules()
    made: dict[str, str] = {}  # the model's name, by how its versions are made
    drafts: list[Draft] = []
    left: dict[str, list[str]] = {}
    for found in chosen:
        endpoint = found.endpoint
        model = _model(endpoint, models, made)
        binding = _binding(found, _free(endpoint.name, names), model.name)
        is_new = model.name not in models
        why = (wrong(model, rules) if is_new else "") or wrong(binding, rules)
        if "${" in repr((endpoint.spec, endpoint.made)):
            why = "a name in it looks like a placeholder (${…}); declare it by hand"
        if why:
            left.setdefault(why, []).append(endpoint.name)
            continue
        names.add(binding.name)
        models.add(model.name)
        made[_how(endpoint)] = model.name
        drafts += [model, binding] if is_new else [binding]
    return drafts, left


def _how(endpoint: Unmanaged) -> str:
    return repr((endpoint.model, endpoint.made)) if endpoint.made else ""


def _model(endpoint: Unmanaged, models: Collection[str], made: dict[str, str]) -> Draft:
    """The model of an endpoint: one that is drafted already where its versions are made alike, and
    one for all of which nobody knows."""
    known = made.get(_how(endpoint))
    if endpoint.made:
        return Draft(MODEL, known or _free(endpoint.model, models), endpoint.made)
    spec = {"file": "unknown/${version}/model"}
    comments = ("Decide how versions are made; until then what names this model is paused.",)
    return Draft(MODEL, known or _free("imported", models), spec, comments)


def _binding(found: Found, name: str, model: str) -> Draft:
    endpoint = found.endpoint
    version = endpoint.version if endpoint.made else UNKNOWN
    spec: dict[str, Any] = {**endpoint.spec, "model": {"name": model, "version": version}}
    if endpoint.made:
        return Draft(found.kind, name, spec, tuple(f"Decide {each}." for each in endpoint.decide))
    comments = (*endpoint.decide, "which model and version it serves")
    said = f"Decide {', '.join(comments)}; then take out paused."
    return Draft(found.kind, name, {**spec, "paused": True}, (said,))


def _free(text: str, taken: Collection[str]) -> str:
    """A name of a document that is like the text, and that nothing has."""
    name = _NO_NAME.sub("-", text.lower()).strip("-.")[:_MOST_NAMED].strip("-.") or "endpoint"
    numbers = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *numbers) if each not in taken)


# --- files -------------------------------------------------------------------------------------


def _texts(wanted: Desired, drafts: list[Draft]) -> Iterator[tuple[Path, str]]:
    """The files: one of all documents, and a table for each fleet."""
    folder = Path(wanted.environment.source.path).parent / FOLDER
    number = 1
    while any(folder.glob(f"endpoints-{number}*")) or any(folder.glob(f"fleet-{number}-*")):
        number += 1
    fleets = [draft for draft in drafts if draft.rows]
    tables = {draft.name: f"fleet-{number}-{n}.csv" for n, draft in enumerate(fleets, 1)}
    for draft in fleets:
        yield folder / tables[draft.name], draft.table
    documents = [draft.text(tables.get(draft.name, "") if draft.rows else "") for draft in drafts]
    yield folder / f"endpoints-{number}.yaml", _schema(wanted, folder) + "---\n".join(documents)


def _schema(wanted: Desired, folder: Path) -> str:
    """The first line, by which editors find the schema that the environment names."""
    source = Path(wanted.environment.source.path)
    found = re.match(r"# yaml-language-server: \$schema=(\S+)", source.read_text(encoding="utf-8"))
    if found is None or "://" in found[1]:
        return f"{found[0]}\n" if found else ""
    there = os.path.relpath(source.parent / found[1], folder)
    return f"# yaml-language-server: $schema={there}\n"


def _written(
    where: Where, wanted: Desired, texts: dict[Path, str], names: set[str], code: int
) -> Outcome:
    made, name = Made(), wanted.environment.name
    try:
        for path, text in texts.items():
            made.write(path, text.encode())
        now = compose.load(where.services, name)
    except BaseException:
        made.undo()
        raise
    with session.opened(now[name], None) as opened:
        plan = opened.plan()
    moved = [c.name for c in plan.changes if c.name in names and c.action is not Action.NOOP]
    if moved:
        say(f"a plan would change what was imported; look at {', '.join(moved[:_MOST_SAID])}")
    paused = sum(binding.paused for binding in now[name].bindings if binding.name in names)
    waits = f"; {paused:,} of them are paused until a person decides" if paused else ""
    say(f"imported {len(now[name].bindings) - len(wanted.bindings):,} endpoints{waits}")
    return Outcome(Valid({name: len(now[name].bindings)}), errors.ERROR if moved else code)
