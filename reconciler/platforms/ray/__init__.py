"""Ray: jobs that train on a cluster, and Serve applications that answer there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model import Binding, Check, Environment, Recipe, SecretName, canonical_json
from reconciler.platforms.platform import (
    Block,
    Connected,
    Demo,
    Engine,
    How,
    Kind,
    Means,
    Platform,
    lazily,
)
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

        return RayJobs(cluster(), means.store.uri)

    def checks(bindings: Iterable[Binding]) -> Iterable[Check]:
        from reconciler.platforms.ray.checks import checks_of

        return checks_of(ray, cluster(), means.http, bindings)

    prefix = _of_spec("key_prefix")(environment)
    return Connected(target, trainer, {KIND: prefix}, checks=checks)


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


def _secrets(ray: Ray, bindings: Iterable[Binding], kinds: Collection[str]) -> Iterator[SecretName]:
    needed = KIND in kinds or any(b.recipe.engine == NAME for b in bindings)
    if ray.token is not None and needed:
        yield ray.token


KIND = "ServeApplication"
_of_spec = partial(lazily, f"{__name__}.serve_spec")

PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=parse,
    connect=_connect,
    kinds={
        KIND: Kind(
            _of_spec("address"),
            f"{__name__}.serve_application",
            terms=_of_spec("terms_of"),
            part=_of_spec("application_of"),
            settings=_of_spec("settings_of"),
            problems=_of_spec("problems_of"),
            makes=True,
        )
    },
    engines={NAME: Engine(_how, lazily("reconciler.platforms.commands", "problems_of"))},
    where=lambda ray: ray.host,
    place=lambda ray: ray.url,
    notice=notice_of,
    secrets=_secrets,
    begin=Path(__file__).parent / "begin",
    example="_ray",
    demo=Demo(f"{__name__}.demo", "ray", "wine", "nothing serves on the cluster yet"),
)
