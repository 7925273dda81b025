"""The offer of a platform: its block of an Environment, its kinds of endpoints, its engines.

What the engine asks of a target and a trainer is in contract.py; here is what the desired state
and whoever connects must know before any of them exists.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.model import Address, Check, Creation, Environment, SecretName

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from reconciler.errors import Problem
    from reconciler.http.client import Http
    from reconciler.http.credentials import AccessToken
    from reconciler.http.origins import Origins
    from reconciler.http.urls import Origin
    from reconciler.model import Auth, Binding, ModelRef, Recipe, Source
    from reconciler.platforms.contract import Registry, Target, Trainer
    from reconciler.stores.contract import Place, Store

Turn = Callable[[str], AbstractContextManager[Callable[[], None]]]

# Makes the address of a binding's spec; ValueError: there cannot be such a one.
AddressMaker = Callable[[Mapping[str, Any], Environment], Address]
# Makes of the JSON object in a file what is wanted of it; ValueError: it cannot be used.
Maker = Callable[[dict[str, Any]], Any]

# The names of the secrets that some bindings, and some kinds, need.
Secrets = Callable[[Any, Iterable["Binding"], Collection[str]], Iterable[SecretName]]


@dataclass(frozen=True)
class Wanted:
    """A way to make a value of a JSON file that a block names: `make` is called once per file.

    `beginning` is how a right one begins, and `no_secrets` what to do about one in it.
    """

    make: Maker
    beginning: str
    no_secrets: str
    most_mib: int = 1


class Block(Protocol):
    """A part of a YAML document that the schema accepts, and the places in it."""

    @property
    def root(self) -> Path:
        """The folder of the whole tree."""

    @property
    def folder(self) -> Path:
        """The folder of the document's file, which names other files relative to itself."""

    @property
    def data(self) -> Mapping[str, Any]:
        """The value that is written there."""

    def at(self, *trail: str) -> Source:
        """Where a value below it is written; without a trail, the block itself."""

    def secret(self, *trail: str) -> SecretName:
        """The secret that is named (`env:NAME`) at a place below it."""

    def json_file(self, wanted: Wanted, *trail: str) -> Any:
        """The value made of the file that is named below it; ConfigurationError with its place."""

    def keep(self, text: str, *trail: str) -> str:
        """A text that is made of it, kept once for all blocks that lead to the same one."""

    def problem(self, message: str, *trail: str) -> Problem:
        """A problem with its place there."""


def lazily(path: str, name: str) -> Callable[..., Any]:
    """A function of a module, which is imported when it is asked: most commands need few."""
    return lambda *given: getattr(importlib.import_module(path), name)(*given)


@dataclass(frozen=True)
class Kind:
    """One kind of endpoint.

    `path` is its module, which is imported when it is asked. It has `live_from_export(document,
    binding)`, the state of an address in an exported document, and may have `ref_from_export`, what
    the declared version is called there; `read_only` are what an export has and no write can
    change. Of a binding's spec, as a block, `terms` says what people approve besides what
    every binding has, empty ones left out; `part` is the platform's own, a value that the binding
    keeps; `settings` are the owned ones by dotted name, made of those below `spec.settings`.
    `problems` says what the schema cannot of the spec, and of a day that is over; the other three
    are not asked where it finds any. `makes` says that an endpoint which is not there is made
    without a word of it in the spec; else `creation` says how one is made, None: not at all.
    """

    address: AddressMaker
    path: str = ""
    terms: Callable[[Block], Mapping[str, str]] = lambda _: {}
    part: Callable[[Block], object] = lambda _: None
    settings: Callable[[Block, Mapping[str, str]], Mapping[str, str]] = lambda _, written: written
    problems: Callable[[Block, date | None], Iterable[Problem]] = lambda *_: ()
    makes: bool = False
    creation: Callable[[Block, Environment], Creation | None] = lambda spec, _: (
        Creation() if spec.data.get("create") is True else None
    )
    read_only: tuple[str, ...] = ()

    @property
    def module(self) -> Any:
        """The module that serves this kind."""
        return importlib.import_module(self.path)


@dataclass(frozen=True)
class How:
    """How an engine makes the versions of a Model in an environment, for its recipe.

    `terms` are what people approve beside the recipe, in words: where secrets and data go. `files`
    is what the store calls outputs, by role, where that is not as the Model calls them. `follow` is
    what `retrain` is to follow in a registry, "" where it proposes the newest.
    """

    place: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    folder: str = ""
    terms: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    follow: str = ""


