"""A record: what was last done at an address, and its bytes in the store."""

from __future__ import annotations

from dataclasses import replace

from reconciler.ledger.manifest import CODEC, check_moments, document_bytes, read_document
from reconciler.model import Record, folded

SCHEMA = "reconciler/record/v1"


def record_json(record: Record, address: object) -> bytes:
    """The bytes of a record; `etag` is the store's and not among them."""
    document = CODEC.unstructure(record)
    del document["etag"]
    return document_bytes({"schema": SCHEMA, "address": folded(str(address)), **document})


def parse_record(content: bytes, address: object, etag: str = "") -> Record:
    """The record in a file; UnreadableError, naming the address and the place, if it is damaged."""
    what = f"the record of {address}"
    record = read_document(content, SCHEMA, Record, what, address=folded(str(address)))
    check_moments([record.at, *(event.at for event in record.history)], what)
    return replace(record, etag=etag)
