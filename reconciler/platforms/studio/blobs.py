"""Blobs as Studio's services are told of them, and tell of them (§2.8, §3.10, §4.2, §4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import RefusedError
from reconciler.http.asking import without_query
from reconciler.http.urls import split_url
from reconciler.stores.azure_blob import checked

if TYPE_CHECKING:
    from reconciler.http.client import Http
    from reconciler.http.response import Response
    from reconciler.stores.azure_hosts import BlobHosts
    from reconciler.stores.contract import Place


def reference(place: Place, hosts: BlobHosts) -> dict[str, str]:
    """The account's URL, `container/blob`, and the SAS."""
    base, relative = hosts.parts(place.uri)
    return {"BaseLocation": base, "RelativeLocation": relative, "SasBlobToken": place.grant}


def fetch(http: Http, hosts: BlobHosts, url: str) -> Response:
    """The answer from a blob URL with its own SAS; RefusedError for any other host."""
    if url not in hosts.origins:
        parts = split_url(url)
        where = parts.netloc if parts else repr(without_query(url))
        raise RefusedError(f"a service names {where} as blob storage, which is not this cloud's")
    return checked(http.request("GET", url, what="reading a blob of the service"))
