"""Azure Machine Learning (v2): managed online endpoints of a workspace."""

from __future__ import annotations

from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

from reconciler.platforms.arm import (
    EMULATOR_VARIABLE,
    CloudName,
    EmulatorSignIn,
    arm_origins,
    emulator_base,
)
from reconciler.platforms.azureml.connection import NAME, AzureMl, azureml_of, parse
from reconciler.platforms.platform import Connected, Kind, Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from reconciler.http.credentials import AccessToken
    from reconciler.http.origins import Origins
    from reconciler.model import Binding, Environment, Recipe, SecretName
    from reconciler.platforms.azureml.workspace import Workspace
    from reconciler.platforms.contract import Target, Trainer
    from reconciler.platforms.platform import Means
    from reconciler.stores.contract import Store

KIND = "OnlineEndpoint"


def _connect(environment: Environment, means: Means) -> Connected:
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

    def blobs(account: str, container: str) -> Store:
        """A container of the workspace's own storage."""
        import time
        from pathlib import Path

        from reconciler.model import StoreUrl
        from reconciler.stores import Opening, open_store

        where = StoreUrl(f"az://{account}/{container}", auth=at.auth)
        here, bound = Path(at.root), means.bound
        how = Opening(means.http, time.time, here, emulator, bound, means.token, means.halted)
        return open_store(where, "", how)

    def target(_: str) -> Target:
        from reconciler.platforms.azureml.assets import Assets
        from reconciler.platforms.azureml.endpoint import OnlineEndpoints
        from reconciler.platforms.azureml.scoring import Scoring

        assets = Assets(workspace(), means.store, blobs, means.secret)
        return OnlineEndpoints(
            workspace(), assets, Scoring(http, workspace(), token, means.bound), mark
        )

    def trainer(_: Recipe) -> Trainer:
        raise AssertionError("it trains nothing")

    return Connected(target, trainer, {KIND: _key_prefix(environment)})


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
    where=lambda at: "emulator" if at.cloud is CloudName.EMULATOR else f"workspace {at.workspace}",
    place=lambda at: f"{at.cloud} {at.path}",
    secrets=_secrets,
    emulator=_emulator,
)
