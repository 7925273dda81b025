"""Output, and where it goes: the document to stdout, everything else to stderr.

There is one way out for all of it, errors included. Whatever a file, a service or a traceback
holds, none of it moves a cursor, forges a line, makes a runner obey, or fails for want of an
encoding.

Redaction comes before everything else that is done to a text. A text that was cut first may hold
half of a key, which no pattern knows any more; one that was escaped first spells it in another way.
That is why values are redacted whole, member by member, and only then laid out, wrapped and
written.

A file takes its name in one step, with the mode that it is to have. A pipe or `/dev/stdout` has no
other self to be replaced by, so it is written to as it is.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TextIO, cast

from reconciler.errors import ConfigurationError, ReconcilerError, redact

# Who shows what is said, while a live display owns the end of the terminal: the last one here.
above: list[Callable[[str], None]] = []


def say(text: str, end: str = "\n") -> None:
    """Tell the person something, on stderr, above a live display if there is one."""
    if end == "\n":
        text = text.replace("\n", "\n    ")  # no line of others looks like one of ours
    if above and end == "\n":
        above[-1](redact(text))
        return
    sys.stderr.write(redact(text) + end)  # at once, so that no other thread's text comes between
    sys.stderr.flush()


def redacted(value: Any) -> Any:
    """The value with every text redacted, before any of it is escaped, or cut."""
    if type(value) is str:
        return redact(value)
    if isinstance(value, tuple):
        return tuple(map(redacted, value))
    if isinstance(value, dict):
        return {redacted(key): redacted(member) for key, member in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        members = {f.name: redacted(getattr(value, f.name)) for f in fields(value) if f.init}
        return replace(value, **members)
    return value


def write_file(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a whole file or nothing: a reader never sees half of it.

    What is there and is no plain file, such as /dev/stdout or a pipe, is written to and never
    replaced. ConfigurationError names the path and the reason.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if is_stream(path):
            path.write_bytes(data)
        else:
            _replace(path.resolve(), data, mode)  # where a link leads to, not the link
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as exc:  # what pathlib makes of a link in a circle
        why = getattr(exc, "strerror", None) or str(exc)
        raise ConfigurationError(f"{path} cannot be written: {why}; choose another path") from exc


def is_stream(path: Path) -> bool:
    """Whether something is there that is no plain file, such as a pipe."""
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 - no name raises


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Write beside the file and take its name in one step, so that a reader sees old or new."""
    if path.parent.is_file():  # for which mkdir has the words "File exists"
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".reconciler.")
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        written.chmod(mode)
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


# --- streams -----------------------------------------------------------------------------------

# Most texts, in which nothing is hidden; and what is printed as it is in the others.
_PLAIN = re.compile(r"[\n -~]*\Z")


class UnwritableError(ReconcilerError, OSError):
    """stdout or stderr takes nothing more, and its reader did not just go away."""


class Out:
    """A stream that shows what is hidden in a text, instead of obeying it."""

    def __init__(self, bare: TextIO, name: str) -> None:
        self.bare = bare
        self.written = False
        self._name = name

    def write(self, text: str) -> int:
        """Write the text as it may be shown; UnwritableError where that is not possible."""
        self.write_clean(text if _PLAIN.match(text) else _with_hidden_shown(text))
        return len(text)

    def write_clean(self, text: str) -> None:
        """Write a text in which nothing is hidden but our own colours."""
        if "::" in text or "##" in text or not text.isascii():
            from reconciler.render.cells import ascii_text, disarmed

            text = disarmed(text)
            text = text if speaks_unicode(self.bare) else ascii_text(text)
        self.written = self.written or bool(text)
        with self._writing():
            self.bare.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is still buffered."""
        with self._writing():
            self.bare.flush()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as exc:
            to_nowhere(self.bare)
            raise _unwritable(self._name, exc.strerror or str(exc)) from exc

    def __getattr__(self, name: str) -> object:
        return getattr(self.bare, name)


def _with_hidden_shown(text: str) -> str:
    from reconciler.render.cells import shown

    parts = enumerate(re.split(r"(\r?\n|\t)", text))
    return "".join(part if at % 2 else shown(part) for at, part in parts)


def _unwritable(name: str, why: str) -> UnwritableError:
    return UnwritableError(f"{name} cannot be written: {why}; send it elsewhere")


def to_nowhere(stream: TextIO) -> None:
    """Drop what is still buffered: it would be written, and fail again, when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def one_way_out() -> Iterator[tuple[Out, TextIO]]:
    """Everything that is printed inside goes through `Out`; yields that of stdout, and the stderr
    that is none."""
    out, err = Out(sys.stdout, "stdout"), Out(sys.stderr, "stderr")
    with (
        contextlib.redirect_stdout(cast(TextIO, out)),
        contextlib.redirect_stderr(cast(TextIO, err)),
    ):
        yield out, err.bare


def check_streams() -> None:
    """UnwritableError where stdout or stderr is closed or takes nothing."""
    for name, stream in {"stdout": sys.stdout, "stderr": sys.stderr}.items():
        if stream is None:
            raise _unwritable(name, "it is closed")
        try:
            os.write(stream.fileno(), b"")
        except io.UnsupportedOperation:
            continue
        except OSError as exc:
            raise _unwritable(name, exc.strerror or str(exc)) from exc


def check_reader() -> None:
    """BrokenPipeError where nobody reads stdout any more: what nobody hears of must not begin."""
    with contextlib.suppress(io.UnsupportedOperation, AttributeError):  # Windows has no poll
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def show_kept(text: str) -> None:
    """Print JSON, Markdown or a diff, which people keep in files: as UTF-8 wherever it goes."""
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout.write(redact(text))
    sys.stdout.flush()


def bare(stream: TextIO) -> TextIO:
    """The stream that takes escape sequences too, for a display whose texts are clean already."""
    return stream.bare if isinstance(stream, Out) else stream


def speaks_unicode(stream: TextIO) -> bool:
    """Whether every character can be written."""
    return (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")
