"""One HTTP client for everything: pooled, patient, bounded, and deaf to redirects.

The pool is as large as the number of threads. tries.py has the rule for what is tried again.

At the whiteboard: a request has three outcomes, not two. It was answered; it was never sent; or it
was sent and nobody knows. The third decides how this program treats a write. A connection that
breaks after the last byte may have broken before or after the service acted, so the error of a
write carries `in_doubt`, and the engine reports "perhaps changed" and looks again. Doubt adds up
over the tries of one request: if the first was cut off and the second is refused, the first may
still have been taken.

That is why a write is repeated only where a repetition is harmless. PUT, PATCH and DELETE name the
state that they want, and a store's conditional write that meets its own first attempt finds its own
content. POST makes something new each time, so it is sent once. `once` does that for a write that
only follows from a look: what was not there before the first try may be there before the second.

Waiting is bounded from both sides. The timeouts bound one try, `bounds.py` bounds the bytes and the
time of one answer, and when all tries together have taken twice the time for an answer, the last
outcome counts: a service that answers 503 after a minute each time must not hold a thread for an
hour. A server that is dead is waited for once, and nobody waits in silence (servers.py).

Foreign exceptions never cross this file. They end in `_attempt` as values, because an exception of
urllib3 holds the URL, a URL holds a SAS, and `from exc` would print it in a traceback. For the same
reason the errors are raised outside any `except`.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import time
import uuid
from collections.abc import Callable, Container
from pathlib import Path
from typing import IO, TypedDict, Unpack
from urllib.parse import urlsplit

from reconciler.errors import (
    ConfigurationError,
    StoppedError,
    UnreachableError,
    UnreadableError,
    WireError,
    redact,
)
from reconciler.http.asking import PLAIN, Asked, Dialect, Sending, asking, without_query
from reconciler.http.foreign import foreign_errors, never_sent, phrase_of, was_refused
from reconciler.http.response import Headers, Response, error_of
from reconciler.http.servers import SILENCE_S, Servers
from reconciler.http.transport import Pooled, Raw, Transport
from reconciler.http.tries import (
    Broken,
    in_doubt,
    is_repeated,
    may_repeat,
    pause_s,
    retry_policy,
)
from reconciler.http.urls import is_loopback, named

log = logging.getLogger(__name__)

__all__ = ["Headers", "Http", "Response"]

READING_METHODS = frozenset({"GET", "HEAD"})
MAX_BODY_BYTES = 64 * 1024 * 1024
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Limits(TypedDict, total=False):
    """How much, how long, how often.

    `threads` is the number of concurrent users (8); `timeout_s` is (connect, read), 10 and 60
    seconds; `retries` are the tries after the first (4); `backoff_s` scales the pauses between
    them (0.5; 0 for none); `max_bytes` bounds an answer.
    """

    threads: int
    timeout_s: tuple[float, float]
    retries: int
    backoff_s: float
    max_bytes: int


class Http:
    """A pooled client that threads share. `close` it, or use it as a context manager.

    `sleep` makes the pauses between tries, and where it answers true, somebody woke it and no
    further try is made. `on_request(method, url_without_query)` hears of
    every request before it is sent, each retry too. `read_only` refuses all but GET and
    HEAD: a plan that writes is a bug of ours. `local_hint` is said where nothing listens on this
    machine. `timeout_s`, `trusted` (the CA file, or True) and `pause` are for others to follow.
    """

    def __init__(
        self,
        *,
        read_only: bool = False,
        on_request: Callable[[str, str], None] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        local_hint: str = "is the server running there?",
        **limits: Unpack[Limits],
    ) -> None:
        self._local_hint = local_hint
        self.timeout_s = limits.get("timeout_s", (10.0, 60.0))
        self._max_bytes = limits.get("max_bytes", MAX_BODY_BYTES)
        self._read_only = read_only
        self._on_request = on_request
        self._hear: Callable[[str, str, Response], None] | None = None
        self._halted: Callable[[], str] = str
        self._dialect = PLAIN
        self.pause = sleep
        self.trusted = _ca_bundle()
        self._retry = retry_policy(limits.get("retries", 4), limits.get("backoff_s", 0.5))
        self._pooled: Transport = Pooled(limits.get("threads", 8), self.timeout_s, self.trusted)
        self._doors: dict[str, Transport] = {}
        self._servers = Servers()

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

    def heard_by(self, hear: Callable[[str, str, Response], None]) -> Http:
        """This client, after which `hear` is told method, URL and answer of every read, secrets and
        all."""
        heard = copy.copy(self)
        heard._hear = hear
        return heard

    def halted_by(self, why: Callable[[], str]) -> Http:
        """This client, which before each try of a write asks `why` that must not leave any more:
        "" while it may."""
        halting = copy.copy(self)
        halting._halted = why
        return halting

    def speaking(self, dialect: Dialect) -> Http:
        """This client, for services that name their headers in this way."""
        speaking = copy.copy(self)
        speaking._dialect = dialect
        return speaking

    def mount(self, prefix: str, transport: Transport) -> None:
        """Send URLs that begin with `prefix` in another way: through an in-process door."""
        self._doors[prefix] = transport

    def request(
        self,
        method: str,
        url: str,
        *,
        expect: Container[int] = (200,),
        what: str = "reading the endpoint",
        **sending: Unpack[Sending],
    ) -> Response:
        """The answer, when its status is expected; every other outcome is a WireError.

        Raises RefusedError for a URL that must not be asked, RuntimeError for a write in
        read-only mode, StoppedError for a write of which no try may leave any more. No secret is in
        any message, nor in what a traceback prints.
        """
        if self._read_only and method not in READING_METHODS:
            raise RuntimeError(f"{what}: {method} in a command that only reads")
        asked = asking(method, url, what, self._max_bytes, sending)
        outcome, doubtful = self._exchange(asked)
        if isinstance(outcome, Broken):
            error = _error_of_broken(asked, outcome, self._local_hint)
        elif outcome.status not in expect:
            error = error_of(outcome)
        elif method not in READING_METHODS and outcome.is_page:
            # A proxy's: whether the service has heard of the write, nobody said.
            error, doubtful = outcome.unreadable("an answer of the service"), True
        else:
            error = None
        if self._hear is not None and method in READING_METHODS and isinstance(outcome, Response):
            self._hear(method, url, outcome)
        if error is not None:
            error.in_doubt = doubtful and method not in READING_METHODS
            raise error
        assert isinstance(outcome, Response)
        return outcome

    def _exchange(self, asked: Asked) -> tuple[Response | Broken, bool]:
        """The first outcome that is final, or the last of all tries; and whether the service may
        have done what was asked in one of those that failed."""
        retry, waited_s, outcome, doubtful = self._retry, 0.0, None, False
        servers, server, tries, paused_s = self._servers, named(asked.url), 0, 0.0
        repeats = is_repeated(asked.method) and not asked.once
        if repeats and (dead := servers.dead(server)) is not None:
            return dead, False
        while True:
            began = time.monotonic()
            try:
                outcome = self._attempt(asked)
            except StoppedError:
                if outcome is None:
                    raise
                return outcome, doubtful
            took_s = time.monotonic() - began
            _log(asked, outcome, took_s)
            waited_s += took_s
            tries += 1
            doubtful |= in_doubt(outcome)
            if outcome.status is not None:
                servers.heard(server)
            if not repeats or not may_repeat(retry, asked.method, outcome):
                return outcome, doubtful
            if not servers.has_answered(server) and _is_missing(asked, outcome):
                return outcome, doubtful
            # The time for answers counts, and not that for their Retry-After.
            if not retry.total or waited_s >= 2 * self.timeout_s[1]:
                if isinstance(outcome, Broken):
                    outcome = servers.gave_up(server, outcome, tries, waited_s + paused_s)
                return outcome, doubtful
            retry = retry.increment(asked.method)
            next_s = pause_s(retry, outcome)
            if waited_s + paused_s + next_s >= SILENCE_S:
                servers.tell(server, outcome, next_s, 1 + int(retry.total or 0))
            if self.pause(next_s):
                return outcome, doubtful
            paused_s += next_s

    def _attempt(self, asked: Asked) -> Response | Broken:
        """One request and its answer. Foreign exceptions end here, as values.

        Errors are raised by the caller, outside any `except`: an exception's context can
        print the URL with its SAS.
        """
        request_id, names = str(uuid.uuid4()), self._dialect
        headers = dict(asked.headers)
        if names.asked_as:
            headers |= {names.asked_as: request_id, names.echo: "true"}
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
            with (
                self._servers.waiting(named(asked.url), asked.request),
                _opened(asked.content) as content,
            ):
                answer = transport.send(asked.method, asked.url, headers, content, check)
        except foreign_errors() as exc:
            return Broken(*phrase_of(exc), sent=not never_sent(exc), refused=was_refused(exc))
        try:
            # The id that the service repeats counts for more than the order of answers.
            if Headers(answer.headers).get(names.asked_as, request_id) != request_id:
                return Broken("the answer is to another request", True, answer.status)
            return _read(answer, asked, names)
        except foreign_errors() as exc:
            service_id = Headers(answer.headers).get(names.request_id, "")
            return Broken(*phrase_of(exc), answer.status, service_id)
        finally:
            answer.close()  # not read to its end, it costs the connection

    def _transport(self, url: str) -> Transport:
        doors = (door for prefix, door in self._doors.items() if url.startswith(prefix))
        return next(doors, self._pooled)


# --- building the client --------------------------------------------------------------------


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


def _is_missing(asked: Asked, outcome: Response | Broken) -> bool:
    """Whether no server listens on this machine. People start theirs first, and then ask it."""
    refused = isinstance(outcome, Broken) and outcome.refused
    return refused and is_loopback(urlsplit(asked.url).hostname or "")


def _log(asked: Asked, outcome: Response | Broken, took_s: float) -> None:
    """One line for `-vv`; no header, no body, no query: a secret stands in each of them."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    answer = f"{outcome.status}" if outcome.status is not None else "no answer"
    if isinstance(outcome, Broken):
        answer += f" ({outcome.why})"
    asked_as = f" request id {outcome.request_id}" if outcome.request_id else ""
    line = redact(f"{asked.place}: {answer} in {took_s * 1000:.0f} ms{asked_as}")
    # A header can hold escape sequences, and a log is read on a terminal.
    log.debug("%s", "".join(char if char.isprintable() else "?" for char in line))


