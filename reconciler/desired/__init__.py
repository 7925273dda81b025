"""The desired state: a tree of YAML files, read strictly, checked, and joined to bindings.

    files → documents → generate → schema → resolve

Every stage adds what it finds wrong, and all of it is raised at once.

Everything that is wrong is told at once, so a stage that finds mistakes does not stop the next one;
it says instead how much is known. A document that the schema refused is still known by kind and
name. A file that could not be read makes the tree *incomplete*, and in an incomplete tree nothing
is said to be missing: the complaint "there is no model churn" beside "models/churn.yaml: not YAML"
is one mistake told twice. One environment does not suffer from mistakes in another, unless it needs
what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path, PurePosixPath

from reconciler.desired import leaks, schema
from reconciler.desired.generate import Generators, is_table, most_bindings, summed
from reconciler.desired.nodes import Document, read
from reconciler.desired.resolve import Declared, Resolver
from reconciler.desired.schema import Schema
from reconciler.desired.tree import Budget, Files, read_tree
from reconciler.errors import ConfigurationError, Problem
from reconciler.model import Desired, Source
from reconciler.platforms.platform import Platform

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def composed_of(platforms: Mapping[str, Platform]) -> Schema:
    """The schema of documents for these platforms."""
    return schema.composed(tuple((name, platform.schema) for name, platform in platforms.items()))


def load(
    root: Path,
    platforms: Mapping[str, Platform],
    *,
    only: Collection[str] = (),
    today: date | None = None,
    display: str | None = None,
    instead: Mapping[PurePosixPath, str] | None = None,
) -> dict[str, Desired]:
    """Environment name → what it must look like, sorted by name.

    `only` are the environments that are asked for, so that what is wrong in others is nobody's
    affair; without it everything that is wrong in the tree is.

    `platforms` offer the kinds of endpoints and the engines, by their names.
    `today` is the day in UTC, before which nothing can end any more; None: that is not looked at.
    `display` is what messages and sources call the root; None: as it was typed.
    `instead` is what YAML and CSV files below the root are taken to hold, before they are written.
    Raises ConfigurationError with everything that is wrong.
    """
    display = root.as_posix() if display is None else display
    budget = Budget()
    rules = composed_of(platforms)
    files = read_tree(root, display, budget)
    tables = {path: text for path, text in (instead or {}).items() if is_table(path)}
    files.texts |= {path: text for path, text in (instead or {}).items() if path not in tables}
    templates, problems, complete = _documents(files, budget)
    documents, more, expanded = _generated(Generators(root, budget, rules, tables), templates)
    problems.extend(more)
    declared = []
    for folder, document in documents:
        wrong = _check(document, rules)
        problems.extend(wrong)
        declared.append(Declared(document, folder, valid=not wrong and not document.partial))
    if not declared and not problems:
        message = (
            "no documents here; create environment.yaml (kind: Environment), models/NAME.yaml "
            f"(kind: Model) and NAME.yaml (kind: {' or '.join(rules.kinds)})"
        )
        raise ConfigurationError([Problem(display, 0, 0, message, rule="file")])
    complete = complete and expanded
    resolver = Resolver(platforms, root, budget, today, complete=complete)
    desired = resolver.resolve(declared)
    problems.extend(p.under("unresolved") for p in resolver.problems)
    if not problems:
        return desired
    if not only:
        raise ConfigurationError(summed(problems))
    return _unspoilt(desired, resolver, only, summed(problems), files)


def names(root: Path, platforms: Mapping[str, Platform]) -> list[tuple[str, str, PurePosixPath]]:
    """Kind, name and folder of every document of a tree that could be read; what is wrong with
    others is for `load` to say. A name that is none, which a shell may obey, is left out.
    """
    budget, rules = Budget(), composed_of(platforms)
    templates, _, _ = _documents(read_tree(root, root.as_posix(), budget), budget)
    documents, _, _ = _generated(Generators(root, budget, rules, {}), templates)
    named = ((d.text("kind"), d.text("metadata", "name"), folder) for folder, d in documents)
    return [(k, name, folder) for k, name, folder in named if k and name and _NAME.fullmatch(name)]


def models(root: Path) -> frozenset[str]:
    """The names of the models that a tree declares, whether or not an endpoint binds them."""
    budget = Budget()
    documents, _, _ = _documents(read_tree(root, root.as_posix(), budget), budget)
    named = (d.text("metadata", "name") for _, d in documents if d.text("kind") == "Model")
    return frozenset(name for name in named if name)


def _unspoilt(
    desired: dict[str, Desired],
    resolver: Resolver,
    only: Collection[str],
    problems: list[Problem],
    files: Files,
) -> dict[str, Desired]:
    """The environments that nothing wrong belongs to; ConfigurationError if that spoils `only`.

    A problem belongs to the environment that applies to its folder, and to those that need what is
    wrong. One that could not be read at all may be the one that is asked for.
    """
    owners = [resolver.environment_of(files.below(p.path).parent) for p in problems]
    spoilt = {*owners, *resolver.doubtful}
    named_spoilt = [name for name in only if name in spoilt]
    missing = [name for name in only if name not in desired and not resolver.complete]
    if named_spoilt or missing:
        of_spoilt = [p for p, owner in zip(problems, owners, strict=True) if owner in named_spoilt]
        raise ConfigurationError(problems if missing or not of_spoilt else of_spoilt)
    return {name: d for name, d in desired.items() if name not in spoilt}


def _generated(
    generators: Generators, templates: list[tuple[PurePosixPath, Document]]
) -> tuple[list[tuple[PurePosixPath, Document]], list[Problem], bool]:
    """Every document that is made of the templates, problems, and whether all could be made."""
    environments = {
        folder: document.data
        for folder, document in templates
        if document.text("kind") == "Environment"
    }
    expanded: list[tuple[PurePosixPath, Document]] = []
    problems: list[Problem] = []
    for folder, template in templates:
        most = most_bindings(environments, folder)
        made, more = generators.expand(template, folder, most)
        expanded.extend((folder, document) for document in made)
        problems.extend(p.under("for-each") for p in more)
    return expanded, problems, not problems


def _documents(
    files: Files, budget: Budget
) -> tuple[list[tuple[PurePosixPath, Document]], list[Problem], bool]:
    """Folder and document of everything that could be read, problems, and whether all could."""
    parsed: list[tuple[PurePosixPath, Document]] = []
    problems = [p.under("file") for p in files.problems]
    complete = not problems
    for below, text in files.texts.items():
        path = files.shown(below)
        documents, more, understood = read(path, text)
        # A value keeps its place and may be wrong; a document is more than its values.
        values = sum(20 + 3 * len(document.values) for document in documents)
        budget.take(Source(path, 1, 1), values + 5 * len(more))
        if not documents and not more:
            message = "the file declares nothing; write a document, or delete it"
            problems.append(Problem(path, 0, 0, message, rule="file"))
        secrets = leaks.check_comments(path, text, understood=understood)
        problems.extend(p.under("secret") for p in secrets)
        parsed.extend((below.parent, document) for document in documents)
        problems.extend(p.under("yaml") for p in more)
        complete &= understood
    return parsed, problems, complete


def _check(document: Document, rules: Schema) -> list[Problem]:
    """The problems of the document by itself; a secret is only said to be one."""
    secrets = [p.under("secret") for p in leaks.check(document, rules)]
    places = {(p.line, p.column) for p in secrets}
    others = rules.check(document)
    own = secrets + [p for p in others if (p.line, p.column) not in places]
    return [replace(p, element=document.element) for p in own]
