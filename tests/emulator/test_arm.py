"""The ARM door against the recorded bodies and headers (STUDIO_PROTOCOL.md §3)."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.conftest import API, BASE, Client

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "breast-cancer-predictive"
OLD_API = "api-version=2016-05-01-preview"


def get(client: Client, query: str = API, name: str = NAME) -> dict[str, Any]:
    answer = client.send("GET", f"{client.arm(name)}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def patch(client: Client, properties: dict[str, Any], query: str = API) -> Any:
    body = {"properties": {"packageType": "Graph", **properties}}
    return client.send("PATCH", f"{client.arm(NAME)}?{query}", json=body)


def finish(client: Client, answer: Any) -> dict[str, Any]:
    client.clock.advance(60)
    return client.send("GET", answer.headers["Azure-AsyncOperation"].removeprefix(BASE)).json()


def with_model(client: Client, uri: str) -> dict[str, Any]:
    assets = copy.deepcopy(get(client)["properties"]["assets"])
    assets["asset3"]["locationInfo"]["uri"] = uri
    return assets


def new_model(client: Client) -> str:
    """Another model in the service's own account, and its URL."""
    old = get(client)["properties"]["assets"]["asset3"]["locationInfo"]["uri"]
    content = client.blob_bytes(old.split("/mllocal/")[1])
    assert content is not None
    document = json.loads(content)
    document["intercept"] += 1.0
    client.blob("models/new.ilearner", json.dumps(document).encode())
    return f"{BASE}/blob/mllocal/models/new.ilearner"


def test_get_omits_secrets_and_adds_what_the_server_generates(client: Client) -> None:
    document = get(client)
    properties = document["properties"]
    assert document["type"] == "Microsoft.MachineLearning/webServices"
    assert document["location"] == "South Central US"
    assert properties["storageAccount"] == {"name": "mllocal"}
    assert not {"keys", "commitmentPlan"} & set(properties)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", properties["createdOn"])
    assert re.fullmatch(
        re.escape(BASE) + r"/subscriptions/[0-9a-f]{32}/services/[0-9a-f]{32}/swagger\.json",
        properties["swaggerLocation"],
    )


def test_credential_parameters_come_encrypted_and_differ_after_each_update(client: Client) -> None:
    def ciphertext() -> str:
        nodes = get(client)["properties"]["package"]["nodes"]
        parameter = nodes["node5"]["parameters"]["Account Key"]
        assert parameter["certificateThumbprint"]
        return str(parameter["value"])

    before = ciphertext()
    assert before.startswith("MII")
    assert ciphertext() == before
    assert finish(client, patch(client, {"title": "x"}))["status"] == "Succeeded"
    assert ciphertext() != before


