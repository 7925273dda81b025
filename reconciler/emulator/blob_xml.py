"""The wire format of Blob storage: errors, lists, conditions, ranges."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import parse_qsl
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from reconciler.emulator.messages import Request, Response

META = "x-ms-meta-"
_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
_MOST = 5000
_MOST_HASHED = 4 * 1024 * 1024  # bytes of a range of which the service computes the MD5
_RANGE_MD5 = "x-ms-range-get-content-md5"
_ECHOED = ("Prefix", "Marker", "MaxResults", "Delimiter")
_MARK = "2!"  # like the service's own markers: nothing that a client could make up from a name


class BlobError(Exception):
    """A refusal in the error shape of Blob storage: XML, and the code in a header too.

    `details` are further elements of the XML.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str = "",
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message or code
        self.details, self.headers = details or {}, headers or {}

    def response(self, request_id: str, now: float) -> Response:
        """The answer; a 304 has the code but never a body."""
        headers = {**self.headers, "x-ms-error-code": self.code}
        if self.status == 304:
            return Response(304, headers)
        text = f"{self.message}\nRequestId:{request_id}\nTime:{http_date(now)}"
        members = {"Code": self.code, "Message": text, **self.details}
        body = _HEAD + tags("Error", members)
        return Response(self.status, {**headers, "Content-Type": "application/xml"}, body.encode())


def unknown(request: Request, what: str = "") -> BlobError:
    """501 that names the operation, and what about it is unknown."""
    asked = request.parameters
    names = " ".join(f"{name}={asked[name]}" for name in ("restype", "comp") if name in asked)
    operation = f"{request.method} {request.path} {names} {what}".strip()
    return BlobError(501, "NotImplemented", f"The emulator does not know {operation}.")


def http_date(seconds: float) -> str:
    """The time as headers and lists write it."""
    return formatdate(seconds, usegmt=True)


def stamp(seconds: float) -> str:
    """The time as delegation keys write it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_info(body: bytes) -> tuple[float, float]:
    """From when until when a user delegation key is asked for."""
    try:
        root = ElementTree.fromstring(body.decode("utf-8-sig"))
        times = [root.findtext(name) or "" for name in ("Start", "Expiry")]
        first, last = (datetime.fromisoformat(text).timestamp() for text in times)
    except (ValueError, ElementTree.ParseError) as exc:
        raise BlobError(400, "InvalidXmlDocument", "It is no KeyInfo with two times.") from exc
    return first, last


# --- lists --------------------------------------------------------------------------------------


def tag(name: str, text: str) -> str:
    """One element; an empty one is short, as the service writes it."""
    return f"<{name}>{escape(text)}</{name}>" if text else f"<{name} />"


def tags(name: str, members: Mapping[str, str]) -> str:
    """An element of elements."""
    return f"<{name}>{''.join(tag(key, value) for key, value in members.items())}</{name}>"


def enumeration(
    request: Request,
    names: Iterable[str],
    entry: Callable[[str], str],
    place: Mapping[str, str],
    kind: str,
) -> Response:
    """One page of a list; `entry` makes the XML of a name, `place` the attributes of the root."""
    asked = request.parameters
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    found = _folded((n for n in names if n.startswith(prefix)), prefix, delimiter)
    done = _unmarked(asked.get("marker", ""))
    after = [name for name in found if name > done]
    page = after[: _page_size(asked)]
    marker = _marked(page[-1]) if len(after) > len(page) else ""
    head = "".join(tag(name, asked[name.lower()]) for name in _ECHOED if asked.get(name.lower()))
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in place.items())
    body = (
        f"{_HEAD}<EnumerationResults{attributes}>{head}"
        f"<{kind}>{''.join(entry(name) for name in page)}</{kind}>"
        f"{tag('NextMarker', marker)}</EnumerationResults>"
    )
    return Response(200, {"Content-Type": "application/xml"}, body.encode())


def _folded(names: Iterable[str], prefix: str, delimiter: str) -> list[str]:
    """Names, or the folders that a delimiter makes of them; in lexical order, each once."""
    if not delimiter:
        return sorted(names)
    folders = set()
    for name in names:
        first, found, _ = name[len(prefix) :].partition(delimiter)
        folders.add(prefix + first + found)
    return sorted(folders)


def _page_size(asked: Mapping[str, str]) -> int:
    given = asked.get("maxresults", "")
    if not given:
        return _MOST
    if not given.isdecimal():
        raise BlobError(400, "InvalidQueryParameterValue", "maxresults is not a number.")
    if int(given) < 1:
        raise BlobError(400, "OutOfRangeQueryParameterValue", "maxresults is at least 1.")
    return min(int(given), _MOST)


def _marked(name: str) -> str:
    return _MARK + base64.urlsafe_b64encode(name.encode()).decode()


def _unmarked(marker: str) -> str:
    if not marker:
        return ""
    try:
        if not marker.startswith(_MARK):
            raise ValueError(marker)
        return base64.urlsafe_b64decode(marker.removeprefix(_MARK)).decode()
    except ValueError as exc:
        raise BlobError(400, "InvalidQueryParameterValue", "marker is not one of ours.") from exc


def block_list(body: bytes) -> list[tuple[str, str]]:
    """The kinds (Latest, Committed, Uncommitted) and ids of a block list, in their order."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as exc:
        raise BlobError(400, "InvalidXmlDocument", "The block list is not XML.") from exc
    listed = [(child.tag, (child.text or "").strip()) for child in root]
    if root.tag != "BlockList" or {k for k, _ in listed} - {"Latest", "Committed", "Uncommitted"}:
        raise BlobError(400, "InvalidXmlDocument", "The document is not a block list.")
    return listed


