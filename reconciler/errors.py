"""The exception tree, its exit codes, and redaction in its root.

ReconcilerError                   exit  1   anything this program raises on purpose
├── ConfigurationError                  3   what git says is wrong: every problem with its place
├── RefusedError                        4   a gate, a protection or the platform's rules forbid it
├── StalePlanError                      5   the plan is not the approved one
├── LockError                           6   another run holds the environment
├── ProofError                          8   applied, but the endpoint does not answer as it must
└── WireError                           1   a request failed; names method, URL, status, request id
    ├── UnreachableError                    no answer: refused, reset, timed out, TLS
    ├── UnauthorizedError                   401, 403
    ├── NotFoundError                       404
    ├── ConflictError                       409, 412
    ├── RejectedError                       any other 4xx: sending it again will not help
    ├── UnavailableError                    408, 429, 5xx: trying later may help
    ├── UnreadableError                     an answer that is not what the protocol says
    └── NotKnownError                       no answer is known offline

Anything else that escapes is a bug of ours (exit 70).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUCCESS = 0
ERROR = 1
CHANGES = 2
CONFIGURATION = 3
REFUSED = 4
STALE = 5
LOCKED = 6
PARTIAL = 7
UNPROVED = 8
USAGE = 64
BUG = 70
INTERRUPTED = 130
READER_GONE = 141  # 128 + SIGPIPE
TERMINATED = 143

_known_secrets: set[str] = set()

# Shapes that are secret wherever they stand: SAS signatures, storage keys, bearer tokens, bare
# base64 keys of 64 bytes (storage and Classic endpoint keys are 88 characters), and JSON web
# tokens, whole or cut off, which identity providers are handed and echo in their errors.
_SECRET_SHAPES = (
    (re.compile(r"((?:[?&;]|\b)sig=)[^&\s\"'<>]+", re.I), r"\1***"),
    (re.compile(r"(AccountKey=)[^;\s\"'<>]+", re.I), r"\1***"),
    (re.compile(r"(SharedAccessSignature=)[^;\s\"'<>]+", re.I), r"\1***"),
    (re.compile(r"(\bBearer\s+)[A-Za-z0-9._~+/=-]+", re.I), r"\1***"),
    (re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{86}==(?![A-Za-z0-9+/=])"), "***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"), "***"),
)


def remember_secret(value: str) -> None:
    """Make `redact` hide this value, also as a URL spells it; below 8 characters it is prose."""
    if len(value) >= 8:
        _known_secrets.update((value, quote(value, safe="")))


def redact(text: str) -> str:
    """`text` without any secret that is known by value or by its shape."""
    for value in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(value, "***")
    for shape, instead in _SECRET_SHAPES:
        text = shape.sub(instead, text)
    return text


def printable(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ReconcilerError(Exception):
    """The root: its text never holds a secret, and it knows its exit code."""

    exit_code = ERROR

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))

    @property
    def message(self) -> str:
        """The redacted text."""
        return str(self.args[0])


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the desired state: `path:line:column: what; the fix`.

    `element` says for which of the many that a `forEach` makes; "" elsewhere. `rule` names what was
    broken, for programs; `render.annotations.RULES` says it in words.
    """

    path: str
    line: int
    column: int
    message: str
    element: str = ""
    rule: str = field(default="configuration", compare=False)

    def under(self, rule: str) -> Problem:
        """The same problem as one of a rule."""
        return replace(self, rule=rule)

    def __str__(self) -> str:
        """The line people see; a problem without a line is about the whole file or folder."""
        return redact(self.text)

    @property
    def text(self) -> str:
        """The same before what is secret in it is hidden."""
        path = printable(self.path)
        place = f"{path}:{self.line}:{self.column}" if self.line else path
        return f"{place}: {self.message}"


_ORDER = attrgetter("path", "line", "column", "message", "element")


def _listed(problems: Sequence[Problem], most: int = 1_000) -> str:
    """A line for each; nobody reads more than `most`, and a file can hold 100,000."""
    lines = [problem.text for problem in problems[:most]]
    more = len(problems) - len(lines)
    return "\n".join([*lines, f"and {more:,} more; mend these first"] if more else lines)


class ConfigurationError(ReconcilerError):
    """The desired state or the environment of the process is wrong; all problems at once."""

    exit_code = CONFIGURATION

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        each = set() if isinstance(problems, str) else set(problems)
        self.problems = tuple(sorted(each, key=_ORDER))
        # Secrets are hidden in all of it at once: there may be many lines.
        super().__init__(problems if isinstance(problems, str) else _listed(self.problems))


class RefusedError(ReconcilerError):
    """Something that must not be done was asked for."""

    exit_code = REFUSED


class StalePlanError(ReconcilerError):
    """The fresh plan is not the one that was approved."""

    exit_code = STALE


class LockError(ReconcilerError):
    """Another run holds what this one needs."""

    exit_code = LOCKED


class ProofError(ReconcilerError):
    """The write was accepted, but the world does not show it."""

    exit_code = UNPROVED


class WireError(ReconcilerError):
    """A request that failed: what was asked, and what came back.

    `status` is the HTTP status or None; `code` is the service's own error code or "", `details` are
    the codes below it; `request_id` is its `x-ms-request-id` or "".
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        details: tuple[str, ...] = (),
        request_id: str = "",
    ) -> None:
        self.status = status
        self.code = code
        self.details = details
        self.request_id = request_id
        super().__init__(message + (f" (x-ms-request-id {request_id})" if request_id else ""))


class UnreachableError(WireError):
    """No answer at all; whether the request was carried out is unknown."""


class UnauthorizedError(WireError):
    """401 or 403."""


class NotFoundError(WireError):
    """404."""


class ConflictError(WireError):
    """409 or 412: somebody else was there first."""


class RejectedError(WireError):
    """Another 4xx: the request itself is wrong."""


class UnavailableError(WireError):
    """408, 429 or 5xx: the service cannot answer now."""


class UnreadableError(WireError):
    """The answer is HTML, truncated, or not of the documented shape."""


class NotKnownError(WireError):
    """Nobody was asked, for this is offline, and the snapshot does not hold the answer."""
