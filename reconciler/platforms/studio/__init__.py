"""Azure Machine Learning Studio: New web services, Classic endpoints, batch jobs that train."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reconciler.errors import ConfigurationError, Problem
from reconciler.http.credentials import AccessToken
from reconciler.model import (
    TRAINED_AT,
    TRAINED_WITH,
    Address,
    Binding,
    Check,
    Environment,
    Recipe,
    SecretName,
)
from reconciler.near import near
from reconciler.platforms.arm import EMULATOR_VARIABLE, CloudName, EmulatorSignIn
from reconciler.platforms.contract import Target, Trainer
from reconciler.platforms.platform import (
    Block,
    Connected,
    Engine,
    How,
    Kind,
    Means,
    Platform,
    lazily,
)
from reconciler.platforms.studio.connection import FILES, NAME, Studio, parse, studio_of
from reconciler.platforms.studio.hosts import Connection, hosts_of
from reconciler.stores.azure_hosts import AZURE

_TARGETS = {"WebService": "WebServices", "ClassicEndpoint": "ClassicEndpoints"}


def _connect(environment: Environment, means: Means) -> Connected:
    """The parts of Studio for one run: targets of both kinds, and training services."""
    studio = studio_of(environment)
    hosts = hosts_of(studio, means.environ.get(EMULATOR_VARIABLE, ""), means.bound)
    http = means.http.speaking(AZURE)

    def arm() -> AccessToken:
        from reconciler.http.credentials import AccessToken
        from reconciler.platforms.azure import ARM_SCOPE

        if hosts.emulator:
            return AccessToken(EmulatorSignIn(), ARM_SCOPE, hosts.arm_origins)
        return means.token(ARM_SCOPE, hosts.arm_origins, studio.auth)

    def target(kind: str) -> Target:
        given = http, hosts, environment, studio, means.secret, means.grant, arm()
        made: Target = getattr(PLATFORM.kinds[kind].module, _TARGETS[kind])(Connection(*given))
        return made

    def trainer(recipe: Recipe) -> Trainer:
        from reconciler.platforms.studio.bes import BatchExecution

        service = studio.training_services[recipe.place]
        return BatchExecution(http, hosts, service, means.secret(service.key))

    prefixes = {name: kind.module.key_prefix(environment) for name, kind in PLATFORM.kinds.items()}
    prefixed = {kind: prefix for kind, prefix in prefixes.items() if prefix}
    lacks = frozenset() if studio.workspace else frozenset({"ClassicEndpoint"})

    def checks(bindings: Iterable[Binding]) -> Iterator[Check]:
        from reconciler.platforms.studio.checks import rights_of, trainings
        from reconciler.platforms.studio.new import KIND, WebServices

        wanted, at = tuple(bindings), (studio.subscription, quote(studio.resource_group, safe="()"))
        group = f"{hosts.arm}/subscriptions/{at[0]}/resourceGroups/{at[1]}"
        yield from rights_of(http, arm, group, KIND, wanted)

        def behind(base: str) -> dict[str, Any] | None:
            services = target(KIND)
            assert isinstance(services, WebServices)
            return services.behind(base)

        yield from trainings(studio, behind, wanted)

    return Connected(target, trainer, prefixed, checks=checks, lacks=lacks)


def _secrets(
    studio: Studio, bindings: Iterable[Binding], kinds: Collection[str]
) -> Iterator[SecretName]:
    """The secrets that the kinds and training services in use need."""
    used = tuple(bindings)
    services = {b.recipe.place for b in used if b.recipe.engine == NAME}
    yield from (
        service.key for name, service in studio.training_services.items() if name in services
    )
    for binding in used:
        if binding.create is not None and binding.create.part is not None:
            yield from (name for _, name in binding.create.part.secrets)
    if studio.workspace is not None and "ClassicEndpoint" in kinds:
        yield studio.workspace.token


def _place_of(studio: Studio) -> str:
    workspace = studio.workspace.id if studio.workspace else "none"
    return (
        f"{studio.cloud}, subscription {studio.subscription}, resource group "
        f"{studio.resource_group}, workspace {workspace}"
    )


def _notice(studio: Studio) -> str:
    if studio.cloud is CloudName.EMULATOR:
        return ""
    return (
        "talking to Azure; Microsoft retired Machine Learning Studio on 31 Aug 2024, so expect no "
        "answer"
    )


def _how(training: Block, environment: Environment) -> How:
    """The training service of a Model, as the place of its jobs, and what people approve of it."""
    name = training.data["service"]
    services = studio_of(environment).training_services
    if name not in services:
        why = f'the environment "{environment.name}" has no training service "{name}"'
        hint = near(name, services) or "; add it to studio.trainingServices"
        raise ConfigurationError([training.problem(why + hint, "service")])
    service = services[name]
    terms = {TRAINED_AT: service.url, TRAINED_WITH: f"env:{service.key.variable}"}
    return How(place=name, terms=terms, files=FILES)


def _training_problems(training: Block) -> Iterator[Problem]:
    ports = training.data["outputs"]
    if ports.get("metrics") == ports["model"]:
        why = "this is the model's port; name the port of the metrics"
        yield training.problem(why, "outputs", "metrics")


def _bad_input(path: str) -> str:
    """A job with any other input is refused (InvalidBlobExtension, STUDIO_PROTOCOL.md §4.8)."""
    if path.casefold().endswith((".csv", ".tsv", ".arff")):
        return ""
    return "a training service reads .csv, .tsv and .arff only; write the ending of the blob"


def _kind(name: str, **how: Any) -> Kind:
    """A kind of Studio by its name and the module that knows it."""
    path = f"{__name__}.{name}"

    def address(spec: Mapping[str, Any], environment: Environment) -> Address:
        studio = studio_of(environment)
        if studio.cloud is CloudName.AZURE:
            hosts_of(studio)  # says what is wrong with its region
        made: Address = lazily(path, "address")(spec, environment)
        return made

    return Kind(
        address,
        path,
        terms=lambda spec: {"the asset or resource": _holder(spec)},
        part=_holder,
        settings=_settings,
        problems=_expiry_problems,
        **how,
    )


def _holder(spec: Block) -> Any:
    return spec.data.get("asset") or spec.data.get("resource")


def _settings(_: Block, written: Mapping[str, str]) -> Mapping[str, str]:
    """Diagnostics are owned as a whole: no expiry is a wish as well."""
    return {"diagnostics.expiry": "", **written} if "diagnostics.level" in written else written


def _expiry_problems(spec: Block, today: date | None) -> Iterator[Problem]:
    """The problem of the end of the diagnostics, which the service refuses after the swap."""
    expiry = spec.data.get("settings", {}).get("diagnostics", {}).get("expiry")
    if expiry is None:
        return
    try:
        day = datetime.fromisoformat(expiry).date()
        over = today is not None and day < today
        why = "this date has passed; write a later one, or remove it" if over else ""
    except ValueError:
        why = "no such day; correct it"
    if why:
        yield spec.problem(f'"{expiry}": {why}', "settings", "diagnostics", "expiry")


PLATFORM = Platform(
    name=NAME,
    schema=(resources.files(__name__) / "schema.json").read_text(encoding="utf-8"),
    connection=parse,
    connect=_connect,
    kinds={
        "WebService": _kind(
            "new",
            read_only=("id", "name", "type"),  # §3.3; kept to tell people what they look at
            creation=lazily(f"{__name__}.new_creation", "creation"),
        ),
        "ClassicEndpoint": _kind(
            "classic", read_only=("webService", "endpoint.Name", "endpoint.PreventUpdate")
        ),
    },
    engines={NAME: Engine(_how, _training_problems, _bad_input)},
    where=lambda studio: studio.cloud.value,
    place=_place_of,
    notice=_notice,
    secrets=_secrets,
    emulator=lambda studio, environ: hosts_of(studio, environ.get(EMULATOR_VARIABLE, "")).emulator,
    begin=Path(__file__).parent / "begin",
    example="local",
)
