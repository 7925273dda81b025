"""A store in a bucket: what Amazon S3, Google Cloud Storage and their like have in common.

They speak one protocol, the XML API of S3, and differ in how a request proves who asks and in what
names a write. It goes through this program's own HTTP client and not through a library for buckets:
those follow redirects, try again behind the back of a run that lost its lock, and take any 404 for
an absence. A file is absent only where the service says NoSuchKey. An answer without a body cannot
say that, so where a HEAD finds nothing, a read of one byte is asked.

A bucket's lists carry no contents, so a survey reads files one by one, many at a time.

A write whose answer was lost is sent again, and then meets its own first attempt as a conflict. So
a conflict with the very content that was to be written is a success.

The ETag of S3 is an MD5 of the content: who writes the same bytes again gets the same one. Whoever
compares and swaps must therefore write something new each time, as the lock does.
"""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree.ElementTree import Element

from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    ReconcilerError,
    RefusedError,
    UnauthorizedError,
    UnreadableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.http.response import Response, error_of, parse_xml
from reconciler.stores.contract import (
    PIECE_BYTES,
    Access,
    Listed,
    Place,
    Properties,
    Sink,
    Store,
    Stored,
    is_name,
    pieces,
    url_of,
)

MOST_FILE_BYTES = 512 * 1024 * 1024  # of one that is read whole
MOST_PAGES = 10_000  # of up to 1,000 files
MOST_PARTS = 9_000  # of one upload; the services allow 10,000
MOST_COLLISIONS = 5  # of writes at one time, of which the service lets none through
_AGAIN = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
_ELSEWHERE = (301, 307, 400)  # may say where the bucket is


