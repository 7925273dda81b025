"""The schema file: valid, described, and every keyword of it has words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from reconciler.desired import schema
from reconciler.desired.nodes import read
from reconciler.desired.resolve import CORE_KINDS
from reconciler.model import Auth
from reconciler.platforms import kinds, platforms
from tests.desired.trees import ENVIRONMENT, MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((REPOSITORY / "schemas" / schema.NAME).read_text())
RULES = schema.composed(tuple((name, each.schema) for name, each in platforms().items()))
SILENT = {"properties", "allOf", "if", "then", "items", "$ref"}  # they speak by what is in them
NO_RULES = {"$schema", "$id", "$defs", "title", "description", "default", "patternErrorMessage"}
NO_RULES |= {"examples"}


def schemas(found: Any, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, and where it is."""
    yield at, found
    for keyword in ("properties", "$defs"):
        for name, below in found.get(keyword, {}).items():
            yield from schemas(below, f"{at}/{keyword}/{name}")
    for keyword in ("items", "if", "then", "additionalProperties"):
        if isinstance(found.get(keyword), dict):
            yield from schemas(found[keyword], f"{at}/{keyword}")
    for keyword in ("allOf", "anyOf"):
        for index, below in enumerate(found.get(keyword, [])):
            yield from schemas(below, f"{at}/{keyword}/{index}")


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_of_the_checkout_is_composed_of_the_platforms_fragments() -> None:
    """`reconciler schema --out schemas/reconciler.schema.json` writes it anew."""
    assert (REPOSITORY / "schemas" / schema.NAME).read_text() == RULES.text


EDITORS = Draft202012Validator(SCHEMA)
FLEET = """\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {name: "bike-${at}"}
forEach: {at: {file: sites.csv, column: id, allowEmpty: true}, by: [a, b], of: {from: "1", to: "2"}}
spec:
  webService: "Bikes ${at}"
  endpoint: "rentalloc${at}"
  create: "${at.create}"
  state: "${at.state}"
  protect: "${at.protect}"
  settings: {throttleLevel: "${at.level}", maxConcurrentCalls: "${at.calls}"}
  model: {name: bikes, version: "${at.version}", with: {at: "${at}"}}
  verify: {request: "${at}.json", expect: {a: {atLeast: "${at.least}"}}}
---
apiVersion: reconciler/v1
kind: WebService
metadata: {name: "w-${at}"}
forEach: {at: [a]}
spec:
  webService: "w-${at}"
  definition: d.json
  create: {commitmentPlan: "p-${at}", storageAccount: {name: "s${at}", key: "env:K_${at}"}}
  settings: {maxConcurrentCalls: "${at}", diagnostics: {level: "${at}", expiry: "${at}"}}
  model: {name: m, version: "1"}
"""


def test_editors_accept_placeholders_and_the_program_wants_them_filled() -> None:
    documents = [document.data for document in read("f", FLEET)[0]]
    for document in documents:
        assert list(EDITORS.iter_errors(document)) == []
        assert not Draft202012Validator(RULES.filled).is_valid(document)
    wrong = {**documents[0], "forEach": {"at": {"form": "1"}}}
    assert not EDITORS.is_valid(wrong)
    fixed = {**documents[0], "spec": {**documents[0]["spec"], "endpoint": "Too Long"}}
    assert not EDITORS.is_valid(fixed)


def test_only_what_for_each_fills_in_may_be_a_placeholder() -> None:
    for text in (ENVIRONMENT, MODEL):
        (document,) = (each.data for each in read("f", text)[0])
        assert EDITORS.is_valid(document)
        assert not EDITORS.is_valid({**document, "metadata": {"name": "a-${b}"}})


def test_every_example_is_one() -> None:
    given = [(at, below) for at, below in schemas(SCHEMA) if "examples" in below]
    assert len(given) > 8
    for at, below in given:
        for example in below["examples"]:
            assert EDITORS.evolve(schema=below).is_valid(example), (at, example)


def test_every_property_is_described() -> None:
    bare = [
        f"{at}/{name}"
        for at, found in schemas(SCHEMA)
        for name, below in found.get("properties", {}).items()
        if not below.get("description")
    ]
    assert bare == []


def test_every_object_is_closed() -> None:
    open_ones = [
        at
        for at, found in schemas(SCHEMA)
        if found.get("type") == "object" and "additionalProperties" not in found
    ]
    assert open_ones == [
        "#/properties/spec",
        "#/$defs/model/properties/training",
    ]  # by kind and engine


def test_every_pattern_has_a_message_and_both_ends() -> None:
    for at, found in schemas(SCHEMA):
        if "pattern" in found:
            assert found["patternErrorMessage"], at
            assert found["pattern"][0] == "^", at
            assert found["pattern"][-1] == "$", at


def test_the_program_and_the_schema_know_the_same_kinds() -> None:
    assert set(SCHEMA["properties"]["kind"]["enum"]) == {*CORE_KINDS, *kinds()}


def test_the_program_and_the_schema_know_the_same_ways_to_sign_in() -> None:
    studio = SCHEMA["$defs"]["studio"]["properties"]
    assert studio["auth"]["enum"] == [auth.value for auth in Auth]


def test_every_keyword_has_words() -> None:
    used = {keyword for _, found in schemas(SCHEMA) for keyword in found}
    assert used - SILENT - NO_RULES - set(schema._WORDS) == {"anyOf"}  # only of placeholders
