"""The definitions that services are created from: exported JSON files of the same tree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from reconciler.desired.build import secret_name
from reconciler.desired.files import read_object
from reconciler.desired.nodes import problem
from reconciler.desired.tree import CannotReadError, beside, read_text
from reconciler.secrecy import looks_secret, plain_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.desired.budget import Budget
    from reconciler.desired.nodes import Document
    from reconciler.errors import Problem
    from reconciler.model import Creation, Environment, SecretName
    from reconciler.platforms.platform import CreationMaker

MOST_MIB = 16  # a definition of the 3 MB that a service is created of, with room for its blanks


class Definitions:
    """The definition files of a tree; each is read once, however many bindings name it."""

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = root
        self._budget = budget
        self._inside = root.resolve()
        self._read: dict[PurePosixPath, dict[str, Any] | CannotReadError] = {}
        self._templates: dict[str, str] = {}  # a fleet is made of one text, which is kept once

    def creation(
        self,
        document: Document,
        folder: PurePosixPath,
        environment: Environment,
        make: CreationMaker,
    ) -> tuple[Creation | None, list[Problem]]:
        """How what the binding declares is made; None if it says nothing of that, or wrongly."""
        spec = document.data["spec"]
        if (lone := _only_one_of_two(spec)) is not None:
            return None, [problem(document.at_key("spec", lone[0]), f"spec.{lone[0]}: {lone[1]}")]
        if "definition" not in spec:
            return None, []
        try:
            definition = self._definition(document, folder, spec["definition"])
        except CannotReadError as exc:
            return None, [_wrong(document, ("definition",), exc.placed)]

        def secret(*trail: str) -> SecretName:
            return secret_name(document, "spec", *trail)

        made = make(definition, spec, environment, secret)
        if isinstance(made, list):
            return None, [_wrong(document, trail, why) for trail, why in made]
        if made.template not in self._templates:
            self._budget.take(document.at("spec", "definition"), 1, len(made.template))
        template = self._templates.setdefault(made.template, made.template)
        return replace(made, template=template), []

    def _definition(self, document: Document, folder: PurePosixPath, name: str) -> dict[str, Any]:
        below = beside(folder, name)
        if below not in self._read:
            self._read[below] = self._object(document, below)
        found = self._read[below]
        if isinstance(found, CannotReadError):
            raise found
        return found

    def _object(self, document: Document, below: PurePosixPath) -> dict[str, Any] | CannotReadError:
        try:
            text = read_text(self._root / below, self._inside, MOST_MIB)
            self._budget.take_json(document.at("spec", "definition"), text)
            if looks_secret(text):
                why = "take it out, renew it, and name it in spec.create by env:NAME"
                raise CannotReadError(f"holds what looks like a secret; {why}")
            value = read_object(text, '{"location": …, "properties": …}')
            if plain := [_named(trail) for trail in plain_secrets(value) if not _is_known(trail)]:
                why = "take the value out, renew it, and name it in spec.create.secrets by env:NAME"
                raise CannotReadError(f"holds a secret in plain text at {', '.join(plain)}; {why}")
            return value
        except CannotReadError as exc:
            return exc


def _is_known(trail: tuple[str | int, ...]) -> bool:
    """Whether it is the key of the storage account, of which a better sentence is said."""
    return [str(step).casefold() for step in trail[1:2]] == ["storageaccount"]


def _named(trail: tuple[str | int, ...]) -> str:
    return json.dumps(".".join(map(str, trail)), ensure_ascii=False)


def _only_one_of_two(spec: dict[str, Any]) -> tuple[str, str] | None:
    """Which of `definition` and `create` is there without the other, and what to do."""
    if "definition" in spec and "create" not in spec:
        return "definition", "spec.create is missing, which says what an export leaves out"
    if "create" in spec and "definition" not in spec:
        return "create", "spec.definition is missing; name the exported file to create it from"
    return None


def _wrong(document: Document, trail: tuple[str, ...], why: str) -> Problem:
    """A problem at a place below `spec`; one of the file is said at its name."""
    said = f'"{document.data["spec"]["definition"]}": {why}' if trail == ("definition",) else why
    return problem(document.at("spec", *trail), f"spec.{'.'.join(trail)}: {said}")
