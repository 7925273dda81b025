"""What a command tells the CI job that it runs in, besides what it prints.

Under GitHub Actions: errors on the lines of the YAML, a page in the summary of the job, outputs
for later steps. Page and outputs go where GITHUB_STEP_SUMMARY and GITHUB_OUTPUT say, so another
CI that sets them has them too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from reconciler import errors
from reconciler.errors import ConfigurationError, ReconcilerError, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.model import Plan, Proof, Report, Source
    from reconciler.render.annotations import Finding

MOST_SUMMARY_BYTES = 1024 * 1024 - 1024  # of one step; GitHub drops all of a longer one
_TITLES = {
    errors.CONFIGURATION: "invalid configuration",
    errors.REFUSED: "refused",
    errors.STALE: "not the approved plan",
    errors.LOCKED: "locked",
    errors.USAGE: "wrong usage",
    errors.BUG: "a bug of ours",
}


@dataclass
class Job:
    """What is known so far. `show` makes the page of what was shown last, as Markdown."""

    plan: Plan | None = None
    report: Report | None = None
    proofs: tuple[Proof, ...] | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    show: Callable[[], str] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    has_changes: bool | None = None  # where neither plan nor report says it
    rest: frozenset[str] = frozenset()  # names in the plan of what is shown and not judged
    files: dict[str, str] = field(default_factory=dict)  # output → path
    errors: list[Finding] = field(default_factory=list)
    error: str = ""  # what ended the command, with every problem

    def validated(self, counts: Mapping[str, int]) -> None:
        """Keep how many bindings each environment has."""

        def show() -> str:
            from reconciler.ci.summary import valid_markdown

            return valid_markdown(counts)

        self.counts, self.show = counts, show

    def failed(self, code: int, error: ReconcilerError | str) -> None:
        """Keep what ended the command: every problem in its place, or the one sentence."""
        from reconciler.model import NOWHERE
        from reconciler.render.annotations import Finding

        self.error = error if isinstance(error, str) else error.message
        if isinstance(error, ConfigurationError) and error.problems:
            self.errors += problem_findings(error)
            return
        self.errors.append(Finding(NOWHERE, "error", _TITLES.get(code, "error"), self.error))

    def ended(self, code: int, environ: Mapping[str, str], to: TextIO) -> int:
        """The exit code, after everything is said; another one if all went well but the saying."""
        if _listens(environ):
            _annotate(self, environ, to)
        wrong = [_summarize(self, environ), _put_out(self, code, environ)]
        for message in filter(None, wrong):
            print(f"error: {message}", file=to)
        return code or (errors.CONFIGURATION if any(wrong) else errors.SUCCESS)


_JOB: ContextVar[Job | None] = ContextVar("job", default=None)


def current() -> Job:
    """The job of the command that runs; outside of one, a job that nobody hears of."""
    return _JOB.get() or Job()


@contextlib.contextmanager
def job() -> Iterator[Job]:
    """A new job, the current one inside."""
    token = _JOB.set(begun := Job())
    try:
        yield begun
    finally:
        _JOB.reset(token)


def _listens(environ: Mapping[str, str]) -> bool:
    """Whether a runner reads what is printed, and obeys it."""
    return environ.get("GITHUB_ACTIONS") == "true"


# --- errors on lines -------------------------------------------------------------------------


def problem_findings(error: ConfigurationError) -> list[Finding]:
    """Every problem as a finding of its rule."""
    from reconciler.model import Source
    from reconciler.render.annotations import RULES, Finding

    return [
        Finding(Source(p.path, p.line, p.column), p.rule, RULES[p.rule], p.message)
        for p in error.problems
    ]


def _annotate(told: Job, environ: Mapping[str, str], to: TextIO) -> None:
    from reconciler.render.annotations import MOST, by_importance, error_command

    root = _root(environ)
    found = [_placed(finding, root) for finding in [*told.errors, *_findings(told)]]
    changed = None
    if len(found) > MOST:
        from reconciler.ci.changed import changed_lines

        changed = changed_lines(environ, root)
    for finding in by_importance(found, changed)[:MOST]:
        print(error_command(finding), file=to)
    if len(found) > MOST:
        are = "error is" if len(found) == MOST + 1 else "errors are"
        print(f"{len(found) - MOST} more {are} in the summary of the job", file=to)
    to.flush()


def _findings(told: Job) -> list[Finding]:
    """What the last document says is wrong."""
    from reconciler.render import annotations

    if told.report is not None:
        return annotations.report_findings(told.report)
    if told.proofs is not None:
        return annotations.proof_findings(told.proofs, told.sources)
    if told.plan is None:
        return []
    judged = tuple(change for change in told.plan.changes if change.name not in told.rest)
    return annotations.plan_findings(replace(told.plan, changes=judged))


def _placed(finding: Finding, root: Path) -> Finding:
    """The finding with its path from the root, and without a secret."""
    source = replace(finding.source, path=_below(root, finding.source.path))
    said = redact(finding.title), redact(finding.message)
    return replace(finding, source=source, title=said[0], message=said[1])


def _root(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("GITHUB_WORKSPACE") or Path.cwd())


def _below(root: Path, path: str) -> str:
    """The path from the root, where it leads there; as it is otherwise."""
    if not path:
        return path
    typed = Path.cwd() / path
    ways = [(Path(os.path.normpath(typed)), root), (typed.resolve(), root.resolve())]
    for inside, folder in ways:
        if inside.is_relative_to(folder):
            return inside.relative_to(folder).as_posix()
    return path


@contextlib.contextmanager
def sarif(path: Path | None) -> Iterator[None]:
    """Write what ConfigurationError says inside as SARIF, and an empty one when there is none.

    A file that cannot be written hides no problem: it is said beside them.
    """
    try:
        yield
    except ConfigurationError as exc:
        if path is not None:
            try:
                _write_sarif(path, problem_findings(exc))
            except ConfigurationError as unwritable:
                print(f"error: {unwritable.message}", file=sys.stderr)
        raise
    if path is not None:
        _write_sarif(path, [])


def _write_sarif(path: Path, found: Iterable[Finding]) -> None:
    from reconciler import __version__
    from reconciler.ci.sarif import sarif_json
    from reconciler.console import write_file

    root = _root(os.environ)
    write_file(path, sarif_json([_placed(finding, root) for finding in found], __version__))


# --- the page and the outputs ------------------------------------------------------------------


def _summarize(told: Job, environ: Mapping[str, str]) -> str:
    """Add the page to the summary of the job; what went wrong with that, or ""."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return ""
    from reconciler.ci.summary import cut_markdown, summary_markdown

    found = [_placed(finding, _root(environ)) for finding in told.errors]
    text = redact(summary_markdown(told.show() if told.show else "", found))
    try:
        there = Path(path).stat().st_size if Path(path).exists() else 0
        _append(path, cut_markdown(text, MOST_SUMMARY_BYTES - there))
    except OSError as exc:
        return f"GITHUB_STEP_SUMMARY: {path} cannot be written: {exc.strerror}; {_FIX}"
    return ""


def _put_out(told: Job, code: int, environ: Mapping[str, str]) -> str:
    """Add the outputs of the step; what went wrong with that, or ""."""
    path = environ.get("GITHUB_OUTPUT")
    if not path:
        return ""
    from reconciler.ci.outputs import outputs_text

    try:
        _append(path, outputs_text(told, code))
    except OSError as exc:
        return f"GITHUB_OUTPUT: {path} cannot be written: {exc.strerror}; {_FIX}"
    return ""


_FIX = "name a file that can be written, or unset the variable"


def _append(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
