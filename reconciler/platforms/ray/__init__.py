"""Ray: jobs that train on a cluster, and Serve applications that answer there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import Problem
from reconciler.model import Binding, Check, Environment, Recipe, SecretName, canonical_json
from reconciler.platforms.platform import Block, Connected, Demo, Engine, How, Kind, Means, Platform
from reconciler.platforms.ray.connection import NAME, Ray, credential_of, notice_of, parse, ray_of

if TYPE_CHECKING:
    from reconciler.platforms.contract import Target, Trainer
    from reconciler.platforms.ray.cluster import Cluster


def _connect(environment: Environment, means: Means) -> Connected:
    """The parts of one cluster for a run: applications, and jobs that train."""
    ray = ray_of(environment)

    @cache  # one for the whole run, so that it is asked once which cluster it is
    def cluster() -> Cluster:
        from reconciler.platforms.ray.client import Client
        from reconciler.platforms.ray.cluster import Cluster

        credential = credential_of(ray, means.secret, means.bound)
        return Cluster(Client(means.http, ray, credential), means.store)

    def target(_: str) -> Target:
        from reconciler.platforms.ray.serve_application import ServeApplications

        mark = means.mark_of(environment)
        return ServeApplications(ray, cluster(), mark, means.store, means.http)

    def trainer(_: Recipe) -> Trainer:
        from reconciler.platforms.ray.jobs import RayJobs

        return RayJobs(cluster(), Path(ray.root), means.store.uri)

    def checks(bindings: Iterable[Binding]) -> Iterable[Check]:
        from reconciler.platforms.ray.checks import checks_of

        return checks_of(ray, cluster(), means.http, bindings)

    return Connected(target, trainer, {KIND: _key_prefix(environment)}, checks=checks)


def _key_prefix(environment: Environment) -> str:
    from reconciler.platforms.ray.serve_spec import key_prefix

    return key_prefix(environment)


def _serve_kind() -> Kind:
    """An application of Serve; its modules are read when one is declared."""
    path = f"{__name__}.serve_spec"

    def asked(name: str) -> Callable[..., Any]:
        return lambda *given: getattr(import_module(path), name)(*given)

    return Kind(
        asked("address"),
        f"{__name__}.serve_application",
        terms=asked("terms_of"),
        part=asked("application_of"),
        settings=asked("settings_of"),
        problems=asked("problems_of"),
        makes=True,
    )


def _how(training: Block, environment: Environment) -> How:
    """The part of a Model's training that goes into the recipe, and where it runs for people to
    approve."""
    from reconciler.platforms.commands import how_of

    resources = dict(training.data.get("resources", {}))
    custom = resources.pop("custom", {})
    if custom:
        resources["custom"] = canonical_json(custom)
    how = how_of(training, **resources)
    return replace(how, terms={**how.terms, "the cluster of the training": ray_of(environment).url})


def _problems(training: Block) -> Iterable[Problem]:
    from reconciler.platforms.commands import problems_of

    return problems_of(training)


def _secrets(ray: Ray, bindings: Iterable[Binding], kinds: Collection[str]) -> Iterator[SecretName]:
    needed = set(kinds) & set(KINDS) or any(b.recipe.engine == NAME for b in bindings)
    if ray.token is not None and needed:
        yield ray.token


KIND = "ServeApplication"
KINDS: dict[str, Kind] = {KIND: _serve_kind()}

PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=parse,
    connect=_connect,
    kinds=KINDS,
    engines={NAME: Engine(_how, _problems)},
    where=lambda ray: ray.host,
    place=lambda ray: ray.url,
    notice=notice_of,
    secrets=_secrets,
    begin=Path(__file__).parent / "begin",
    example="_ray",
    demo=Demo(f"{__name__}.demo", "ray", "wine", "nothing serves on the cluster yet"),
)
