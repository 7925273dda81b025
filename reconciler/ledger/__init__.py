"""Manifests kept beside the models: what makes a training happen exactly once.

Per version the store holds the model, its metrics, and `manifest.json`. A manifest is claimed by a
conditional create and changed only by compare-and-swap, so of any number of runs one wins each step
and the others read what it wrote. Below names that begin with an underscore it holds a record per
address, the marks of plans that were applied, when drift was first seen, and the lock of an
environment. Files go by their
names in the store.

At the whiteboard: a manifest only grows. Claimed, it names the recipe and its key; then attempts
are added with a job id each; then the evaluation; then perhaps a rejection. Taken back is only what
nothing was built on: a claim that no job came of, the verdict of gates whose rules have changed,
and a rejection by a person who reinstates the version. So a run that lost a race needs no protocol:
it reads again and is further along the same road.

The environment's lock does not make the swaps needless. It is held by a process that may be frozen
for an hour after its last look at the clock, and shards of one environment hold different locks
while they share a version. The lock keeps people from seeing two runs at once; the swap of each
file keeps the files right even then. Nor do the swaps make the lock needless: they guard one file
each, and a platform whose write has no condition is guarded by nothing but the lock and a look just
before it.

A record is written before the deed that it notes. A run that is killed between the two leaves a
record of something that did not happen, and the next look at the endpoint finds that out. In the
other order it would leave a deed that no record knows: a swap whose way back nobody remembers.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import ConflictError, ReconcilerError, UnreadableError
from reconciler.ledger.lock import Clock, Lock
from reconciler.ledger.manifest import (
    Attempt,
    Evaluation,
    Manifest,
    manifest_json,
    parse_manifest,
    parse_record,
    record_json,
)
from reconciler.ledger.plans import Plans
from reconciler.ledger.sightings import Sightings
from reconciler.model import MANIFEST_FILE, METRICS, MODEL, ModelRef, Record, Version, folded
from reconciler.soon import Once
from reconciler.stores.contract import Listed, Store, name_in, url_of

if TYPE_CHECKING:
    from reconciler.model import Address

__all__ = [
    "Attempt",
    "Entry",
    "Evaluation",
    "Ledger",
    "Manifest",
    "manifest_json",
    "parse_manifest",
    "parse_record",
]

RECORDS = "_records"  # the folder of records, by address


class Each(Protocol):
    """A `map`: what a function makes of each file, in their order."""

    def __call__(
        self, read: Callable[[Listed], Entry | None], files: Iterable[Listed], /
    ) -> Iterator[Entry | None]:
        """The entries."""


@dataclass(frozen=True)
class Entry:
    """A manifest as it was read, with the ETag that a change must name."""

    manifest: Manifest
    etag: str


class Ledger:
    """The manifests and records of one store.

    `locks` is the same store, by a client that may give a lock back when the other is halted.
    """

    def __init__(self, store: Store, locks: Store | None = None) -> None:
        self._store = store
        self._locks = locks or store
        self._seen: Once[Entry | None] | None = None
        self.plans = Plans(store)
        self.sightings = Sightings(store)

    def glance(self) -> Ledger:
        """A ledger for one look, of one binding or of a fleet: it reads each manifest once.

        A thousand endpoints may serve one version. Where a store's lists carry no contents, a
        read for each of them would be half of all requests of a plan.
        """
        if self._seen is not None:
            return self
        reader = copy.copy(self)
        reader._seen = Once()
        return reader

    def lock(
        self,
        environment: str,
        clock: Clock,
        stopping: Callable[[], bool],
        shard: str = "",
        options: str = "",
    ) -> Lock:
        """The lock of an environment or of a shard of it, not held yet; a command line leads there
        by these `options`."""
        return Lock(self._locks, environment, clock, stopping, shard=shard, options=options)

    def ref(self, version: Version) -> ModelRef:
        """Where the model file of a version is, or will be."""
        return _ref(self._store.base, self.model_name(version))

    def record_name(self, address: Address) -> str:
        """The file of the record of an address: one, however bindings write its case."""
        return f"{RECORDS}/{address.id.folded}.json"

    def manifest_name(self, version: Version) -> str:
        """The file of the manifest of a version."""
        return f"{version.folder}/{MANIFEST_FILE}"

    def model_name(self, version: Version) -> str:
        """The model file of a version."""
        return version.file(MODEL)

    def metrics_name(self, version: Version) -> str:
        """The file of the metrics of a version."""
        return version.file(METRICS)

    def read(self, version: Version) -> Entry | None:
        """The manifest of a version; None when nobody has claimed it."""
        return self._read(self.manifest_name(version))

    def claim(self, manifest: Manifest) -> Entry:
        """Our entry, or the winner's if another run was first."""
        name = self.manifest_name(manifest.version)
        try:
            return Entry(manifest, self._store.put_if_absent(name, manifest_json(manifest)))
        except ConflictError:
            entry = self._read(name)
            if entry is None:
                raise
            return entry

    def write(self, entry: Entry, manifest: Manifest) -> Entry:
        """The changed entry; ConflictError when another run changed it since it was read."""
        name = self.manifest_name(manifest.version)
        return Entry(manifest, self._store.replace(name, manifest_json(manifest), entry.etag))

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

        def undamaged(file: Listed) -> Entry | None:
            try:
                return self._entry_of(file)
            except UnreadableError as exc:
                damaged.append(exc.message)
                return None

        listed = [file for file in self._store.list(f"{model}/") if _is_manifest(file.name)]
        manifests = [entry.manifest for entry in each(undamaged, listed) if entry is not None]
        return manifests, sorted(damaged)

    def around(self, models: Collection[str], each: Each = map) -> list[Manifest]:
        """The manifests of these models; reads whatever else a plan could ask the store for too.

        For a snapshot: the whole list, and every record. Damaged manifests are left out.
        """
        every = list(self._store.list())
        records = [file for file in every if file.name.startswith(f"{RECORDS}/")]
        manifests = [f for f in every if _is_manifest(f.name) and f.name.split("/")[0] in models]
        entries = each(self._whole, [*records, *manifests])
        return [entry.manifest for entry in entries if entry is not None]

    def _entry_of(self, file: Listed) -> Entry | None:
        if file.content is None:
            return self._read(file.name)
        return Entry(parse_manifest(file.content, file.name), file.properties.etag)

    def _whole(self, file: Listed) -> Entry | None:
        """The manifest, where the file is one; whatever else it is was read too."""
        if not _is_manifest(file.name):
            if file.content is None:
                self._store.get(file.name)
            return None
        try:
            return self._entry_of(file)
        except UnreadableError:
            return None

    def durations(self, model: str, most: int) -> list[float]:
        """How many seconds the trainings of a model took, by its last `most` manifests in the order
        of their folders' names; those that did not end well are left out."""
        listed = [file for file in self._store.list(f"{model}/") if _is_manifest(file.name)]
        times: list[float] = []
        for file in listed[-most:]:
            with contextlib.suppress(UnreadableError):  # a damaged one tells nothing
                entry = self._entry_of(file)
                seconds = entry.manifest.duration_s if entry is not None else None
                times += [] if seconds is None else [seconds]
        return times

    def beside(self, ref: ModelRef) -> Manifest | None:
        """The manifest beside a model file of this store; None for any other file."""
        name = name_in(self._store.base, ref.url) or ""
        folder = name.rpartition("/")[0]
        entry = self._read(f"{folder}/{MANIFEST_FILE}") if folder else None
        return entry.manifest if entry and self.model_name(entry.manifest.version) == name else None

    def reject(
        self, entry: Entry, reason: str, at: str = "", by: str = "", *, silent: str = ""
    ) -> Entry:
        """The entry of a version that no run binds again; "" takes a rejection back."""
        rejected = replace(entry.manifest, rejected=reason, rejected_at=at, rejected_by=by)
        return self.write(entry, replace(rejected, silent=silent))

    def note_refusal(self, entry: Entry, reason: str) -> Entry:
        """The entry with the reason why its gates did not accept it."""
        return self.write(entry, replace(entry.manifest, refused=reason))

    def record(self, address: Address) -> Record | None:
        """The record of an address; None where nothing was done there."""
        file = self._store.get(self.record_name(address))
        return None if file is None else parse_record(file.content, address, file.etag)

    def may_have_begun(self, address: Address, ref: ModelRef) -> bool:
        """Whether a model was asked for at an address and not proved there; a record that cannot be
        read may say so."""
        try:
            record = self.record(address)
        except ReconcilerError:
            return True
        return record is not None and record.wanted == ref and not record.proved

    def has_records(self, prefix: str) -> bool:
        """Whether anything was ever done at an address whose key begins so."""
        return any(True for _ in self._store.list(f"{RECORDS}/{folded(prefix)}"))

    def keep_record(self, address: Address, record: Record) -> Record:
        """The record as it is kept from now on; ConflictError when another run changed it.

        `record.etag` is that of the record it replaces, "" when there was none.
        """
        name, content = self.record_name(address), record_json(record, address)
        return replace(record, etag=self._store.swap(name, content, record.etag))

    def _read(self, name: str) -> Entry | None:
        def read() -> Entry | None:
            file = self._store.get(name)
            return None if file is None else Entry(parse_manifest(file.content, name), file.etag)

        return self._seen(name, read) if self._seen is not None else read()


@cache  # asked for again and again
def _ref(base: str, name: str) -> ModelRef:
    return ModelRef(url_of(base, name))


def _is_manifest(name: str) -> bool:
    return name.endswith(f"/{MANIFEST_FILE}")
