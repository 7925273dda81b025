"""Blobs as Studio's services name them: three parts, which must lead to the account."""

from __future__ import annotations

import pytest

from reconciler.errors import RefusedError
from reconciler.http.client import Http
from reconciler.platforms.studio.blobs import fetch, reference
from reconciler.stores.azure_hosts import BlobHosts
from reconciler.stores.contract import Place

AZURE = BlobHosts()


@pytest.mark.parametrize(
    ("hosts", "base"),
    [
        (AZURE, "https://account.blob.core.windows.net/"),
        (BlobHosts("http://127.0.0.1:8400"), "http://127.0.0.1:8400/blob/account/"),
    ],
)
def test_a_reference_is_what_batch_jobs_expect(hosts: BlobHosts, base: str) -> None:
    assert reference(Place(f"{base}models/a%20b/m.ilearner", "?sig=x"), hosts) == {
        "BaseLocation": base,
        "RelativeLocation": "models/a b/m.ilearner",
        "SasBlobToken": "?sig=x",
    }


@pytest.mark.parametrize(
    "base",
    ["https://evil.example/", "http://account.blob.core.windows.net/", "file:///", "", "https://"],
)
def test_a_reference_to_another_host_is_refused(base: str) -> None:
    with Http() as http, pytest.raises(RefusedError) as caught:
        fetch(http, AZURE, f"{base}c/b?sig=c4n4ry")
    assert "c4n4ry" not in caught.value.message
