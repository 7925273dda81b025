"""Registered models as a source of versions: what is asked, what is refused, and what is copied."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import (
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UnreadableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.model import Recipe
from reconciler.platforms.mlflow import rest
from reconciler.platforms.mlflow.publishing import Publisher
from reconciler.platforms.mlflow.registry import MlflowRegistry
from reconciler.platforms.mlflow.rest import Mlflow
from reconciler.stores.folder import FolderStore
from tests.mlflow.conftest import run_at
from tests.mlflow.standin import Registry, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": b"weights", "empty": b""}


def recipe(version: str = "1", path: str = "", name: str = "fraud") -> Recipe:
    how = {"name": name} | ({"path": path} if path else {})
    return Recipe("registry", "mlflow", (), (("version", version),), how=tuple(how.items()))


@pytest.fixture
def registry(known: Registry, tmp_path: Path) -> Iterator[MlflowRegistry]:
    known.register("fraud", FILES, auc=0.9)
    with Http(retries=1, backoff_s=0, timeout_s=(2, 2)) as http:
        mlflow = Mlflow(http, known.url, None)
        store = FolderStore(tmp_path)
        yield MlflowRegistry(mlflow, Publisher(mlflow, "home", store, run_at(store).of))


def test_a_version_is_shown_with_metrics_aliases_and_tags(
    registry: MlflowRegistry, known: Registry
) -> None:
    known.models["fraud"]["aliases"]["champion"] = "1"
    known.models["fraud"]["versions"]["1"]["tags"] = {"team": "risk", "mlflow.x": "noise"}
    version = registry.look(recipe())
    assert (version.refusal, version.metrics) == ("", {"auc": 0.9})
    assert version.notes == ("alias champion", "tags team=risk")
    assert not known.writes


REFUSED: list[Any] = [
    pytest.param(lambda k: k.models.clear(), 'there is no registered model "fraud"', id="no model"),
    pytest.param(
        lambda k: k.models["fraud"]["versions"].pop("1"), "it has none", id="deleted version"
    ),
    pytest.param(
        lambda k: k.models["fraud"]["versions"]["1"].update(
            status="FAILED_REGISTRATION", status_message="no space"
        ),
        "is FAILED_REGISTRATION: no space",
        id="not ready",
    ),
    pytest.param(
        lambda k: k.models["fraud"]["versions"]["1"].update(current_stage="Archived"),
        "is archived",
        id="archived",
    ),
    pytest.param(lambda k: k.runs.clear(), "its metrics with it", id="run gone"),
    pytest.param(
        lambda k: next(iter(k.runs.values()))["info"].update(lifecycle_stage="deleted"),
        "was deleted; restore it",
        id="run deleted",
    ),
    pytest.param(lambda k: k.artifacts.clear(), "the artifact of version 1", id="artifact gone"),
    pytest.param(
        lambda k: k.models["fraud"]["versions"]["1"].update(source="s3://bucket/model"),
        "only mlflow-artifacts: is supported",
        id="in a bucket",
    ),
    pytest.param(
        lambda k: k.models["fraud"]["versions"]["1"].update(source="mlflow-artifacts://other/1/x"),
        "the server does not hand out",
        id="of another server",
    ),
]


@pytest.mark.parametrize(("spoil", "why"), REFUSED)
def test_what_must_not_be_taken_in_says_why(
    registry: MlflowRegistry, known: Registry, spoil: Callable[[Registry], object], why: str
) -> None:
    spoil(known)
    assert why in registry.look(recipe()).refusal


def test_a_page_to_sign_in_is_told_with_its_fix(registry: MlflowRegistry, known: Registry) -> None:
    known.instead = lambda *_: Reply(body=b"<html><h1>Sign in</h1>")
    with pytest.raises(
        UnreadableError, match=r"an HTML page .*; if that is a page to sign in, let"
    ):
        registry.look(recipe())


def test_an_unknown_version_names_the_near_ones(registry: MlflowRegistry, known: Registry) -> None:
    for _ in range(19):
        known.register("fraud", FILES)
    del known.models["fraud"]["versions"]["12"]
    why = registry.look(recipe("12")).refusal
    assert why == (
        "fraud has no version 12 (never registered, or deleted); it has 9, 10, 11, 13, 14"
    )


def test_a_file_that_the_artifact_does_not_have_names_those_that_it_has(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    why = registry.look(recipe(path="model.onnx")).refusal
    assert why == "version 1 of fraud has no file model.onnx; it has MLmodel, data/model.pkl, empty"
    with pytest.raises(NotFoundError, match="its artifact is gone"):
        registry.fetch(recipe(path="model.onnx"), tmp_path / "model")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_metric_that_is_no_finite_number_is_shown_as_that(
    registry: MlflowRegistry, known: Registry, value: str
) -> None:
    known.register("fraud", FILES, auc=value)
    assert registry.look(recipe("2")).metrics["auc"] == pytest.approx(float(value), nan_ok=True)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_one_file_of_an_artifact_is_taken_whole(
    registry: MlflowRegistry,
    known: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
    ranges: bool,
) -> None:
    monkeypatch.setattr(rest, "PIECE_BYTES", piece)
    known.ranges = ranges
    registry.fetch(recipe(path="data/model.pkl"), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["a#b", "a?b", "a b", "ä%"])
def test_a_file_is_taken_by_its_whole_name(
    registry: MlflowRegistry, known: Registry, tmp_path: Path, name: str
) -> None:
    known.register("fraud", {name: b"asked for", "a": b"another"})
    registry.fetch(recipe("2", path=name), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"asked for"


def test_a_file_whose_size_is_not_shown_is_taken_whole(
    registry: MlflowRegistry, known: Registry, tmp_path: Path
) -> None:
    known.sizes = False
    registry.fetch(recipe(path="data/model.pkl"), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"weights"


def test_a_copy_of_a_version_is_taken_with_the_files_of_its_original(
    registry: MlflowRegistry, known: Registry, tmp_path: Path
) -> None:
    run = known.models["fraud"]["versions"]["1"]["run_id"]
    known.add("m-staging", {"source": "models:/fraud/1", "run_id": run})
    copied = {"source": "models:/m-staging/1", "run_id": run, "name": "fraud"}
    number = known.create_version(copied)["model_version"]["version"]
    assert not registry.look(recipe(number)).refusal
    registry.fetch(recipe(number, path="data/model.pkl"), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == b"weights"


def test_a_folder_is_taken_as_one_archive_of_the_same_bytes(
    registry: MlflowRegistry, known: Registry, tmp_path: Path
) -> None:
    known.register("fraud", dict(reversed(FILES.items())))
    for version in ("1", "2"):
        registry.fetch(recipe(version), tmp_path / version)
    content = (tmp_path / "1").read_bytes()
    assert content == (tmp_path / "2").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_an_artifact_that_is_cut_off_or_replaced_is_not_taken(
    registry: MlflowRegistry, known: Registry, tmp_path: Path
) -> None:
    def cut(_: str, path: str) -> Reply | None:
        return Reply(206, b"wei") if path.endswith("model.pkl") else None

    known.instead = cut
    with pytest.raises(UnreadableError, match="3 bytes in place of 7"):
        registry.fetch(recipe(path="data/model.pkl"), tmp_path / "model")


@pytest.mark.parametrize("name", ["a b", "ü%2e%2e", "no\u00a0break", "👩\u200d💻", "..x", "q'\""])
def test_a_file_may_have_any_name_that_a_file_system_takes(
    registry: MlflowRegistry, known: Registry, tmp_path: Path, name: str
) -> None:
    known.register("odd", {f"data/{name}": b"weights", "empty": b""})
    odd = recipe("1", name="odd")
    assert registry.look(odd).refusal == ""
    registry.fetch(odd, tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        stored = {file: archive.read(file) for file in archive.namelist()}
    assert stored == {f"data/{name}": b"weights", "empty": b""}


@pytest.mark.parametrize("name", ["../evil", "a\\b", "..", "x\n"])
def test_a_file_with_a_name_that_leads_elsewhere_is_refused(
    registry: MlflowRegistry, known: Registry, name: str
) -> None:
    files = b'{"files": [{"path": %s, "is_dir": false, "file_size": 1}]}'
    import json

    body = files % json.dumps(name).encode()
    known.instead = lambda _, path: Reply(body=body) if "artifacts" in path else None
    if name == "../evil":  # its last part is what it is called
        assert registry.look(recipe(path="x")).refusal.endswith("it has evil")
        return
    with pytest.raises(UnreadableError, match="a file is called"):
        registry.look(recipe())


def test_newer_versions_are_offered_newest_first_and_a_followed_alias_alone(
    registry: MlflowRegistry, known: Registry
) -> None:
    for _ in range(11):
        known.register("fraud", FILES)
    known.models["fraud"]["aliases"]["candidate"] = "4"
    assert registry.offers(recipe("9"), "") == ("12", "11", "10")
    assert registry.offers(recipe("9"), "candidate") == ("4",)
    assert registry.offers(recipe("4"), "candidate") == ()
    with pytest.raises(RefusedError, match='"fraud" has no alias other'):
        registry.offers(recipe("4"), "other")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, b"<html>sign in</html>"), UnreadableError),
        (Reply(404, b"<html>"), UnreadableError),
        (Reply(401), UnauthorizedError),
        (Reply(403), UnauthorizedError),
        (Reply(429), UnavailableError),
        (Reply(500), UnavailableError),
        (Reply(200, b"{}"), UnreadableError),
    ],
)
@pytest.mark.parametrize("at", ["model-versions", "runs", "mlflow-artifacts"])
def test_what_is_no_answer_of_mlflow_refuses_no_version(
    registry: MlflowRegistry, known: Registry, at: str, reply: Reply, error: type[WireError]
) -> None:
    known.instead = lambda _, path: reply if at in path else None
    if at == "mlflow-artifacts" and reply.body == b"{}" and reply.status == 200:
        assert "is gone" in registry.look(recipe()).refusal  # as MLflow says it
        return
    with pytest.raises(error):
        registry.look(recipe())


@pytest.mark.parametrize("number", ["x", "²", "", "9" * 5000])
def test_a_version_that_is_no_number_is_unreadable(
    registry: MlflowRegistry, known: Registry, number: str
) -> None:
    shown = known.models["fraud"]["versions"]["1"]
    known.models["fraud"]["versions"][number] = shown | {"version": number}
    with pytest.raises(UnreadableError, match="no number"):
        registry.offers(recipe(), "")
    known.models["fraud"]["aliases"]["candidate"] = number
    with pytest.raises(UnreadableError, match="no number"):
        registry.offers(recipe(), "candidate")
