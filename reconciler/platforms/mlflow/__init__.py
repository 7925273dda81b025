"""MLflow: registered models that versions come from, and their aliases, which servers follow."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError
from reconciler.http.urls import named, why_not_asked
from reconciler.model import (
    METRICS,
    MODEL,
    NOWHERE,
    REGISTERED_AT,
    Check,
    Level,
    SecretName,
    Source,
)
from reconciler.platforms.answers import server_problems, server_terms
from reconciler.platforms.platform import Connected, Demo, Engine, How, Kind, Platform, lazily

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from reconciler.model import Binding, Environment, Recipe
    from reconciler.platforms.contract import Registry, Target, Trainer
    from reconciler.platforms.mlflow.rest import Mlflow
    from reconciler.platforms.platform import Block, Means

NAME = "mlflow"
_MODULE = f"{__name__}.alias"
_API = re.compile(r"/(ajax-)?api(/[0-9.]+(/.*)?)?$")
_OF_THE_API = "leads to the server's API; write the URL without /api and what follows"


@dataclass(frozen=True)
class Connection:
    """A tracking server: its URL without a slash at the end, and the names of what signs in.

    `user` has a name beside a `secret` that is a password; of a token there is only the secret.
    """

    url: str
    secret: SecretName | None = None
    user: str = ""
    source: Source = field(default=NOWHERE, compare=False)


def _connection(block: Block) -> Connection:
    """The connection in `spec.mlflow`: the server, and whose secret opens it."""
    written = block.data
    url = written["url"].rstrip("/")
    problems = []
    if why := why_not_asked(url) or (_OF_THE_API if _API.search(url) else ""):
        problems.append(block.problem(why, "url"))
    if "token" in written and "password" in written:
        problems.append(block.problem("token and password are both here; take one out", "token"))
    if ("user" in written) != ("password" in written):
        missing = "password" if "user" in written else "user"
        problems.append(block.problem(f'"{missing}" is missing; a user signs in with both'))
    if problems:
        raise ConfigurationError(problems)
    secret = next((block.secret(n) for n in ("token", "password") if n in written), None)
    return Connection(url, secret, written.get("user", ""), block.at("url"))


def _connect(environment: Environment, means: Means) -> Connected:
    """The parts of one tracking server for a run: aliases, and registries of versions."""
    from reconciler.platforms.mlflow.rest import Mlflow, credential_of

    connection = environment.connections[NAME]
    assert isinstance(connection, Connection)

    mark = means.mark_of(environment)

    def server() -> Mlflow:
        secret = means.secret(connection.secret) if connection.secret else ""
        credential = credential_of(connection.url, secret, connection.user, means.bound)
        return Mlflow(means.http, connection.url, credential)

    def target(_: str) -> Target:
        from reconciler.platforms.mlflow.alias import ModelAliases

        return ModelAliases(server(), mark, means.store, means.http, means.turn)

    def trainer(_: Recipe) -> Trainer:
        raise AssertionError("MLflow trains nothing")

    def registry() -> Registry:
        from reconciler.platforms.mlflow.publishing import Publisher
        from reconciler.platforms.mlflow.registry import MlflowRegistry

        mlflow = server()
        return MlflowRegistry(mlflow, Publisher(mlflow, mark, means.store, means.turn))

    def checks(_: Iterable[Binding]) -> Iterator[Check]:
        server().models(1)
        yield Check(f"platform {NAME}", Level.FINE, f"{connection.url} lets us read")

    return Connected(target, trainer, {"ModelAlias": "aliases/"}, registry, checks)


def _secrets(
    connection: Connection, bindings: Iterable[Binding], kinds: Collection[str]
) -> Iterator[SecretName]:
    """The secrets that the connection names, where something of the run needs it."""
    used = any(
        NAME in dict(b.publish) or (b.recipe.engine, b.recipe.place) == ("registry", NAME)
        for b in bindings
    )
    if connection.secret is not None and (used or "ModelAlias" in kinds):
        yield connection.secret


def _how(registry: Block, environment: Environment) -> How:
    """Which registered model, and which file of a version: the whole artifact as one archive, where
    none is named."""
    connection = environment.connections[NAME]
    assert isinstance(connection, Connection)
    name, path = registry.data[NAME], registry.data.get("path", "")
    return How(
        place=NAME,
        settings={"name": name} | ({"path": path} if path else {}),
        terms={REGISTERED_AT: f"{connection.url} {name}"},
        files={MODEL: path.rpartition("/")[2] or "model.zip", METRICS: "metrics.json"},
        follow=registry.data.get("follow", {}).get("alias", ""),
    )


def _bad_version(version: str) -> str:
    if version.isdecimal() and not version.startswith("0"):
        return ""
    return (
        'is no version of a registered model; write its number, such as "7" (an alias moves '
        "without a review; spec.registry.follow lets retrain propose where it leads)"
    )


PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=_connection,
    connect=_connect,
    registries={NAME: Engine(_how, bad_version=_bad_version)},
    kinds={
        "ModelAlias": Kind(
            lazily(_MODULE, "address"), _MODULE, terms=server_terms, problems=server_problems
        )
    },
    where=lambda connection: named(connection.url).partition("://")[2],
    place=lambda connection: connection.url,
    secrets=_secrets,
    begin=Path(__file__).parent / "begin",
    example="_mlflow",
    demo=Demo(f"{__name__}.demo", "wines", "wine-champion", "nothing is served yet", "1", "2"),
)
