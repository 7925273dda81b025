"""MLflow's REST, as far as this program speaks it. Facts were measured on MLflow 3.17.

MLflow says that something is not there by 404 with `RESOURCE_DOES_NOT_EXIST`, and of an alias by
400. So an alias is never asked for alone: the registered model shows all of them at once. Any other
404, such as that of a proxy in front, is no word of MLflow's, and nothing is concluded from it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Unpack
from urllib.parse import quote, unquote, urlencode, urlsplit

from reconciler.errors import ConflictError, RefusedError, UnreadableError, remember_secret
from reconciler.http.asking import Sending
from reconciler.http.client import Http
from reconciler.http.credentials import Bearer, Credential
from reconciler.http.origins import Origins
from reconciler.http.response import Response
from reconciler.http.urls import Origin, is_loopback, origin, path_id, split_url
from reconciler.model import NO_NAME, ModelRef
from reconciler.strict_json import parse_json

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
ABSENT = "RESOURCE_DOES_NOT_EXIST"
PIECE_BYTES = 16 * 1024 * 1024
MOST_BYTES = 1024 * 1024 * 1024  # of a file in one answer, where the server knows no ranges
MOST_FILES = 10_000  # of one artifact
PAGE = 1000  # registered models in one answer, the most that MLflow gives
MOST_PAGES = 1000
_MOST_DIGITS = 20  # of the number of a version


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model: its aliases, each with the number of a version, and its tags. MLflow
    shows the `latest` version of each stage with it."""

    name: str
    aliases: Mapping[str, str] = field(hash=False)
    tags: Mapping[str, str] = field(hash=False)
    latest: tuple[ModelVersion, ...] = ()


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model. `source` is where its artifact is, `run` the id of the run
    that made it, "" where none did. `stage` is of MLflow before 2.9: "None" where it has none."""

    name: str
    number: str
    status: str
    source: str
    run: str = ""
    stage: str = "None"
    message: str = ""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Basic:
    """A user and a password, for the origins that may hear them."""

    user: str
    password: str = field(repr=False)
    origins: Origins

    def authorization(self, url: str) -> str:
        """`Basic …`; RefusedError for a server that must not have it."""
        self.origins.check(url)
        word = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        remember_secret(word)
        return f"Basic {word}"


def credential_of(url: str, secret: str, user: str, bound: frozenset[Origin]) -> Credential | None:
    """The credential that signs in at the server; None where none is needed.

    A server of this machine may hear the secret; any other must be bound outside git.
    """
    if not secret:
        return None
    parts, there = split_url(url), origin(url)
    here = parts is not None and is_loopback(parts.hostname or "")
    exact = frozenset([there]) if here and there else frozenset()
    kind = "the password" if user else "the token"
    origins = Origins(f"{kind} of MLflow", exact).also(bound)
    return Basic(user, secret, origins) if user else Bearer(secret, origins)


class Mlflow:
    """One tracking server, asked from many threads."""

    def __init__(self, http: Http, url: str, credential: Credential | None) -> None:
        self._http = http
        self._credential = credential
        self.url = url

    def model(self, name: str) -> RegisteredModel | None:
        """The registered model; None where MLflow itself says that there is none."""
        what = f'reading the registered model "{name}"'
        answer = self.find("/registered-models/get", what, name=name)
        if answer is None:
            return None
        registered = _model(_object(answer, "registered_model", what), what)
        if registered.name != name:
            raise UnreadableError(f'{what}: the answer is about "{registered.name}"')
        return registered

    def models(self, some_pages: int = 0) -> list[RegisteredModel]:
        """All registered models; or those of so many pages."""
        what, registered, token = "listing registered models", list[RegisteredModel](), ""
        seen: set[str] = set()
        for _ in range(some_pages or MOST_PAGES):
            query = {"max_results": str(PAGE)} | ({"page_token": token} if token else {})
            page = self.get("/registered-models/search", what, **query)
            registered += [_model(each, what) for each in _objects(page, "registered_models", what)]
            token = str(page.get("next_page_token") or "")
            if not token:
                return registered
            if token in seen:
                raise UnreadableError(f"{what}: a page leads back to one that was read")
            seen.add(token)
        if not some_pages:
            raise UnreadableError(f"{what}: there is no end after {MOST_PAGES:,} pages")
        return registered

    def version(self, name: str, number: str) -> ModelVersion | None:
        """One version; None where MLflow itself says that there is none."""
        what = f"reading version {number} of {name}"
        answer = self.find("/model-versions/get", what, name=name, version=number)
        if answer is None:
            return None
        version = _version(_object(answer, "model_version", what), what)
        if (version.name, version.number) != (name, number):
            raise UnreadableError(f"{what}: the answer is about {version.name}/{version.number}")
        return version

    def origin_of(self, name: str, number: str) -> str:
        """Where the artifact of a version is that was copied from another one, "" where MLflow
        itself says that the version is gone."""
        what = f"reading where version {number} of {name} comes from"
        answer = self.find("/model-versions/get-download-uri", what, name=name, version=number)
        return "" if answer is None else _text(answer, "artifact_uri", what)

    def versions(self, name: str, tags: Mapping[str, str] | None = None) -> list[ModelVersion]:
        """The newest versions of a registered model, up to 200, with these tags."""
        what = f"listing versions of {name}"
        terms = [f"name='{name}'", *(f"tags.`{key}`='{v}'" for key, v in (tags or {}).items())]
        query = {"filter": " and ".join(terms), "order_by": "version_number DESC"}
        page = self.get("/model-versions/search", what, **query, max_results="200")
        return [_version(each, what) for each in _objects(page, "model_versions", what)]

    def run(self, ident: str) -> dict[str, Any] | None:
        """A run, its info and data; None where MLflow itself says that there is none."""
        what = f"reading run {ident}"
        answer = self.find("/runs/get", what, run_id=ident)
        return None if answer is None else _object(answer, "run", what)

    def logged_model(self, ident: str) -> str:
        """Where the artifact of a logged model is; "" where MLflow itself says that it is gone."""
        what = f"reading the logged model {ident}"
        answer = self.find(f"/logged-models/{path_id(ident, 'a logged model')}", what)
        if answer is None:
            return ""
        info = _object(_object(answer, "model", what), "info", what)
        return _text(info, "artifact_uri", what)

    # --- artifacts ----------------------------------------------------------------------------

    def files(self, uri: str, what: str) -> dict[str, int]:
        """The files of an artifact with their sizes, by their path in it; {} where it is gone."""
        path = self._handed_out(uri, what)
        sizes: dict[str, int] = {}
        folders = [""]
        while folders:
            below = folders.pop()
            query = urlencode({"path": f"{path}/{below}".strip("/")})
            url = f"{self.url}{ARTIFACTS}?{query}"
            if (answer := self._found("GET", url, what)) is None:
                continue
            for each in _objects(answer.json_object(), "files", what):
                name = _text(each, "path", what)
                part = name.rstrip("/").rpartition("/")[2]  # MLflow names files from their root
                if part in ("", ".", "..") or "\\" in part or NO_NAME.search(part):
                    why = f"a file is called {name!r:.100}; log the model without it"
                    raise UnreadableError(f"{what}: {why}")
                name = below + part
                if each.get("is_dir"):
                    folders.append(f"{name}/")
                else:
                    sizes[name] = _size(each, what)
                if len(sizes) + len(folders) > MOST_FILES:
                    raise RefusedError(f"{what}: it has more than {MOST_FILES:,} files")
        return dict(sorted(sizes.items()))

    def download(self, uri: str, size: int, what: str, into: IO[bytes]) -> None:
        """Write one file of an artifact, piece by piece; ConflictError where it changes.

        A list leaves out a size that is zero, and one that the server does not know. Then the file
        is read in one answer.
        """
        url, first, etag = self.artifact_url(uri, what), 0, ""
        if not size:
            into.write(self._ask("GET", url, what, max_bytes=MOST_BYTES).body)
        while first < size:
            last = min(first + PIECE_BYTES, size) - 1
            piece = {"Range": f"bytes={first}-{last}"}
            answer = self._ask("GET", url, what, (200, 206), headers=piece, max_bytes=MOST_BYTES)
            now = answer.headers.get("ETag", "")
            if first and now != etag:
                raise ConflictError(f"{what}: the artifact was replaced meanwhile; apply again")
            wanted = size if answer.status == 200 else last - first + 1
            if len(answer.body) != wanted or (answer.status == 200 and first):
                raise UnreadableError(f"{what}: {len(answer.body)} bytes in place of {wanted}")
            into.write(answer.body)
            first, etag = first + len(answer.body), now

    def upload(self, uri: str, what: str, content: Path) -> None:
        """Write a file of this machine among the artifacts of a run, through the server."""
        self._ask("PUT", self.artifact_url(uri, what), what, content=content)

    def artifact_url(self, uri: str, what: str) -> str:
        """Where the server hands out an artifact; RefusedError where it does not."""
        return f"{self.url}{ARTIFACTS}{quote(self._handed_out(uri, what))}"

    def _handed_out(self, uri: str, what: str) -> str:
        """The path of an artifact on this server; RefusedError where it is not there."""
        scheme, _, path = uri.partition(":")
        host = ""
        if path.startswith("//"):
            host, slash, path = path[2:].partition("/")
            path = slash + path
        if scheme != "mlflow-artifacts" or host not in ("", urlsplit(self.url).netloc):
            raise RefusedError(
                f"{what}: the artifact is at {uri}, which the server does not hand out; only "
                "mlflow-artifacts: is supported, so let it serve artifacts (--serve-artifacts)"
            )
        return path  # of files that people named, so "#" and "?" are characters of it

    # --- requests -----------------------------------------------------------------------------

    def get(self, path: str, what: str, **query: str) -> dict[str, Any]:
        """The answer of a read: an object."""
        url = f"{self.url}{API}{path}?{urlencode(query)}"
        return _document(self._ask("GET", url, what))

    def find(self, path: str, what: str, **query: str) -> dict[str, Any] | None:
        """The answer of a read; None where MLflow itself says that there is no such thing."""
        url = f"{self.url}{API}{path}?{urlencode(query)}"
        answer = self._found("GET", url, what)
        return None if answer is None else _document(answer)

    def post(self, path: str, what: str, **body: Any) -> dict[str, Any]:
        """The answer to a write. It is sent once: MLflow's writes are not all idempotent."""
        return _document(self._ask("POST", f"{self.url}{API}{path}", what, json=body))

    def delete(self, path: str, what: str, **body: Any) -> None:
        """Delete; no error where it is gone already."""
        answer = self._found("DELETE", f"{self.url}{API}{path}", what, json=body)
        if answer is not None:
            answer.json_object()

    def _found(
        self, method: str, url: str, what: str, **sending: Unpack[Sending]
    ) -> Response | None:
        """The answer; None where MLflow itself says that there is no such thing."""
        answer = self._ask(method, url, what, (200, 404), **sending)
        if answer.status == 200:
            return answer
        _check_absent(answer)
        return None

    def _ask(
        self,
        method: str,
        url: str,
        what: str,
        expect: tuple[int, ...] = (200,),
        **sending: Unpack[Sending],
    ) -> Response:
        sending["credential"] = self._credential
        return self._http.request(method, url, expect=expect, what=what, **sending)


