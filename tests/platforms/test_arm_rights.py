"""Which actions the roles of an identity allow."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.platforms.arm_rights import allows

WRITE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/write"


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ([], False),
        ([{"actions": ["*"], "notActions": []}], True),
        ([{"actions": ["*/read"]}], False),
        ([{"actions": ["microsoft.machinelearningservices/WORKSPACES/*/write"]}], True),
        ([{"actions": ["Microsoft.MachineLearningServices/workspaces/write"]}], False),
        ([{"actions": ["*"], "notActions": ["*/onlineEndpoints/*"]}], False),
        ([{"actions": ["*"], "notActions": ["*/write"]}, {"actions": [WRITE]}], True),
        ([{"actions": None}, {"Actions": "*"}, {"actions": [None, 7]}], False),
    ],
)
def test_a_role_allows_its_actions_without_its_not_actions(
    roles: list[dict[str, Any]], allowed: bool
) -> None:
    assert allows(roles, WRITE) is allowed
