"""Shared registries: models that many workspaces use, read where Microsoft's own client reads them.

A registry is known by its name alone. Any region says where it is ("discovery"): the host that
answers for it, its subscription and its resource group. At that host the paths are those of ARM.
ARM itself would answer only to people with a role on the registry, which nobody has on the
registries that Microsoft offers to all.

The files of a version are in storage that belongs to the registry. It hands out a signature for
them when it is asked by POST, so only a run that takes the version in asks for it, and no plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reconciler.errors import NotFoundError, RefusedError, UnreadableError, remember_secret
from reconciler.http.asking import Credential
from reconciler.http.client import Http
from reconciler.http.origins import Origins
from reconciler.http.urls import named, origin, path_part
from reconciler.platforms.arm import hearing, read_list
from reconciler.platforms.azure import ARM_SCOPE
from reconciler.platforms.azureml.connection import PROVIDER
from reconciler.platforms.azureml.workspace import part, proves_absence
from reconciler.platforms.members import check_is_of, objects, text
from reconciler.stores.azure_access import BySas
from reconciler.stores.azure_blob import AzureBlob
from reconciler.stores.azure_hosts import BlobHosts
from reconciler.stores.contract import Store

DISCOVERY_URL = "https://eastus.api.azureml.ms"  # which answers for the registries of all regions
API_VERSION = "2021-10-01-dataplanepreview"
_HOSTS = re.compile(r"[a-z0-9]+\.api\.azureml\.ms|cert-[a-z0-9]+\.experiments\.azureml\.net")
_NO_SIGNATURE = ("nocredentials", "no_credentials")


@dataclass
class SharedRegistry:
    """One registry. Paths are those below it: `/models/fraud/versions/7`.

    `token` signs in for a scope. `emulator` is the base URL of what stands in for Azure, "" where
    nothing does.
    """

    name: str
    http: Http
    token: Callable[[str, Origins], Credential]
    emulator: str = ""

    def find(self, path: str, what: str) -> dict[str, Any] | None:
        """A resource; None where the registry itself says that it is not there."""
        try:
            answer = self.http.request("GET", self._url(path), credential=self._token, what=what)
        except NotFoundError as exc:
            proves_absence(exc)
            return None
        document = answer.json_object()
        check_is_of(document, what, name=path.rpartition("/")[2])
        return document

    def list(self, path: str, what: str) -> list[dict[str, Any]]:
        """Every item of a list; WireError unless all of it was read."""
        return read_list(self.http, self._token, self._url(path), what)

    def opened(self, model: str, version: str, uri: str) -> tuple[Store, str]:
        """The container with the files of a version, opened by a signature that the registry hands
        out for them, and what their names begin with."""
        what = f"asking {self.name} for the files of version {version} of {model}"
        asset = f"azureml://registries/{self.name}/models/{model}/versions/{version}"
        answer = self.http.request(
            "POST",
            self._url(f"/datarefs/{part(model)}/versions/{part(version)}"),
            credential=self._token,
            json={"assetId": asset, "blobUri": uri},
            what=what,
        )
        given = objects(answer.json_object(), "blobReferenceForConsumption")
        credential = objects(given, "credential")
        url, _, sas = text(credential, "sasUri").partition("?")
        if text(credential, "credentialType").casefold() in _NO_SIGNATURE:
            url, sas = text(given, "blobUri").partition("?")[0], ""
        elif not sas:
            raise answer.unreadable("a signature for the files")
        remember_secret(sas)
        hosts = BlobHosts(self.emulator)
        if origin(url) is None:
            raise answer.unreadable("the address of a container")
        base, path = hosts.parts(url)
        container = path.partition("/")[0]
        account = base.rstrip("/").rpartition("/")[2].partition(".")[0]
        below = uri.partition(f"/{container}/")[2].rstrip("/")
        if hosts.of(account) != base or not below:
            raise RefusedError(
                f"{what}: it says that they are at {named(url)}, and version {version} that they "
                f"are at {named(uri)}; only a path in a container of Azure can be taken"
            )
        return AzureBlob(
            self.http, hosts, account, BySas(sas, base, hosts.origins), container
        ), below

    @cached_property
    def _token(self) -> Credential:
        origins = hearing("a token for a shared registry", self.emulator, _HOSTS)
        return self.token(ARM_SCOPE, origins)

    def _url(self, path: str) -> str:
        return f"{self._root}{path}?api-version={API_VERSION}"

    @cached_property
    def _root(self) -> str:
        """The URL of the registry; RefusedError where there is none of this name."""
        what = f"finding the shared registry {self.name}"
        base, name = self.emulator or DISCOVERY_URL, path_part(self.name, "a registry")
        url = f"{base}/registrymanagement/v1.0/registries/{name}/discovery"
        try:
            answer = self.http.request("GET", url, credential=self._token, what=what)
        except NotFoundError as exc:
            proves_absence(exc)
            raise UnknownRegistryError(f'there is no shared registry "{self.name}"') from exc
        registry = answer.json_object()
        check_is_of(registry, what, registryName=self.name)
        host = text(registry, "primaryRegionResourceProviderUri").rstrip("/")
        group, subscription = text(registry, "resourceGroup"), text(registry, "subscriptionId")
        if origin(host) is None or not (group and subscription):
            raise UnreadableError(f"{what}: the answer does not say where it is")
        return (
            f"{host}/mferp/managementfrontend/subscriptions/{part(subscription)}/resourceGroups/"
            f"{part(group)}/providers/{PROVIDER}/registries/{name}"
        )


class UnknownRegistryError(RefusedError):
    """There is no shared registry of this name, or this identity may not know of it."""
