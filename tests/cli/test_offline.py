"""`plan --live`: every file that is no export is said with its place and what to do about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

WRONG = [
    (lambda place: place.write_text('{"a":' * 100_000), "nested too deeply"),
    (lambda place: place.write_text('{"a":' + "9" * 5000 + "}"), "not JSON that can be read"),
    (lambda place: place.write_bytes(b'"\xff"'), "byte 0xff is not UTF-8; save the file as UTF-8"),
    (lambda place: place.write_text("{}", "utf-16"), "byte 0xff is not UTF-8; save the file as"),
    (lambda place: place.write_text(f"[{'[],' * 5_000_000}1]"), "more values than an export has"),
    (lambda place: place.mkdir(), "a folder, not an exported definition"),
    (lambda place: place.symlink_to("nowhere"), "a link to nowhere, which is not there"),
    (lambda place: os.mkfifo(place), "not a file"),
]


@pytest.mark.parametrize(("make", "said"), WRONG)
def test_a_file_that_cannot_be_an_export_is_named_with_a_fix(
    lab: Lab, command: Command, tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    (tmp_path / "exports").mkdir()
    make(tmp_path / "exports" / "x.json")
    ran = command("plan", "--live", "exports")
    assert ran.code == errors.CONFIGURATION
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: exports/x.json: ")
    assert said in line
    assert any(fix in line for fix in ("export", "remove it"))


def test_a_file_that_may_not_be_read_is_named_with_a_fix(
    lab: Lab, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = Path.read_bytes

    def refused(path: Path) -> bytes:
        if str(path) == "breast-cancer.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    (tmp_path / "breast-cancer.json").write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", refused)
    ran = command("plan", "--live", "breast-cancer.json")
    assert ran.code == errors.CONFIGURATION
    assert "breast-cancer.json: cannot be read: Permission denied; correct its per" in ran.err


def test_all_files_that_are_wrong_are_named_at_once(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "exports" / "x.json").mkdir(parents=True)
    (tmp_path / "exports" / "y.json").symlink_to("nowhere")
    (tmp_path / "exports" / "z.json").write_text("{")
    ran = command("plan", "--live", "exports")
    assert ran.code == errors.CONFIGURATION
    for name in ("x.json", "y.json", "z.json:1:2"):
        assert f"error: exports/{name}: " in ran.err


@pytest.mark.parametrize("path", ["nowhere", "services/local/diabetes.yaml/x.json"])
def test_a_path_that_is_not_there_is_exit_3(lab: Lab, command: Command, path: str) -> None:
    ran = command("plan", "--live", path)
    assert ran.code == errors.CONFIGURATION
    assert f"error: {path}: " in ran.err


@pytest.mark.parametrize(
    ("binding", "old", "new", "said"),
    [
        (
            "breast-cancer",
            '"name": "breast-cancer-predictive"',
            '"name": "churn"',
            'the definition of web service "churn", not of "breast-cancer-predictive"',
        ),
        (
            "diabetes-young",
            '"Name": "young"',
            '"Name": "old"',
            'endpoint "old" of "Diabetes Scoring", not classic/Diabetes Scoring/young',
        ),
    ],
)
def test_an_export_of_something_else_is_refused_whatever_its_file_is_called(
    lab: Lab, command: Command, binding: str, old: str, new: str, said: str
) -> None:
    text = command("export", binding).out
    assert old in text
    path = lab.services.parent / f"{binding}.json"
    path.write_text(text.replace(old, new), encoding="utf-8")
    ran = command("plan", "--live", str(path), "-o", "json")
    assert ran.code == errors.REFUSED
    (change,) = json.loads(ran.out)["changes"]
    assert change["code"] == "not_a_definition"
    assert said in change["why"]
