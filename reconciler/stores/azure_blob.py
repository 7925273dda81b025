"""Blob storage by REST, with a service SAS minted for every request.

By hand and not by azure-storage-blob, because a small client gives the few verbs we need with
our retries, redaction and error tree, at 95 ms of import instead of 223 (storage-and-identity.md
§5.3). The behaviour relied on is in §5.2 there.

A conditional write whose answer is lost is sent again and then meets its own first attempt as
a conflict. So each write carries a random id in the blob's metadata, and a conflict with
ourselves is a success. Without it a claim could be lost to nobody.
"""

from __future__ import annotations

import copy
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
    UnreadableError,
)
from reconciler.http.client import without_query
from reconciler.http.response import Response, parse_xml
from reconciler.http.urls import split_url
from reconciler.model import ModelRef
from reconciler.soon import Once
from reconciler.stores.azure_sas import VERSION, account_key, sign
from reconciler.stores.azure_values import (
    COPY,
    Blob,
    BlobProperties,
    BlobUrl,
    Listed,
    copy_of,
    listed,
    md5_of,
)

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError
    from reconciler.http.client import Http
    from reconciler.stores.azure_hosts import BlobHosts

__all__ = ["Account", "Blob", "BlobProperties", "BlobUrl", "Container", "Listed"]

BINARY = "application/octet-stream"
MOST_PAGES = 2_000  # of up to 5,000 blobs
MAX_BLOB_BYTES = 512 * 1024 * 1024
_REQUEST_SAS_S = 900.0  # outlives a request with all its retries
_WRITE_ID = "writeid"
_META = "x-ms-meta-"
_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_READ, _WRITE, _LIST = "r", "cw", "l"


