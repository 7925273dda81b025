"""A seed file that is wrong is refused with the place and what belongs there; the state folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler import emulator
from tests.emulator.conftest import SEED

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas" / "emulator-seed.schema.json").read_text())


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SEED.parent, tmp_path / "s")) / "seed.yaml"


def refusal(seed: Path) -> str:
    cloud = emulator.Cloud()
    with pytest.raises(ValueError, match="not a seed") as refused:
        cloud.seed(seed)
    assert cloud.world.empty
    return str(refused.value)


def test_the_schema_is_one_and_takes_the_sample() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(SEED.read_text()))


WRONG = [
    ("task: regression", "task: guess", "23:11 experiments[1].task: write one of: two-class cl"),
    ("    label: progression\n", "", "22:5 experiments[1]: write label too"),
    ("    tier: standard", "    tire: standard", "30:5 workspaces[0]: 'tire' was unexpected"),
    ("    tier: standard", "    tire: standard", "30:5 workspaces[0]: write tier too"),
    ("storage: mllocal\n\n", "storage: mlocal\n\n", "35:14 workspaces[0].storage: there is no storage"),
    ('{Regularization: "1.0"}', "{Regularization: 1.0}", "19:34 experiments[0].parameters.Regularization"),
    ("file: data/diabetes/young/initial.csv", "file: no.csv", "model.file: "),
    ("{folder: data}", "{folder: dat}", "8:26 storage.mllocal.containers.datasets.folder: "),
    ("      experiment: breast-cancer\n", "      experiment: x\n", "there is no experiment 'x'; known: breast-cancer, diabetes"),
    ("      - name: default\n        id: 0", "      - name: other\n        id: 0", "One of them is called default"),
    ("storage:\n  mllocal:", "storag:\n  mllocal:", "1:1: write storage too"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "said"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_in_a_seed_is_refused_at_its_place(
    seed: Path, right: str, wrong: str, said: str
) -> None:
    text = seed.read_text()
    assert right in text
    seed.write_text(text.replace(right, wrong, 1))
    message = refusal(seed)
    if "1:1" in said:
        said = said.replace("1:1", "4:1")  # where the document begins
    assert said in message
    assert str(seed) in message


@pytest.mark.parametrize("text", ["[", "a: 'b", "? [x] : 2", "a: b: c", "\ta: b"])
def test_what_is_not_yaml_is_refused_with_its_line(seed: Path, text: str) -> None:
    seed.write_text(f"\n{text}")
    assert f"{seed}:" in refusal(seed)


def test_a_secret_that_is_not_of_its_shape_is_not_in_the_message(seed: Path) -> None:
    document = yaml.safe_load(seed.read_text())
    document["storage"]["mllocal"]["key"] = "canary canary"
    document["workspaces"][0]["token"] = ["canary"]
    seed.write_text(yaml.safe_dump(document))
    message = refusal(seed)
    assert "storage.mllocal.key" in message
    assert "workspaces[0].token" in message
    assert "canary" not in message


def test_a_model_that_cannot_be_fitted_names_the_experiment_and_the_file(seed: Path) -> None:
    seed.write_text(seed.read_text().replace("label: progression", "label: nothing", 1))
    with pytest.raises(ValueError, match=r"diabetes does not fit .*initial\.csv"):
        emulator.Cloud().seed(seed)


def test_the_state_folder_needs_nothing_that_windows_lacks(tmp_path: Path) -> None:
    """Played on this machine: no fcntl, and the lock of msvcrt."""
    code = """
import importlib, sys, types
from pathlib import Path
from reconciler import emulator
import reconciler.emulator.state as state
locked = []
sys.modules["fcntl"] = None
sys.modules["msvcrt"] = types.SimpleNamespace(
    LK_NBLCK=2, locking=lambda number, mode, size: locked.append((mode, size)))
here, sys.platform = sys.platform, "win32"
importlib.reload(state)
sys.platform = here
del sys.modules["msvcrt"]  # by which others know Windows
emulator.cloud.State = state.State
cloud = emulator.Cloud(state=Path(sys.argv[1]))
cloud.seed(Path(sys.argv[2]))
cloud.close()
assert locked == [(2, 1)], locked
assert not emulator.Cloud(state=Path(sys.argv[1])).world.empty
"""
    subprocess.run([sys.executable, "-c", code, tmp_path, SEED], cwd=ROOT, check=True, timeout=60)
