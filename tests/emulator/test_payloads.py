"""Large definitions whose parts lie in a blob (STUDIO_PROTOCOL.md §3.10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator.definitions import PARTS
from tests.emulator.conftest import BASE, Client
from tests.emulator.test_arm import finish, get, new_model, patch, with_model

if TYPE_CHECKING:
    from collections.abc import Callable


def by_blob(client: Client, content: bytes, sas: str | None = None) -> dict[str, Any]:
    client.blob("models/payload.json", content)
    token = client.sas("models/payload.json") if sas is None else sas
    uri = f"{BASE}/blob/mllocal/models/payload.json{token}"
    return {"payloadsInBlobStorage": True, "payloadsLocation": {"uri": uri}}


def test_parts_in_a_blob_are_taken_over_and_shown_inline(client: Client) -> None:
    uri = new_model(client)
    content = json.dumps({"Assets": with_model(client, uri)}).encode()
    assert finish(client, patch(client, by_blob(client, content)))["status"] == "Succeeded"
    shown = get(client)["properties"]
    assert shown["assets"]["asset3"]["locationInfo"]["uri"] == uri
    assert shown["payloadsInBlobStorage"] is False
    assert "payloadsLocation" not in shown


@pytest.mark.parametrize(
    ("content", "sas"),
    [(b"{}", ""), (b"{}", "?sig=x"), (b"<xml/>", None), (b"[]", None), (b'{"assets": 5}', None)],
)
def test_a_payload_that_cannot_be_used_is_refused(
    client: Client, content: bytes, sas: str | None
) -> None:
    before = get(client)
    assert patch(client, by_blob(client, content, sas)).status_code == 400
    assert get(client) == before


@pytest.mark.parametrize(("limit", "away"), [(100, True), (3_000_000, False)])
def test_get_may_leave_large_parts_in_a_blob(
    client_of: Callable[..., Client], limit: int, away: bool
) -> None:
    client = client_of(payloads="blob", payload_limit=limit)
    whole = get(client_of())["properties"]
    shown = get(client)["properties"]
    assert shown["payloadsInBlobStorage"] is away
    assert bool(set(PARTS) & set(shown)) is not away
    if away:
        url = shown["payloadsLocation"]["uri"].removeprefix(BASE)
        payload = client.send("GET", url, token="").json()
        assert payload["input"] == whole["input"]
        assert payload["assets"].keys() == whole["assets"].keys()


def test_a_uri_is_shown_as_it_was_written(client: Client) -> None:
    new_model(client)
    client.blob("models/a b%.ilearner", client.blob_bytes("models/new.ilearner") or b"")
    uri = f"{BASE}/blob/mllocal/models/a%20b%25.ilearner"
    begun = patch(client, {"assets": with_model(client, uri)})
    assert finish(client, begun)["status"] == "Succeeded"
    assert get(client)["properties"]["assets"]["asset3"]["locationInfo"]["uri"] == uri
