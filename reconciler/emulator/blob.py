"""Blob storage: the subset that model stores, batch jobs and the official client need.

Behaviour as verified in STUDIO_PROTOCOL.md §6.2: a second conditional create is 409
`BlobAlreadyExists`, a stale If-Match is 412 `ConditionNotMet`, an overwriting PUT without metadata
headers drops the metadata, lists are in lexical order. One request carries 256 MiB, where the
service takes 5,000 MiB: more is 413 `RequestBodyTooLarge`, and blocks are the way to larger blobs.
What is not in the subset is 501 and says so: snapshots, versions, tags, copies, page and append
blobs. Any bearer token opens an account, as it does the resources of the emulator.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote

from reconciler.emulator import blob_auth, blob_xml
from reconciler.emulator.blob_auth import Lease
from reconciler.emulator.blob_xml import META, BlobError, Version, http_date, unknown
from reconciler.emulator.messages import Request, Response

_CONTENT = ("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language")
# Ignoring one of these would do another thing than what was asked.
_UNKNOWN_HEADERS = (
    *("x-ms-copy-source", "x-ms-tags", "x-ms-if-tags", "x-ms-content-crc64"),
    *("x-ms-structured-body", "x-ms-encryption-key", "x-ms-encryption-scope"),
    "x-ms-range-get-content-crc64",
)
_UNKNOWN_PARAMETERS = ("snapshot", "versionid")
_OBJECT_ID = "00000000-0000-4000-8000-00000000000a"  # of whoever any token is of
_TENANT_ID = "00000000-0000-4000-8000-00000000000b"
_DELEGATED_S = 7 * 24 * 3600
_ENTRY = 2000  # bytes that a blob or a block takes beside its content, with its name
# What lists may include. Nothing here has snapshots, versions, tags or the like to show.
_BLOB_PARTS = frozenset(
    {"copy", "deleted", "deletedwithversions", "immutabilitypolicy", "legalhold", "metadata"}
    | {"snapshots", "tags", "uncommittedblobs", "versions"}
)
_CONTAINER_PARTS = frozenset(("deleted", "metadata", "system"))


@dataclass
class Stored:
    """One blob. `blocks` are the ids and sizes of which it was put together."""

    content: bytes
    etag: str
    modified: float
    type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    created: float = 0.0
    md5: str = ""
    more: dict[str, str] = field(default_factory=dict)
    blocks: list[tuple[str, int]] = field(default_factory=list)
    lease: Lease = field(default_factory=Lease)


@dataclass(eq=False)
class Container(dict[str, Stored]):
    """One container: its blobs by name, and what else it has; an empty one is falsy.

    `uncommitted` blocks, by blob and id, do not outlive the process.
    """

    etag: str
    modified: float
    metadata: dict[str, str] = field(default_factory=dict)
    lease: Lease = field(default_factory=Lease)
    uncommitted: dict[str, dict[str, bytes]] = field(default_factory=dict)


@dataclass
class Account:
    """One storage account: its key and its containers of blobs."""

    key: bytes
    containers: dict[str, Container] = field(default_factory=dict)


class BlobService:
    """All storage accounts; safe to use from many threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guard = threading.RLock()
        self.accounts: dict[str, Account] = {}

    def add_account(self, name: str, key: str) -> None:
        """Make an account with a base64 key."""
        with self._guard:
            self.accounts[name] = Account(base64.b64decode(key, validate=True))

    def add_container(self, account: str, container: str) -> None:
        """Make a container, if it is not there yet."""
        with self._guard:
            self._container(account, container)

    def _container(self, account: str, container: str) -> Container:
        made = Container(_etag(), self._clock())
        return self.accounts[account].containers.setdefault(container, made)

    def put(self, account: str, container: str, name: str, content: bytes) -> None:
        """Write a blob, whatever was there."""
        with self._guard:
            now = self._clock()
            made = Stored(content, _etag(), now, created=now, md5=blob_xml.md5(content))
            self._container(account, container)[name] = made

    def get(self, account: str, container: str, name: str) -> bytes | None:
        """The bytes of a blob, None when there is none."""
        with self._guard:
            stored = self._find(account, container, name)
            return stored.content if stored else None

    def below(self, account: str, container: str, path: str) -> dict[str, bytes]:
        """The blob at a path by its last name, or what lies below it as below a folder."""
        with self._guard:
            owner = self.accounts.get(account)
            box: Mapping[str, Stored] = owner.containers.get(container, {}) if owner else {}
            if path in box:
                return {path.rpartition("/")[2]: box[path].content}
            folder = f"{path.rstrip('/')}/" if path.strip("/") else ""
            return {
                name.removeprefix(folder): stored.content
                for name, stored in box.items()
                if name.startswith(folder)
            }

    def _find(self, account: str, container: str, name: str) -> Stored | None:
        owner = self.accounts.get(account)
        box = owner.containers.get(container) if owner else None
        return box.get(name) if box else None

    def may(self, account: str, container: str, name: str, sas: str, permission: str) -> bool:
        """Whether a SAS allows reading ("r") or writing ("w") a blob now; `spr` does not count."""
        with self._guard:
            owner = self.accounts.get(account)
            exists = self._find(account, container, name) is not None
        if owner is None:
            return False
        needed = "cw" if permission == "w" and not exists else permission
        place, given = (account, container, name), blob_auth.parse_sas(sas)
        wanted = blob_auth.Need(needed)
        return not blob_auth.sas_refusal(owner.key, given, place, wanted, self._clock())

    def sign(self, account: str, container: str, name: str, *, lasting_s: float) -> str:
        """A read-only SAS for one blob; it began five minutes ago."""
        now = self._clock()
        key = self.accounts[account].key
        return blob_auth.mint(key, (account, container, name), "r", now - 300, now + lasting_s)

    def key_of(self, account: str) -> str:
        """The base64 key of an account, as the service lists it for who may manage it."""
        return base64.b64encode(self.accounts[account].key).decode()

    def check_key(self, account: str, key: str) -> bool:
        """Whether a base64 key is the account's."""
        try:
            given = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            return False
        with self._guard:
            return account in self.accounts and self.accounts[account].key == given

    def dump(self) -> dict[str, Any]:
        """Everything but the bytes, as JSON; contents by their SHA-256."""
        with self._guard:
            return {name: _dumped_account(account) for name, account in self.accounts.items()}

    def load(self, document: Mapping[str, Any], read: Callable[[str], bytes]) -> None:
        """Become what was dumped."""
        with self._guard:
            for name, account in document.items():
                self.add_account(name, account["key"])
                shapes = account.get("properties", {})
                for container, blobs in account["containers"].items():
                    box = self._container(name, container)
                    _take_over(box, shapes.get(container, {}))
                    box.update({blob: _loaded(stored, read) for blob, stored in blobs.items()})

    def contents(self) -> dict[str, bytes]:
        """All contents by their SHA-256."""
        with self._guard:
            return {_digest(stored.content): stored.content for stored in self._all()}

    @property
    def size(self) -> int:
        """About how many bytes the blobs and the uncommitted blocks take, empty ones, too."""
        with self._guard:
            boxes = [
                box for account in self.accounts.values() for box in account.containers.values()
            ]
            blocks = [
                block
                for box in boxes
                for staged in box.uncommitted.values()
                for block in staged.values()
            ]
            words = sum(len(f"{stored.metadata}{stored.more}") for stored in self._all())
            contents = [*blocks, *(stored.content for stored in self._all())]
            return words + sum(len(content) + _ENTRY for content in contents)

    def _all(self) -> Iterable[Stored]:
        for account in self.accounts.values():
            for box in account.containers.values():
                yield from box.values()

    def handle(self, request: Request, account: str, rest: str) -> Response:
        """The answer to a request; `rest` is the undecoded path below the account."""
        try:
            with self._guard:
                return self._completed(request, self._respond(request, account, rest))
        except BlobError as exc:
            return self.refuse(request, exc)

    def refuse(self, request: Request, error: BlobError) -> Response:
        """The answer to a request that is refused."""
        request_id = str(uuid.uuid4())
        return self._completed(request, error.response(request_id, self._clock()), request_id)

    def _completed(self, request: Request, response: Response, request_id: str = "") -> Response:
        headers = request.headers
        common = {
            "x-ms-request-id": request_id or str(uuid.uuid4()),
            "x-ms-version": headers.get("x-ms-version", blob_auth.SIGNED_VERSION),
        }
        body = b"" if request.method == "HEAD" else response.body
        return Response(response.status, {**common, **response.headers}, body)

    def _respond(self, request: Request, account: str, rest: str) -> Response:
        owner = self.accounts.get(account)
        if owner is None:
            raise BlobError(404, "ResourceNotFound", f"There is no storage account {account}.")
        first, _, last = rest.removeprefix("/").partition("/")
        call = _Call(request, owner, account, unquote(first), unquote(last), self._clock())
        _authorize(call, rest)
        _refuse_unknown(request)
        if not call.container:
            return _on_account(call)
        return _on_blob(call) if call.name else _on_container(call)


