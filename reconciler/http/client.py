"""One HTTP client for everything: pooled, patient, bounded, and deaf to redirects.

The pool is as large as the number of threads. The retried statuses are those of
STUDIO_PROTOCOL.md §4.9; submit and start are POST and never repeated here, because each submit
makes a job.

urllib3's `Retry` is the policy, but the loop is ours: inside urllib3 it would not see a body
that breaks off, would warn with the whole URL in the log, and would hide attempts from
`on_request`, which must count every request that leaves the process.
"""

from __future__ import annotations

import copy
import json as jsonlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from reconciler.errors import (
    ConfigurationError,
    RefusedError,
    StoppedError,
    UnreachableError,
    UnreadableError,
    WireError,
    redact,
)
from reconciler.http.foreign import foreign_errors, never_sent, phrase_of
from reconciler.http.response import Headers, Response, error_of
from reconciler.http.transport import Pooled, Raw, Transport
from reconciler.http.urls import is_loopback, split_url

if TYPE_CHECKING:
    from urllib3.util.retry import Retry

log = logging.getLogger(__name__)

__all__ = ["Credential", "Headers", "Http", "Response"]

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
RETRIED_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
READING_METHODS = frozenset({"GET", "HEAD"})
RETRY_AFTER_MAX_S = 60.0
BACKOFF_MAX_S = 30.0
MAX_BODY_BYTES = 64 * 1024 * 1024
_ASKED_AS = "x-ms-client-request-id"
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Credential(Protocol):
    """Something that has an Authorization header for some hosts."""

    def authorization(self, url: str) -> str:
        """The header's value; raises RefusedError for a URL that must not have it."""
        ...


@dataclass(frozen=True)
class Asked:
    """One request as the caller meant it."""

    method: str
    url: str = field(repr=False)
    credential: Credential | None
    content: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    what: str
    max_bytes: int
    once: bool

    @property
    def place(self) -> str:
        """Method and URL without query, which is where a SAS would be."""
        return f"{self.method} {without_query(self.url)}"


@dataclass(frozen=True)
class _Broken:
    """A request without a whole answer: why, and whether trying again may help."""

    why: str
    again: bool
    status: int | None = None  # an answer had begun
    request_id: str = ""
    sent: bool = True  # the service may have heard of it


