"""The value that a command returns. One place prints it, and one tells it to the CI job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler import errors

if TYPE_CHECKING:
    from reconciler.errors import Problem, ReconcilerError
    from reconciler.model import (
        Checkup,
        Compared,
        Explanation,
        History,
        NotManaged,
        Plan,
        Proof,
        Report,
        Source,
    )
    from reconciler.render import Look, StatusRow


@dataclass(frozen=True)
class Statuses:
    """How each endpoint is doing; `unmanaged` is None where nobody looked."""

    rows: tuple[StatusRow, ...]
    unmanaged: NotManaged | None = None


@dataclass(frozen=True)
class Proofs:
    """The proofs of `verify`; `sources` says by address where each binding is written."""

    proofs: tuple[Proof, ...]
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class Valid:
    """How many bindings each environment of a valid desired state has."""

    counts: Mapping[str, int]


@dataclass(frozen=True)
class Kept:
    """JSON, Markdown or a diff, printed as it is; `page` is Markdown for the summary of a job."""

    text: str
    page: str = ""


Shown: TypeAlias = "Checkup | Plan | Report | History | Explanation | Compared | Statuses | Proofs"
Document: TypeAlias = "Shown | Valid | Kept"


@dataclass(frozen=True)
class File:
    """A file that a command writes: `output` names it for later steps of a CI job, `note` for
    people. Without `content` it was written before."""

    output: str
    path: Path
    content: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command.

    `planned` is the plan that a run began with, which was shown before it was approved. Bindings
    in `rest` are shown and not judged. `has_changes` is for what neither plan nor report says.
    `error` is what ended the command, with every one of its problems; "" where nothing did.
    """

    document: Document | None = None
    exit_code: int = errors.SUCCESS
    files: tuple[File, ...] = ()
    planned: Plan | None = None
    rest: frozenset[str] = frozenset()
    has_changes: bool | None = None
    error: str = ""
    problems: tuple[Problem, ...] = field(default=(), repr=False)

    def ended_by(self, error: ReconcilerError) -> Outcome:
        """This outcome, ended by an error."""
        problems = error.problems if isinstance(error, errors.ConfigurationError) else ()
        ended = replace(self, exit_code=error.exit_code, error=error.message)
        return replace(ended, problems=problems)


def rendered(document: Shown, form: str, look: Look | None = None) -> str:
    """The document as `text` (which looks so), `json` or `markdown`."""
    from reconciler import model, render

    made: tuple[Callable[..., str], Callable[..., str], Callable[..., str]]
    value: Any = document
    if isinstance(document, model.Plan):
        made = render.plan_text, render.plan_json, render.plan_markdown
    elif isinstance(document, model.Report):
        made = render.report_text, render.report_json, render.report_markdown
    elif isinstance(document, model.History):
        made = render.history_text, render.history_json, render.history_markdown
    elif isinstance(document, model.Explanation):
        made = render.explanation_text, render.explanation_json, render.explanation_markdown
    elif isinstance(document, model.Compared):
        made = render.comparison_text, render.comparison_json, render.comparison_markdown
    elif isinstance(document, model.Checkup):
        made = render.checkup_text, render.checkup_json, render.checkup_markdown
    elif isinstance(document, Statuses):
        forms = render.status_text, render.status_json, render.status_markdown
        text, json, markdown = (partial(f, unmanaged=value.unmanaged) for f in forms)
        made, value = (text, json, markdown), value.rows
    else:
        made, value = (render.proofs_text, render.proofs_json, render.proofs_markdown), value.proofs
    if form == "text":
        return made[0](value, look or render.Look())
    return made[1](value) if form == "json" else made[2](value)
