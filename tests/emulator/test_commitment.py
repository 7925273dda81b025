"""Commitment plans and their associations (STUDIO_PROTOCOL.md §3.12)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import API, Client
from tests.emulator.test_arm import NAME, finish, patch

PLANS = "api-version=2016-05-01-preview"
BODY = {
    "location": "South Central US",
    "sku": {"name": "S1", "tier": "Standard", "capacity": 1},
    "properties": {},
}


def path(client: Client, below: str = "/p") -> str:
    return client.arm("x").replace("webServices/x", "commitmentPlans") + below


def test_a_plan_is_made_shown_and_deleted_at_once(client: Client) -> None:
    url = f"{path(client)}?{PLANS}"
    assert client.send("GET", url).status_code == 404
    made = client.send("PUT", url, json=BODY)
    assert made.status_code == 200  # recorded, even on create
    assert "Azure-AsyncOperation" not in made.headers
    shown = client.send("GET", f"{path(client).upper()}?{PLANS}").json()
    assert shown == made.json()
    assert shown["properties"]["maxAssociationLimit"] == 10_000
    hours = shown["properties"]["includedQuantities"]["machineLearningWebServiceComputeHours"]
    assert hours["allowance"] == 25
    listed = client.send("GET", f"{path(client, '')}?{PLANS}").json()
    assert listed["value"] == [shown]
    assert client.send("DELETE", url).status_code == 200
    assert client.send("GET", url).status_code == 404


def test_associations_tell_the_plan_that_a_service_hides(client: Client) -> None:
    plan = client.send("PUT", f"{path(client)}?{PLANS}", json=BODY).json()["id"]
    finish(client, patch(client, {"commitmentPlan": {"id": plan}}))
    answer = client.send("GET", f"{path(client)}/commitmentAssociations?{PLANS}")
    (found,) = answer.json()["value"]
    assert found["properties"]["associatedResourceId"] == client.arm(NAME)
    assert found["properties"]["commitmentPlanId"] == plan


@pytest.mark.parametrize("body", [{}, {"location": "x"}, {"sku": {}}, {"location": 5, "sku": {}}])
def test_a_plan_without_a_place_or_a_sku_is_refused(client: Client, body: Any) -> None:
    assert client.send("PUT", f"{path(client)}?{PLANS}", json=body).status_code == 400


def test_plans_have_one_api_version(client: Client) -> None:
    answer = client.send("GET", f"{path(client)}?{API}")
    assert answer.json()["error"]["code"] == "NoRegisteredProviderFound"
    assert answer.json()["error"]["message"].endswith("are '2016-05-01-preview'.")
