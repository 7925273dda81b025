"""Where Azure Machine Learning Studio is, by region, and which hosts may hear its secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError, Problem
from reconciler.http.credentials import AccessToken
from reconciler.http.origins import Origins
from reconciler.http.urls import Origin
from reconciler.model import Environment, ModelRef, SecretName
from reconciler.platforms.arm import CloudName, arm_origins, emulator_base, hearing
from reconciler.platforms.azure import ARM_URL
from reconciler.stores.azure_hosts import BlobHosts

if TYPE_CHECKING:
    from reconciler.http.client import Http
    from reconciler.platforms.studio.connection import Studio
    from reconciler.stores.contract import Place

_SCORING_HOSTS = re.compile(r"(?:[a-z0-9-]+\.)+services\.azureml\.net")


@dataclass(frozen=True)
class _Region:
    management: str
    scoring: str  # "" where no source names the host


# STUDIO_PROTOCOL.md §2.1; the integration-test row is nobody's production.
REGIONS = {
    "southcentralus": _Region("management.azureml.net", "ussouthcentral.services.azureml.net"),
    "westeurope": _Region("europewest.management.azureml.net", "europewest.services.azureml.net"),
    "southeastasia": _Region(
        "asiasoutheast.management.azureml.net", "asiasoutheast.services.azureml.net"
    ),
    "japaneast": _Region("japaneast.management.azureml.net", "japaneast.services.azureml.net"),
    "westcentralus": _Region(
        "uswestcentral.management.azureml.net", "uswestcentral.services.azureml.net"
    ),
    "germanycentral": _Region("germanycentral.management.azureml.de", ""),
}


@dataclass(frozen=True)
class Hosts:
    """The base URLs of one environment's cloud, without trailing slash, and who hears its secrets.

    `emulator` is the emulator's base URL, "" on Azure. `region` is normalised
    (`southcentralus`) and may be one without Classic services; `classic` and `scoring` then
    raise ConfigurationError, because New web services need neither to be managed. `bound` are the
    origins that RECONCILER_ORIGINS binds: they may hear the keys of training services.
    """

    region: str
    emulator: str = ""
    bound: frozenset[Origin] = frozenset()

    @property
    def arm(self) -> str:
        """The base URL of Azure Resource Manager."""
        return self.emulator or ARM_URL

    @property
    def classic(self) -> str:
        """The base URL of the Classic management API (§2.1)."""
        return self.emulator or f"https://{_row(self.region).management}"

    @property
    def scoring(self) -> str:
        """The base URL of scoring and batch jobs (§2.1)."""
        if self.emulator:
            return self.emulator
        if not (host := _row(self.region).scoring):
            raise ConfigurationError(
                f"the scoring host of region {self.region} is not documented;"
                " write absolute URLs for its training services"
            )
        return f"https://{host}"

    @property
    def blob(self) -> BlobHosts:
        """The storage accounts of the cloud."""
        return BlobHosts(self.emulator)

    @property
    def arm_origins(self) -> Origins:
        """Who may hear a token of Azure Resource Manager."""
        return arm_origins(self.emulator)

    @property
    def classic_origins(self) -> Origins:
        """Who may hear a workspace token: the management host of the workspace's own region."""
        row = REGIONS.get(self.region)
        host = re.compile(re.escape(row.management)) if row else None
        return hearing("a token of the Classic management API", self.emulator, host)

    @property
    def scoring_origins(self) -> Origins:
        """Who may hear the key of an endpoint or of a training service."""
        return hearing("a key of the scoring service", self.emulator, _SCORING_HOSTS).also(
            self.bound
        )


@dataclass(frozen=True)
class Connection:
    """The things that Studio's targets need: HTTP, hosts, secrets by name, access to a model.

    `arm` is the token of Azure Resource Manager, which only New web services need; `grant` turns a
    model of the store into a URL with a short-lived read-only SAS.
    """

    http: Http
    hosts: Hosts
    environment: Environment
    studio: Studio
    secret: Callable[[SecretName], str]
    grant: Callable[[ModelRef], Place]
    arm: AccessToken


def hosts_of(
    studio: Studio, emulator_url: str = "", bound: frozenset[Origin] = frozenset()
) -> Hosts:
    """The hosts of a connection; `emulator_url` counts only where its cloud is the emulator.

    Raises ConfigurationError for a workspace in an unknown region, and for an emulator that
    is not on this machine.
    """
    workspace = studio.workspace
    region = (workspace.region if workspace else studio.region).replace(" ", "").lower()
    if studio.cloud is CloudName.EMULATOR:
        return Hosts(region, emulator_base(emulator_url), bound)
    if workspace and region not in REGIONS:
        raise ConfigurationError(_problems(studio, _unknown_region(workspace.region)))
    return Hosts(region, bound=bound)


def _row(region: str) -> _Region:
    if region not in REGIONS:
        raise ConfigurationError(_unknown_region(region))
    return REGIONS[region]


def _unknown_region(region: str) -> str:
    known = ", ".join(sorted(REGIONS))
    return f"{region!r} is not a region with Classic services; write one of: {known}"


def _problems(studio: Studio, message: str) -> list[Problem] | str:
    where = studio.source
    return [Problem(where.path, where.line, where.column, message)] if where.path else message
