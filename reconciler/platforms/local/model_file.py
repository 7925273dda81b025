"""The kind `ModelFile`: a file that says which model a server of your own is to serve.

It is a pointer: JSON with model, version, path and SHA-256. Or, with `copy`, it is a copy of the
model, and the pointer lies beside it. Both are in a folder, or in the store (`store:NAME`). A
server reads the file when it likes, or is told to by `reload`.

A pointer declares. Whether anybody follows it, only an answer at `verify.url` can show; without
one the change is shown as declared only, never as proved. The pointer is written twice where there
is a `reload`: as due before the command runs, and as done after it. So a run that is killed in
between is found by the next one, as a model that is configured and not served.

Two files cannot change at once, and a server may read at any moment. So the order is fixed: the
copy first, the pointer second. A server that follows the pointer then finds a model that is there;
one that follows the copy sees a model that is whole, for a store shows a file at once or not at
all. A run that is killed between the two leaves a new copy beside an old pointer. To the next look
that is a file that was changed by hand, and the swap that is still due writes both again.

The pointer is read just before, and replaced only as it was read (compare-and-swap). So of two
writers in one moment one is refused, and looks again.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reconciler.errors import (
    ConflictError,
    ReconcilerError,
    RefusedError,
    StoppedError,
    UnreadableError,
    printable,
    redact,
)
from reconciler.http.client import Http
from reconciler.model import Address, AddressId, Binding, Health, HealthCode, Live, Model, Witness
from reconciler.platforms.commands import environ_with
from reconciler.platforms.contract import (
    DONE,
    HOW_MADE,
    Answer,
    Can,
    Left,
    OperationState,
    Progress,
    Target,
    Unmanaged,
)
from reconciler.platforms.local.pointer import (
    IN_STORE,
    NOT_OURS,
    FileAddress,
    Pointer,
    content_of,
    live_of,
    path_of,
    refusal_of,
)
from reconciler.stores.contract import Store, copy_file, name_in, sha256_at, sha256_of
from reconciler.stores.folder import FolderStore
from reconciler.strict_json import parse_json

SCHEMA = "reconciler/pointer/v1"
RELOAD_S = 60.0
MOST_SAID_BYTES = 4096  # of what a reload wrote as its error, from the end
_FAILED = "reload: "  # begins an operation that has failed already


@dataclass(eq=False)
class ModelFiles(Target):
    """The model files of one environment.

    `_root` is what their paths are relative to, `_mark` what pointers of this environment carry.
    `_halted` says why nothing may be written any more, "" while it may. `_variables` are the names
    of environment variables that a reload gets besides the usual ones.
    """

    can = Can(
        shows_served=False,
        answer_names_model=True,
        create=True,
        delete=True,
        serves_at_once=True,
        settle_s=2.0,
    )

    _root: Path
    _mark: str
    _store: Store
    _http: Http
    _halted: Callable[[], str] = str
    _variables: Sequence[str] = ()
    _folders: dict[Path, FolderStore] = field(default_factory=dict)

    def observe(self, binding: Binding) -> Live:
        """The live state by the pointer; a copy is looked at too."""
        address = _of(binding.address)
        pointer = self._pointer(address)
        if pointer is None:
            why = f"there is no {address.path}"
            missing = Health(HealthCode.MISSING, why)
            return Live(missing, warnings=self._in_the_way(address), place=self._place(address))
        live = live_of(pointer, address, self._mark, self._place(address))
        if live.served is None and live.configured is None:
            return live
        if address.serving.copy and (why := self._changed(address, pointer)):
            text = "changed by hand"
            return replace(live, served=None, configured=None, model_text=text, warnings=(why,))
        return live

    def switch(self, binding: Binding, model: Model) -> str:
        """Let the pointer lead to the model, and tell the server."""
        return self._write(binding, model, self._writable(binding))

    def update(self, binding: Binding) -> str:
        """Write our mark into a pointer that carries none; nothing is reloaded for it."""
        address, pointer = _of(binding.address), self._writable(binding)
        if not pointer.is_ours:
            raise ConflictError(f"{address} was edited meanwhile; plan again")
        self._check_writing(address)
        files, name = self._at(address)
        marked = content_of({**pointer.document, **self._marks(pointer)})
        files.replace(_pointer_name(address, name), marked, pointer.etag)
        return ""

    def _writable(self, binding: Binding) -> Pointer:
        """The pointer that is there; RefusedError where it is gone or another environment's."""
        address = _of(binding.address)
        pointer = self._pointer(address)
        if pointer is None:
            raise RefusedError(f"{address} is gone; plan again")
        if refusal := refusal_of(pointer, self._mark):
            raise RefusedError(f"{address}: {refusal.message}")
        return pointer

    def _marks(self, before: Pointer | None) -> dict[str, Any]:
        """Whose the pointer is, and whether somebody else had made it."""
        made = before is None or (before.document.get("mark") and not before.is_adopted)
        return {"mark": self._mark, **({} if made else {"adopted": True})}

    def create(self, binding: Binding, model: Model) -> str:
        """Make the pointer, with our mark; ConflictError where there is one by now.

        RefusedError where the copy would replace a file that no pointer tells of: nobody could
        bring that back. One with the model's own bytes was left by a run that was cut off here.
        """
        address = _of(binding.address)
        if self._pointer(address) is not None:
            raise ConflictError(f"{binding.address} is there by now; it is not overwritten")
        if address.serving.copy and self._is_foreign(address, model):
            raise RefusedError(
                f"{address.path} is there, and no pointer beside it says who made it; move it away"
            )
        return self._write(binding, model, None)

    def delete(self, address: Address) -> str:
        """Remove the pointer and the copy, if the pointer carries our mark."""
        of = _of(address)
        pointer = self._pointer(of)
        if pointer is None:
            return ""
        if not (pointer.is_ours and pointer.mark == self._mark):
            raise RefusedError(f"{address}: {NOT_OURS.message}")
        if of.path.startswith(IN_STORE):
            raise RefusedError(f"{address}: a store keeps what it has; remove the file yourself")
        self._check_writing(address)
        path = self._root / of.path
        with _refused(f"{of.path} cannot be removed"):
            path.with_name(_pointer_name(of, path.name)).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        return ""

    def progress(self, operation: str) -> Progress:
        """Done, unless the server could not be told: it may read the pointer later all the same."""
        if not operation.startswith(_FAILED):
            return DONE
        return Progress(OperationState.FAILED, operation, Left.CANDIDATE_DECLARED)

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:  # noqa: ARG002
        """The answer of the server at `verify.url` to the probe."""
        assert binding.probe is not None
        return _of(binding.address).serving.server.score(self._http, binding.probe)

    def export(self, binding: Binding) -> dict[str, Any]:
        """The pointer."""
        pointer = self._pointer(_of(binding.address))
        if pointer is None:
            raise RefusedError(f"there is no {_of(binding.address).path}")
        return dict(pointer.document)

    def unmanaged(self, declared: Collection[AddressId]) -> Iterator[Unmanaged]:
        """The pointers below the environment's folder that carry no mark."""
        for path in sorted(self._root.rglob("*.json")):
            below = path.relative_to(self._root)
            address = FileAddress(below.as_posix(), home=os.path.realpath(self._root))
            if address.id in declared or any(part.startswith(".") for part in below.parts):
                continue
            try:
                pointer = self._pointer(address)
            except ReconcilerError as exc:
                yield Unmanaged(below.stem, address, {}, unread=exc.message)
                continue
            document = pointer.document if pointer and not pointer.mark else {}
            if isinstance(document.get("path"), str) and "version" in document:
                spec = {"path": below.as_posix()}
                yield Unmanaged(below.stem, address, spec, decide=HOW_MADE)

    # --- the files --------------------------------------------------------------------------

    def _at(self, address: FileAddress) -> tuple[Store, str]:
        """The store that has the file, and its name there."""
        if address.path.startswith(IN_STORE):
            return self._store, address.path.removeprefix(IN_STORE)
        path = self._root / address.path
        folder = path.parent
        if folder not in self._folders:  # a fleet has many files in few
            self._folders[folder] = FolderStore(folder)
        return self._folders[folder], path.name

    def _pointer(self, address: FileAddress) -> Pointer | None:
        """The pointer as it is now; None where there is none. Damaged JSON counts as an empty
        one."""
        files, name = self._at(address)
        stored = files.get(_pointer_name(address, name)) if _is_there(files) else None
        if stored is None:
            return None
        try:
            document = parse_json(stored.content)
        except ValueError:
            document = {}
        return Pointer(document if isinstance(document, Mapping) else {}, stored.etag)

    def _write(self, binding: Binding, model: Model, before: Pointer | None) -> str:
        """Write copy, pointer and reload, in this order; the operation, "" where nothing can fail
        later."""
        address = _of(binding.address)
        self._check_writing(address)
        files, name = self._at(address)
        if files is not self._store:
            folder = (self._root / address.path).parent
            with _refused(f"the folder {folder} cannot be made"):
                folder.mkdir(parents=True, exist_ok=True)
        document = self._document(address, model, before)
        if address.serving.copy:
            stored = name_in(self._store.base, model.ref.url)
            etag = copy_file(self._store, stored, files, name, model.sha256) if stored else None
            if etag is None:
                raise RefusedError(
                    f"{model.ref} is not in the store {self._store.uri}; nothing to copy"
                )
            document["copied"] = etag
        name, content = _pointer_name(address, name), content_of(document)
        etag = files.swap(name, content, before.etag if before else "")
        if not address.serving.reload:
            return ""
        if why := self._reload(address.serving.reload):
            return f"{_FAILED}{why}"
        files.replace(name, content_of({**document, "reload": "done"}), etag)
        return ""

    def _document(
        self, address: FileAddress, model: Model, before: Pointer | None
    ) -> dict[str, Any]:
        """The pointer's content: which model, whose it is, and what is due."""
        version = model.version
        served = before.served if before is not None and before.is_ours else None
        return {
            "schema": SCHEMA,
            "model": version.model if version else "",
            "version": model.name,
            "path": path_of(model.ref),
            "sha256": model.sha256 or sha256_at(self._store, model.ref.url),
            **self._marks(before),
            **({"reload": "due"} if address.serving.reload else {}),
            **({"previous": served.url} if served and address.serving.reload else {}),
        }

    def _place(self, address: FileAddress) -> str:
        """The one name of the file, however bindings spell its path."""
        files, name = self._at(address)
        if files is self._store or not isinstance(files, FolderStore):
            return str(address)
        path = files.root / name
        return str(path.resolve() if path.is_symlink() else path)

    def _in_the_way(self, address: FileAddress) -> tuple[str, ...]:
        """The warning that a file is where a copy is to be, without a pointer beside it."""
        files, name = self._at(address)
        if not (address.serving.copy and _is_there(files)) or files.head(name) is None:
            return ()
        return (f"{address.path} is there without a pointer; only this very model replaces it",)

    def _is_foreign(self, address: FileAddress, model: Model) -> bool:
        """Whether a file is at the address that is not this model."""
        files, name = self._at(address)
        known = sha256_of(files, name) if _is_there(files) else None
        wanted = model.sha256 or sha256_at(self._store, model.ref.url)
        return known is not None and known[0] != wanted

    def _changed(self, address: FileAddress, pointer: Pointer) -> str:
        """Why the copy is not what the pointer says, in words; "" where it is."""
        files, name = self._at(address)
        properties = files.head(name)
        if properties is None:
            return f"{address.path} is gone, and its pointer is there; a swap rewrites it"
        if properties.etag == pointer.document.get("copied"):
            return ""
        known = sha256_of(files, name)
        digest = known[0] if known else ""
        if digest == pointer.document.get("sha256"):
            return ""
        return f"{address.path} was changed by hand: its sha256 is {digest}; a swap rewrites it"

    def _reload(self, command: str) -> str:
        """Tell the server to read the file again; why that failed, "" where it did not.

        The command may leave a server behind: it writes to a file, for a pipe would stay open as
        long as that lives. It has a session of its own, so that Ctrl-C does not end it half-way.
        """
        with tempfile.TemporaryFile() as output:
            try:
                code = subprocess.run(
                    shlex.split(command),
                    cwd=self._root,
                    env=environ_with(self._variables),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    start_new_session=True,
                    timeout=RELOAD_S,
                    check=False,
                ).returncode
            except FileNotFoundError:
                return f"the command {shlex.split(command)[0]} is not there; correct spec.reload"
            except (OSError, subprocess.TimeoutExpired) as exc:
                return f"{command}: {exc}"
            output.seek(max(output.seek(0, os.SEEK_END) - MOST_SAID_BYTES, 0))
            last = output.read().decode(errors="replace").strip().rpartition("\n")[2][:300]
        why = f"{command}: exit code {code}{f' ({redact(printable(last))})' if last else ''}"
        return why if code else ""

    def _check_writing(self, address: Address) -> None:
        if why := self._halted():
            raise StoppedError(f"writing {address}: nothing was written: {why}")


def live_from_export(document: Mapping[str, Any], binding: Binding) -> Live:
    """The live state that an exported pointer shows; UnreadableError if it is none."""
    if document.get("schema") != SCHEMA:
        raise UnreadableError(f"it is no pointer: its schema is not {SCHEMA}")
    live = live_of(Pointer(document, ""), _of(binding.address), str(document.get("mark", "")))
    return replace(live, witness=Witness.EXPORT)


@contextlib.contextmanager
def _refused(what: str) -> Iterator[None]:
    """RefusedError in place of what the file system says: such as that this user may not."""
    try:
        yield
    except OSError as exc:
        raise RefusedError(f"{what}: {(exc.strerror or str(exc)).lower()}") from exc


def _is_there(files: Store) -> bool:
    """Whether the folder of files is there; a store always is."""
    return not isinstance(files, FolderStore) or files.root.is_dir()


def _of(address: Address) -> FileAddress:
    assert isinstance(address, FileAddress)
    return address


def _pointer_name(address: FileAddress, name: str) -> str:
    return f"{name}.json" if address.serving.copy else name
