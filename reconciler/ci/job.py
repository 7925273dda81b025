"""Annotations, summary and outputs: how a command informs the CI job that it runs in.

Under GitHub Actions: errors on the lines of the YAML, a page in the summary of the job, outputs
for later steps. Page and outputs go where GITHUB_STEP_SUMMARY and GITHUB_OUTPUT say, so another
CI that sets them has them too.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from reconciler import errors
from reconciler.errors import ConfigurationError, Problem, redact

if TYPE_CHECKING:
    from reconciler.outcome import Outcome
    from reconciler.render.findings import Finding

MOST_SUMMARY_BYTES = 1024 * 1024 - 1024  # of one step; GitHub drops all of a longer one
_TITLES = {
    errors.CONFIGURATION: "invalid configuration",
    errors.REFUSED: "refused",
    errors.STALE: "not the approved plan",
    errors.LOCKED: "locked",
    errors.USAGE: "wrong usage",
    errors.BUG: "a bug of ours",
}


def tell(outcome: Outcome, environ: Mapping[str, str], to: TextIO) -> int:
    """The exit code, after everything is said; another one if all went well but the saying."""
    if environ.get("GITHUB_ACTIONS") == "true":  # a runner reads what is printed, and obeys it
        from reconciler.ci.annotations import MOST, by_importance, changed_lines, error_command

        root = _root(environ)
        findings = [*error_findings(outcome), *_findings(outcome)]
        placed = [_placed(finding, root) for finding in findings]
        changed = changed_lines(environ, root) if len(placed) > MOST else None
        for finding in by_importance(placed, changed)[:MOST]:
            print(error_command(finding), file=to)
        if len(placed) > MOST:
            are = "error is" if len(placed) == MOST + 1 else "errors are"
            print(f"{len(placed) - MOST} more {are} in the summary of the job", file=to)
        to.flush()
    wrong = [_summarize(outcome, environ), _put_out(outcome, environ)]
    for message in filter(None, wrong):
        print(f"error: {message}", file=to)
    return outcome.exit_code or (errors.CONFIGURATION if any(wrong) else errors.SUCCESS)


# --- errors on lines -------------------------------------------------------------------------


def problem_findings(problems: Iterable[Problem]) -> list[Finding]:
    """Every problem as a finding of its rule."""
    from reconciler.model import Source
    from reconciler.render.findings import RULES, Finding

    return [
        Finding(Source(p.path, p.line, p.column), p.rule, RULES[p.rule], p.message)
        for p in problems
    ]


def error_findings(outcome: Outcome) -> list[Finding]:
    """Findings about the end of a command: every problem in its place, or the one sentence."""
    if not outcome.error or outcome.problems:
        return problem_findings(outcome.problems)
    from reconciler.model import NOWHERE
    from reconciler.render.findings import Finding

    title = _TITLES.get(outcome.exit_code, "error")
    return [Finding(NOWHERE, "error", title, outcome.error)]


def _findings(outcome: Outcome) -> list[Finding]:
    """Findings about the faults that the document lists."""
    if (document := outcome.document or outcome.planned) is None:
        return []
    from reconciler.model import Checkup, Plan, Report
    from reconciler.outcome import Proofs
    from reconciler.render import findings

    if isinstance(document, Report):
        return findings.report_findings(document)
    if isinstance(document, Checkup):
        return findings.checkup_findings(document)
    if isinstance(document, Proofs):
        return findings.proof_findings(document.proofs, document.sources)
    if not isinstance(document, Plan):
        return []
    judged = tuple(change for change in document.changes if change.name not in outcome.rest)
    return findings.plan_findings(replace(document, changes=judged))


def _placed(finding: Finding, root: Path) -> Finding:
    """The finding with its path from the root, and without a secret."""
    source = replace(finding.source, path=_below(root, finding.source.path))
    texts = redact(finding.title), redact(finding.message)
    return replace(finding, source=source, title=texts[0], message=texts[1])


def _root(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("GITHUB_WORKSPACE") or Path.cwd())


def _below(root: Path, path: str) -> str:
    """The path from the root, where it leads there; as it is otherwise."""
    if not path:
        return path
    typed = Path.cwd() / path
    real = Path(os.path.realpath(typed)), Path(os.path.realpath(root))
    ways = [(Path(os.path.normpath(typed)), root), real]
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
                _write_sarif(path, problem_findings(exc.problems))
            except ConfigurationError as unwritable:
                print(f"error: {unwritable.message}", file=sys.stderr)
        raise
    if path is not None:
        _write_sarif(path, [])


def _write_sarif(path: Path, findings: Iterable[Finding]) -> None:
    from reconciler import __version__
    from reconciler.ci.sarif import sarif_json
    from reconciler.console import write_file

    root = _root(os.environ)
    write_file(path, sarif_json([_placed(finding, root) for finding in findings], __version__))


# --- the page and the outputs ------------------------------------------------------------------


def _summarize(outcome: Outcome, environ: Mapping[str, str]) -> str:
    """Add the page to the summary of the job; what went wrong with that, or ""."""

    def page(there: int) -> str:
        from reconciler.ci.summary import cut_markdown, page_markdown, summary_markdown

        findings = [_placed(finding, _root(environ)) for finding in error_findings(outcome)]
        text = redact(summary_markdown(page_markdown(outcome), findings))
        return cut_markdown(text, MOST_SUMMARY_BYTES - there)

    return _append("GITHUB_STEP_SUMMARY", page, environ)


def _put_out(outcome: Outcome, environ: Mapping[str, str]) -> str:
    """Add the outputs of the step; what went wrong with that, or ""."""

    def outputs(_: int) -> str:
        from reconciler.ci.outputs import outputs_text

        return outputs_text(outcome)

    return _append("GITHUB_OUTPUT", outputs, environ)


def _append(variable: str, text: Callable[[int], str], environ: Mapping[str, str]) -> str:
    """Add a text to the file that a variable names, if it does; what went wrong, or "".

    `text` is told how many bytes the file has.
    """
    if not (path := environ.get(variable)):
        return ""
    try:
        there = Path(path).stat().st_size if Path(path).exists() else 0
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text(there))
    except OSError as exc:
        fix = "name a file that can be written, or unset the variable"
        return f"{variable}: {path} cannot be written: {exc.strerror}; {fix}"
    return ""
