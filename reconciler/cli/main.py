"""Runs the app and turns every ending into an exit code of errors.py."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

import typer

from reconciler import console, errors
from reconciler.ci.job import tell
from reconciler.cli.failures import failed, reader_gone, say_error
from reconciler.errors import ConfigurationError, redact
from reconciler.outcome import Outcome

# Containers that are made beyond those that went before cycles are looked for: a fleet makes many
# that stay, and next to no cycles. Python's own 700 costs a tenth of a plan's processor time.
_MADE_BEFORE_CYCLES = 100_000
# However `-o json` may be written: a program reads stdout then, also where the rest is wrong usage.
_JSON = re.compile(r"(?:^|\0)(?:-[vy]*o[\0=]?|--output[\0=])json(?:\0|$)")

_REASONS = ("--force", "--reason")  # which say themselves whether they may be empty


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
    with console.one_way_out() as (stdout, stderr):
        outcome = _run(arguments)
        say_error(outcome)
        if (
            outcome.error
            and not stdout.written
            and _JSON.search("\0".join(arguments or sys.argv[1:]))
        ):
            from reconciler.ci.job import error_findings
            from reconciler.console import redacted
            from reconciler.render.documents import error_json

            findings = tuple(redacted(finding) for finding in error_findings(outcome))
            with contextlib.suppress(OSError):
                console.show_kept(error_json(outcome.exit_code, redacted(outcome.error), findings))
        return tell(outcome, os.environ, stderr)


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


@cache
def _commands() -> Any:
    """The command line; put together anew, its 28 commands cost as much as a small plan."""
    from reconciler.cli.app import app

    return typer.main.get_command(app)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """TyperException for an empty argument, which is a variable of the shell that is not set: taken
    for nothing, `--since ""` would be all that there is, and a path the folder that one is in."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        option, equals, value = argument.partition("=")
        if option in _REASONS or before in _REASONS:
            continue
        if option.startswith("--") and equals and not value.strip():
            raise typer.BadParameter(f"{option} is empty; leave it out, or set it")
        if not argument.strip():
            where = f"the argument after {before}" if before else "the first argument"
            raise typer.BadParameter(f"{where} is empty; leave it out, or set it")


def _run(arguments: list[str] | None) -> Outcome:
    """The outcome of the command, whatever escapes it."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        _refuse_empty(given)
        outcome = _commands()(args=arguments, standalone_mode=False)
        sys.stdout.flush()  # or a reader that went away is met after we can answer for it
    except typer.TyperException as exc:
        # Typer's own exit code for this is 2, which means "changes are present" here.
        command = getattr(getattr(exc, "ctx", None), "command_path", "reconciler")
        message = exc.format_message()
        print(redact(f"error: {message}\ntry: {command} --help"), file=sys.stderr)
        return Outcome(exit_code=errors.USAGE, error=message)
    except typer.Abort:
        return failed(KeyboardInterrupt())
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):  # typer makes it an exit with 1
            return reader_gone()
        raise
    except BaseException as exc:
        if isinstance(exc, OSError) and exc.filename and "--install-completion" in given:
            why = f"{exc.filename} cannot be written: {exc.strerror}"
            return failed(ConfigurationError(f"{why}; paste what --show-completion prints instead"))
        return failed(exc)
    if outcome == errors.INTERRUPTED:  # typer makes it of a KeyboardInterrupt
        return failed(KeyboardInterrupt())
    return outcome if isinstance(outcome, Outcome) else Outcome(exit_code=outcome or 0)