def _opened(
    content: bytes | Path | None,
) -> contextlib.AbstractContextManager[bytes | IO[bytes] | None]:
    """The body of one try; a file is read from its beginning each time."""
    return content.open("rb") if isinstance(content, Path) else contextlib.nullcontext(content)


# --- answers --------------------------------------------------------------------------------


def _read(answer: Raw, asked: Asked, dialect: Dialect) -> Response | Broken:
    """The answer, read to its end; Broken where it is larger than it may be."""
    chunks: list[bytes] = []
    size = 0
    for chunk in answer.chunks:
        chunks.append(chunk)
        size += len(chunk)
        if size > asked.max_bytes:
            why = f"the answer is larger than {asked.max_bytes} bytes"
            return Broken(why, False, answer.status)
    headers = Headers(answer.headers)
    body = b"".join(chunks)
    return Response(answer.status, headers, body, asked.what, asked.place, dialect)


def _error_of_broken(asked: Asked, broken: Broken, local_hint: str) -> WireError:
    """The error of a request without an answer; the hint is for servers of this machine."""
    host = urlsplit(asked.url).hostname or ""
    why = broken.why
    if broken.refused and is_loopback(host):
        why += f"; {local_hint}"
    kind = UnreachableError if broken.status is None else UnreadableError
    return kind(
        f"{asked.what}: {asked.place}: {why}", status=broken.status, request_id=broken.request_id
    )
