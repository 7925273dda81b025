"""What a PATCH carries, which states an operation has, and the health of each observed state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.model import HealthCode, ModelRef, Witness
from reconciler.platforms.arm import operation_state
from reconciler.platforms.contract import OperationState
from reconciler.platforms.studio.new import (
    WebServiceAddress,
    live_from_export,
)
from reconciler.platforms.studio.new_definition import (
    parse_definition,
    patched_model,
    payloads_location,
    with_payload,
)
from reconciler.platforms.studio.new_state import live_of
from tests.studio.test_new_definition import (
    MODEL,
    NEW,
    OLD,
    SCORE,
    SECRETS,
    asset,
    definition,
    pascal,
)
from tests.test_plan import ENVIRONMENT, binding

if TYPE_CHECKING:
    from reconciler.model import Environment


def storing_in(account: str) -> Environment:
    return replace(ENVIRONMENT, store=replace(ENVIRONMENT.store, url=f"az://{account}/models"))


def test_a_patch_carries_all_assets_and_nothing_that_is_secret_or_not_ours() -> None:
    body = patched_model(parse_definition(SECRETS), "m", NEW)
    assert set(body) == {"location", "properties"}
    assert set(body["properties"]) == {"packageType", "assets"}
    assert set(body["properties"]["assets"]) == {"m", "c"}
    text = json.dumps(body)
    assert NEW.url in text
    assert "storageAccount" not in text
    assert "sig=" not in text


STATES = [
    ({"status": "Provisioning", "percentComplete": 0.6}, "Provisioning 60%"),
    ({"status": "Running"}, "Running"),
    ({"provisioningState": "Updating"}, "Updating"),
    ({"properties": {"provisioningState": "Updating"}}, "Updating"),
    ({"status": "Succeeded", "percentComplete": 1.0}, ""),
    ({"provisioningState": "succeeded"}, ""),
]


@pytest.mark.parametrize(("document", "words"), STATES)
def test_an_operation_is_under_way_or_succeeded(document: dict[str, Any], words: str) -> None:
    seen = operation_state(document)
    assert (seen.state, seen.words) == ("running" if words else "done", words)


ERROR = {"code": "InternalError", "message": "no", "details": [{"code": "X", "message": "disk"}]}


@pytest.mark.parametrize("state", ["Failed", "failed", "Canceled", "Cancelled"])
@pytest.mark.parametrize("shape", ["error", "errorInfo"])
def test_a_failed_operation_gives_its_reason_in_either_shape(state: str, shape: str) -> None:
    seen = operation_state({"status": state, shape: ERROR})
    assert seen.state is OperationState.FAILED
    assert seen.words == f"the update ended as {state}: InternalError: no; X: disk"


@pytest.mark.parametrize("error", [{}, {"error": {"details": 5}}, {"error": {"details": [1]}}])
def test_a_failed_operation_without_a_reason_says_so(error: dict[str, Any]) -> None:
    assert "the service gave no reason" in operation_state({"status": "Failed", **error}).words


@pytest.mark.parametrize("document", [{}, {"status": 3}, {"error": {}}])
def test_an_operation_without_a_state_is_unreadable(document: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        operation_state(document)


HEALTH = [
    ("Succeeded", HealthCode.HEALTHY),
    ("", HealthCode.HEALTHY),
    ("Provisioning", HealthCode.PROGRESSING),
    ("Failed", HealthCode.DEGRADED),
    ("Unknown", HealthCode.DEGRADED),
]


@pytest.mark.parametrize(("state", "code"), HEALTH)
def test_the_provisioning_state_is_the_health(state: str, code: HealthCode) -> None:
    document = definition({"a": MODEL}, provisioningState=state)
    assert live_of(parse_definition(document), binding()).health.code is code


@pytest.mark.parametrize("dialect", [lambda d: d, pascal])
def test_both_dialects_show_the_same_model(dialect: Any) -> None:
    """2016-05-01-preview: parameters are plain strings, inner names may be PascalCase (§3.3)."""
    parameters = {"Category": "Trigonometric"}
    package = {"nodes": {"n1": {"assetId": "s", "parameters": parameters}}, "edges": []}
    document = dialect(definition({"s": SCORE, "m": MODEL}, package=package, parameters=parameters))
    where = WebServiceAddress("sub", "group", "census")
    live = live_from_export(document, binding(address=where))
    assert live.served == ModelRef(OLD)
    assert live.witness is Witness.EXPORT
    assert live.refusal is None


def test_a_uri_with_a_sas_is_read_without_it() -> None:
    model = {**MODEL, "locationInfo": {"uri": f"{OLD}?sv=1&sig=CANARY", "credentials": ""}}
    live = live_of(parse_definition(definition({"m": model})), binding())
    assert live.served == ModelRef(OLD)
    assert "CANARY" not in repr(live)


def test_a_uri_that_is_no_url_is_shown_as_text() -> None:
    model = {**MODEL, "locationInfo": {"uri": "aml://model/x", "credentials": ""}}
    live = live_of(parse_definition(definition({"m": model})), binding())
    assert (live.served, live.model_text) == (None, "aml://model/x")


def test_assets_with_credentials_are_refused_since_they_would_be_sent_back() -> None:
    live = live_of(parse_definition(SECRETS), replace(binding(), part="m"))
    assert live.refusal is not None
    assert live.refusal.code == "asset_credentials"
    assert "CANARY" not in live.refusal.message


@pytest.mark.parametrize("bare", [{}, {"locationInfo": {}}])
def test_other_assets_without_a_location_are_refused_since_a_patch_could_lose_them(
    bare: dict[str, Any],
) -> None:
    other = {"name": "Data", "type": "Resource", **bare}
    live = live_of(parse_definition(definition({"m": MODEL, "d": other})), binding())
    assert live.refusal is not None
    assert live.refusal.code == "asset_without_location"
    assert live.refusal.message.startswith("asset d came without its locationInfo.uri")


def test_a_named_model_without_a_location_can_be_bound() -> None:
    bare = {"name": "M", "type": "Resource"}
    parsed = parse_definition(definition({"m": bare, "s": SCORE}))
    live = live_of(parsed, replace(binding(), part="M"))
    assert (live.refusal, live.served, live.asset) == (None, None, "m")
    assert patched_model(parsed, "m", NEW)["properties"]["assets"]["m"] == {
        **bare,
        "locationInfo": {"uri": NEW.url},
    }


def test_another_assets_sas_is_refused_since_it_would_be_sent_back() -> None:
    signed = asset("Data", f"{OLD}?sv=1&sig=CANARY")
    live = live_of(parse_definition(definition({"m": MODEL, "d": signed})), binding())
    assert live.refusal is not None
    assert live.refusal.code == "asset_credentials"
    assert live.refusal.message.startswith("asset d carries credentials or a SAS in its URI")
    assert "move the file into the service's own storage account" in live.refusal.message
    assert "CANARY" not in repr(live)


def test_the_models_own_sas_is_replaced_and_nothing_to_refuse() -> None:
    parsed = parse_definition(definition({"m": asset("M", f"{OLD}?sig=CANARY"), "s": SCORE}))
    assert live_of(parsed, replace(binding(), part="m")).refusal is None
    assert "CANARY" not in json.dumps(patched_model(parsed, "m", NEW))


def test_a_model_store_in_another_account_is_warned_about() -> None:
    document = definition({"m": MODEL}, storageAccount={"name": "acct"})
    parsed = parse_definition(document)
    assert live_of(parsed, binding(), storing_in("acct")).warnings == ()
    (warning,) = live_of(parsed, binding(), storing_in("other")).warnings
    assert "storage account acct, the model store is other" in warning


def test_parts_that_the_service_keeps_in_a_blob_are_read_from_there() -> None:
    """§3.10: above 3 MB the definition says where its payload is."""
    outside = {
        "name": "census",
        "properties": {
            "payloadsInBlobStorage": True,
            "payloadsLocation": {"uri": "https://acct.blob.core.windows.net/p/x.json?sig=x"},
        },
    }
    assert payloads_location(outside).startswith("https://acct.blob")
    whole = with_payload(outside, {"Assets": {"m": MODEL}, "Package": {}})
    assert whole == {
        "name": "census",
        "properties": {"assets": {"m": MODEL}, "package": {}},
    }
    assert payloads_location(whole) == ""
    assert live_of(parse_definition(whole), binding()).served == ModelRef(OLD)


def test_parts_that_came_inline_are_not_looked_for_elsewhere() -> None:
    document = definition({"m": MODEL}, payloadsInBlobStorage=True)
    assert payloads_location(document) == ""


def test_names_are_quoted_in_the_arm_path() -> None:
    where = WebServiceAddress("s", "group (old)", "Retrain.2016.8.17")
    assert where.path == (
        "/subscriptions/s/resourceGroups/group%20(old)"
        "/providers/Microsoft.MachineLearning/webServices/Retrain.2016.8.17"
    )


def test_a_model_that_is_at_no_plain_url_is_shown_without_a_password() -> None:
    where = "https://me:CANARY@acct.blob.core.windows.net/c/m.ilearner#CANARY"
    parsed = parse_definition(definition({"m": asset("M", where)}))
    live = live_of(parsed, replace(binding(), part="m"))
    assert live.served is None
    assert live.model_text == "https://acct.blob.core.windows.net/c/m.ilearner"
