"""Answers that were heard once, and a client that has no others: the cloud of an offline plan.

Everything above asks the same questions as ever, so there is no second notion of what is. Answers
of the management APIs are kept by URL. Of the store are kept the properties of blobs, by name, and
our own small documents; a list, and a blob that is not there, are answered where the list that
would show it was heard to its end. Whatever is not known so raises NotKnownError: no answer is
ever made up.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode
from xml.etree import ElementTree

from reconciler.errors import NotKnownError
from reconciler.http.client import Http, without_query
from reconciler.http.credentials import AccessToken
from reconciler.http.response import Headers, Response, parse_xml
from reconciler.offline.redaction import kept_json, kept_text
from reconciler.stores.azure_blob import listed
from reconciler.stores.contract import Properties
from reconciler.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.http.client import Asked

KEPT_STATUSES = (200, 404)
KEPT_FILES = ("/manifest.json", "/evaluation.csv")
MOST_TEXT = 1024 * 1024
RECORDS = "/_records/"
_KEPT_QUERY = ("api-version", "$skiptoken", "$skip", "$top", "$filter")


@dataclass(frozen=True)
class Answer:
    """What a management API answered: its status and the JSON, without secrets."""

    status: int
    body: Any


@dataclass
class Answers:
    """What was heard. `base` is the URL of the storage account, with its slash at the end.

    Blobs and lists go by `container/name`; `listed` are the beginnings of names of which a list
    was heard to its end.
    """

    base: str
    management: dict[str, Answer] = field(default_factory=dict)
    blobs: dict[str, Properties] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)

    def hear(self, method: str, url: str, answer: Response) -> None:
        """Keep what a read was answered, if it is of a kind that plans ask for."""
        if url.startswith(self.base):
            self._hear_storage(method, url, answer)
        elif method == "GET" and answer.status in KEPT_STATUSES:
            try:
                body = parse_json(answer.body)
            except ValueError:
                return
            self.management[key_of(url)] = Answer(answer.status, kept_json(body))

    def _hear_storage(self, method: str, url: str, answer: Response) -> None:
        path, query = self._place(url)
        if query.get("comp") == "list":
            if answer.status == 200:
                self._hear_list(f"{path}/{query.get('prefix', '')}", answer)
        elif answer.status == 404 and answer.headers.get("x-ms-error-code") == "BlobNotFound":
            self.absent.add(path)
        elif answer.status == 200 and "comp" not in query:
            self.blobs[path] = _properties(answer)
            if method == "GET" and _is_ours(path) and len(answer.body) <= MOST_TEXT:
                self.texts[path] = kept_text(path, answer.body)

    def _hear_list(self, prefix: str, answer: Response) -> None:
        page = parse_xml(answer.body)
        if page is None or page.tag != "EnumerationResults":
            return
        container = prefix.partition("/")[0]
        for blob in map(listed, page.iterfind("./Blobs/Blob")):
            if blob is None:
                continue
            path = f"{container}/{blob.name}"
            self.blobs[path] = blob.properties
            if _is_ours(path) and (content := blob.content) is not None:
                self.texts[path] = kept_text(path, content)
        if not page.findtext("NextMarker"):
            self.listed.add(prefix)

    def _place(self, url: str) -> tuple[str, dict[str, str]]:
        return place_of(url.removeprefix(self.base))


class Recorded(Http):
    """A client whose only answers are recorded ones. It opens no connection and refuses writes."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(threads=1, retries=0, read_only=True)
        self._known = answers
        self._names = sorted(answers.blobs)

    def _exchange(self, asked: Asked) -> tuple[Response, bool]:
        return self._answer(asked), False

    def _answer(self, asked: Asked) -> Response:
        if asked.url.startswith(self._known.base):
            return self._from_storage(asked)
        known = self._known.management.get(key_of(asked.url))
        if known is None or asked.method != "GET":
            raise _not_known(asked)
        body = json.dumps(known.body, ensure_ascii=False).encode()
        return _response(asked, known.status, {"Content-Type": "application/json"}, body)

    def _from_storage(self, asked: Asked) -> Response:
        path, query = place_of(asked.url.removeprefix(self._known.base))
        if query.get("comp") == "list":
            return self._list(asked, f"{path}/{query.get('prefix', '')}")
        known = self._known.blobs.get(path)
        if known is None:
            if path not in self._known.absent and not self._was_listed(path):
                raise _not_known(asked)
            return _response(asked, 404, {"x-ms-error-code": "BlobNotFound"})
        headers = {"ETag": known.etag, "Content-Length": str(known.size)}
        if asked.method == "HEAD":
            return _response(asked, 200, headers | _md5(known))
        if path not in self._known.texts:
            raise _not_known(asked)
        return _response(asked, 200, headers, self._known.texts[path].encode())

    def _list(self, asked: Asked, prefix: str) -> Response:
        if not self._was_listed(prefix):
            raise _not_known(asked)
        root = ElementTree.Element("EnumerationResults")
        blobs = ElementTree.SubElement(root, "Blobs")
        container = prefix.partition("/")[0]
        for path in self._below(prefix):
            blob, known = ElementTree.SubElement(blobs, "Blob"), self._known.blobs[path]
            ElementTree.SubElement(blob, "Name").text = path.removeprefix(f"{container}/")
            shown = ElementTree.SubElement(blob, "Properties")
            ElementTree.SubElement(shown, "Etag").text = known.etag.strip('"')
            ElementTree.SubElement(shown, "Content-Length").text = str(known.size)
            ElementTree.SubElement(shown, "Content-MD5").text = md5_of(known)
        return _response(asked, 200, {}, ElementTree.tostring(root, "utf-8"))

    def _below(self, prefix: str) -> Iterator[str]:
        first = bisect_left(self._names, prefix)
        return takewhile(lambda name: name.startswith(prefix), islice(self._names, first, None))

    def _was_listed(self, path: str) -> bool:
        """Whether a list that was heard to its end would show what has this path."""
        begins = range(path.find("/") + 1, len(path) + 1)
        return any(path[:end] in self._known.listed for end in begins)


