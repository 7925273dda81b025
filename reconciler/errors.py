"""The exception tree, its exit codes, and redaction in its root.

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

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    (re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])"), "***"),  # signatures
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}"), "***"),
)


# How a service may spell a character that it repeats: in URLs, HTML and JSON, also one in another.
_ESCAPE = re.compile(
    r"%[0-9a-f]{2}|&#[0-9]{1,7};?|&#x[0-9a-f]{1,6};?|&[a-z]{2,8};|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}"
    r"|\\[/\\+='\"]",
    re.IGNORECASE,
)
_part_length = 8  # characters of a key that are known again, also where the key was cut
_LIKE_A_KEY = re.compile(r"[0-9]|[a-z+/][A-Z]")  # without, a part is a word of any text
_URL_SAFE = str.maketrans("-_", "+/")  # the two alphabets of base64, as one
_TOKEN = re.compile(rf"\S{{{_part_length},}}")
_words: set[str] = set()  # the known secrets in that alphabet
_parts: dict[str, tuple[str, int]] = {}  # and which of them a part is of, and where

# Secrets are also known by the name of what holds them, however that is spelled. The key of a
# table or of a join names columns.
_HOLDER = re.compile(
    r"passw(or)?d|passphrase|secret|credential$|conn(ection)?string|accesssignature|"
    r"(?<!partition)(?<!row)(?<!join)(?<!sort)(?<!primary)(?<!foreign)key$|(pwd|token)$|"
    r"authorization$"
)
_DATA = ("input", "output", "inputs")  # whose members are columns, whatever they are called
_VALUES = ("value", "defaultvalue", "default")


@lru_cache(maxsize=4096)
def holds_secret(name: str) -> bool:
    """Whether what is called so holds a secret: `Account Key`, `dbPassword`, `api_token_2`."""
    letters = "".join(filter(str.isalnum, name.casefold())).rstrip("0123456789")
    return _HOLDER.search(letters) is not None


def plain_secrets(document: Any) -> Iterator[tuple[str | int, ...]]:
    """The ways to the values in a JSON document that their names call secret.

    What a service encrypted stands beside its certificateThumbprint, and is no plain value.
    """
    left: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while left:  # no recursion: nobody bounds how deep a file nests
        trail, value = left.pop()
        if isinstance(value, list):
            left.extend(((*trail, index), below) for index, below in enumerate(value))
        if not isinstance(value, dict):
            continue
        names = {name.casefold(): name for name in value}
        called = str(trail[-1]) if trail else ""
        if not holds_secret(called):
            called = str(value.get(names.get("name", ""), ""))
        is_plain = holds_secret(called) and not value.get(names.get("certificatethumbprint", ""))
        for name, below in value.items():
            folded = name.casefold()
            if _is_filled(below) and (holds_secret(name) or (is_plain and folded in _VALUES)):
                yield (*trail, name)
            elif folded not in _DATA:
                left.append(((*trail, name), below))


def _is_filled(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, str) and _is_filled(one) for one in value)
    if isinstance(value, str):
        return value.strip().casefold() not in ("", "***", "true", "false")
    return isinstance(value, int | float) and not isinstance(value, bool)


def remember_secret(value: str) -> None:
    """Make `redact` hide this value, however it is spelled; below 8 characters it is prose.

    Of a key, 16 characters and more, parts are hidden too.
    """
    if len(value) < _part_length or value in _known_secrets:
        return
    in_urls = value.replace("+", "-").replace("/", "_")
    _known_secrets.update((value, quote(value, safe=""), in_urls))
    key = value.translate(_URL_SAFE)
    _words.add(key)
    if len(value) >= 2 * _part_length:
        for at in (*range(0, len(key) - _part_length, _part_length), len(key) - _part_length):
            if _LIKE_A_KEY.search(part := key[at : at + _part_length]):
                _parts[part] = (key, at)


def redact(text: str) -> str:
    """`text` without any secret that is known by value or by its shape."""
    for value in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(value, "***")
    if _parts or _ESCAPE.search(text):
        text = "\n".join(map(_without_spellings, text.split("\n")))
    for shape, instead in _SECRET_SHAPES:
        text = shape.sub(instead, text)
    return text


def _without_spellings(line: str) -> str:
    """The line without what is a secret once its escapes are read, and without parts of keys."""
    plain, begins = _unescaped(line)
    folded = plain.translate(_URL_SAFE)
    spans = list(_parts_in(folded))
    if len(plain) != len(line):
        words = [word for word in tuple(_words) if word in folded]  # other threads add to it
        spans += [m.span() for word in words for m in re.finditer(re.escape(word), folded)]
        shaped = (m for shape, _ in _SECRET_SHAPES for m in shape.finditer(plain))
        spans += [(m.end(m.re.groups) if m.re.groups else m.start(), m.end()) for m in shaped]
    pieces: list[str] = []
    shown = 0
    for first, end in sorted(spans):
        if end > shown:
            pieces += [line[begins[shown] : begins[max(first, shown)]], "***"]
            shown = end
    return "".join((*pieces, line[begins[shown] :]))


def _unescaped(line: str) -> tuple[str, Sequence[int]]:
    """The line without escapes, and where each of its characters, and its end, were before."""
    begins: Sequence[int] = range(len(line) + 1)
    for _ in range(3):  # an escape may be escaped again
        pieces: list[str] = []
        places: list[int] = []
        end = 0
        for escape in _ESCAPE.finditer(line):
            meant = _meant(escape[0])
            pieces += line[end : escape.start()], meant
            places += begins[end : escape.start()]
            places += [begins[escape.start()]] * len(meant)
            end = escape.end()
        if not end:
            break
        line, begins = "".join((*pieces, line[end:])), [*places, *begins[end:]]
    return line, begins


def _meant(escape: str) -> str:
    """The character that an escape stands for."""
    if escape[0] == "&":
        import html  # seldom: it is a table of two thousand names

        return html.unescape(escape)
    return chr(int(escape.lstrip("%\\uUxX"), 16)) if len(escape) > 2 else escape[1:]


def _parts_in(plain: str) -> Iterator[tuple[int, int]]:
    """Where parts of keys begin and end."""
    for token in _TOKEN.finditer(plain):
        at, last = token.start(), token.end() - _part_length
        while at <= last:
            known = _parts.get(plain[at : at + _part_length])
            if known is None:
                at += 1
                continue
            key, there = known
            before = _alike(plain[max(at - there, 0) : at][::-1], key[:there][::-1])
            after = _alike(plain[at : at + len(key)], key[there:])
            yield at - before, at + after
            at += after


def _alike(a: str, b: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


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


class StoppedError(ReconcilerError):
    """A write that was not sent: the run was asked to stop, or does not hold its lock any more."""

    exit_code = INTERRUPTED


class WireError(ReconcilerError):
    """A request that failed: what was asked, and what came back.

    `in_doubt` says of a write that the service may have done it nevertheless. `status` is the HTTP
    status or None; `code` is the service's own error code or "", `details` are the codes below it;
    `request_id` is its `x-ms-request-id` or "".
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
        super().__init__(message + (f" (x-ms-request-id {request_id})" if request_id else ""))


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
