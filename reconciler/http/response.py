"""Answers of services as our own frozen values, and the meaning of an unwanted one.

The bodies are those of STUDIO_PROTOCOL.md §2.10 and §3.11 (JSON) and of Blob storage
(XML, and a header with the code). An answer that is none of them is still told to people: status,
content type and the first characters, redacted.

A status becomes one of a few kinds of errors by what may follow from it, and not by who made it.
404 may mean "there is none", so it has a kind of its own, and only whoever knows the service's word
for absence concludes that. 409 and 412 say that somebody else was first: look again. 408, 429 and
5xx may pass. A 2xx or 3xx that was not expected is no success but something that cannot be read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from reconciler.errors import (
    ConflictError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
    UnreadableError,
    WireError,
    redact,
)
from reconciler.http.asking import PLAIN, Dialect
from reconciler.http.urls import split_url
from reconciler.strict_json import parse_json

_SHOWN_CHARACTERS = 80
_SHOWN_MESSAGE = 400
_CLOCK_OFF_S = 120.0
_READ_FOR_SHOWING = 64 * 1024


class Headers(Mapping[str, str]):
    """Response headers: a mapping whose names are case-insensitive."""

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = {name.lower(): value for name, value in items.items()}

    def __getitem__(self, name: str) -> str:
        """The value of a header; KeyError where it is absent."""
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        """The names, in lower case."""
        return iter(self._items)

    def __len__(self) -> int:
        """How many headers there are."""
        return len(self._items)


@dataclass(frozen=True)
class Response:
    """An answer, read to its end. Bodies and headers can hold keys: repr shows neither.

    `what` is what the request was for, and `place` its method and URL without query: both go
    into messages.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    what: str = "reading the endpoint"
    place: str = ""
    dialect: Dialect = PLAIN

    @property
    def request_id(self) -> str:
        """The service's id of the request, or ""."""
        return one_line(self.headers.get(self.dialect.request_id, ""), 80)

    @property
    def content_type(self) -> str:
        """The media type without parameters, or ""."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON; raises UnreadableError when it is anything else, and says what is wrong
        with it: that may stand far behind the beginning."""
        try:
            return parse_json(self.body)
        except ValueError as exc:  # which holds the body, and is therefore no cause of ours
            why = one_line(str(exc), _SHOWN_CHARACTERS)
        raise self.unreadable("JSON", "" if self.is_page or not self.body else f" ({why})")

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; raises UnreadableError."""
        value = self.json()
        if not isinstance(value, dict):
            raise self.unreadable("a JSON object")
        return value

    def json_list(self) -> list[Any]:
        """The body as a JSON list; raises UnreadableError."""
        value = self.json()
        if not isinstance(value, list):
            raise self.unreadable("a JSON list")
        return value

    def unreadable(self, expected: str, why: str = "") -> UnreadableError:
        """The error that says what was expected and what came instead, and why that is wrong."""
        return UnreadableError(
            f"{self.what}: {self.place}: expected {expected}, got {self.describe()}{why}",
            status=self.status,
            request_id=self.request_id,
        )

    def moment(self, header: str) -> datetime | None:
        """The moment that a header such as Last-Modified says; None where it says none."""
        from email.utils import parsedate_to_datetime

        try:
            text = self.headers.get(header, "")
            return parsedate_to_datetime(text) if text else None
        except (ValueError, OverflowError):
            return None

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people, which none of our services answers."""
        start = self.body[:64].decode("utf-8", errors="replace")
        return _is_page(start, self.content_type)

    def describe(self) -> str:
        """The content type and the first printable characters, without secrets."""
        kind = one_line(self.content_type, 60) or "no content type"
        if not self.body:
            return f"an empty body ({kind})"
        text = self.body[:_READ_FOR_SHOWING].decode("utf-8", errors="replace")
        kind = f"an HTML page ({kind})" if _is_page(text, kind) else kind
        return f"{kind} beginning {one_line(text, _SHOWN_CHARACTERS)!r}"


def _is_page(text: str, content_type: str) -> bool:
    start = text.lstrip("\ufeff \t\r\n")[:9].lower()
    return content_type == "text/html" or start.startswith(("<!doctype", "<html"))


