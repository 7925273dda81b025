"""`--report FILE`: what became of a run, written on every end it can see: success, failure,
signal, bug. Only SIGKILL leaves none, and the next run goes on from the world itself.

A report that is missing tells CI nothing, and one from the run before tells it something wrong. So
the file is written twice: at the beginning, saying that the run has not ended, and at the end. A
process that is killed outright leaves the first. A file that cannot be written is found out before
the first change instead of after the last.

The order at the end is that of harm. First the report, then metrics, events and messages to people:
a webhook that hangs must not cost the report, and a signal gives a process seconds, not minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from reconciler import __version__, errors
from reconciler.cli.failures import failed
from reconciler.cli.notify import INTERRUPTED, notify, notify_within, of_interrupted, of_run
from reconciler.cli.stopping import ending_signals
from reconciler.console import check_reader, is_stream, say, write_file
from reconciler.engine.world import timestamp
from reconciler.errors import ReconcilerError, redact
from reconciler.model import TOUCHED, Action, Failure, Reached, Report
from reconciler.outcome import File, Outcome

if TYPE_CHECKING:
    from reconciler.cli.options import Writing
    from reconciler.cli.output import Page
    from reconciler.engine.steps import Ended
    from reconciler.model import Environment, Plan, Unfinished

SCHEMA = "reconciler/run/v1"
NOTIFY_WITHIN_S = 5.0  # of a process that a signal ends: who ends it may kill it soon


@dataclass
class Ending:
    """The state of a run so far; the report is None until there is one.

    `so_far` makes one of a run that did not come to its end.
    """

    command: str
    report: Report | None = None
    exit_code: int = errors.BUG
    error: str = ""
    planned: Plan | None = None
    environment: Environment | None = None
    so_far: Callable[[], Report] | None = None

    def cut_off(self) -> None:
        """Report how far the run came, and tell it, where nothing was reported yet."""
        if self.report is None and self.so_far is not None:
            from reconciler.render import report_text

            report = self.report = self.so_far()
            begun = any(binding.reached is not Reached.NOT_BEGUN for binding in report.unfinished)
            if begun or report.done or report.proofs or report.failures:
                say(report_text(report).rstrip("\n"))


def reported(
    command: str, writing: Writing, page: Page, work: Callable[[Ending], Outcome]
) -> Outcome:
    """The outcome of the work, after it is printed; and written to files whatever happens.

    The events of the page hear when it begins and how it ends. Whether the report can be written,
    and stdout is read, is tried first: a run that cannot report must not begin. Should it fail at
    the end nevertheless, that is said, and hides neither the run's error nor its code.
    """
    check_reader()
    path, began_s = writing.report, time.time()
    ending, began = Ending(command), timestamp(began_s)
    if path is not None and not is_stream(path):
        write_file(path, _document(Ending(command, error="the run has not ended"), began))
    if page.events is not None:
        page.events.tell("begin", command=command, version=__version__)
    try:
        with _ended_by_others(path, ending, began, page):
            outcome = page.deliver(work(ending))
        ending.exit_code, ending.error = outcome.exit_code, outcome.error
    except BaseException as exc:
        ending.exit_code, ending.error = _meaning(exc)
        ending.cut_off()
        outcome = replace(failed(exc), planned=ending.planned)
    finally:
        if path is not None:
            written = _write(path, ending, began)
        if ending.environment is not None:
            plan = ending.report.plan if ending.report is not None else None
            name, code = ending.environment.name, ending.exit_code
            for file in metrics_file(writing.metrics, name, plan, command, code, began_s):
                if not _try(file, ending) and path is not None and written:
                    _write(path, ending, began)  # with the code that says so
        _tell_end(ending, page)
        if ending.environment is not None:
            notify(ending.environment, command, _news(ending, ending.environment))
    outcome = replace(outcome, exit_code=ending.exit_code)
    if path is None or not written:
        return outcome
    return replace(outcome, files=(*outcome.files, File("report-file", path)))


def _news(ending: Ending, environment: Environment) -> Iterator[tuple[str, str, str]]:
    if ending.report is not None:
        yield from of_run(ending.report, ending.planned)
    if ending.exit_code in INTERRUPTED:
        yield of_interrupted(environment.name, ending.report, ending.error)
    elif ending.report is None and ending.error:
        yield "failed", environment.name, ending.error


def metrics_file(
    path: Path | None, environment: str, plan: Plan | None, command: str, code: int, began_s: float
) -> tuple[File, ...]:
    """The file of `--metrics-file`; () where none is wanted."""
    if path is None:
        return ()
    from reconciler.render.openmetrics import metrics_text

    now = time.time()
    text = metrics_text(environment, plan, command, code, now - began_s, now)
    return (File("metrics-file", path, text),)


@contextlib.contextmanager
def _ended_by_others(path: Path | None, ending: Ending, began: str, page: Page) -> Iterator[None]:
    """Let SIGTERM and SIGHUP write the report and end the process, where nothing is being changed:
    while steps are under way, the handler of `stopping.stoppable` takes this one's place, and asks
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
        _tell_end(ending, page)
        with contextlib.suppress(OSError):
            say(ending.error)
        if (environment := ending.environment) is not None:
            events = _news(ending, environment)
            with contextlib.suppress(OSError):
                notify_within(NOTIFY_WITHIN_S, environment, ending.command, events)
        os._exit(ending.exit_code)

    before = {number: signal.signal(number, on_signal) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_end(ending: Ending, page: Page) -> None:
    """Let the events end as the run did."""
    from reconciler.render.documents import report_json

    if page.events is not None:
        report = json.loads(report_json(ending.report)) if ending.report else None
        members = {"exit_code": ending.exit_code, "error": ending.error, "report": report}
        page.events.tell("end", **members)
        page.events.close()


def _write(path: Path, ending: Ending, began: str) -> bool:
    """Whether the report is written."""
    return _try(File("report-file", path, _document(ending, began)), ending)


def _try(file: File, ending: Ending) -> bool:
    """Whether a file is written; where it is not, that is said, and hides no other error."""
    try:
        write_file(file.path, file.content or "")
    except ReconcilerError as exc:
        say(f"error: {exc.message}")
        ending.exit_code = ending.exit_code or exc.exit_code
        return False
    return True


def _meaning(exc: BaseException) -> tuple[int, str]:
    if isinstance(exc, ReconcilerError):
        return exc.exit_code, exc.message
    if isinstance(exc, BrokenPipeError):
        return errors.READER_GONE, "the reader of stdout went away"
    if isinstance(exc, KeyboardInterrupt):
        return errors.INTERRUPTED, "interrupted"
    return errors.BUG, redact(f"a bug of ours: {type(exc).__name__}: {exc}")


def _document(ending: Ending, began: str) -> str:
    """The report as JSON; of a run that made none, how it ended and why."""
    from reconciler.render.documents import json_document, report_json

    document = {
        "schema": SCHEMA,
        "command": ending.command,
        "version": __version__,
        "began": began,
        "ended": timestamp(time.time()),
        "exit_code": ending.exit_code,
        "error": ending.error,
        "report": json.loads(report_json(ending.report)) if ending.report else None,
    }
    return redact(json_document(document))


# --- what a run amounts to -----------------------------------------------------------------------


def make_report(
    last: Plan,
    ended: dict[str, Ended],
    elapsed_s: float,
    stopped_by: int,
    unfinished: tuple[Unfinished, ...] = (),
    *,
    looked: bool = True,
) -> Report:
    """The report of a run, sorted by address; a binding that came undone at the last look failed.

    `looked` says that `last` is that look, and not what was planned before.
    """
    outcomes = [ended[address] for address in sorted(ended)]
    failures = [o.failure for o in outcomes if o.failure]
    held = tuple(o.held for o in outcomes if o.held)
    failed = {failure.address for failure in failures} | {binding.address for binding in held}
    if looked:
        failures += [
            Failure(c.name, c.address, f"not converged at the last look: {c.why}", errors.ERROR)
            for c in last.changes
            if c.action is not Action.NOOP and c.address not in failed
        ]
    done = {address for address in ended if ended[address].changed}
    done |= {run.address for run in unfinished if run.reached in TOUCHED}
    return Report(
        plan=last,
        done=tuple(sorted(done)),
        proofs=tuple(o.proof for o in outcomes if o.proof),
        failures=tuple(failures),
        elapsed_s=elapsed_s,
        stopped_by=stopped_by,
        unfinished=unfinished,
        held=held,
    )


def report_exit_code(report: Report) -> int:
    """A lost proof outranks all; then the one kind of failure there is; partial for a mixture."""
    if report.stopped_by:
        return 128 + report.stopped_by
    codes = {failure.exit_code for failure in report.failures}
    if not codes:
        return errors.SUCCESS
    for code in (errors.BUG, errors.UNPROVED):
        if code in codes:
            return code
    if report.done or len(codes) > 1:
        return errors.PARTIAL
    return codes.pop()
