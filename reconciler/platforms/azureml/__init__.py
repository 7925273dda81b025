"""Azure Machine Learning (v2): managed online endpoints of a workspace."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConfigurationError
from reconciler.model import METRICS, MODEL, REGISTERED_AT, StoreUrl
from reconciler.platforms.arm import (
    EMULATOR_VARIABLE,
    CloudName,
    EmulatorSignIn,
    arm_origins,
    emulator_base,
)
from reconciler.platforms.azureml.connection import NAME, AzureMl, azureml_of, parse
from reconciler.platforms.platform import Connected, Engine, How, Kind, Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from reconciler.errors import Problem
    from reconciler.http.credentials import AccessToken
    from reconciler.http.origins import Origins
    from reconciler.model import Binding, Environment, Recipe, SecretName
    from reconciler.platforms.azureml.assets import Assets
    from reconciler.platforms.azureml.workspace import Workspace
    from reconciler.platforms.contract import Registry, Target, Trainer
    from reconciler.platforms.platform import Block, Means
    from reconciler.stores.contract import Store

KIND = "OnlineEndpoint"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


def _connect(environment: Environment, means: Means) -> Connected:
    from reconciler.stores import Opening, open_store
    from reconciler.stores.azure_hosts import AZURE

    at, mark = azureml_of(environment), means.mark_of(environment)
    emulator, http = _emulator(at, means.environ), means.http.speaking(AZURE)

    def token(scope: str, origins: Origins) -> AccessToken:
        from reconciler.http.credentials import AccessToken

        if emulator:
            return AccessToken(EmulatorSignIn(), scope, origins)
        return means.token(scope, origins, at.auth)

    @cache  # one for the whole run: it knows which operations are under way
    def workspace() -> Workspace:
        from reconciler.platforms.azure import ARM_SCOPE
        from reconciler.platforms.azureml.workspace import Workspace

        return Workspace(http, at, token(ARM_SCOPE, arm_origins(emulator)), emulator)

    def open_at(where: StoreUrl, key: str = "") -> Store:
        folder = Path(environment.source.path).parent
        how = Opening(
            means.http, time.time, folder, emulator, means.bound, means.token, means.halted
        )
        return open_store(where, key, how)

    def blobs(account: str, container: str) -> Store:
        """A container of the workspace's own storage."""
        return open_at(StoreUrl(f"az://{account}/{container}", auth=at.auth))

    @cache
    def assets() -> Assets:
        from reconciler.platforms.azureml.assets import Assets

        return Assets(workspace(), means.store, blobs, means.secret)

    def target(_: str) -> Target:
        from reconciler.platforms.azureml.endpoint import OnlineEndpoints
        from reconciler.platforms.azureml.scoring import Scoring

        scoring = Scoring(http, workspace(), token, means.bound)
        return OnlineEndpoints(workspace(), assets(), scoring, mark)

    def registry() -> Registry:
        from reconciler.platforms.azureml.registry import AzureMlRegistry, Tracking

        tracking = Tracking(http, workspace(), token)
        return AzureMlRegistry(workspace(), assets(), tracking, mark)

    def trainer(_: Recipe) -> Trainer:
        from reconciler.platforms.azureml.jobs import CommandJobs

        data = environment.data
        opened = open_at(data, means.secret(data.key) if data.key else "")
        return CommandJobs(workspace(), assets(), Path(at.root), opened, means.store.uri)

    return Connected(target, trainer, {KIND: _key_prefix(environment)}, registry)


def _emulator(at: AzureMl, environ: Mapping[str, str]) -> str:
    """The base URL of the emulator, "" where the connection leads to Azure."""
    if at.cloud is CloudName.AZURE:
        return ""
    return emulator_base(environ.get(EMULATOR_VARIABLE, ""))


def _key_prefix(environment: Environment) -> str:
    from reconciler.platforms.azureml.endpoint import key_prefix

    return key_prefix(environment)


def _secrets(
    _: AzureMl, bindings: Iterable[Binding], kinds: Collection[str]
) -> Iterator[SecretName]:
    """The secrets that the code of deployments is given."""
    if KIND not in kinds:
        return
    from reconciler.platforms.azureml.endpoint_spec import Deployed

    for binding in bindings:
        if isinstance(binding.part, Deployed):
            yield from (n for _, n in binding.part.variables if not isinstance(n, str))


def _how_registered(registry: Block, environment: Environment) -> How:
    """Which registered model, and which file of a version: all as one archive, where none is named
    and there are several."""
    at, name, path = azureml_of(environment), registry.data[NAME], registry.data.get("path", "")
    if "follow" in registry.data:
        why = "its versions have no aliases; without this, retrain proposes the newest"
        raise ConfigurationError([registry.problem(why, "follow")])
    return How(
        place=NAME,
        settings={"name": name} | ({"path": path} if path else {}),
        terms={REGISTERED_AT: f"{at.uri} {name}"},
        files={MODEL: path.rpartition("/")[2] or "model", METRICS: "metrics.json"},
    )


def _how_trained(training: Block, environment: Environment) -> How:
    """What of a Model's training goes into the recipe, and where it runs for people to approve."""
    from reconciler.platforms.commands import how_of

    names = ("environment", "compute", "instanceType")
    how = how_of(training, **{n: training.data[n] for n in names if n in training.data})
    return replace(
        how, terms={**how.terms, "the workspace of the training": azureml_of(environment).uri}
    )


def _training_problems(training: Block) -> Iterator[Problem]:
    from reconciler.platforms.azureml.jobs import bad_name
    from reconciler.platforms.commands import problems_of

    yield from problems_of(training)
    for name in training.data.get("inputs", {}):
        if why := bad_name(name):
            yield training.problem(why, "inputs", name)
    if ("compute" in training.data) == ("instanceType" in training.data):
        yield training.problem("name where it runs: either compute, or instanceType (serverless)")


def _bad_version(version: str) -> str:
    if version.casefold() == "latest" or not _VERSION.fullmatch(version):
        return 'is no version of a registered model; write one, such as "7" (the latest one moves)'
    return ""


def _asked(name: str) -> Callable[..., Any]:
    """A function of the spec's module, which is read when a binding is declared."""
    path = f"{__name__}.endpoint_spec"
    return lambda *given: getattr(import_module(path), name)(*given)


PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=parse,
    connect=_connect,
    kinds={
        KIND: Kind(
            _asked("address"),
            f"{__name__}.endpoint",
            terms=_asked("terms_of"),
            part=_asked("deployed_of"),
            settings=_asked("settings_of"),
            problems=_asked("problems_of"),
        )
    },
    engines={NAME: Engine(_how_trained, _training_problems)},
    registries={NAME: Engine(_how_registered, bad_version=_bad_version)},
    where=lambda at: "emulator" if at.cloud is CloudName.EMULATOR else f"workspace {at.workspace}",
    place=lambda at: f"{at.cloud} {at.path}",
    secrets=_secrets,
    emulator=_emulator,
    begin=Path(__file__).parent / "begin",
)
