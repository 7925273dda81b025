"""`import` of endpoints that somebody made by hand in a workspace: paused, and nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli import compose
from reconciler.cli.compose import load
from reconciler.cli.main import run
from tests.azureml.server import served as serving
from tests.azureml.standin import WORKSPACE, Standin
from tests.twins.azureml import CONNECTION, Endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: production}
spec: {store: store, data: data, CONNECTION}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    """A workspace, and an environment that declares nothing of it."""
    monkeypatch.chdir(tmp_path)
    workspace = Standin()
    for name in ("store", "data"):
        (Path("services") / name).mkdir(parents=True)
    text = ENVIRONMENT.replace("CONNECTION", CONNECTION)
    Path("services/environment.yaml").write_text(text)
    with serving(workspace):
        monkeypatch.setenv(compose.EMULATOR_VARIABLE, workspace.url)
        yield workspace


def test_endpoints_made_by_hand_are_one_fleet_and_the_first_plan_is_empty(home: Standin) -> None:
    for number in range(200):
        home.add(f"churn-{number}", "blue")
    home.requests.clear()
    assert run(["import"]) == errors.SUCCESS
    # It is described, and then the plan looks at it: that nothing would be changed.
    assert home.requests.count("GET /onlineEndpoints/churn-7/deployments") == 2
    assert "GET /onlineEndpoints/churn-7" not in home.requests
    home.requests.clear()
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS
    assert home.requests.count("GET /models/m/versions/1") == 1, "all are to get that version"
    assert run(["import"]) == errors.SUCCESS
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 200
    assert [p.name for p in Path("services/imported").glob("*.yaml")] == ["endpoints-1.yaml"]
    assert [p.name for p in Path("services/imported").glob("*.csv")] == ["fleet-1-1.csv"]


def test_an_import_says_how_callers_sign_in_and_leaves_out_what_is_not_managed(
    served: Endpoints,
) -> None:
    workspace = served.workspace
    workspace.add("by-token", "blue", said={"properties": {"authMode": "AADToken"}})
    workspace.add("on-kubernetes", "blue", said={"kind": "Kubernetes"})
    target = served.world().targets["OnlineEndpoint"]
    modes = {found.name: found.spec.get("authMode", "") for found in target.unmanaged(())}
    assert modes == {"by-token": "AADToken", "theirs": ""}


SECRET = "ghp_" + "a1" * 18


def by_hand(workspace: Standin, name: str, *, instances: int = 1, tags: object = None) -> None:
    """An endpoint with settings of its own, and variables of which one is secret."""
    workspace.add(name, "blue", model=f"{WORKSPACE}/models/fraud/versions/7")
    deployment = workspace.deployments[name, "blue"]
    deployment["sku"]["capacity"] = instances
    properties = deployment["properties"]
    properties["environmentVariables"] = {"API_KEY": SECRET, "AZUREML_MODEL_DIR": "/m"}
    properties["requestSettings"]["requestTimeout"] = "PT1M30S"
    properties["livenessProbe"]["failureThreshold"] = 5
    properties["environmentId"] = f"{WORKSPACE}/environments/sklearn/versions/3"
    workspace.endpoints[name]["tags"] = tags or {}


def test_settings_are_imported_where_they_differ_from_the_defaults(
    home: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand(home, "fraud", instances=3, tags={"team": "on", "owner": SECRET, "cost.center": "0x10"})
    home.add("plain", "blue")
    assert run(["import"]) == errors.SUCCESS
    printed = capsys.readouterr()
    text = Path("services/imported/endpoints-1.yaml").read_text()
    assert SECRET not in text + printed.out + printed.err
    assert (
        "  endpoint: fraud\n  instanceType: Standard_DS3_v2\n  instances: 3\n"
        '  environment: "sklearn:3"\n  settings:\n    liveness:\n      failures: 5\n'
        '    requests:\n      queueWait: "0s"\n      timeout: "90s"\n    tags:\n'
        '      cost.center: "0x10"\n      team: "on"\n  model:\n    name: fraud\n'
        '    version: "7"\n  paused: true\n'
    ) in text
    assert "whether git owns its variables (API_KEY: env:API_KEY)" in text
    assert "left as it is: spec.settings.tags.owner looks like a secret" in text
    assert "registry:\n    azureml: fraud\n" in text
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS


def test_a_model_of_another_workspace_is_named_and_its_versions_are_left_to_people(
    home: Standin,
) -> None:
    other = WORKSPACE.replace("/workspaces/prod", "/workspaces/lab")
    home.add("fraud", "blue", model=f"{other}/models/fraud/versions/7")
    assert run(["import"]) == errors.SUCCESS
    text = Path("services/imported/endpoints-1.yaml").read_text()
    assert "it serves version 7 of fraud in the workspace lab: register that here" in text
    assert "registry:" not in text
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS


def test_numbers_that_differ_are_columns_of_one_fleet(home: Standin) -> None:
    for number in range(1, 7):
        by_hand(home, f"churn-{number}", instances=number + 1)
    assert run(["import"]) == errors.SUCCESS
    table = Path("services/imported/fleet-1-1.csv").read_text().splitlines()
    assert table[:2] == ["name,endpoint,instances", "churn-1,churn-1,2"]
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS


def test_one_whose_traffic_is_shared_is_imported_without_the_settings_of_a_deployment(
    home: Standin,
) -> None:
    by_hand(home, "fraud", instances=3)
    home.add("fraud", "green", 50)
    home.endpoints["fraud"]["properties"]["traffic"] = {"blue": 50, "green": 50}
    assert run(["import"]) == errors.SUCCESS
    text = Path("services/imported/endpoints-1.yaml").read_text()
    assert "which deployment gets all traffic (blue, green)" in text
    assert "instances" not in text
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS


def test_what_git_spells_otherwise_is_accepted_where_it_means_what_is_live(
    home: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand(home, "fraud", instances=3)
    assert run(["import"]) == errors.SUCCESS
    file = Path("services/imported/endpoints-1.yaml")
    added = '  variables: {LEVEL: "plain"}  # ours\n  settings:\n'
    file.write_text(file.read_text().replace('"90s"', "1.5m").replace("  settings:\n", added))
    live = home.deployments["fraud", "blue"]["properties"]
    live["requestSettings"]["requestTimeout"] = "PT45S"
    live["environmentVariables"]["LEVEL"] = SECRET
    assert run(["drift", "--accept"]) == errors.PARTIAL
    assert 'timeout: "45s"' in file.read_text()
    assert 'LEVEL: "plain"}  # ours' in file.read_text()
    said = capsys.readouterr().err
    assert "settings.variables.LEVEL cannot be accepted: no text of the YAML" in said
