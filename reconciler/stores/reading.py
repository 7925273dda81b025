"""A store that is only read: what a command may use that promises to write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from reconciler.stores.contract import Access, Listed, Place, Properties, Sink, Store, Stored


class Reading:
    """A store by its reading verbs. A write is a bug of ours: RuntimeError, before it is sent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        """Where it is."""
        return f"{type(self).__name__}({self.uri})"

    @property
    def uri(self) -> str:
        """The store's own."""
        return self._store.uri

    @property
    def base(self) -> str:
        """The store's own."""
        return self._store.base

    @property
    def lists_contents(self) -> bool:
        """The store's own."""
        return self._store.lists_contents

    @property
    def lists_fingerprints(self) -> bool:
        """The store's own."""
        return self._store.lists_fingerprints

    def get(self, name: str) -> Stored | None:
        """The file, as the store says."""
        return self._store.get(name)

    def head(self, name: str) -> Properties | None:
        """Its properties, as the store says."""
        return self._store.head(name)

    def fetch(self, name: str, into: Sink) -> Properties | None:
        """The file, written to an open one, as the store says."""
        return self._store.fetch(name, into)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """The files, as the store lists them."""
        return self._store.list(prefix)

    def grant(self, name: str, access: Access, lasting_s: float) -> Place:
        """Access to read; none to write."""
        if access is not Access.READ:
            self._refuse("grant", name)
        return self._store.grant(name, access, lasting_s)

    def put(self, name: str, content: bytes) -> str:  # noqa: ARG002
        """Refused."""
        self._refuse("put", name)

    def put_file(self, name: str, path: Path) -> str:  # noqa: ARG002
        """Refused."""
        self._refuse("put_file", name)

    def put_if_absent(self, name: str, content: bytes) -> str:  # noqa: ARG002
        """Refused."""
        self._refuse("put_if_absent", name)

    def replace(self, name: str, content: bytes, etag: str) -> str:  # noqa: ARG002
        """Refused."""
        self._refuse("replace", name)

    def reading(self) -> Reading:
        """This very store."""
        return self

    def _refuse(self, verb: str, name: str) -> NoReturn:
        raise RuntimeError(f"{verb} of {name} in {self.uri}: a write in a command that only reads")
