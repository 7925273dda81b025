"""A command of the repository that trains, whichever engine runs it.

In it {inputs.NAME}, {parameters.NAME}, {outputs.model} and {outputs.metrics} stand for paths and
texts. It is split into words once, as a shell would, and never run by one: a parameter with a blank
or a quote stays one word.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.errors import ConfigurationError, Problem, remember_secret
from reconciler.platforms.code import digest_of
from reconciler.platforms.platform import Block, How
from reconciler.secrecy import holds_secret

_PLACEHOLDER = re.compile(r"\{(inputs|parameters|outputs)\.([^{}\s]*)\}")


def how_of(training: Block, **settings: str) -> How:
    """The part of a Model's training that goes into the recipe: command, code and the engine's
    settings."""
    command = {"command": training.data["command"], **settings}
    if "code" not in training.data:
        return How(settings=command)
    named = training.data["code"]
    folder = Path(os.path.realpath(training.folder / named))
    if not folder.is_relative_to(os.path.realpath(training.root)):
        why = f'"{named}" is not below {training.root}; keep code beside its model'
        raise ConfigurationError([training.problem(why, "code")])
    try:
        digest = digest_of(folder)
    except ConfigurationError as exc:
        raise ConfigurationError([training.problem(exc.message, "code")]) from exc
    terms = {"the code of the training": digest[:12]}
    return How(settings=command, code=digest, folder=str(folder), terms=terms)


def problems_of(training: Block) -> Iterator[Problem]:
    """The problems of a training's command that the schema cannot see."""
    given = training.data
    if why := problem_of(given["command"]):
        yield training.problem(why, "command")
    for placeholder in _PLACEHOLDER.finditer(given["command"]):
        known = given.get(placeholder[1], {})
        if placeholder[2] not in known:
            fix = f'declare "{placeholder[2]}" below {placeholder[1]}'
            why = f"{placeholder[0]} stands for nothing; {fix}"
            yield training.problem(why, "command")
    if "{outputs.model}" not in given["command"]:
        why = "it is not told where the model goes; write {outputs.model}"
        yield training.problem(why, "command")


def problem_of(command: str) -> str:
    """Why a command cannot be split into words, as a shell would; "" where it can."""
    try:
        words = shlex.split(command)
    except ValueError as exc:
        return f"{str(exc).lower()}; close it, or put a backslash before it"
    return "" if words and words[0] else "it names no program"


def words_of(command: str, given: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The words of a command, each placeholder replaced by what is given below its group.

    ConfigurationError where it stands for nothing.
    """

    def value(match: re.Match[str]) -> str:
        if match[2] not in given[match[1]]:
            raise ConfigurationError(
                f"spec.training.command: there is nothing that {match[0]} stands for; declare "
                f'"{match[2]}" below {match[1]}'
            )
        return given[match[1]][match[2]]

    return [_PLACEHOLDER.sub(value, word) for word in shlex.split(command)]


# --- the environment of a command on this machine: no secret of this process but those it names ---

INHERITED = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("PYTHONPATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SSL_CERT_FILE"),
)


def environ_with(variables: Sequence[str]) -> dict[str, str]:
    """The usual environment variables and these, as far as they are set."""
    return {name: os.environ[name] for name in (*INHERITED, *variables) if name in os.environ}


def remember_secrets_of(variables: Sequence[str]) -> None:
    """Hide the values of variables that their names call secret: a command may print them."""
    for name in filter(holds_secret, variables):
        remember_secret(os.environ.get(name, ""))
