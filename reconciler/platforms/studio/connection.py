"""The meaning of `spec.studio` of an environment: where Studio's services are, and whose
secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from reconciler.errors import ConfigurationError
from reconciler.model import METRICS, MODEL, NOWHERE, Auth, Binding, Environment, SecretName, Source
from reconciler.platforms.arm import CloudName
from reconciler.platforms.platform import Block

NAME = "studio"
# What the store calls outputs: Studio takes no other ending, and its transforms have it too (§3.4).
FILES = {MODEL: "model.ilearner", METRICS: "evaluation.csv"}


@dataclass(frozen=True)
class Workspace:
    """A Studio workspace: its id (32 hex), region and the name of its authorization token."""

    id: str
    region: str
    token: SecretName


@dataclass(frozen=True)
class TrainingService:
    """The web service that was deployed from a training experiment.

    `url` is its scoring base: absolute, or a path below the region's scoring host.
    """

    name: str
    url: str
    key: SecretName
    source: Source = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Studio:
    """The connection of an environment to Studio; `auth` is the way to sign in to Azure.

    `source` is where the region that decides its hosts is named.
    """

    cloud: CloudName
    subscription: str
    resource_group: str
    region: str
    workspace: Workspace | None = None
    training_services: Mapping[str, TrainingService] = field(
        default_factory=dict,
        hash=False,
        compare=False,  # bindings carry what they need of it
    )
    auth: Auth = Auth.DEFAULT
    source: Source = field(default=NOWHERE, compare=False)

    def trains_at(self, url: str) -> bool:
        """Whether a scoring base is that of a declared training service: it serves no model."""
        services = (urlsplit(service.url).path for service in self.training_services.values())
        path = urlsplit(url).path.rstrip("/").casefold()
        return any(path == service.rstrip("/").casefold() for service in services)


def parse(block: Block) -> Studio:
    """The connection that a block declares, which the schema accepts."""
    spec = block.data
    workspace = None
    if "workspace" in spec:
        of = spec["workspace"]
        workspace = Workspace(of["id"], of["region"], block.secret("workspace", "token"))
    region = spec.get("region") or (workspace.region if workspace else "")
    named = ("workspace", "region") if workspace else ("region",)
    if not region:
        why = '"region" is missing (there is no workspace to take it from)'
        raise ConfigurationError([block.problem(why)])
    services = {
        name: TrainingService(
            name,
            service["url"],
            block.secret("trainingServices", name, "key"),
            block.at("trainingServices", name),
        )
        for name, service in spec.get("trainingServices", {}).items()
    }
    return Studio(
        cloud=CloudName(spec.get("cloud", "emulator")),
        subscription=spec["subscription"],
        resource_group=spec["resourceGroup"],
        region=region,
        workspace=workspace,
        training_services=services,
        auth=Auth(spec.get("auth", "default")),
        source=block.at(*named),
    )


def studio_of(environment: Environment) -> Studio:
    """The environment's connection to Studio."""
    connection = environment.connections[NAME]
    assert isinstance(connection, Studio)
    return connection


def holder_of(binding: Binding) -> str | None:
    """The asset (New) or resource (Classic) that holds the model; None where there is just one."""
    return binding.part if isinstance(binding.part, str) else None


def account_of(environment: Environment) -> str:
    """The storage account of the environment's store, "" where no key of it is named."""
    scheme, account, _ = environment.store.parts
    return account if scheme == "az" and environment.store.key else ""


class Refused(StrEnum):
    """The code of a `Refusal` that only Studio gives."""

    # New web services
    AMBIGUOUS_ASSET = "ambiguous_asset"
    ASSET_CREDENTIALS = "asset_credentials"
    ASSET_WITHOUT_LOCATION = "asset_without_location"
    CREATION_FAILED = "creation_failed"
    NO_MODEL_ASSET = "no_model_asset"
    READ_ONLY = "read_only"
    UNKNOWN_ASSET = "unknown_asset"

    # Classic endpoints
    AMBIGUOUS_RESOURCE = "ambiguous_resource"
    AMBIGUOUS_SERVICE = "ambiguous_service"
    DEFAULT_ENDPOINT = "default_endpoint"
    NO_UPDATABLE_RESOURCES = "no_updatable_resources"
    PREVENT_UPDATE = "prevent_update"
    TOO_MANY_ENDPOINTS = "too_many_endpoints"
    UNKNOWN_RESOURCE = "unknown_resource"
