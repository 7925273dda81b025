"""`import`: what was made by hand on an MLflow becomes desired state, and its first plan is empty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.compose import load
from reconciler.cli.main import run
from reconciler.http.client import Http
from reconciler.platforms.mlflow.rest import Mlflow
from tests.mlflow.standin import Reply

if TYPE_CHECKING:
    from tests.mlflow.standin import Registry

ENVIRONMENT = """\
# yaml-language-server: $schema=../../schemas/reconciler.schema.json
apiVersion: reconciler/v1
kind: Environment
metadata: {name: production}
spec: {store: .store, mlflow: {url: URL}}
"""
HOME = Path("services/production")


@pytest.fixture
def registry(known: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    (HOME / ".store").mkdir(parents=True)
    (HOME / "environment.yaml").write_text(ENVIRONMENT.replace("URL", known.url))
    return known


def files() -> dict[str, bytes]:
    return {p.as_posix(): p.read_bytes() for p in Path("services").rglob("*") if p.is_file()}


def imported(*arguments: str, code: int = errors.SUCCESS) -> None:
    assert run(["import", *arguments]) == code


def is_converged() -> bool:
    return run(["plan", "--detailed-exitcode"]) == errors.SUCCESS


def test_what_is_live_is_declared_and_nothing_is_to_be_done(registry: Registry) -> None:
    registry.add("fraud", {}, {}, champion="2", challenger="1")
    registry.add("Churn Model", {}, champion="1")
    imported()
    (wanted,) = load(Path("services")).values()
    served = {b.name: (str(b.address), b.version.model, b.version.version) for b in wanted.bindings}
    assert served == {
        "fraud-champion": ("aliases/fraud@champion", "fraud", "2"),
        "fraud-challenger": ("aliases/fraud@challenger", "fraud", "1"),
        "churn-model-champion": ("aliases/Churn Model@champion", "churn-model", "1"),
    }
    assert is_converged()
    assert registry.writes == []
    assert list((HOME / ".store").iterdir()) == []
    text = (HOME / "imported/endpoints-1.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../../../schemas/")


def test_a_second_import_finds_nothing_and_a_later_one_what_is_new(registry: Registry) -> None:
    registry.add("fraud", {}, champion="1")
    imported()
    before = files()
    imported()
    assert files() == before
    registry.add("churn", {}, champion="1")
    imported()
    after = files()
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {f"{HOME}/imported/endpoints-2.yaml"}
    assert is_converged()


def test_two_hundred_alike_are_one_document_and_one_table(registry: Registry) -> None:
    for number in range(200):
        registry.add(f"demand-{number:03}", {}, {}, champion=str(1 + number % 2))
    imported()
    written = files()
    text = written[f"{HOME}/imported/endpoints-1.yaml"].decode()
    assert (text.count("kind: ModelAlias"), text.count("kind: Model\n")) == (1, 200)
    (table,) = [content.decode() for name, content in written.items() if name.endswith(".csv")]
    assert table.splitlines()[:2] == [
        "name,registeredModel,model_name,version",
        "demand-000-champion,demand-000,demand-000,1",
    ]
    assert table.count("\n") == 201
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 200
    assert is_converged()


def test_versions_of_several_models_are_cells_even_where_they_have_one_name(
    registry: Registry,
) -> None:
    for number in range(6):
        registry.add(f"demand-{number}", {}, {}, champion="1")
    imported()
    table = HOME / "imported" / "fleet-1-1.csv"
    before = table.read_text()
    registry.models["demand-3"]["aliases"]["champion"] = "2"
    assert run(["drift", "--accept"]) == errors.SUCCESS
    changed = before.replace("demand-3,demand-3,1\n", "demand-3,demand-3,2\n")
    assert table.read_text() == changed != before
    assert is_converged()


@pytest.mark.parametrize("name", ["on", "1e3", "0x10", "null", "2026-11-01", "1.10", "~", "é ü"])
def test_a_name_that_yaml_would_guess_at_stays_what_it_is(registry: Registry, name: str) -> None:
    fits = name.isascii() and name[0].isalnum()
    registry.add(name, {}, champion="1")
    registry.add("fraud", {}, champion="1")
    imported(code=errors.SUCCESS if fits else errors.PARTIAL)
    (wanted,) = load(Path("services")).values()
    addresses = {str(binding.address) for binding in wanted.bindings}
    assert addresses == {"aliases/fraud@champion"} | (
        {f"aliases/{name}@champion"} if fits else set()
    )
    assert is_converged()


def test_names_that_look_alike_get_numbers(registry: Registry) -> None:
    for name in ("Fraud model", "fraud-model", "fraud_model"):
        registry.add(name, {}, champion="1")
    imported()
    (wanted,) = load(Path("services")).values()
    names = {b.name: str(b.address).partition("@")[0] for b in wanted.bindings}
    assert names == {
        "fraud-model-champion": "aliases/Fraud model",
        "fraud-model-champion-2": "aliases/fraud-model",
        "fraud-model-champion-3": "aliases/fraud_model",
    }
    assert len({b.version.model for b in wanted.bindings}) == 3
    assert is_converged()


def test_one_or_some_are_chosen_by_name_or_address(registry: Registry) -> None:
    for name in ("fraud-de", "fraud-fr", "churn"):
        registry.add(name, {}, champion="1")
    imported("fraud-de-champion")
    imported("aliases/fraud-f*")
    (wanted,) = load(Path("services")).values()
    assert [b.name for b in wanted.bindings] == ["fraud-de-champion", "fraud-fr-champion"]


def test_what_another_environment_owns_is_not_imported(registry: Registry) -> None:
    registry.add("fraud", {}, champion="1", challenger="1")
    registry.models["fraud"]["tags"]["reconciler.alias.champion"] = "staging@elsewhere"
    imported()
    (wanted,) = load(Path("services")).values()
    assert [binding.name for binding in wanted.bindings] == ["fraud-challenger"]


def test_a_secret_is_left_out_and_never_printed(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "ghp_" + "a1" * 18
    registry.add(secret, {}, champion="1")
    registry.add("fraud", {}, champion="1")
    imported(code=errors.PARTIAL)
    printed = capsys.readouterr()
    assert "left out" in printed.err
    assert secret not in printed.err + printed.out + "".join(map(str, files().values()))


def test_a_dry_run_prints_and_writes_nothing(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.add("fraud", {}, champion="1")
    before = files()
    imported("--dry-run")
    assert "registeredModel: fraud" in capsys.readouterr().out
    assert files() == before


def test_a_server_that_cannot_be_read_is_an_error_and_writes_nothing(registry: Registry) -> None:
    registry.instead = lambda *_: Reply(403)
    before = files()
    imported(code=errors.ERROR)
    assert files() == before


def test_status_says_what_is_unmanaged_or_could_not_be_listed_and_is_no_error(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.add("fraud", {}, champion="1")
    assert run(["status", "-o", "json"]) == errors.SUCCESS
    (found,) = json.loads(capsys.readouterr().out)["unmanaged"]["found"]
    assert (found["name"], found["address"]) == ("fraud-champion", "aliases/fraud@champion")
    registry.instead = lambda *_: Reply(403)
    assert run(["status"]) == errors.SUCCESS
    assert "could not be listed: ModelAlias: " in capsys.readouterr().out


def test_a_version_that_serves_and_could_not_be_taken_in_again_is_a_warning(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of = registry.create_run({})["run"]["info"]["run_id"]
    version = {"source": "s3://acme/fraud", "run_id": run_of}
    registry.add("fraud", version, champion="1")
    imported()
    capsys.readouterr()
    assert run(["doctor", "-o", "json"]) == errors.SUCCESS
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert found["registry"]["level"] == "warning"
    assert "does not hand out" in found["registry"]["message"]
    assert found["registry"]["names"] == ["fraud-champion"]


@pytest.mark.live
def test_a_real_registry_is_imported_in_sync_and_a_move_of_its_alias_shows(
    mlflow_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (HOME / ".store").mkdir(parents=True)
    (HOME / "environment.yaml").write_text(ENVIRONMENT.replace("URL", mlflow_url))
    names = [f"imported-{number}" for number in range(6)]
    with Http(threads=1) as http:
        mlflow = Mlflow(http, mlflow_url, None)
        for name in names:
            mlflow.post("/registered-models/create", "a test", name=name)
            for _ in range(2):
                mlflow.post("/model-versions/create", "a test", name=name, source="s3://acme/a")
            alias = {"name": name, "alias": "champion", "version": "1"}
            mlflow.post("/registered-models/alias", "a test", **alias)
        imported("imported-*")
        assert is_converged()
        capsys.readouterr()
        assert run(["doctor"]) == errors.SUCCESS
        assert "which the server does not hand out" in " ".join(capsys.readouterr().out.split())
        moved = {"name": names[3], "alias": "champion", "version": "2"}
        mlflow.post("/registered-models/alias", "a test", **moved)
    capsys.readouterr()
    run(["plan"])
    shown = capsys.readouterr().out
    assert "imported-3-champion   2 → 1   paused (drifted)" in shown
    assert "Nothing to do: 0 bindings are in sync, 6 paused." in shown
    assert "it would block 2 → 1" in shown  # its artifact is not handed out
    assert run(["drift", "--detailed-exitcode"]) == errors.CHANGES
    assert run(["drift", "--accept"]) == errors.SUCCESS
    table = (HOME / "imported" / "fleet-1-1.csv").read_text()
    assert "imported-3-champion,imported-3,imported-3,2\n" in table
    assert run(["drift", "--detailed-exitcode"]) == errors.SUCCESS
    assert is_converged()
