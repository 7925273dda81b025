"""Whether this machine has the programs that commands run, and the modules of Python scripts."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.model import Binding, Check, Level
from reconciler.platforms.commands import environ_with
from reconciler.platforms.local.pointer import FileAddress

_PYTHON = re.compile(r"python[0-9.]*")
# Asked of the very interpreter, which looks where it would for the script; no module is run.
_WHICH_LACK = (
    "import importlib.util as i, sys; sys.path[0] = sys.argv[1]; "
    "print(*(name for name in sys.argv[2:] if i.find_spec(name) is None))"
)
_MOST_S = 30.0


def checks_of(
    folder: Path, variables: Sequence[str], bindings: Iterable[Binding]
) -> Iterator[Check]:
    """A finding for each program that is not there, and each script that lacks a module. Reloads
    run in `folder`, trainings below `root`, both with these environment variables."""
    environ = environ_with(variables)
    path = environ.get("PATH", os.defpath)
    asked: set[tuple[str, Path]] = set()
    for binding in bindings:
        for what, command, place in _commands(folder, binding):
            program = shlex.split(command)[0]
            # A path leads there from the folder that the command runs in.
            if program_path := shutil.which(
                str(place / program) if "/" in program else program, path=path
            ):
                if (command, place) not in asked:
                    asked.add((command, place))
                    yield from _modules(program_path, command, place, environ, binding)
                continue
            why = f"{what}: this machine has no program {program}"
            fix = "install it, or correct the command"
            yield Check("program", Level.ERROR, why, fix, binding.source, (binding.name,))


def _commands(folder: Path, binding: Binding) -> Iterator[tuple[str, str, Path]]:
    recipe = binding.recipe
    if recipe.engine == "local":
        yield "the training", dict(recipe.how)["command"], Path(recipe.folder or folder)
    if isinstance(binding.address, FileAddress) and binding.address.serving.reload:
        yield "the reload", binding.address.serving.reload, folder


def _modules(
    program: str, command: str, place: Path, environ: Mapping[str, str], binding: Binding
) -> Iterator[Check]:
    """A finding where a Python script imports, always and first of all, what its Python lacks."""
    words = shlex.split(command)
    if not (_PYTHON.fullmatch(Path(program).name) and len(words) > 1 and words[1].endswith(".py")):
        return
    script = place / words[1]
    try:
        names = sorted(set(_imported(ast.parse(script.read_bytes()))))
    except (OSError, SyntaxError, ValueError) as exc:
        why = f"{words[1]} cannot be read as Python: {exc}"
        yield Check("modules", Level.ERROR, why, "correct it", binding.source, (binding.name,))
        return
    asks = [program, "-c", _WHICH_LACK, str(script.parent.resolve()), *names]
    try:
        done = subprocess.run(
            asks,
            cwd=place,
            env=environ,
            capture_output=True,
            text=True,
            timeout=_MOST_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        why = f"{program} does not say which modules it has: {type(exc).__name__}"
        yield Check("modules", Level.WARNING, why, "", binding.source, (binding.name,))
        return
    if lacks := done.stdout.split():
        why = f"{words[1]} imports {', '.join(lacks)}, which {program} does not have"
        fix = "install it for that Python, or name another Python in the command"
        yield Check("modules", Level.ERROR, why, fix, binding.source, (binding.name,))


def _imported(script: ast.Module) -> Iterator[str]:
    """The packages that are imported whenever the script runs: what is below a condition may not
    be needed."""
    for node in script.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
