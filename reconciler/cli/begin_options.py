"""The options of `init`.

No `from __future__ import annotations` here, and nothing heavy at the top: see `options`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer


class CodeHost(StrEnum):
    """Where pull requests are made, and whose CI runs commands."""

    GITHUB = "github"
    NONE = "none"


@dataclass(frozen=True)
class Beginning:
    """The choices with which a repository begins. A terminal is asked for the missing ones."""

    platform: Annotated[
        str | None, typer.Option("--platform", help="Where endpoints are: local, ray, …")
    ] = None
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="The name of the environment.")
    ] = None
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="Where models are kept: s3://…, a folder."),
    ] = None
    ci: Annotated[CodeHost | None, typer.Option("--ci", help="Whose workflows are written.")] = None
    action: Annotated[
        str | None,
        typer.Option(
            "--action",
            metavar="OWNER/REPOSITORY@COMMIT",
            help="The program that workflows run (default: this one).",
        ),
    ] = None
    existing: Annotated[
        bool,
        typer.Option("--existing", help="Endpoints run already: write the environment only."),
    ] = False
    example: Annotated[
        bool, typer.Option("--example", help="Write a sample that runs, with its data.")
    ] = False
