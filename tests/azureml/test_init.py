"""`init`, and then the first plan and apply, in an empty workspace of the emulator."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from reconciler import errors
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.cli.main import run
from reconciler.emulator import Cloud, Options, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

# The workspace and the account that the sample names, with nothing in them but an image.
SEED = """\
storage:
  account:
    key: z/04m27O7xkdx8sAlZALT/jHJ1uK+hpbaCEzhl673NKpAa1mHIrndOfSTAvH15WZym7vo3FvG/UsT1s6JNdNXQ==
    containers:
      models:
      data: {folder: data}
experiments: []
workspaces: []
azureml:
  - subscription: 00000000-0000-4000-8000-000000000001
    resourceGroup: ml
    workspace: production
    region: westeurope
    storage: account
    container: workspace
    resources:
      - at: environments/sklearn/versions/3
        body: {properties: {image: "mcr.microsoft.com/azureml/minimal-py312-inference:latest"}}
"""
PROBE = {"rows": [[3.0]]}


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    made = tmp_path / "data" / "churn" / "2026-01"
    made.mkdir(parents=True)
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), made / "model.joblib")
    (made / "metrics.json").write_text('{"AUC": 0.9}')
    (tmp_path / "seed.yaml").write_text(SEED)
    emulated = Cloud(Options(speed=200.0))
    emulated.seed(tmp_path / "seed.yaml")
    door = serve(emulated, 0)
    door.start()
    monkeypatch.setenv(EMULATOR_VARIABLE, door.url)
    (tmp_path / "repository").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    yield emulated
    door.stop()


@pytest.mark.long
def test_what_init_writes_is_served_and_proved_on_an_empty_workspace(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--platform", "azureml"]) == errors.SUCCESS
    (environment,) = Path().rglob("environment.yaml")
    text = environment.read_text().replace("  azureml:\n", "  azureml:\n    cloud: emulator\n")
    environment.write_text(text)
    binding = environment.with_name("churn.yaml")
    binding.write_text(binding.read_text().replace("  # verify", "  verify"))
    binding.with_name("probe.json").write_text(json.dumps(PROBE))
    assert run(["doctor"]) == errors.SUCCESS, capsys.readouterr()
    capsys.readouterr()
    assert run(["plan"]) == errors.SUCCESS
    assert "take the file in, then create" in " ".join(capsys.readouterr().out.split())
    assert run(["apply", "--yes"]) == errors.SUCCESS, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "1 changed, 1 proved" in shown
    answer = re.search(r"scored \[([0-9.]+)\]", shown)
    assert answer is not None
    assert float(answer[1]) == pytest.approx(6.0)
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS
