"""A Model whose versions are registered in MLflow, from the YAML to what is served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import CHANGES, ERROR, REFUSED, SUCCESS
from tests.mlflow.standin import Registry, Reply
from tests.mlflow.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """\
  file: "${version}.bin"
  metrics: "${version}.json"
"""


@pytest.fixture
def tree(known: Registry, tmp_path: Path) -> Tree:
    for version, auc in ((1, 0.9), (2, 0.95), (3, 0.7)):
        known.register("churn", {"model.pkl": f"model {version}".encode()}, auc=auc)
    made = Tree(tmp_path, known.url)
    made.change(SOURCE, "  registry: {mlflow: churn, path: model.pkl}\n")
    return made


def test_a_registered_version_is_taken_in_judged_and_bound_by_its_number(
    tree: Tree, known: Registry
) -> None:
    known.models["churn"]["aliases"]["candidate"] = "1"
    plan = tree.run("plan", "--detailed-exitcode", code=CHANGES)
    assert "take the version in, then create" in plan
    assert "version 1 (alias candidate) was never taken in" in plan
    assert not known.writes
    assert "taking in, version 1" in tree.apply()
    assert known.models["churn"]["aliases"]["champion"] == "1"
    assert len(known.models["churn"]["versions"]) == 3  # nothing was published
    stored = tree.folder / "store" / "churn" / "1"
    assert (stored / "model.pkl").read_bytes() == b"model 1"
    assert json.loads((stored / "metrics.json").read_text()) == {"auc": 0.9}
    before = len(known.writes)
    tree.run("plan", "--detailed-exitcode", code=SUCCESS)
    tree.apply()
    assert len(known.writes) == before


def test_a_version_whose_metrics_fail_a_gate_is_refused(tree: Tree, known: Registry) -> None:
    tree.apply()
    tree.change('version: "1"', 'version: "3"')
    known.requests.clear()
    assert "auc is 0.7" in tree.apply(code=REFUSED)
    assert known.models["churn"]["aliases"]["champion"] == "1"
    assert not known.writes
    assert not [request for request in known.requests if "/artifacts/" in request]  # no copy
    assert not (tree.folder / "store" / "churn" / "3").exists()


def test_the_plan_judges_a_version_by_the_metrics_of_its_run(tree: Tree, known: Registry) -> None:
    tree.apply()
    tree.change('atLeast: "0.8"}', 'atLeast: "0.8"}, {metric: auc, noWorseThanLive: "0.01"}')
    tree.change('version: "1"', 'version: "2"')
    plan = tree.run("plan", "--detailed-exitcode", code=CHANGES)
    assert "take the version in, then bind" in plan
    assert "auc 0.9 → 0.95 (+0.05) ✓ atLeast 0.8" in plan
    known.register("churn", {"model.pkl": b"worse"}, auc=0.85)
    tree.change('version: "2"', 'version: "4"')
    assert "auc is 0.85 (live 0.9), and must be noWorseThanLive 0.01" in tree.apply(code=REFUSED)
    assert not (tree.folder / "store" / "churn" / "4").exists()


@pytest.mark.parametrize(
    ("value", "why"),
    [("NaN", 'the metric "auc" is nan'), (None, 'has no metric "auc" (it has loss)')],
)
def test_a_metric_that_no_gate_can_judge_is_named_before_anything_is_copied(
    tree: Tree, known: Registry, value: str | None, why: str
) -> None:
    known.register("churn", {"model.pkl": b"x"}, **({"auc": value} if value else {"loss": 1.0}))
    tree.change('version: "1"', 'version: "4"')
    assert why in tree.apply(code=REFUSED)
    assert not list((tree.folder / "store").glob("churn/4/model*"))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\nsize 9\n"])
def test_a_version_whose_file_is_none_is_refused(
    tree: Tree, known: Registry, content: bytes
) -> None:
    known.register("churn", {"model.pkl": content}, auc=0.9)
    tree.change('version: "1"', 'version: "4"')
    assert "the file of version 4: it is " in tree.apply(code=REFUSED)
    assert not list((tree.folder / "store").glob("churn/4/model*"))


def test_a_version_without_metrics_is_served_where_no_gate_asks_for_one(
    tree: Tree, known: Registry
) -> None:
    known.register("churn", {"model.pkl": b"model 4"})
    tree.change('  accept: [{metric: auc, atLeast: "0.8"}]\n', "")
    tree.change('version: "1"', 'version: "4"')
    tree.apply()
    assert known.models["churn"]["aliases"]["champion"] == "4"
    tree.run("plan", "--detailed-exitcode", code=SUCCESS)


def test_a_version_that_was_taken_in_and_deleted_stays_where_it_serves(
    tree: Tree, known: Registry
) -> None:
    tree.apply()
    known.artifacts.clear()
    known.runs.clear()
    tree.run("plan", "--detailed-exitcode", code=SUCCESS)


def test_a_version_that_was_archived_is_not_bound_anew(tree: Tree, known: Registry) -> None:
    tree.apply()
    tree.change('version: "1"', 'version: "2"')
    assert "churn-champion: taken in" in tree.run("train", "--yes")
    assert "2 taken in" in tree.run("history", "churn-champion")
    known.models["churn"]["versions"]["2"]["current_stage"] = "Archived"
    assert "version 2 of churn is archived" in tree.apply(code=REFUSED)
    assert known.models["churn"]["aliases"]["champion"] == "1"


def test_a_rollback_leads_to_the_version_that_was_proved_before(
    tree: Tree, known: Registry
) -> None:
    tree.apply()
    tree.change('version: "1"', 'version: "2"')
    tree.apply()
    tree.run("rollback", "churn-champion", "--to", "1", "--yes")
    assert known.models["churn"]["aliases"]["champion"] == "1"


@pytest.fixture
def publishing(known: Registry, tmp_path: Path) -> Tree:
    """A model of files, which is served by a file and published."""
    made = Tree(tmp_path, known.url)
    made.change("spec: {store: store,", "spec: {local: {}, store: store,")
    made.change("kind: ModelAlias", "kind: ModelFile")
    made.change("  registeredModel: churn\n  alias: champion\n", "  path: live/churn.json\n")
    made.change("  metrics: ", "  publish: {mlflow: registered}\n  metrics: ")
    return made


def test_an_accepted_version_is_published_once_with_where_it_comes_from(
    publishing: Tree, known: Registry
) -> None:
    publishing.apply()
    (version,) = known.models["registered"]["versions"].values()
    tags = version["tags"]
    assert tags["reconciler.version"] == "churn/1"
    assert {"reconciler.key", "reconciler.sha256", "reconciler.data.1.bin"} <= tags.keys()
    assert known.runs[version["run_id"]]["data"]["metrics"][0]["value"] == 0.9
    publishing.change('version: "1"', 'version: "3"')
    publishing.apply(code=REFUSED)  # its gate fails
    publishing.change('version: "3"', 'version: "1"')
    publishing.apply()
    assert len(known.models["registered"]["versions"]) == 1


def test_a_version_that_an_alias_publishes_says_where_it_comes_from(
    known: Registry, tmp_path: Path
) -> None:
    tree = Tree(tmp_path, known.url)
    tree.environ |= {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "c0ffee" * 6 + "c0ff"}
    assert "publishing, version 1 to churn" in tree.apply()
    (version,) = known.models["churn"]["versions"].values()
    assert version["tags"]["reconciler.commit"] == "c0ffee" * 6 + "c0ff"
    assert {"reconciler.data.1.bin", "reconciler.data.1.json"} <= version["tags"].keys()


def test_a_version_that_cannot_be_published_is_not_bound(publishing: Tree, known: Registry) -> None:
    publishing.apply()
    served = (publishing.folder / "live" / "churn.json").read_text()
    known.instead = lambda method, _: None if method == "GET" else Reply(403)
    publishing.change('version: "1"', 'version: "2"')
    assert "publishing churn/2 to registered" in publishing.apply(code=ERROR)
    assert (publishing.folder / "live" / "churn.json").read_text() == served
    known.instead = lambda *_: None
    publishing.apply()
    assert len(known.models["registered"]["versions"]) == 2


def test_retrain_proposes_the_newest_version_that_its_gates_let_through(
    tree: Tree, known: Registry
) -> None:
    printed = tree.run("retrain")
    assert "version 3 is not proposed: not accepted: auc is 0.7" in printed
    assert "1 → 2, registered" in printed
    assert 'version: "2"' in tree.file.read_text()
    assert "no version needs retraining" in tree.run("retrain")
    assert not known.writes


def test_retrain_says_when_it_did_not_look_at_every_version(tree: Tree, known: Registry) -> None:
    for _ in range(20):
        known.register("churn", {"model.pkl": b"worse"}, auc=0.1)
    printed = tree.run("retrain")
    assert "the newest 20 versions were looked at, and none before them" in printed
    assert printed.count("is not proposed") == 20


def test_retrain_proposes_where_an_alias_leads_and_nothing_else(
    tree: Tree, known: Registry
) -> None:
    known.register("churn", {"model.pkl": b"newest"}, auc=0.99)
    known.models["churn"]["aliases"]["candidate"] = "2"
    tree.change("path: model.pkl", "path: model.pkl, follow: {alias: candidate}")
    assert "1 → 2, alias candidate" in tree.run("retrain")
    known.models["churn"]["aliases"]["candidate"] = "1"  # somebody takes it back
    assert "2 → 1, alias candidate" in tree.run("retrain")
    known.models["churn"]["aliases"]["candidate"] = "3"
    assert "version 3 is not proposed" in tree.run("retrain")
    assert 'version: "1"' in tree.file.read_text()
