"""A plan against a snapshot of a workspace: as the live one, without credential or variable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler import errors
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.cli.main import run
from reconciler.model import Reason
from tests.azureml.server import served as serving
from tests.azureml.standin import KEY
from tests.azureml.test_endpoint import NAME
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.twins.azureml import Endpoints


def test_an_offline_plan_is_the_live_one_and_needs_no_secret(
    twin: Endpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = "variables: {DATABASE: env:CODE_DATABASE, LEVEL: low}"
    twin.edit("all.yaml", "  code: code\n", f"  code: code\n  {variables}\n")
    file, secret = str(tmp_path / "snapshot.json"), "a-secret-of-the-code"
    where = ("-f", str(twin.services))

    def planned(*more: str) -> Any:
        capsys.readouterr()
        assert run(["plan", *where, "-o", "json", *more]) == errors.SUCCESS
        (change,) = json.loads(capsys.readouterr().out)["changes"]
        return change

    with serving(twin.workspace) as workspace:
        environ = {EMULATOR_VARIABLE: workspace.url, "CODE_DATABASE": secret}
        monkeypatch.setattr(type(twin), "environ", property(lambda _: environ))
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert twin.apply().failures == ()
        serving_name = workspace.serving(NAME)
        by_hand = workspace.deployments[NAME, serving_name]["properties"]["environmentVariables"]
        by_hand["MORE"] = "a-secret-of-others"
        assert run(["snapshot", *where, "--out", file]) == errors.SUCCESS
        same = planned()
        twin.edit("all.yaml", "LEVEL: low", "LEVEL: high")
        newer = planned()
        asked = len(workspace.requests)
    for name in environ:
        monkeypatch.delenv(name)
    offline = planned("--live", file)
    # A snapshot holds no value of a variable, so no drift of one is seen.
    of_values = {"diffs": [], "drift": None, "why": ""}
    assert {**offline, **of_values} == {**newer, **of_values}
    twin.edit("all.yaml", "LEVEL: high", "LEVEL: low")
    assert planned("--live", file) == same
    assert (newer["action"], same["action"]) == ("BIND", "NOOP")
    assert len(twin.workspace.requests) == asked
    kept = (tmp_path / "snapshot.json").read_text()
    assert not [word for word in (secret, "a-secret-of-others", KEY) if word in kept]


def test_a_plan_from_exports_needs_no_workspace_and_no_secret(
    twin: Endpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = "variables: {DATABASE: env:CODE_DATABASE}"
    twin.edit("all.yaml", "  code: code\n", f"  code: code\n  {variables}\n")
    where, folder = ("-f", str(twin.services)), tmp_path / "exports"
    with serving(twin.workspace) as workspace:
        environ = {EMULATOR_VARIABLE: workspace.url, "CODE_DATABASE": "a-secret-of-the-code"}
        monkeypatch.setattr(type(twin), "environ", property(lambda _: environ))
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert twin.apply().failures == ()
        assert run(["export", *where, "--out", str(folder)]) == errors.SUCCESS
    for name in environ:
        monkeypatch.delenv(name)
    asked = len(twin.workspace.requests)

    def planned(live: Path) -> Any:
        capsys.readouterr()
        arguments = ["plan", *where, "--live", str(live), "-o", "json"]
        assert run(arguments) == errors.SUCCESS
        (change,) = json.loads(capsys.readouterr().out)["changes"]
        return change

    for live in (folder, folder / "m.json"):
        assert planned(live)["action"] == "NOOP"
    twin.ask_for(SECOND)
    change = planned(folder)
    assert (change["action"], change["code"]) == ("BIND", Reason.OFFLINE)
    twin.ask_for(FIRST)
    twin.edit("all.yaml", "  instances: 1\n", "  instances: 3\n")
    assert planned(folder)["action"] == "UPDATE"
    twin.edit("all.yaml", "sklearn:3", "sklearn:4")
    change = planned(folder)
    assert "settings.environment" in [diff["path"] for diff in change["diffs"]]
    assert change["action"] == "BIND"
    kept = (folder / "m.json").read_text()
    assert not [word for word in ("a-secret-of-the-code", KEY) if word in kept]
    assert len(twin.workspace.requests) == asked