# --- one request --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    """A request, what it is about, and when."""

    request: Request
    owner: Account
    account: str
    container: str
    name: str
    now: float

    @property
    def comp(self) -> str:
        return self.request.parameters.get("comp", "").lower()

    @property
    def lease(self) -> str:
        return self.request.headers.get("x-ms-lease-id", "").lower()

    @property
    def box(self) -> Container:
        if self.container not in self.owner.containers:
            raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")
        return self.owner.containers[self.container]

    @property
    def stored(self) -> Stored:
        if self.name not in self.box:
            raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
        return self.box[self.name]


def _authorize(call: _Call, rest: str) -> None:
    request, place = call.request, (call.account, call.container, call.name)
    if request.bearer:
        if request.headers.get("x-ms-version", "") < "2017-11-09":
            raise BlobError(403, "AuthenticationFailed", "Tokens need x-ms-version 2017-11-09.")
        return
    if "authorization" in request.headers:
        if not blob_auth.shared_key_fits(call.owner.key, call.account, request, rest):
            raise BlobError(403, "AuthenticationFailed", "The signature does not fit.")
        return
    sas = blob_auth.parse_sas(request.query)
    if not sas.get("sig"):
        raise BlobError(403, "AuthenticationFailed", "There is no signature.")
    box = call.owner.containers.get(call.container)
    exists = box is not None and call.name in box
    wanted = blob_auth.need(request, call.container, call.name, exists)
    code = blob_auth.sas_refusal(call.owner.key, sas, place, wanted, call.now, request.scheme)
    if code:
        raise BlobError(403, code, "The SAS does not allow this.")


