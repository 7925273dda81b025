"""A record: what was last done at an address, and its bytes in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import UnreadableError
from reconciler.ledger.manifest import document_bytes, pairs, timestamp
from reconciler.model import Event, EventKind, ModelRef, Record, Score
from reconciler.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "reconciler/record/v1"


def record_json(record: Record, address: object) -> bytes:
    """The bytes of a record; `etag` is the store's and not among them."""
    document = {
        "schema": SCHEMA,
        "address": str(address),
        "wanted": record.wanted.url,
        "previous": record.previous.url if record.previous else None,
        "bound": record.bound.url if record.bound else None,
        "proved": record.proved,
        "at": record.at,
        "before": vars(record.before) if record.before else None,
        "settings": dict(record.settings),
        "history": [{**vars(event), "model": event.model.url} for event in record.history],
    }
    return document_bytes(document)


def parse_record(content: bytes, address: object, etag: str = "") -> Record:
    """The record in a blob; UnreadableError, naming the address, if it is damaged."""
    try:
        document = parse_json(content)
        if document["schema"] != SCHEMA or not isinstance(document["proved"], bool):
            raise ValueError("not a record of this version")
        if document["address"] != str(address):
            raise UnreadableError(f"the record of {address} in the store is of another address")
        known = {
            name: ModelRef(document[name]) if document[name] is not None else None
            for name in ("previous", "bound")
        }
        return Record(
            wanted=ModelRef(document["wanted"]),
            previous=known["previous"],
            bound=known["bound"],
            proved=document["proved"],
            at=timestamp(document["at"]),
            before=_score(document["before"]),
            history=tuple(_event(event) for event in document["history"]),
            settings=pairs(document["settings"]),
            etag=etag,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UnreadableError(f"the record of {address} in the store is damaged") from exc


def _event(document: Mapping[str, Any]) -> Event:
    names = ("run", "commit", "why", "who", "version")
    return Event(
        at=timestamp(document["at"]),
        what=EventKind(document["what"]),
        model=ModelRef(document["model"]),
        **{name: str(document[name]) for name in names},
    )


def _score(document: Mapping[str, Any] | None) -> Score | None:
    if document is None:
        return None
    rows = tuple(tuple(map(str, row)) for row in document["rows"])
    return Score(tuple(map(str, document["columns"])), rows)