def _document(answer: Response) -> dict[str, Any]:
    """The object in an answer; a page, which a proxy gives in its place, is told with its fix."""
    if answer.is_page:
        fix = "let spec.mlflow.url lead to the server itself, or let the proxy accept the token"
        raise answer.unreadable("an answer of MLflow", f"; if that is a page to sign in, {fix}")
    return answer.json_object()


def _check_absent(answer: Response) -> None:
    """Raise UnreadableError unless a 404 is MLflow's own."""
    try:
        document = parse_json(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("error_code") != ABSENT:
        raise answer.unreadable("an answer of MLflow; is the URL of spec.mlflow right?")


def _model(document: Mapping[str, Any], what: str) -> RegisteredModel:
    """The registered model in an answer; UnreadableError for what is none."""
    aliases = _objects(document, "aliases", what)
    latest = _objects(document, "latest_versions", what)
    return RegisteredModel(
        _text(document, "name", what),
        {_text(each, "alias", what): _number(each, what) for each in aliases},
        _tags(document, what),
        tuple(_version(each, what) for each in latest),
    )


def _version(document: Mapping[str, Any], what: str) -> ModelVersion:
    """The version in an answer; UnreadableError for what is none."""
    aliases = document.get("aliases") or []
    if not isinstance(aliases, list):
        raise UnreadableError(f"{what}: aliases is no list")
    return ModelVersion(
        _text(document, "name", what),
        _number(document, what),
        _text(document, "status", what),
        _text(document, "source", what, ""),
        _text(document, "run_id", what, ""),
        _text(document, "current_stage", what, "None"),
        _text(document, "status_message", what, ""),
        tuple(map(str, aliases)),
        _tags(document, what),
    )


def _number(document: Mapping[str, Any], what: str) -> str:
    number = _text(document, "version", what)
    if not (number.isascii() and number.isdecimal() and len(number) < _MOST_DIGITS):
        raise UnreadableError(f"{what}: a version is called {number!r:.40}, which is no number")
    return number


def _tags(document: Mapping[str, Any], what: str) -> dict[str, str]:
    tags = _objects(document, "tags", what)
    return {_text(each, "key", what): _text(each, "value", what, "") for each in tags}


def ref_of(name: str, called: str) -> ModelRef:
    """`models:/fraud-detector/7`, or with what a published version is called."""
    return ModelRef(f"models:/{quote(name, safe='')}/{called}")


def called_in(name: str, ref: ModelRef) -> str:
    """The number or name of a version of this registered model; "" of any other model."""
    head, ours = ref_of(name, "").url, ref.url
    return unquote(ours.removeprefix(head)) if ours.startswith(head) else ""


def _size(document: Mapping[str, Any], what: str) -> int:
    size = document.get("file_size", 0)
    if not isinstance(size, int | str) or not str(size).isdecimal():
        raise UnreadableError(f"{what}: the size of a file is {size!r:.40}")
    return int(size)


def _object(document: Mapping[str, Any], name: str, what: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise UnreadableError(f'{what}: the answer has no object "{name}"')
    return value


def _objects(document: Mapping[str, Any], name: str, what: str) -> list[dict[str, Any]]:
    """A list of objects; empty where it is left out, as MLflow does with what is empty."""
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UnreadableError(f'{what}: "{name}" is no list of objects')
    return value


def _text(document: Mapping[str, Any], name: str, what: str, absent: str | None = None) -> str:
    value = document.get(name, absent)
    if not isinstance(value, str):
        raise UnreadableError(f'{what}: "{name}" is no text')
    return value
