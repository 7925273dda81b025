"""What Microsoft's own SDK and PowerShell sessions recorded, and the emulator now answers too.

The sources are the session records of azure-sdk-for-net and azure-powershell, 2016 and 2017.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.emulator.conftest import API, Client
from tests.emulator.test_arm import NAME, OLD_API, finish, get, patch

PLANS = "api-version=2016-05-01-preview"
SKU = {"name": "S1", "tier": "Standard", "capacity": 1}
COMMON = (
    *("Expires", "Pragma", "Cache-Control", "Strict-Transport-Security", "x-ms-request-id"),
    *("x-ms-correlation-request-id", "x-ms-routing-request-id"),
)
SERVERS = ("Server", "x-ms-request-duration", "x-ms-ratelimit-remaining-subscription-reads")


def plan_url(client: Client, below: str = "/p") -> str:
    return client.arm("x").replace("webServices/x", "commitmentPlans") + f"{below}?{PLANS}"


def make_plan(client: Client, below: str = "/p") -> dict[str, Any]:
    body = {"location": "southcentralus", "sku": SKU}
    answer = client.send("PUT", plan_url(client, below), json=body)
    assert answer.status_code == 200
    return dict(answer.json())


def bare(client: Client, name: str, query: str = API, **more: Any) -> requests.Response:
    """The answer to a PUT of a service of which only what it needs is said."""
    properties = {
        "packageType": "Graph",
        "storageAccount": {"name": "mllocal", "key": "k"},
        "commitmentPlan": {"id": "p"},
        **more,
    }
    body = {"location": "southcentralus", "properties": properties}
    return client.send("PUT", f"{client.arm(name)}?{query}", json=body)


# --- lists --------------------------------------------------------------------------------------


def test_a_service_in_a_list_shows_all_but_its_payload(client: Client) -> None:
    where = client.arm(NAME).rpartition("/")[0]
    items = client.send("GET", f"{where}?{API}").json()["value"]
    item = next(item for item in items if item["name"] == NAME)
    whole = get(client)
    payload = ("assets", "input", "output", "package", "parameters", "exampleRequest")
    rest = {name: value for name, value in whole["properties"].items() if name not in payload}
    assert item == {**whole, "properties": rest}
    assert {
        *("payloadsInBlobStorage", "provisioningState", "createdOn", "modifiedOn", "title"),
        *("description", "swaggerLocation", "readOnly", "realtimeConfiguration", "diagnostics"),
        *("storageAccount", "machineLearningWorkspace", "packageType", "exposeSampleData"),
    } == set(rest)
    assert rest["storageAccount"] == {"name": "mllocal"}


# --- errors -------------------------------------------------------------------------------------


def test_a_404_carries_the_common_headers(client: Client) -> None:
    answer = client.send("GET", f"{client.arm('nope')}?{API}")
    assert answer.status_code == 404
    assert not [name for name in (*COMMON, *SERVERS) if not answer.headers.get(name)]


def test_a_missing_plan_is_refused_by_the_gateway(client: Client) -> None:
    answer = client.send("GET", plan_url(client, "/nope"))
    assert answer.status_code == 404
    group = client.arm("x").split("/")[4]
    assert answer.json() == {
        "error": {
            "code": "ResourceNotFound",
            "message": "The Resource 'Microsoft.MachineLearning/commitmentPlans/nope' under "
            f"resource group '{group}' was not found.",
        }
    }
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    assert not [name for name in COMMON if not answer.headers.get(name)]
    assert not [name for name in SERVERS if name in answer.headers]


# --- regions ------------------------------------------------------------------------------------


def test_a_region_that_was_not_prepared_is_refused_in_the_recorded_words(client: Client) -> None:
    answer = client.send("GET", f"{client.arm(NAME)}?region=westcentralus&{API}")
    assert answer.json()["error"]["details"] == [
        {
            "code": "PerRegionPayloadNotFound",
            "message": "Web Service Definition for region westcentralus was not found. Please use "
            "the same URL making a POST call and wait for it succeeded, then try GET again.",
        }
    ]


def test_preparing_a_region_answers_a_bare_name_and_moves_the_date(client: Client) -> None:
    before = get(client)["properties"]
    client.clock.advance(60)
    url = f"{client.arm(NAME)}/CreateRegionalBlob?region=westcentralus&{API}"
    answer = client.send("POST", url)
    assert answer.status_code == 202
    assert answer.json() == {
        "id": NAME,
        "name": NAME,
        "type": "Microsoft.MachineLearning/webServices",
        "location": "South Central US",
        "properties": {"payloadsInBlobStorage": False, "provisioningState": "Provisioning"},
    }
    assert finish(client, answer)["status"] == "Succeeded"
    after = get(client)["properties"]
    assert after["modifiedOn"] > before["modifiedOn"]
    assert after["createdOn"] == before["createdOn"]


# --- dialects -----------------------------------------------------------------------------------


def test_what_was_not_sent_has_the_defaults_of_2017(client: Client) -> None:
    finish(client, bare(client, "bare"))
    properties = get(client, name="bare")["properties"]
    assert properties["readOnly"] is False
    assert properties["exposeSampleData"] is False
    assert properties["realtimeConfiguration"] == {"maxConcurrentCalls": 20}
    assert "diagnostics" not in properties


def test_what_was_sent_is_no_default(client: Client) -> None:
    sent = {"exposeSampleData": True, "realtimeConfiguration": {"maxConcurrentCalls": 5}}
    finish(client, bare(client, "bare", **sent))
    properties = get(client, name="bare")["properties"]
    assert {name: properties[name] for name in sent} == sent


def test_the_dialect_of_2016_echoes_the_state_and_no_tags_that_were_not_sent(
    client: Client,
) -> None:
    made = bare(client, "old", OLD_API, parameters={"category": "Trigonometric"})
    assert made.status_code == 201
    echo = made.json()
    assert "tags" not in echo
    assert echo["properties"]["provisioningState"] == "Provisioning"
    assert echo["properties"]["storageAccount"] == {"name": "mllocal", "key": "k"}
    assert echo["properties"]["parameters"] == {"category": "Trigonometric"}
    finish(client, made)
    shown = get(client, OLD_API, "old")
    assert shown["tags"] == {}
    assert shown["properties"]["parameters"] == {"category": "Trigonometric"}
    assert not {"payloadsInBlobStorage", "realtimeConfiguration", "exposeSampleData"} & set(
        shown["properties"]
    )
    of_2017 = get(client, API, "old")["properties"]
    assert of_2017["parameters"] == {"category": {"value": "Trigonometric"}}


PARAMETERS: list[dict[str, Any]] = [
    {"parameters": {"Category": "Trigonometric"}},
    {"package": {"nodes": {"node1": {"assetId": "a", "parameters": {"Category": "Sin"}}}}},
]


@pytest.mark.parametrize("properties", PARAMETERS)
def test_the_plain_parameters_of_2016_are_refused_in_2017(
    client: Client, properties: dict[str, Any]
) -> None:
    before = get(client)
    answer = patch(client, properties)
    assert answer.status_code == 400
    assert "Category must be an object" in answer.json()["error"]["details"][0]["message"]
    client.clock.advance(60)
    assert get(client) == before
    assert patch(client, properties, OLD_API).status_code == 200


def test_publishing_a_code_service_is_not_emulated_and_says_so(client: Client) -> None:
    url = f"/workspaces/{client.workspace['id']}/webservices/{'a' * 32}"
    body = {"Name": "x", "Type": "Code", "CodeBundle": {}}
    answer = client.send("PUT", url, token=client.workspace["token"], json=body)
    assert answer.status_code == 501
    assert f"PUT {url}" in answer.json()["error"]["message"]
    assert client.send("PUT", url, token="wrong", json=body).status_code == 401


# --- commitment plans ---------------------------------------------------------------------------


def test_a_patch_of_a_plan_changes_sku_and_tags(client: Client) -> None:
    before = make_plan(client)
    sku = {"capacity": 2, "name": "S2", "tier": "Standard"}
    client.clock.advance(60)
    answer = client.send("PATCH", plan_url(client), json={"tags": {"tag1": "value1"}, "sku": sku})
    assert answer.status_code == 200
    after = answer.json()
    assert after == client.send("GET", plan_url(client)).json()
    assert (after["sku"], after["tags"]) == (sku, {"tag1": "value1"})
    assert after["etag"] != before["etag"]
    assert after["properties"]["creationDate"] == before["properties"]["creationDate"]
    quantities = after["properties"]["includedQuantities"]
    assert quantities["machineLearningWebServiceComputeHours"] == {
        "allowance": 500.0,
        "amount": 500.0,
        "includedQuantityMeter": "29187de1-b4a1-4503-a6f6-078271b3fc9d",
        "overageMeter": "e5921380-3088-471a-ae87-a47cc97e98dc",
    }
    assert quantities["machineLearningWebServiceTransactions"]["allowance"] == 2_000_000.0
    only_tags = client.send("PATCH", plan_url(client), json={"tags": {}}).json()
    assert (only_tags["sku"], only_tags["tags"]) == (sku, {})
    assert client.send("PATCH", plan_url(client, "/nope"), json={}).status_code == 404


def test_plans_are_listed_by_subscription_and_by_group(client: Client) -> None:
    one = make_plan(client)
    group = client.arm("x").split("/")[4]
    elsewhere = plan_url(client, "/q").replace(f"/{group}/", "/another/")
    two = client.send("PUT", elsewhere, json={"location": "x", "sku": SKU}).json()
    where = "/".join(client.arm("x").split("/")[:3])
    url = f"{where}/providers/Microsoft.MachineLearning/commitmentPlans?{PLANS}"
    assert client.send("GET", url).json() == {"value": [two, one]}
    assert client.send("GET", plan_url(client, "")).json() == {"value": [one]}
    other = url.replace(where, "/subscriptions/another")
    assert client.send("GET", other).json() == {"value": []}


def test_skus_and_a_history_without_use_are_shown(client: Client) -> None:
    make_plan(client)
    where = "/".join(client.arm("x").split("/")[:3])
    skus = client.send("GET", f"{where}/providers/Microsoft.MachineLearning/skus?{PLANS}")
    assert [sku["name"] for sku in skus.json()["value"]] == ["S1", "S2", "DevTest"]
    assert client.send("GET", plan_url(client, "/p/usageHistory")).json() == {"value": []}
    assert client.send("GET", plan_url(client, "/nope/usageHistory")).status_code == 404


def test_an_association_can_be_looked_at_by_its_name(client: Client) -> None:
    plan = make_plan(client)["id"]
    finish(client, patch(client, {"commitmentPlan": {"id": plan}}))
    below = "/p/commitmentAssociations"
    (found,) = client.send("GET", plan_url(client, below)).json()["value"]
    assert client.send("GET", plan_url(client, f"{below}/{found['name']}")).json() == found
    assert client.send("GET", plan_url(client, f"{below}/nope")).status_code == 404
    moved = client.send("POST", plan_url(client, f"{below}/{found['name']}/move"), json={})
    assert moved.status_code == 501
    assert "/move" in moved.json()["error"]["message"]


def test_a_sku_that_the_emulator_does_not_know_says_so(client: Client) -> None:
    body = {"location": "x", "sku": {"name": "S9"}}
    answer = client.send("PUT", plan_url(client), json=body)
    assert answer.status_code == 501
    assert "S1, S2, DevTest" in answer.json()["error"]["message"]


def test_empty_segments_of_a_path_are_passed_over(client: Client) -> None:
    plan = make_plan(client)
    doubled = plan_url(client).replace("/commitmentPlans", "//commitmentPlans")
    assert client.send("GET", doubled).json() == plan
    service = client.arm(NAME).replace("/webServices", "///webServices")
    assert client.send("GET", f"{service}?{API}").json()["name"] == NAME


def test_names_with_blanks_are_shown_as_they_are(client: Client) -> None:
    plan = make_plan(client, "/kshoop%20plan%206.22.3")
    assert plan["name"] == "kshoop plan 6.22.3"
    assert plan["id"].endswith("/commitmentPlans/kshoop plan 6.22.3")
    assert client.send("GET", plan_url(client, "")).json()["value"] == [plan]
    group = client.arm("x").split("/")[4]
    url = client.arm("my%20service").replace(f"/{group}/", "/my%20group/")
    body = {
        "location": "x",
        "properties": {
            "packageType": "Graph",
            "storageAccount": {"name": "mllocal", "key": "k"},
            "commitmentPlan": {"id": plan["id"]},
        },
    }
    finish(client, client.send("PUT", f"{url}?{API}", json=body))
    shown = client.send("GET", f"{url}?{API}").json()
    assert shown["id"].endswith("/resourceGroups/my group/providers/"
                                "Microsoft.MachineLearning/webServices/my service")  # fmt: skip
    where = url.rpartition("/")[0]
    listed = client.send("GET", f"{where}?{API}").json()["value"]
    assert [service["name"] for service in listed] == ["my service"]
    below = "/kshoop%20plan%206.22.3/commitmentAssociations"
    (found,) = client.send("GET", plan_url(client, below)).json()["value"]
    assert found["properties"]["associatedResourceId"] == shown["id"]
