"""`reconciler init`: the files that a repository of endpoints begins with.

Nothing that exists is overwritten. What was written is taken away again where the desired state is
not valid with it, so a repository is never left worse than it was.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from shlex import quote

import typer

from reconciler import desired
from reconciler.cli import choose, compose, session
from reconciler.cli.begin_options import Beginning, CodeHost
from reconciler.cli.editing import Made, repository
from reconciler.cli.options import SERVICES, Where
from reconciler.console import say
from reconciler.errors import ConfigurationError
from reconciler.model import Desired, StoreUrl
from reconciler.outcome import Outcome, Valid
from reconciler.platforms import platforms
from reconciler.platforms.platform import Platform

IGNORED = ("plan.json", "report.json", "report.html", "snapshot.json")
ENVIRONMENT = Path("environment.yaml")
SCHEMA = Path("schemas") / "reconciler.schema.json"
_NAME = re.compile(r"(?<=^metadata: \{name: )[^,}]+", re.MULTILINE)
_STORE = re.compile(r"(?<=^  store: )(?:\{.*?\}|\S+)", re.MULTILINE)
_STORE_URL = re.compile(r"[A-Za-z0-9_.~/:-]+")  # no reader of YAML takes these for anything else


def init(folder: Path, how: Beginning) -> Outcome:
    """`init`: what is valid afterwards; ConfigurationError, and no file, where nothing is."""
    platform = _chosen(how.platform)
    sample = _sample(platform, example=how.example, existing=how.existing)
    first = (sample / ENVIRONMENT).read_text(encoding="utf-8")
    name = _answer("Name of the environment", how.environment, _NAME.findall(first)[0], _named)
    state = folder / "services" / name
    begun = os.path.exists(state / ENVIRONMENT)  # noqa: PTH110 - no name raises
    existing = how.existing or (not (begun or how.example) and _run_already())
    in_sample = "Store for models (empty: as in the sample)"
    store = "" if begun else _answer(in_sample, how.store, "", partial(_with_store, first))
    host = how.ci or _answer(f"CI ({', '.join(CodeHost)})", None, CodeHost.NONE, _hosted)
    made = Made()
    try:
        known = desired.models(folder / "services")
        if begun:
            say(f"{state} is there already, and nothing is added to it")
        for path, content in () if begun else _files(sample, name, store, existing=existing):
            if path.parts[0] == "models" and path.stem in known:
                say(f"the model {path.stem} is there already: {path.stem}.yaml binds that one")
            else:
                made.write(state / path, content)
        made.write(folder / SCHEMA, compose.schema_text().encode())
        made.write(folder / ".gitignore", "".join(f"{path}\n" for path in IGNORED).encode())
        made.tell_git(folder)
        environments = compose.load(folder / "services")
        if name not in environments:
            why = f"{state / 'environment.yaml'} names another environment"
            raise ConfigurationError(f"{why}; write its name, or another one, after -e")
        if keeps := _folder_of(environments[name].environment.store):
            # Git keeps the folder, and nothing of what is in it.
            made.write(state / keeps / ".gitignore", b"*\n!.gitignore\n")
        if host == CodeHost.GITHUB:
            for below, content in _of_host(folder, environments[name], platform, how.action):
                made.write(folder / ".github" / below, content)
    except BaseException:
        made.undo()
        raise
    _say_next(folder, environments[name])
    return Outcome(Valid({e: len(environments[e].bindings) for e in sorted(environments)}))


def _chosen(name: str | None) -> Platform:
    those = sorted(platforms().items(), key=lambda item: not item[1].here)  # it needs nothing else
    known = {key: platform for key, platform in those if platform.begin is not None}
    if name is None and not _can_ask():
        raise typer.BadParameter(f"there is no terminal to ask; pass --platform {'|'.join(known)}")

    def check(choice: str) -> None:
        if choice not in known:
            there_is = ", ".join(known)
            raise typer.BadParameter(f'there is no platform "{choice}"; there is: {there_is}')

    return known[_answer(f"Platform ({', '.join(known)})", name, next(iter(known)), check)]


def _named(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,126}[a-z0-9])?", name) or name.isdecimal():
        raise ConfigurationError(f'"{name}" is no name of an environment; write one such as home')


def _hosted(host: str) -> None:
    if host not in list(CodeHost):
        raise typer.BadParameter(f'there is no CI "{host}"; there is: {", ".join(CodeHost)}')


def _run_already() -> bool:
    """Whether a person says that endpoints run already, which `import` declares."""

    def check(answer: str) -> None:
        if answer not in ("no", "yes"):
            raise typer.BadParameter("write yes or no")

    return _answer("Do endpoints run there already? (no, yes)", None, "no", check) == "yes"


def _sample(platform: Platform, *, example: bool, existing: bool) -> Path:
    """The folder of the files that are written."""
    if example and existing:
        raise typer.BadParameter("--example and --existing exclude each other; leave one out")
    if example and not platform.example:
        raise typer.BadParameter(f"there is no sample of {platform.name} yet; leave --example out")
    assert platform.begin is not None
    return compose.shipped(f"services/{platform.example}") if example else platform.begin


def _answer(question: str, given: str | None, default: str, check: Callable[[str], object]) -> str:
    """The answer of the command line, else that of a person, else the default.

    `check` raises for an answer that cannot be: a person is asked again, a given one is an error.
    """
    asks = given is None and _can_ask()
    while True:
        if asks:
            say(f"{question} [{default}]: ", end="")
            given = sys.stdin.readline().strip()
        try:
            check(given or default)
        except (ConfigurationError, typer.BadParameter) as exc:
            if not asks:
                raise
            say(str(exc))
        else:
            return given or default


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _files(sample: Path, name: str, store: str, *, existing: bool) -> Iterator[tuple[Path, bytes]]:
    """The files of a sample, with the name of the environment and its store; where endpoints are
    `existing`, not those of a model and a binding. A clone may hold what somebody made who tried
    the sample there: git leaves that out, and so does this."""
    ignored = sample / ".gitignore"
    lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.is_file() else []
    left_out = {"__pycache__", *(line.strip("/") for line in lines)}
    for path in sorted(sample.rglob("*")):
        below = path.relative_to(sample)
        hidden = any(part.startswith(".") for part in below.parts) and path != ignored
        if hidden or left_out & set(below.parts) or not path.is_file():
            continue
        if existing and below != ENVIRONMENT and below.suffix != ".md":
            continue
        content = path.read_bytes()
        if below == ENVIRONMENT:
            text = _NAME.sub(lambda _: name, content.decode(), count=1)
            content = _with_store(text, store).encode()
        yield below, content


def _with_store(text: str, store: str) -> str:
    """The sample's environment with this store; ConfigurationError where it does not fit in."""
    if not store:
        return text
    if not (_STORE.search(text) and _STORE_URL.fullmatch(store)):
        raise ConfigurationError(
            f'the store "{store}" cannot be written into this sample; leave --store out, and edit '
            "environment.yaml afterwards"
        )
    return _STORE.sub(lambda _: store, text, count=1)