def test_path_segments_and_the_scheme_count_in_any_case(client: Client) -> None:
    path = client.arm(NAME).upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")
    answer = client.send("GET", f"{path}?{API}", headers={"Authorization": "bearer x"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("token", "query", "status", "code"),
    [
        ("", API, 401, "InvalidAuthenticationToken"),
        ("x", "", 400, "MissingApiVersionParameter"),
        ("x", "api-version=2020-01-01", 400, "NoRegisteredProviderFound"),
    ],
)
def test_arm_refuses_in_its_own_error_shape(
    client: Client, token: str, query: str, status: int, code: str
) -> None:
    answer = client.send("GET", f"{client.arm(NAME)}?{query}", token=token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert isinstance(answer.json()["error"]["details"], list)


def test_an_absent_service_is_404_with_the_recorded_detail(client: Client) -> None:
    answer = client.send("GET", f"{client.arm('nope')}?{API}")
    error = answer.json()["error"]
    assert answer.status_code == 404
    assert (error["code"], error["message"]) == (
        "NotFound",
        "The specified resource was not found.",
    )
    assert error["details"][0] == {
        "code": "WebServiceNotFound",
        "message": "No Web Service could be found with the provided name: nope.",
    }


def test_a_patch_answers_slim_with_the_recorded_headers(client: Client) -> None:
    answer = patch(client, {"title": "new title"})
    assert answer.status_code == 200
    assert answer.json()["properties"] == {"provisioningState": "Provisioning"}
    assert answer.headers["Azure-AsyncOperationPercentComplete"] == "0"
    assert "Retry-After" not in answer.headers
    assert re.fullmatch(
        re.escape(BASE)
        + r"/subscriptions/[^/]+/providers/Microsoft\.MachineLearning/locations/southcentralus"
        r"/operationsStatus/[0-9a-f-]{36}\?api-version=2017-01-01",
        answer.headers["Azure-AsyncOperation"],
    )
    for name in ("x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"):
        assert answer.headers[name]


def test_an_operation_goes_from_provisioning_to_succeeded(client: Client) -> None:
    answer = patch(client, {"title": "new title"})
    url = answer.headers["Azure-AsyncOperation"].removeprefix(BASE)
    first = client.send("GET", url).json()
    assert (first["status"], first["percentComplete"]) == ("Provisioning", 0.5)
    assert get(client)["properties"]["provisioningState"] == "Provisioning"
    assert get(client)["properties"]["title"] != "new title"
    last = finish(client, answer)
    assert (last["status"], last["percentComplete"]) == ("Succeeded", 1.0)
    assert last["endTime"] > last["startTime"]
    assert get(client)["properties"]["title"] == "new title"


def test_the_old_dialect_echoes_everything_and_has_plain_parameters(client: Client) -> None:
    keys = {"primary": "A" * 86 + "==", "secondary": "B" * 86 + "=="}
    answer = patch(client, {"keys": keys}, OLD_API)
    assert answer.json()["properties"]["keys"] == keys
    assert "assets" in answer.json()["properties"]
    node = get(client, OLD_API)["properties"]["package"]["nodes"]["node5"]
    assert isinstance(node["parameters"]["Account Name"], str)


def test_a_patch_of_one_key_keeps_the_other(client: Client) -> None:
    before = client.send("GET", f"{client.arm(NAME)}/listKeys?{API}").json()
    finish(client, patch(client, {"keys": {"primary": "C" * 86 + "=="}}))
    after = client.send("GET", f"{client.arm(NAME)}/listKeys?{API}").json()
    assert after == {"primary": "C" * 86 + "==", "secondary": before["secondary"]}


def test_a_patched_uri_is_served_once_the_operation_succeeded(client: Client) -> None:
    uri = new_model(client)
    answer = patch(client, {"assets": with_model(client, uri)})
    assert get(client)["properties"]["assets"]["asset3"]["locationInfo"]["uri"] != uri
    assert finish(client, answer)["status"] == "Succeeded"
    assert get(client)["properties"]["assets"]["asset3"]["locationInfo"]["uri"] == uri


def test_a_model_may_be_named_by_the_address_that_azurite_has(client: Client) -> None:
    uri = new_model(client)
    given = uri.replace("/blob/mllocal/", "/mllocal/")
    assert (
        finish(client, patch(client, {"assets": with_model(client, given)}))["status"]
        == "Succeeded"
    )
    assert get(client)["properties"]["assets"]["asset3"]["locationInfo"]["uri"] == uri
    elsewhere = {"description": f"{BASE}/elsewhere/models/m"}
    finish(client, patch(client, elsewhere))
    assert get(client)["properties"]["description"] == elsewhere["description"]


@pytest.mark.parametrize(
    ("maps", "assets"),
    [("replace", {"asset3"}), ("merge", {"asset1", "asset2", "asset3", "asset4"})],
)
def test_both_readings_of_a_partial_assets_map(
    client_of: Callable[..., Client], maps: str, assets: set[str]
) -> None:
    client = client_of(patch_maps=maps)
    partial = {"asset3": with_model(client, new_model(client))["asset3"]}
    finish(client, patch(client, {"assets": partial}))
    assert set(get(client)["properties"]["assets"]) == assets


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        (f"{BASE}/blob/mllocal/models/missing.ilearner", "BlobNotFound"),
        (f"{BASE}/blob/elsewhere/models/m.ilearner", "InvalidBlob"),
        (f"{BASE}/blob/mllocal/datasets/breast-cancer/2026-10.csv", "ResourceLoadFailed"),
    ],
)
@pytest.mark.parametrize("shape", ["both", "error", "errorInfo"])
def test_an_update_that_cannot_load_its_model_fails_and_keeps_the_old_definition(
    client_of: Callable[..., Client], uri: str, code: str, shape: str
) -> None:
    client = client_of(async_failure=shape)
    before = get(client)["properties"]["assets"]
    status = finish(client, patch(client, {"assets": with_model(client, uri)}))
    assert status["status"] == "Failed"
    shapes = ["error", "errorInfo"] if shape == "both" else [shape]
    assert [name for name in ("error", "errorInfo") if name in status] == shapes
    assert status[shapes[0]]["details"][0]["code"] == code
    assert get(client)["properties"]["assets"] == before


