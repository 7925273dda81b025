"""Where documents and messages go: the document to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.ci import job as actions
from reconciler.cli.streams import Out, bare, show_kept, speaks_unicode
from reconciler.errors import ConfigurationError, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.cli.app import Format
    from reconciler.cli.progress import HeartbeatProgress, LiveProgress
    from reconciler.model import History, Observed, Plan, Proof, Report
    from reconciler.render import Look


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
        return {redacted(key): redacted(one) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        said = {f.name: redacted(getattr(value, f.name)) for f in fields(value) if f.init}
        return replace(value, **said)
    return value


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
    handler.setFormatter(_Redacting("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("reconciler")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])


def write_file(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a whole file or nothing: a reader never sees half of it.

    What is there and is no plain file, such as /dev/stdout or a pipe, is written to and never
    replaced. ConfigurationError names the path and the reason.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path.resolve(), data, mode)  # where a link leads to, not the link
    except BrokenPipeError:
        raise
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise ConfigurationError(f"{path} cannot be written: {why}; choose another path") from exc


def _replace(path: Path, data: bytes, mode: int) -> None:
    if path.parent.is_file():  # for which mkdir has the words "File exists"
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
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


@dataclass(frozen=True)
class Page:
    """How documents look: their format, colours, and how much they show."""

    format: Format
    no_color: bool = False
    verbose: int = 0

    def show_plan(self, plan: Plan, to: TextIO | None = None) -> None:
        """Print a plan; to another stream than stdout it is always text."""
        from reconciler import render

        job = actions.current()
        job.plan, job.show = plan, lambda: render.plan_markdown(plan)
        if to is not None or self.format == "text":
            stream = to or sys.stdout
            self._text(render.plan_text(plan, self._look(stream)), stream)
        elif self.format == "json":
            show_kept(render.plan_json(plan))
        else:
            show_kept(render.plan_markdown(plan))

    def plan_json(self, plan: Plan) -> str:
        """The plan as the JSON that `--out` writes."""
        from reconciler import render

        return render.plan_json(plan)

    def show_report(self, report: Report) -> None:
        """Print what a run did."""
        from reconciler import render

        job = actions.current()
        job.report, job.show = report, lambda: render.report_markdown(report)
        match self.format:
            case "json":
                show_kept(render.report_json(report))
            case "markdown":
                show_kept(render.report_markdown(report))
            case _:
                self._text(render.report_text(report, self._look(sys.stdout)))

    def show_status(self, plan: Plan, observed: Mapping[str, Observed]) -> None:
        """Print a row per binding."""
        from reconciler import render

        pairs = ((change, observed[change.address]) for change in plan.changes)
        rows = [render.status_row(change, one.live, one.health) for change, one in pairs]
        actions.current().show = lambda: render.status_markdown(rows)
        match self.format:
            case "json":
                show_kept(render.status_json(rows))
            case "markdown":
                show_kept(render.status_markdown(rows))
            case _:
                self._text(render.status_text(rows, self._look(sys.stdout)))

    def show_proofs(self, proofs: Sequence[Proof]) -> None:
        """Print a row per proof."""
        from reconciler import render

        job = actions.current()
        job.proofs, job.show = tuple(proofs), lambda: render.proofs_markdown(proofs)
        match self.format:
            case "json":
                show_kept(render.proofs_json(proofs))
            case "markdown":
                show_kept(render.proofs_markdown(proofs))
            case _:
                self._text(render.proofs_text(proofs, self._look(sys.stdout)))

    def show_history(self, history: History) -> None:
        """Print what was made of a model and done at its address."""
        from reconciler import render

        actions.current().show = lambda: render.history_markdown(history)
        match self.format:
            case "json":
                show_kept(render.history_json(history))
            case "markdown":
                show_kept(render.history_markdown(history))
            case _:
                self._text(render.history_text(history, self._look(sys.stdout)))

    def progress(self, total: int) -> LiveProgress | HeartbeatProgress:
        """A live display of so many bindings on a terminal, heartbeat lines otherwise."""
        from reconciler.cli.progress import HeartbeatProgress, LiveProgress

        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            stream, plain = bare(sys.stderr), not self._color()
            return LiveProgress(stream, clock=time.monotonic, no_color=plain, total=total)
        return HeartbeatProgress(sys.stderr, clock=time.monotonic, total=total)

    def _color(self) -> bool:
        return not (self.no_color or os.environ.get("NO_COLOR"))

    def _look(self, stream: TextIO) -> Look:
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
