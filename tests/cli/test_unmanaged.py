"""`status` and `drift` show what runs beside the bindings, and judge nothing by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from tests.cli.test_explain import fits
from tests.cli.test_safety import writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


@pytest.mark.parametrize("asking", ["status", "drift"])
def test_endpoints_that_nobody_declares_are_counted_and_named(
    asking: str, lab: Lab, command: Command
) -> None:
    assert json.loads(command(asking, "-o", "json").out)["unmanaged"]["unread"] == []
    Path("services/local/diabetes.yaml").unlink()
    ran = command(asking, "-o", "json")
    assert ran.code == errors.SUCCESS, ran.err
    if asking == "status":
        fits(json.loads(ran.out), "status")
    found = {each["name"] for each in json.loads(ran.out)["unmanaged"]["found"]}
    assert {f"Diabetes Scoring-{n}" for n in ("young", "middle", "senior")} <= found
    short, long = command(asking).out, command(asking, "-v").out
    assert f"{len(found)} endpoints unmanaged (-v names them" in short
    assert "Diabetes Scoring-young" not in short
    assert "Diabetes Scoring-young: ClassicEndpoint" in long
    assert "Diabetes Scoring-young" in command(asking, "-o", "markdown").out
    assert writes(lab) == []


def test_who_looks_at_a_part_is_shown_no_others(lab: Lab, command: Command) -> None:
    Path("services/local/diabetes.yaml").unlink()
    for part in (["-t", "breast-*"], ["--shard", "1/1"]):
        assert "unmanaged" not in json.loads(command("status", "-o", "json", *part).out)


def test_an_environment_without_a_workspace_has_no_classic_endpoints(
    lab: Lab, command: Command
) -> None:
    Path("services/local/diabetes.yaml").unlink()
    file = Path("services/local/environment.yaml")
    lines = file.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("    workspace:"))
    region = "    region: southcentralus\n"
    file.write_text("".join([*lines[:at], region, *lines[at + 4 :]]))
    ran = command("status", "-o", "json")
    assert ran.code == errors.SUCCESS, ran.err
    unmanaged = json.loads(ran.out)["unmanaged"]
    assert unmanaged["unread"] == []
    assert {each["kind"] for each in unmanaged["found"]} <= {"WebService"}


def test_pointers_that_people_wrote_are_unmanaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("init", "--platform", "local").code == errors.SUCCESS
    (Path("services/home") / "mine.json").write_text('{"path": "/m", "version": "1"}')
    ran = command("status", "-o", "json")
    assert ran.code == errors.SUCCESS, ran.err
    (found,) = json.loads(ran.out)["unmanaged"]["found"]
    assert (found["kind"], found["name"]) == ("ModelFile", "mine")
