"""`import` of applications that somebody deployed by hand: paused, their arguments left alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.compose import load
from reconciler.cli.main import run
from tests.ray.serve_standin import ServeStandin
from tests.ray.standin import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: toys}
spec: {store: store, data: data, ray: {url: "URL", token: env:RAY_TOKEN}}
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeStandin]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TOKEN", TOKEN)
    made = ServeStandin()
    for name in ("store", "data"):
        (Path("services") / name).mkdir(parents=True)
    Path("services/environment.yaml").write_text(ENVIRONMENT.replace("URL", made.url))
    yield made
    made.close()


def by_hand(name: str) -> dict[str, object]:
    return {
        "name": name,
        "route_prefix": f"/{name}",
        "import_path": "theirs:app",
        "runtime_env": {"env_vars": {"PASSWORD": "hunter2"}},
        "args": {"api_key": "hunter3"},
    }


def test_applications_are_imported_as_one_fleet_without_a_secret(
    cluster: ServeStandin, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.serve.declare([by_hand(f"app-{number}") for number in range(200)])
    before = cluster.serve.show()
    assert run(["import"]) == errors.SUCCESS
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 200
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS
    assert (cluster.serve.show(), cluster.serve.bodies) == (before, [])
    files = [p for p in Path("services").rglob("*") if p.is_file()]
    printed = capsys.readouterr()
    assert "hunter" not in "".join(p.read_text() for p in files) + printed.out + printed.err
    assert [p.name for p in Path("services/imported").glob("*.csv")] == ["fleet-1-1.csv"]
    assert run(["import"]) == errors.SUCCESS
    assert [p for p in Path("services").rglob("*") if p.is_file()] == files


def test_what_a_program_deployed_cannot_be_declared_and_is_left_out(cluster: ServeStandin) -> None:
    cluster.serve.declare([by_hand("app")])
    cluster.serve.applications["app"].config = None
    cluster.serve.applications["app"].source = "imperative"
    assert run(["import"]) == errors.SUCCESS
    assert not Path("services/imported").exists()


def test_what_a_configuration_says_of_its_deployment_is_imported(cluster: ServeStandin) -> None:
    options = {
        "name": "Model",
        "num_replicas": 3,
        "ray_actor_options": {"num_cpus": 0.5, "memory": 2**31},
        "user_config": {"password": "hunter4"},
    }
    scaled = {"name": "Ranker", "autoscaling_config": {"min_replicas": 1, "max_replicas": 4}}
    one = by_hand("one") | {"deployments": [options]}
    two = by_hand("two") | {"deployments": [scaled], "route_prefix": "/v1/two"}
    several = by_hand("several") | {"deployments": [options, scaled]}
    bare = {"name": "bare", "import_path": "theirs:app"}
    cluster.serve.declare([one, two, several, bare])
    assert run(["import"]) == errors.SUCCESS
    text = Path("services/imported/endpoints-1.yaml").read_text()
    assert (
        '  deployment: Model\n  replicas: 3\n  maxSurge: 0\n  resources:\n    cpus: "0.5"\n'
        '    memory: "2Gi"\n'
    ) in text
    assert '  route: "/v1/two"\n  deployment: Ranker\n  maxSurge: 0\n  autoscaling:\n' in text
    assert "git owns, in spec.deployment (Model, Ranker)" in text
    assert "hunter" not in text
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS


def test_one_without_a_route_is_left_out_and_named(
    cluster: ServeStandin, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.serve.declare([by_hand("app"), by_hand("inner") | {"route_prefix": None}])
    assert run(["import"]) == errors.PARTIAL
    assert "left out: inner: spec.route" in capsys.readouterr().err
    (wanted,) = load(Path("services")).values()
    assert [binding.name for binding in wanted.bindings] == ["app"]
