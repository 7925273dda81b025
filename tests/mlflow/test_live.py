"""Aliases of a real MLflow: made, proved, repaired, taken back and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.errors import CHANGES, REFUSED, SUCCESS, UNPROVED
from reconciler.http.client import Http
from reconciler.platforms.mlflow.rest import Mlflow
from tests.mlflow.followers import follower, version_of
from tests.mlflow.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.fixture
def tree(mlflow_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    """A tree whose registered model is this test's own."""
    made = Tree(tmp_path, mlflow_url)
    made.change("registeredModel: churn", f"registeredModel: {request.node.name[-40:]}")
    made.name = request.node.name[-40:]
    return made


def aliases(url: str, name: str) -> dict[str, str]:
    with Http() as http:
        found = Mlflow(http, url, None).model(name)
    assert found is not None
    return dict(found.aliases)


def test_an_alias_without_a_server_is_declared_gated_pruned_and_deleted(
    tree: Tree, mlflow_url: str
) -> None:
    tree.run("plan", "--detailed-exitcode", code=CHANGES)
    assert "declared only" in tree.apply()
    assert aliases(mlflow_url, tree.name) == {"champion": "1"}
    assert "0 changed" in tree.apply()

    tree.change('version: "1"', 'version: "3"')
    assert "auc" in tree.apply(code=REFUSED)
    assert aliases(mlflow_url, tree.name) == {"champion": "1"}
    with Http() as http:  # what fails its gate is not published
        assert len(Mlflow(http, mlflow_url, None).versions(tree.name)) == 1

    tree.change('version: "3"', 'version: "1"')
    text = tree.file.read_text()
    other = text[text.rindex("---") :].replace("champion", "challenger")
    tree.file.write_text(text[: text.rindex("---")] + other)
    tree.run("apply", "--yes", "--prune")
    assert aliases(mlflow_url, tree.name) == {"challenger": "1"}

    tree.change("create: true", "state: absent")
    assert "gone" in tree.apply()
    assert aliases(mlflow_url, tree.name) == {}
    tree.run("plan", "--detailed-exitcode", code=SUCCESS)


def test_a_swap_is_proved_by_the_server_and_drift_is_repaired(tree: Tree, mlflow_url: str) -> None:
    with follower(version_of(mlflow_url, tree.name, "champion")) as url:
        verify = f"{{url: {url}, request: probe.json, answer: /y, model: /version}}"
        tree.change("  create: true\n", f"  create: true\n  verify: {verify}\n")
        assert "1 changed, 1 proved" in tree.apply()
        tree.change('version: "1"', 'version: "2"')
        assert "1 changed, 1 proved" in tree.apply()
        assert aliases(mlflow_url, tree.name) == {"champion": "2"}
        with Http() as http:
            alias = {"name": tree.name, "alias": "champion", "version": "1"}
            Mlflow(http, mlflow_url, None).post("/registered-models/alias", "drifting", **alias)
        tree.run("drift", "--detailed-exitcode", code=CHANGES)
        assert "1 changed, 1 proved" in tree.apply()
        assert aliases(mlflow_url, tree.name) == {"champion": "2"}
        tree.run("rollback", "churn-champion", "--to", "1", "--yes")
        assert aliases(mlflow_url, tree.name) == {"champion": "1"}


def test_a_swap_that_the_server_does_not_follow_is_taken_back(tree: Tree, mlflow_url: str) -> None:
    with follower(lambda: "1") as url:
        verify = f"{{url: {url}, request: probe.json, answer: /y, model: /version, within: 1s}}"
        tree.change("  create: true\n", f"  create: true\n  verify: {verify}\n")
        assert "1 changed, 1 proved" in tree.apply()
        tree.change('version: "1"', 'version: "2"')
        assert "rolled back" in tree.apply(code=UNPROVED)
        assert aliases(mlflow_url, tree.name) == {"champion": "1"}
        tree.apply(code=REFUSED)