def one_line(text: str, length: int) -> str:
    """Printable text on one line. Redacted before it is cut, or half a secret would escape."""
    text = redact(text)
    line = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(redact(line).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def last_lines(log: str, lines: int = 10, length: int = 600) -> str:
    """The end of what somebody's code printed, on one line: "" where it printed nothing."""
    last = [line for line in log.splitlines() if line.strip()][-lines:]
    return one_line(" | ".join(last), 4 * length)[-length:]


# --- answers that were not wanted -----------------------------------------------------------


@dataclass(frozen=True)
class _Explanation:
    """The service's own words: code, message, and `code: message` per detail; `codes` alone."""

    code: str = ""
    message: str = ""
    details: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for people."""
        head = ": ".join(part for part in (self.code, self.message) if part)
        return head + (f" [{'; '.join(self.details)}]" if self.details else "")


def error_of(response: Response) -> WireError:
    """The error of a status that was not expected, in the service's own words."""
    if 300 <= response.status < 400:
        # A redirect is never followed: it could carry a token to a host we do not know.
        parts = split_url(response.headers.get("Location", ""))
        where = f"to {parts.netloc}" if parts else "to nowhere readable"
        return UnreadableError(
            f"{response.what}: {response.place}: {response.status} redirects {where};"
            " redirects are not followed",
            status=response.status,
            request_id=response.request_id,
        )
    kind = _kind(response.status)
    explanation = (
        _explained_in_json(response.body) or _explained_in_xml(response.body) or _Explanation()
    )
    if not explanation.code:
        code = one_line(response.headers.get(response.dialect.error_code, ""), 80)
        explanation = replace(explanation, code=code)
    words = str(explanation) or response.describe()
    if clock := _clock(response):
        words = f"{words.rstrip('.')}; {clock}"
    return kind(
        f"{response.what}: {response.place}: {response.status} {words}",
        status=response.status,
        code=explanation.code,
        details=explanation.codes,
        request_id=response.request_id,
    )


def _clock(response: Response) -> str:
    """That this machine's clock is off, where that can be why something was not authorized."""
    if response.status not in (401, 403):
        return ""
    there = response.moment("Date")
    off_s = time.time() - there.timestamp() if there else 0.0
    if abs(off_s) < _CLOCK_OFF_S:
        return ""
    way = "fast" if off_s > 0 else "slow"
    span = _span(abs(off_s))
    return f"the clock of this machine is {span} {way} compared with the service's; set it"


def _span(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def _kind(status: int) -> type[WireError]:
    """The kind of error that a status stands for."""
    if status in (408, 429) or status >= 500:
        return UnavailableError
    if status < 400:
        return UnreadableError
    kinds: dict[int, type[WireError]] = {
        401: UnauthorizedError,
        403: UnauthorizedError,
        404: NotFoundError,
        409: ConflictError,
        412: ConflictError,
    }
    return kinds.get(status, RejectedError)


def _explained_in_json(body: bytes) -> _Explanation | None:
    """The service's own words in a JSON body, in either case of letters; None without any."""
    try:
        value = parse_json(body)
    except ValueError:
        return None
    error = _member(value, "error") or value
    details = _member(error, "details")
    listed = details[:5] if isinstance(details, list) else []
    code, *codes = (_text(part, "code", 80) for part in (error, *listed))
    message, *more = (_text(part, "message", _SHOWN_MESSAGE) for part in (error, *listed))
    lines = (": ".join(filter(None, pair)) for pair in zip(codes, more, strict=True))
    explanation = _Explanation(
        code, message, tuple(filter(None, lines)), tuple(filter(None, codes))
    )
    return explanation if str(explanation) else None


def _member(value: object, name: str) -> Any:
    """A member by its name in any case: both cases are on record (§3.1)."""
    if not isinstance(value, dict):
        return None
    return next((v for k, v in value.items() if k.lower() == name), None)


def _text(value: object, name: str, length: int) -> str:
    member = _member(value, name)
    return one_line(member, length) if isinstance(member, str) else ""


def _explained_in_xml(body: bytes) -> _Explanation | None:
    """The service's own words in an XML body of storage; None without any."""
    root = parse_xml(body)
    if root is None or root.tag != "Error":
        return None
    # Storage appends "RequestId:…" and "Time:…" lines; the id has its own header.
    message = (root.findtext("Message") or "").partition("\n")[0]
    # Why a SAS does not hold: its times and the service's, or what it should have signed.
    detail = (root.findtext("AuthenticationErrorDetail") or "").partition("Server used")[0]
    return _Explanation(
        one_line(root.findtext("Code") or "", 80),
        one_line(message, _SHOWN_MESSAGE),
        tuple(filter(None, [one_line(detail, _SHOWN_MESSAGE)])),
    )


def parse_xml(body: bytes) -> ElementTree.Element | None:
    """The root element; None when it is not XML, or XML with a DTD (entity bombs need one)."""
    try:
        text = body.decode("utf-8-sig")
        if "<!DOCTYPE" in text:
            return None
        return ElementTree.fromstring(text)
    except (ValueError, ElementTree.ParseError):
        return None
