"""A manifest: what is known of one model version, and its bytes in the store.

The manifest is read by every later version of this program, and by people with a text editor. So it
is plain JSON with whole names, times are UTC to the second, and a schema stands first: a program
that meets a newer one refuses it by that and says so, instead of reading half of it. Nothing in it
is a secret: a job's grants are made anew for each start (`engine/train.py`), so they need not be
kept.

An attempt notes the fingerprints of its inputs before its job exists. Taken afterwards they could
be those of newer data, and the version would claim to be trained on what it never saw.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from reconciler.codec import make_codec, read
from reconciler.errors import UnreadableError
from reconciler.model import MANIFEST_FILE, ModelRef, Recipe, Record, Spent, Version, folded
from reconciler.stores.contract import Properties
from reconciler.strict_json import parse_json

_Value = TypeVar("_Value")

SCHEMA = "reconciler/manifest/v2"
RECORD = "reconciler/record/v1"
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True)
class Attempt:
    """One batch job: its id, when it was noted, when it was seen started, how it failed.

    `inputs` has the fingerprint of each input as it was before the job was submitted.
    `started_at` and `failure` are "" until then.
    """

    job: str
    noted_at: str
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    started_at: str = ""
    failure: str = ""

    def changed(self, now: Mapping[str, Properties | None]) -> dict[str, Properties | None]:
        """The inputs whose content is no longer what the job was given, as they are; None: gone."""
        return {
            path: seen
            for path, then in sorted(self.inputs.items())
            if (seen := now.get(path)) is None or seen.fingerprint != then
        }


@dataclass(frozen=True)
class Evaluation:
    """The result of a version: metrics, the model file's SHA-256 (hex), and when we looked.

    `ref` is the URI of the model file.

    `fingerprint` is what a HEAD of the model file showed then: another one later means that the
    file is not the one that was evaluated. `rows` is None where no rule asked for them. `spent` is
    what the engine told of its job, None where it told nothing.
    """

    metrics: Mapping[str, float] = field(hash=False)
    sha256: str
    noted_at: str
    fingerprint: str = ""
    rows: int | None = None
    ref: ModelRef | None = None
    spent: Spent | None = None


@dataclass(frozen=True)
class Manifest:
    """One model version: its recipe, the attempts to make it, and what came of them.

    `claimed_by` is the run that began it, for git `commit`, and `forced` why it overrode limits.
    `refused` says why its gates did not accept it when they were last asked; `rejected` why no run
    may bind it again, and since when and by whom that is so ("" where nobody noted it); `silent`
    is the address that gave no answer at all, where that was the reason and may be its own fault.
    """

    version: Version
    key: str
    recipe: Recipe
    claimed_at: str
    claimed_by: str
    commit: str = ""
    forced: str = ""
    attempts: tuple[Attempt, ...] = ()
    evaluation: Evaluation | None = None
    refused: str = ""
    rejected: str = ""
    rejected_at: str = ""
    rejected_by: str = ""
    silent: str = ""

    @property
    def rejection(self) -> str:
        """Why it was rejected, by whom and when, in words; "" while it is not."""
        if not (self.rejected and self.rejected_at):
            return self.rejected
        return f"{self.rejected} (rejected by {self.rejected_by} at {self.rejected_at})"

    @property
    def labels(self) -> dict[str, str]:
        """Where it comes from, as `Model` says it: the commit, and its data."""
        inputs = self.attempts[-1].inputs if self.attempts else {}
        data = {f"data.{path}": seen for path, seen in sorted(inputs.items())}
        return data | ({"commit": self.commit} if self.commit else {})

    @property
    def vacant(self) -> bool:
        """Whether it is no more than a claim: no job exists, so any recipe may take it over."""
        return not (self.attempts or self.evaluation or self.rejected)

    @property
    def duration_s(self) -> float | None:
        """How long its job ran, as the engine tells; else from when it was seen started to when its
        end was seen. None before that."""
        spent = self.evaluation.spent if self.evaluation else None
        if spent is not None and spent.ran_s is not None:
            return spent.ran_s
        if self.evaluation is None or not self.attempts or not self.attempts[-1].started_at:
            return None
        took = _moment(self.evaluation.noted_at) - _moment(self.attempts[-1].started_at)
        return max(took.total_seconds(), 0.0)


def manifest_json(manifest: Manifest) -> bytes:
    """The bytes of a manifest; equal manifests have equal bytes."""
    return document_bytes({"schema": SCHEMA, **CODEC.unstructure(manifest)})


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as the store keeps it: JSON that people can read."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def parse_manifest(content: bytes, name: str) -> Manifest:
    """The manifest in a file; UnreadableError, naming the file and the place, if it is damaged."""
    manifest = read_document(content, SCHEMA, Manifest, name)
    if name != f"{manifest.version.folder}/{MANIFEST_FILE}":
        raise UnreadableError(f"{name} in the store is the manifest of {manifest.version}")
    stamps = [attempt.noted_at for attempt in manifest.attempts]
    stamps += [attempt.started_at for attempt in manifest.attempts if attempt.started_at]
    stamps += [manifest.evaluation.noted_at] if manifest.evaluation else []
    check_moments(stamps, name)
    metrics = manifest.evaluation.metrics if manifest.evaluation else {}
    if not all(map(math.isfinite, metrics.values())):
        raise UnreadableError(f"{name} in the store is damaged: a metric is not a finite number")
    return manifest


def read_document(
    content: bytes, schema: str, kind: type[_Value], what: str, **known: str
) -> _Value:
    """The value in a file of ours; UnreadableError says what is wrong with `what`.

    `known` are members that tell whose file it is: with another value it is not read.
    """
    try:
        document = parse_json(content)
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
        for name, value in {"schema": schema, **known}.items():
            if (other := document.get(name)) != value:
                raise ValueError(f"its {name} is {other!r}, not {value!r}")
        return read(CODEC, kind, document, "it")
    except ValueError as exc:
        raise UnreadableError(f"{what} in the store is damaged: {exc}") from exc


def check_moments(stamps: Iterable[str], what: str) -> None:
    """UnreadableError unless each is a moment as we write it."""
    for stamp in stamps:
        try:
            good = _STAMP.fullmatch(stamp) and _moment(stamp)
        except ValueError:  # of a form that fits, such as the 13th month
            good = None
        if not good:
            raise UnreadableError(f"{what} in the store is damaged: {stamp!r} is not a timestamp")


def _moment(stamp: str) -> datetime.datetime:
    # strptime would say the same at ten times the cost, six times per binding of a plan
    return datetime.datetime.fromisoformat(stamp.removesuffix("Z"))


def _make_codec() -> Converter:
    """The codec of the ledger: pairs stand as an object, a model by its URI."""
    codec = make_codec()
    pairs = tuple[tuple[str, str], ...]
    codec.register_structure_hook_func(
        lambda kind: kind == pairs,
        lambda value, _: tuple(sorted(codec.structure(value, dict[str, str]).items())),
    )
    codec.register_unstructure_hook_func(lambda kind: kind == pairs, dict)
    codec.register_structure_hook(ModelRef, lambda value, _: ModelRef(codec.structure(value, str)))
    codec.register_unstructure_hook(ModelRef, str)
    recipe = make_dict_unstructure_fn(Recipe, codec, folder=override(omit=True))
    codec.register_unstructure_hook(Recipe, recipe)
    return codec


CODEC = _make_codec()


# --- a record: what was last done at an address ---------------------------------------------------


def record_json(record: Record, address: object) -> bytes:
    """The bytes of a record; `etag` is the store's and not among them."""
    document = CODEC.unstructure(record)
    del document["etag"]
    return document_bytes({"schema": RECORD, "address": folded(str(address)), **document})


def parse_record(content: bytes, address: object, etag: str = "") -> Record:
    """The record in a file; UnreadableError, naming the address and the place, if it is damaged."""
    what = f"the record of {address}"
    record = read_document(content, RECORD, Record, what, address=folded(str(address)))
    check_moments([record.at, *(event.at for event in record.history)], what)
    return replace(record, etag=etag)
