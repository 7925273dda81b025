"""A snapshot as a file: JSON that anybody may read, and that nobody who reads it trusts.

It is written where credentials are and read where there are none: by the job of a pull request,
perhaps of a fork. So two borders meet here. On the way out `redact` takes known secrets from the
whole text once more, after redaction.py kept only what plans ask for. On the way in everything is
checked like foreign input: the types by the codec, and by `_claims` what types cannot say. Names
that are printed must be printable, sizes must not be negative, and bodies must be no deeper than
what plans read, because definitions are read recursively.

Equal snapshots are equal files: mappings and sets are sorted, and times of files, which no plan
asks for, are left out. So two of them can be compared. A file of another schema is refused by its
version before anything in it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cattrs import Converter
from cattrs.cols import is_mapping, is_set
from cattrs.gen import make_dict_unstructure_fn, override

from reconciler.codec import make_codec, read
from reconciler.errors import redact
from reconciler.model import NO_NAME, Environment
from reconciler.offline.recorded import KEPT_STATUSES, Answers
from reconciler.render.documents import json_document
from reconciler.stores.contract import Properties

FAMILY = "reconciler/snapshot/"
SCHEMA = f"{FAMILY}v2"
MOST_LEVELS = 100  # of an answer; what plans read of definitions is not nested so deeply
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True)
class Place:
    """The subject of a snapshot: an environment, and where it is."""

    environment: str
    platforms: str
    store: str

    @classmethod
    def of(cls, environment: Environment) -> Place:
        """The place of an environment."""
        return cls(environment.name, environment.places, environment.store.url)

    def differences(self, other: Place) -> list[str]:
        """`store s3://a/b, not s3://a/c` for each member that is another."""
        own, others = asdict(self), asdict(other)
        return [
            f"{name} {own[name] or '(none)'}, not {others[name] or '(none)'}"
            for name in own
            if own[name] != others[name]
        ]


@dataclass(frozen=True)
class Snapshot:
    """The answers that were heard, when, at which commit ("" if nobody knew), by which program.

    `emulator` is where an emulator was, "" on a real cloud.
    """

    at: str
    commit: str
    program: str
    place: Place
    emulator: str
    answers: Answers


def snapshot_json(taken: Snapshot) -> str:
    """The file; equal snapshots are equal files."""
    return redact(json_document({"schema": SCHEMA, **_CODEC.unstructure(taken)}, indent=1))


def snapshot_in(document: dict[str, Any]) -> Snapshot:
    """The snapshot in a JSON object; ValueError names the place that is damaged."""
    if (schema := document.get("schema")) != SCHEMA:
        raise ValueError(
            f"snapshot.schema: {schema!r} is not {SCHEMA!r}, the one that this version reads; "
            "take it with this version"
        )
    taken = read(_CODEC, Snapshot, document, "snapshot")
    for place, holds, why in _claims(taken):
        if not holds:
            raise ValueError(f"snapshot.{place} {why}")
    return taken


def _claims(taken: Snapshot) -> Iterator[tuple[str, object, str]]:
    """Whether each part is as it must be beside its type, and the words where it is not."""
    yield "at:", _MOMENT.fullmatch(taken.at), "must be a moment like 2026-11-23T14:09:57Z"
    yield "commit:", _COMMIT.fullmatch(taken.commit), "must be 40 or 64 hex digits, or empty"
    for url, answer in taken.answers.management.items():
        place = f"answers.management[{url!r}]:"
        yield place, answer.status in KEPT_STATUSES, "must have status 200 or 404"
        level = [answer.body]
        for _ in range(MOST_LEVELS):
            level = [below for value in level for below in _below(value)]
        yield place, (not level), f"is nested deeper than {MOST_LEVELS} levels"
    for uri, store in taken.answers.stores.items():
        for name, file in store.files.items():
            place = f"answers.stores[{uri!r}].files[{name!r}]:"
            texts = "".join((name, file.etag, file.fingerprint))
            yield place, not NO_NAME.search(texts), "must be without control characters"
            yield place, file.size >= 0, "must not have a negative size"


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _make_codec() -> Converter:
    """A codec that sorts whatever was heard in any order, and leaves out what plans do not ask."""
    codec = make_codec()
    codec.register_unstructure_hook_factory(is_mapping, lambda _: _sorted)
    codec.register_unstructure_hook_factory(is_set, lambda _: sorted)
    codec.register_structure_hook_factory(
        is_set, lambda _: lambda value, _: set(codec.structure(value, tuple[str, ...]))
    )
    files = make_dict_unstructure_fn(Properties, codec, modified=override(omit=True))
    answers = make_dict_unstructure_fn(Answers, codec, ours=override(omit=True))
    codec.register_unstructure_hook(Properties, files)
    codec.register_unstructure_hook(Answers, answers)
    return codec


def _sorted(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _CODEC.unstructure(mapping[name]) for name in sorted(mapping)}


_CODEC = _make_codec()