def _of_host(
    folder: Path, desired: Desired, platform: Platform, action: str | None
) -> Iterator[tuple[str, bytes]]:
    """The workflows and owners of the environment."""
    from reconciler.ci import workflows

    root = repository(folder)
    if root not in (None, Path(os.path.realpath(folder))):
        raise ConfigurationError(
            f"GitHub reads workflows at the root of a repository only; run init in {root}"
        )
    name, seed = desired.environment.name, f"services/{desired.environment.name}/_emulator"
    emulated = compose.emulator_of(desired.environment) and (folder / seed).is_dir()
    how = workflows.Wanted(
        workflows.action_of(action or ""),
        name,
        seed if emulated else "",
        tuple(dict.fromkeys(compose.secret_variables(desired))),
        platform.here,
    )
    if how.action.startswith(workflows.OWNER):
        say(f"write the owner of your copy of this program for OWNER in {folder / '.github'}")
    if place := _folder_of(desired.environment.store):
        say(
            f"jobs do not share {place}: before the first one write a bucket, or a folder outside "
            f"the repository, as the store of {name}"
        )
    for path, text in workflows.texts(compose.shipped(".github/workflows"), how):
        yield path, text.encode()


def _folder_of(store: StoreUrl) -> str:
    """The path of a store that lies in the repository, "" of any other."""
    scheme, place, _ = store.parts
    return "" if scheme or Path(place).is_absolute() else place


def _say_next(folder: Path, desired: Desired) -> None:
    """Tell what is still to be done by hand, in the order in which it is needed."""
    ignored = list[str]()
    with contextlib.suppress(OSError):  # what is there may be no file
        ignored = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").split()
    if missing := [name for name in IGNORED if name not in ignored]:
        say(f"add to {folder / '.gitignore'}: {' '.join(missing)}")
    if names := compose.secret_variables(desired):
        say(f"set the secrets that environment.yaml names: {', '.join(dict.fromkeys(names))}")
    options = choose.typed(Where(folder / SERVICES), desired.environment.name)
    git = "git" if folder == Path() else f"git -C {quote(str(folder))}"
    if repository(folder) is None:
        say(f"make it a repository: {git} init && {git} add --all && {git} commit")
    else:
        say(f"commit the files: {git} add --all && {git} commit")
    if compose.emulator_of(desired.environment):
        seed = Path(session.seed_of(desired.environment))
        say(f"start the emulator in another terminal: reconciler emulator --seed {seed}")
        if (secrets := seed.with_name("emulator.env")).is_file():
            say(f"the secrets of the emulator are in a file: set -a; . {secrets}; set +a")
    say(f"declare endpoints that run already: reconciler import {options}")
    say(f"look whether everything is in place: reconciler doctor {options}")
