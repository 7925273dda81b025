"""How documents look: their format, their colours, and how much they show."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from dataclasses import dataclass, replace
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from reconciler.cli.events import Events
from reconciler.console import Out, bare, say, show_kept, speaks_unicode, write_file
from reconciler.errors import ConfigurationError, redact
from reconciler.outcome import Document, Kept, Outcome, Valid, rendered

if TYPE_CHECKING:
    from reconciler.cli.progress import HeartbeatProgress, LiveProgress
    from reconciler.render import Look


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Saying(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a log that nobody reads stops no work
            say(self.format(record))


def log_to_stderr(verbose: int) -> None:
    """Send the log to stderr: warnings, with -v information, with -vv every request."""
    handler = _Saying()
    where = "%(levelname)s %(name)s" if verbose else "warning"
    handler.setFormatter(_Redacting(f"{where}: %(message)s"))
    logger = logging.getLogger("reconciler")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])


@dataclass(frozen=True)
class Page:
    """How documents look: their format, colours, and how much they show.

    `events` hear of what a run does; a `silent` page prints no document, as stdout is theirs.
    """

    format: str = "text"
    no_color: bool = False
    verbose: int = 0
    events: Events | None = None
    silent: bool = False

    def deliver(self, outcome: Outcome) -> Outcome:
        """The outcome, after its document is printed and its files are written. A file that cannot
        be written is its error then."""
        if outcome.document is not None and not self.silent:
            self.show(outcome.document)
        for file in outcome.files:
            if file.content is None:
                continue
            try:
                write_file(file.path, file.content)
            except ConfigurationError as exc:
                left = tuple(other for other in outcome.files if other is not file)
                return replace(outcome, files=left).ended_by(exc)
            say(file.note or f"wrote {file.path}")
        return outcome

    def show(self, document: Document, to: TextIO | None = None) -> None:
        """Print a document; to another stream than stdout it is always text."""
        stream = to or sys.stdout
        if isinstance(document, Kept):
            show_kept(document.text)
        elif isinstance(document, Valid):
            pass  # that it is was said on stderr
        elif to is not None or self.format == "text":
            self._text(rendered(document, "text", self._look(stream)), stream)
        else:
            show_kept(rendered(document, self.format))

    def progress(self, total: int, *, waves: bool = False) -> LiveProgress | HeartbeatProgress:
        """The display of so many bindings, in `waves` or at once, which tells the events too: live
        on a terminal, heartbeat lines otherwise."""
        from reconciler.cli.progress import HeartbeatProgress, LiveProgress

        display: LiveProgress | HeartbeatProgress
        clock = time.monotonic
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            stream, plain = bare(sys.stderr), not self._color()
            display = LiveProgress(stream, clock=clock, no_color=plain, total=total, more=waves)
        else:
            display = HeartbeatProgress(sys.stderr, clock=clock, total=total, more=waves)
        display.events = self.events
        return display

    def _color(self) -> bool:
        return not (self.no_color or os.environ.get("NO_COLOR"))

    def _look(self, stream: TextIO) -> Look:
        """How lines look on this stream: its width, and whether it can show colours and signs."""
        from reconciler import render

        terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        width = min(get_terminal_size((80, 24)).columns, 120) if terminal else 80
        return render.Look(
            max(width, 40),
            color=terminal and self._color(),
            ascii_only=not speaks_unicode(stream),
            verbose=self.verbose > 0,
        )

    def _text(self, text: str, to: TextIO | None = None) -> None:
        stream = to or sys.stdout
        write = stream.write_clean if isinstance(stream, Out) else stream.write
        write(redact(text).rstrip("\n") + "\n")
        stream.flush()