class Account:
    """A storage account: blobs by `container/blob`. Raises ConfigurationError for a bad key."""

    def __init__(
        self,
        http: Http,
        hosts: BlobHosts,
        account: str,
        key: str,
        clock: Callable[[], float] = time.time,
        store: str = "",
    ) -> None:
        self._http = http
        self._store = store  # the container without which nothing works
        self._name = account
        self._hosts = hosts
        self._key = account_key(account, key)
        self._clock = clock
        self._shown: Callable[[str], Listed | None] | None = None
        self._heads: Once[BlobProperties | None] | None = None
        self.base = hosts.of(account)

    def __repr__(self) -> str:
        """Where it is."""
        return f"Account({self.base})"

    def surveyed(self, shown: Callable[[str], Listed | None]) -> Account:
        """The same account, which looks a path up in lists before it asks, and refuses to write.

        `shown` is what the lists show of a path: None for what they do not, which is asked for,
        for only the blob itself can say that it is not there. The properties of one blob are asked
        for once: of a fleet that begins, every endpoint serves the same model.
        """
        reader = copy.copy(self)
        reader._shown, reader._heads = shown, Once()
        return reader

    def container(self, name: str) -> Container:
        """One container of this account."""
        return Container(self, name)

    def readable(self, path: str, lasting_s: float) -> BlobUrl:
        """A blob reference with a SAS that may read this one blob."""
        return self._granted(path, _READ, lasting_s)

    def writable(self, path: str, lasting_s: float) -> BlobUrl:
        """A blob reference with a SAS that may create and write this one blob."""
        return self._granted(path, _WRITE, lasting_s)

    def path_of(self, ref: ModelRef) -> str | None:
        """A model as `container/path`; None when it is in another account."""
        base = ModelRef(self.base).url
        return unquote(ref.url.removeprefix(base)) if ref.url.startswith(base) else None

    def below(self, path: str) -> Iterator[Listed]:
        """The blobs of a container whose paths begin with `container/…`, which a list shows."""
        name, _, prefix = path.partition("/")
        return self.container(name).list(prefix)

    def exists(self, path: str) -> bool:
        """Whether the blob is there now."""
        return self.head(path) is not None

    def fetch(self, place: BlobUrl) -> bytes:
        """The bytes behind a reference that a service handed out, with its own SAS."""
        return fetch(self._http, self._hosts, *place)

    def get(self, path: str) -> Blob | None:
        """The blob, or None when its container has none of this name."""
        shown = self._shown(path) if self._shown else None
        if shown is not None and (content := shown.content) is not None:
            return Blob(content, shown.properties.etag, md5=shown.properties.md5)
        answer = self._found("GET", path)
        if answer is None:
            return None
        found = _properties(_checked(answer))
        return Blob(answer.body, found.etag, found.metadata, found.md5)

    def head(self, path: str) -> BlobProperties | None:
        """The blob's properties, or None when its container has none of this name."""
        shown = self._shown(path) if self._shown else None
        if shown is not None and shown.properties.md5:  # without it the list may not tell all
            return shown.properties
        if self._heads is None:
            return self._head(path)
        return self._heads(path, lambda: self._head(path))

    def _head(self, path: str) -> BlobProperties | None:
        answer = self._found("HEAD", path)
        return None if answer is None else _properties(answer)

    def _found(self, method: str, path: str) -> Response | None:
        try:
            return self.request(method, path, _READ, f"reading blob {path}")
        except NotFoundError as exc:
            # Fail closed: a wrong container or a proxy's 404 must not look like "no models yet".
            if exc.code != "BlobNotFound":
                raise
            return None

    def write(
        self, path: str, content: bytes, headers: Mapping[str, str], metadata: Mapping[str, str]
    ) -> str:
        """The etag after a whole-blob PUT; ConflictError when a condition in `headers` fails.

        Metadata that is not sent again is dropped by the service (§5.2).
        """
        write_id = uuid.uuid4().hex
        sent = {
            "x-ms-blob-type": "BlockBlob",
            "Content-MD5": md5_of(content),
            **_metadata_headers({**metadata, _WRITE_ID: write_id}),
            **headers,
        }
        try:
            what = f"writing blob {path}"
            answer = self.request("PUT", path, _WRITE, what, content=content, headers=sent)
            return _etag(answer)
        except ConflictError:
            if (etag := self._etag_of_write(path, write_id)) is None:
                raise
            return etag

    def _etag_of_write(self, path: str, write_id: str) -> str | None:
        answer = self._found("HEAD", path)
        if answer is None or answer.headers.get(_META + _WRITE_ID) != write_id:
            return None
        return _etag(answer)

    def request(
        self,
        method: str,
        path: str,
        permissions: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to one signed request (200, 201, 202)."""
        if self._shown is not None and permissions == _WRITE:
            raise RuntimeError(f"{what}: a write in a survey, whose lists may be late")
        place = self._granted(path, permissions, _REQUEST_SAS_S)
        more = "&" + urlencode(query) if query else ""
        try:
            return self._http.request(
                method,
                f"{place.base}{quote(place.relative, safe='/=~,')}{place.sas}{more}",
                content=content,
                headers={"x-ms-version": VERSION, "Accept-Encoding": "identity", **(headers or {})},
                expect=(200, 201, 202),
                what=what,
                max_bytes=MAX_BLOB_BYTES,
            )
        except NotFoundError as exc:
            if exc.code != "ContainerNotFound":
                raise
            raise self._no_container(path.partition("/")[0], exc) from exc

    def _no_container(self, container: str, exc: NotFoundError) -> ReconcilerError:
        """The error of a container that is not there: of all bindings where it is the store."""
        why = (
            f'storage account {self._name} has no container "{container}"; create it: az storage '
            f"container create --account-name {self._name} --name {container}"
        )
        if container == self._store:
            return ConfigurationError(f"{why}; or correct spec.store.container of the environment")
        return NotFoundError(f"{exc.message}; {why}", status=exc.status, code=exc.code)

    def _granted(self, path: str, permissions: str, lasting_s: float) -> BlobUrl:
        _check_path(path)
        sas = sign(
            self._key,
            path,
            permissions=permissions,
            now=self._clock(),
            expires_in_s=lasting_s,
            https_only=not self._hosts.emulator,
        )
        return BlobUrl(self.base, path, sas)


class Container:
    """One container: the verbs of a store that keeps no state elsewhere (§5.3)."""

    def __init__(self, account: Account, name: str) -> None:
        self._account = account
        self.name = name
        self.base = f"{account.base}{name}"

    def __repr__(self) -> str:
        """Where it is."""
        return f"Container({self.base})"

    def get(self, name: str) -> Blob | None:
        """The blob, or None when there is none. A missing container is a NotFoundError."""
        return self._account.get(self._path(name))

    def head(self, name: str) -> BlobProperties | None:
        """The blob's properties, or None when there is none."""
        return self._account.head(self._path(name))

    def put(
        self,
        name: str,
        content: bytes,
        *,
        content_type: str = BINARY,
        metadata: Mapping[str, str] | None = None,
        lease: str = "",
    ) -> str:
        """The etag of the blob, now written whatever was there.

        A blob that is leased is only written by who names the lease; ConflictError otherwise.
        """
        condition = {"x-ms-lease-id": lease} if lease else {}
        return self._write(name, content, condition, content_type, metadata)

    def put_if_absent(
        self,
        name: str,
        content: bytes,
        *,
        content_type: str = BINARY,
        metadata: Mapping[str, str] | None = None,
        in_lists: bool = False,
    ) -> str:
        """The etag of the new blob; ConflictError when somebody else made it (409, §5.2).

        `in_lists` lets lists show the content too, where it is small enough.
        """
        metadata = {**(metadata or {}), **(copy_of(content) if in_lists else {})}
        return self._write(name, content, {"If-None-Match": "*"}, content_type, metadata)

    def replace(
        self,
        name: str,
        content: bytes,
        etag: str,
        *,
        content_type: str = BINARY,
        metadata: Mapping[str, str] | None = None,
        in_lists: bool = False,
    ) -> str:
        """The new etag; ConflictError when the blob is no longer the one with `etag` (412)."""
        metadata = {**(metadata or {}), **(copy_of(content) if in_lists else {})}
        return self._write(name, content, {"If-Match": etag}, content_type, metadata)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """The blobs below `prefix`, by name in lexical order (`10` before `2`), page by page."""
        for page in self.pages(prefix):
            yield from page

    def pages(self, prefix: str = "", include: str = "") -> Iterator[tuple[Listed, ...]]:
        """The same by pages of up to 5,000; `include` is "" or "metadata"."""
        what = f"listing container {self.name}"
        marker, markers, firsts = "", set[str](), set[str]()
        for number in range(1, MOST_PAGES + 1):
            page, marker = self._page(prefix, marker, include)
            if marker in markers or (page and page[0].name in firsts):
                raise UnreadableError(f"{what}: page {number:,} leads back to one that was read")
            yield page
            if not marker:
                return
            markers.add(marker)
            firsts.update(blob.name for blob in page[:1])
        raise UnreadableError(f"{what}: there is no end after {MOST_PAGES:,} pages")

    def read_url(self, name: str, expires_in: float) -> BlobUrl:
        """The blob with a SAS that may read it for `expires_in` seconds."""
        return self._account.readable(self._path(name), expires_in)

    def write_url(self, name: str, expires_in: float) -> BlobUrl:
        """The blob with a SAS that may create and write it for `expires_in` seconds."""
        return self._account.writable(self._path(name), expires_in)

    def acquire(self, name: str, seconds: int) -> str:
        """The id of a new lease of 15 to 60 seconds on a blob; ConflictError while it is held.

        We propose the id, so that repeating a request whose answer was lost finds our lease.
        """
        lease_id = str(uuid.uuid4())
        asked = {"x-ms-lease-duration": str(seconds), "x-ms-proposed-lease-id": lease_id}
        return self._lease("acquire", name, asked).headers.get("x-ms-lease-id", lease_id)

    def renew(self, name: str, lease_id: str) -> None:
        """Hold the lease for another period; ConflictError when it is lost."""
        self._lease("renew", name, {"x-ms-lease-id": lease_id})

    def release(self, name: str, lease_id: str) -> None:
        """Give the lease back; ConflictError when it is lost."""
        self._lease("release", name, {"x-ms-lease-id": lease_id})

    def break_lease(self, name: str, after_s: int = 0) -> None:
        """End the lease of whoever holds it; ConflictError when there is none.

        Its renewal is refused from now on, and nobody else gets one before `after_s` (§5.3).
        """
        self._lease("break", name, {"x-ms-lease-break-period": str(after_s)})

    def _lease(self, action: str, name: str, headers: Mapping[str, str]) -> Response:
        what = f"{action} of the lease on blob {self._path(name)}"
        answer = self._account.request(
            "PUT",
            self._path(name),
            _WRITE,
            what,
            query={"comp": "lease"},
            headers={"x-ms-lease-action": action, **headers},
        )
        _etag(answer)
        return answer

    def _path(self, name: str) -> str:
        return f"{self.name}/{name}"

    def _write(
        self,
        name: str,
        content: bytes,
        condition: Mapping[str, str],
        content_type: str,
        metadata: Mapping[str, str] | None,
    ) -> str:
        headers = {"Content-Type": content_type, **condition}
        return self._account.write(self._path(name), content, headers, metadata or {})

    def _page(self, prefix: str, marker: str, include: str) -> tuple[tuple[Listed, ...], str]:
        query = {"prefix": prefix, "marker": marker, "include": include}
        answer = self._account.request(
            "GET",
            self.name,
            _LIST,
            f"listing container {self.name}",
            query={"restype": "container", "comp": "list", **{k: v for k, v in query.items() if v}},
        )
        page = parse_xml(answer.body)
        if page is None or page.tag != "EnumerationResults":
            raise answer.unreadable("a list of blobs")
        blobs = [listed(element) for element in page.iterfind("./Blobs/Blob")]
        found = tuple(blob for blob in blobs if blob is not None)
        if len(found) != len(blobs):
            raise answer.unreadable("a list of blobs with a name and an ETag each")
        container = page.get("ContainerName", self.name).rpartition("/")[2]
        if container != self.name or not all(blob.name.startswith(prefix) for blob in found):
            raise answer.unreadable(f"a list of the blobs below {self._path(prefix)}")
        return found, page.findtext("NextMarker") or ""


# --- blobs that a service points at ---------------------------------------------------------


def fetch(http: Http, hosts: BlobHosts, base: str, relative: str, sas: str) -> bytes:
    """The bytes at `BaseLocation` + `RelativeLocation` + `SasBlobToken` (§4.4).

    Raises RefusedError when that is not blob storage of this cloud.
    """
    where = f"{base.rstrip('/')}/{quote(relative.lstrip('/'), safe='/%=~,')}"
    return fetch_url(http, hosts, where + ("?" + sas.lstrip("?") if sas else "")).body


def fetch_url(http: Http, hosts: BlobHosts, url: str) -> Response:
    """The answer from a blob URL with its own SAS; RefusedError for any other host."""
    if url not in hosts.origins:
        parts = split_url(url)
        where = parts.netloc if parts else repr(without_query(url))
        raise RefusedError(f"a service names {where} as blob storage, which is not this cloud's")
    answer = http.request("GET", url, what="reading a blob of the service")
    return _checked(answer)


# --- parts --------------------------------------------------------------------------------


def _check_path(path: str) -> None:
    """Refuse names that HTTP libraries rewrite on the way: they would reach another blob."""
    if any(part in ("", ".", "..") for part in path.split("/")) or _NO_NAME.search(path):
        why = "empty, '.' or '..' between slashes, or a control character"
        raise RefusedError(f"{path!r} is not a blob name: {why}")


def _checked(answer: Response) -> Response:
    """The answer, if its bytes are those that were stored; UnreadableError when they are not."""
    stored = answer.headers.get("Content-MD5", "")
    if stored and stored != md5_of(answer.body):
        raise answer.unreadable(f"bytes with the MD5 {stored}")
    return answer


def _properties(answer: Response) -> BlobProperties:
    """What the headers say."""
    metadata = {
        name.removeprefix(_META): value
        for name, value in answer.headers.items()
        if name.startswith(_META) and name not in (_META + _WRITE_ID, _META + COPY)
    }
    length = answer.headers.get("Content-Length", "")
    return BlobProperties(
        _etag(answer),
        int(length) if length.isdecimal() else len(answer.body),
        metadata,
        answer.headers.get("Content-MD5", ""),
        answer.headers.get("Last-Modified", ""),
    )


def _etag(answer: Response) -> str:
    """The ETag; UnreadableError without one, for then it was not blob storage that answered."""
    if not (etag := answer.headers.get("ETag", "")):
        raise answer.unreadable("an ETag of blob storage")
    return etag


def _metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    for name, value in metadata.items():
        if not (name.isidentifier() and value.isascii() and value.isprintable()):
            raise ValueError(f"metadata {name!r} must be an identifier with an ASCII value")
    return {_META + name.lower(): value for name, value in metadata.items()}
