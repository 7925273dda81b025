"""What the schema refuses in a document by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import VERSION, Row, binding, each, said_of, whole
from tests.desired.trees import BINDING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NO_NAME = (
    "is not a name; use at most 128 lower-case letters, digits, dots and dashes, "
    "and begin and end with a letter or digit"
)

SHAPES = [
    binding(
        "an unknown key brings the nearest known one",
        "    version:",
        "    versoin:",
        '7:3: spec.model: "version" is missing',
        '9:5: unknown key "versoin"; did you mean "version"?',
    ),
    whole(
        "an unknown key that resembles none brings those that are free",
        "binding",
        BINDING + "  zzz: 1\n",
        '12:3: unknown key "zzz"; known: adopt, asset, breaking, create, definition, paused, protect, settings, state',
    ),
    whole(
        "an unknown key at the top is found",
        "binding",
        "foreach: []\n" + BINDING,
        '1:1: unknown key "foreach"; did you mean "forEach"?',
    ),
    binding(
        "a missing property is named at the key of its owner",
        "  webService: churn-predictive\n",
        "",
        '5:1: spec: "webService" is missing',
    ),
    whole(
        "missing properties are all named",
        "binding",
        "kind: WebService\n",
        '1:1: "apiVersion" is missing',
        '1:1: "metadata" is missing',
        '1:1: "spec" is missing',
    ),
    whole(
        "a document that is a list is refused",
        "binding",
        "- a\n",
        "1:1: this is a list; write a mapping (key: value)",
    ),
    whole(
        "a document that is a text is refused",
        "binding",
        "hello\n",
        '1:1: "hello" is text; write a mapping (key: value)',
    ),
    binding(
        "an unknown kind brings the nearest known one",
        "WebService",
        "Webservice",
        '2:7: kind: "Webservice" is not one of Environment, Model, WebService, ClassicEndpoint; '
        'did you mean "WebService"?',
    ),
    binding(
        "another version of the format is refused",
        "reconciler/v1",
        "reconciler/v2",
        '1:13: apiVersion: "reconciler/v2" is not known; write reconciler/v1',
    ),
    binding(
        "a name with capitals is refused",
        "  name: churn",
        "  name: Churn",
        f'4:9: metadata.name: "Churn" {NO_NAME}',
    ),
    binding(
        "a name with a line break is refused",
        "  name: churn",
        '  name: "churn\\n"',
        f'4:9: metadata.name: "churn\\n" {NO_NAME}',
    ),
    binding(
        "a mapping where text belongs",
        "churn-predictive",
        "{name: x}",
        "6:15: spec.webService: a mapping is here; write a text",
    ),
    whole(
        "a text where a list belongs",
        "binding",
        BINDING + "    columns: Scored Labels\n",
        '12:14: spec.verify.columns: "Scored Labels" is text; write a list',
    ),
    whole(
        "nothing where a mapping belongs",
        "binding",
        BINDING.split("  verify")[0] + "  verify:\n",
        "10:10: spec.verify: empty; write a mapping (key: value)",
    ),
    binding(
        "an empty text is refused",
        "churn-predictive",
        '""',
        '6:15: spec.webService: "" is empty; write a text',
    ),
    binding(
        "a version that would leave its folder is refused",
        VERSION,
        "../x",
        '9:14: spec.model.version: "../x" is not a version; use at most 127 letters, digits, dots, '
        "dashes and underscores, and begin with a letter or digit",
    ),
    binding(
        "an endpoint without its name is refused",
        "WebService",
        "ClassicEndpoint",
        '5:1: spec: "endpoint" is missing',
    ),
    whole(
        "an asset of a Classic endpoint is refused",
        "binding",
        BINDING.replace("WebService", "ClassicEndpoint") + "  endpoint: e\n  asset: x\n",
        '13:3: unknown key "asset"; known: adopt, breaking, create, paused, protect, resource, settings, state',
    ),
]


@each(SHAPES)
def test_a_document_of_another_shape_is_told_what_where_and_how(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected
