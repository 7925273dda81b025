"""A part of a document, as a platform is handed its own: values, places, secrets and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.desired.files import JsonFiles
from reconciler.desired.nodes import Document, dotted, problem
from reconciler.desired.tree import CannotReadError
from reconciler.errors import ConfigurationError, Problem
from reconciler.model import NoticeForm, Notify, SecretName, Source
from reconciler.platforms.platform import Wanted


@dataclass(frozen=True)
class Part:
    """A part of a document, as a platform is handed its own; `files` are those that it may name."""

    document: Document
    trail: tuple[str, ...]
    root: Path
    below: PurePosixPath
    files: JsonFiles | None = None

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.root / self.below

    @property
    def data(self) -> Mapping[str, Any]:
        """The value that is written there."""
        data: Mapping[str, Any] = reduce(getitem, self.trail, self.document.data)
        return data

    def at(self, *trail: str) -> Source:
        """Where a value below it is written; without a trail, its key."""
        if trail:
            return self.document.at(*self.trail, *trail)
        return self.document.at_key(*self.trail)

    def secret(self, *trail: str) -> SecretName:
        """The secret that is named at a place below it."""
        return secret_name(self.document, *self.trail, *trail)

    def json_file(self, wanted: Wanted, *trail: str) -> Any:
        """The value made of the file that is named below it; ConfigurationError with its place."""
        assert self.files is not None
        name: Any = reduce(getitem, trail, self.data)
        try:
            return self.files.read(self.at(*trail), self.below, name, wanted)
        except CannotReadError as exc:
            raise ConfigurationError([self.problem(f'"{name}": {exc.placed}', *trail)]) from exc

    def keep(self, text: str, *trail: str) -> str:
        """A text that is made of it, kept once for all blocks that lead to the same one."""
        assert self.files is not None
        return self.files.keep(self.at(*trail), text)

    def problem(self, message: str, *trail: str) -> Problem:
        """A problem with its place there."""
        return problem(self.at(*trail), f"{dotted((*self.trail, *trail))}: {message}")


def secret_name(document: Document, *trail: str) -> SecretName:
    """The secret that is named at a place of the document."""
    reference = document.text(*trail) or ""
    return SecretName(reference.removeprefix("env:"), document.at(*trail))


def notify(document: Document) -> Notify | None:
    """The webhook of an environment; None: it has none."""
    block = document.data["spec"].get("notify")
    if block is None:
        return None
    form = NoticeForm(block.get("form", NoticeForm.JSON))
    return Notify(secret_name(document, "spec", "notify", "url"), form)