# --- headers ------------------------------------------------------------------------------------


def metadata(request: Request) -> dict[str, str]:
    """The metadata that a request sets; names must be identifiers, and keep their case."""
    names = [n for n in request.names or request.headers if n.casefold().startswith(META)]
    if len({name.casefold() for name in names}) < len(names):
        raise BlobError(400, "InvalidMetadata", "A metadata name is given twice.")
    given = {name[len(META) :]: request.headers[name.casefold()] for name in names}
    if "" in given:
        raise BlobError(400, "EmptyMetadataKey", "A metadata name is empty.")
    for name in given:
        if not name.isidentifier():
            raise BlobError(400, "InvalidMetadata", f"{name} is no name for metadata.")
    return given


def body_md5(request: Request) -> str:
    """The MD5 of the body, held to what the request says about it."""
    made = md5(request.body)
    given = request.headers.get("content-md5", "")
    if given and len(_decoded(given)) != 16:
        raise BlobError(400, "InvalidMd5", "Content-MD5 is not 128 bits in base64.")
    if given and given != made:
        raise BlobError(400, "Md5Mismatch", "The MD5 of the body is another one.")
    return made


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def md5(content: bytes) -> str:
    """The base64 MD5, as headers carry it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


@dataclass(frozen=True)
class Version:
    """The state that conditions look at; `etag` is "" for what does not exist."""

    etag: str
    modified: float


def check_conditions(
    headers: Mapping[str, str], now: Version, *, reading: bool = False, creating: bool = False
) -> None:
    """Nothing, or the refusal: 412, or 304 for a read, or 409 for a second conditional create."""
    unmet = BlobError(412, "ConditionNotMet", "The condition given in a header is not met.")
    match, none_match = (headers.get(n, "").strip() for n in ("if-match", "if-none-match"))
    if match and not _fits(match, now):
        raise unmet
    before = _date(headers, "if-unmodified-since")
    if before is not None and now.etag and int(now.modified) > before:
        raise unmet
    after = _date(headers, "if-modified-since")
    same = after is not None and bool(now.etag) and int(now.modified) <= after
    if creating and now.etag and none_match == "*":
        # §6.2, verified: 409 and not the 412 that the standard has.
        raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
    if (none_match and _fits(none_match, now)) or (same and not none_match):
        raise _not_modified(now) if reading else unmet


def _not_modified(now: Version) -> BlobError:
    dates = {"ETag": now.etag, "Last-Modified": http_date(now.modified)}
    return BlobError(304, "ConditionNotMet", headers=dates)


def _fits(given: str, now: Version) -> bool:
    return bool(now.etag) and (given == "*" or given.strip('"') == now.etag.strip('"'))


def _date(headers: Mapping[str, str], name: str) -> float | None:
    if not headers.get(name):
        return None
    try:
        return parsedate_to_datetime(headers[name]).timestamp()
    except ValueError as exc:
        raise BlobError(400, "InvalidHeaderValue", f"{name} is not a date.") from exc


def wanted_range(request: Request, size: int) -> tuple[int, int] | None:
    """The first and the last byte that are wanted, None for all; x-ms-range goes before Range."""
    given = request.headers.get("x-ms-range") or request.headers.get("range", "")
    if not given:
        return None
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", given.strip())
    if match is None or (match[2] and int(match[2]) < int(match[1])):
        raise BlobError(400, "InvalidHeaderValue", f"{given} is no range that Blob storage reads.")
    if int(match[1]) >= size:
        shown = {"Content-Range": f"bytes */{size}"}
        raise BlobError(416, "InvalidRange", "The range is outside of the blob.", headers=shown)
    return int(match[1]), min(int(match[2] or size), size - 1)


def range_md5_wanted(request: Request, wanted: tuple[int, int] | None) -> bool:
    """Whether the answer carries the MD5 of its range, which must be given and at most 4 MiB."""
    given = request.headers.get(_RANGE_MD5, "false").casefold()
    if given == "false":
        return False
    if given != "true" or wanted is None or wanted[1] - wanted[0] >= _MOST_HASHED:
        shown = {"HeaderName": _RANGE_MD5, "HeaderValue": given}
        message = f"{_RANGE_MD5} is true or false, and goes with a range of at most 4 MiB."
        raise BlobError(400, "InvalidHeaderValue", message, details=shown)
    return True


# --- include ------------------------------------------------------------------------------------


def included(request: Request, known: frozenset[str]) -> frozenset[str]:
    """The parts that a list is asked to include, in one parameter or several."""
    pairs = parse_qsl(request.query)
    given = ",".join(value for name, value in pairs if name.casefold() == "include").lower()
    parts = frozenset(part for part in given.split(",") if part)
    if parts - known:
        raise bad_parameter("include", given, f"A list includes {', '.join(sorted(known))}.")
    if "snapshots" in parts and request.parameters.get("delimiter"):
        raise bad_parameter("include", given, "A list with a delimiter includes no snapshots.")
    return parts


def bad_parameter(name: str, value: str, message: str) -> BlobError:
    """400 that names a parameter of the query, as the service does."""
    shown = {"QueryParameterName": name, "QueryParameterValue": value, "Reason": message}
    text = "The value of a query parameter is not valid."
    return BlobError(400, "InvalidQueryParameterValue", text, details=shown)
