"""`--report FILE`: what became of a run, written on every end it can see: success, failure,
signal, bug. Only SIGKILL leaves none, and the next run goes on from the world itself.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler import __version__, errors
from reconciler.ci import job as actions
from reconciler.cli.session import ending_signals
from reconciler.console import check_reader, say, write_file
from reconciler.errors import ReconcilerError, redact
from reconciler.model import Reached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from reconciler.model import Report

SCHEMA = "reconciler/run/v1"


@dataclass
class Ending:
    """What is known of a run so far; the report is None until there is one.

    `so_far` makes one of a run that did not come to its end.
    """

    command: str
    report: Report | None = None
    exit_code: int = errors.BUG
    error: str = ""
    so_far: Callable[[], Report] | None = None

    def cut_off(self) -> None:
        """Report how far the run came, and tell it, where nothing was reported yet."""
        if self.report is None and self.so_far is not None:
            from reconciler.render import report_text

            report = self.report = self.so_far()
            begun = any(one.reached is not Reached.NOT_BEGUN for one in report.unfinished)
            if begun or report.done or report.proofs or report.failures:
                say(report_text(report).rstrip("\n"))


@contextlib.contextmanager
def reported(command: str, path: Path | None) -> Iterator[Ending]:
    """An ending to fill in, which is written to `path` whatever happens; nothing without a path.

    Whether `path` can be written, and stdout is read, is tried first: a run that cannot report must
    not begin. Should `path` fail at the end nevertheless, that is said, and hides neither the run's
    error nor its code.
    """
    check_reader()
    if path is not None and (path.is_file() or not path.exists()):
        write_file(path, _document(Ending(command, error="the run has not ended"), _now()))
    ending = Ending(command)
    began = _now()
    try:
        with _ended_by_others(path, ending, began):
            yield ending
    except BaseException as exc:
        ending.exit_code, ending.error = _meaning(exc)
        ending.cut_off()
        raise
    finally:
        if path is not None:
            _write(path, ending, began)


@contextlib.contextmanager
def _ended_by_others(path: Path | None, ending: Ending, began: str) -> Iterator[None]:
    """Let SIGTERM and SIGHUP write the report and end the process, where nothing is being changed:
    while steps are under way, the handler of `session.stoppable` takes this one's place, and asks
    it at the second signal of any kind.

    The process ends at once, because reads in other threads may hang for minutes.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        ending.exit_code = 128 + number
        ending.error = "terminated" if number == signal.SIGTERM else "interrupted"
        with contextlib.suppress(OSError):  # the terminal may be gone
            ending.cut_off()
        if path is not None:
            _write(path, ending, began)
        with contextlib.suppress(OSError):
            say(ending.error)
        os._exit(ending.exit_code)

    before = {number: signal.signal(number, on_signal) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(path: Path, ending: Ending, began: str) -> None:
    try:
        write_file(path, _document(ending, began))
        actions.current().files["report-file"] = str(path)
    except ReconcilerError as exc:
        say(f"error: {exc.message}")
        ending.exit_code = ending.exit_code or exc.exit_code


def _meaning(exc: BaseException) -> tuple[int, str]:
    if isinstance(exc, ReconcilerError):
        return exc.exit_code, exc.message
    if isinstance(exc, BrokenPipeError):
        return errors.READER_GONE, "the reader of stdout went away"
    if isinstance(exc, KeyboardInterrupt):
        return errors.INTERRUPTED, "interrupted"
    return errors.BUG, redact(f"a bug of ours: {type(exc).__name__}: {exc}")


def _document(ending: Ending, began: str) -> str:
    from reconciler.render.documents import json_document, report_json

    document = {
        "schema": SCHEMA,
        "command": ending.command,
        "version": __version__,
        "began": began,
        "ended": _now(),
        "exit_code": ending.exit_code,
        "error": ending.error,
        "report": json.loads(report_json(ending.report)) if ending.report else None,
    }
    return redact(json_document(document))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
