"""How documents look: their format, their colours, and how much they show."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from reconciler.ci import job as actions
from reconciler.console import Out, bare, say, show_kept, speaks_unicode
from reconciler.errors import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.cli.app import Format
    from reconciler.cli.progress import HeartbeatProgress, LiveProgress
    from reconciler.model import History, Observed, Plan, Proof, Report
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
    handler.setFormatter(_Redacting("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("reconciler")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])


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
