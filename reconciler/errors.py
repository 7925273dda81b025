"""The exception tree, its exit codes, and redaction in its root (secrecy.py).

ReconcilerError                   exit  1   anything this program raises on purpose
├── ConfigurationError                  3   what git says is wrong: every problem with its place
├── RefusedError                        4   a gate, a protection or the platform's rules forbid it
├── StalePlanError                      5   the plan is not the approved one
├── LockError                           6   another run holds the environment
├── ProofError                          8   applied, but the endpoint does not answer as it must
├── StoppedError                      130   not sent: the run was asked to stop, or lost its lock
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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from reconciler.secrecy import redact as redact
from reconciler.secrecy import remember_secret as remember_secret

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
HANGUP = 129
INTERRUPTED = 130
READER_GONE = 141  # 128 + SIGPIPE
TERMINATED = 143


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
    broken, for programs; `render.findings.RULES` says it in words.
    """

    path: str
    line: int
    column: int
    message: str
    element: str = ""
    rule: str = field(default="configuration", compare=False)

    def under(self, rule: str) -> Problem:
        """This problem as one of a rule."""
        return replace(self, rule=rule)

    def __str__(self) -> str:
        """The line people see; a problem without a line is about the whole file or folder."""
        return redact(self.text)

    @property
    def text(self) -> str:
        """The message before its secrets are hidden."""
        path = printable(self.path)
        place = f"{path}:{self.line}:{self.column}" if self.line else path
        return f"{place}: {self.message}"


_ORDER = attrgetter("path", "line", "column", "message", "element")


def _listed(problems: Sequence[Problem], most: int = 1_000) -> str:
    """A line for each; nobody reads more than `most`, and a file can hold 100,000."""
    lines = [problem.text for problem in problems[:most]]
    more = len(problems) - len(lines)
    return "\n".join([*lines, f"and {more:,} more; fix these first"] if more else lines)


class ConfigurationError(ReconcilerError):
    """The desired state or the environment of the process is wrong; all problems at once."""

    exit_code = CONFIGURATION

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        unique = set() if isinstance(problems, str) else set(problems)
        self.problems = tuple(sorted(unique, key=_ORDER))
        # Secrets are hidden in all of it at once: there may be many lines.
        super().__init__(problems if isinstance(problems, str) else _listed(self.problems))

    @classmethod
    def of_file(cls, path: object, why: str) -> ConfigurationError:
        """The error about a whole file or folder."""
        return cls([Problem(str(path), 0, 0, why)])


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


class StoppedError(ReconcilerError):
    """A write that was not sent: the run was asked to stop, or does not hold its lock any more."""

    exit_code = INTERRUPTED


class WireError(ReconcilerError):
    """A request that failed: what was asked, and what came back.

    `in_doubt` says of a write that the service may have done it nevertheless. `status` is the HTTP
    status or None; `code` is the service's own error code or "", `details` are the codes below it;
    `request_id` is the service's own id of the request or "".
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
        self.in_doubt = False
        self.status = status
        self.code = code
        self.details = details
        self.request_id = request_id
        super().__init__(message + (f" (request id {request_id})" if request_id else ""))


def in_doubt(error: BaseException | None) -> bool:
    """Whether the write that failed so may have been done, by the error or by its cause."""
    return error is not None and (getattr(error, "in_doubt", False) or in_doubt(error.__cause__))


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
