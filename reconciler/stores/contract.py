"""The duties of every store: the verbs that exactly-once, records and the lock rest on.

A store is a flat set of named files below one URI. Two promises make it a ledger: a name is created
by one of any number of writers, and a file is replaced only by whoever names the ETag that is there
(compare-and-swap). Everything else, the lock included, is built of these two.

Absent means that the store itself said so. An answer that cannot be read raises WireError; it is
never "not there".

Why a fingerprint beside the ETag: the ETag is for swaps and may change with every write, even of
equal bytes; the fingerprint says whether the content is the same, and is what manifests remember.
Where a store's list shows no fingerprint, "" says so, and whoever needs one asks for the file.

A grant is minted for one file and one right, and ends by itself. It goes to machines that this
program does not control, so it must be useless for anything else, and late.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import NoReturn, Protocol, runtime_checkable
from urllib.parse import quote, unquote

from reconciler.errors import RefusedError

_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
PIECE_BYTES = 8 * 1024 * 1024  # of a large file that is in memory at a time


class Access(Enum):
    """The right that a grant gives its bearer to one file."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Place:
    """Where a file is, for a job or a platform to read or write.

    `uri` has no query. `grant` is what lets the bearer in: a query that is appended (a SAS), or a
    whole URL (a presigned one of S3, whose `uri` is `s3://…`). It is "" where the reader has an
    identity of its own or the place is a folder. It is a secret and never shown.
    """

    uri: str
    grant: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The URL that the bearer asks: it holds the grant, and is as secret."""
        return self.grant if "://" in self.grant.partition("?")[0] else f"{self.uri}{self.grant}"


@dataclass(frozen=True)
class Properties:
    """A store's word about a file, without its content.

    `fingerprint` changes when the content does, and only then where the store can tell (an MD5);
    in a list it is "" where the list does not show it. `etag` names this very write; in S3 it names
    the content, so the same bytes written again may have the same. `modified` is None where the
    store does not say.
    """

    etag: str
    fingerprint: str
    size: int
    modified: datetime | None = None


@dataclass(frozen=True)
class Stored:
    """A file as it was read."""

    content: bytes
    properties: Properties

    @property
    def etag(self) -> str:
        """The ETag that a replacement must name."""
        return self.properties.etag


@dataclass(frozen=True)
class Listed:
    """A file in a list; `content` where a list can show it, else None."""

    name: str
    properties: Properties
    content: bytes | None = None


class Sink(Protocol):
    """Something that a file is written to piece by piece: an open file, or a digest."""

    def write(self, piece: bytes, /) -> object:
        """Take the next piece."""


class Store(Protocol):
    """A store, asked from any thread. Names are relative, `/` between folders, never leading."""

    def __repr__(self) -> str:
        """Where it is."""
        return f"{type(self).__name__}({self.uri})"

    @property
    def uri(self) -> str:
        """`az://account/container`, `s3://bucket/prefix` or `file:///…`: its identity."""

    @property
    def base(self) -> str:
        """How the URLs of its files begin, slash at the end, as platforms are told them."""

    def get(self, name: str) -> Stored | None:
        """The file; None only where the store itself said that it is absent."""

    def head(self, name: str) -> Properties | None:
        """The properties of the file, None as in `get`."""

    def fetch(self, name: str, into: Sink) -> Properties | None:
        """Write the file to an open file, piece by piece; None as in `get`.

        For models, which may be larger than memory. ConflictError where it was replaced meanwhile.
        """

    def put(self, name: str, content: bytes) -> str:
        """Write, whatever is there; the new ETag."""

    def put_file(self, name: str, path: Path) -> str:
        """Write a file of this machine, whatever is there; the new ETag.

        Piece by piece: readers see the old file or the whole new one.
        """

    def put_if_absent(self, name: str, content: bytes) -> str:
        """Create; the ETag. ConflictError where the name is taken by another content.

        A write whose answer was lost is sent again; meeting its own content counts as done.
        """

    def replace(self, name: str, content: bytes, etag: str) -> str:
        """Replace what has this ETag; the new one. ConflictError where it has another.

        A lost answer as in `put_if_absent`.
        """

    def swap(self, name: str, content: bytes, etag: str) -> str:
        """Replace what has this ETag, or create where that is ""; the new one."""
        return self.replace(name, content, etag) if etag else self.put_if_absent(name, content)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """Every file whose name begins with the prefix, sorted by name."""

    def grant(self, name: str, access: Access, lasting_s: float) -> Place:
        """Where the file is or will be, with access to it for so many seconds."""

    @property
    def lists_contents(self) -> bool:
        """Whether its lists show the contents of small files, so that one answers for many."""

    @property
    def lists_fingerprints(self) -> bool:
        """Whether its lists show the fingerprints of files."""

    def reading(self) -> Store:
        """This store, refusing every write: RuntimeError, for it is a bug of ours."""
        return Reading(self)


@runtime_checkable
class ShowsLife(Protocol):
    """An ability of some stores: to know at once that a process of this machine has died."""

    def alive(self) -> AbstractContextManager[str]:
        """A sign of this process that ends with it, however it ends; "" where there is none."""

    def has_died(self, sign: str) -> bool:
        """Whether the process of a sign has ended for certain; False where nobody can tell."""


@runtime_checkable
class KnowsRights(Protocol):
    """An ability of some stores: to know without a write whether one would be allowed."""

    def why_not_writable(self) -> str:
        """Why nothing can be written, with the fix; "" where it can, or nobody can tell."""


class Reading(Store):
    """A store by its reading verbs. A write is a bug of ours: RuntimeError, before it is sent."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
            self._refuse(name)
        return self._store.grant(name, access, lasting_s)

    def reading(self) -> Reading:
        """This very store."""
        return self

    def _refuse(self, name: str, *_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"writing {name} in {self.uri}: a write in a command that only reads")

    put = put_file = put_if_absent = replace = _refuse