class Bucket(Store):
    """The store below `prefix` of a bucket; the prefix may be ""."""

    scheme = ""
    lists_contents = False
    lists_fingerprints = False

    def __init__(self, http: Http, bucket: str, prefix: str) -> None:
        """Nothing is asked yet."""
        self._http = http
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"{self.scheme}://{self._bucket}/{self._root}".rstrip("/")

    @property
    def base(self) -> str:
        """`s3://bucket/prefix/`, as libraries for buckets read it."""
        return f"{self.uri}/"

    def grant(self, name: str, access: Access, lasting_s: float) -> Place:
        """Where the file is, with a URL that lets its bearer in where the service has such."""
        url = self._url(self._key(name))
        return Place(url_of(self.base, name), self._presigned(url, access, lasting_s))

    # --- what the services differ in ----------------------------------------------------------

    @abstractmethod
    def _bucket_url(self) -> str:
        """The https URL of the bucket, without a slash at its end."""

    @abstractmethod
    def _signed(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        """The headers, with those that prove who asks; RefusedError for a foreign server."""

    @abstractmethod
    def _presigned(self, url: str, access: Access, lasting_s: float) -> str:
        """A URL that lets its bearer in; "" where only an identity does."""

    @abstractmethod
    def _condition(self, etag: str) -> dict[str, str]:
        """The header that asks for this very write, or for none where it is ""."""

    @abstractmethod
    def _properties(self, answer: Response, size: int) -> Properties:
        """The properties in the headers of an answer; UnreadableError where they are not the
        service's."""

    @abstractmethod
    def _shown(self, entry: Element) -> Properties | None:
        """The properties that a list shows of a file; None where it lacks what each has."""

    def _elsewhere(self, answer: Response) -> ReconcilerError:
        """The error of a redirect, or of a request that the service does not understand."""
        return error_of(answer)

    # --- reads ------------------------------------------------------------------------------

    def get(self, name: str) -> Stored | None:
        """The file, or None when the bucket has none of this name."""
        answer = self._found("GET", name)
        if answer is None:
            return None
        return Stored(answer.body, self._properties(answer, len(answer.body)))

    def head(self, name: str) -> Properties | None:
        """The properties of the file, or None when the bucket has none of this name."""
        try:
            answer = self._found("HEAD", name)
        except NotFoundError:
            # Without a body, the answer did not say what is not there: the file or the bucket.
            answer = self._found("GET", name, {"Range": "bytes=0-0"})
            if answer is None:
                return None
            raise answer.unreadable("an absent file, as HEAD said") from None
        assert answer is not None
        length = answer.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise answer.unreadable("a file with a length")
        return self._properties(answer, int(length))

    def fetch(self, name: str, into: Sink) -> Properties | None:
        """Write the file to an open file, by ranges of the one that was there at first."""
        if (known := self.head(name)) is None:
            return None
        for first, last in pieces(known.size):
            headers = {"Range": f"bytes={first}-{last}", **self._condition(known.etag)}
            answer = self._request("GET", self._key(name), f"reading {name}", headers=headers)
            if len(answer.body) != last - first + 1:
                raise answer.unreadable(f"the bytes {first}-{last}")
            into.write(answer.body)
        return known

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """The files whose names begin so, by name in lexical order, page by page."""
        token, before = "", ""
        for _ in range(MOST_PAGES):
            page, token = self._page(f"{self._root}{prefix}", token)
            for file in page:
                if file.name <= before:
                    raise UnreadableError(f"listing {self.uri}: {file.name} comes after {before}")
                before = file.name
                yield file
            if not token:
                return
        raise UnreadableError(f"listing {self.uri}: there is no end after {MOST_PAGES:,} pages")

    def _page(self, prefix: str, token: str) -> tuple[Sequence[Listed], str]:
        """One page of a list, and the token of the next, "" at the end."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        if token:
            query["continuation-token"] = token
        answer = self._request("GET", "", f"listing {self.uri}", query=query)
        page = parse_xml(answer.body)
        if page is None or _tag(page) != "ListBucketResult":
            raise answer.unreadable("a list of a bucket")
        members = {_tag(child): child.text or "" for child in page}
        decoded = unquote_plus if members.get("EncodingType") == "url" else str
        files = []
        for entry in (child for child in page if _tag(child) == "Contents"):
            name, properties = decoded(shown_text(entry, "Key")), self._shown(entry)
            if properties is None or not name.startswith(prefix):
                raise answer.unreadable(f"a list of the files below {prefix!r}")
            if not name.endswith("/"):  # a folder, as consoles make them
                files.append(Listed(name[len(self._root) :], properties))
        more = members.get("NextContinuationToken", "")
        if members.get("IsTruncated") not in ("true", "false") or (
            (members["IsTruncated"] == "true") != bool(more)
        ):
            raise answer.unreadable("a list of a bucket that says whether it goes on")
        return files, more

    def _found(
        self, method: str, name: str, headers: Mapping[str, str] | None = None
    ) -> Response | None:
        """The answer; None only where the service itself said that there is no such file."""
        key = self._key(name)
        try:
            answer = self._request(method, key, f"reading {key}", headers=headers)
        except NotFoundError as exc:
            if exc.code != "NoSuchKey":
                raise
            return None
        # A proxy's page has the type of one, or none. A file of ours has another type, and a page
        # that somebody stored has the name of one.
        page = answer.is_page and answer.content_type in ("", "text/html")
        if page and not name.endswith((".html", ".htm")):
            raise answer.unreadable("a file of the bucket")
        return answer

    # --- writes -----------------------------------------------------------------------------

    def put(self, name: str, content: bytes) -> str:
        """Write, whatever is there; the new ETag."""
        return self._write(name, content, {})

    def put_if_absent(self, name: str, content: bytes) -> str:
        """Create; the ETag. ConflictError when somebody else made it."""
        return self._write(name, content, self._condition(""))

    def replace(self, name: str, content: bytes, etag: str) -> str:
        """Replace what has this ETag; the new one. ConflictError where it has another."""
        try:
            return self._write(name, content, self._condition(etag))
        except NotFoundError as exc:
            if exc.code != "NoSuchKey":
                raise
            raise ConflictError(exc.message, status=exc.status, code=exc.code) from exc

    def _write(self, name: str, content: bytes, condition: Mapping[str, str]) -> str:
        """The ETag after a write; of writes in one moment of which none came through, it is tried
        again."""
        key = self._key(name)
        headers = {"Content-Type": "application/octet-stream", **condition}
        for attempt in range(MOST_COLLISIONS):
            try:
                answer = self._request(
                    "PUT", key, f"writing {key}", content=content, headers=headers
                )
                return self._properties(answer, len(content)).etag
            except ConflictError as exc:
                # Of writes at one time S3 may let none through, and says so.
                if exc.code in _AGAIN and attempt < MOST_COLLISIONS - 1:
                    if self._http.pause(0.1 * 2**attempt):
                        raise
                    continue
                stored = self.get(name)
                if stored is None or stored.content != content:
                    raise
                return stored.etag
        raise AssertionError("the last attempt returns or raises")

    def put_file(self, name: str, path: Path) -> str:
        """Write a file of this machine in parts; they appear at once, when the last is there."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= PIECE_BYTES:
                return self.put(name, file.read())
            part_bytes = max(PIECE_BYTES, -(-size // MOST_PARTS))
            key, what = self._key(name), f"writing {self._key(name)}"
            began = self._request("POST", key, what, query={"uploads": ""})
            upload = _of_xml(began, "InitiateMultipartUploadResult", "UploadId")
            try:
                parts: list[str] = []
                while part := file.read(part_bytes):
                    query = {"partNumber": str(len(parts) + 1), "uploadId": upload}
                    answer = self._request("PUT", key, what, query=query, content=part)
                    parts.append(answer.headers.get("ETag", ""))
                rows = (
                    f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
                    for number, etag in enumerate(parts, 1)
                )
                whole = f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>"
                done = self._request(
                    "POST", key, what, query={"uploadId": upload}, content=whole.encode()
                )
                _of_xml(done, "CompleteMultipartUploadResult", "ETag")
            except BaseException:
                with contextlib.suppress(ReconcilerError):  # what is left of it costs space
                    self._request("DELETE", key, what, query={"uploadId": upload})
                raise
        known = self.head(name)
        if known is None:
            raise done.unreadable("the file that was written")
        return known.etag

    # --- requests ---------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        if not is_name(name):
            why = "empty, '.' or '..' between slashes, or a control character"
            raise RefusedError(f"{name!r} is not the name of a file in {self.uri}: {why}")
        return f"{self._root}{name}"

    def _no_bucket(self) -> ConfigurationError:
        return ConfigurationError(
            f"there is no bucket {self._bucket}; create it, or correct the environment, which "
            "names it (spec.store or spec.data)"
        )

    def _url(self, key: str) -> str:
        return f"{self._bucket_url()}/{quote(key, safe='/~')}"

    def _request(
        self,
        method: str,
        key: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer to one signed request, when it is one that the service gives."""
        url = self._url(key) + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        sent = self._signed(
            method, url, {"Accept-Encoding": "identity", **(headers or {})}, content or b""
        )
        try:
            answer = self._http.request(
                method,
                url,
                content=content,
                headers=sent,
                expect=(200, 204, 206, *_ELSEWHERE),
                what=what,
                max_bytes=MOST_FILE_BYTES,
            )
        except WireError as exc:
            if exc.code in _EXPIRED:
                raise UnauthorizedError(
                    f"{exc.message}; get new credentials", status=exc.status, code=exc.code
                ) from exc
            if exc.code != "NoSuchBucket":
                raise
            raise self._no_bucket() from exc
        if answer.status in _ELSEWHERE:
            raise self._elsewhere(answer)
        return answer


# --- parts --------------------------------------------------------------------------------


def moment(text: str) -> datetime | None:
    """A time of a list, as ISO 8601 has it."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def shown_text(entry: Element, name: str) -> str:
    """The text of an element below a name, whatever its namespace; "" where there is none."""
    return next((child.text or "" for child in entry if _tag(child) == name), "")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _of_xml(answer: Response, root: str, name: str) -> str:
    """The XML of an answer; S3 can answer 200 with an error in the body."""
    page = parse_xml(answer.body)
    if page is None or _tag(page) != root or not (text := shown_text(page, name)):
        raise answer.unreadable(f"{root} with {name}")
    return text
