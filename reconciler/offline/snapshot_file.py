"""A snapshot as a file: JSON that anybody may read, and that nobody who reads it trusts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reconciler.codec import make_codec, read
from reconciler.errors import redact
from reconciler.offline.recorded import KEPT_STATUSES, Answer, Answers
from reconciler.offline.stores import Memory
from reconciler.render.documents import json_document
from reconciler.stores.contract import Properties

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model import Environment

FAMILY = "reconciler/snapshot/"
SCHEMA = f"{FAMILY}v2"
MOST_LEVELS = 100  # of an answer; what plans read of definitions is not nested so deeply
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Of what a snapshot was taken: an environment, and where it is."""

    environment: str
    platforms: str
    store: str

    @classmethod
    def of(cls, environment: Environment) -> Place:
        """The place of an environment."""
        return cls(environment.name, environment.places, environment.store.url)

    def differences(self, wanted: Place) -> list[str]:
        """`cloud azure, not emulator` for each member that is another."""
        own, others = asdict(self), asdict(wanted)
        return [
            f"{name} {own[name] or '(none)'}, not {others[name] or '(none)'}"
            for name in own
            if own[name] != others[name]
        ]


@dataclass(frozen=True)
class Snapshot:
    """What was heard, when, at which commit of git ("" if nobody knew), and by which program.

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
    answers = taken.answers
    file = _Snapshot(
        SCHEMA,
        _Taken(taken.at, taken.commit, taken.program),
        _Of(**vars(taken.place), emulator=taken.emulator),
        tuple(_Asked(url, a.status, a.body) for url, a in sorted(answers.management.items())),
        tuple(_store(uri, kept) for uri, kept in sorted(answers.stores.items())),
    )
    return redact(json_document(_CODEC.unstructure(file), indent=1))


def snapshot_in(document: dict[str, Any]) -> Snapshot:
    """The snapshot in a JSON object; ValueError names the place that is damaged."""
    if (schema := document.get("schema")) != SCHEMA:
        raise ValueError(
            f"snapshot.schema: {schema!r} is not {SCHEMA!r}, the one that this version reads; "
            "take it with this version"
        )
    file = read(_CODEC, _Snapshot, document, "snapshot")
    taken = file.taken
    answers = Answers(
        {asked.url: Answer(asked.status, asked.body) for asked in file.answers},
        {store.uri: _kept(store) for store in file.stores},
    )
    place = Place(**{name: getattr(file.of, name) for name in Place.__dataclass_fields__})
    return Snapshot(taken.at, taken.commit, taken.by, place, file.of.emulator, answers)


def _store(uri: str, kept: Memory) -> _Store:
    files = sorted(kept.files.items())
    return _Store(
        uri,
        tuple(sorted(kept.listed)),
        tuple(sorted(kept.absent)),
        tuple(_File(name, one.etag, one.size, one.fingerprint) for name, one in files),
        tuple(_Text(name, text) for name, text in sorted(kept.texts.items())),
    )


def _kept(store: _Store) -> Memory:
    return Memory(
        {one.name: Properties(one.etag, one.fingerprint, one.size) for one in store.files},
        {one.name: one.text for one in store.texts},
        set(store.absent),
        set(store.listed),
    )


# --- the shape of the file, whose parts refuse what no snapshot holds ----------------------


def _need(holds: bool, why: str) -> None:
    if not holds:
        raise ValueError(why)


@dataclass(frozen=True)
class _Taken:
    at: str
    commit: str
    by: str

    def __post_init__(self) -> None:
        _need(
            _MOMENT.fullmatch(self.at) is not None, "at must be a moment like 2026-11-23T14:09:57Z"
        )
        _need(_COMMIT.fullmatch(self.commit) is not None, "commit must be 40 or 64 hex digits")


@dataclass(frozen=True)
class _Of(Place):
    emulator: str


@dataclass(frozen=True)
class _Asked:
    url: str
    status: int
    body: Any

    def __post_init__(self) -> None:
        _need(self.status in KEPT_STATUSES, "status must be 200 or 404")
        level = [self.body]
        for _ in range(MOST_LEVELS):
            level = [below for value in level for below in _below(value)]
        _need(not level, f"body is nested deeper than {MOST_LEVELS} levels")


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


@dataclass(frozen=True)
class _Text:
    name: str
    text: str

    def __post_init__(self) -> None:
        _check_name(self.name)


@dataclass(frozen=True)
class _File:
    name: str
    etag: str
    size: int
    fingerprint: str

    def __post_init__(self) -> None:
        _check_name(self.name)
        _need(self.etag.isprintable(), "etag must be printable")
        _need(self.fingerprint.isprintable(), "fingerprint must be printable")
        _need(self.size >= 0, "size must not be negative")


def _check_name(name: str) -> None:
    _need(name.isprintable(), "name must be without control characters")


@dataclass(frozen=True)
class _Store:
    uri: str
    listed: tuple[str, ...]
    absent: tuple[str, ...]
    files: tuple[_File, ...]
    texts: tuple[_Text, ...]


@dataclass(frozen=True)
class _Snapshot:
    schema: str
    taken: _Taken
    of: _Of
    answers: tuple[_Asked, ...]
    stores: tuple[_Store, ...]


_CODEC = make_codec()
