"""`import` of endpoints whose versions nobody can tell how they are made: paused, and in sync."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.compose import load
from tests.cli.test_safety import writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def without_bindings(lab: Lab) -> None:
    """The same environment, as it was before anybody declared anything."""
    for path in lab.services.rglob("*.yaml"):
        if path.name not in ("environment.yaml", "seed.yaml"):
            path.unlink()


def test_a_workspace_of_two_kinds_is_imported_and_its_first_plan_is_empty(
    lab: Lab, command: Command
) -> None:
    without_bindings(lab)
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    (wanted,) = load(Path("services")).values()
    found = {str(binding.address) for binding in wanted.bindings}
    assert "webServices/ml-local/breast-cancer-predictive" in found
    assert {f"classic/Diabetes Scoring/{n}" for n in ("young", "middle", "senior")} <= found
    assert not any(address.endswith("/default") for address in found)
    assert all(binding.paused for binding in wanted.bindings)
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS
    assert writes(lab) == []
    text = Path("services/local/imported/endpoints-1.yaml").read_text()
    assert "# Decide how its versions are made, which model and version it serves" in text


def test_what_is_declared_is_left_out(lab: Lab, command: Command) -> None:
    before = {p: p.read_bytes() for p in lab.services.rglob("*") if p.is_file()}
    command("import")
    (wanted,) = load(Path("services")).values()
    names = [binding.name for binding in wanted.bindings if binding.paused]
    assert not {"breast-cancer", "diabetes-young"} & set(names)
    assert {path: path.read_bytes() for path in before} == before
    assert command("import").code == errors.SUCCESS
    assert len(list(Path("services/local/imported").glob("*.yaml"))) <= 1


def test_pointers_that_people_wrote_are_imported_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("init", "--platform", "local").code == errors.SUCCESS
    live = Path("services/home/live")
    live.mkdir()
    for number in range(7):
        text = json.dumps({"path": f"/models/{number}.onnx", "version": str(number)})
        (live / f"shop-{number}.json").write_text(text)
    (live / "other.json").write_text("[1]")
    (live / "broken.json").write_text("{")
    before = {p: p.read_bytes() for p in Path("services").rglob("*") if p.is_file()}
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    assert "imported 7 endpoints; 7 of them are paused" in ran.err
    assert {path: path.read_bytes() for path in before} == before
    table = Path("services/home/imported/fleet-1-1.csv").read_text()
    assert table.splitlines()[:2] == ["name,path", "shop-0,live/shop-0.json"]
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 8
    plan = json.loads(command("plan", "-o", "json").out)
    actions = {change["name"]: change["action"] for change in plan["changes"]}
    assert {actions[f"shop-{number}"] for number in range(7)} == {"NOOP"}


def test_a_model_that_nothing_binds_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    home = Path("services/home")
    spec = 'spec: {file: "${version}"}'
    text = f"apiVersion: reconciler/v1\nkind: Model\nmetadata: {{name: imported}}\n{spec}\n"
    (home / "mine.yaml").write_text(text)
    (home / "a.json").write_text('{"path": "/m", "version": "1"}')
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    written = (home / "imported" / "endpoints-1.yaml").read_text()
    assert "kind: Model\nmetadata: {name: imported-2}" in written


def test_files_that_are_there_are_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    home = Path("services/home")
    (home / "imported").mkdir()
    theirs = home / "imported" / "endpoints-1.yml.orig"
    theirs.write_text("mine")
    (home / "a.json").write_text('{"path": "/m", "version": "1"}')
    assert command("import").code == errors.SUCCESS
    assert theirs.read_text() == "mine"
    assert (home / "imported" / "endpoints-2.yaml").is_file()
