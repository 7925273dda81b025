"""A blob as a list of Azure Blob storage shows it, and the copy of its content in there.

A small JSON file carries a compressed copy of itself in its metadata, written by the same PUT, so
that one list answers for thousands of files. The copy is believed only where its MD5 is the one
that the service keeps for the content: whoever rewrites the one without the other is found out.

Why a copy at all: a plan of a thousand endpoints reads a thousand records and as many manifests,
and lists of Blob storage show everything of a blob but its content. With the copy a page of five
thousand blobs replaces as many requests. Why it can be trusted: metadata and content change in one
PUT and never apart by this program, and of a blob that others rewrote the MD5 tells. A blob without
an MD5 is simply read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.stores.contract import Listed, Properties

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

COPY = "content"  # the name of the copy in the metadata
MOST_COPY_CHARACTERS = 7000  # all metadata of a blob may have 8 KiB, names included
_MOST_COPIED_BYTES = 1024 * 1024  # what a copy may grow to, whoever wrote it


def md5_of(content: bytes) -> str:
    """The MD5 as headers and lists show it: in base64."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def copy_of(name: str, content: bytes) -> dict[str, str]:
    """The metadata that lets lists show a JSON file; {} for one that is too large for it."""
    if not name.endswith(".json") or len(content) > _MOST_COPIED_BYTES:
        return {}
    copy = base64.b64encode(zlib.compress(content, 9)).decode()
    return {COPY: copy} if len(copy) <= MOST_COPY_CHARACTERS else {}


def listed(element: Element) -> Listed | None:
    """A blob of a list; None where it lacks the name or the ETag that every list has.

    The fingerprint is "" where the list shows no MD5: then it may not tell all.
    """
    named = element.find("Name")
    members = {child.tag: child.text or "" for child in element.iterfind("./Properties/*")}
    etag = members.get("Etag", "").strip('"')  # lists show it without the quotes of the header
    if named is None or not named.text or not etag:
        return None
    name = unquote(named.text) if named.get("Encoded") == "true" else named.text
    length, md5 = members.get("Content-Length", ""), members.get("Content-MD5", "")
    size = int(length) if length.isdecimal() else 0
    properties = Properties(f'"{etag}"', f"md5:{md5}" if md5 else "", size)
    copies = (c.text or "" for c in element.iterfind("./Metadata/*") if c.tag.lower() == COPY)
    return Listed(name, properties, _content(next(copies, ""), md5))


def _content(copy: str, md5: str) -> bytes | None:
    """The content in a copy; None where there is none, or its MD5 is not the blob's."""
    if not copy or not md5:
        return None
    try:
        unpacked = zlib.decompressobj()
        content = unpacked.decompress(base64.b64decode(copy, validate=True), _MOST_COPIED_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        return None
    return content if md5_of(content) == md5 else None
