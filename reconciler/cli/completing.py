"""Arguments and options that are names, for which the completion of a shell offers those that the
YAML declares.

It offers what can be read of them and says nothing of the rest: a shell would show an error as
names. Nothing heavy is imported at the top: see `options`.
"""

from pathlib import Path, PurePosixPath
from typing import Any

import typer

_ENVIRONMENT, _MODEL = "Environment", "Model"


def binding_argument(metavar: str, text: str) -> Any:
    """An argument that names bindings."""
    return typer.Argument(metavar=metavar, autocompletion=_bindings, help=text)


def globs_option(long: str, short: str, text: str) -> Any:
    """An option that takes patterns of names of bindings."""
    return typer.Option(long, short, metavar="GLOB", autocompletion=_bindings, help=text)


def environment_option(*names: str, text: str, **how: Any) -> Any:
    """An option that names an environment."""
    return typer.Option(*names, autocompletion=_environments, help=text, **how)


def _environments(context: typer.Context, incomplete: str) -> list[str]:
    names = {name for kind, name, _ in _named(context) if kind == _ENVIRONMENT}
    return sorted(name for name in names if name.startswith(incomplete))


def _bindings(context: typer.Context, incomplete: str) -> list[str]:
    """The bindings that begin so, of the environment that was named before."""
    named, chosen = _named(context), context.params
    wanted = chosen.get("environment") or chosen.get("from_")
    tops = [folder for kind, name, folder in named if (kind, name) == (_ENVIRONMENT, wanted)]
    top = tops[0] if tops else PurePosixPath()
    bound = (entry for entry in named if entry[0] not in (_ENVIRONMENT, _MODEL))
    names = {name for _, name, folder in bound if folder.is_relative_to(top)}
    return sorted(name for name in names if name.startswith(incomplete))


def _named(context: typer.Context) -> list[tuple[str, str, PurePosixPath]]:
    """Kind, name and folder of what is declared; nothing where the folder cannot be read."""
    from reconciler import desired
    from reconciler.errors import ConfigurationError
    from reconciler.platforms import platforms

    services: Path = context.params["services"]
    try:
        return desired.names(services, platforms())
    except ConfigurationError:
        return []