@dataclass(frozen=True)
class Engine:
    """One training engine, or one registry that versions are taken from.

    `how` is asked with a Model's `spec.training` (a block) and an environment; ConfigurationError
    where that cannot run there. `problems` says what the schema cannot of the block, wherever it is
    used, and `bad_input` why the path of an input cannot be one, "" where it can. `bad_version`
    says that of a version.
    """

    how: Callable[[Block, Environment], How]
    problems: Callable[[Block], Iterable[Problem]] = lambda _: ()
    bad_input: Callable[[str], str] = lambda _: ""
    bad_version: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True)
class Means:
    """The means by which a platform reaches its world.

    `secret` is the value of a secret by its name. `grant` gives access to a model of the store for
    a while. `token` signs in to Azure: a credential for a scope that is told to these origins only,
    in one of the ways of Auth; all worlds of a run share it. `bound` are the origins that
    RECONCILER_ORIGINS binds. `store` has the models. `halted` says why nothing may be changed any
    more, "" while it may; the client is told the same. `turn` lets one at a time do what is named,
    of all threads and runs; what it yields raises ConflictError once that is no longer so. `now` is
    the clock of the run.
    """

    http: Http
    environ: Mapping[str, str]
    secret: Callable[[SecretName], str]
    grant: Callable[[ModelRef], Place]
    token: Callable[[str, Origins, Auth], AccessToken]
    store: Store
    turn: Turn
    bound: frozenset[Origin] = frozenset()
    halted: Callable[[], str] = str
    now: Callable[[], float] = time.time

    def mark_of(self, environment: Environment) -> str:
        """The mark of an environment on a server that several machines share: as
        `Environment.mark`, but a folder is named by its whole path."""
        return f"{environment.name}@{self.store.uri}"


@dataclass(frozen=True)
class Connected:
    """The parts that a platform gives a run, each made on demand: the target of a kind, the
    trainer of a recipe, by its place and nothing else of it, and its registry of versions.

    `prefixes` are of the kinds that may hold what git has stopped declaring: what the keys of all
    addresses of the environment begin with. `checks` is what only the platform knows to look at
    for these bindings before money is spent; it reads, and a ReconcilerError of it is a finding.
    `lacks` are kinds that this connection cannot hold, as it leaves out what leads to them; no
    target of theirs is made.
    """

    target: Callable[[str], Target]
    trainer: Callable[[Recipe], Trainer]
    prefixes: Mapping[str, str] = field(default_factory=dict)
    registry: Callable[[], Registry] | None = None
    checks: Callable[[Iterable[Binding]], Iterable[Check]] = lambda _: ()
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Demo:
    """How `demo --on` shows the example of a platform, on a server of this machine.

    `path` is a module with `opened(folder)`: a context that runs the server, lets the copy of the
    example in the folder lead to it, and yields the environment variables that its commands need;
    ConfigurationError says what must be installed. Without it the server is the bundled emulator,
    seeded with `_emulator/seed.yaml` of the example. The example declares `environment`; all that
    it binds goes from version `old` to `new`, and somebody changes `drifting` behind git's back.
    `begins` says in words what serves before.
    """

    path: str
    environment: str
    drifting: str
    begins: str
    old: str = "2026-10"
    new: str = "2026-11"

    @property
    def module(self) -> Any:
        """The module that runs the server."""
        return importlib.import_module(self.path)


@dataclass(frozen=True)
class Platform:
    """One platform; `name` is also the key of its block below `spec` of an Environment.

    `schema` is the text of its fragment: `connection`, `kinds`, `engines`, `registries` and `$defs`
    (see desired/schema.py). `connection` makes of a block a frozen value of the platform's own,
    which the environment keeps. `where` is that in a word, for the titles of plans: "emulator";
    `place` is all of it that tells two worlds apart; `notice` is said before a run talks to it.
    `secrets` are the names of those that these bindings, and these kinds, need. `emulator` is the
    base URL of what stands in for the cloud, storage included, "" where nothing does. `here` says
    that it is this machine itself: its files are read and not asked for, and no snapshot has them.
    `begin` is a folder with the files that `init` writes: an environment, a model and a binding,
    which are valid as they are. `example` is the folder below `services/` of a sample that runs,
    and `demo` how that is shown.
    """

    name: str
    schema: str
    connection: Callable[[Block], Any]
    connect: Callable[[Environment, Means], Connected]
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    engines: Mapping[str, Engine] = field(default_factory=dict)
    registries: Mapping[str, Engine] = field(default_factory=dict)
    where: Callable[[Any], str] = lambda _: ""
    place: Callable[[Any], str] = lambda _: ""
    notice: Callable[[Any], str] = lambda _: ""
    secrets: Secrets = lambda *_: ()
    emulator: Callable[[Any, Mapping[str, str]], str] = lambda *_: ""
    here: bool = False
    begin: Path | None = None
    example: str = ""
    demo: Demo | None = None
