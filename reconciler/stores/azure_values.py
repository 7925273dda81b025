"""What blob storage says of a blob: by its headers, or in a list.

A small blob may carry a compressed copy of its content in its metadata, written by the same PUT,
so that one list answers for thousands of them. The copy is believed only where its MD5 is the one
that the service keeps for the content: whoever rewrites the one without the other is found out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

COPY = "content"
MOST_COPY_CHARACTERS = 7000  # all metadata of a blob may have 8 KiB, names included
_MOST_COPIED_BYTES = 1024 * 1024  # what a copy may grow to, whoever wrote it


class BlobUrl(NamedTuple):
    """A blob as batch jobs name it (§4.2): `https://…/`, `container/blob`, and a secret `?sv=…`."""

    base: str
    relative: str
    sas: str

    def __repr__(self) -> str:
        """Where it is, without the SAS."""
        return f"BlobUrl({self.base}{self.relative})"


@dataclass(frozen=True)
class BlobProperties:
    """What is known of a blob without reading it; `md5` is base64, "" where not kept."""

    etag: str
    length: int
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    md5: str = ""
    modified: str = field(default="", compare=False)  # as HTTP writes a moment; "" in a list

    @property
    def fingerprint(self) -> str:
        """What changes when the content does: see `_fingerprint`."""
        return _fingerprint(self.md5, self.etag)


@dataclass(frozen=True)
class Blob:
    """A blob: its bytes, and its properties at the same moment."""

    content: bytes = field(repr=False)
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    md5: str = ""

    @property
    def fingerprint(self) -> str:
        """What changes when the content does: see `_fingerprint`."""
        return _fingerprint(self.md5, self.etag)


class Listed(NamedTuple):
    """A blob as a list shows it; `leased` while somebody holds a lease on it."""

    name: str
    properties: BlobProperties
    leased: bool

    @property
    def content(self) -> bytes | None:
        """The content, where the metadata holds a whole copy of it; None where it must be read."""
        return _content(self.properties.metadata.get(COPY, ""), self.properties.md5)


def _fingerprint(md5: str, etag: str) -> str:
    """The MD5 where the storage keeps one (it does for blobs written in one go), else the ETag.

    An ETag also changes when the same bytes are written again.
    """
    return f"md5:{md5}" if md5 else f"etag:{etag}"


def md5_of(content: bytes) -> str:
    """The MD5 as headers and lists show it: in base64."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def copy_of(content: bytes) -> dict[str, str]:
    """The metadata that lets lists show the content; {} for one that is too large for it."""
    if len(content) > _MOST_COPIED_BYTES:
        return {}
    copy = base64.b64encode(zlib.compress(content, 9)).decode()
    return {COPY: copy} if len(copy) <= MOST_COPY_CHARACTERS else {}


def _content(copy: str, md5: str) -> bytes | None:
    if not copy or not md5:
        return None
    try:
        unpacked = zlib.decompressobj()
        content = unpacked.decompress(base64.b64decode(copy, validate=True), _MOST_COPIED_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        return None
    return content if md5_of(content) == md5 else None


def listed(element: Element) -> Listed | None:
    """A blob of a list; None where it lacks the name or the ETag that every list has."""
    named = element.find("Name")
    shown = {child.tag: child.text or "" for child in element.iterfind("./Properties/*")}
    etag = shown.get("Etag", "").strip('"')  # lists show it without the quotes of the header
    if named is None or not named.text or not etag:
        return None
    name = unquote(named.text) if named.get("Encoded") == "true" else named.text
    length = shown.get("Content-Length", "")
    metadata = {child.tag.lower(): child.text or "" for child in element.iterfind("./Metadata/*")}
    properties = BlobProperties(
        f'"{etag}"',
        int(length) if length.isdecimal() else 0,
        metadata,
        shown.get("Content-MD5", ""),
    )
    return Listed(name, properties, shown.get("LeaseStatus") == "locked")
