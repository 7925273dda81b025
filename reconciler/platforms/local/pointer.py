"""Pointers and their addresses as values: what a model file says, and who wrote it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, unquote, urlsplit

from reconciler.model import (
    Address,
    Health,
    HealthCode,
    Live,
    ModelRef,
    Reason,
    Refusal,
    Witness,
    canonical_json,
)
from reconciler.platforms.answers import Server, server_of

IN_STORE = "store:"
MOST_OF_A_NAME = 160  # characters; file systems take 255 bytes, and a store adds to a name
NOT_OURS = Refusal(Reason.NOT_OWNED, "the pointer does not carry this environment's mark")


@dataclass(frozen=True)
class Serving:
    """How a model file is followed: as the binding declares it, and as people approve it."""

    copy: bool = False
    reload: str = ""
    server: Server = field(default_factory=Server)


@dataclass(frozen=True)
class FileAddress(Address):
    """A model file by its path, absolute or relative to the environment's file, or by its name in
    the store, as `store:NAME`. `home` is what it is relative to: that folder, or that store."""

    path: str
    serving: Serving = field(default=Serving(), compare=False)
    home: str = field(default="", compare=False)

    def __str__(self) -> str:
        """`files/serving/churn.json`."""
        return f"files/{self.path}"

    @property
    def key(self) -> str:
        """The whole path as one word: a record has a name of one part, short enough for a file."""
        path = self.path if self.within else os.path.join(self.home, self.path)  # noqa: PTH118
        word = quote(normalize("NFC", path), safe="")
        if len(word) > MOST_OF_A_NAME:
            digest = hashlib.sha256(word.casefold().encode()).hexdigest()[:16]
            word = f"{digest}-{word[-MOST_OF_A_NAME:]}"
        return f"files/{word}"

    @property
    def within(self) -> str:
        """The store that has it, or "": a path is whole, so it is the same file for everybody."""
        return self.home if self.path.startswith(IN_STORE) else ""


@dataclass(frozen=True)
class Pointer:
    """A pointer as it was read. `document` is {} where it is none of ours."""

    document: Mapping[str, Any]
    etag: str

    @cached_property
    def is_ours(self) -> bool:
        """Whether it is as this program wrote it."""
        return self.document.get("check") == check_of(self.document)

    @cached_property
    def ref(self) -> ModelRef | None:
        """The model that it leads to; None where that is no plain URI."""
        path = self.document.get("path")
        with contextlib.suppress(ValueError):
            if isinstance(path, str):
                return ModelRef(path if "://" in path else Path(path).as_uri())
        return None

    @property
    def served(self) -> ModelRef | None:
        """The model that the server was last told of; None where nobody knows."""
        if self.document.get("reload") != "due":
            return self.ref
        before = self.document.get("previous")
        return ModelRef(before) if before else None

    @property
    def mark(self) -> str:
        """The environment that owns it, "" for none."""
        return str(self.document.get("mark") or "")

    @property
    def is_adopted(self) -> bool:
        """Whether somebody else had made it before it was marked."""
        return self.document.get("adopted") is True

    def __str__(self) -> str:
        """The pointer in words, for people."""
        if not self.document:
            return "a file that is no pointer"
        return f"version {self.document.get('version')!s:.60} at {self.document.get('path')!s:.200}"


def address(spec: Mapping[str, Any], folder: str, store: str) -> FileAddress:
    """The address of a binding of kind ModelFile; ValueError for a path that leads elsewhere.

    `folder` is the real path of the one of the environment's file, `store` the URL of its store.
    """
    path, home = spec["path"], folder
    if path.startswith(IN_STORE):
        home = store if "://" in store else os.path.realpath(os.path.join(folder, store))  # noqa: PTH118
        parts = path.removeprefix(IN_STORE).split("/")
        if parts[0].startswith("_") or not all(parts) or any(p.startswith(".") for p in parts):
            why = "its parts begin with no dot, and the first with no underscore"
            raise ValueError(f'path: "{path}" names no file of the store that is free: {why}')
    else:
        path = os.path.normpath(path)
    if path.startswith("..") or path == ".":
        raise ValueError("the path leads out of the environment's folder; write an absolute path")
    serving = Serving(bool(spec.get("copy", False)), spec.get("reload", ""), server_of(spec))
    return FileAddress(path, serving, home)


def live_of(pointer: Pointer, address: FileAddress, mark: str, place: str = "") -> Live:
    """The state by the pointer, at a `place` if that is known. Somebody's own edit is told apart by
    its check."""
    live = Live(
        Health(HealthCode.HEALTHY),
        witness=Witness.DECLARATION,
        refusal=refusal_of(pointer, mark),
        place=place or str(address),
        ours=pointer.mark == mark != "",
        unmarked=not pointer.mark,
        keep=None if pointer.mark == mark else NOT_OURS,
    )
    ref = pointer.ref
    if not pointer.is_ours or ref is None:
        why = f"{address.path} was edited by hand: it says {pointer}; a swap rewrites it"
        return replace(live, model_text="edited by hand", warnings=(why,))
    if ref.url.startswith("file:") and not Path(unquote(urlsplit(ref.url).path)).exists():
        why = f"{address.path} leads to {pointer.document['path']}, which is gone"
        live = replace(live, health=Health(HealthCode.DEGRADED, why))
    serves = pointer.served == ref
    return replace(live, served=pointer.served, configured=None if serves else ref)


def refusal_of(pointer: Pointer, mark: str) -> Refusal | None:
    """Why a pointer of another environment is left alone."""
    if pointer.mark in ("", mark):
        return None
    why = f"the pointer belongs to the environment {pointer.mark}; delete it there, or take another"
    return Refusal(Reason.NOT_OWNED, f"{why} path")


def path_of(ref: ModelRef) -> str:
    """A model as a server opens it: a path where it is a file, else its URI."""
    parts = urlsplit(ref.url)
    return unquote(parts.path) if parts.scheme == "file" else ref.url


def check_of(document: Mapping[str, Any]) -> str:
    """A digest over all else in a pointer: whoever edits it by hand leaves it wrong. What an export
    adds to it begins with `$`."""
    rest = {n: value for n, value in document.items() if n != "check" and not n.startswith("$")}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()[:16]


def content_of(document: Mapping[str, Any]) -> bytes:
    """The pointer as it is written."""
    whole = {**document, "check": check_of(document)}
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()
