"""Azure Machine Learning (v2): managed online endpoints of a workspace."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import cache, cached_property, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

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
from reconciler.platforms.platform import Connected, Demo, Engine, How, Kind, Platform, lazily

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconciler.errors import Problem
    from reconciler.http.credentials import AccessToken
    from reconciler.http.origins import Origins
    from reconciler.model import Binding, Check, Environment, Recipe, SecretName
    from reconciler.platforms.azureml.assets import Assets
    from reconciler.platforms.azureml.tracking import Tracking
    from reconciler.platforms.azureml.workspace import Workspace
    from reconciler.platforms.contract import Registry, Target, Trainer
    from reconciler.platforms.platform import Block, Means
    from reconciler.stores.contract import Store

KIND = "OnlineEndpoint"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class _Reach:
    """Parts that the kinds, jobs and registry of one environment share; made when needed."""

    def __init__(self, environment: Environment, means: Means) -> None:
        from reconciler.stores.azure_hosts import AZURE

        self.at = azureml_of(environment)
        self.mark = means.mark_of(environment)
        self.http = means.http.speaking(AZURE)
        self.means = means
        self._environment = environment
        self._emulator = _emulator(self.at, means.environ)

    def token(self, scope: str, origins: Origins) -> AccessToken:
        from reconciler.http.credentials import AccessToken

        if self._emulator:
            return AccessToken(EmulatorSignIn(), scope, origins)
        return self.means.token(scope, origins, self.at.auth)

    @cached_property
    def arm(self) -> AccessToken:
        from reconciler.platforms.azure import ARM_SCOPE

        return self.token(ARM_SCOPE, arm_origins(self._emulator))

    @cached_property  # one for the whole run: it knows which operations are under way
    def workspace(self) -> Workspace:
        from reconciler.platforms.azureml.workspace import Workspace

        return Workspace(self.http, self.at, self.arm, self._emulator)

    @cached_property
    def assets(self) -> Assets:
        from reconciler.platforms.azureml.assets import Assets

        def blobs(account: str, container: str) -> Store:
            return self.open_at(StoreUrl(f"az://{account}/{container}", auth=self.at.auth))

        return Assets(self.workspace, self.means.store, blobs, self.means.secret)

    @cached_property
    def tracking(self) -> Tracking:
        from reconciler.platforms.azureml.tracking import Tracking

        return Tracking(self.http, self.workspace, self.token)

    def open_at(self, where: StoreUrl, key: str = "") -> Store:
        from reconciler.stores import Opening, open_store

        means, folder = self.means, Path(self._environment.source.path).parent
        reach = self._emulator, means.bound
        how = Opening(means.http, time.time, folder, *reach, means.token, means.halted)
        return open_store(where, key, how)


def _connect(environment: Environment, means: Means) -> Connected:
    """The parts of one workspace for a run: endpoints, jobs and its registry of versions."""
    reach = _Reach(environment, means)

    def target(_: str) -> Target:
        from reconciler.platforms.azureml.endpoint import OnlineEndpoints
        from reconciler.platforms.azureml.scoring import Scoring

        scoring = Scoring(reach.http, reach.workspace, reach.token, means.bound)
        return OnlineEndpoints(reach.workspace, reach.assets, scoring, reach.mark, means.now)

    def registry() -> Registry:
        from reconciler.platforms.azureml.registry import AzureMlRegistry
        from reconciler.platforms.azureml.shared import SharedRegistry

        @cache
        def shared(name: str) -> SharedRegistry:
            return SharedRegistry(name, reach.http, reach.token, reach.workspace.emulator)

        return AzureMlRegistry(reach.workspace, reach.assets, reach.tracking, reach.mark, shared)

    def trainer(_: Recipe) -> Trainer:
        from reconciler.platforms.azureml.jobs import WorkspaceJobs

        at = environment.data
        data = reach.open_at(at, means.secret(at.key) if at.key else "")
        spent = reach.tracking.spent
        return WorkspaceJobs(reach.workspace, reach.assets, spent, data, means.store.uri)

    def checks(bindings: Iterable[Binding]) -> Iterator[Check]:
        from reconciler.platforms.azureml.checks import Checks

        given = reach.http, reach.arm, reach.workspace, reach.assets, means.store
        return Checks(*given).of(bindings)

    return Connected(target, trainer, {KIND: _of_spec("key_prefix")(environment)}, registry, checks)


def _emulator(at: AzureMl, environ: Mapping[str, str]) -> str:
    """The base URL of the emulator, "" where the connection leads to Azure."""
    if at.cloud is CloudName.AZURE:
        return ""
    return emulator_base(environ.get(EMULATOR_VARIABLE, ""))


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
    from reconciler.platforms.azureml.ids import shared_in

    at, name, path = azureml_of(environment), registry.data[NAME], registry.data.get("path", "")
    if "follow" in registry.data:
        why = "its versions have no aliases; without this, retrain proposes the newest"
        raise ConfigurationError([registry.problem(why, "follow")])
    return How(
        place=NAME,
        settings={"name": name} | ({"path": path} if path else {}),
        terms={REGISTERED_AT: name if shared_in(name)[0] else f"{at.uri} {name}"},
        files={MODEL: path.rpartition("/")[2] or "model", METRICS: "metrics.json"},
    )


def _how_trained(training: Block, environment: Environment) -> How:
    """The part of a Model's training that goes into the recipe, and where it runs for people to
    approve."""
    from reconciler.platforms.commands import how_of

    given = training.data
    names = ("pipeline", "environment", "compute", "instanceType")
    settings = {name: given[name] for name in names if name in given}
    how = How(settings=settings) if "pipeline" in given else how_of(training, **settings)
    return replace(
        how, terms={**how.terms, "the workspace of the training": azureml_of(environment).uri}
    )


def _training_problems(training: Block) -> Iterator[Problem]:
    """Problems of a training that would otherwise show only in the workspace."""
    from reconciler.platforms.azureml.jobs import bad_name
    from reconciler.platforms.code import why_not_files
    from reconciler.platforms.commands import problems_of

    if ("pipeline" in training.data) == ("command" in training.data):
        yield training.problem("name what runs: either command, or pipeline (a component)")
        return
    for name in training.data.get("inputs", {}):
        if why := bad_name(name):
            yield training.problem(why, "inputs", name)
    if "pipeline" in training.data:
        for name in ("code", "environment", "instanceType"):
            if name in training.data:
                yield training.problem("is of a command; a pipeline brings its own", name)
        for role, output in training.data["outputs"].items():
            if bad_name(output):
                why = f'"{output}" is no output of a pipeline; write the name that it has there'
                yield training.problem(why, "outputs", role)
        return
    yield from problems_of(training)
    if "environment" not in training.data:
        yield training.problem('"environment" is missing, in which the command runs: NAME:VERSION')
    folder = training.folder / training.data.get("code", "")
    if "code" in training.data and (why := why_not_files(folder)):
        yield training.problem(f"{training.data['code']}: {why}", "code")
    if ("compute" in training.data) == ("instanceType" in training.data):
        yield training.problem("name where it runs: either compute, or instanceType (serverless)")


def _bad_version(version: str) -> str:
    if version.casefold() == "latest" or not _VERSION.fullmatch(version):
        return 'is no version of a registered model; write one, such as "7" (the latest one moves)'
    return ""


_of_spec = partial(lazily, f"{__name__}.endpoint_spec")

PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=parse,
    connect=_connect,
    kinds={
        KIND: Kind(
            _of_spec("address"),
            f"{__name__}.endpoint",
            terms=_of_spec("terms_of"),
            part=_of_spec("deployed_of"),
            settings=_of_spec("settings_of"),
            problems=_of_spec("problems_of"),
        )
    },
    engines={NAME: Engine(_how_trained, _training_problems)},
    registries={NAME: Engine(_how_registered, bad_version=_bad_version)},
    where=lambda at: "emulator" if at.cloud is CloudName.EMULATOR else f"workspace {at.workspace}",
    place=lambda at: f"{at.cloud} {at.path}",
    secrets=_secrets,
    emulator=_emulator,
    begin=Path(__file__).parent / "begin",
    example="_azureml",
    demo=Demo("", "endpoints", "churn", "version 1 was deployed by hand", "1", "2"),
)
