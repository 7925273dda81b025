"""Runs the app and turns every ending into an exit code of errors.py."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from reconciler import console, errors
from reconciler.ci import job as actions
from reconciler.errors import ReconcilerError, redact

if TYPE_CHECKING:
    from reconciler.ci.job import Job

# Containers that are made beyond those that went before cycles are looked for: a fleet makes many
# that stay, and next to no cycles. Python's own 700 costs a tenth of a plan's processor time.
_MADE_BEFORE_CYCLES = 20_000
# However `-o json` may be written: a program reads stdout then, also where the rest is wrong usage.
_JSON = re.compile(r"(?:^|\0)(?:-[vy]*o[\0=]?|--output[\0=])json(?:\0|$)")
ISSUES = "this is a bug of ours; please report it with the text above"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit the process."""
    gc.set_threshold(_MADE_BEFORE_CYCLES)
    code = run(arguments)
    if code == errors.INTERRUPTED:
        _leave(code)
    gc.freeze()  # or the interpreter takes all that is left apart, for nobody
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End at once: the interpreter would wait for threads that read, which may hang for minutes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run(arguments: list[str] | None = None) -> int:
    """The exit code of one command, after everything is said: to people, and to a CI job."""
    try:
        console.check_streams()
    except console.UnwritableError as exc:
        return _not_begun(exc)
    with console.one_way_out() as (stdout, stderr), actions.job() as job:
        code = _run(arguments, job)
        if code == errors.INTERRUPTED:
            job.error = "interrupted; run it again"
        if job.error and not stdout.written and _JSON.search("\0".join(arguments or sys.argv[1:])):
            _show_error(job, code)
        return job.ended(code, os.environ, stderr)


def _show_error(job: Job, code: int) -> None:
    """What ended the command, as the document that was to be on stdout."""
    from reconciler.console import redacted
    from reconciler.render.documents import error_json

    with contextlib.suppress(OSError):
        console.show_kept(error_json(code, redacted(job.error), redacted(tuple(job.errors))))


def _not_begun(exc: console.UnwritableError) -> int:
    """The exit code, after the one line about a stream that cannot be written went to the other."""
    for stream in (sys.stderr, sys.stdout):
        if stream is not None:
            try:
                print(f"error: {exc.message}", file=stream, flush=True)
                break
            except OSError:
                console.to_nowhere(stream)
    return exc.exit_code


def _run(arguments: list[str] | None, job: Job) -> int:
    """The exit code of the command; everything that escapes it is said on stderr, redacted."""
    from reconciler.cli.app import app

    try:
        outcome = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()  # or a reader that went away is met after we can answer for it
    except typer.Exit as exc:
        return exc.exit_code
    except typer.TyperException as exc:
        return _misused(exc, job)
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return errors.INTERRUPTED
    except ReconcilerError as exc:
        job.failed(exc.exit_code, exc)
        return _said(exc)
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):  # typer makes it an exit with 1
            return _reader_gone()
        raise
    except Exception:
        import traceback

        print(redact(traceback.format_exc()) + ISSUES, file=sys.stderr)
        job.failed(errors.BUG, "the log of this step has its traceback")
        return errors.BUG
    return outcome if isinstance(outcome, int) else errors.SUCCESS


def _reader_gone() -> int:
    """The code of a program that SIGPIPE ended, as the shell tells it of git and terraform.

    Not 0: with `--detailed-exitcode` that would say that nothing is to be done. Not 1: nothing
    of ours failed, and `| head` is no error that anybody wants to read about.
    """
    for stream in (sys.stdout, sys.stderr):
        console.to_nowhere(stream)
    return errors.READER_GONE


def _misused(exc: typer.TyperException, job: Job) -> int:
    from typer._click.exceptions import NoArgsIsHelpError  # typer does not export it

    """Typer's own exit code for this is 2, which means "changes are present" here."""
    command = getattr(getattr(exc, "ctx", None), "command_path", "reconciler")
    message = exc.format_message()
    if isinstance(exc, NoArgsIsHelpError):
        print(message, file=sys.stderr)
        message = "no command is given; the help names them"
    else:
        print(redact(f"error: {message}\ntry: {command} --help"), file=sys.stderr)
    job.failed(errors.USAGE, message)
    return errors.USAGE


def _said(exc: ReconcilerError) -> int:
    with contextlib.suppress(OSError):  # stderr itself may be what cannot be written
        for line in exc.message.split("\n"):
            print(f"error: {line}", file=sys.stderr)
    import logging
    import traceback

    logging.getLogger(__name__).debug("%s", redact(traceback.format_exc()))
    return exc.exit_code