def test_the_storage_account_cannot_be_changed(client: Client) -> None:
    answer = patch(client, {"storageAccount": {"name": "other", "key": "x"}})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["code"] == "CannotChangeStorageAccount"


def test_a_read_only_service_cannot_be_updated_any_more(client: Client) -> None:
    finish(client, patch(client, {"readOnly": True}))
    assert patch(client, {"title": "x"}).status_code == 400


def test_package_type_is_required(client: Client) -> None:
    answer = client.send("PATCH", f"{client.arm(NAME)}?{API}", json={"properties": {}})
    assert answer.status_code == 400


def test_put_creates_with_201_updates_with_200_and_delete_answers_202_then_204(
    client: Client,
) -> None:
    body = {"location": "southcentralus", "PROPERTIES": new_properties(client)}
    url = f"{client.arm('copy')}?{API}"
    created = client.send("PUT", url, json=body)
    assert created.status_code == 201
    assert created.json()["properties"] == {
        "payloadsInBlobStorage": False,
        "provisioningState": "Provisioning",
    }
    assert finish(client, created)["status"] == "Succeeded"
    assert get(client, name="copy")["location"] == "South Central US"
    assert client.send("PUT", url, json=body).status_code == 200
    client.clock.advance(60)
    deleted = client.send("DELETE", url)
    assert deleted.status_code == 202
    assert deleted.content == b""
    assert "/operationresults/" in deleted.headers["Location"]
    assert finish(client, deleted)["status"] == "Succeeded"
    assert client.send("GET", deleted.headers["Location"].removeprefix(BASE)).status_code == 204
    assert client.send("DELETE", url).status_code == 204


def new_properties(client: Client, **changes: Any) -> dict[str, Any]:
    """What GET shows, and what it hides and a new service needs."""
    hidden = {"storageAccount": {"name": "mllocal", "key": "k"}, "commitmentPlan": {"id": "plan"}}
    return {**get(client)["properties"], **hidden, **changes}


def create(client: Client, name: str = "copy", **changes: Any) -> Any:
    headers = {"If-None-Match": "*"}
    body = {
        "location": "southcentralus",
        "tags": {"Team": "risk"},
        "properties": new_properties(client, **changes),
    }
    return client.send("PUT", f"{client.arm(name)}?{API}", json=body, headers=headers)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"commitmentPlan": None}, "commitmentPlan.id is required."),
        ({"storageAccount": {"key": "k"}}, "storageAccount.name is required."),
        ({"storageAccount": {"name": "mllocal"}}, "storageAccount.key is required."),
    ],
)
def test_a_new_service_needs_what_get_hides(
    client: Client, missing: dict[str, Any], said: str
) -> None:
    answer = create(client, **missing)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["message"] == said
    assert client.send("GET", f"{client.arm('copy')}?{API}").status_code == 404


def test_tags_are_shown_from_the_beginning_and_kept_where_a_patch_says_none(
    client: Client,
) -> None:
    answer = create(client)
    assert answer.json()["tags"] == {"Team": "risk"}
    assert get(client, name="copy")["tags"] == {"Team": "risk"}
    finish(client, answer)
    client.send("PATCH", f"{client.arm('copy')}?{API}", json=titled("x"))
    client.clock.advance(60)
    assert get(client, name="copy")["tags"] == {"Team": "risk"}


def titled(title: str) -> dict[str, Any]:
    return {"properties": {"packageType": "Graph", "title": title}}


@pytest.mark.parametrize(
    ("maps", "tags"), [("replace", {"a": "1"}), ("merge", {"Team": "risk", "a": "1"})]
)
def test_both_readings_of_the_tags_of_a_patch(
    client_of: Callable[..., Client], maps: str, tags: dict[str, str]
) -> None:
    client = client_of(patch_maps=maps)
    finish(client, create(client))
    client.send("PATCH", f"{client.arm('copy')}?{API}", json={**titled("x"), "tags": {"a": "1"}})
    client.clock.advance(60)
    assert get(client, name="copy")["tags"] == tags