class Http:
    """A pooled client that threads share. `close` it, or use it as a context manager.

    `threads` is the number of concurrent users; `timeout_s` is (connect, read); `backoff_s`
    scales the pauses between tries (0 for none); `sleep` makes them, and where it answers true,
    somebody woke it and no further try is made. `on_request(method, url_without_query)` hears of
    every request before it is sent, each retry too. `read_only` refuses all but GET and
    HEAD: a plan that writes is a bug of ours. `local_hint` is said where nothing listens on this
    machine. `timeout_s`, `trusted` (the CA file, or True) and `pause` are for others to follow.
    """

    def __init__(
        self,
        *,
        threads: int = 8,
        timeout_s: tuple[float, float] = (10.0, 60.0),
        retries: int = 4,
        backoff_s: float = 0.5,
        max_bytes: int = MAX_BODY_BYTES,
        read_only: bool = False,
        on_request: Callable[[str, str], None] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        local_hint: str = "is the emulator running there?",
    ) -> None:
        self._local_hint = local_hint
        self.timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._read_only = read_only
        self._on_request = on_request
        self._hear: Callable[[str, str, Response], None] | None = None
        self._halted: Callable[[], str] = str
        self.pause = sleep
        self.trusted = _ca_bundle()
        self._retry = _retry_policy(retries, backoff_s)
        self._pooled: Transport = Pooled(threads, timeout_s, self.trusted)
        self._doors: dict[str, Transport] = {}

    def __enter__(self) -> Http:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the pooled connections."""
        for transport in (self._pooled, *self._doors.values()):
            transport.close()

    @property
    def only_reads(self) -> bool:
        """Whether it refuses to write."""
        return self._read_only

    def reading(self) -> Http:
        """The same client, its connections shared, that refuses to write."""
        reader = copy.copy(self)
        reader._read_only = True
        return reader

    def heard_by(self, hear: Callable[[str, str, Response], None]) -> Http:
        """The same client; `hear` is told method, URL and answer of every read, secrets and all."""
        heard = copy.copy(self)
        heard._hear = hear
        return heard

    def halted_by(self, why: Callable[[], str]) -> Http:
        """The same client; before each try of a write it asks `why` that must not leave any more:
        "" while it may."""
        halting = copy.copy(self)
        halting._halted = why
        return halting

    def mount(self, prefix: str, transport: Transport) -> None:
        """Send URLs that begin with `prefix` in another way: through an in-process door."""
        self._doors[prefix] = transport

    def request(
        self,
        method: str,
        url: str,
        *,
        credential: Credential | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Container[int] = (200,),
        what: str = "reading the endpoint",
        max_bytes: int | None = None,
        once: bool = False,
    ) -> Response:
        """The answer, when its status is expected; every other outcome is a WireError.

        `once` sends it a single time, for what may only follow a look: what was not there before
        the first try may be there before the second.

        Raises RefusedError for a URL that must not be asked, RuntimeError for a write in
        read-only mode, StoppedError for a write of which no try may leave any more. No secret is in
        any message, nor in what a traceback prints.
        """
        if self._read_only and method not in READING_METHODS:
            raise RuntimeError(f"{what}: {method} in a command that only reads")
        _check_url(url, what)
        body, typed = _encoded(json, content)
        limit = self._max_bytes if max_bytes is None else max_bytes
        sent = {**typed, **(headers or {})}
        asked = Asked(method, url, credential, body, sent, what, limit, once)
        outcome, in_doubt = self._exchange(asked)
        if isinstance(outcome, _Broken):
            error = _error_of_broken(asked, outcome, self._local_hint)
        elif outcome.status not in expect:
            error = error_of(outcome)
        elif method not in READING_METHODS and outcome.is_page:
            # A proxy's: whether the service has heard of the write, nobody said.
            error, in_doubt = outcome.unreadable("an answer of the service"), True
        else:
            error = None
        if self._hear is not None and method in READING_METHODS and isinstance(outcome, Response):
            self._hear(method, url, outcome)
        if error is not None:
            error.in_doubt = in_doubt and method not in READING_METHODS
            raise error
        assert isinstance(outcome, Response)
        return outcome

    def _exchange(self, asked: Asked) -> tuple[Response | _Broken, bool]:
        """The first outcome that is final, or the last of all tries; and whether the service may
        have done what was asked in one of those that failed."""
        retry, waited_s, outcome, in_doubt = self._retry, 0.0, None, False
        while True:
            began = time.monotonic()
            try:
                outcome = self._attempt(asked)
            except StoppedError:
                if outcome is None:
                    raise
                return outcome, in_doubt
            took_s = time.monotonic() - began
            _log(asked, outcome, took_s)
            waited_s += took_s
            in_doubt |= _in_doubt(outcome)
            if asked.once or not retry.total or not _may_repeat(retry, asked.method, outcome):
                return outcome, in_doubt
            if waited_s >= 2 * self.timeout_s[1]:  # for answers, not for their Retry-After
                return outcome, in_doubt
            retry = retry.increment(asked.method)
            if self.pause(_pause_s(retry, outcome)):
                return outcome, in_doubt

    def _attempt(self, asked: Asked) -> Response | _Broken:
        """One request and its answer. Foreign exceptions end here, as values.

        Errors are raised by the caller, outside any `except`: an exception's context can
        print the URL with its SAS.
        """
        request_id = str(uuid.uuid4())
        headers = {**asked.headers, _ASKED_AS: request_id, f"x-ms-return-{_ASKED_AS[5:]}": "true"}
        if asked.credential is not None:
            headers["Authorization"] = asked.credential.authorization(asked.url)

        def check() -> None:
            """Nothing stands between this look and the sending, once a connection is made."""
            if asked.method not in READING_METHODS and (why := self._halted()):
                raise StoppedError(f"{asked.what}: nothing was sent: {why}")

        check()  # signing in may have taken a minute
        if self._on_request is not None:
            self._on_request(asked.method, without_query(asked.url))
        try:
            transport = self._transport(asked.url)
            answer = transport.send(asked.method, asked.url, headers, asked.content, check)
        except foreign_errors() as exc:
            return _Broken(*phrase_of(exc), sent=not never_sent(exc))
        try:
            # Azure repeats the id; its word counts for more than the order of answers.
            if Headers(answer.headers).get(_ASKED_AS, request_id) != request_id:
                return _Broken("the answer is to another request", True, answer.status)
            return _read(answer, asked)
        except foreign_errors() as exc:
            service_id = answer.headers.get("x-ms-request-id", "")
            return _Broken(*phrase_of(exc), answer.status, service_id)
        finally:
            answer.close()  # not read to its end, it costs the connection

    def _transport(self, url: str) -> Transport:
        doors = (door for prefix, door in self._doors.items() if url.startswith(prefix))
        return next(doors, self._pooled)


def without_query(url: str) -> str:
    """The URL up to its query: what may be shown."""
    return url.partition("?")[0].partition("#")[0]


# --- building the client --------------------------------------------------------------------


def _retry_policy(retries: int, backoff_s: float) -> Retry:
    from urllib3.util.retry import Retry

    return Retry(
        total=retries,
        allowed_methods=RETRIED_METHODS,
        status_forcelist=RETRIED_STATUSES,
        backoff_factor=backoff_s,
        backoff_jitter=backoff_s,
        backoff_max=BACKOFF_MAX_S,
        raise_on_status=False,
    )


def _ca_bundle() -> bool | str:
    """The CA file that the environment names, or True for certifi's."""
    for variable in _CA_VARIABLES:
        if path := os.environ.get(variable):
            if not Path(path).exists():
                raise ConfigurationError(
                    f"environment variable {variable} names {path}, which does not exist;"
                    " correct it or unset it"
                )
            return path
    return True


