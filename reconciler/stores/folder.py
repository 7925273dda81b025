"""A store in a folder: of this machine, or of a disk that several machines share.

A write goes through three doors. First the content is written to a temporary file and forced to
the disk, so that a reader sees an old file or a new one and never half of one. Then, with the
folder's lock file held by `flock`, the condition is looked at and the temporary file takes the
name: by a hard link for a create, which fails where anything has the name, and by a rename for a
replacement. Last the folder itself is forced to the disk, so that the name survives a power cut.

Names that begin with a dot are no names of a store: the lock file, temporary files and what others
keep beside its files are called so, and no list shows them.

The kernel gives the `flock` back when its process dies, so a killed writer blocks nobody; all it
leaves is a temporary file, which no list shows and which goes a day later. A writer that is frozen
inside the lock has looked at the condition already and nobody passes it, so what it does when it
wakes up is still right; the others give up after half a minute and say so.

Hard links are the second fence: they hold where a shared disk keeps its locks per machine only.
A file system without them (exFAT, some network disks) leaves the `flock` alone on guard.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BufferedReader, BufferedWriter
from pathlib import Path
from stat import S_ISLNK
from typing import BinaryIO
from urllib.parse import unquote

from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    RefusedError,
    StoppedError,
    UnavailableError,
)
from reconciler.model import StoreUrl
from reconciler.stores import Opening
from reconciler.stores.alive import LOCK, OURS, Signs
from reconciler.stores.contract import (
    PIECE_BYTES,
    Access,
    Listed,
    Place,
    Properties,
    Sink,
    Store,
    Stored,
    is_name,
)
from reconciler.stores.files import file_error

LOCKED_S = 30.0  # a write holds the lock file for milliseconds
LEFTOVER_S = 24 * 3600.0
MOST_SHOWN_BYTES = 1024 * 1024  # of a JSON file whose content a list shows
_SETTLED_NS = 2_000_000_000  # a file changed that recently may change again at the same mtime
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NOT_A_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderStore(Signs, Store):
    """The files below one folder, which must exist: an empty one may be a disk that is not mounted.

    An ETag holds the SHA-256 of the content, the inode and the moment of the write: the same
    content written again has another one. `halted` says why nothing may be written any more, ""
    while it may.
    """

    lists_contents, lists_fingerprints = True, False

    def __init__(self, root: Path, halted: Callable[[], str] = str) -> None:
        self.root = Path(os.path.realpath(root))  # which no link in a circle stops
        self._halted = halted
        self._digests: dict[tuple[int, ...], str] = {}
        self._tidy = False

    @property
    def uri(self) -> str:
        """The folder as `file:///…`."""
        return self.root.as_uri()

    @property
    def base(self) -> str:
        """How the URLs of its files begin."""
        return f"{self.uri}/"

    def grant(self, name: str, access: Access, lasting_s: float) -> Place:  # noqa: ARG002
        """Where the file is or will be; whoever may enter the folder needs no grant."""
        return Place(self._path(name).as_uri())

    # --- reads ------------------------------------------------------------------------------

    def get(self, name: str) -> Stored | None:
        """The file, or None when the folder has none of this name."""
        with self._opened(name) as file:
            if file is None:
                return None
            content = file.read()
            digest = hashlib.sha256(content).hexdigest()
            return Stored(content, _properties(os.fstat(file.fileno()), digest))

    def head(self, name: str) -> Properties | None:
        """The properties of the file, or None; its content is read once while it stays as it is."""
        with self._opened(name) as file:
            return None if file is None else self._properties_of(file)

    def fetch(self, name: str, into: Sink) -> Properties | None:
        """Write the file to an open one; a file that is replaced meanwhile stays open as it was."""
        with self._opened(name) as file:
            if file is None:
                return None
            digest = _copied(file, into)
            return _properties(os.fstat(file.fileno()), digest)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """The files whose names begin so, sorted by name; JSON files of up to 1 MiB with content.

        Others show size and time, and neither ETag nor fingerprint: that would be to read them.
        """
        folder = prefix.rpartition("/")[0]
        if folder:
            self._path(folder)
        with self._translated("listing", prefix):
            self._check_root()
            names = sorted(n for n in self._below(folder) if n.startswith(prefix))
        for name in names:
            yield from self._listed(name)

    def why_not_writable(self) -> str:
        """Why this user may not write below the folder, or may not make it."""
        there = next(path for path in (self.root, *self.root.parents) if path.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return ""
        return f"this user cannot write to {there}; change its owner, or name another folder"

    def _below(self, folder: str) -> Iterator[str]:
        """The names of the files below a folder, in any order."""
        try:
            entries = list(os.scandir(self.root / folder))
        except _NOT_A_FILE:
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or not is_name(name):
                continue
            if entry.is_symlink():
                raise _symbolic(Path(entry.path))
            if entry.is_dir():
                yield from self._below(name)
            elif entry.is_file():
                yield name

    def _listed(self, name: str) -> Iterator[Listed]:
        """The file as a list shows it; nothing where it has gone meanwhile."""
        with self._translated("listing", name), contextlib.suppress(*_NOT_A_FILE):
            stat = (self.root / name).stat()
            if not (name.endswith(".json") and stat.st_size <= MOST_SHOWN_BYTES):
                yield Listed(name, Properties("", "", stat.st_size, _modified(stat)))
            elif (stored := self.get(name)) is not None:
                yield Listed(name, stored.properties, stored.content)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BufferedReader | None]:
        """The file, open; None only where the folder is there and the file is not."""
        path = self._path(name)
        with self._translated("reading", name), contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(path.open("rb"))
            except _NOT_A_FILE:
                self._check_root()
                file = None
            yield file

    def _properties_of(self, file: BufferedReader) -> Properties:
        stat = os.fstat(file.fileno())
        version = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if (digest := self._digests.get(version)) is None:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
                self._digests[version] = digest
        return _properties(stat, digest)

    # --- writes -----------------------------------------------------------------------------

    def put(self, name: str, content: bytes) -> str:
        """Write, whatever is there; the new ETag."""
        return self._write(name, io.BytesIO(content), Path.replace)

    def put_file(self, name: str, path: Path) -> str:
        """Write a file of this machine, whatever is there; the new ETag."""
        with path.open("rb") as file:
            return self._write(name, file, Path.replace)

    def put_if_absent(self, name: str, content: bytes) -> str:
        """Create; the ETag. ConflictError where anything has the name."""

        def appear(temporary: Path, path: Path) -> None:
            try:
                _link(temporary, path)
            except FileExistsError as exc:
                raise ConflictError(f"writing {path}: it exists already") from exc

        return self._write(name, io.BytesIO(content), appear)

    def replace(self, name: str, content: bytes, etag: str) -> str:
        """Replace what has this ETag; the new one. ConflictError where it has not, or is gone."""

        def exchange(temporary: Path, path: Path) -> None:
            if (now := self.head(name)) is None or now.etag != etag:
                raise ConflictError(f"writing {path}: another run changed it since it was read")
            temporary.replace(path)

        return self._write(name, io.BytesIO(content), exchange)

    def _write(
        self, name: str, content: BinaryIO, take_name: Callable[[Path, Path], object]
    ) -> str:
        """The ETag after content is on the disk and `take_name` has given it its name, under the
        lock."""
        path = self._path(name)
        with self._translated("writing", name):
            self._check_root()
            _make_folder(path.parent)
            with self._temporary(content) as (temporary, digest):
                etag = _properties(temporary.stat(), digest).etag
                with self._alone():
                    if why := self._halted():  # nothing stands between this look and the write
                        raise StoppedError(f"writing {path}: nothing was written: {why}")
                    take_name(temporary, path)
                _sync(path.parent)
        return etag

    @contextlib.contextmanager
    def _temporary(self, content: BinaryIO) -> Iterator[tuple[Path, str]]:
        """A file with this content, on the disk, and its SHA-256; it is gone afterwards."""
        path = self.root / OURS / uuid.uuid4().hex
        _make_folder(path.parent)
        try:
            with path.open("xb") as file:
                digest = _copied(content, file)
                file.flush()
                os.fsync(file.fileno())
            if not self._tidy:
                self._tidy = True
                # Temporary files of writers that were killed, by the clock of the disk itself.
                now = path.stat().st_mtime
                for leftover in path.parent.iterdir():
                    with contextlib.suppress(OSError):
                        is_old = now - leftover.stat().st_mtime > LEFTOVER_S
                        if is_old and leftover != self.root / LOCK:
                            leftover.unlink()
            yield path, digest
        finally:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock file inside: no other writer of any process is there."""
        path = self.root / LOCK
        with path.open("ab") as file:
            until = time.monotonic() + LOCKED_S
            while not _locked(file, path):
                if time.monotonic() > until:
                    raise UnavailableError(
                        f"another process has held {path} for {LOCKED_S:.0f} seconds; see with "
                        f"`fuser {path}` which one hangs or was paused, and end it"
                    )
                time.sleep(0.002)
            yield

    # --- names and errors -------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        """The path of a name; RefusedError for one that does not lie below the folder."""
        parts = name.split("/")
        if not is_name(name) or any(part.startswith(".") for part in parts):
            raise RefusedError(
                f"{name!r} is not the name of a file in {self.root}: a part of it is empty or "
                "begins with a dot, or it has a control character"
            )
        path = str(self.root)
        with self._translated("looking for", name), contextlib.suppress(*_NOT_A_FILE):
            for part in parts:
                path = f"{path}/{part}"
                if S_ISLNK(os.lstat(path).st_mode):
                    raise _symbolic(Path(path))
        return self.root / name

    def _check_root(self) -> None:
        if not self.root.is_dir():
            state = "is not a folder" if self.root.exists() else "does not exist"
            make = f"mkdir -p {shlex.quote(str(self.root))}"
            raise ConfigurationError(
                f"the folder {self.root} {state}; mount it or make it ({make}), "
                "or correct the environment, which names it (spec.store or spec.data)"
            )

    @contextlib.contextmanager
    def _translated(self, doing: str, name: str) -> Iterator[None]:
        """Raise what the file system says as an error of ours."""
        try:
            yield
        except OSError as exc:
            raise file_error(f"{doing} {self.root / name}", exc) from exc


