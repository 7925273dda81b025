"""What is refused in the YAML of this machine, before anything is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.compose import load
from reconciler.errors import ConfigurationError
from reconciler.platforms import code, commands

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: NAME}
spec: {store: store, local: {}}
"""
MODEL = """\
apiVersion: reconciler/v1
kind: Model
metadata: {name: model-NAME}
spec:
  training:
    engine: local
    command: train {outputs.model}
    outputs: {model: model.bin}
"""
FILE = """\
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: file-NAME}
spec:
  path: serving/churn.json
  reload: systemctl reload churn
  model: {name: model-NAME, version: "1"}
  verify: {url: http://127.0.0.1:8500/predict, request: probe.json}
"""


def write(folder: Path, name: str = "home", old: str = "", new: str = "") -> None:
    """An environment with one model file, in which one thing is another."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "---\n".join((ENVIRONMENT, MODEL, FILE))
    assert old in text
    (folder / "all.yaml").write_text(text.replace(old, new).replace("NAME", name))
    (folder / "probe.json").write_text("{}")


def test_the_tree_is_fine(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(load(tmp_path)) == ["home"]


def test_the_code_of_a_fleet_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, old="    command:", new="    code: training\n    command:")
    text = (tmp_path / "all.yaml").read_text().replace("path: serving/churn", 'path: "live/${n}')
    text = text.replace(".json\n  reload", '.json"\n  reload').replace("file-home", '"f-${n}"')
    text = text.replace("kind: ModelFile", "kind: ModelFile\nforEach: {n: {from: '1', to: '9'}}")
    (tmp_path / "all.yaml").write_text(text)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "train.py").write_text("x = 1\n")
    read: list[Path] = []

    def digest_of(folder: Path) -> str:
        read.append(folder)
        return code.digest_of(folder)

    monkeypatch.setattr(commands, "digest_of", digest_of)
    bindings = load(tmp_path)["home"].bindings
    assert (len(bindings), len(read)) == (9, 1)
    assert {b.recipe.code for b in bindings} == {code.digest_of(tmp_path / "training")}


def test_a_version_is_the_same_wherever_its_code_lies(tmp_path: Path) -> None:
    write(tmp_path / "home", old="    command:", new="    code: training\n    command:")
    (tmp_path / "home" / "training").mkdir()
    (tmp_path / "home" / "training" / "train").write_text("exit 0")
    recipes = [load(folder)["home"].bindings[0].recipe for folder in (tmp_path, tmp_path / "home")]
    (tmp_path / "home").rename(tmp_path / "house")
    recipes.append(load(tmp_path)["home"].bindings[0].recipe)
    assert recipes[0] == recipes[1] == recipes[2]
    assert recipes[0].folder != recipes[2].folder


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("command: train", "command: sh -c 'train", "spec.training.command: no closing quotation"),
        ("reload: systemctl", "reload: sh -c 'systemctl", "spec.reload: no closing quotation"),
        ("reload: systemctl reload churn", "reload: '\"\"'", "spec.reload: it names no program"),
        (
            "path: serving/churn.json",
            "path: serving/",
            'spec.path: "serving/" is a folder; name a file in it, such as serving/model.json',
        ),
        ("path: serving/", "path: ~/", 'spec.path: "~/churn.json" is taken as it stands; write'),
        (
            "path: serving/",
            f"path: {'x' * 241}/",
            "spec.path: a part of it is longer than 240 bytes",
        ),
        ("path: serving/churn.json", "path: 'churn.json '", 'spec.path: "churn.json " has a blank'),
        (
            "path: serving/churn.json",
            r'path: "a\nb"',
            r'spec.path: "a\nb" has a blank at an end, or a',
        ),
        (
            "engine: local",
            f"engine: local\n    code: {'x' * 300}",
            "spec.training.code: there is no folder",
        ),
        ("path: serving/", "path: file:///", '"file:///churn.json" is taken as it stands; write'),
        (
            "http://127.0.0.1:8500",
            "http://models.acme.internal:8500",
            "spec.verify.url: plain http does not leave this machine; "
            "write https://models.acme.internal:8500",
        ),
    ],
)
def test_what_would_fail_after_the_swap_is_refused(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    write(tmp_path, "home", old, new)
    with pytest.raises(ConfigurationError, match=re.escape(why)):
        load(tmp_path)


def test_a_path_at_which_a_folder_is_already_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "serving" / "churn.json").mkdir(parents=True)
    why = 'all.yaml:19:9: spec.path: "serving/churn.json" is a folder; name a file in it, such as'
    with pytest.raises(ConfigurationError, match=re.escape(why)):
        load(tmp_path)


@pytest.mark.parametrize(
    ("path", "other", "said"),
    [
        ("serving/churn.json", "serving/churn.json", ""),
        ("store:churn.json", "store:churn.json", ""),
        (
            "PARENT/churn.json",
            "PARENT/churn.json",
            "churn.json is bound already by the environment",
        ),
        ("PARENT/a/live.json", "live.json", "live.json is bound already by the environment"),
    ],
)
def test_a_path_is_relative_to_its_own_environment(
    tmp_path: Path, path: str, other: str, said: str
) -> None:
    for name, where in (("b", path), ("a", other)):
        where = where.replace("PARENT", str(tmp_path))
        write(tmp_path / name, name, "path: serving/churn.json", f"path: {where}")
    if said:
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            load(tmp_path)
    else:
        assert list(load(tmp_path)) == ["a", "b"]


def test_an_environment_that_connects_more_platforms_shares_no_address_either(
    tmp_path: Path,
) -> None:
    for name, more in (("a", ""), ("b", "local: {}, ray: {url: http://127.0.0.1:8265}")):
        write(tmp_path / name, name, "local: {}", more or "local: {}")
        file = tmp_path / name / "all.yaml"
        file.write_text(file.read_text().replace("serving/churn", f"{tmp_path}/churn"))
    with pytest.raises(ConfigurationError, match="is bound already by the environment"):
        load(tmp_path)
