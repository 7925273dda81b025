"""The commands with which a person begins.

No `from __future__ import annotations` here, and nothing heavy at the top: see `options`.
"""

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.begin_options import Beginning
from reconciler.cli.options import DryRunOption, Log, Part, Printing, Where, command
from reconciler.outcome import Outcome

BEGIN = "Begin"

begin = typer.Typer()


@command(begin, BEGIN, "reconciler init --platform local --example")
def init(
    how: Beginning,
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="The repository (default: this folder).")
    ] = Path(),
) -> Outcome:
    """Write the first files of a repository of endpoints.

    Asks on a terminal for what no option says. Nothing that exists is overwritten.
    """
    from reconciler.cli.begin import init as begun
    from reconciler.cli.output import Page

    return Page().deliver(begun(folder, how))


@command(begin, BEGIN, "reconciler doctor -e production")
def doctor(where: Where, part: Part, printing: Printing) -> Outcome:
    """Look for what would fail a run, before anything is spent.

    Sends only GET, HEAD and scoring requests.
    """
    from reconciler.cli.doctor import doctor as looked

    return printing.page().deliver(looked(where, part))


@command(begin, BEGIN, "reconciler import 'fraud-*' -e production --dry-run", "import")
def import_(
    where: Where,
    log: Log,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GLOB]...", help="Names or addresses (default: all)."),
    ] = None,
    dry_run: DryRunOption = False,
) -> Outcome:
    """Write YAML for endpoints that are live and not declared.

    Reads the platforms only, edits no file that is there, and changes no endpoint.
    """
    from reconciler.cli.importing import import_ as imported

    return log.page().deliver(imported(where, names or [], dry_run=dry_run))