class NoToken(AccessToken):
    """The access token of who asks nobody: it is never needed."""

    def __init__(self) -> None:
        """Nothing: there is no way to sign in."""

    def __repr__(self) -> str:
        """What it is."""
        return "NoToken()"

    def check(self) -> None:
        """Return: nothing is missing."""

    def authorization(self, url: str) -> str:
        """Never asked for: a recorded answer needs none."""
        raise AssertionError(f"a token was asked for offline, for {without_query(url)}")


def key_of(url: str) -> str:
    """The URL with only those parts of its query that choose the answer; a SAS is none."""
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    kept = urlencode([(name, value) for name, value in pairs if name.lower() in _KEPT_QUERY])
    return f"{without_query(url)}?{kept}" if kept else without_query(url)


def place_of(below: str) -> tuple[str, dict[str, str]]:
    """`container/blob` and the query, of the end of a URL of a storage account."""
    query = parse_qsl(below.partition("?")[2], keep_blank_values=True)
    return unquote(without_query(below)), dict(query)


def _is_ours(path: str) -> bool:
    """Whether it is a document of this program, or metrics: everything else is data of others."""
    return path.endswith(KEPT_FILES) or (RECORDS in path and path.endswith(".json"))


def _properties(answer: Response) -> Properties:
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else len(answer.body)
    return known_by(answer.headers.get("ETag", ""), size, answer.headers.get("Content-MD5", ""))


def known_by(etag: str, size: int, md5: str) -> Properties:
    """What is kept of a blob; `md5` is base64, or ""."""
    return Properties(etag, f"md5:{md5}" if md5 else "", size)


def md5_of(known: Properties) -> str:
    """The MD5 in base64, or ""."""
    return known.fingerprint.removeprefix("md5:")


def _md5(known: Properties) -> dict[str, str]:
    return {"Content-MD5": md5_of(known)} if known.fingerprint else {}


def _response(asked: Asked, status: int, headers: Mapping[str, str], body: bytes = b"") -> Response:
    return Response(status, Headers(headers), body, asked.what, asked.place)


def _not_known(asked: Asked) -> NotKnownError:
    return NotKnownError(
        f"not known offline: {asked.what}: the snapshot holds no answer to {asked.place}; a plan "
        "with credentials would ask"
    )
