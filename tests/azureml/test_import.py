"""`import` of endpoints that somebody made by hand in a workspace: paused, and nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.cli import compose
from reconciler.cli.compose import load
from reconciler.cli.main import run
from tests.azureml.server import served as serving
from tests.azureml.standin import Standin
from tests.twins.azureml import CONNECTION, Endpoints

if TYPE_CHECKING:
    import pytest

ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: production}
spec: {store: store, data: data, CONNECTION}
"""


def test_endpoints_made_by_hand_are_one_fleet_and_the_first_plan_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Standin()
    for number in range(20):
        workspace.add(f"churn-{number}", "blue")
    for name in ("store", "data"):
        (Path("services") / name).mkdir(parents=True)
    text = ENVIRONMENT.replace("CONNECTION", CONNECTION)
    Path("services/environment.yaml").write_text(text)
    with serving(workspace):
        monkeypatch.setenv(compose.EMULATOR_VARIABLE, workspace.url)
        assert run(["import"]) == errors.SUCCESS
        assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS
        assert run(["import"]) == errors.SUCCESS
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 20
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