def _refuse_unknown(request: Request) -> None:
    strange = [f"header {name}" for name in _UNKNOWN_HEADERS if name in request.headers]
    strange += [f"parameter {n}" for n in _UNKNOWN_PARAMETERS if n in request.parameters]
    if strange:
        raise unknown(request, f"with the {strange[0]}")


def _endpoint(call: _Call) -> str:
    """The URL of the account, by path or by host name, as lists repeat it."""
    if ".blob.core." in call.request.host:
        return f"{call.request.base}/"
    below_blob = call.request.path.startswith(f"/blob/{call.account}")
    return f"{call.request.base}{'/blob' if below_blob else ''}/{call.account}/"


# --- accounts and containers --------------------------------------------------------------------


def _delegation_key(call: _Call) -> Response:
    """A key that signs for whoever the token is of, until it ends; seven days at most."""
    if not call.request.bearer:
        raise BlobError(403, "AuthenticationFailed", "Only who has a token gets such a key.")
    start, expiry = blob_xml.key_info(call.request.body)
    if not 0 <= expiry - call.now <= _DELEGATED_S:
        raise BlobError(400, "InvalidXmlNodeValue", "The expiry is not within seven days.")
    made = {
        "SignedOid": _OBJECT_ID,
        "SignedTid": _TENANT_ID,
        "SignedStart": blob_xml.stamp(start),
        "SignedExpiry": blob_xml.stamp(expiry),
        "SignedService": "b",
        "SignedVersion": call.request.headers.get("x-ms-version", ""),
    }
    members = dict(zip(blob_auth.DELEGATED, made.values(), strict=True))
    made["Value"] = blob_auth.delegated(call.owner.key, members)
    body = '<?xml version="1.0" encoding="utf-8"?>' + blob_xml.tags("UserDelegationKey", made)
    return Response(200, {"Content-Type": "application/xml"}, body.encode())


def _on_account(call: _Call) -> Response:
    if (call.request.method, call.comp) == ("POST", "userdelegationkey"):
        return _delegation_key(call)
    if call.request.method != "GET" or call.comp != "list":
        raise unknown(call.request)
    boxes = call.owner.containers
    full = "metadata" in blob_xml.included(call.request, _CONTAINER_PARTS)

    def entry(name: str) -> str:
        box = boxes[name]
        shown = {"Last-Modified": http_date(box.modified), "Etag": box.etag} | _shown_lease(
            box.lease, call.now
        )
        return _listed("Container", name, shown, box.metadata, full)

    place = {"ServiceEndpoint": _endpoint(call)}
    return blob_xml.enumeration(call.request, boxes, entry, place, "Containers")


def _on_container(call: _Call) -> Response:
    method = "GET" if call.request.method == "HEAD" else call.request.method
    act = _CONTAINER_VERBS.get((method, call.comp))
    if act is None or call.request.parameters.get("restype", "").lower() != "container":
        raise unknown(call.request)
    return act(call)


def _create_container(call: _Call) -> Response:
    if not re.fullmatch(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", call.container):
        raise BlobError(400, "InvalidResourceName", "Containers: 3 to 63 of a-z, 0-9 and -.")
    if call.container in call.owner.containers:
        raise BlobError(409, "ContainerAlreadyExists", "The specified container already exists.")
    made = Container(_etag(), call.now, blob_xml.metadata(call.request))
    call.owner.containers[call.container] = made
    return Response(201, _dates(made))


def _container_properties(call: _Call) -> Response:
    box = call.box
    box.lease.check(call.lease, call.now, "Container", needed=False)
    return Response(200, {**_dates(box), **_meta(box.metadata), **_lease_headers(box, call.now)})


def _set_container_metadata(call: _Call) -> Response:
    box = call.box
    blob_xml.check_conditions(call.request.headers, Version(box.etag, box.modified))
    box.lease.check(call.lease, call.now, "Container", needed=False)
    box.metadata, box.etag, box.modified = blob_xml.metadata(call.request), _etag(), call.now
    return Response(200, _dates(box))


def _delete_container(call: _Call) -> Response:
    box = call.box
    blob_xml.check_conditions(call.request.headers, Version(box.etag, box.modified))
    box.lease.check(call.lease, call.now, "Container")
    del call.owner.containers[call.container]
    return Response(202)


def _lease_container(call: _Call) -> Response:
    box = call.box
    blob_xml.check_conditions(call.request.headers, Version(box.etag, box.modified))
    return _with(box.lease.act(call.request.headers, call.now), _dates(box))


def _list_blobs(call: _Call) -> Response:
    blobs = call.box
    blobs.lease.check(call.lease, call.now, "Container", needed=False)
    parts = blob_xml.included(call.request, _BLOB_PARTS)
    uncommitted = blobs.uncommitted if "uncommittedblobs" in parts else {}

    def entry(name: str) -> str:
        stored = blobs.get(name)
        if stored is None and name in uncommitted:
            return _listed("Blob", name, _UNCOMMITTED, {}, False)
        if stored is None:
            return f"<BlobPrefix>{blob_xml.tag('Name', name)}</BlobPrefix>"
        shown = _blob_properties(stored) | _shown_lease(stored.lease, call.now)
        return _listed("Blob", name, shown, stored.metadata, "metadata" in parts)

    place = {"ServiceEndpoint": _endpoint(call), "ContainerName": call.container}
    return blob_xml.enumeration(call.request, {*blobs, *uncommitted}, entry, place, "Blobs")


def _listed(
    kind: str, name: str, shown: Mapping[str, str], metadata: Mapping[str, str], full: bool
) -> str:
    inner = blob_xml.tag("Name", name) + blob_xml.tags("Properties", shown)
    return f"<{kind}>{inner}{blob_xml.tags('Metadata', metadata) if full else ''}</{kind}>"


def _blob_properties(stored: Stored) -> dict[str, str]:
    """The properties as lists show them: the ETag without its quotes, unlike in headers."""
    more = {name: stored.more.get(name, "") for name in _CONTENT}
    return {
        "Creation-Time": http_date(stored.created or stored.modified),
        "Last-Modified": http_date(stored.modified),
        "Etag": stored.etag.strip('"'),
        "Content-Length": str(len(stored.content)),
        "Content-Type": stored.type,
        **more,
        "Content-MD5": stored.md5,
        "BlobType": "BlockBlob",
        "ServerEncrypted": "true",
    }


# --- blobs --------------------------------------------------------------------------------------


def _on_blob(call: _Call) -> Response:
    method = "GET" if call.request.method == "HEAD" else call.request.method
    act = _BLOB_VERBS.get((method, call.comp))
    if act is None or "restype" in call.request.parameters:
        raise unknown(call.request)
    return act(call)


def _put_blob(call: _Call) -> Response:
    kind = call.request.headers.get("x-ms-blob-type", "")
    if kind in ("PageBlob", "AppendBlob"):
        raise unknown(call.request, f"for a {kind}")
    if kind != "BlockBlob":
        code = "InvalidHeaderValue" if kind else "MissingRequiredHeader"
        raise BlobError(400, code, "x-ms-blob-type must be BlockBlob.")
    md5 = blob_xml.body_md5(call.request)
    wanted = call.request.headers.get("x-ms-blob-content-md5", "")
    if wanted and wanted != md5:
        raise BlobError(400, "Md5Mismatch", "The MD5 of the body is another one.")
    made = _write(call, call.request.body, md5)
    return Response(201, {**_dates(made), "Content-MD5": md5, **_ENCRYPTED})


def _put_block(call: _Call) -> Response:
    if call.name in call.box:
        call.stored.lease.check(call.lease, call.now, "Blob")
    block, blocks = call.request.parameters.get("blockid", ""), call.box.uncommitted
    try:
        sound = 0 < len(base64.b64decode(block, validate=True)) <= 64
    except binascii.Error:
        sound = False
    if not sound:
        raise BlobError(400, "InvalidQueryParameterValue", "blockid is not base64 of 1-64 bytes.")
    if any(len(other) != len(block) for other in blocks.get(call.name, {})):
        raise BlobError(400, "InvalidBlobOrBlock", "The ids of all blocks must be equally long.")
    md5 = blob_xml.body_md5(call.request)
    blocks.setdefault(call.name, {})[block] = call.request.body
    return Response(201, {"Content-MD5": md5, **_ENCRYPTED})


def _put_block_list(call: _Call) -> Response:
    blob_xml.body_md5(call.request)
    blocks = _committed(call, blob_xml.block_list(call.request.body))
    content = b"".join(part for _, part in blocks)
    # The service does not compute the MD5 of such a blob; it keeps what the client says.
    made = _write(call, content, call.request.headers.get("x-ms-blob-content-md5", ""))
    made.blocks = [(name, len(part)) for name, part in blocks]
    return Response(201, {**_dates(made), **_ENCRYPTED})


def _committed(call: _Call, wanted: list[tuple[str, str]]) -> list[tuple[str, bytes]]:
    """The blocks in their order; Latest means uncommitted ones before committed ones."""
    new = call.box.uncommitted.get(call.name, {})
    old = _cut(call.box[call.name]) if call.name in call.box else {}
    known = {"Uncommitted": new, "Committed": old, "Latest": {**old, **new}}
    if not all(block in known[kind] for kind, block in wanted):
        raise BlobError(400, "InvalidBlockList", "The block list names a block that is not there.")
    return [(block, known[kind][block]) for kind, block in wanted]


def _cut(stored: Stored) -> dict[str, bytes]:
    cut, start = {}, 0
    for block, size in stored.blocks:
        cut[block] = stored.content[start : start + size]
        start += size
    return cut


def _write(call: _Call, content: bytes, md5: str) -> Stored:
    """The blob that is now stored; a lease goes on, metadata and properties are replaced."""
    box, headers = call.box, call.request.headers
    old = box.get(call.name)
    blob_xml.check_conditions(headers, _version(old), creating=True)
    lease = old.lease if old else Lease()
    lease.check(call.lease, call.now, "Blob")
    made = Stored(content, _etag(), call.now, _type(call), blob_xml.metadata(call.request))
    made.md5, made.created = md5, old.created if old else call.now
    made.lease = lease if lease.locked(call.now) else Lease()
    given = {name: headers.get(f"x-ms-blob-{name.lower()}", "") for name in _CONTENT}
    made.more = {name: value for name, value in given.items() if value}
    box[call.name] = made
    box.uncommitted.pop(call.name, None)
    return made


def _type(call: _Call) -> str:
    """The type of the content; that of a block list is XML and no property of the blob."""
    headers = call.request.headers
    plain = "" if call.comp else headers.get("content-type", "")
    return headers.get("x-ms-blob-content-type") or plain or "application/octet-stream"


def _version(stored: Stored | None) -> Version:
    return Version(stored.etag, stored.modified) if stored else Version("", 0.0)


def _read(call: _Call) -> Response:
    stored = _looked_at(call)
    headers = _read_headers(call, stored)
    if call.comp == "metadata":
        return Response(200, {**_dates(stored), **_meta(stored.metadata)})
    size, content = len(stored.content), stored.content
    if call.request.method == "HEAD":
        wanted, hashed = None, False
    else:
        wanted = blob_xml.wanted_range(call.request, size)
        hashed = blob_xml.range_md5_wanted(call.request, wanted)
    if wanted is None:
        md5 = {"Content-MD5": stored.md5} if stored.md5 else {}
        return Response(200, {**headers, **md5, "Content-Length": str(size)}, content)
    first, last = wanted
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    if stored.md5:
        headers["x-ms-blob-content-md5"] = stored.md5
    part = content[first : last + 1]
    if hashed:
        headers["Content-MD5"] = blob_xml.md5(part)
    return Response(206, headers, part)


def _looked_at(call: _Call) -> Stored:
    stored = call.stored
    blob_xml.check_conditions(call.request.headers, _version(stored), reading=True)
    stored.lease.check(call.lease, call.now, "Blob", needed=False)
    return stored


def _read_headers(call: _Call, stored: Stored) -> dict[str, str]:
    sas = call.request.parameters
    overrides = {h: sas[n] for n, h in blob_auth.OVERRIDES.items() if sas.get("sig") and sas.get(n)}
    return {
        **_dates(stored),
        **_meta(stored.metadata),
        **_lease_headers(stored, call.now),
        **stored.more,
        "Content-Type": stored.type,
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": http_date(stored.created or stored.modified),
        "x-ms-server-encrypted": "true",
        **overrides,
    }


def _set_metadata(call: _Call) -> Response:
    stored = _writable(call)
    stored.metadata, stored.etag = blob_xml.metadata(call.request), _etag()
    stored.modified = call.now
    return Response(200, {**_dates(stored), **_ENCRYPTED})


def _delete(call: _Call) -> Response:
    snapshots = call.request.headers.get("x-ms-delete-snapshots", "include").lower()
    if snapshots not in ("include", "only"):
        raise BlobError(400, "InvalidHeaderValue", "x-ms-delete-snapshots is include or only.")
    if snapshots == "only":  # there are none, and the blob itself stays, leased or not
        blob_xml.check_conditions(call.request.headers, _version(call.stored))
        call.stored.lease.check(call.lease, call.now, "Blob", needed=False)
        return Response(202, {"x-ms-delete-type-permanent": "true"})
    _writable(call)
    del call.box[call.name]
    call.box.uncommitted.pop(call.name, None)
    return Response(202, {"x-ms-delete-type-permanent": "true"})


def _writable(call: _Call) -> Stored:
    stored = call.stored
    blob_xml.check_conditions(call.request.headers, _version(stored))
    stored.lease.check(call.lease, call.now, "Blob")
    if not stored.lease.locked(call.now):
        stored.lease = Lease()  # what changed after a lease cannot be renewed into it
    return stored


def _lease_blob(call: _Call) -> Response:
    stored = call.stored
    blob_xml.check_conditions(call.request.headers, _version(stored))
    return _with(stored.lease.act(call.request.headers, call.now), _dates(stored))


_Verbs = dict[tuple[str, str], Callable[[_Call], Response]]
_CONTAINER_VERBS: _Verbs = {
    ("PUT", ""): _create_container,
    ("GET", ""): _container_properties,
    ("GET", "metadata"): _container_properties,
    ("PUT", "metadata"): _set_container_metadata,
    ("PUT", "lease"): _lease_container,
    ("DELETE", ""): _delete_container,
    ("GET", "list"): _list_blobs,
}
_BLOB_VERBS: _Verbs = {
    ("PUT", ""): _put_blob,
    ("PUT", "block"): _put_block,
    ("PUT", "blocklist"): _put_block_list,
    ("PUT", "metadata"): _set_metadata,
    ("PUT", "lease"): _lease_blob,
    ("GET", ""): _read,
    ("GET", "metadata"): _read,
    ("DELETE", ""): _delete,
}
_ENCRYPTED = {"x-ms-request-server-encrypted": "true"}
# A blob of which blocks were staged and none committed has no date, ETag or type yet.
_UNCOMMITTED = {
    "Content-Length": "0",
    "BlobType": "BlockBlob",
    "LeaseStatus": "unlocked",
    "LeaseState": "available",
    "ServerEncrypted": "true",
}


# --- parts --------------------------------------------------------------------------------------


def _dates(thing: Stored | Container) -> dict[str, str]:
    return {"ETag": thing.etag, "Last-Modified": http_date(thing.modified)}


def _meta(metadata: Mapping[str, str]) -> dict[str, str]:
    return {META + name: value for name, value in metadata.items()}


def _lease_headers(thing: Stored | Container, now: float) -> dict[str, str]:
    return {f"x-ms-lease-{name}": value for name, value in thing.lease.shown(now).items()}


def _shown_lease(lease: Lease, now: float) -> dict[str, str]:
    return {f"Lease{name.title()}": value for name, value in lease.shown(now).items()}


def _with(response: Response, headers: Mapping[str, str]) -> Response:
    return Response(response.status, {**headers, **response.headers}, response.body)


def _dumped_account(account: Account) -> dict[str, Any]:
    boxes = account.containers
    return {
        "key": base64.b64encode(account.key).decode(),
        "containers": {
            name: {blob: _dumped(stored) for blob, stored in box.items()}
            for name, box in boxes.items()
        },
        "properties": {
            name: {
                "etag": box.etag,
                "modified": box.modified,
                "metadata": dict(box.metadata),
                "lease": asdict(box.lease),
            }
            for name, box in boxes.items()
        },
    }


def _dumped(stored: Stored) -> dict[str, Any]:
    shallow = {**vars(stored), "lease": asdict(stored.lease), "content": _digest(stored.content)}
    return {**shallow, "metadata": dict(stored.metadata), "more": dict(stored.more)}


def _take_over(box: Container, shape: Mapping[str, Any]) -> None:
    if shape:
        box.etag, box.modified = shape["etag"], shape["modified"]
        box.metadata, box.lease = dict(shape["metadata"]), Lease(**shape["lease"])


def _loaded(shape: Mapping[str, Any], read: Callable[[str], bytes]) -> Stored:
    content = read(shape["content"])
    given: dict[str, Any] = {"md5": blob_xml.md5(content), **shape, "content": content}
    given["blocks"] = [(block, size) for block, size in given.get("blocks", [])]
    if isinstance(given.get("lease"), str):  # states of earlier emulators: three flat members
        given["lease"] = Lease(given["lease"], given.pop("lease_s"), given.pop("lease_ends"))
    elif "lease" in given:
        given["lease"] = Lease(**given["lease"])
    return Stored(**given)


def _etag() -> str:
    return f'"0x{uuid.uuid4().hex[:15].upper()}"'


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
