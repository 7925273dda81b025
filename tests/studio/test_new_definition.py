"""Finding the model in a definition (§3.4), changing it (§3.7), exporting it (§3.5)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from reconciler.errors import UnreadableError
from reconciler.model import ModelRef, Refusal
from reconciler.platforms.studio.new_definition import (
    assets_with_model,
    assets_without_location,
    find_model_asset,
    parse_definition,
    without_secrets,
)

OLD = "https://acct.blob.core.windows.net/azuremlassetscontainer/baca.ilearner"
NEW = ModelRef("https://acct.blob.core.windows.net/models/census/2026-11/model.ilearner")


def asset(name: str, uri: str, kind: str = "Resource", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "locationInfo": {"uri": uri, "credentials": ""}, **more}


SCORE = asset("Score Model", "aml://module/x.y.v1-default-1", "Module")
MODEL = asset("Census [trained model]", OLD)
DATA = asset("Census data", "https://acct.blob.core.windows.net/x/census.nh.csv")


def definition(assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "name": "census",
        "location": "South Central US",
        "properties": {"packageType": "Graph", "assets": assets, **properties},
    }


def found(assets: dict[str, Any], wanted: str | None = None, **properties: Any) -> str | Refusal:
    return find_model_asset(parse_definition(definition(assets, **properties)), wanted)


def test_the_asset_named_trained_model_is_the_model() -> None:
    assert found({"asset1": SCORE, "asset2": DATA, "asset3": MODEL}) == "asset3"


def test_the_name_counts_in_any_case() -> None:
    assert found({"a": asset("Income Predictor [Trained Model]", OLD)}) == "a"


def test_the_name_outranks_the_file_ending() -> None:
    transform = asset("Normalize Data", "https://acct.blob.core.windows.net/x/t.ilearner")
    assert found({"a": transform, "b": MODEL}) == "b"


def test_without_the_name_the_file_ending_decides_also_before_a_query() -> None:
    assert found({"a": DATA, "b": asset("FBT Model", f"{OLD.upper()}?sv=1&sig=x")}) == "b"


def test_without_name_and_ending_the_graph_decides() -> None:
    package = {
        "nodes": {"n1": {"assetId": "s"}, "n2": {"assetId": "m"}, "n3": {"assetId": "d"}},
        "edges": [
            {"sourceNodeId": "n3", "targetNodeId": "n1", "targetPortId": "Dataset"},
            {"sourceNodeId": "n2", "targetNodeId": "n1", "targetPortId": "Trained model"},
        ],
    }
    assets = {"s": SCORE, "m": asset("m", "https://a.b/c/blob"), "d": DATA}
    assert found(assets, package=package) == "m"


def test_two_candidates_need_a_name() -> None:
    refusal = found({"a": MODEL, "b": asset("Other [trained model]", OLD)})
    assert isinstance(refusal, Refusal)
    assert refusal.code == "ambiguous_asset"
    assert refusal.message == (
        '2 assets could be the trained model: "Census [trained model]", "Other [trained model]"; '
        "name one in spec.asset"
    )


def test_no_candidate_is_probably_the_training_service() -> None:
    refusal = found({"a": SCORE, "b": DATA})
    assert isinstance(refusal, Refusal)
    assert refusal.code == "no_model_asset"
    assert "probably the training service" in refusal.message


def test_a_name_that_no_model_could_have_is_probably_of_the_training_service() -> None:
    refusal = found({"a": SCORE, "b": DATA}, "Census [trained model]")
    assert refusal == Refusal(
        "no_model_asset",
        'no asset is named "Census [trained model]", and the definition has no trained model; '
        "this is probably the training service, name the predictive one in spec.webService",
    )


def test_a_name_or_a_key_from_git_is_matched_exactly() -> None:
    assets = {"asset1": MODEL, "asset2": asset("Other [trained model]", OLD)}
    assert found(assets, "Other [trained model]") == "asset2"
    assert found(assets, "asset1") == "asset1"


def test_a_name_that_differs_in_case_is_refused_with_the_right_one() -> None:
    refusal = found({"a": MODEL}, "census [trained model]")
    assert refusal == Refusal(
        "unknown_asset",
        'no asset is named "census [trained model]"; it has "Census [trained model]"; '
        'did you mean "Census [trained model]"?',
    )


def test_a_module_is_never_the_model() -> None:
    refusal = found({"a": asset("X [trained model]", OLD, "Module")}, "X [trained model]")
    assert isinstance(refusal, Refusal)


def pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: pascal(item) for key, item in value.items()}
    return value


def test_member_names_match_in_any_case() -> None:
    document = pascal(definition({"Asset3": MODEL, "Asset1": SCORE}, readOnly="true"))
    parsed = parse_definition(document)
    assert find_model_asset(parsed, None) == "Asset3"
    assert parsed.read_only
    changed = assets_with_model(parsed, "Asset3", NEW)
    assert changed["Asset3"]["LocationInfo"] == {"Uri": NEW.url, "Credentials": ""}


def test_one_uri_changes_and_the_map_stays_complete() -> None:
    assets = {"asset1": SCORE, "asset2": DATA, "asset3": {**MODEL, "outputPorts": {"R": {}}}}
    before = copy.deepcopy(assets)
    changed = assets_with_model(parse_definition(definition(assets)), "asset3", NEW)
    assert assets == before
    assert changed == {
        **before,
        "asset3": {**before["asset3"], "locationInfo": {"uri": NEW.url, "credentials": ""}},
    }


def test_a_model_without_a_location_gets_one_in_the_services_own_spelling() -> None:
    for bare in ({}, {"LocationInfo": None}, {"LocationInfo": {}}):
        parsed = parse_definition(definition({"m": {"name": "M", "type": "Resource", **bare}}))
        (info,) = (
            value
            for name, value in assets_with_model(parsed, "m", NEW)["m"].items()
            if name in {"locationInfo", *bare}
        )
        assert info == {"uri": NEW.url}


@pytest.mark.parametrize("bare", [{}, {"locationInfo": None}, {"locationInfo": {"uri": ""}}])
def test_other_assets_without_a_location_are_found(bare: dict[str, Any]) -> None:
    other = {"name": "Data", "type": "Resource", **bare}
    parsed = parse_definition(definition({"b": other, "a": other, "s": SCORE, "m": MODEL}))
    assert assets_without_location(parsed, "m") == ["a", "b"]
    assert assets_without_location(parsed, "a") == ["b"]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"properties": None},
        {"properties": []},
        {"properties": {"assets": []}},
        {"properties": {"assets": None, "package": []}},
        {"properties": {"assets": {"a": None}}},
        {"properties": {"assets": nested(5_000)}},
        {"properties": {"assets": {"a": 1}}},
        {"properties": {"assets": {"a": {"name": 7, "type": "Resource"}}}, "name": "x"},
        {"properties": {"provisioningState": 3}},
        {"properties": {"storageAccount": "acct"}},
    ],
)
def test_wrong_types_are_unreadable(document: Any) -> None:
    with pytest.raises(UnreadableError):
        find_model_asset(parse_definition(document), "x")


@pytest.mark.parametrize(
    "document", [{}, {"properties": None}, {"properties": {"assets": []}}, nested(5_000)]
)
def test_what_is_no_definition_is_not_exported(document: Any) -> None:
    with pytest.raises(UnreadableError):
        without_secrets(document)


@pytest.mark.parametrize("edges", [5, {"a": 1}, "text"])
def test_edges_that_are_no_list_are_unreadable(edges: Any) -> None:
    with pytest.raises(UnreadableError, match="edges is"):
        found({"s": SCORE, "d": DATA}, package={"nodes": {}, "edges": edges})


def test_each_spelling_of_the_properties_is_exported_without_secrets() -> None:
    twice = {"Properties": {"keys": {"primary": "CANARY"}}, **definition({"m": MODEL})}
    assert "CANARY" not in json.dumps(without_secrets(twice))


SECRETS = definition(
    {
        "m": asset("M [trained model]", f"{OLD}?sv=1&sig=CANARY"),
        "c": {**DATA, "locationInfo": {"uri": OLD, "credentials": "AccountKey=CANARY"}},
    },
    keys={"primary": "CANARY", "secondary": "CANARY"},
    storageAccount={"name": "acct", "key": "CANARY"},
    commitmentPlan={"id": "CANARY"},
    createdOn="2017",
    modifiedOn="2017",
    provisioningState="Succeeded",
    swaggerLocation="https://x/swagger.json",
    package={
        "nodes": {
            "n1": {
                "assetId": "m",
                "parameters": {
                    "Account Key": {"value": "CANARY", "certificateThumbprint": "AB"},
                    "Account Name": {"value": "kept"},
                },
            }
        }
    },
)


def test_an_export_holds_no_secret_and_nothing_that_the_server_generates() -> None:
    for document in (SECRETS, pascal(SECRETS)):
        text = json.dumps(without_secrets(document))
        assert "CANARY" not in text
        assert "2017" not in text
        assert "kept" in text
        lowered = text.lower()
        for name in ("createdon", "modifiedon", "provisioningstate", "swaggerlocation"):
            assert name not in lowered


HOLDERS = [
    "Server user account password",
    "dbPassword",
    "api_key",
    "AccessToken",
    "client-secret 2",
    "Passwords",
    "Password (for the account)",
    "Credential",
]
PLAIN = [
    {"value": "CANARY", "certificateThumbprint": ""},
    {"Value": "CANARY", "CertificateThumbprint": None},
    {"defaultValue": "CANARY"},
    {"value": ["CANARY"]},
    "CANARY",
    4711,
]


@pytest.mark.parametrize("name", HOLDERS)
@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_an_export_drops_what_its_name_calls_a_secret(name: str, value: object) -> None:
    parameters = {name: value, "Database server name": {"value": "kept"}}
    places: list[dict[str, Any]] = [
        {"parameters": parameters},
        {"package": {"nodes": {"n1": {"assetId": "m", "parameters": parameters}}}},
        {"package": {"graphParameters": parameters}},
        {"exampleRequest": {"inputs": {}, "globalParameters": parameters}},
        {"parameters": [{"name": name, "value": "CANARY"}, {"name": "x", "value": "kept"}]},
    ]
    for properties in places:
        for document in (definition({"m": DATA}, **properties),):
            for spelling in (document, pascal(document)):
                text = json.dumps(without_secrets(spelling))
                assert "CANARY" not in text
                assert "4711" not in text
                assert "kept" in text


def test_the_key_of_a_table_or_a_join_is_no_secret() -> None:
    parameters = {f"{what} Key": {"value": what} for what in ("Partition", "Row", "Join")}
    document = definition({"m": DATA}, parameters=parameters)
    assert without_secrets(document)["properties"]["parameters"] == parameters


def test_columns_of_data_may_be_called_like_secrets() -> None:
    schema = {
        "type": "object",
        "properties": {"input1": {"properties": {"api_key": {"type": "s"}}}},
    }
    example = {"inputs": {"input1": [{"api_key": "kept"}]}, "globalParameters": None}
    document = definition({"m": DATA}, input=schema, exampleRequest=example)
    exported = without_secrets(document)["properties"]
    assert (exported["input"], exported["exampleRequest"]) == (schema, example)


def test_an_export_holds_no_user_and_no_fragment_of_a_uri() -> None:
    where = "https://me:CANARY@acct/x.ilearner#CANARY"
    text = json.dumps(without_secrets(definition({"m": {**DATA, "locationInfo": {"uri": where}}})))
    assert "CANARY" not in text
    assert "https://acct/x.ilearner" in text


def test_an_export_can_be_planned_against() -> None:
    parsed = parse_definition(without_secrets(SECRETS))
    assert find_model_asset(parsed, "M [trained model]") == "m"
