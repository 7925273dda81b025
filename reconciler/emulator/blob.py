"""Blob storage: the subset that model stores, batch jobs and the official client need.

Behaviour as verified in storage-and-identity.md §5.2: a second conditional create is 409
`BlobAlreadyExists`, a stale If-Match is 412 `ConditionNotMet`, an overwriting PUT without metadata
headers drops the metadata, lists are in lexical order.
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
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from reconciler.emulator import blob_auth
from reconciler.emulator.messages import Request, Response

META = "x-ms-meta-"


class BlobError(Exception):
    """A refusal in the error shape of Blob storage: XML, and the code in a header too."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message or code

    @property
    def response(self) -> Response:
        """The answer."""
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        )
        headers = {"Content-Type": "application/xml", "x-ms-error-code": self.code}
        return Response(self.status, headers, body.encode())


@dataclass
class Stored:
    """One blob."""

    content: bytes
    etag: str
    modified: float
    type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    lease: str = ""
    lease_ends: float = 0.0
    lease_s: int = 0


@dataclass
class Account:
    """One storage account: its key and its containers of blobs."""

    key: bytes
    containers: dict[str, dict[str, Stored]] = field(default_factory=dict)


class BlobService:
    """All storage accounts; safe to use from many threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guard = threading.RLock()
        self._blocks: dict[tuple[str, str, str], dict[str, bytes]] = {}
        self.accounts: dict[str, Account] = {}

    # --- for the rest of the cloud ---

    def add_account(self, name: str, key: str) -> None:
        """Make an account with a base64 key."""
        self.accounts[name] = Account(base64.b64decode(key, validate=True))

    def add_container(self, account: str, container: str) -> None:
        """Make a container."""
        self.accounts[account].containers.setdefault(container, {})

    def put(self, account: str, container: str, name: str, content: bytes) -> None:
        """Write a blob, whatever was there."""
        with self._guard:
            blobs = self.accounts[account].containers.setdefault(container, {})
            blobs[name] = Stored(content, _etag(), self._clock())

    def get(self, account: str, container: str, name: str) -> bytes | None:
        """The bytes of a blob, None when there is none."""
        with self._guard:
            owner = self.accounts.get(account)
            stored = owner.containers.get(container, {}).get(name) if owner else None
            return stored.content if stored else None

    def may(self, account: str, container: str, name: str, sas: str, permission: str) -> bool:
        """Whether a SAS allows reading ("r") or writing ("w") a blob now."""
        owner = self.accounts.get(account)
        if owner is None:
            return False
        needed = "cw" if permission == "w" else permission
        place = (account, container, name)
        given = blob_auth.parse_sas(sas)
        return blob_auth.sas_allows(owner.key, given, place, needed, self._clock()) == ""

    def sign(self, account: str, container: str, name: str, *, lasting_s: float) -> str:
        """A read-only SAS for one blob; it began five minutes ago."""
        now = self._clock()
        key = self.accounts[account].key
        return blob_auth.mint(key, (account, container, name), "r", now - 300, now + lasting_s)

    def check_key(self, account: str, key: str) -> bool:
        """Whether a base64 key is the account's."""
        try:
            given = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            return False
        return account in self.accounts and self.accounts[account].key == given

    def dump(self) -> dict[str, Any]:
        """Everything but the bytes, as JSON; contents by their SHA-256."""
        with self._guard:
            return {
                name: {
                    "key": base64.b64encode(account.key).decode(),
                    "containers": {
                        container: {blob: _dumped(stored) for blob, stored in blobs.items()}
                        for container, blobs in account.containers.items()
                    },
                }
                for name, account in self.accounts.items()
            }

    def load(self, document: Mapping[str, Any], read: Callable[[str], bytes]) -> None:
        """Become what was dumped."""
        for name, account in document.items():
            self.add_account(name, account["key"])
            for container, blobs in account["containers"].items():
                self.accounts[name].containers[container] = {
                    blob: Stored(**{**stored, "content": read(stored["content"])})
                    for blob, stored in blobs.items()
                }

    def contents(self) -> dict[str, bytes]:
        """All contents by their SHA-256."""
        with self._guard:
            return {_digest(s.content): s.content for s in self._all()}

    def _all(self) -> Iterable[Stored]:
        for account in self.accounts.values():
            for blobs in account.containers.values():
                yield from blobs.values()

    # --- the door ---

    def handle(self, request: Request, account: str, rest: str) -> Response:
        """The answer to a request; `rest` is the undecoded path below the account."""
        container, _, name = unquote(rest).lstrip("/").partition("/")
        headers = {
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-version": request.headers.get("x-ms-version", blob_auth.SIGNED_VERSION),
        }
        try:
            with self._guard:
                response = self._respond(request, account, container, name)
        except BlobError as exc:
            response = exc.response
        return Response(response.status, {**headers, **response.headers}, response.body)

    def _respond(self, request: Request, account: str, container: str, name: str) -> Response:
        owner = self.accounts.get(account)
        if owner is None:
            raise BlobError(404, "ResourceNotFound", f"There is no storage account {account}.")
        self._authorize(request, owner, account, container, name)
        if not container:
            return self._list_containers(request, owner)
        if not name:
            return self._on_container(request, owner, container)
        if container not in owner.containers:
            raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")
        return self._on_blob(request, owner.containers[container], (account, container, name))

    def _authorize(
        self, request: Request, owner: Account, account: str, container: str, name: str
    ) -> None:
        if "authorization" in request.headers:
            if not blob_auth.shared_key_fits(owner.key, account, request):
                raise BlobError(403, "AuthenticationFailed", "The signature does not fit.")
            return
        sas = blob_auth.parse_sas(request.query)
        if not sas.get("sig"):
            raise BlobError(403, "AuthenticationFailed", "There is no signature.")
        place = (account, container, name)
        code = blob_auth.sas_allows(owner.key, sas, place, _needed(request, name), self._clock())
        if code:
            raise BlobError(403, code, "The SAS does not allow this.")

    # --- containers ---

    def _list_containers(self, request: Request, owner: Account) -> Response:
        if request.parameters.get("comp") != "list":
            raise _unknown(request)
        names = "".join(
            f"<Container><Name>{escape(n)}</Name></Container>" for n in owner.containers
        )
        return _xml(f"<EnumerationResults><Containers>{names}</Containers></EnumerationResults>")

    def _on_container(self, request: Request, owner: Account, container: str) -> Response:
        blobs = owner.containers.get(container)
        comp = request.parameters.get("comp", "")
        if request.method == "PUT" and not comp:
            if blobs is not None:
                raise BlobError(409, "ContainerAlreadyExists")
            owner.containers[container] = {}
            return Response(201, {"ETag": _etag()})
        if blobs is None:
            raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")
        if request.method == "GET" and comp == "list":
            return _listed(request, container, blobs)
        if request.method in ("GET", "HEAD") and not comp:
            return Response(200, {"ETag": '"0x0"', "Last-Modified": formatdate(usegmt=True)})
        if request.method == "DELETE":
            del owner.containers[container]
            return Response(202)
        raise _unknown(request)

    # --- blobs ---

    def _on_blob(
        self, request: Request, blobs: dict[str, Stored], place: tuple[str, str, str]
    ) -> Response:
        comp, name, method = request.parameters.get("comp", ""), place[2], request.method
        if method == "PUT" and comp == "block":
            return self._put_block(request, place)
        if method == "PUT" and comp in ("", "blocklist"):
            return self._write(request, blobs, place, comp)
        stored = blobs.get(name)
        if stored is None:
            raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
        if method == "PUT" and comp == "lease":
            return self._lease(request, stored)
        if method == "PUT" and comp == "metadata":
            self._check_write(request, stored)
            stored.metadata, stored.etag = _metadata(request), _etag()
            return Response(200, self._properties(stored))
        if method in ("GET", "HEAD") and comp in ("", "metadata"):
            return self._read(request, stored)
        if method == "DELETE" and not comp:
            self._check_write(request, stored)
            del blobs[name]
            return Response(202)
        raise _unknown(request)

    def _put_block(self, request: Request, place: tuple[str, str, str]) -> Response:
        block = request.parameters.get("blockid", "")
        self._blocks.setdefault(place, {})[block] = request.body
        return Response(201)

    def _write(
        self, request: Request, blobs: dict[str, Stored], place: tuple[str, str, str], comp: str
    ) -> Response:
        stored = blobs.get(place[2])
        if not comp and request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise BlobError(400, "MissingRequiredHeader", "x-ms-blob-type must be BlockBlob.")
        self._check_write(request, stored)
        content = self._committed(request, place) if comp else request.body
        _check_md5(request, content)
        made = Stored(content, _etag(), self._clock(), _type(request), _metadata(request))
        if stored is not None:
            made.lease, made.lease_ends, made.lease_s = (
                stored.lease,
                stored.lease_ends,
                stored.lease_s,
            )
        blobs[place[2]] = made
        return Response(201, {**self._dates(made), "Content-MD5": _md5(content)})

    def _committed(self, request: Request, place: tuple[str, str, str]) -> bytes:
        blocks = self._blocks.pop(place, {})
        wanted = re.findall(r"<(?:Latest|Uncommitted)>([^<]+)</", request.body.decode())
        if not all(block in blocks for block in wanted):
            raise BlobError(400, "InvalidBlockList")
        return b"".join(blocks[block] for block in wanted)

    def _check_write(self, request: Request, stored: Stored | None) -> None:
        none_match = request.headers.get("if-none-match", "")
        match = request.headers.get("if-match", "")
        if stored is not None and none_match == "*":
            raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
        if match and (stored is None or match not in ("*", stored.etag)):
            raise BlobError(412, "ConditionNotMet", "The condition is not met.")
        if stored is None or not self._leased(stored):
            return
        given = request.headers.get("x-ms-lease-id", "")
        if not given:
            raise BlobError(412, "LeaseIdMissing", "The blob is leased; a lease id is needed.")
        if given != stored.lease:
            raise BlobError(412, "LeaseIdMismatchWithBlobOperation")

    def _read(self, request: Request, stored: Stored) -> Response:
        match = request.headers.get("if-match", "")
        if match and match not in ("*", stored.etag):
            raise BlobError(412, "ConditionNotMet", "The condition is not met.")
        if request.headers.get("if-none-match") in ("*", stored.etag):
            return Response(304, self._dates(stored))
        headers = self._properties(stored)
        wanted = request.headers.get("x-ms-range") or request.headers.get("range", "")
        if request.method == "HEAD" or not wanted.startswith("bytes="):
            headers["Content-MD5"] = _md5(stored.content)
            headers["Content-Length"] = str(len(stored.content))
            return Response(200, headers, stored.content)
        return _ranged(headers, stored.content, wanted)

    def _properties(self, stored: Stored) -> dict[str, str]:
        metadata = {META + name: value for name, value in stored.metadata.items()}
        leased = self._leased(stored)
        return {
            **self._dates(stored),
            **metadata,
            "Content-Type": stored.type,
            "Accept-Ranges": "bytes",
            "x-ms-blob-type": "BlockBlob",
            "x-ms-lease-status": "locked" if leased else "unlocked",
            "x-ms-lease-state": "leased" if leased else "available",
        }

    def _dates(self, stored: Stored) -> dict[str, str]:
        return {"ETag": stored.etag, "Last-Modified": formatdate(stored.modified, usegmt=True)}

    # --- leases ---

    def _leased(self, stored: Stored) -> bool:
        return bool(stored.lease) and (stored.lease_s < 0 or self._clock() < stored.lease_ends)

    def _lease(self, request: Request, stored: Stored) -> Response:
        action = request.headers.get("x-ms-lease-action", "")
        given = request.headers.get("x-ms-lease-id", "")
        proposed = request.headers.get("x-ms-proposed-lease-id", "")
        if action == "acquire":
            return self._acquire(request, stored, proposed or str(uuid.uuid4()))
        if action == "break":
            stored.lease = ""
            return Response(202, {**self._dates(stored), "x-ms-lease-time": "0"})
        if not stored.lease or given != stored.lease:
            raise BlobError(409, "LeaseIdMismatchWithLeaseOperation")
        if action == "release":
            stored.lease = ""
            return Response(200, self._dates(stored))
        if action == "change":
            stored.lease = proposed
        elif action != "renew":
            raise BlobError(400, "InvalidHeaderValue", "x-ms-lease-action is not known.")
        stored.lease_ends = self._clock() + stored.lease_s
        return Response(200, {**self._dates(stored), "x-ms-lease-id": stored.lease})

    def _acquire(self, request: Request, stored: Stored, lease: str) -> Response:
        try:
            seconds = int(request.headers.get("x-ms-lease-duration", ""))
        except ValueError:
            seconds = 0
        if seconds != -1 and not 15 <= seconds <= 60:
            raise BlobError(400, "InvalidHeaderValue", "A lease lasts 15 to 60 seconds, or -1.")
        if self._leased(stored) and stored.lease != lease:
            raise BlobError(409, "LeaseAlreadyPresent", "There is already a lease present.")
        stored.lease, stored.lease_s = lease, seconds
        stored.lease_ends = self._clock() + seconds
        return Response(201, {**self._dates(stored), "x-ms-lease-id": lease})


