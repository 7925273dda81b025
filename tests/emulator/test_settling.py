"""When a Classic endpoint's new model is in effect, and what undoes it (§2.8, §2.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.conftest import BASE, Client
from tests.emulator.test_classic import RESOURCE, first_score, get, patch, send

if TYPE_CHECKING:
    from collections.abc import Callable


def resource_path(client: Client, endpoint: str = "young") -> str:
    return str(get(client, endpoint)["Resources"][0]["Location"]["RelativeLocation"])


def score(client: Client, shown: dict[str, Any], body: Any) -> Any:
    path = shown["ApiLocation"].removeprefix(BASE) + "/execute?api-version=2.0"
    return client.send("POST", path, token=shown["PrimaryKey"], json=body)


def test_by_looks_an_endpoint_shows_its_new_place_at_once_and_scores_with_it_later(
    client_of: Callable[..., Client],
) -> None:
    client = client_of(pace="looks", settle_looks=4)
    before = first_score(client)
    assert patch(client).status_code == 200
    assert resource_path(client) == "models/new.ilearner"  # the first look
    client.clock.advance(3600)
    scores = [first_score(client) for _ in range(4)]  # each looks twice: it reads the key first
    assert [score == before for score in scores] == [True, False, False, False]


def test_a_second_patch_starts_the_wait_again(client: Client) -> None:
    before = first_score(client)
    patch(client)
    client.clock.advance(29)
    patch(client)
    client.clock.advance(2)
    assert first_score(client) == before
    client.clock.advance(30)
    assert first_score(client) != before


def test_a_refresh_undoes_a_patch_that_is_not_in_effect_yet(client: Client) -> None:
    before = first_score(client, "young")
    patch(client, "young")
    answer = send(client, "POST", "young", "/refresh", json={"OverwriteResources": "True"})
    assert answer.status_code == 200
    client.clock.advance(60)
    assert first_score(client, "young") == before
    assert get(client, "young")["Resources"] == get(client, "default")["Resources"]


@pytest.mark.parametrize(("given", "shown"), [("False", False), ("True", True), (None, False)])
def test_prevent_update_is_understood_as_csharp_writes_it(
    client: Client, given: Any, shown: bool
) -> None:
    send(client, "PUT", "young", json={"PreventUpdate": given})
    assert get(client)["PreventUpdate"] is shown


def test_a_free_workspace_has_three_endpoints_of_low_throttle(client: Client) -> None:
    client.cloud.world.workspaces[client.workspace["id"]].tier = "free"
    high = send(client, "PUT", "young", json={"ThrottleLevel": "High"})
    assert (high.status_code, "Low only" in high.text) == (400, True)
    fourth = send(client, "PUT", "fourth", json={})
    assert (fourth.status_code, "at most 3" in fourth.text) == (400, True)
    assert send(client, "DELETE", "middle").status_code == 204
    assert send(client, "DELETE", "senior").status_code == 204
    assert send(client, "PUT", "fourth", json={}).status_code == 201


WRONG: list[Any] = [None, 5, "x", [], [1], True]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_patch_of_another_shape_is_refused_and_changes_nothing(
    client: Client, value: Any
) -> None:
    before = get(client)
    place = {"BaseLocation": BASE, "RelativeLocation": "models/x.ilearner", "SasBlobToken": ""}
    bodies: list[Any] = [
        {"Resources": value},
        {"Resources": [{"Name": value, "Location": place}]},
        {"Resources": [{"Name": RESOURCE, "Location": value}]},
        *({"Resources": [{"Name": RESOURCE, "Location": {**place, p: value}}]} for p in place),
    ]
    for body in bodies:
        assert send(client, "PATCH", "young", json=body).status_code == 400, body
    assert get(client) == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "MissingRequestInput"),
        ({"Inputs": 5}, "MissingRequestInput"),
        ({"Inputs": {"Input1": {}}}, "InvalidInputNames"),
        ({"Inputs": {"input1": {}}, "GlobalParameters": {"x": "1"}}, "UnexpectedParameter"),
        ({"Inputs": {"input1": {}}, "GlobalParameters": [1]}, "RequestBodyInvalid"),
    ],
)
def test_scoring_names_what_is_wrong_with_the_request(
    client: Client, body: dict[str, Any], code: str
) -> None:
    answer = score(client, get(client), body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["code"] == code
