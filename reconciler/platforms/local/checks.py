"""Whether this machine has the programs that trainings and reloads run."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model import Check, Level
from reconciler.platforms.local.commands import environ_with
from reconciler.platforms.local.pointer import FileAddress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.model import Binding


def checks_of(
    folder: Path, root: Path, variables: Sequence[str], bindings: Iterable[Binding]
) -> Iterator[Check]:
    """A finding for each program that is not there. Reloads run in `folder`, trainings below
    `root`, both with these environment variables."""
    path = environ_with(variables).get("PATH", os.defpath)
    for binding in bindings:
        for what, command, place in _commands(folder, root, binding):
            program = shlex.split(command)[0]
            # A path leads there from the folder that the command runs in.
            if shutil.which(str(place / program) if "/" in program else program, path=path):
                continue
            why = f"{what}: this machine has no program {program}"
            fix = "install it, or correct the command"
            yield Check("program", Level.ERROR, why, fix, binding.source, (binding.name,))


def _commands(folder: Path, root: Path, binding: Binding) -> Iterator[tuple[str, str, Path]]:
    how = dict(binding.recipe.how)
    if binding.recipe.engine == "local":
        yield "the training", how["command"], root / how.get("code", "")
    if isinstance(binding.address, FileAddress) and binding.address.serving.reload:
        yield "the reload", binding.address.serving.reload, folder