# --- parts --------------------------------------------------------------------------------------


def _needed(request: Request, name: str) -> str:
    """The permissions of which one is needed."""
    if request.method in ("GET", "HEAD"):
        return "r" if name else "l"
    if request.method == "DELETE":
        return "d"
    return "w" if request.parameters.get("comp") in ("lease", "metadata") else "cw"


def _unknown(request: Request) -> BlobError:
    what = f"{request.method} {request.path} comp={request.parameters.get('comp', '')}"
    return BlobError(501, "NotImplemented", f"The emulator does not know {what}.")


def _listed(request: Request, container: str, blobs: Mapping[str, Stored]) -> Response:
    asked = request.parameters
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    most = int(asked["maxresults"]) if asked.get("maxresults", "").isdecimal() else 5000
    entries = _entries(sorted(n for n in blobs if n.startswith(prefix)), prefix, delimiter)
    after = [entry for entry in entries if entry > asked.get("marker", "")]
    page = after[:most]
    marker = page[-1] if len(after) > most else ""
    shown = "".join(_entry(name, blobs.get(name)) for name in page)
    return _xml(
        f'<EnumerationResults ContainerName="{escape(container)}"><Prefix>{escape(prefix)}</Prefix>'
        f"<MaxResults>{most}</MaxResults>"
        f"<Blobs>{shown}</Blobs><NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
    )


