"""What a service is created from: an exported definition, and what git says besides."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.desired import load
from reconciler.errors import ConfigurationError
from reconciler.model import SecretName
from tests.desired.changes import BASE64_KEY, Row, each, said_of, whole
from tests.desired.trees import BINDING, GOOD, PLATFORMS, loaded, write

if TYPE_CHECKING:
    from pathlib import Path

FILE = "exports/churn.json"
CREATED = BINDING + f"  definition: {FILE}\n  create:\n    commitmentPlan: plan\n"
AT = f'churn.yaml:12:15: spec.definition: "{FILE}":'
MODEL: dict[str, Any] = {
    "name": "Churn [trained model]",
    "type": "Resource",
    "locationInfo": {"uri": "https://a.blob.core.windows.net/c/m.ilearner", "credentials": ""},
}
PROPERTIES: dict[str, Any] = {
    "packageType": "Graph",
    "title": "Churn",
    "storageAccount": {"name": "elsewhere"},
    "assets": {"asset1": MODEL},
    "input": {"type": "object", "properties": {"input1": {"properties": {"z": {}, "a": {}}}}},
}
HIDDEN = {
    "nodes": {
        "node5": {
            "parameters": {"Account Key": {"certificateThumbprint": "0F"}, "Name": {"value": "x"}}
        }
    }
}


def definition(**properties: Any) -> str:
    return json.dumps(
        {"location": "X", "name": "churn", "properties": {**PROPERTIES, **properties}}
    )


def tree(content: str, binding: str = CREATED) -> dict[str, str | bytes | None]:
    return {**GOOD, "churn.yaml": binding, FILE: content}


def wrong(sentence: str, content: str, *said: str) -> Row:
    return whole(sentence, FILE, content, *(f"{AT} {each}" for each in said))


def asset(**changes: Any) -> dict[str, Any]:
    return {"asset1": MODEL, "asset2": {"name": "Data", "type": "Resource", **changes}}


def at(uri: str, credentials: str = "") -> dict[str, Any]:
    return {"locationInfo": {"uri": uri, "credentials": credentials}}


READ_ONLY = (
    "readOnly is true, and the model of such a service can never be replaced; take readOnly out"
)
NO_ASSETS = "it has no assets; export the definition again with the parts that are kept in a blob"
LEAK = (
    "holds what looks like a secret; take it out, renew it, and name it in spec.create by env:NAME"
)
KEYS = (
    "it contains keys, which are secrets; remove them, renew them, and name the storage account's "
    "in spec.create"
)
CREDENTIALS = (
    "carries credentials or a SAS; move the file into the service's own storage account and give "
    "its URI without a query"
)
FILES = [
    wrong("a definition that is not JSON", "{", "not JSON: line 1, column 2: Expecting property "
          "name enclosed in double quotes"),
    wrong("a definition that is a list", "[]", 'not a JSON object; begin with {"location": …, '
          '"properties": …}'),
    wrong("a definition that says something twice", '{"a": 1, "a": 2}',
          'not JSON that a service could read: "a" is twice in one object; keep one'),
    wrong("a definition without properties", '{"name": "x"}',
          'not a web service definition: it has no object "properties"'),
    wrong("a definition with NaN", '{"properties": {"a": NaN}}',
          "not JSON that a service could read: NaN is not a number of JSON"),
    wrong("a definition with half a character", '{"properties": {"a": "\\ud800"}}',
          "not JSON that a service could read: half a character (a lone surrogate)"),
    wrong("a definition that nests deeply", '{"properties": {"a":' + "[" * 800 + "]" * 800 + "}}",
          "not a web service definition: nested deeper than 100 levels"),
    wrong("a definition that is too long", " " * (16 * 1024 * 1024 + 1),
          "16,777,217 bytes; 16 MiB (16,777,216) is the limit; make it smaller, or split it"),
    wrong("a definition with more than goes into one request",
          definition(exampleRequest={"x": "y" * 3_000_000}),
          "its parts are 3,000,342 bytes, and above 3,000,000 the platform takes them only from a "
          "blob; deploy this service by hand, and bind it"),
    wrong("a definition with a key", definition(keys={"primary": BASE64_KEY}), LEAK),
    wrong("a definition with a SAS", definition(assets=asset(**at("https://a/b?sig=abcdefgh"))), LEAK),
    wrong("a definition with a key of another shape",
          definition(storageAccount={"name": "a", "key": "short"}), KEYS),
    wrong("a definition with a service key of another shape",
          definition(keys={"primary": "short"}), KEYS),
    wrong("a definition with the credentials of an asset",
          definition(assets=asset(**at("https://a/b", "x"))), f"asset asset2 {CREDENTIALS}"),
    wrong("a definition with a query in a URI",
          definition(assets=asset(**at("https://a/b?x=1"))), f"asset asset2 {CREDENTIALS}"),
    wrong("a definition with an asset that is nowhere", definition(assets=asset()),
          "asset asset2 has no locationInfo.uri; export the definition again"),
    wrong("a definition whose parts lie in a blob",
          definition(assets={}, payloadsInBlobStorage=True,
                     payloadsLocation={"uri": "https://a/b"}), NO_ASSETS),
    wrong("a definition of another kind", definition(packageType="Code"),
          'its packageType is "Code"; only a Graph can be created'),
    wrong("a definition that nobody could ever change", definition(readOnly="true"), READ_ONLY),
    wrong("a definition of the training service",
          definition(assets={"asset1": {**MODEL, "type": "Module"}}),
          "it has no trained model and is probably of the training service; export the "
          "predictive one"),
    wrong("a definition of two models",
          definition(assets={"a": MODEL, "b": {**MODEL, "name": "B [trained model]"}}),
          '2 assets could be the trained model: "Churn [trained model]", "B [trained model]"; name '
          "one in spec.asset"),
    wrong("a definition whose members have another type", definition(title=5, assets=[]),
          "assets is list, not an object"),
]  # fmt: skip


@each(FILES)
def test_a_definition_that_no_service_can_be_made_of_is_told_why(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GOOD, "churn.yaml", CREATED)  # type: ignore[arg-type]
    assert said_of(row, tmp_path, monkeypatch) == row.expected


OUTSIDE = "leaves the folder; name a file beside or below this one"
HIDES = (
    'churn.yaml:14:5: spec.create: the definition hides the value of "node5/Account Key"; name it '
    'in secrets: {"node5/Account Key": env:NAME}'
)
SPECS = [
    ("no file", CREATED.replace(FILE, "x.json"),
     'churn.yaml:12:15: spec.definition: "x.json": no such file; correct its name, or add it'),
    ("a file above", CREATED.replace(FILE, "../x.json"),
     f'churn.yaml:12:15: spec.definition: "../x.json": {OUTSIDE}'),
    ("no create", BINDING + f"  definition: {FILE}\n",
     "churn.yaml:12:15: spec.definition: spec.create is missing, which says what an export leaves "
     "out"),
    ("no definition", BINDING + "  create: {commitmentPlan: plan}\n",
     "churn.yaml:12:11: spec.create: spec.definition is missing; name the exported file to create "
     "it from"),
    ("no commitment plan", CREATED.replace("commitmentPlan: plan", "secrets: {}"),
     'churn.yaml:13:3: spec.create: "commitmentPlan" is missing'),
    ("a commitment plan that is none", CREATED.replace("Plan: plan", "Plan: a/b"),
     'churn.yaml:14:21: spec.create.commitmentPlan: "a/b" is not a commitment plan; write its '
     "name, or an id that begins with /subscriptions/"),
    ("a key in the place of its name",
     CREATED + "    storageAccount: {name: abc, key: hunter22}\n",
     "churn.yaml:15:38: spec.create.storageAccount.key: the value must be the name of an "
     "environment variable; put the secret there and write env:NAME, in capitals"),
    ("a secret for nothing", CREATED + '    secrets: {"node1/Key": env:K}\n',
     'churn.yaml:15:28: spec.create.secrets.node1/Key: the definition hides no value called '
     '"node1/Key"; it has none'),
    ("an asset that is not there", CREATED + "  asset: churn [trained model]\n",
     f'{AT} no asset is named "churn [trained model]"; it has "Churn [trained model]"; did you '
     'mean "Churn [trained model]"?'),
    ("too few calls at once", BINDING + "  settings: {maxConcurrentCalls: 3}\n",
     "churn.yaml:12:34: spec.settings.maxConcurrentCalls: 3 is out of range; write 4 to 200"),
    ("an expiry without a level", BINDING + "  settings: {diagnostics: {}}\n",
     'churn.yaml:12:14: spec.settings.diagnostics: "level" is missing'),
    ("a level that does not exist", BINDING + "  settings: {diagnostics: {level: none}}\n",
     'churn.yaml:12:35: spec.settings.diagnostics.level: "none" is not one of None, Error, All; '
     'did you mean "None"?'),
    ("an expiry on no day",
     BINDING + '  settings: {diagnostics: {level: All, expiry: "2027-02-30T00:00:00Z"}}\n',
     'churn.yaml:12:48: spec.settings.diagnostics.expiry: "2027-02-30T00:00:00Z": no such day; '
     "correct it"),
    ("an expiry that is a day",
     BINDING + '  settings: {diagnostics: {level: All, expiry: "2027-01-31"}}\n',
     'churn.yaml:12:48: spec.settings.diagnostics.expiry: "2027-01-31" is not a time in UTC; '
     'write for example "2027-01-31T00:00:00Z"'),
]  # fmt: skip


@pytest.mark.parametrize(("binding", "said"), [s[1:] for s in SPECS], ids=[s[0] for s in SPECS])
def test_a_binding_that_cannot_be_created_as_it_says_is_told_why(
    binding: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = whole("", "churn.yaml", binding, said)
    (tmp_path / "services" / "exports").mkdir(parents=True)
    (tmp_path / "services" / FILE).write_text(definition())
    assert said_of(row, tmp_path, monkeypatch) == (said,)


@pytest.mark.parametrize(("expiry", "is_over"), [("2026-11-27", True), ("2026-11-28", False)])
def test_an_expiry_that_is_over_is_refused(tmp_path: Path, expiry: str, is_over: bool) -> None:
    said = f'  settings: {{diagnostics: {{level: All, expiry: "{expiry}T00:00:00Z"}}}}\n'
    root = write(tmp_path, {**GOOD, "churn.yaml": BINDING + said})
    with (
        pytest.raises(ConfigurationError, match="this date has passed")
        if is_over
        else nullcontext()
    ):
        load(root, PLATFORMS, today=date(2026, 11, 28))
    load(root, PLATFORMS)


def created(folder: Path, content: str, binding: str = CREATED) -> Any:
    return loaded(write(folder, tree(content, binding)))["prod"].bindings[0]


PASSWORD = "Server user account password"
LOGIN = "node5/Server user account password"
NAMED = CREATED + f'    secrets: {{"{LOGIN}": env:LOGIN}}\n'


def graph(value: Any, name: str = PASSWORD) -> str:
    return definition(package={"nodes": {"node5": {"parameters": {name: value}}}})


@pytest.mark.parametrize("name", [PASSWORD, "AccountKey", "storageToken", "client_secret", "KEY 2"])
@pytest.mark.parametrize("binding", [CREATED, NAMED])
def test_a_plain_value_of_what_is_called_a_secret_is_refused_and_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, binding: str
) -> None:
    monkeypatch.setitem(GOOD, "churn.yaml", binding)  # type: ignore[arg-type]
    for value in (
        {"value": "hunter2", "certificateThumbprint": ""},
        {"Value": "hunter2"},
        "hunter2",
    ):
        (said,) = said_of(whole("", FILE, graph(value, name)), tmp_path, monkeypatch)
        assert said.startswith(f"{AT} holds a secret in plain text at")
        assert f"properties.package.nodes.node5.parameters.{name}" in said
        assert "hunter2" not in said
        monkeypatch.chdir(tmp_path)


def test_what_is_called_a_secret_may_be_named_and_must_where_it_was_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_out, empty = graph({"certificateThumbprint": ""}), graph({"value": ""})
    for content in (taken_out, empty):
        made = created(tmp_path / "services", content, NAMED).create
        assert [name.variable for _, name in made.part.secrets] == ["STORE_KEY", "LOGIN"]
    assert created(tmp_path / "services", empty).create.part.secrets[1:] == ()
    monkeypatch.setitem(GOOD, "churn.yaml", CREATED)  # type: ignore[arg-type]
    (said,) = said_of(whole("", FILE, taken_out), tmp_path, monkeypatch)
    assert f'the definition hides the value of "{LOGIN}"; name it in secrets' in said


def test_a_hidden_value_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = whole("", FILE, definition(package=HIDDEN), HIDES)
    monkeypatch.setitem(GOOD, "churn.yaml", CREATED)  # type: ignore[arg-type]
    assert said_of(row, tmp_path, monkeypatch) == (HIDES,)


def test_what_an_export_leaves_out_comes_from_the_environment_and_by_name(tmp_path: Path) -> None:
    named = CREATED + '    secrets: {"node5/Account Key": env:IMPORT_KEY, Global: env:OTHER}\n'
    hidden = definition(package=HIDDEN, parameters={"Global": {"certificateThumbprint": "0F"}})
    made = created(tmp_path / "t", hidden, named).create
    template = json.loads(made.part.template)
    assert template["location"] == "southcentralus"
    properties = template["properties"]
    assert properties["storageAccount"] == {"name": "mlprod"}
    assert properties["commitmentPlan"]["id"] == (
        "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/ml-prod"
        "/providers/Microsoft.MachineLearning/commitmentPlans/plan"
    )
    account_key = ("package", "nodes", "node5", "parameters", "Account Key", "value")
    assert made.part.secrets == (
        (("storageAccount", "key"), SecretName("STORE_KEY")),
        (account_key, SecretName("IMPORT_KEY")),
        (("parameters", "Global", "value"), SecretName("OTHER")),
    )


@pytest.mark.parametrize("name", ["kshoop plan 6.22.3", "p", "a (b)"])
def test_a_commitment_plan_may_have_blanks_in_its_name(tmp_path: Path, name: str) -> None:
    """Recorded: `kshoop plan 6.22.3`."""
    for said in (
        name,
        f"/subscriptions/s/resourceGroups/my group/providers/x/commitmentPlans/{name}",
    ):
        made = created(tmp_path / "t", definition(), CREATED.replace("Plan: plan", f"Plan: {said}"))
        properties = json.loads(made.create.part.template)["properties"]
        assert properties["commitmentPlan"]["id"].endswith(f"/commitmentPlans/{name}")


def test_an_own_account_and_a_plan_of_another_group_are_taken_as_they_are(tmp_path: Path) -> None:
    plan = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearning/commitmentPlans/p"
    said = CREATED.replace("Plan: plan", f"Plan: {plan}")
    said += "    storageAccount: {name: own, key: env:OWN_KEY}\n"
    made = created(tmp_path / "t", definition(), said).create
    properties = json.loads(made.part.template)["properties"]
    assert properties["storageAccount"] == {"name": "own"}
    assert properties["commitmentPlan"] == {"id": plan}
    assert made.part.secrets == ((("storageAccount", "key"), SecretName("OWN_KEY")),)


def test_columns_keep_their_order_since_it_is_that_of_the_input(tmp_path: Path) -> None:
    made = created(tmp_path / "t", definition()).create
    properties = json.loads(made.part.template)["properties"]
    assert list(properties["input"]["properties"]["input1"]["properties"]) == ["z", "a"]


def test_what_was_of_the_exported_service_alone_is_not_taken(tmp_path: Path) -> None:
    past = {"level": "All", "expiry": "2020-01-01T00:00:00Z"}
    other = {"createdOn": "x", "SwaggerLocation": "x", "ProvisioningState": "Failed"}
    made = created(tmp_path / "t", definition(diagnostics=past, readOnly=False, **other)).create
    template = json.loads(made.part.template)
    assert set(template) == {"location", "tags", "properties"}
    assert set(template["properties"]) == {*PROPERTIES, "commitmentPlan"}


def test_each_element_can_have_a_definition_of_its_own(tmp_path: Path) -> None:
    fleet = CREATED.replace("name: churn\n", 'name: "churn-${site}"\n', 1)
    fleet = fleet.replace("churn-predictive", "churn-${site}").replace(FILE, "exports/${site}.json")
    fleet = fleet.replace("spec:", "forEach: {site: [a, b]}\nspec:")
    files = {f"exports/{site}.json": definition(title=site) for site in "ab"}
    found = loaded(write(tmp_path / "t", {**GOOD, "churn.yaml": fleet, **files}))["prod"].bindings
    titles = [json.loads(each.create.part.template)["properties"]["title"] for each in found]
    assert titles == ["a", "b"]


def test_a_fleet_of_one_definition_keeps_its_text_once(tmp_path: Path) -> None:
    fleet = CREATED.replace("name: churn\n", 'name: "churn-${site}"\n', 1)
    fleet = fleet.replace("churn-predictive", "churn-${site}")
    fleet = fleet.replace("spec:", "forEach: {site: [a, b]}\nspec:")
    first, second = loaded(write(tmp_path / "t", tree(definition(), fleet)))["prod"].bindings
    assert first.create is not None
    assert second.create is not None
    assert first.create.part.template is second.create.part.template


def test_a_definition_of_elements_that_is_wrong_is_said_once(tmp_path: Path) -> None:
    fleet = CREATED.replace("name: churn\n", 'name: "churn-${site}"\n', 1)
    fleet = fleet.replace("churn-predictive", "churn-${site}")
    fleet = fleet.replace("spec:", "forEach: {site: [a, b]}\nspec:")
    from tests.desired.trees import complaints

    (said,) = complaints(write(tmp_path / "t", tree("[]", fleet)))
    assert said.endswith("[site=a, and 1 more]")


def test_settings_are_texts_by_dotted_name_and_diagnostics_are_owned_whole(tmp_path: Path) -> None:
    said = "  settings: {title: T, maxConcurrentCalls: 20, diagnostics: {level: Error}}\n"
    (found,) = loaded(write(tmp_path / "t", {**GOOD, "churn.yaml": BINDING + said}))[
        "prod"
    ].bindings
    assert found.settings == (
        ("diagnostics.expiry", ""),
        ("diagnostics.level", "Error"),
        ("maxConcurrentCalls", "20"),
        ("title", "T"),
    )
    assert found.create is None


def test_a_link_to_a_definition_outside_of_the_tree_is_not_followed(tmp_path: Path) -> None:
    from tests.desired.trees import complaints

    root = write(tmp_path / "t", {**GOOD, "churn.yaml": CREATED})
    (tmp_path / "outside.json").write_text(definition())
    (root / "exports").mkdir()
    (root / FILE).symlink_to(tmp_path / "outside.json")
    (said,) = complaints(root)
    assert said.endswith("a link that leaves the tree; put the file itself here")
