"""Azure Machine Learning v2 at the wire: endpoints, deployments, and operations that take time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from reconciler import emulator
from reconciler.emulator import Fault
from reconciler.emulator.azureml import containers
from tests.emulator.azureml import ENDPOINT, WS, Wire, deployment

BLUE, GREEN = (f"onlineEndpoints/churn/deployments/{name}" for name in ("blue", "green"))
WireOf = Callable[..., Wire]


def churn(**properties: Any) -> dict[str, Any]:
    return {**ENDPOINT, "properties": {**ENDPOINT["properties"], **properties}}


def why(answer: Any) -> tuple[int, str]:
    """The status of a refusal and the useful one of its codes."""
    return answer.status_code, answer.json()["error"]["details"][0]["code"]


# --- endpoints ----------------------------------------------------------------------------------


def test_an_endpoint_is_made_by_an_operation(wire: Wire) -> None:
    made = wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT)
    body = made.json()
    assert made.status_code == 201
    assert body["systemData"] == {}
    assert not {"location", "identity"} & set(body)
    assert body["properties"]["scoringUri"] is None
    assert body["properties"]["provisioningState"] == "Creating"
    assert "/onlineEndpoints/fresh?" in made.headers["Location"]
    assert "Retry-After" not in made.headers
    first = wire.send("GET", made.headers["Azure-AsyncOperation"]).json()
    assert (first["status"], first["percentComplete"]) == ("Updating", 0.0)
    ended = wire.done(made)
    assert (ended["status"], ended["percentComplete"]) == ("Succeeded", 0.0)
    shown = wire.get("onlineEndpoints/fresh")
    assert shown["properties"]["provisioningState"] == "Succeeded"
    assert shown["properties"]["scoringUri"].endswith("/westeurope/fresh/score")
    assert shown["identity"]["principalId"]


def test_operations_are_polled_at_long_signed_addresses_byte_for_byte(wire: Wire) -> None:
    made = wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT)
    url = made.headers["Azure-AsyncOperation"]
    assert len(url) > 4096
    assert "/resourceGroups/" not in url
    assert wire.send("GET", url).status_code == 200
    assert wire.send("GET", url.replace("&s=", "&s=0")).status_code == 403
    plain = made.json()["properties"]["properties"]["AzureAsyncOperationUri"]
    assert len(plain) < 400
    assert wire.send("GET", plain).status_code == 200


def test_addresses_of_operations_may_be_short_and_of_another_host(wire_of: WireOf) -> None:
    wire = wire_of(signed_urls=False, operation_host="regional", operation_running="InProgress")
    wire.base = "https://management.azure.com"
    made = wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT)
    url = made.headers["Azure-AsyncOperation"]
    assert url.startswith("https://westeurope.management.azure.com/subscriptions/")
    assert len(url) < 400
    assert wire.send("GET", url).json()["status"] == "InProgress"
    wire.done(made)
    uri = wire.get("onlineEndpoints/fresh")["properties"]["scoringUri"]
    assert uri == "https://fresh.westeurope.inference.ml.azure.com/score"


def test_deleting_answers_null_and_a_result(wire: Wire) -> None:
    gone = wire.send("DELETE", "onlineEndpoints/churn")
    assert (gone.status_code, gone.content) == (202, b"null")
    assert wire.send("GET", gone.headers["Location"]).status_code == 202
    assert wire.done(gone)["status"] == "Succeeded"
    result = wire.send("GET", gone.headers["Location"])
    assert (result.status_code, result.json()["status"]) == (200, "Succeeded")
    assert wire.send("GET", "onlineEndpoints/churn").status_code == 404
    assert wire.send("DELETE", "onlineEndpoints/churn").status_code == 204
    assert wire.send("DELETE", BLUE).status_code == 204


def test_patch_changes_tags_and_neither_traffic_nor_model(wire: Wire) -> None:
    body = {"tags": {"a": "b"}, "properties": {"traffic": {}, "model": "x"}}
    patched = wire.send("PATCH", "onlineEndpoints/churn", body)
    assert (patched.status_code, patched.content) == (202, b"null")
    assert patched.headers["Retry-After"]
    wire.done(patched)
    shown = wire.get("onlineEndpoints/churn")
    assert (shown["tags"], shown["properties"]["traffic"]) == ({"a": "b"}, {"blue": 100})
    wire.done(wire.send("PATCH", BLUE, {"sku": {"capacity": 2}, **body}))
    shown = wire.get(BLUE)
    assert (shown["sku"]["capacity"], shown["tags"]) == (2, {"a": "b"})
    assert shown["properties"]["model"].endswith("/models/churn/versions/1")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("x_y", ENDPOINT, "BadArgument"),
        ("9lives", ENDPOINT, "BadArgument"),
        ("fresh", {**ENDPOINT, "location": "eastus"}, "LocationMismatch"),
        ("fresh", {**ENDPOINT, "properties": {"authMode": "Password"}}, "BadArgument"),
        ("churn", churn(authMode="AADToken"), "AuthModeIsImmutable"),
        ("churn", churn(traffic={"blue": 60}), "InvalidTraffic"),
        ("churn", churn(traffic={"red": 100}), "InvalidTraffic"),
        ("churn", churn(traffic={"blue": 100.0}), "BadArgument"),
        ("churn", churn(mirrorTraffic={"blue": 60}), "InvalidTraffic"),
        ("churn", churn(traffic={"blue": 100}, mirrorTraffic={"blue": 10}), "InvalidTraffic"),
        ("fresh", {**ENDPOINT, "identity": {"type": "Mine"}}, "BadArgument"),
        ("fresh", {**ENDPOINT, "tags": {"a": []}}, "BadArgument"),
        ("fresh", {**ENDPOINT, "properties": []}, "BadArgument"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_at_once(
    wire: Wire, name: str, body: Any, code: str
) -> None:
    assert why(wire.send("PUT", f"onlineEndpoints/{name}", body)) == (400, code)
    assert not wire.cloud.world.works


def test_a_name_is_taken_in_its_region_by_any_workspace(wire: Wire) -> None:
    other = WS.replace("/local", "/another")
    world = wire.cloud.world
    world.resources[other] = world.resources[WS]
    scope = type(world.resources[WS])(other, world.resources[WS].body, 0, 0)
    scope.kept = world.resources[WS].kept
    world.resources[other] = scope
    taken = wire.send("PUT", f"{other}/onlineEndpoints/churn", ENDPOINT)
    assert why(taken) == (400, "EndpointNameAlreadyExists")


@pytest.mark.parametrize(("reading", "status"), [("refused", 400), ("changed", 201)])
def test_another_identity_is_refused_or_taken(wire_of: WireOf, reading: str, status: int) -> None:
    wire = wire_of(endpoint_identity=reading)
    body = {**churn(traffic={"blue": 100}), "identity": {"type": "None"}}
    assert wire.send("PUT", "onlineEndpoints/churn", body).status_code == status


def test_traffic_is_seen_late(wire: Wire) -> None:
    wire.put(GREEN, deployment("churn:2"))
    wire.put("onlineEndpoints/churn", churn(traffic={"green": 100}))
    assert wire.get("onlineEndpoints/churn")["properties"]["traffic"] == {"blue": 100}
    listed = wire.get("onlineEndpoints")["value"][0]
    assert listed["properties"]["traffic"] == {"blue": 100}
    wire.clock.advance(3)
    assert wire.get("onlineEndpoints/churn")["properties"]["traffic"] == {"green": 100}


def test_traffic_is_seen_late_by_looks_too(wire_of: WireOf) -> None:
    wire = wire_of(pace="looks", traffic_looks=2)
    wire.put(GREEN, deployment("churn:2"))
    wire.put("onlineEndpoints/churn", churn(traffic={"green": 100}))
    seen = [wire.get("onlineEndpoints/churn")["properties"]["traffic"] for _ in range(3)]
    assert seen == [{"blue": 100}, {"blue": 100}, {"green": 100}]


# --- keys and tokens ----------------------------------------------------------------------------


def test_keys_are_listed_and_never_shown(wire: Wire) -> None:
    keys = wire.send("POST", "onlineEndpoints/churn/listKeys").json()
    assert keys["primaryKey"] == "local-churn-key"
    assert "local-churn-key" not in wire.send("GET", "onlineEndpoints/churn").text
    assert wire.send("POST", "onlineEndpoints/churn/token").status_code == 400
    again = {"keyType": "Primary", "keyValue": "another"}
    assert wire.send("POST", "onlineEndpoints/churn/regenerateKeys", again).status_code == 200
    assert wire.send("POST", "onlineEndpoints/churn/listKeys").json()["primaryKey"] == "another"


# --- deployments --------------------------------------------------------------------------------


def test_a_deployment_shows_what_the_service_adds(wire: Wire) -> None:
    made = wire.send("PUT", GREEN, deployment("churn:2", environmentVariables={"MINE": "1"}))
    assert made.json()["properties"]["provisioningState"] == "Creating"
    assert wire.done(made)["status"] == "Succeeded"
    shown = wire.get(GREEN)
    properties = shown["properties"]
    assert properties["model"] == f"{WS}/models/churn/versions/2"
    assert properties["environmentVariables"]["MINE"] == "1"
    assert properties["environmentVariables"]["AZUREML_MODEL_DIR"].endswith("/churn/2")
    assert properties["scaleSettings"] == {"scaleType": "Default"}
    assert properties["livenessProbe"]["failureThreshold"] == 30
    assert shown["sku"]["tier"] == "Standard"
    created, changed = (shown["systemData"][name] for name in ("createdAt", "lastModifiedAt"))
    assert created.endswith("Z")
    assert changed.endswith("+00:00")


def test_sending_back_what_was_shown_changes_nothing(wire: Wire) -> None:
    before = wire.get(BLUE)
    assert wire.send("PUT", BLUE, before).status_code == 201
    assert wire.get(BLUE)["properties"]["provisioningState"] == "Updating"
    wire.clock.advance(12)
    after = wire.get(BLUE)
    for document in (before, after):
        del document["systemData"]
        document["properties"]["properties"].clear()
    assert after == before


def test_one_operation_runs_on_an_endpoint_at_a_time(wire: Wire) -> None:
    first = wire.send("PUT", GREEN, deployment("churn:2"))
    for answer in (
        wire.send("PUT", "onlineEndpoints/churn", ENDPOINT),
        wire.send("PUT", "onlineEndpoints/churn/deployments/red", deployment()),
        wire.send("PATCH", BLUE, {"tags": {}}),
        wire.send("DELETE", BLUE),
        wire.send("DELETE", "onlineEndpoints/churn"),
    ):
        assert why(answer) == (409, "OperationInProgress")
    assert wire.send("PUT", "onlineEndpoints/other", ENDPOINT).status_code == 201
    assert wire.done(first)["status"] == "Succeeded"


def test_a_deployment_with_traffic_is_not_deleted(wire: Wire) -> None:
    assert why(wire.send("DELETE", BLUE)) == (400, "DeploymentHasTraffic")
    wire.put(GREEN, deployment())
    wire.traffic(green=100)
    assert wire.done(wire.send("DELETE", BLUE))["status"] == "Succeeded"
    assert wire.get("onlineEndpoints/churn")["properties"]["traffic"] == {"green": 100}
    assert [each["name"] for each in wire.get("onlineEndpoints/churn/deployments")["value"]] == [
        "green"
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": None}, "BadArgument"),
        ({"model": "azureml:churn:9"}, "ResourceNotFound"),
        ({"model": f"{WS}/environments/python/versions/1"}, "ResourceNotFound"),
        ({"model": WS.replace("local", "other") + "/models/a/versions/1"}, None),
        ({"model": "churn:1"}, "BadArgument"),
        ({"codeConfiguration": None}, "BadArgument"),
        ({"environmentId": "azureml:none:1"}, "ResourceNotFound"),
        ({"instanceType": None}, "BadArgument"),
        ({"endpointComputeType": "Toaster"}, "BadArgument"),
        ({"requestSettings": {"requestTimeout": "soon"}}, "BadArgument"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused_at_once(
    wire: Wire, changes: dict[str, Any], code: str | None
) -> None:
    refused = wire.send("PUT", GREEN, deployment(**changes))
    assert why(refused) == (400, code or "ResourceOfAnotherWorkspace")
    assert wire.send("GET", GREEN).status_code == 404


@pytest.mark.parametrize(("reading", "status"), [("refused", 400), ("ignored", 201)])
def test_another_instance_type_is_refused_or_ignored(
    wire_of: WireOf, reading: str, status: int
) -> None:
    wire = wire_of(create_only=reading)
    changed = deployment(instanceType="Standard_F4s_v2")
    assert wire.send("PUT", BLUE, changed).status_code == status
    wire.clock.advance(12)
    assert wire.get(BLUE)["properties"]["instanceType"] == "Standard_DS3_v2"


def test_quota_is_missed_by_the_operation(wire: Wire) -> None:
    ended = wire.put(GREEN, {**deployment(), "sku": {"name": "Default", "capacity": 6}})
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "OutOfQuota")
    assert wire.get(GREEN)["properties"]["provisioningState"] == "Failed"
    assert wire.put(GREEN, deployment())["status"] == "Succeeded"


def test_a_script_that_fails_to_start_leaves_its_log(wire: Wire) -> None:
    script = (
        b"def init():\n    raise RuntimeError('no such weights')\n\ndef run(text):\n    return 1\n"
    )
    wire.cloud._core.blobs.put("mlazure", "workspace", "broken/score.py", script)
    uri = "azureml://datastores/workspaceblobstore/paths/broken"
    wire.send("PUT", "codes/broken/versions/1", {"properties": {"codeUri": uri}})
    code = {"codeId": "azureml:broken:1", "scoringScript": "score.py"}
    ended = wire.put(GREEN, deployment(codeConfiguration=code))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ResourceNotReady")
    assert wire.cloud._core.containers.made == 1  # and was not started again and again
    logged = wire.send("POST", f"{GREEN}/getLogs", {"tail": 3}).json()["content"]
    assert "RuntimeError: no such weights" in logged
    assert len(logged.splitlines()) == 3
    downloads = {"containerType": "StorageInitializer"}
    assert "Downloaded 1 files." in wire.send("POST", f"{GREEN}/getLogs", downloads).text


def test_an_image_that_cannot_be_built_fails_the_operation(wire: Wire) -> None:
    properties = {"image": "some/image", "condaFile": "- [what"}
    wire.send("PUT", "environments/odd/versions/1", {"properties": properties})
    ended = wire.put(GREEN, deployment(environmentId="azureml:odd:1"))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ImageBuildFailure")


def test_files_that_are_gone_fail_the_operation(wire: Wire) -> None:
    uri = "azureml://datastores/workspaceblobstore/paths/nothing"
    wire.send("PUT", "models/gone/versions/1", {"properties": {"modelUri": uri}})
    ended = wire.put(GREEN, deployment("gone:1"))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ResourceNotFound")


@pytest.mark.parametrize(("reading", "shown"), [("before", "1"), ("configured", "2")])
def test_an_update_that_fails_leaves_the_old_model_serving(
    wire_of: WireOf, reading: str, shown: str
) -> None:
    wire = wire_of(failed_update=reading)
    before = wire.score().json()
    wire.cloud.faults.play("operation", "OutOfQuota: no cores left")
    ended = wire.put(BLUE, deployment("churn:2"))
    assert ended["error"]["code"] == "OutOfQuota"
    after = wire.get(BLUE)["properties"]
    assert after["provisioningState"] == "Failed"
    assert after["model"].rpartition("/")[2] == shown
    assert wire.score().json() == before


def test_an_operation_may_succeed_and_do_nothing(wire: Wire) -> None:
    wire.cloud.faults.play("operation", "nothing")
    assert wire.put(BLUE, deployment("churn:2"))["status"] == "Succeeded"
    assert wire.get(BLUE)["properties"]["model"].endswith("/1")


# --- lists, ids, versions, tokens ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "last"), [("omitted", {}), ("null", {"nextLink": None}), ("empty", {"nextLink": ""})]
)
def test_lists_come_in_pages_that_end(wire_of: WireOf, switch: str, last: dict[str, Any]) -> None:
    wire = wire_of(page_size=2, last_page=switch)
    for number in range(4):
        wire.send("PUT", f"onlineEndpoints/e-{number}", ENDPOINT)
    names, page = [], wire.get("onlineEndpoints")
    while True:
        names += [each["name"] for each in page["value"]]
        if not page.get("nextLink"):
            break
        assert "$skip=" in page["nextLink"]
        page = wire.get(page["nextLink"])
    assert names == ["churn", "e-0", "e-1", "e-2", "e-3"]
    assert {name: page[name] for name in page if name != "value"} == last
    assert wire.get("onlineEndpoints?name=nobody") == {"value": [], **last}
    odd = wire.send("GET", f"onlineEndpoints?$skip={quote('é')}")
    assert odd.status_code == 400


def test_ids_count_in_any_case_and_may_come_back_in_another(wire_of: WireOf) -> None:
    wire = wire_of(arm_ids="varied")
    shown = wire.get(f"{WS.upper()}/ONLINEENDPOINTS/CHURN")
    assert shown["name"] == "churn"
    assert "/resourcegroups/" in shown["id"]
    assert shown["type"] == "Microsoft.MachineLearningServices/workspaces/onlineendpoints"


def test_a_request_needs_a_token_for_arm_and_a_version(wire: Wire) -> None:
    for token in ("", "Bearer e30.eyJhdWQiOiAiaHR0cHM6Ly9tbC5henVyZS5jb20ifQ.x"):
        answer = wire.send("GET", "onlineEndpoints", headers={"Authorization": token})
        assert answer.status_code == 401
    arm = "Bearer e30.eyJhdWQiOiAiaHR0cHM6Ly9tYW5hZ2VtZW50LmF6dXJlLmNvbS8ifQ.x"
    assert wire.send("GET", "onlineEndpoints", headers={"Authorization": arm}).status_code == 200
    assert wire.send("GET", "onlineEndpoints?api-version=2019-01-01").status_code == 400
    assert wire.send("GET", f"{WS}-no").status_code == 404
    assert wire.send("GET", "onlineEndpoints?api-version=2022-02-01-preview").status_code == 200


def test_refusals_have_the_shape_of_the_service(wire: Wire) -> None:
    error = wire.send("GET", "onlineEndpoints/nobody").json()["error"]
    assert (error["code"], error["target"]) == ("NotFound", None)
    assert error["additionalInfo"][0]["type"] == "ComponentName"


def test_wire_faults_are_scripted_by_route(wire: Wire) -> None:
    wire.cloud.faults.script(
        Fault("azureml.onlineendpoints.put", "status", status=429, headers={"Retry-After": "7"})
    )
    busy = wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT)
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    assert wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT).status_code == 201


def test_a_workspace_names_its_other_services(wire: Wire) -> None:
    shown = wire.get(WS)
    assert shown["properties"]["mlFlowTrackingUri"] == f"azureml://127.0.0.1:8400/mlflow/v1.0{WS}"
    assert wire.send("GET", shown["properties"]["discoveryUrl"]).status_code == 200
    assert shown["properties"]["workspaceId"]


@pytest.mark.parametrize("status", [201, 200])
def test_replacing_answers_as_the_switch_says(wire_of: WireOf, status: int) -> None:
    wire = wire_of(updated=status)
    assert wire.send("PUT", BLUE, deployment()).status_code == status
    wire.clock.advance(12)
    body = churn(traffic={"blue": 100})
    assert wire.send("PUT", "onlineEndpoints/churn", body).status_code == status
    assert wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT).status_code == 201


def test_an_operation_may_be_canceled(wire: Wire) -> None:
    wire.cloud.faults.play("operation", "Canceled")
    assert wire.put(BLUE, deployment("churn:2"))["status"] == "Canceled"
    shown = wire.get(BLUE)["properties"]
    assert (shown["provisioningState"], shown["model"][-1]) == ("Canceled", "1")


def test_lists_may_be_late(wire_of: WireOf) -> None:
    wire = wire_of(list_s=30.0)
    wire.clock.advance(30)
    wire.put("onlineEndpoints/fresh", ENDPOINT)
    assert wire.get("onlineEndpoints/fresh")["name"] == "fresh"
    assert [each["name"] for each in wire.get("onlineEndpoints")["value"]] == ["churn"]
    wire.clock.advance(30)
    assert len(wire.get("onlineEndpoints")["value"]) == 2


def test_a_budget_is_used_up_and_comes_back(wire_of: WireOf) -> None:
    wire = wire_of(arm_budget=20)
    left = "x-ms-ratelimit-remaining-subscription-reads"
    seen = [wire.send("GET", "onlineEndpoints").headers[left] for _ in range(20)]
    assert seen == [str(number) for number in reversed(range(20))]
    refused = wire.send("GET", "onlineEndpoints")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["error"]["code"] == "TooManyRequests"
    assert wire.send("PUT", "onlineEndpoints/fresh", ENDPOINT).status_code == 201
    wire.clock.advance(1)
    assert wire.send("GET", "onlineEndpoints").headers[left] == "1"


def test_a_fault_may_be_of_one_endpoint_and_of_some_requests(wire: Wire) -> None:
    for name in ("one", "two"):
        wire.put(f"onlineEndpoints/{name}", ENDPOINT)
    fault = {"kind": "status", "status": 503, "where": "/one", "after": 1, "every": 2, "times": 2}
    script = wire.send("POST", "/_emulator/faults", {"route": "azureml.onlineendpoints.*", **fault})
    assert script.status_code == 204
    seen = [wire.send("GET", "onlineEndpoints/one").status_code for _ in range(7)]
    assert seen == [200, 200, 503, 200, 503, 200, 200]
    assert wire.send("GET", "onlineEndpoints/two").status_code == 200


def test_lists_let_traffic_be_seen_too(wire_of: WireOf) -> None:
    wire = wire_of(pace="looks", traffic_looks=1)
    wire.put(GREEN, deployment("churn:2"))
    wire.put("onlineEndpoints/churn", churn(traffic={"green": 100}))
    seen = [wire.get("onlineEndpoints")["value"][0]["properties"]["traffic"] for _ in range(2)]
    assert seen == [{"blue": 100}, {"green": 100}]


def test_a_container_that_is_never_ready_fails_the_operation(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_START_S", 0.3)
    script = b"import threading\n\ndef init():\n    threading.Event().wait()\n"
    wire.cloud._core.blobs.put("mlazure", "workspace", "slow/score.py", script)
    uri = "azureml://datastores/workspaceblobstore/paths/slow"
    wire.send("PUT", "codes/slow/versions/1", {"properties": {"codeUri": uri}})
    code = {"codeId": "azureml:slow:1", "scoringScript": "score.py"}
    ended = wire.put(GREEN, deployment(codeConfiguration=code))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ResourceNotReady")


def test_the_page_of_the_protocol_names_every_switch() -> None:
    page = (Path(__file__).parents[2] / ".github/AZUREML_PROTOCOL.md").read_text(encoding="utf-8")
    names = [each.name for each in fields(emulator.Options)]
    ours = names[names.index("if_none_match") + 1 :]
    assert [name for name in ours if f"`{name}`" not in page] == []
    named = {
        name
        for group in re.findall(r"\(((?:`\w+`(?:, )?)+)\)", page)
        for name in re.findall(r"\w+", group)
    }
    assert named <= set(ours)
