"""`reconciler import`: what is live and nobody declares, as files of desired state.

The world is only read. A file is written where there was none, so what people wrote is never
edited; and what is declared is left out, so a second import finds nothing. An endpoint whose
versions nobody can tell how they are made is `paused` until a person says it: the first plan is
empty either way.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import desired, errors
from reconciler.cli import choose, compose, session
from reconciler.cli.made import Made
from reconciler.console import say
from reconciler.desired.writing import Draft, folded, wrong
from reconciler.errors import ConfigurationError, ReconcilerError
from reconciler.model import Action
from reconciler.outcome import Kept, Outcome, Valid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.cli.options import Where
    from reconciler.engine.world import World
    from reconciler.errors import Problem
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
    drafts, left = _drafts(chosen, _Names(taken), _Names(desired.models(where.services)))
    _say_left(left)
    code = errors.PARTIAL if left or failed else errors.SUCCESS
    if not drafts:
        if not left:
            say("nothing to import: every live endpoint is declared")
        return Outcome(exit_code=errors.ERROR if failed and not found else code)
    if dry_run:
        return Outcome(Kept("".join(text for _, text in _texts(wanted, _arranged(drafts)))), code)
    return _written(where, wanted, drafts, code)


def _say_left(left: Mapping[str, list[str]]) -> None:
    """Name what is not imported, by the reason."""
    for why, names in left.items():
        more = f" and {len(names) - _MOST_SAID:,} more" if len(names) > _MOST_SAID else ""
        say(f"left out: {', '.join(names[:_MOST_SAID])}{more}: {why}")


def unmanaged(
    world: World, wanted: Desired, every: Iterable[Desired]
) -> tuple[list[Found], list[str]]:
    """The live endpoints that no environment declares; why some could not be listed."""
    declared, found, failed = _declared(wanted, every), list[Found](), list[str]()
    for kind, target in compose.kinds_of(world):
        try:
            for each in target().unmanaged(declared):
                if each.unread:
                    failed.append(f"{kind} {each.name}: {each.unread}")
                else:
                    found.append(Found(kind, each))
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
    chosen: Iterable[Found], names: _Names, models: _Names
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
        binding = _binding(found, names.free(endpoint.name), model.name)
        is_new = model.name not in models.taken
        why = (wrong(model, rules) if is_new else "") or wrong(binding, rules)
        if "${" in repr((endpoint.spec, endpoint.made)):
            why = "a name in it looks like a placeholder (${…}); declare it by hand"
        if why:
            left.setdefault(why, []).append(endpoint.name)
            continue
        names.taken.add(binding.name)
        models.taken.add(model.name)
        made[_how(endpoint)] = model.name
        drafts += [model, binding] if is_new else [binding]
    return drafts, left


def _how(endpoint: Unmanaged) -> str:
    return repr((endpoint.model, endpoint.made)) if endpoint.made else ""


def _model(endpoint: Unmanaged, models: _Names, made: dict[str, str]) -> Draft:
    """The model of an endpoint: one that is drafted already where its versions are made alike, and
    one for all of which nobody knows."""
    known = made.get(_how(endpoint))
    if endpoint.made:
        return Draft(MODEL, known or models.free(endpoint.model), endpoint.made)
    spec = {"file": "unknown/${version}/model"}
    comments = ("Decide how versions are made; until then what names this model is paused.",)
    return Draft(MODEL, known or models.free("imported"), spec, comments)


def _binding(found: Found, name: str, model: str) -> Draft:
    endpoint = found.endpoint
    version = endpoint.version if endpoint.made else UNKNOWN
    spec: dict[str, Any] = {**endpoint.spec, "model": {"name": model, "version": version}}
    if endpoint.made:
        return Draft(found.kind, name, spec, tuple(f"Decide {each}." for each in endpoint.decide))
    comments = (*endpoint.decide, "which model and version it serves")
    said = f"Decide {', '.join(comments)}; then take out paused."
    return Draft(found.kind, name, {**spec, "paused": True}, (said,))


class _Names:
    """Names of documents that are taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self._next: dict[str, int] = {}  # 10,000 files may all be called model.json

    def free(self, text: str) -> str:
        """A name that is like the text, and that nothing has."""
        name = _NO_NAME.sub("-", text.lower()).strip("-.")[:_MOST_NAMED].strip("-.") or "endpoint"
        if name not in self.taken:
            return name
        number = self._next.get(name, 2)
        while f"{name}-{number}" in self.taken:
            number += 1
        self._next[name] = number
        return f"{name}-{number}"


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