@pytest.mark.parametrize(("maps", "left"), [("replace", {"level": "All"}), ("merge", None)])
def test_both_readings_of_an_object_in_a_patch(
    client_of: Callable[..., Client], maps: str, left: dict[str, Any] | None
) -> None:
    client = client_of(patch_maps=maps)
    until = {"level": "All", "expiry": "2099-01-01T00:00:00Z"}
    finish(client, patch(client, {"diagnostics": until}))
    finish(client, patch(client, {"diagnostics": {"level": "All"}}))
    assert get(client)["properties"]["diagnostics"] == (left or until)
    finish(client, patch(client, {"diagnostics": {"level": "All", "expiry": None}}))
    assert get(client)["properties"]["diagnostics"].get("expiry") is None


@pytest.mark.parametrize("level", [None, "none", "Warning"])
def test_diagnostics_need_a_level(client: Client, level: str | None) -> None:
    assert patch(client, {"diagnostics": {"level": level}}).status_code == 400


@pytest.mark.parametrize(("switch", "status"), [("ignored", 200), ("honoured", 412)])
def test_both_readings_of_a_conditional_put(
    client_of: Callable[..., Client], switch: str, status: int
) -> None:
    client = client_of(if_none_match=switch)
    first = create(client)
    assert first.status_code == 201
    finish(client, first)
    assert create(client).status_code == status


def test_a_creation_that_fails_leaves_a_service_without_a_definition(client: Client) -> None:
    client.cloud.faults.play("operation", "the disk is full")
    assert finish(client, create(client))["status"] == "Failed"
    left = get(client, name="copy")
    assert left["properties"]["provisioningState"] == "Failed"
    assert "assets" not in left["properties"]
    assert left["tags"] == {"Team": "risk"}
    deleted = client.send("DELETE", f"{client.arm('copy')}?{API}")
    assert finish(client, deleted)["status"] == "Succeeded"
    assert client.send("GET", f"{client.arm('copy')}?{API}").status_code == 404


@pytest.mark.parametrize(("shown", "tags"), [(True, {"Team": "risk"}), (False, {})])
def test_both_readings_of_the_tags_in_a_list(
    client_of: Callable[..., Client], shown: bool, tags: dict[str, str]
) -> None:
    client = client_of(list_tags=shown)
    finish(client, create(client))
    page = client.send("GET", f"{client.arm('')[:-1]}?{API}").json()
    assert {s["name"]: s["tags"] for s in page["value"]}["copy"] == tags


def test_lists_are_sparse_and_paged(client_of: Callable[..., Client]) -> None:
    client = client_of(page_size=1)
    path = client.arm("")[: -len("/")]
    page = client.send("GET", f"{path}?{API}").json()
    names = [service["name"] for service in page["value"]]
    assert "assets" not in page["value"][0]["properties"]
    while "nextLink" in page:
        assert page["nextLink"].startswith(BASE)
        page = client.send("GET", page["nextLink"].removeprefix(BASE)).json()
        names += [service["name"] for service in page["value"]]
    assert names == ["breast-cancer-predictive", "breast-cancer-training"]


def test_regional_properties_must_be_made_first(client: Client) -> None:
    url = f"{client.arm(NAME)}?{API}&region=westcentralus"
    missing = client.send("GET", url)
    assert missing.status_code == 404
    assert missing.json()["error"]["details"][0]["code"] == "PerRegionPayloadNotFound"
    made = client.send("POST", f"{client.arm(NAME)}/CreateRegionalBlob?{API}&region=westcentralus")
    assert made.status_code == 202
    finish(client, made)
    assert client.send("GET", url).status_code == 200


def test_real_host_names_lead_to_real_looking_urls(client: Client) -> None:
    answer = client.send("GET", f"{client.arm(NAME)}?{API}", base="https://management.azure.com")
    properties = answer.json()["properties"]
    assert properties["swaggerLocation"].startswith(
        "https://ussouthcentral.services.azureml.net/subscriptions/"
    )
    uri = properties["assets"]["asset3"]["locationInfo"]["uri"]
    assert uri.startswith("https://mllocal.blob.core.windows.net/azuremlassetscontainer/")


def test_an_unknown_request_names_itself(client: Client) -> None:
    for path in ("/subscriptions/x", "/nowhere", f"{client.arm(NAME)}/explode?{API}"):
        answer = client.send("POST", path)
        assert answer.status_code == 501
        assert path.split("?")[0] in answer.json()["error"]["message"]