def _entries(names: list[str], prefix: str, delimiter: str) -> list[str]:
    """Names, or the folders that a delimiter makes of them; in lexical order, each once."""
    if not delimiter:
        return names
    folded = []
    for name in names:
        head, found, _ = name[len(prefix) :].partition(delimiter)
        folded.append(prefix + head + found)
    return sorted(set(folded))


def _entry(name: str, stored: Stored | None) -> str:
    if stored is None:
        return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties>"
        f"<Last-Modified>{formatdate(stored.modified, usegmt=True)}</Last-Modified>"
        f"<Etag>{stored.etag}</Etag><Content-Length>{len(stored.content)}</Content-Length>"
        f"<Content-Type>{escape(stored.type)}</Content-Type><BlobType>BlockBlob</BlobType>"
        "</Properties></Blob>"
    )


def _xml(body: str) -> Response:
    text = f'<?xml version="1.0" encoding="utf-8"?>{body}'
    return Response(200, {"Content-Type": "application/xml"}, text.encode())


def _ranged(headers: dict[str, str], content: bytes, wanted: str) -> Response:
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start = int(first or 0)
    end = min(int(last) if last else len(content) - 1, len(content) - 1)
    if start >= len(content):
        raise BlobError(416, "InvalidRange", "The range is outside of the blob.")
    part = content[start : end + 1]
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    headers["Content-Length"] = str(len(part))
    return Response(206, headers, part)


def _check_md5(request: Request, content: bytes) -> None:
    given = request.headers.get("content-md5", "")
    if given and given != _md5(content) and request.parameters.get("comp") != "blocklist":
        raise BlobError(400, "Md5Mismatch", "The MD5 of the body is another one.")


def _metadata(request: Request) -> dict[str, str]:
    return {
        name.removeprefix(META): value
        for name, value in request.headers.items()
        if name.startswith(META)
    }


def _type(request: Request) -> str:
    headers = request.headers
    return headers.get("x-ms-blob-content-type") or headers.get(
        "content-type", "application/octet-stream"
    )


def _dumped(stored: Stored) -> dict[str, Any]:
    return {**asdict(stored), "content": _digest(stored.content)}


def _etag() -> str:
    return f'"0x{uuid.uuid4().hex[:15].upper()}"'


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
