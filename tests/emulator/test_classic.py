"""The Classic management door (STUDIO_PROTOCOL.md §2)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.conftest import BASE, Client

if TYPE_CHECKING:
    from collections.abc import Callable

RESOURCE = "Diabetes [trained model]"
PROBE = {"Inputs": {"input1": {"ColumnNames": [], "Values": []}}, "GlobalParameters": {}}


def send(client: Client, method: str, endpoint: str, below: str = "", **more: Any) -> Any:
    more.setdefault("token", client.workspace["token"])
    return client.send(method, client.management(endpoint) + below, **more)


def get(client: Client, endpoint: str = "young", **more: Any) -> dict[str, Any]:
    answer = send(client, "GET", endpoint, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def patch(client: Client, endpoint: str = "young", **location: str) -> Any:
    """Patch with another model; keyword arguments change the location."""
    old = client.cloud.world.models[_endpoint(client, endpoint).model]
    document = json.loads(old)
    document["intercept"] += 100.0
    client.blob("models/new.ilearner", json.dumps(document).encode())
    name = location.pop("Name", RESOURCE)
    place = {
        "BaseLocation": f"{BASE}/blob/mllocal/",
        "RelativeLocation": "models/new.ilearner",
        "SasBlobToken": client.sas("models/new.ilearner"),
        **location,
    }
    return send(client, "PATCH", endpoint, json={"Resources": [{"Name": name, "Location": place}]})


def _endpoint(client: Client, name: str) -> Any:
    service = client.classic("Diabetes Scoring")
    return client.cloud.world.classic[service["id"]].endpoints[name]


def first_score(client: Client, endpoint: str = "young") -> str:
    shown = get(client, endpoint)
    columns = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    row = ["37", "1", "20.2", "81", "162", "87.8", "63", "3", "4.025", "88"]
    body = {"Inputs": {"input1": {"ColumnNames": columns, "Values": [row]}}, "GlobalParameters": {}}
    path = shown["ApiLocation"].removeprefix(BASE) + "/execute?api-version=2.0"
    answer = client.send("POST", path, token=shown["PrimaryKey"], json=body)
    return str(answer.json()["Results"]["output1"]["value"]["Values"][0][0])


def test_the_fixed_parts_of_a_path_count_in_any_case(client: Client) -> None:
    endpoint = get(client)
    path = client.management("young").replace("/workspaces", "/Workspaces")
    path = path.replace("/webservices", "/webServices").replace("/endpoints", "/EndPoints")
    token = client.workspace["token"]
    assert client.send("GET", path, token=token).json() == endpoint
    base = endpoint["ApiLocation"].removeprefix(BASE)
    swagger = client.send("GET", f"{base}/swagger.json").json()
    spelled = base.replace("/workspaces", "/WorkSpaces").replace("/services", "/Services")
    assert client.send("GET", f"{spelled}/Swagger.json").json() == swagger


def test_services_are_a_bare_list_with_their_endpoint_counts(client: Client) -> None:
    path = f"/workspaces/{client.workspace['id']}/webservices"
    for suffix in ("", "/"):
        answer = client.send("GET", path + suffix, token=client.workspace["token"])
        found = {s["Name"]: s["EndpointCount"] for s in answer.json()}
        assert found == {"Diabetes Scoring": 4, "Diabetes Training": 1}


def test_the_management_id_and_the_scoring_id_differ(client: Client) -> None:
    shown = get(client)
    assert shown["WebServiceId"] in shown["HelpLocation"]
    assert shown["ApiLocation"].endswith(f"/services/{_endpoint(client, 'young').id}")
    assert shown["WebServiceId"] not in shown["ApiLocation"]


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_key_is_401(client: Client, token: str) -> None:
    answer = send(client, "GET", "young", token=token)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["details"][0]["code"] == "ManagementRequestUnauthorized"


def test_an_endpoint_key_opens_its_own_endpoint_only(client: Client) -> None:
    key = get(client)["PrimaryKey"]
    assert send(client, "GET", "young", token=key).status_code == 200
    assert send(client, "GET", "middle", token=key).status_code == 401


def test_the_location_is_shown_without_its_sas(client: Client) -> None:
    assert patch(client).status_code == 200
    location = get(client)["Resources"][0]["Location"]
    assert location["RelativeLocation"] == "models/new.ilearner"
    assert location["SasBlobToken"] == ""
    assert location["BaseLocation"] == f"{BASE}/blob/mllocal/"
    assert patch(client, BaseLocation=f"{BASE}/mllocal/").status_code == 200
    assert get(client)["Resources"][0]["Location"] == location


def test_the_location_can_be_hidden(client_of: Callable[..., Client]) -> None:
    client = client_of(classic_location="hidden")
    assert get(client)["Resources"] == [{"Name": RESOURCE, "Kind": "TrainedModel"}]


def test_a_patch_is_in_effect_after_half_a_minute(client: Client) -> None:
    before = first_score(client)
    assert patch(client).status_code == 200
    client.clock.advance(29)
    assert first_score(client) == before
    client.clock.advance(2)
    assert float(first_score(client)) == pytest.approx(float(before) + 100.0, abs=1e-3)


def test_the_patched_model_is_a_copy(client: Client) -> None:
    patch(client)
    client.clock.advance(31)
    after = first_score(client)
    client.blob("models/new.ilearner", b"gone")
    assert first_score(client) == after


REFUSED = [
    ({"Name": "diabetes [trained model]"}, 400, "Did you mean 'Diabetes [trained model]'?"),
    ({"RelativeLocation": "datasets/breast-cancer/2026-10.csv"}, 400, "file extension"),
    ({"RelativeLocation": "models/none.ilearner"}, 400, "SAS does not allow"),
    ({"SasBlobToken": ""}, 400, "SAS does not allow"),
    ({"BaseLocation": "https://elsewhere.example/"}, 400, "not valid"),
]


@pytest.mark.parametrize(("location", "status", "said"), REFUSED)
def test_a_patch_is_refused_with_a_reason(
    client: Client, location: dict[str, str], status: int, said: str
) -> None:
    before = get(client)
    answer = patch(client, **location)
    assert answer.status_code == status
    assert said in answer.text
    assert get(client) == before


def test_an_expired_sas_is_refused(client: Client) -> None:
    client.blob("models/x.ilearner", b"{}")
    sas = client.sas("models/x.ilearner", lasting_s=60)
    client.clock.advance(120)
    assert patch(client, RelativeLocation="models/x.ilearner", SasBlobToken=sas).status_code == 400


def test_bytes_that_are_no_model_are_an_internal_error(client: Client) -> None:
    client.blob("models/x.ilearner", b"\x80\x04not a model")
    sas = client.sas("models/x.ilearner")
    answer = patch(client, RelativeLocation="models/x.ilearner", SasBlobToken=sas)
    assert answer.status_code == 500
    assert answer.json()["error"]["details"][0]["code"] == "UpdateWebServiceResourceFailed"


def test_the_default_endpoint_is_locked(client: Client) -> None:
    assert patch(client, "default").status_code == 400
    assert send(client, "DELETE", "default").status_code == 400
    assert send(client, "POST", "default", "/refresh", json={}).status_code == 400


def test_an_endpoint_of_the_training_service_has_nothing_to_update(client: Client) -> None:
    path = client.management("extra", "Diabetes Training")
    token = client.workspace["token"]
    made = client.send("PUT", path, token=token, json={"ThrottleLevel": "Low"})
    assert (made.status_code, made.json()["Resources"]) == (201, [])
    answer = client.send("PATCH", path, token=token, json={"Resources": [{"Name": "x"}]})
    assert answer.status_code == 400
    assert "no updatable resources" in answer.text


NAMES = [
    ("rentalloc001", 201),
    ("Rental", 400),
    ("rental-1", 400),
    ("a" * 24, 201),
    ("a" * 25, 400),
]


@pytest.mark.parametrize(("name", "status"), NAMES)
def test_endpoint_names_follow_the_platforms_rules(client: Client, name: str, status: int) -> None:
    answer = send(client, "PUT", name, json={"Description": "x", "ThrottleLevel": "Low"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ({"ThrottleLevel": "Low", "MaxConcurrentCalls": 99}, 4),
        ({"ThrottleLevel": "High"}, 20),
        ({"throttlelevel": "High", "maxconcurrentcalls": "7"}, 7),
    ],
)
def test_throttling_decides_the_concurrent_calls(
    client: Client, body: dict[str, Any], calls: int
) -> None:
    assert send(client, "PUT", "fresh", json=body).json()["MaxConcurrentCalls"] == calls


def test_a_new_endpoint_starts_with_the_default_model_and_put_twice_updates(
    client: Client,
) -> None:
    send(client, "PUT", "fresh", json={})
    assert get(client, "fresh")["Resources"] == get(client, "default")["Resources"]
    again = send(client, "PUT", "fresh", json={"Description": "said"})
    assert (again.status_code, again.json()["Description"]) == (200, "said")
    assert send(client, "DELETE", "fresh").status_code == 204
    assert send(client, "GET", "fresh").status_code == 404


def test_a_refresh_that_overwrites_undoes_a_patch(client: Client) -> None:
    patch(client)
    client.clock.advance(31)
    assert (
        send(client, "POST", "young", "/refresh", json={"OverwriteResources": "False"}).status_code
        == 304
    )
    assert get(client)["Resources"][0]["Location"]["RelativeLocation"] == "models/new.ilearner"
    assert (
        send(client, "POST", "young", "/refresh", json={"OverwriteResources": "True"}).status_code
        == 200
    )
    assert get(client)["Resources"] == get(client, "default")["Resources"]
    assert (
        send(client, "POST", "young", "/refresh", json={"OverwriteResources": True}).status_code
        == 304
    )


@pytest.mark.parametrize(("switch", "status"), [(True, 400), (False, 200)])
def test_prevent_update_refuses_or_not(
    client_of: Callable[..., Client], switch: bool, status: int
) -> None:
    client = client_of(prevent_update=switch)
    send(client, "PUT", "young", json={"PreventUpdate": True})
    assert patch(client).status_code == status


@pytest.mark.parametrize(("body", "empty"), [(True, False), (False, True)])
def test_a_patch_may_answer_the_endpoint_or_nothing(
    client_of: Callable[..., Client], body: bool, empty: bool
) -> None:
    assert (patch(client_of(classic_patch_body=body)).content == b"") is empty


def test_unknown_things_are_404_with_their_codes(client: Client) -> None:
    token = client.workspace["token"]
    for path, code in (
        ("/workspaces/nope/webservices", "WorkspaceNotFound"),
        (
            f"/workspaces/{client.workspace['id']}/webservices/nope",
            "WebServiceIdNotFoundInWorkspace",
        ),
        (client.management("nope"), "EndpointNotFound"),
    ):
        answer = client.send("GET", path, token=token)
        assert (answer.status_code, answer.json()["error"]["details"][0]["code"]) == (404, code)


def test_the_api_document_is_swagger_by_endpoint_id(client: Client) -> None:
    ident = _endpoint(client, "young").id
    answer = client.send("GET", f"{client.management(ident)}/apidocument", token="")
    document = answer.json()
    assert document["swagger"] == "2.0"
    assert document["basePath"].endswith(f"/services/{ident}")
    assert next(iter(document["paths"])) == "/swagger.json"
