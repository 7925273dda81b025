"""Definitions of any shape, and operations that fail, overlap, or move only when looked at."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator import definitions
from tests.emulator.conftest import API, BASE, Client
from tests.emulator.test_arm import NAME, finish, get, new_model, patch, with_model

if TYPE_CHECKING:
    from collections.abc import Callable


def detail(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["details"][0]["code"])


def put(client: Client, name: str = "fresh", **changes: Any) -> Any:
    body = {**get(client), "location": "southcentralus", **changes}
    return client.send("PUT", f"{client.arm(name)}?{API}", json=body)


def changed(definition: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    properties = copy.deepcopy(definition["properties"])
    place = properties
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return properties


NOT_OBJECTS: list[Any] = [5, "x", [], [1], True]
OBJECTS = [
    *(("assets",), ("input",), ("output",), ("package",), ("parameters",), ("storageAccount",)),
    *(("keys",), ("diagnostics",), ("realtimeConfiguration",), ("commitmentPlan",)),
    *(("assets", "asset3"), ("assets", "asset3", "locationInfo"), ("package", "edges", 0)),
    *(("package", "nodes", "node1"), ("exampleRequest",), ("machineLearningWorkspace",)),
]
TEXTS = [
    *(("assets", "asset3", "name"), ("assets", "asset3", "type"), ("storageAccount", "name")),
    *(("assets", "asset3", "locationInfo", "uri"), ("package", "nodes", "node1", "assetId")),
    ("package", "edges", 0, "targetPortId"),
]


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: ".".join(map(str, path)))
def test_a_definition_with_something_else_for_an_object_is_refused(
    client: Client, path: tuple[Any, ...]
) -> None:
    before = get(client)
    for value in NOT_OBJECTS:
        answer = patch(client, changed(before, path, value))
        assert detail(answer) == "RequestBodyInvalid", value
    assert get(client) == before


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: ".".join(map(str, path)))
def test_a_definition_with_something_else_for_a_text_is_refused(
    client: Client, path: tuple[Any, ...]
) -> None:
    before = get(client)
    for value in (5, [], {}, {"a": 1}, True):
        assert detail(patch(client, changed(before, path, value))) == "RequestBodyInvalid", value
    assert get(client) == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tags": [1]}, "RequestBodyInvalid"),
        ({"tags": {"a": 1}}, "RequestBodyInvalid"),
        ({"location": 5}, "RequestBodyInvalid"),
        ({"location": ""}, "RequestBodyInvalid"),
        ({"properties": []}, "RequestBodyInvalid"),
    ],
    ids=str,
)
def test_an_envelope_of_another_shape_is_refused(
    client: Client, changes: dict[str, Any], code: str
) -> None:
    assert detail(put(client, **changes)) == code
    assert client.send("GET", f"{client.arm('fresh')}?{API}").status_code == 404


PROPERTIES: list[tuple[dict[str, Any], str]] = [
    ({"diagnostics": {"level": "All", "expiry": "2001-01-01T00:00:00Z"}}, "ExpiryTimeInThePast"),
    ({"diagnostics": {"level": "All", "expiry": "soon"}}, "RequestBodyInvalid"),
    (
        {"realtimeConfiguration": {"maxConcurrentCalls": 3}},
        "WebServiceConcurrentRequestRequirementInvalid",
    ),
    (
        {"realtimeConfiguration": {"maxConcurrentCalls": True}},
        "WebServiceConcurrentRequestRequirementInvalid",
    ),
]


@pytest.mark.parametrize(("properties", "code"), PROPERTIES)
def test_values_out_of_their_range_are_refused(
    client: Client, properties: dict[str, Any], code: str
) -> None:
    assert detail(patch(client, properties)) == code


def test_an_expiry_in_the_future_is_accepted(client: Client) -> None:
    later = {"level": "All", "expiry": "2099-01-01T00:00:00.0000000Z"}
    assert finish(client, patch(client, {"diagnostics": later}))["status"] == "Succeeded"
    assert get(client)["properties"]["diagnostics"] == later


def test_a_new_definition_brings_both_keys_or_none(client: Client) -> None:
    properties = {**get(client)["properties"], "keys": {"primary": "x"}}
    assert detail(put(client, properties=properties)) == "MissingKeys"


def test_empty_parameters_are_shown_after_a_put_and_not_after_a_patch(client: Client) -> None:
    properties = {**get(client)["properties"], "parameters": {}}
    finish(client, put(client, NAME, properties=properties))
    assert get(client)["properties"]["parameters"] == {}
    finish(client, patch(client, {"title": "x"}))
    assert "parameters" not in get(client)["properties"]


@pytest.mark.parametrize("token", ["abc", "-1", "1.5"])
def test_a_skiptoken_of_another_list_is_refused(client: Client, token: str) -> None:
    answer = client.send("GET", f"{client.arm('')[:-1]}?{API}&$skiptoken={token}")
    assert detail(answer) == "InvalidQueryParameter"


def test_a_service_is_provisioning_until_its_last_operation_ended(client: Client) -> None:
    first = patch(client, {"title": "one"})
    client.clock.advance(6)
    patch(client, {"title": "two"})
    client.clock.advance(7)
    url = first.headers["Azure-AsyncOperation"].removeprefix(BASE)
    assert client.send("GET", url).json()["status"] == "Succeeded"
    assert get(client)["properties"]["provisioningState"] == "Provisioning"
    client.clock.advance(6)
    shown = get(client)["properties"]
    assert (shown["provisioningState"], shown["title"]) == ("Succeeded", "two")


@pytest.mark.parametrize("what", ["delete", "region"])
def test_every_kind_of_operation_can_be_made_to_fail(client: Client, what: str) -> None:
    client.cloud.faults.play("operation", "the disk is full")
    url = f"{client.arm(NAME)}?{API}"
    if what == "delete":
        begun = client.send("DELETE", url)
    else:
        below = f"/CreateRegionalBlob?{API}&region=westeurope"
        begun = client.send("POST", client.arm(NAME) + below)
    status = finish(client, begun)
    assert status["status"] == "Failed"
    assert status["error"]["details"][0]["message"] == "the disk is full"
    assert get(client)["properties"]["provisioningState"] == "Succeeded"
    assert client.send("GET", f"{url}&region=westeurope").status_code == 404


def test_a_bug_in_an_operation_fails_it_and_no_other_request(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("surprise")

    begun = patch(client, {"title": "x"})
    monkeypatch.setattr(definitions, "model_bytes", broken)
    assert finish(client, begun)["status"] == "Failed"
    assert "ZeroDivisionError: surprise" in capsys.readouterr().err
    monkeypatch.undo()
    assert get(client)["properties"]["title"] != "x"


# --- pace: looks --------------------------------------------------------------------------------


def test_an_operation_moves_when_it_is_looked_at(client_of: Callable[..., Client]) -> None:
    client = client_of(pace="looks", looks=3)
    url = patch(client, {"title": "x"}).headers["Azure-AsyncOperation"].removeprefix(BASE)
    client.clock.advance(3600)
    looks = [client.send("GET", url).json() for _ in range(5)]
    assert [look["status"] for look in looks] == ["Provisioning"] * 3 + ["Succeeded"] * 2
    percents = [look["percentComplete"] for look in looks]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0.5, 1.0)


def test_looking_at_the_service_counts_too(client_of: Callable[..., Client]) -> None:
    client = client_of(pace="looks")
    uri = new_model(client)
    patch(client, {"assets": with_model(client, uri)})
    looks = [get(client)["properties"] for _ in range(3)]
    served = [look["assets"]["asset3"]["locationInfo"]["uri"] == uri for look in looks]
    assert served == [False, True, True]
    states = [look["provisioningState"] for look in looks]
    assert states == ["Provisioning", "Succeeded", "Succeeded"]


def test_a_deleted_service_goes_when_it_was_looked_at(client_of: Callable[..., Client]) -> None:
    client = client_of(pace="looks")
    url = f"{client.arm(NAME)}?{API}"
    assert client.send("DELETE", url).status_code == 202
    assert [client.send("GET", url).status_code for _ in range(3)] == [200, 404, 404]
