"""What is refused in the YAML about MLflow, with its place, before anything is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.compose import load, secret_variables
from reconciler.errors import ConfigurationError
from tests.mlflow.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("alias: champion", "alias: latest", "latest, numbers and v3 mean versions"),
        ("alias: champion", "alias: V3", "latest, numbers and v3 mean versions"),
        ("alias: champion", 'alias: "7"', "latest, numbers and v3 mean versions"),
        ("registeredModel: churn", "registeredModel: a/b", "is not the name of a registered model"),
        ("alias: champion", "alais: champion", 'did you mean "alias"?'),
        (f"url: {URL}", "url: 127.0.0.1:5000", "is not the address of a server"),
        (f"url: {URL}", "url: http://mlflow.acme", "write https://mlflow.acme"),
        (f"url: {URL}", f"url: {URL}/api/2.0/mlflow/", "write the URL without /api"),
        (f"url: {URL}", f"url: {URL}/x/ajax-api", "write the URL without /api"),
        (f"url: {URL}", f"url: {URL}, token: sesame", "put the secret there and write env:NAME"),
        (f"url: {URL}", f"url: {URL}, user: ann", '"password" is missing'),
        *(
            (
                f"url: {URL}",
                f"url: {URL}, user: ann, password: {word}",
                "password: the value must be",
            )
            for word in ("sesame", "12345678")
        ),
        (
            f"url: {URL}",
            f"url: {URL}, token: env:TOKEN, user: ann, password: env:WORD",
            "token and password are both here",
        ),
        (
            "create: true",
            "verify: {url: http://models.acme/churn, request: probe.json}",
            "plain http does not leave this machine; write https://models.acme",
        ),
    ],
)
def test_a_mistake_has_a_place_and_a_fix(tmp_path: Path, old: str, new: str, why: str) -> None:
    tree = Tree(tmp_path, URL)
    tree.change(old, new)
    with pytest.raises(ConfigurationError, match=re.escape(why)) as refused:
        load(tree.folder)
    assert all(problem.line for problem in refused.value.problems)


SOURCE = """\
  file: "${version}.bin"
  metrics: "${version}.json"
"""


@pytest.mark.parametrize(
    ("source", "version", "why"),
    [
        ("  registry: {mlflow: churn}\n", "latest", '"latest" is no version of a registered model'),
        ("  registry: {mlflow: churn}\n", "v3", '"v3" is no version of a registered model'),
        ("  registry: {mlflow: churn}\n", "champion", 'write its number, such as "7"'),
        ("  registry: {mlflow: churn}\n", "07", 'write its number, such as "7"'),
        ("  registry: {path: model.pkl}\n", "7", "name one registry and the model there"),
        ("  registry: {mlfow: churn}\n", "7", 'did you mean "mlflow"?'),
        ("  registry: {mlflow: churn, path: ../x}\n", "7", "is not a path of an artifact"),
        ("  registry: {mlflow: churn, follow: {alias: v3}}\n", "7", "is not an alias"),
        (f"  registry: {{mlflow: churn}}\n{SOURCE}", "7", "file and registry are both here"),
        ("", "7", '"training" is missing, or "file" or "registry"'),
    ],
)
def test_a_mistake_about_a_registry_has_a_place_and_a_fix(
    tmp_path: Path, source: str, version: str, why: str
) -> None:
    tree = Tree(tmp_path, URL)
    tree.change(SOURCE, source)
    tree.change('version: "1"', f'version: "{version}"')
    with pytest.raises(ConfigurationError, match=re.escape(why)) as refused:
        load(tree.folder)
    assert all(problem.line for problem in refused.value.problems)


def test_an_environment_without_mlflow_says_what_to_add(tmp_path: Path) -> None:
    tree = Tree(tmp_path, URL)
    tree.change(SOURCE, "  registry: {mlflow: churn}\n")
    tree.change(f", mlflow: {{url: {URL}}}", "")
    with pytest.raises(ConfigurationError, match=r"registry: .*add spec.mlflow to it"):
        load(tree.folder)


def test_an_alias_to_follow_is_no_part_of_how_a_version_is_made(tmp_path: Path) -> None:
    tree = Tree(tmp_path, URL)
    tree.change(SOURCE, "  registry: {mlflow: churn}\n")
    (before,) = load(tree.folder)["home"].bindings
    tree.change("{mlflow: churn}", "{mlflow: churn, follow: {alias: candidate}}")
    (after,) = load(tree.folder)["home"].bindings
    assert (before.follow, after.follow) == ("", "candidate")
    assert before.key == after.key


def test_two_bindings_of_one_alias_are_refused(tmp_path: Path) -> None:
    tree = Tree(tmp_path, URL)
    text = tree.file.read_text()
    binding = text[text.rindex("---") :].replace("churn-champion", "other")
    tree.file.write_text(text + binding)
    with pytest.raises(ConfigurationError, match="aliases/churn@champion is bound already"):
        load(tree.folder)


@pytest.mark.parametrize(
    ("signs_in", "variables"),
    [("", []), (", token: env:TOKEN", ["TOKEN"]), (", user: ann, password: env:WORD", ["WORD"])],
)
def test_the_secrets_are_those_that_are_named(
    tmp_path: Path, signs_in: str, variables: list[str]
) -> None:
    tree = Tree(tmp_path, URL)
    tree.change(f"url: {URL}", f"url: {URL}{signs_in}")
    assert secret_variables(load(tree.folder)["home"]) == variables