def is_name(text: str) -> bool:
    """Whether it names a file: HTTP libraries rewrite others on the way, to other files."""
    return not (any(part in ("", ".", "..") for part in text.split("/")) or _NO_NAME.search(text))


def pieces(size: int) -> Iterator[tuple[int, int]]:
    """First and last byte of each piece of a file with so many bytes; none of an empty one."""
    for first in range(0, size, PIECE_BYTES):
        yield first, min(first + PIECE_BYTES, size) - 1


def sha256_of(store: Store, name: str) -> tuple[str, Properties] | None:
    """The SHA-256 of a file of a store, and what the store says of it; None where it is absent."""
    sink = _Digest()
    known = store.fetch(name, sink)
    return None if known is None else (sink.sha256.hexdigest(), known)


def sha256_at(store: Store, url: str) -> str:
    """The SHA-256 of a file by its URL; "" where the store has none there."""
    name = name_in(store.base, url)
    known = sha256_of(store, name) if name else None
    return known[0] if known else ""


class _EnoughError(Exception):
    """A sink has what it wants."""


class _Beginning:
    """A sink that stops the transfer of a file once it has its first bytes."""

    def __init__(self, most: int) -> None:
        self.content = b""
        self._most = most

    def write(self, piece: bytes, /) -> None:
        """Take the next piece."""
        self.content = (self.content + piece)[: self._most]
        if len(self.content) == self._most:
            raise _EnoughError


def beginning_of(store: Store, name: str, most: int) -> bytes | None:
    """The first bytes of a file, without a transfer of more than one piece; None where it is
    absent."""
    sink = _Beginning(most)
    try:
        return sink.content if store.fetch(name, sink) is not None else None
    except _EnoughError:
        return sink.content


def copy_file(source: Store, name: str, to: Store, as_name: str, sha256: str = "") -> str | None:
    """The ETag of the copy of a file in another store; None where there is no such file.

    Nothing is written, and RefusedError raised, where its SHA-256 is not the one that is asked for.
    """
    with fetched(source, name, sha256) as path:
        return None if path is None else to.put_file(as_name, path)


@contextlib.contextmanager
def fetched(source: Store, name: str, sha256: str = "") -> Iterator[Path | None]:
    """A temporary copy of a file of a store on this machine, so that memory does not bound its
    size; None where it is absent. RefusedError where its SHA-256 is not the one that is asked for.
    """
    with tempfile.NamedTemporaryFile() as file:
        sink = _Digest(file)
        if source.fetch(name, sink) is None:
            yield None
            return
        if sha256 not in ("", sink.sha256.hexdigest()):
            raise RefusedError(
                f"{url_of(source.base, name)} is not the file that was evaluated; put it back"
            )
        file.flush()
        yield Path(file.name)


class _Digest:
    """A sink that reckons the SHA-256 of what passes through it, to another sink or to nowhere."""

    def __init__(self, into: Sink | None = None) -> None:
        self.sha256 = hashlib.sha256()
        self._into = into

    def write(self, piece: bytes, /) -> None:
        """Take the next piece."""
        self.sha256.update(piece)
        if self._into is not None:
            self._into.write(piece)


def url_of(base: str, name: str) -> str:
    """The URL of a file of the store with this base."""
    return base + quote(name, safe="/=~,")


def name_in(base: str, url: str) -> str | None:
    """The name of a file of the store with this base, by its URL; None for any other file.

    Decoded first: a folder and a reference to a model leave different characters as they are.
    """
    path, folder = unquote(url), unquote(base)
    return path.removeprefix(folder) if path.startswith(folder) else None
