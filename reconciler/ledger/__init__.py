"""Manifests kept beside the models: what makes a training happen exactly once.

Per version the store holds `model.ilearner`, the evaluation, and `manifest.json`. A manifest is
claimed by a conditional create and changed only by compare-and-swap, so of any number of runs
one wins each step and the others read what it wrote (DESIGN.md, "Exactly-once retraining").
Below names that begin with an underscore it holds a record per address, the marks of plans that
were applied, and the lock of an environment.

When the answer to a write was lost, urllib3 sends it again and the store says "exists already";
reading then shows whether it was ours, and it counts as done if the content is what we wrote.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import ConflictError, UnreadableError
from reconciler.ledger.lock import Lock
from reconciler.ledger.manifest import Attempt, Evaluation, Manifest, manifest_json, parse_manifest
from reconciler.ledger.names import folder_of, model_url, version_name
from reconciler.ledger.plans import Plans
from reconciler.ledger.record import parse_record, record_json
from reconciler.model import EVALUATION_FILE, MANIFEST_FILE, MODEL_FILE, ModelRef, Record, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from reconciler.ledger.lock import Clock
    from reconciler.model import Address
    from reconciler.stores.azure_blob import Account, Container
    from reconciler.stores.azure_values import Listed

__all__ = [
    "Attempt",
    "Entry",
    "Evaluation",
    "Ledger",
    "Manifest",
    "manifest_json",
    "model_url",
    "parse_manifest",
    "parse_record",
    "version_name",
]

RECORDS = "_records"  # the folder of records, by address


class Each(Protocol):
    """A `map`: what a function makes of each blob, in their order."""

    def __call__(
        self, read: Callable[[Listed], Entry | None], blobs: Iterable[Listed], /
    ) -> Iterator[Entry | None]:
        """The entries."""
        ...


@dataclass(frozen=True)
class Entry:
    """A manifest as it was read, with the ETag that a change must name."""

    manifest: Manifest
    etag: str


class Ledger:
    """The manifests and records of one store.

    `locks` is the same container, by a client that may give a lock back when the other is halted.
    """

    def __init__(self, container: Container, locks: Container | None = None) -> None:
        self._container = container
        self._locks = locks or container
        self._seen: dict[str, Entry | None] | None = None
        self.plans = Plans(container)

    def glance(self) -> Ledger:
        """The same for one look, which asks for each manifest once."""
        reader = copy.copy(self)
        reader._seen = {}
        return reader

    def lock(
        self, environment: str, clock: Clock, stopping: Callable[[], bool], shard: str = ""
    ) -> Lock:
        """The lock of an environment or of a shard of it, not held yet."""
        return Lock(self._locks, environment, clock, stopping, shard=shard)  # type: ignore[arg-type]

    def ref(self, version: Version) -> ModelRef:
        """Where the model file of a version is, or will be."""
        return ModelRef(model_url(self._container.base, version))

    def surveyed(self, account: Account) -> Ledger:
        """The same store, read through an account of which lists were read."""
        return Ledger(account.container(self._container.name))

    def record_path(self, address: Address) -> str:
        """The record of an address as `container/blob`."""
        return f"{self._container.name}/{_record_name(address)}"

    def manifest_path(self, version: Version) -> str:
        """The manifest of a version as `container/blob`."""
        return f"{self._container.name}/{version.folder}/{MANIFEST_FILE}"

    def model_path(self, version: Version) -> str:
        """The model file of a version as `container/blob`."""
        return f"{self._container.name}/{version.folder}/{MODEL_FILE}"

    def evaluation_path(self, version: Version) -> str:
        """The evaluation of a version as `container/blob`."""
        return f"{self._container.name}/{version.folder}/{EVALUATION_FILE}"

    def version_name(self, ref: ModelRef, wanted: Version) -> str:
        """What people call a live model: see `version_name`."""
        return version_name(self._container.base, ref, wanted)

    def name_of(self, ref: ModelRef, wanted: Version) -> str:
        """What people call any model: its version here, or its file name elsewhere."""
        return self.version_name(ref, wanted) or ref.short_name

    def read(self, version: Version) -> Entry | None:
        """The manifest of a version; None when nobody has claimed it."""
        return self._read(f"{version.folder}/{MANIFEST_FILE}")

    def claim(self, manifest: Manifest) -> Entry:
        """Our entry, or the winner's if another run was first."""
        name = f"{manifest.version.folder}/{MANIFEST_FILE}"
        try:
            return Entry(
                manifest,
                self._container.put_if_absent(name, manifest_json(manifest), in_lists=True),
            )
        except ConflictError:
            entry = self._read(name)
            if entry is None:
                raise
            return entry

    def write(self, entry: Entry, manifest: Manifest) -> Entry:
        """The changed entry; ConflictError when another run changed it since it was read."""
        name = f"{manifest.version.folder}/{MANIFEST_FILE}"
        try:
            etag = self._container.replace(name, manifest_json(manifest), entry.etag, in_lists=True)
        except ConflictError:
            now = self._read(name)
            if now is None or now.manifest != manifest:
                raise
            return now
        return Entry(manifest, etag)

    def note_attempt(self, entry: Entry, attempt: Attempt) -> Entry:
        """The entry with one more attempt."""
        attempts = (*entry.manifest.attempts, attempt)
        return self.write(entry, replace(entry.manifest, attempts=attempts))

    def note_start(self, entry: Entry, at: str) -> Entry:
        """The entry whose last attempt is known to have been started."""
        *before, last = entry.manifest.attempts
        attempts = (*before, replace(last, started_at=at))
        return self.write(entry, replace(entry.manifest, attempts=attempts))

    def note_failure(self, entry: Entry, message: str) -> Entry:
        """The entry whose last attempt failed."""
        *before, last = entry.manifest.attempts
        attempts = (*before, replace(last, failure=message))
        return self.write(entry, replace(entry.manifest, attempts=attempts))

    def note_evaluation(self, entry: Entry, evaluation: Evaluation, refused: str = "") -> Entry:
        """The entry with the metrics of its finished job, and why its gates do not accept them."""
        judged = replace(entry.manifest, evaluation=evaluation, refused=refused)
        return self.write(entry, judged)

    def versions(self, model: str, each: Each = map) -> tuple[list[Manifest], list[str]]:
        """The manifests of every version of a model, in the order of their folders' names; and in
        words which are damaged, for one of them hides no other.

        `each` may be the `map` of a pool, which reads many at once what the list does not show.
        """
        damaged: list[str] = []

        def undamaged(blob: Listed) -> Entry | None:
            try:
                return self._entry_of(blob)
            except UnreadableError as exc:
                damaged.append(exc.message)
                return None

        listed = [blob for blob in self._shown(f"{model}/") if _is_manifest(blob.name)]
        found = [entry.manifest for entry in each(undamaged, listed) if entry is not None]
        return found, sorted(damaged)

    def around(self, models: Collection[str], each: Each = map) -> list[Manifest]:
        """The manifests of these models; reads whatever else a plan could ask the store for too.

        For a snapshot: the whole list, and every record. What is damaged is left out.
        """
        every = list(self._shown())
        records = [blob for blob in every if blob.name.startswith(f"{RECORDS}/")]
        manifests = [b for b in every if _is_manifest(b.name) and b.name.split("/")[0] in models]
        found = each(self._whole, [*records, *manifests])
        return [entry.manifest for entry in found if entry is not None]

    def _shown(self, prefix: str = "") -> Iterator[Listed]:
        """The blobs that a list shows, with copies of small ones."""
        return chain.from_iterable(self._container.pages(prefix, include="metadata"))

    def _entry_of(self, blob: Listed) -> Entry | None:
        if (content := blob.content) is None:
            return self._read(blob.name)
        return Entry(parse_manifest(content, blob.name), blob.properties.etag)

    def _whole(self, blob: Listed) -> Entry | None:
        """The manifest, where the blob is one; whatever else it is was read too."""
        if not _is_manifest(blob.name):
            if blob.content is None:
                self._container.get(blob.name)
            return None
        try:
            return self._entry_of(blob)
        except UnreadableError:
            return None

    def durations(self, model: str, most: int) -> list[float]:
        """How many seconds the trainings of a model took, by its last `most` manifests in the order
        of their folders' names; those that did not end well are left out."""
        listed = (blob.name for blob in self._container.list(f"{model}/"))
        names = [name for name in listed if name.endswith(f"/{MANIFEST_FILE}")]
        found: list[float] = []
        for name in names[-most:]:
            with contextlib.suppress(UnreadableError):  # a damaged one tells nothing
                entry = self._read(name)
                seconds = entry.manifest.duration_s if entry is not None else None
                found += [] if seconds is None else [seconds]
        return found

    def of_model(self, ref: ModelRef) -> Manifest | None:
        """The manifest beside a model file of this store; None for any other file."""
        folder = folder_of(self._container.base, ref)
        entry = self._read(f"{folder}/{MANIFEST_FILE}") if folder else None
        return entry.manifest if entry else None

    def reject(self, entry: Entry, reason: str, at: str = "", by: str = "") -> Entry:
        """The entry of a version that no run binds again; "" takes a rejection back."""
        manifest = replace(entry.manifest, rejected=reason, rejected_at=at, rejected_by=by)
        return self.write(entry, manifest)

    def note_refusal(self, entry: Entry, reason: str) -> Entry:
        """The entry with the reason why its gates did not accept it."""
        return self.write(entry, replace(entry.manifest, refused=reason))

    def record(self, address: Address) -> Record | None:
        """What was last done at an address; None when nothing was."""
        blob = self._container.get(_record_name(address))
        return None if blob is None else parse_record(blob.content, address, blob.etag)

    def has_records(self, prefix: str) -> bool:
        """Whether anything was ever done at an address whose key begins so."""
        return any(True for _ in self._container.list(f"{RECORDS}/{prefix}"))

    def keep_record(self, address: Address, record: Record) -> Record:
        """The record as it is kept from now on; ConflictError when another run changed it.

        `record.etag` is that of the record it replaces, "" when there was none.
        """
        name, content = _record_name(address), record_json(record, address)
        if record.etag:
            etag = self._container.replace(name, content, record.etag, in_lists=True)
        else:
            etag = self._container.put_if_absent(name, content, in_lists=True)
        return replace(record, etag=etag)

    def _read(self, name: str) -> Entry | None:
        if self._seen is None:
            return self._read_now(name)
        if name not in self._seen:
            self._seen[name] = self._read_now(name)
        return self._seen[name]

    def _read_now(self, name: str) -> Entry | None:
        blob = self._container.get(name)
        return None if blob is None else Entry(parse_manifest(blob.content, name), blob.etag)


def _is_manifest(name: str) -> bool:
    return name.endswith(f"/{MANIFEST_FILE}")


def _record_name(address: Address) -> str:
    return f"{RECORDS}/{address.key}.json"
