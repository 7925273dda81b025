"""This machine: a command that trains, and a file that says which model a server is to serve."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from reconciler.errors import ConfigurationError, Problem
from reconciler.model import NOWHERE, Address, Binding, Check, Environment, Recipe, Source
from reconciler.platforms.answers import server_problems, server_terms
from reconciler.platforms.contract import Target, Trainer
from reconciler.platforms.platform import Block, Connected, Engine, Kind, Means, Platform, lazily

NAME = "local"
_MODULE = f"{__name__}.model_file"
_MOST_OF_A_PART = 240  # bytes; file systems take 255, and a copy has a pointer beside it


@dataclass(frozen=True)
class Local:
    """The connection of an environment to this machine.

    `folder` is that of the environment's file. `jobs` is "" where the jobs are beside the files of
    the store.
    """

    folder: str = field(compare=False)
    jobs: str = ""
    at_once: int = 2
    variables: tuple[str, ...] = ()
    source: Source = field(default=NOWHERE, compare=False)

    @cached_property
    def real_folder(self) -> str:
        """The folder without symbolic links in its path."""
        return os.path.realpath(self.folder)


def _connection(block: Block) -> Local:
    spec = block.data
    variables = tuple(spec.get("variables", ()))
    return Local(
        str(block.folder), spec.get("jobs", ""), spec.get("atOnce", 2), variables, block.at()
    )


def _connect(environment: Environment, means: Means) -> Connected:
    """The parts of this machine for one run: pointers to write, and jobs to start."""
    from reconciler.platforms.commands import remember_secrets_of

    local = environment.connections[NAME]
    assert isinstance(local, Local)
    remember_secrets_of(local.variables)

    def target(_: str) -> Target:
        from reconciler.platforms.local.model_file import ModelFiles

        given = means.store, means.http, means.halted, local.variables
        return ModelFiles(Path(local.folder), environment.mark, *given)

    def trainer(_: Recipe) -> Trainer:
        from reconciler.platforms.local.jobs import LocalJobs

        jobs, store = _jobs(local, means.store.uri), means.store.uri
        how = local.at_once, local.variables, means.halted
        return LocalJobs(jobs, store, *how)

    def checks(bindings: Iterable[Binding]) -> Iterable[Check]:
        from reconciler.platforms.local.checks import checks_of

        return checks_of(Path(local.folder), local.variables, bindings)

    return Connected(target, trainer, checks=checks)


def _jobs(local: Local, store: str) -> Path:
    """The folder of the jobs: it must last as long as the store that notes their ids."""
    if local.jobs:
        return Path(local.folder) / local.jobs
    parts = urlsplit(store)
    if parts.scheme != "file":
        raise ConfigurationError(
            f"the store {store} is no folder of this machine; say where jobs are kept: spec.local: "
            "{jobs: FOLDER}"
        )
    return Path(unquote(parts.path)) / ".jobs"


def _spec_problems(spec: Block, _: date | None) -> Iterator[Problem]:
    """Problems that would show only after a training, or after the pointer was written."""
    from reconciler.platforms.commands import problem_of

    path = spec.data["path"]
    if path.endswith("/") or os.path.isdir(spec.folder / path):  # noqa: PTH112 - no name raises
        why = f'"{path}" is a folder; name a file in it, such as {path.rstrip("/")}/model.json'
        yield spec.problem(why, "path")
    elif not path.isprintable() or path != path.strip():
        why = f'"{path}" has a blank at an end, or a character that is not printed; take it out'
        yield spec.problem(why, "path")
    elif any(len(part.encode()) > _MOST_OF_A_PART for part in path.split("/")):
        why = f"a part of it is longer than {_MOST_OF_A_PART} bytes; write a shorter name"
        yield spec.problem(why, "path")
    elif re.match(r"~[^/]*/|~$|\$|.*://", path):
        yield spec.problem(f'"{path}" is taken as it stands; write the path of a file', "path")

    if "reload" in spec.data and (why := problem_of(spec.data["reload"])):
        yield spec.problem(why, "reload")
    yield from server_problems(spec)


def _address(spec: Mapping[str, Any], environment: Environment) -> Address:
    from reconciler.platforms.local.pointer import address

    local = environment.connections[NAME]
    assert isinstance(local, Local)
    return address(spec, local.real_folder, environment.store.url)


def _terms(block: Block) -> Mapping[str, str]:
    """Commands that are run, and who is asked: a pull request that changes them is approved."""
    spec = block.data
    copy = "yes" if spec.get("copy") else ""
    return {"the reload command": spec.get("reload", ""), "a copy": copy, **server_terms(block)}


_commands = partial(lazily, "reconciler.platforms.commands")

PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=_connection,
    connect=_connect,
    kinds={"ModelFile": Kind(_address, _MODULE, _terms, problems=_spec_problems)},
    engines={
        "local": Engine(lambda model, _: _commands("how_of")(model), _commands("problems_of"))
    },
    where=lambda _: "this machine",
    place=lambda _: "this machine",
    here=True,
    begin=Path(__file__).parent / "begin",
    example="_home",
)
