"""Exceptions that end a command before its work is done."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from reconciler import errors
from reconciler.console import to_nowhere
from reconciler.errors import ConfigurationError, ReconcilerError, redact
from reconciler.outcome import Outcome

ISSUES = "this is a bug of ours; please report it with the text above"


def failed(exc: BaseException) -> Outcome:
    """The outcome of a failed command. The traceback of a bug is printed here, and only here;
    that of an error that we foresaw is for the log."""
    if isinstance(exc, BrokenPipeError):
        return reader_gone()
    if isinstance(exc, KeyboardInterrupt):
        return Outcome(exit_code=errors.INTERRUPTED, error="interrupted; run it again")
    if not isinstance(exc, Exception):
        raise exc
    if isinstance(exc, FileNotFoundError) and not _has_folder():
        exc = ConfigurationError("the folder that this runs in was deleted; change to another (cd)")
    import traceback

    trace = redact("".join(traceback.format_exception(exc)))
    if isinstance(exc, ReconcilerError):
        import logging

        logging.getLogger(__name__).debug("%s", trace)
        return Outcome().ended_by(exc)
    print(trace + ISSUES, file=sys.stderr)
    return Outcome(exit_code=errors.BUG, error="the log of this step has its traceback")


def _has_folder() -> bool:
    """Whether the folder that the process runs in is there; without it no relative path leads
    anywhere, and not even an absolute one can be told from it."""
    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def say_error(outcome: Outcome) -> None:
    """Say on stderr what ended the command, where nothing said it yet."""
    with contextlib.suppress(OSError):  # stderr itself may be what cannot be written
        if outcome.exit_code == errors.INTERRUPTED:
            print("interrupted", file=sys.stderr)
        elif outcome.error and outcome.exit_code not in (errors.BUG, errors.USAGE):
            for line in outcome.error.split("\n"):
                print(f"error: {line}", file=sys.stderr)


def reader_gone() -> Outcome:
    """The code of a program that SIGPIPE ended, as the shell tells it of git and terraform.

    Not 0: with `--detailed-exitcode` that would say that nothing is to be done. Not 1: nothing
    of ours failed, and `| head` is no error that anybody wants to read about.
    """
    for stream in (sys.stdout, sys.stderr):
        to_nowhere(stream)
    return Outcome(exit_code=errors.READER_GONE)
