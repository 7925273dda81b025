"""Manifests kept beside the models: what makes a training happen exactly once.

Per version the store holds `model.ilearner`, the evaluation, and `manifest.json`. A manifest is
claimed by a conditional create and changed only by compare-and-swap, so of any number of runs
one wins each step and the others read what it wrote (DESIGN.md, "Exactly-once retraining").

When the answer to a write was lost, urllib3 sends it again and the store says "exists already";
reading then shows whether it was ours, and it counts as done if the content is what we wrote.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from reconciler.errors import ConflictError, UnreadableError
from reconciler.model import (
    EVALUATION_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    ModelRef,
    Recipe,
    Record,
    Score,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.wire.blob import Container

SCHEMA = "reconciler/manifest/v1"
RECORD_SCHEMA = "reconciler/record/v1"


@dataclass(frozen=True)
class Attempt:
    """One batch job: its id, when it was noted, when it was seen started, how it failed.

    `inputs` has the fingerprint of each input blob as it was before the job was submitted.
    `started_at` and `failure` are "" until then.
    """

    job: str
    noted_at: str
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    started_at: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What a finished job made: metrics, the model file's SHA-256 (hex), and when we looked.

    `fingerprint` is what a HEAD of the model file showed then: another one later means that the
    file is not the one that was evaluated.
    """

    metrics: Mapping[str, float] = field(hash=False)
    sha256: str
    noted_at: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Manifest:
    """One model version: its recipe, the attempts to make it, and what came of them."""

    version: Version
    key: str
    recipe: Recipe
    claimed_at: str
    claimed_by: str
    attempts: tuple[Attempt, ...] = ()
    evaluation: Evaluation | None = None
    rejected: str = ""


@dataclass(frozen=True)
class Entry:
    """A manifest as it was read, with the ETag that a change must name."""

    manifest: Manifest
    etag: str


class Ledger:
    """The manifests and records of one store."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def ref(self, version: Version) -> ModelRef:
        """Where the model file of a version is, or will be."""
        return ModelRef(model_url(self._container.base, version))

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
            return Entry(manifest, self._container.put_if_absent(name, manifest_json(manifest)))
        except ConflictError:
            entry = self._read(name)
            if entry is None:
                raise
            return entry

    def write(self, entry: Entry, manifest: Manifest) -> Entry:
        """The changed entry; ConflictError when another run changed it since it was read."""
        name = f"{manifest.version.folder}/{MANIFEST_FILE}"
        try:
            etag = self._container.replace(name, manifest_json(manifest), entry.etag)
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

    def note_evaluation(self, entry: Entry, evaluation: Evaluation) -> Entry:
        """The entry with the metrics of its finished job."""
        return self.write(entry, replace(entry.manifest, evaluation=evaluation))

    def of_model(self, ref: ModelRef) -> Manifest | None:
        """The manifest beside a model file of this store; None for any other file."""
        folder = _folder_of(self._container.base, ref)
        entry = self._read(f"{folder}/{MANIFEST_FILE}") if folder else None
        return entry.manifest if entry else None

    def reject(self, entry: Entry, reason: str) -> Entry:
        """The entry of a version that no run binds again."""
        return self.write(entry, replace(entry.manifest, rejected=reason))

    def record(self, address: object) -> Record | None:
        """What was last done at an address; None when nothing was."""
        blob = self._container.get(_record_name(address))
        return None if blob is None else parse_record(blob.content, address, blob.etag)

    def keep_record(self, address: object, record: Record) -> Record:
        """The record as it is kept from now on; ConflictError when another run changed it.

        `record.etag` is that of the record it replaces, "" when there was none.
        """
        document = {
            "schema": RECORD_SCHEMA,
            "address": str(address),
            "wanted": record.wanted.url,
            "previous": record.previous.url if record.previous else None,
            "bound": record.bound.url if record.bound else None,
            "proved": record.proved,
            "at": record.at,
            "before": vars(record.before) if record.before else None,
        }
        name, content = _record_name(address), _text(document)
        if record.etag:
            etag = self._container.replace(name, content, record.etag)
        else:
            etag = self._container.put_if_absent(name, content)
        return replace(record, etag=etag)

    def _read(self, name: str) -> Entry | None:
        blob = self._container.get(name)
        if blob is None:
            return None
        return Entry(parse_manifest(blob.content, name), blob.etag)


def model_url(container_url: str, version: Version) -> str:
    """The URL of a version's model file; `container_url` ends without a slash."""
    return f"{container_url}/{quote(version.folder, safe='/=,')}/{MODEL_FILE}"


