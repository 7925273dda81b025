"""Requests and answers as values: the core of the emulator knows no sockets."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_NESTED = 64  # levels of a body; a definition has about ten


@dataclass(frozen=True)
class Request:
    """One request: method in upper case, undecoded path and query, header names in lower case.

    `names` are those of the headers as they came, each as often as it came.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    names: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """Scheme and host by which the emulator was called; its own URLs carry them too."""
        return f"{self.scheme}://{self.host}"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The query parameters, names in lower case."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        return {name.casefold(): value for name, value in pairs}

    @property
    def bearer(self) -> str:
        """The bearer token, "" without one; the scheme counts in any case (§2.2)."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.casefold() == "bearer" else ""


@dataclass(frozen=True)
class Response:
    """One answer; `by` is the deployment that scored, for the log."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    by: str = ""

    def with_headers(self, **more: str) -> Response:
        """The answer with more headers; underscores in names stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return replace(self, headers={**self.headers, **named})


def answer(status: int, document: Any = None, **headers: str) -> Response:
    """An answer with a JSON body, or none; every answer carries a request id."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["x-ms-request-id"] = str(uuid.uuid4())
    if document is None:
        return Response(status, named)
    named["Content-Type"] = "application/json; charset=utf-8"
    return Response(status, named, json.dumps(document, ensure_ascii=False).encode())


class Refused(Exception):
    """A request that the service refuses, in the error shape of §4.8 and §3.11.

    `details` pairs detail codes with messages. `gateway`: Resource Manager itself refuses, in fewer
    words, as was recorded.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *details: tuple[str, str],
        target: str = "",
        gateway: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details, self.target = details, target
        self.gateway = gateway

    @property
    def response(self) -> Response:
        """The answer; `details` is always present, since old clients insist (§2.10)."""
        details = [{"code": code, "message": text} for code, text in self.details]
        error: dict[str, Any] = {"code": self.code, "message": self.message, "details": details}
        if self.target:
            error["target"] = self.target
        if self.gateway:
            del error["details"]
            return answer(self.status, {"error": error}, x_ms_failure_cause="gateway")
        return answer(self.status, {"error": error})


def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; Refused with 400 for anything else, in any charset that fits."""
    try:
        document = parsed(_decoded(request))
    except (ValueError, LookupError) as exc:
        reason = exc if isinstance(exc, json.JSONDecodeError) else type(exc).__name__
        raise bad_argument("RequestBodyInvalid", f"The request body is not JSON: {reason}") from exc
    if not isinstance(document, dict):
        raise bad_argument("RequestBodyInvalid", "The request body is not a JSON object.")
    return document


def parsed(text: str | bytes) -> Any:
    """The JSON value of a text; ValueError for one that no answer could repeat as JSON."""
    try:
        document = json.loads(text, parse_constant=_number, parse_float=_number)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    values = [document]
    for _ in range(MOST_NESTED):
        values = [item for value in values for item in _items(value)]
        if not values:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
            return document
    raise ValueError("nested too deeply")


def _number(word: str) -> float:
    """A finite number: NaN, Infinity and what overflows into it are Python's own."""
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is no number")
    return number


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _decoded(request: Request) -> str:
    """§2.3: clients send us-ascii, utf-8 or a Windows code page."""
    _, _, charset = request.headers.get("content-type", "").partition("charset=")
    return request.body.decode(charset.strip().strip('"') or "utf-8")


def bad_argument(detail: str, message: str) -> Refused:
    """400 BadArgument with one detail (§4.8)."""
    return Refused(400, "BadArgument", "Bad or missing argument.", (detail, message))


def unknown(request: Request) -> Refused:
    """501 that names what was asked."""
    message = f"The emulator does not know {request.method} {request.path}."
    return Refused(501, "NotImplemented", message)


def bug() -> Response:
    """500 for a bug of ours: the client sees the shape of §4.8, the operator a traceback."""
    message = "The emulator has a bug; see its own output."
    return Refused(500, "InternalError", message).response


def is_object(value: object) -> bool:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def member(value: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The member called `name` in any case (§3.1)."""
    wanted = name.casefold()
    return next((v for k, v in value.items() if k.casefold() == wanted), default)
