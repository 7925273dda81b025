"""Where the services are, and which hosts may receive a token.

A pull request can change what the desired state says, and services answer with URLs of their
own choice. Neither can send a credential to another server: every header with a secret in it
is asked for by URL, and only the hosts written here get one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, quote, urlsplit

from reconciler.errors import ConfigurationError, Problem, UnreadableError, printable
from reconciler.model import CloudName

if TYPE_CHECKING:
    from reconciler.model import Environment

Role = Literal["arm", "classic", "scoring", "blob"]

DEFAULT_EMULATOR_URL = "http://127.0.0.1:8400"
ARM_URL = "https://management.azure.com"
AUTHORITY = "login.microsoftonline.com"  # whose tokens ARM_URL takes
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_REGIONAL_AUTHORITY = ".login.microsoft.com"  # where MSAL goes by AZURE_REGIONAL_AUTHORITY_NAME
_ACTIONS_SUFFIX = ".actions.githubusercontent.com"
_SCORING_SUFFIX = ".services.azureml.net"
# Operations of web services were recorded at westcentralus.management.azure.com.
_ARM_HOST = re.compile(r"(?:[a-z0-9]+\.)?management\.azure\.com")
_BLOB_HOST = re.compile(r"[a-z0-9]{3,24}\.blob\.core\.windows\.net")
# Stricter than the RFC on purpose: urllib, requests and proxies disagree about user names,
# backslashes and control characters in an authority, and disagreement here leaks tokens.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[::1\])(?::[0-9]{1,5})?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class _Region:
    management: str
    scoring: str  # "" where no source names the host


# azure-ml-studio-protocol.md §2.1; the integration-test row is nobody's production.
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
    """The base URLs of one environment's cloud, without trailing slash (but see `blob`).

    `emulator` is the emulator's base URL, "" on Azure. `region` is normalised
    (`southcentralus`) and may be one without Classic services; `classic` and `scoring` then
    raise ConfigurationError, because New web services need neither to be managed.
    """

    region: str
    emulator: str = ""

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

    def blob(self, account: str) -> str:
        """The base URL of a storage account, with its trailing slash as in `BaseLocation`."""
        if self.emulator:
            return f"{self.emulator}/blob/{account}/"
        return f"https://{account}.blob.core.windows.net/"

    def may_receive(self, role: Role, url: str) -> bool:
        """Whether a secret of this role may go to this URL: exact scheme, host and port."""
        parts = split_url(url)
        if parts is None:
            return False
        if self.emulator:
            return _origin(parts) == _origin(urlsplit(self.emulator))
        if parts.scheme != "https" or _port(parts) != 443:
            return False
        return self._is_host_of(role, parts.hostname or "")

    def _is_host_of(self, role: Role, host: str) -> bool:
        if role == "arm":
            return _ARM_HOST.fullmatch(host) is not None
        if role == "classic":
            return self.region in REGIONS and host == REGIONS[self.region].management
        if role == "scoring":
            return host.endswith(_SCORING_SUFFIX)
        return _BLOB_HOST.fullmatch(host) is not None


def hosts_of(environment: Environment, emulator_url: str | None = None) -> Hosts:
    """The hosts of an environment; `emulator_url` counts only where its cloud is the emulator.

    Raises ConfigurationError for a workspace in an unknown region, and for an emulator that
    is not on this machine.
    """
    workspace = environment.workspace
    region = _normal(workspace.region if workspace else environment.region)
    if environment.cloud is CloudName.EMULATOR:
        return Hosts(region, _emulator_base(emulator_url or DEFAULT_EMULATOR_URL))
    if workspace and region not in REGIONS:
        raise ConfigurationError(_problems(environment, _unknown_region(workspace.region)))
    return Hosts(region)


@lru_cache(maxsize=256)  # of each request it is asked here, by its credential, and on its way
def split_url(url: str) -> SplitResult | None:
    """The parts of a plain http(s) URL; None for anything that two parsers may read differently."""
    if not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port  # raises ValueError above 65535
    except ValueError:
        return None
    plain = parts.scheme in _DEFAULT_PORTS and port != 0 and _AUTHORITY.fullmatch(parts.netloc)
    return parts if plain else None


def path_part(name: str, what: str) -> str:
    """A name that a person or a service gave, as one part of a path, quoted.

    UnreadableError for a name that would be another path.
    """
    if name in ("", ".", ".."):
        raise UnreadableError(f"{what} is {name!r}, which cannot be a part of a path")
    return quote(name, safe="")


def path_id(ident: str, what: str) -> str:
    """An id that a service handed out, as one part of a path; UnreadableError for what is none."""
    if not _ID.fullmatch(ident):
        raise UnreadableError(f"{what} is {printable(ident)[:100]!r}, which is no id")
    return ident


def named(url: str) -> str:
    """Scheme, host and port, for a message; nothing else of a URL is fit to be shown."""
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc}" if parts else "that"


def origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a plain URL; None for anything else."""
    parts = split_url(url)
    return _origin(parts) if parts else None


def is_authority(url: str) -> bool:
    """Whether secrets and ID tokens may be exchanged for access tokens at this URL."""
    parts = split_url(url)
    if parts is None or parts.scheme != "https":
        return False
    host = parts.hostname or ""
    public = host == AUTHORITY or host.endswith(_REGIONAL_AUTHORITY)
    return is_loopback(host) or (public and _port(parts) == 443)


def is_actions_host(url: str, server_url: str) -> bool:
    """Whether GitHub's own services answer at this URL, so that a job's token may go there.

    `server_url` is GITHUB_SERVER_URL, which no step of a job can change: an enterprise server
    has these services under its own name.
    """
    parts, server = split_url(url), split_url(server_url)
    if parts is None or parts.scheme != "https":
        return False
    host = parts.hostname or ""
    if host.endswith(_ACTIONS_SUFFIX) and _port(parts) == 443:
        return True
    if server is None or server.scheme != "https" or _port(parts) != _port(server):
        return False
    return host == server.hostname or host.endswith(f".{server.hostname}")


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    return host.lower() in LOOPBACK


def _emulator_base(url: str) -> str:
    parts = split_url(url)
    if parts is None or not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"the emulator's URL must be http(s)://127.0.0.1:PORT, not {named(url)};"
            " set RECONCILER_EMULATOR to what `reconciler emulator` printed, or unset it"
        )
    if parts.path.strip("/") or parts.query:  # "#" and the id of a world may follow
        raise ConfigurationError(
            f"the emulator's URL must end after the port: {parts.scheme}://{parts.netloc}"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _normal(region: str) -> str:
    return region.replace(" ", "").lower()


def _row(region: str) -> _Region:
    if region not in REGIONS:
        raise ConfigurationError(_unknown_region(region))
    return REGIONS[region]


def _unknown_region(region: str) -> str:
    known = ", ".join(sorted(REGIONS))
    return f"{region!r} is not a region with Classic services; write one of: {known}"


def _problems(environment: Environment, message: str) -> list[Problem] | str:
    where = environment.source
    return [Problem(where.path, where.line, where.column, message)] if where.path else message


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", _port(parts)


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]
