"""`fetch`: a file that a workflow of the default branch published, for jobs without a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.ci import artifacts
from reconciler.ci import connection as github
from reconciler.console import say, write_file
from reconciler.errors import NotFoundError
from reconciler.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path


def fetch(name: str, branch: str, out: Path) -> Outcome:
    """`fetch`: 0 when the file of that name, from the newest artifact, is written."""
    with github.opened_on(branch, "--branch") as (door, branch):
        listed = artifacts.artifacts(door, name)
        kept = (a for a in listed if a.own and a.branch == branch and not a.expired)
        found = next(kept, None)
        if found is None:
            raise NotFoundError(
                f"no run of {branch} has an artifact {name} that is still kept; run the workflow "
                "that publishes it"
            )
        content = artifacts.files(door, found, out.name).get(out.name)
    if content is None:
        raise NotFoundError(f"artifact {name} of run {found.run} holds no {out.name}")
    write_file(out, content)
    say(f"wrote {out}, of run {found.run}")
    return Outcome()