def version_name(container_url: str, ref: ModelRef, wanted: Version) -> str:
    """What people call a model file of this store: the version, where only that differs.

    Another model of this store has its folder as name; a file from elsewhere has "".
    """
    folder = _folder_of(container_url, ref)
    parts = folder.split("/")
    if len(parts) > 1 and folder == replace(wanted, version=parts[1]).folder:
        return parts[1]
    return folder


def _folder_of(container_url: str, ref: ModelRef) -> str:
    below = ref.url.removeprefix(ModelRef(container_url).url + "/")
    if below == ref.url or not below.endswith(f"/{MODEL_FILE}"):
        return ""
    return unquote(below).removesuffix(f"/{MODEL_FILE}")


def _record_name(address: object) -> str:
    return f"_records/{address}.json"


def _text(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def manifest_json(manifest: Manifest) -> bytes:
    """The bytes of a manifest; equal manifests have equal bytes."""
    evaluation = manifest.evaluation
    document = {
        "schema": SCHEMA,
        "model": manifest.version.model,
        "version": manifest.version.version,
        "arguments": dict(manifest.version.arguments),
        "key": manifest.key,
        "recipe": manifest.recipe.as_json(),
        "claimed": {"at": manifest.claimed_at, "by": manifest.claimed_by},
        "attempts": [vars(attempt) for attempt in manifest.attempts],
        "evaluation": None if evaluation is None else vars(evaluation),
        "rejected": manifest.rejected,
    }
    return _text(document)


def parse_manifest(content: bytes, name: str) -> Manifest:
    """The manifest in a blob; UnreadableError, naming the blob, if it is damaged."""
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise UnreadableError(f"{name} has schema {document['schema']!r}, not {SCHEMA!r}")
        return Manifest(
            version=Version(document["model"], document["version"], _pairs(document["arguments"])),
            key=document["key"],
            recipe=_recipe(document["recipe"]),
            claimed_at=document["claimed"]["at"],
            claimed_by=document["claimed"]["by"],
            attempts=tuple(Attempt(**attempt) for attempt in document["attempts"]),
            evaluation=_evaluation(document["evaluation"]),
            rejected=document["rejected"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UnreadableError(f"{name} in the store is damaged: it is not a manifest") from exc


def parse_record(content: bytes, address: object, etag: str = "") -> Record:
    """The record in a blob; UnreadableError, naming the address, if it is damaged."""
    try:
        document = json.loads(content)
        if document["schema"] != RECORD_SCHEMA or not isinstance(document["proved"], bool):
            raise ValueError("not a record of this version")
        known = {
            name: ModelRef(document[name]) if document[name] is not None else None
            for name in ("previous", "bound")
        }
        return Record(
            wanted=ModelRef(document["wanted"]),
            previous=known["previous"],
            bound=known["bound"],
            proved=document["proved"],
            at=_timestamp(document["at"]),
            before=_score(document["before"]),
            etag=etag,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UnreadableError(f"the record of {address} in the store is damaged") from exc


def _timestamp(said: str) -> str:
    datetime.datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ")
    return said


def _score(document: Mapping[str, Any] | None) -> Score | None:
    if document is None:
        return None
    rows = tuple(tuple(map(str, row)) for row in document["rows"])
    return Score(tuple(map(str, document["columns"])), rows)


def _recipe(document: Mapping[str, Any]) -> Recipe:
    return Recipe(
        service=document["service"],
        inputs=_pairs(document["inputs"]),
        parameters=_pairs(document["parameters"]),
        outputs=_pairs(document["outputs"]),
    )


def _pairs(document: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in document.items()))


def _evaluation(document: Mapping[str, Any] | None) -> Evaluation | None:
    if document is None:
        return None
    metrics = {str(name): float(value) for name, value in document["metrics"].items()}
    return Evaluation(
        metrics,
        str(document["sha256"]),
        str(document["noted_at"]),
        str(document["fingerprint"]),
    )
