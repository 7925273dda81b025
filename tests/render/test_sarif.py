"""SARIF 2.1.0: the members that the standard requires, of the types that it allows."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from reconciler.ci.sarif import sarif_json
from reconciler.model import NOWHERE, Source
from reconciler.render.findings import RULES, Finding


def closed(required: str, **properties: Any) -> dict[str, Any]:
    """A schema of an object that has these properties and no others."""
    shape = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**shape, "required": required.split()}


TEXT = {"type": "string", "minLength": 1}
POSITIVE = {"type": "integer", "minimum": 1}
MESSAGE = closed("text", text=TEXT)
RULE = closed("id", id=TEXT, shortDescription=MESSAGE)
LOCATION = closed(
    "physicalLocation",
    physicalLocation=closed(
        "artifactLocation",
        artifactLocation=closed(
            "uri", uri={"type": "string", "format": "uri-reference"}, uriBaseId=TEXT
        ),
        region=closed("startLine", startLine=POSITIVE, startColumn=POSITIVE),
    ),
)
RESULT = closed(
    "message ruleId",
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level={"enum": ["none", "note", "warning", "error"]},
    message=MESSAGE,
    locations={"type": "array", "items": LOCATION},
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
)
DRIVER = closed("name", name=TEXT, version=TEXT, rules={"type": "array", "items": RULE})
RUN = closed(
    "tool results",
    tool=closed("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": RESULT},
)
LOG = closed(
    "version runs",
    **{"$schema": TEXT},
    version={"const": "2.1.0"},
    runs={"type": "array", "items": RUN, "minItems": 1},
)


def checked(text: str) -> dict[str, Any]:
    """The one run of a log that keeps to the standard."""
    log = json.loads(text)
    jsonschema.Draft202012Validator(LOG).validate(log)
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    for result in log["runs"][0]["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    run: dict[str, Any] = log["runs"][0]
    return run


def result_of(source: Source, message: str = "no") -> dict[str, Any]:
    run = checked(sarif_json([Finding(source, "yaml", "t", message)], "1.0"))
    result: dict[str, Any] = run["results"][0]
    return result


def test_no_finding_is_a_run_with_every_rule_and_no_result() -> None:
    run = checked(sarif_json([], "1.0"))
    assert run["results"] == []
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted(RULES)


def test_a_finding_has_its_rule_and_its_region() -> None:
    result = result_of(Source("a b/ü.yaml", 3, 5))
    (place,) = result["locations"]
    assert result["ruleId"] == "yaml"
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/%C3%BC.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 5},
    }


def test_a_whole_file_has_its_first_line_and_nowhere_has_no_place() -> None:
    (place,) = result_of(Source("a.yaml", 0, 0))["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 1}
    assert "locations" not in result_of(NOWHERE)


def test_a_file_outside_of_the_root_has_its_whole_address() -> None:
    (place,) = result_of(Source("/tmp/a.yaml", 1, 1))["locations"]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "file:///tmp/a.yaml"}


def test_a_finding_that_moved_has_the_same_fingerprint_and_another_one_has_not() -> None:
    here, there = result_of(Source("a.yaml", 1, 1)), result_of(Source("a.yaml", 9, 4))
    assert here["partialFingerprints"] == there["partialFingerprints"]
    other = result_of(Source("a.yaml", 1, 1), "something else")
    assert here["partialFingerprints"] != other["partialFingerprints"]