# --- asking -------------------------------------------------------------------------------


def _check_url(url: str, what: str) -> None:
    """Refuse what no service of ours hands out: a user name in a URL even replaces our token."""
    parts = split_url(url)
    if parts is None:
        raise RefusedError(f"{what}: not a plain http(s) URL: {without_query(url)!r}")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise RefusedError(f"{what}: plain http leaves this machine only as https: {parts.netloc}")


def _encoded(json: Any, content: bytes | None) -> tuple[bytes | None, dict[str, str]]:
    if json is None:
        return content, {}
    text = jsonlib.dumps(json, allow_nan=False)
    return text.encode(), {"Content-Type": "application/json; charset=utf-8"}


def _log(asked: Asked, outcome: Response | _Broken, took_s: float) -> None:
    """One line for `-vv`; no header, no body, no query: a secret stands in each of them."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    answer = f"{outcome.status}" if outcome.status is not None else "no answer"
    if isinstance(outcome, _Broken):
        answer += f" ({outcome.why})"
    asked_as = f" x-ms-request-id {outcome.request_id}" if outcome.request_id else ""
    line = redact(f"{asked.place}: {answer} in {took_s * 1000:.0f} ms{asked_as}")
    # A header can hold escape sequences, and a log is read on a terminal.
    log.debug("%s", "".join(char if char.isprintable() else "?" for char in line))


def _may_repeat(retry: Retry, method: str, outcome: Response | _Broken) -> bool:
    if isinstance(outcome, Response):
        return retry.is_retry(method, outcome.status)
    return outcome.again and method in RETRIED_METHODS


def _in_doubt(outcome: Response | _Broken) -> bool:
    """Whether the service may have done what was asked, whatever came back."""
    if isinstance(outcome, _Broken):
        return outcome.sent
    return outcome.status == 408 or outcome.status >= 500


def _pause_s(retry: Retry, outcome: Response | _Broken) -> float:
    """Seconds until the next try: the back-off, or longer when the service asks for it."""
    backoff_s = retry.get_backoff_time()
    if isinstance(outcome, _Broken) or "Retry-After" not in outcome.headers:
        return backoff_s
    from urllib3.exceptions import InvalidHeader

    try:
        asked_s = retry.parse_retry_after(outcome.headers["Retry-After"])
    except (InvalidHeader, ValueError, OverflowError):
        return backoff_s
    return max(backoff_s, min(asked_s, RETRY_AFTER_MAX_S))


# --- answers --------------------------------------------------------------------------------


def _read(answer: Raw, asked: Asked) -> Response | _Broken:
    chunks: list[bytes] = []
    size = 0
    for chunk in answer.chunks:
        chunks.append(chunk)
        size += len(chunk)
        if size > asked.max_bytes:
            why = f"the answer is larger than {asked.max_bytes} bytes"
            return _Broken(why, False, answer.status)
    headers = Headers(answer.headers)
    return Response(answer.status, headers, b"".join(chunks), asked.what, asked.place)


def _error_of_broken(asked: Asked, broken: _Broken, local_hint: str) -> WireError:
    host = urlsplit(asked.url).hostname or ""
    why = broken.why
    if why == "connection refused" and is_loopback(host):
        why += f"; {local_hint}"
    kind = UnreachableError if broken.status is None else UnreadableError
    return kind(
        f"{asked.what}: {asked.place}: {why}",
        status=broken.status,
        request_id=broken.request_id,
    )
