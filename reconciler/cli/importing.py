"""`reconciler import`: what is live and nobody declares, as files of desired state.

The world is only read. A file is written where there was none, so what people wrote is never
edited; and what is declared is left out, so a second import finds nothing. Every endpoint is
`paused` until a person lets git own it, so the first plan is empty; until then `drift` compares it
with what was imported.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler import desired, errors
from reconciler.cli import choose, compose, session
from reconciler.cli.editing import Made
from reconciler.cli.options import Where
from reconciler.console import say
from reconciler.desired.schema import Schema
from reconciler.desired.writing import MOST_LENGTH, Draft, folded, wrong
from reconciler.engine.reading import each, reading
from reconciler.engine.world import World
from reconciler.errors import ConfigurationError, Problem, ReconcilerError
from reconciler.model import UNKNOWN, Action, AddressId, Desired
from reconciler.outcome import Kept, Outcome, Valid
from reconciler.platforms.contract import Target, Unmanaged
from reconciler.render.cells import few

FOLDER = "imported"
MODEL = "Model"
_NO_NAME = re.compile(r"[^a-z0-9.-]+")
_MOST_NAMED = 120
_MOST_SAID = 10
_IS_PLACEHOLDER = "a text in it looks like a placeholder (${…}); declare it by hand"


@dataclass(frozen=True)
class Found:
    """An endpoint that nobody declares, its kind, and who tells more of it."""

    kind: str
    endpoint: Unmanaged
    target: Target

    def described(self) -> Found:
        """It with all that a binding may say of it."""
        try:
            return replace(self, endpoint=self.target.described(self.endpoint))
        except ReconcilerError as exc:
            return replace(self, endpoint=replace(self.endpoint, unread=exc.message))


def import_(where: Where, globs: list[str], *, dry_run: bool) -> Outcome:
    """`import`: 0 when everything that was asked for is declared now, 7 when some could not be, 1
    when nothing could be read."""
    wanted, every = choose.among(where)
    session.introduce(wanted.environment)
    with session.opened(wanted, None) as opened, opened.stop.only_reading():
        listed, failed = unmanaged(opened.world, wanted, every.values())
        chosen = [live for live in listed if _fits(live, globs)]
        with reading(opened.width, "describe") as pool:
            read = each(pool, opened.width, Found.described, lambda _, live: live, chosen)
    unread = [live for live in read if live.endpoint.unread]
    failed += [f"{live.kind} {live.endpoint.name}: {live.endpoint.unread}" for live in unread]
    for why in failed:
        say(why)
    taken = {binding.name for declared in every.values() for binding in declared.bindings}
    names, models = _Names(taken), _Names(desired.models(where.services))
    drafts, left = _drafts([live for live in read if not live.endpoint.unread], names, models)
    code = errors.PARTIAL if left or failed else errors.SUCCESS
    if not drafts:
        _say_left(left)
        if not (left or failed):
            say("nothing to import: every live endpoint is declared, or carries a mark")
        return Outcome(exit_code=errors.ERROR if failed and not listed else code)
    if dry_run:
        _say_left(left)
        texts = _sheets(wanted, _arranged(drafts))
        return Outcome(Kept("".join(sheet.text for sheet in texts)), code)
    return _written(where, wanted, drafts, left, code)


def _say_left(left: Mapping[str, list[str]]) -> None:
    """Name what is not imported, by the reason."""
    for why, names in left.items():
        say(f"left out: {few(names, _MOST_SAID)}: {why}")


def unmanaged(
    world: World, wanted: Desired, every: Iterable[Desired]
) -> tuple[list[Found], list[str]]:
    """The live endpoints that no environment declares; why some could not be listed."""
    declared, live, failed = _declared(wanted, every), list[Found](), list[str]()
    for kind, target in compose.kinds_of(world):
        try:
            connected = target()
            for endpoint in connected.unmanaged(declared):
                if endpoint.unread:
                    failed.append(f"{kind} {endpoint.name}: {endpoint.unread}")
                else:
                    live.append(Found(kind, endpoint, connected))
        except ReconcilerError as exc:
            failed.append(f"{kind}: {exc.message}")
    return live, failed


def _declared(wanted: Desired, every: Iterable[Desired]) -> frozenset[AddressId]:
    """The addresses that any environment of the tree declares in the same place."""
    here = wanted.environment.places
    return frozenset(
        binding.address.id
        for declared in every
        if declared.environment.places == here
        for binding in declared.bindings
    )


def _fits(live: Found, globs: list[str]) -> bool:
    names = (live.endpoint.name, str(live.endpoint.address))
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
    for live in chosen:
        endpoint = live.endpoint
        model = _model(endpoint, models, made)
        binding = _binding(live, names.free(endpoint.name), model.name, rules)
        is_new = model.name not in models.taken
        why = (wrong(model, rules) if is_new else "") or wrong(binding, rules)
        if "${" in repr((endpoint.spec, endpoint.made)):
            why = _IS_PLACEHOLDER
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


def _binding(live: Found, name: str, model: str, rules: Schema) -> Draft:
    """The draft of a binding, paused; settings that the schema refuses are left out, and said."""
    endpoint = live.endpoint
    version = {"name": model, "version": endpoint.version if endpoint.made else UNKNOWN}

    def draft(settings: Mapping[str, Any], comments: Iterable[str] = ()) -> Draft:
        spec = {**endpoint.spec, **settings, "model": version, "paused": True}
        return Draft(live.kind, name, spec, tuple(comments))

    def why_not(settings: Mapping[str, Any]) -> str:
        return _IS_PLACEHOLDER if "${" in repr(settings) else wrong(draft(settings), rules)

    settings, lost = _fitting(endpoint.settings, why_not)
    left = [f"Not declared, and left as it is: {why}." for why in dict.fromkeys(lost)]
    serves = () if endpoint.made else ("which model and version it serves",)
    decide = ", ".join((*endpoint.decide, *serves))
    first = f"Decide {decide}; then take" if decide else "Take"
    return draft(settings, (f"{first} out paused to let git own this endpoint.", *left))


def _fitting(
    settings: Mapping[str, Any], why_not: Callable[[Mapping[str, Any]], str]
) -> tuple[Mapping[str, Any], list[str]]:
    """The settings that a document can have, and why not each of the others, such as a secret."""
    if not settings or not why_not(settings):
        return settings, []
    fitting: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in settings.items():
        if not (why := why_not({name: value})):
            fitting[name] = value
        elif isinstance(value, Mapping):

            def why_below(part: Mapping[str, Any], name: str = name) -> str:
                return why_not({name: part})

            below, more = _fitting(value, why_below)
            fitting |= {name: below} if below else {}
            lost += more
        else:
            lost.append(why)
    return fitting, lost


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


@dataclass(frozen=True)
class _Sheet:
    """A file to be written, and the drafts in it; none of a table."""

    path: Path
    text: str
    drafts: tuple[Draft, ...] = ()

    @property
    def ends(self) -> list[int]:
        """The lines that end its documents."""
        return [number for number, line in enumerate(self.text.splitlines(), 1) if line == "---"]


def _sheets(wanted: Desired, drafts: Iterable[Draft]) -> list[_Sheet]:
    """The files: the documents, in as many as there must be, and a table for each fleet."""
    folder, number = Path(wanted.environment.source.path).parent / FOLDER, 1
    while any(folder.glob(f"endpoints-{number}*")) or any(folder.glob(f"fleet-{number}-*")):
        number += 1
    sheets, head, length = list[_Sheet](), _schema(wanted, folder), MOST_LENGTH
    texts: list[tuple[list[Draft], list[str]]] = []
    for draft in drafts:
        table = ""
        if draft.rows:
            table = f"fleet-{number}-{len(sheets) + 1}.csv"
            sheets.append(_Sheet(folder / table, draft.table))
        text = draft.text(table)
        length += len(text)
        if length > MOST_LENGTH:
            texts.append(([], []))
            length = len(text)
        texts[-1][0].append(draft)
        texts[-1][1].append(text)
    for part, (some, documents) in enumerate(texts, 1):
        path = folder / f"endpoints-{number}{f'-{part}' if part > 1 else ''}.yaml"
        sheets.append(_Sheet(path, head + "---\n".join(documents), tuple(some)))
    return sheets


def _schema(wanted: Desired, folder: Path) -> str:
    """The first line, by which editors find the schema that the environment names."""
    source = Path(wanted.environment.source.path)
    line = compose.SCHEMA_LINE.match(source.read_text(encoding="utf-8"))
    if line is None or "://" in line[1]:
        return f"{line[0]}\n" if line else ""
    there = os.path.relpath(source.parent / line[1], folder)
    return f"# yaml-language-server: $schema={there}\n"


def _arranged(drafts: Iterable[Draft]) -> list[Draft]:
    """The documents as they are written: models first, and fleets of bindings that are alike."""
    every = list(drafts)
    models = [draft for draft in every if draft.kind == MODEL]  # one stands for one model
    return [*models, *folded(draft for draft in every if draft.kind != MODEL)]


def _written(
    where: Where, wanted: Desired, drafts: list[Draft], left: dict[str, list[str]], code: int
) -> Outcome:
    """The outcome once the drafts are written, and a plan has shown that they change nothing."""
    name, made = wanted.environment.name, Made()
    drafts, sheets, after = _accepted(where, wanted, drafts, left)
    _say_left(left)
    if after is None:
        return Outcome(exit_code=errors.ERROR)
    try:
        for sheet in sheets:
            made.write(sheet.path, sheet.text.encode())
    except BaseException:
        made.undo()
        raise
    names = {draft.name for draft in drafts if draft.kind != MODEL}
    with session.opened(after, None) as opened:
        plan = opened.plan()
    moved = [c.name for c in plan.changes if c.name in names and c.action is not Action.NOOP]
    if moved:
        say(f"a plan would change what was imported; look at {', '.join(moved[:_MOST_SAID])}")
    count = len(after.bindings) - len(wanted.bindings)
    endpoints = "1 endpoint, which is" if count == 1 else f"{count:,} endpoints, which are"
    say(f"imported {endpoints} left alone until you take out paused")
    code = errors.PARTIAL if left else code
    return Outcome(Valid({name: len(after.bindings)}), errors.ERROR if moved else code)


def _accepted(
    where: Where, wanted: Desired, drafts: list[Draft], left: dict[str, list[str]]
) -> tuple[list[Draft], list[_Sheet], Desired | None]:
    """The drafts with which the desired state is valid, their files, and that state, None where no
    draft is left; `left` gets the names of the others by the reason.

    Some rules hold for all documents together, so only a load of all files shows whom they refuse.
    A line of a fleet belongs to all its members: those are then tried one by one.
    """
    name = wanted.environment.name
    arranged = _arranged(drafts)
    while any(draft.kind != MODEL for draft in drafts):
        sheets = _sheets(wanted, arranged)
        paths = (PurePosixPath(sheet.path.as_posix()) for sheet in sheets)
        below = (path.relative_to(where.services.as_posix()) for path in paths)
        instead = {path: sheet.text for path, sheet in zip(below, sheets, strict=True)}
        try:
            after = compose.loaded(where.services, only=[name], instead=instead)[name]
            return drafts, sheets, after
        except ConfigurationError as exc:
            if any(draft.rows for draft in arranged):
                arranged = drafts
                continue
            bad = _refused(exc.problems, sheets)
            if not bad:
                raise
        for draft, why in bad:
            left.setdefault(why, []).append(draft.name)
        lost = {id(draft) for draft, _ in bad}
        drafts = [draft for draft in arranged if id(draft) not in lost]
        arranged = _arranged(drafts)
    return drafts, [], None


def _refused(problems: Iterable[Problem], sheets: Iterable[_Sheet]) -> list[tuple[Draft, str]]:
    """The drafts in whose lines problems are, each with the first of them."""
    by_path = {sheet.path: (sheet, sheet.ends) for sheet in sheets}
    bad: dict[int, tuple[Draft, str]] = {}
    for problem in problems:
        if Path(problem.path) in by_path:
            sheet, ends = by_path[Path(problem.path)]
            draft = sheet.drafts[bisect_left(ends, problem.line)]
            bad.setdefault(id(draft), (draft, problem.message))
    return list(bad.values())
