"""The rights of whoever calls ARM, and the machines of a region, as the emulator tells them."""

from __future__ import annotations

import pytest

from tests.emulator.azureml import WS, Wire, deployment

READ = "Microsoft.MachineLearningServices/workspaces/*/read"
LIST = f"{WS}/providers/Microsoft.Authorization/permissions"
REGION = (
    f"{WS.partition('/resourceGroups/')[0]}/providers/Microsoft.MachineLearningServices"
    "/locations/westeurope"
)


def test_a_caller_has_every_right_unless_told_otherwise() -> None:
    (role,) = Wire().get(LIST)["value"]
    assert (role["actions"], role["notActions"]) == (["*"], [])


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("PUT", "onlineEndpoints/churn/deployments/green", "onlineEndpoints/deployments/write"),
        ("DELETE", "onlineEndpoints/churn", "onlineEndpoints/delete"),
        ("POST", "onlineEndpoints/churn/listKeys", "onlineEndpoints/listKeys/action"),
        ("PUT", "jobs/one", "jobs/write"),
    ],
)
def test_what_no_role_allows_is_refused_by_the_name_of_its_action(
    method: str, path: str, action: str
) -> None:
    wire = Wire(options={"rights": (READ,)})
    answer = wire.send(method, path, deployment())
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "AuthorizationFailed"
    assert f"'Microsoft.MachineLearningServices/workspaces/{action}'" in error["message"]
    assert wire.get("onlineEndpoints/churn")["name"] == "churn"
    assert wire.get(LIST)["value"][0]["actions"] == [READ]


def test_a_caller_without_a_role_is_shown_none() -> None:
    assert Wire(options={"rights": ()}).get(LIST) == {"value": []}


def test_usages_count_the_cores_of_what_serves_against_the_quota() -> None:
    wire = Wire()
    sizes = {size["name"]: size for size in wire.get(f"{REGION}/vmSizes")["value"]}
    assert sizes["Standard_DS3_v2"]["vCPUs"] == 4
    family = sizes["Standard_DS3_v2"]["family"]

    def usage() -> tuple[int, int]:
        usages = {usage["name"]["value"]: usage for usage in wire.get(f"{REGION}/usages")["value"]}
        return usages[family]["currentValue"], usages[family]["limit"]

    assert usage() == (4, 24)
    wire.put("onlineEndpoints/churn/deployments/green", deployment())
    assert usage() == (8, 24)
