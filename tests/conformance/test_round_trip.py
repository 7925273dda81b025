"""What was made by hand: imported, changed outside git, seen as drift, and accepted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.main import run
from tests.twins import twin_of
from tests.twins.contract import FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.twins.contract import Twin

WORLDS = (
    *("studio new, blob", "studio classic, blob", "local, folder", "mlflow, folder"),
    *("ray, folder", "azureml, folder"),
)
NOTE = "# whoever reads this may keep it\n"


@pytest.fixture(params=WORLDS)
def twin(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twin]:
    """A world that commands reach, in which nothing was ever applied."""
    with twin_of(request.param, tmp_path, monkeypatch, apart=True) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield made


def command(twin: Twin, *arguments: str) -> int:
    return run([*arguments, "-e", twin.environment])


def only_beside(twin: Twin) -> None:
    """The environment, as it was before anybody declared an endpoint or a model."""
    for path in (twin.services / twin.environment).rglob("*.yaml"):
        texts = path.read_text("utf-8").split("---\n")
        if kept := [text for text in texts if "kind: Environment\n" in text]:
            path.write_text("---\n".join(kept), "utf-8")
        elif not any(part.startswith("_") for part in path.parts):
            path.unlink()


def imported(twin: Twin) -> dict[Path, str]:
    folder = twin.services / twin.environment / "imported"
    return {path: path.read_text("utf-8") for path in sorted(folder.iterdir())}


def test_a_change_by_hand_of_what_was_imported_is_drift_and_can_be_accepted(
    twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    only_beside(twin)
    field = twin.set_by_hand(30)
    assert command(twin, "import") == errors.SUCCESS
    assert command(twin, "plan", "--detailed-exitcode") == errors.SUCCESS
    assert command(twin, "drift", "--detailed-exitcode") == errors.SUCCESS
    for path, text in imported(twin).items():
        path.write_text(NOTE + text if path.suffix == ".yaml" else text, "utf-8")
    before = imported(twin)
    twin.set_by_hand(50)
    code = errors.CHANGES if field else errors.SUCCESS
    capsys.readouterr()
    assert command(twin, "drift", "--detailed-exitcode", "-o", "json") == code
    changes = json.loads(capsys.readouterr().out)["changes"]
    drifted = [[f["path"] for f in c["drift"]["fields"]] for c in changes if c.get("drift")]
    assert drifted == ([[field]] if field else [])
    assert command(twin, "drift", "--accept") == errors.SUCCESS
    assert imported(twin) == {path: text.replace("30", "50") for path, text in before.items()}
    assert command(twin, "drift", "--detailed-exitcode") == errors.SUCCESS
    assert command(twin, "plan", "--detailed-exitcode") == errors.SUCCESS
    assert command(twin, "drift", "--accept") == errors.SUCCESS


@pytest.mark.parametrize("twin", ["local, folder", "mlflow, folder"], indirect=True)
def test_a_version_that_was_put_back_by_hand_is_accepted(twin: Twin) -> None:
    for version in (FIRST, SECOND):
        twin.ask_for(version)
        assert twin.apply().failures == ()
    file = twin.services / twin.environment / "all.yaml"
    before = file.read_text("utf-8")
    twin.put_back(FIRST)
    assert command(twin, "drift", "--detailed-exitcode") == errors.CHANGES
    assert command(twin, "drift", "--accept") == errors.SUCCESS
    assert file.read_text("utf-8") == before.replace(SECOND, FIRST)
    assert command(twin, "drift", "--detailed-exitcode") == errors.SUCCESS
    assert twin.apply().failures == ()  # which proves it
    assert command(twin, "plan", "--detailed-exitcode") == errors.SUCCESS


def test_a_plan_against_exports_of_what_is_in_sync_is_empty(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert twin.apply().failures == ()
    folder = tmp_path / "exports"
    assert command(twin, "export", "--out", str(folder)) == errors.SUCCESS
    capsys.readouterr()
    code = command(twin, "plan", "--live", str(folder), "--detailed-exitcode")
    assert code == errors.SUCCESS, capsys.readouterr().out
