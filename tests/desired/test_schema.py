"""The schema file: valid, described, and every keyword of it has words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from reconciler.desired import schema
from reconciler.desired.resolve import KINDS
from reconciler.model import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
SCHEMA = json.loads((REPOSITORY / "schemas" / schema.NAME).read_text())
SILENT = {"properties", "allOf", "if", "then", "items", "$ref"}  # they speak by what is in them
NO_RULES = {"$schema", "$id", "$defs", "title", "description", "default", "patternErrorMessage"}


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


def test_the_schema_that_is_used_is_that_of_the_checkout() -> None:
    assert schema.schema() == SCHEMA


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
    assert open_ones == ["#/properties/spec"]  # closed by its kind


def test_every_pattern_has_a_message_and_both_ends() -> None:
    for at, found in schemas(SCHEMA):
        if "pattern" in found:
            assert found["patternErrorMessage"], at
            assert found["pattern"][0] == "^", at
            assert found["pattern"][-1] == "$", at


def test_the_program_and_the_schema_know_the_same_kinds() -> None:
    assert set(SCHEMA["properties"]["kind"]["enum"]) == set(KINDS)


def test_the_program_and_the_schema_know_the_same_ways_to_sign_in() -> None:
    environment = SCHEMA["$defs"]["environment"]["properties"]
    assert environment["auth"]["enum"] == [auth.value for auth in Auth]


def test_every_keyword_has_words() -> None:
    used = {keyword for _, found in schemas(SCHEMA) for keyword in found}
    assert used - SILENT - NO_RULES - set(schema._WORDS) == set()


def test_the_schema_is_found_inside_a_wheel(tmp_path: Path) -> None:
    # A wheel has `schemas` inside the package; a copy of the package laid out so is one.
    package = tmp_path / "reconciler"
    (package / "schemas").mkdir(parents=True)
    for name in ["__init__.py", "auth.py", "errors.py"]:
        (package / name).write_bytes((REPOSITORY / "reconciler" / name).read_bytes())
    for name in ["desired", "model"]:
        shutil.copytree(REPOSITORY / "reconciler" / name, package / name)
    (package / "schemas" / schema.NAME).write_text(json.dumps(SCHEMA))
    script = "from reconciler.desired import schema; print(schema.schema()['title'])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == SCHEMA["title"]
