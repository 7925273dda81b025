"""What the schema and the platform say of YAML, before anything is asked."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import ConfigurationError
from tests.azureml.standin import WORKSPACE

if TYPE_CHECKING:
    from tests.twins.azureml import Endpoints

TRAINED = """\
apiVersion: reconciler/v1
kind: Model
metadata: {name: churn}
spec:
  training:
    engine: azureml
    command: python train.py {inputs.d} {outputs.model} {outputs.metrics}
    code: code
    environment: sklearn:3
    compute: cpu
    inputs: {d: "${version}.csv"}
    outputs: {model: m.joblib, metrics: m.json}
---
apiVersion: reconciler/v1
kind: OnlineEndpoint
metadata: {name: churn}
spec:
  endpoint: churn-prod
  instanceType: Standard_DS3_v2
  model: {name: churn, version: "2026-10"}
"""


def test_a_training_of_the_workspace_is_part_of_the_recipe(twin: Endpoints) -> None:
    (twin.folder / "churn.yaml").write_text(TRAINED)
    binding = twin.binding("churn")
    how = dict(binding.recipe.how)
    assert binding.recipe.engine == "azureml"
    assert (how["environment"], how["compute"]) == ("sklearn:3", "cpu")
    assert "the workspace of the training" in dict(binding.terms)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    compute: cpu\n", "", "either compute, or instanceType"),
        ("compute: cpu", "compute: cpu\n    instanceType: A", "either compute, or instanceType"),
        ("{d:", "{a-b:", "is no name of an input of a job"),
        ("sklearn:3", "sklearn", "is not an environment"),
        ("endpoint: churn-prod", "endpoint: churn_prod", "is not the name of an online endpoint"),
        ("  instanceType: Standard_DS3_v2\n", "", "instanceType"),
        ("  model: {name", "  code: nowhere\n  model: {name", "no folder"),
        ("  model: {name", "  code: code\n  model: {name", '"environment" is missing'),
        ("  model: {name", "  script: a.py\n  model: {name", "add code"),
        (
            "  model: {name",
            "  variables: {DB_PASSWORD: x}\n  model: {name",
            "PASSWORD holds a secret",
        ),
    ],
)
def test_what_could_only_fail_in_the_workspace_is_an_error(
    twin: Endpoints, old: str, new: str, words: str
) -> None:
    assert old in TRAINED
    (twin.folder / "churn.yaml").write_text(TRAINED.replace(old, new))
    with pytest.raises(ConfigurationError) as caught:
        twin.desired()
    assert words in caught.value.message


@pytest.mark.parametrize("way", [WORKSPACE, f"azureml:/{WORKSPACE}", "azureml://workspaces/lab"])
def test_a_model_of_another_workspace_is_refused_with_its_place_and_the_way_out(
    twin: Endpoints, way: str
) -> None:
    of = way.replace("/workspaces/prod", "/workspaces/lab")
    model = TRAINED.partition("---\n")[0].partition("  training:")[0]
    registered = f"{model}  registry: {{azureml: {of}/models/fraud}}\n"
    (twin.folder / "churn.yaml").write_text(registered)
    with pytest.raises(ConfigurationError) as caught:
        twin.desired()
    assert re.search(r"churn.yaml:5:\d+: spec.registry.azureml", str(caught.value))
    assert "share a model of another workspace by a registry" in str(caught.value)


def test_a_code_folder_without_its_script_is_an_error(twin: Endpoints) -> None:
    twin.edit("all.yaml", "  code: code\n", "  code: code\n  script: other.py\n")
    with pytest.raises(ConfigurationError, match=r"code has no other.py"):
        twin.desired()


@pytest.mark.parametrize("of", ["endpoint", "training"])
def test_a_link_in_the_code_is_an_error_with_its_place(twin: Endpoints, of: str) -> None:
    if of == "training":
        (twin.folder / "churn.yaml").write_text(TRAINED)
    code = twin.folder / "code"
    (code / "link.py").symlink_to("nowhere")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=code, check=True)
    with pytest.raises(ConfigurationError, match=r"link.py is a symbolic link") as caught:
        twin.desired()
    assert re.search(r"yaml:\d+:\d+: spec\.(training\.)?code", str(caught.value))