def _arranged(drafts: Iterable[Draft]) -> list[Draft]:
    """The documents as they are written: models first, and fleets of bindings that are alike."""
    every = list(drafts)
    models = [draft for draft in every if draft.kind == MODEL]  # one stands for one model
    return [*models, *folded(draft for draft in every if draft.kind != MODEL)]


def _written(where: Where, wanted: Desired, drafts: list[Draft], code: int) -> Outcome:
    name = wanted.environment.name
    drafts, left, found = _accepted(where, wanted, drafts)
    _say_left(left)
    if found is None:
        return Outcome(exit_code=errors.ERROR)
    names = {draft.name for draft in drafts if draft.kind != MODEL}
    with session.opened(found, None) as opened:
        plan = opened.plan()
    moved = [c.name for c in plan.changes if c.name in names and c.action is not Action.NOOP]
    if moved:
        say(f"a plan would change what was imported; look at {', '.join(moved[:_MOST_SAID])}")
    paused = sum(binding.paused for binding in found.bindings if binding.name in names)
    waits = f"; {paused:,} of them are paused until a person decides" if paused else ""
    say(f"imported {_endpoints(len(found.bindings) - len(wanted.bindings))}{waits}")
    code = errors.PARTIAL if left else code
    return Outcome(Valid({name: len(found.bindings)}), errors.ERROR if moved else code)


def _endpoints(count: int) -> str:
    return f"{count:,} {'endpoint' if count == 1 else 'endpoints'}"


def _accepted(
    where: Where, wanted: Desired, drafts: list[Draft]
) -> tuple[list[Draft], dict[str, list[str]], Desired | None]:
    """The drafts with which the desired state is valid, the names of the others by the reason, and
    that state: the files are written then. None where no draft is left.

    Some rules hold for all documents together, so only a load of what is written shows whom they
    refuse. A line of a fleet belongs to all its members: those are then tried one by one.
    """
    left, name = dict[str, list[str]](), wanted.environment.name
    arranged = _arranged(drafts)
    while any(draft.kind != MODEL for draft in drafts):
        made, texts = Made(), dict(_texts(wanted, arranged))
        try:
            for path, text in texts.items():
                made.write(path, text.encode())
            return drafts, left, compose.load(where.services, name)[name]
        except ConfigurationError as exc:
            made.undo()
            if any(draft.rows for draft in arranged):
                arranged = drafts
                continue
            bad = _refused(exc.problems, texts, arranged)
            if not bad:
                raise
            for draft, why in bad:
                left.setdefault(why, []).append(draft.name)
            lost = {id(draft) for draft, _ in bad}
            drafts = [draft for draft in arranged if id(draft) not in lost]
            arranged = _arranged(drafts)
        except BaseException:
            made.undo()
            raise
    return drafts, left, None


def _refused(
    problems: Iterable[Problem], texts: Mapping[Path, str], drafts: list[Draft]
) -> list[tuple[Draft, str]]:
    """The drafts in whose lines problems are, each with the first of them."""
    ((path, text),) = texts.items()
    ends = [number for number, line in enumerate(text.splitlines(), 1) if line == "---"]
    bad: dict[int, str] = {}
    for problem in problems:
        if Path(problem.path) == path:
            bad.setdefault(bisect_left(ends, problem.line), problem.message)
    return [(drafts[index], why) for index, why in bad.items()]