def open_at(at: StoreUrl, key: str, opening: Opening) -> FolderStore:  # noqa: ARG001
    """The store in a folder; who may enter the folder needs no key."""
    scheme, path, _ = at.parts
    return FolderStore(opening.folder / (unquote(path) if scheme else path), opening.halted)


def _symbolic(path: Path) -> RefusedError:
    return RefusedError(
        f"{path} is a symbolic link, and may lead out of the store; put the file itself there"
    )


def _locked(file: BufferedWriter, path: Path) -> bool:
    """Whether the lock is had now; ConfigurationError where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        raise ConfigurationError(
            f"the file system of {path} has no locks, so a store cannot be kept there; "
            "use a folder of a local disk, or a bucket"
        ) from exc
    return True


def _link(temporary: Path, path: Path) -> None:
    """Give a file a second name; FileExistsError where that is taken. The lock must be held."""
    try:
        os.link(temporary, path)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(path) from exc
        temporary.replace(path)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, for certain."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copied(source: BinaryIO, into: Sink) -> str:
    """The SHA-256 of what was copied from one open file to another."""
    digest = hashlib.sha256()
    while piece := source.read(PIECE_BYTES):
        digest.update(piece)
        into.write(piece)
    return digest.hexdigest()


def _properties(stat: os.stat_result, sha256: str) -> Properties:
    etag = f"{sha256[:32]}-{stat.st_ino:x}-{stat.st_mtime_ns:x}"
    return Properties(etag, f"sha256:{sha256}", stat.st_size, _modified(stat))


def _modified(stat: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stat.st_mtime, UTC)
