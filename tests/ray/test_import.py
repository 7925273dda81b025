"""`import` of applications that somebody deployed by hand: paused, their arguments left alone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@pytest.mark.usefixtures("cluster")
def test_endpoints_that_cannot_be_listed_are_not_said_to_be_declared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_TOKEN", "wrong")
    assert run(["import"]) == errors.ERROR
    said = capsys.readouterr().err
    assert "ServeApplication: " in said
    assert "nothing to import" not in said


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


def replicated(counts: dict[str, int]) -> list[dict[str, object]]:
    return [
        by_hand(name) | {"deployments": [{"name": "Model", "num_replicas": count}]}
        for name, count in counts.items()
    ]


def test_of_a_fleet_the_cell_of_the_one_that_drifted_is_accepted(
    cluster: ServeStandin, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {f"app-{number}": number + 1 for number in range(6)}
    cluster.serve.declare(replicated(counts))
    assert run(["import"]) == errors.SUCCESS
    table = Path("services/imported/fleet-1-1.csv")
    before = table.read_text()
    assert before.splitlines()[:2] == ["name,application,replicas", "app-0,app-0,1"]
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS
    cluster.serve.declare(replicated(counts | {"app-3": 9}))
    capsys.readouterr()
    assert run(["drift", "--detailed-exitcode"]) == errors.CHANGES
    shown = capsys.readouterr()
    assert "drifted from git: settings.replicas 4 → 9" in " ".join(shown.out.split())
    assert "\nkeep it: reconciler drift -e toys --accept" in f"\n{shown.err}"  # apply leaves it
    assert run(["drift", "--accept"]) == errors.SUCCESS
    assert table.read_text() == before.replace("app-3,app-3,4", "app-3,app-3,9")
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS


def test_a_cell_that_means_more_than_what_drifted_is_not_accepted(
    cluster: ServeStandin, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {f"app-{number}": number + 1 for number in range(6)}
    configs: list[Any] = replicated(counts)
    for config in configs:
        (options,) = config["deployments"]
        options["max_surge_percent"] = options["num_replicas"]
    cluster.serve.declare(configs)
    assert run(["import"]) == errors.SUCCESS
    file, table = (Path(f"services/imported/{n}") for n in ("endpoints-1.yaml", "fleet-1-1.csv"))
    text, before = file.read_text(), table.read_text()
    file.write_text(text.replace("${each.maxSurge}", "${each.replicas}"))
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS
    (options,) = configs[3]["deployments"]
    options["num_replicas"] = 14
    cluster.serve.declare(configs)
    capsys.readouterr()
    assert run(["drift", "--accept"]) == errors.CONFIGURATION
    assert "would also change app-3; change the files by hand" in capsys.readouterr().err
    options["max_surge_percent"] = 5
    cluster.serve.declare(configs)
    assert run(["drift", "--accept"]) == errors.CONFIGURATION
    assert "also that of another field, which drifted otherwise" in capsys.readouterr().err
    table.write_text(before.replace("app-3,4,", "app-3,1,"))
    file.write_text(text.replace("${each.replicas}", "1${each.replicas}"))
    options["num_replicas"], options["max_surge_percent"] = 12, 4
    cluster.serve.declare(configs)
    capsys.readouterr()
    assert run(["drift", "--accept", "-t", "app-3"]) == errors.PARTIAL
    said = capsys.readouterr().err
    assert "by forEach at services/imported/endpoints-1.yaml:" in said
    assert "each=app-3" in said
    assert '"1${each.replicas}" is filled in by forEach; change its elements instead' in said


@pytest.mark.long
def test_ten_thousand_applications_cost_ten_times_as_much_as_a_thousand(
    cluster: ServeStandin,
) -> None:
    spent = {}
    for count in (1_000, 10_000):
        cluster.serve.declare(replicated({f"app-{n}": 1 + n % 9 for n in range(count)}))
        began = time.process_time()
        assert run(["import"]) == errors.SUCCESS
        assert run(["status"]) == errors.SUCCESS
        assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS
        spent[count] = time.process_time() - began
        (wanted,) = load(Path("services")).values()
        assert len(wanted.bindings) == count
        shutil.rmtree("services/imported")
    assert spent[10_000] < 16 * spent[1_000], spent
