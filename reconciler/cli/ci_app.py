"""The commands below `reconciler ci`: what only makes sense in a CI job of a code host.

No `from __future__ import annotations` here, and nothing heavy at the top: see `options`.
"""

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.options import (
    SETTINGS,
    BaseOption,
    Drifting,
    DryRunOption,
    Grouped,
    Log,
    Named,
    NoteOption,
    OutOption,
    ParallelOption,
    Part,
    Printing,
    Where,
    command,
    with_a_command,
)
from reconciler.outcome import Outcome

CODE_HOST = "In a CI job of a code host"

ci = typer.Typer(
    name="ci",
    cls=Grouped,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Commands that only make sense in a CI job of a code host: today, GitHub.",
)


@ci.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    with_a_command(context)


@command(ci, CODE_HOST, "reconciler ci comment --report plan.json")
def comment(
    log: Log,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="The plan of `plan --out`, or a report of `apply --report`."),
    ] = None,
    artifact: Annotated[
        str, typer.Option("--artifact", help="Artifact with a fork's plan, instead of --report.")
    ] = "",
    pr: Annotated[
        int | None,
        typer.Option(
            "--pr", metavar="NUMBER", min=1, help="Pull request (default: the one of the job)."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the comment, and send nothing.")
    ] = False,
) -> Outcome:
    """Show a plan, or its results, on a pull request.

    There is one comment per environment, which is changed in place.
    """
    from reconciler.ci import comment as comments

    page = log.page()
    if report is not None and not artifact:
        return page.deliver(comments.comment(report, pr, dry_run=dry_run))
    if report is not None or not artifact or pr or dry_run:
        raise typer.BadParameter("give --report FILE, or --artifact NAME and nothing else")
    return page.deliver(comments.comment_on_fork(artifact))


@command(ci, CODE_HOST, "reconciler ci approved -e production --out approved")
def approved(
    out: Annotated[Path, typer.Option("--out", help="Empty folder to write the plans into.")],
    where: Named,
    log: Log,
    branch: Annotated[
        str,
        typer.Option(
            "--branch", help="Target branch of the pull requests (default: the default branch)."
        ),
    ] = "",
    commented: Annotated[
        bool, typer.Option("--commented", help="A plan that no comment shows approves nothing.")
    ] = False,
) -> Outcome:
    """Fetch the plans that merged pull requests showed.

    `apply FOLDER` does no more than they say.
    """
    from reconciler.ci import approved as plans
    from reconciler.cli import choose

    page, name = log.page(), choose.name_of(where)
    return page.deliver(plans.approved(name, branch, out, commented=commented))


@command(ci, CODE_HOST, "reconciler ci fetch snapshot-production --out snapshot.json")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The artifact.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the file of that name in it.")],
    log: Log,
    branch: Annotated[
        str,
        typer.Option(
            "--branch", help="Branch whose run published it (default: the default branch)."
        ),
    ] = "",
) -> Outcome:
    """Fetch a file that a workflow published, such as a snapshot."""
    from reconciler.ci import artifacts

    return log.page().deliver(artifacts.fetch(name, branch, out))


@command(ci, CODE_HOST, "reconciler ci drift-issue -e production", "drift-issue")
def drift_issue(
    where: Where,
    printing: Printing,
    out: OutOption = None,
    note: NoteOption = False,
    parallel: ParallelOption = None,
) -> Outcome:
    """Say in one issue what was changed outside git.

    Opens the issue, changes it, or closes it.
    """
    from reconciler.ci.drift_issue import tell
    from reconciler.cli import commands

    page, how = printing.page(), Drifting(out, note=note)
    outcome = commands.drift(where, Part(parallel=parallel), how)
    return page.deliver(tell(outcome))


@command(ci, CODE_HOST, "reconciler ci propose -e production --base main")
def propose(
    where: Where, log: Log, base: BaseOption = "", dry_run: DryRunOption = False
) -> Outcome:
    """Propose what `retrain` would write as one pull request.

    Says why, and what merging it would do.
    """
    from reconciler.cli import retrain

    return log.page().deliver(retrain.propose(where, base, dry_run=dry_run))
