"""ModelAlias: an alias of a registered model, set once and read strictly."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import (
    ConflictError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.model import HealthCode, Model, ModelRef, Probe, Recipe, Version, Witness
from reconciler.platforms.mlflow import rest
from reconciler.platforms.mlflow.alias import (
    AliasAddress,
    ModelAliases,
    address,
    live_from_export,
)
from reconciler.platforms.mlflow.rest import Mlflow, credential_of
from reconciler.stores.folder import FolderStore
from tests.mlflow.conftest import run_at
from tests.mlflow.followers import follower
from tests.mlflow.standin import API, Registry, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.stores.contract import Stored

MARK = "home@store"
ELSEWHERE = Recipe("file")  # how versions are made that are published
NOVEMBER, PROBE = Version("churn", "2026-11"), Probe("{}")
LOGIN = Reply(200, b"<html><form>sign in</form></html>")


@dataclass
class Binding:
    address: AliasAddress
    protect: bool = False
    recipe: Recipe = ELSEWHERE
    version: Version = NOVEMBER
    probe: Probe | None = PROBE


class World:
    """A stand-in, a store with two versions, and the target between them."""

    def __init__(self, known: Registry, folder: Path, http: Http) -> None:
        self.known, self.http = known, http
        self.store = FolderStore(folder)
        self.target = self.of_a_run()
        self.one, self.two = self.model("1"), self.model("2")

    def of_a_run(self) -> ModelAliases:
        mlflow, turn = Mlflow(self.http, self.known.url, None), run_at(self.store).of
        return ModelAliases(mlflow, MARK, self.store, self.http, turn)

    def model(self, version: str) -> Model:
        content = f"model {version}".encode()
        self.store.put(f"churn/{version}/model.bin", content)
        ref = ModelRef(f"{self.store.uri}/churn/{version}/model.bin")
        sha256 = hashlib.sha256(content).hexdigest()
        return Model(ref, Version("churn", version), sha256, "k" * 64, {"auc": 0.9})

    def binding(self, model: str = "churn", alias: str = "champion", protect: bool = False) -> Any:
        return Binding(address({"registeredModel": model, "alias": alias}, None), protect)  # type: ignore[arg-type]


@pytest.fixture
def world(known: Registry, tmp_path: Path) -> Iterator[World]:
    with Http(retries=1, backoff_s=0, timeout_s=(2, 2)) as http:
        yield World(known, tmp_path, http)


def test_an_alias_that_is_not_there_is_missing(world: World) -> None:
    live = world.target.observe(world.binding())
    assert live.health.code is HealthCode.MISSING
    assert 'there is no registered model "churn"' in live.health.message
    world.known.add("churn", {})
    assert "has no alias champion" in world.target.observe(world.binding()).health.message
    assert not world.known.writes


def test_an_alias_is_made_switched_and_deleted(world: World) -> None:
    binding = world.binding()
    world.target.create(binding, world.one)
    live = world.target.observe(binding)
    assert live.served == world.target.ref(binding, world.one) == ModelRef("models:/churn/churn/1")
    assert (live.ours, live.witness) == (True, Witness.DECLARATION)
    world.target.switch(binding, world.two)
    assert world.target.observe(binding).served == world.target.ref(binding, world.two)
    with pytest.raises(ConflictError, match="is there by now"):
        world.target.create(binding, world.one)
    world.target.delete(binding.address)
    assert world.target.observe(binding).health.code is HealthCode.MISSING
    assert not world.known.models["churn"]["tags"]
    world.target.delete(binding.address)  # gone already


def test_a_version_of_elsewhere_is_published_once_with_its_metrics(world: World) -> None:
    binding = world.binding()
    for _ in range(3):
        world.target.publish(binding, world.one)
    (version,) = world.known.models["churn"]["versions"].values()
    assert version["tags"]["reconciler.version"] == "churn/1"
    assert version["tags"]["reconciler.sha256"] == world.one.sha256
    run = world.known.runs[version["run_id"]]
    assert [(m["key"], m["value"]) for m in run["data"]["metrics"]] == [("auc", 0.9)]
    assert run["info"]["status"] == "FINISHED"
    assert list(world.known.artifacts.values()) == [b"model 1"]


def test_names_that_mlflow_does_not_take_are_published_as_it_takes_them(world: World) -> None:
    names = ("precision@10", "F1 (macro)", "a//b", "../c", "x" * 300)
    labels = {"data.day=1/a.csv": "md5:0"}
    named = replace(world.one, metrics=dict.fromkeys(names, 0.5), labels=labels)
    world.known.add("churn")
    world.target.publish(world.binding(), named)
    (version,) = world.known.models["churn"]["versions"].values()
    assert version["tags"]["reconciler.data.day_1/a.csv"] == "md5:0"
    metrics = world.known.runs[version["run_id"]]["data"]["metrics"]
    taken = {"precision_10", "F1 _macro_", "a__b", "_c", "x" * 250}
    assert {metric["key"] for metric in metrics} == taken


@pytest.mark.parametrize("runs", [1, 2])
def test_who_publishes_one_version_at_a_time_makes_one(world: World, runs: int) -> None:
    """Two bindings of one run; or two runs, as those of two shards are."""
    both, seen = threading.Barrier(2), itertools.count()

    def wait(_: str, path: str) -> None:
        if path.endswith("/model-versions/search") and next(seen) < 2:
            both.wait(10)  # each looks before the other publishes

    world.known.instead = wait
    with ThreadPoolExecutor(2) as pool:
        other = world.target if runs == 1 else world.of_a_run()
        work = (world.target, world.binding()), (other, world.binding(alias="shadow"))
        for begun in [pool.submit(t.publish, binding, world.one) for t, binding in work]:
            begun.result()
    assert len(world.known.models["churn"]["versions"]) == len(world.known.runs) == 1


@pytest.mark.parametrize("created", ["registered-models", "experiments"])
def test_what_another_publication_made_meanwhile_is_used(world: World, created: str) -> None:
    made: list[str] = []

    def code(status: int, code: str) -> Reply:
        return Reply(status, json.dumps({"error_code": code, "message": ""}).encode())

    def meanwhile(_: str, path: str) -> Reply | None:
        if path.endswith("/create"):
            made.append(path)
        if path.endswith(f"/{created}/create"):
            world.known.create_model({"name": "churn"})
            return code(400, "RESOURCE_ALREADY_EXISTS")
        if path.endswith("/experiments/create"):
            return Reply()
        if path.endswith("/experiments/get-by-name") and not any("experiments" in p for p in made):
            return code(404, "RESOURCE_DOES_NOT_EXIST")
        return None

    world.known.instead = meanwhile
    world.target.publish(world.binding(), world.one)
    assert any(created in path for path in made)
    assert len(world.known.models["churn"]["versions"]) == 1


@pytest.mark.parametrize("lost", range(6))
def test_a_publication_whose_answer_was_lost_makes_no_second_version(
    world: World, lost: int
) -> None:
    binding, left = world.binding(), iter(range(100))

    def lose(method: str, path: str) -> Reply | None:
        write = method != "GET" and "search" not in path
        return Reply(lost=True) if write and next(left) == lost else None

    world.known.instead = lose
    try:
        world.target.publish(binding, world.one)
    except UnreachableError:
        world.target.publish(binding, world.one)
    assert len(world.known.models["churn"]["versions"]) == 1
    assert len(world.known.runs) == 1


def test_a_version_whose_file_changed_is_another_version_of_the_registry(world: World) -> None:
    world.target.publish(world.binding(), world.one)
    world.store.put("churn/1/model.bin", b"other")
    other = hashlib.sha256(b"other").hexdigest()
    world.target.publish(world.binding(), Model(world.one.ref, world.one.version, other, "k" * 64))
    assert len(world.known.models["churn"]["versions"]) == 2


def test_a_model_is_published_without_being_held_in_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = world.store.get

    def get(name: str) -> Stored | None:
        assert not name.endswith(".bin"), "it is read whole"
        return read(name)

    monkeypatch.setattr(world.store, "get", get)
    world.target.publish(world.binding(), world.one)
    assert list(world.known.artifacts.values()) == [b"model 1"]


def test_a_file_that_was_not_evaluated_is_not_published(world: World) -> None:
    world.store.put("churn/1/model.bin", b"other")
    with pytest.raises(RefusedError, match="is not the file that was evaluated"):
        world.target.publish(world.binding(), world.one)
    assert not world.known.models["churn"]["versions"]


def test_a_model_that_is_nowhere_cannot_be_published(world: World) -> None:
    gone = Model(ModelRef("https://elsewhere/model.bin"), Version("churn", "9"))
    with pytest.raises(RefusedError, match="it cannot be published"):
        world.target.publish(world.binding(), gone)
    assert not world.known.writes


def test_a_version_that_somebody_else_registered_is_known_by_its_number(world: World) -> None:
    world.known.add("churn", {}, {}, champion="1")
    binding = world.binding()
    live = world.target.observe(binding)
    assert live.served == ModelRef("models:/churn/1")
    assert not live.ours
    world.target.switch(binding, world.two)
    world.target.take_back(binding, Model(ModelRef("models:/churn/1")))
    assert world.known.models["churn"]["aliases"] == {"champion": "1"}


@pytest.mark.parametrize("says", ["{}", "models:/churn/{}"])
def test_a_server_may_name_a_published_version_by_its_number(world: World, says: str) -> None:
    world.known.add("churn", {}, {})  # the numbers 1 and 2 are somebody else's
    world.target.create(world.binding(), world.model("2026-11"))
    number = world.known.models["churn"]["aliases"]["champion"]
    for asked, named in ((number, "models:/churn/churn/2026-11"), ("2", says.format("2"))):
        with follower(lambda asked=asked: says.format(asked)) as url:  # type: ignore[misc]
            verify = {"url": url, "answer": "/y", "model": "/version"}
            spec = {"registeredModel": "churn", "alias": "champion", "verify": verify}
            binding = Binding(address(spec, None))  # type: ignore[arg-type]
            answer = world.target.score(binding)  # type: ignore[arg-type]
        assert answer.model == named


def test_a_version_that_is_gone_is_degraded(world: World) -> None:
    world.known.add("churn", {}, {}, champion="1")
    del world.known.models["churn"]["versions"]["1"]
    health = world.target.observe(world.binding()).health
    assert (health.code, health.message) == (HealthCode.DEGRADED, "version 1 of churn is gone")


def test_the_alias_of_another_environment_is_refused_and_never_deleted(world: World) -> None:
    world.known.add("churn", {}, champion="1")
    world.known.models["churn"]["tags"]["reconciler.alias.champion"] = "other@store"
    binding = world.binding()
    refusal = world.target.observe(binding).refusal
    assert refusal is not None
    assert "belongs to the environment other@store" in refusal.message
    with pytest.raises(RefusedError, match="does not carry this environment's mark"):
        world.target.delete(binding.address)
    with pytest.raises(RefusedError, match="belongs to the environment other@store"):
        world.target.switch(binding, Model(ModelRef("models:/churn/1")))
    assert not world.target.owned(())
    assert not world.known.writes


def test_the_mark_of_another_environment_is_kept_while_its_alias_is_not_there(
    world: World,
) -> None:
    """As its run leaves it between two writes: it makes the alias next, or deletes the mark."""
    world.known.add("churn", {})
    world.known.models["churn"]["tags"]["reconciler.alias.champion"] = "other@store"
    live = world.target.observe(world.binding())
    assert live.refusal is not None
    assert "belongs to the environment other@store" in live.refusal.message
    with pytest.raises(RefusedError, match="belongs to the environment other@store"):
        world.target.create(world.binding(), Model(ModelRef("models:/churn/1")))
    assert not world.known.writes


def test_of_two_environments_that_mark_an_alias_at_a_time_one_makes_it(world: World) -> None:
    world.known.add("churn", {})
    marked = f"{API}/registered-models/set-tag"

    def mark_too(_: str, path: str) -> None:
        if f"POST {marked}" in world.known.requests and path.endswith("/get"):
            world.known.models["churn"]["tags"]["reconciler.alias.champion"] = "other@store"

    world.known.instead = mark_too
    with pytest.raises(RefusedError, match="does not carry this environment's mark"):
        world.target.create(world.binding(), Model(ModelRef("models:/churn/1")))
    assert not world.known.models["churn"]["aliases"]


def test_what_is_ours_and_not_declared_is_found_on_every_page(world: World) -> None:
    world.known.page = 2
    for number in range(7):
        name = f"model-{number}"
        world.known.add(name, {}, champion="1")
        world.known.models[name]["tags"]["reconciler.alias.champion"] = MARK
    declared = [world.binding("model-3").address.id]
    names = [owned.name for owned in world.target.owned(declared)]
    assert names == [f"model-{number}@champion" for number in range(7) if number != 3]


def test_a_mark_without_its_alias_is_found_and_deleted(world: World) -> None:
    """As a run leaves it that was killed between the two writes of a deletion."""
    world.known.add("churn", {})
    world.known.models["churn"]["tags"]["reconciler.alias.champion"] = MARK
    (owned,) = world.target.owned(())
    world.target.delete(owned.address)
    assert not world.target.owned(())


def test_the_mark_keeps_whether_the_alias_is_protected(world: World) -> None:
    world.target.create(world.binding(protect=True), world.one)
    assert world.target.observe(world.binding()).protected
    assert world.target.owned(())[0].protected
    world.target.update(world.binding())
    live = world.target.observe(world.binding())
    assert (live.ours, live.protected) == (True, False)


def test_many_models_are_read_by_lists_and_the_missing_ones_one_by_one(world: World) -> None:
    bindings = [world.binding(f"model-{number}") for number in range(60)]
    for number in range(59):
        world.known.add(f"model-{number}", {}, champion="1")

    def soon(work: Callable[[], Any]) -> Callable[[], Any]:
        done = work()
        return lambda: done

    target = world.target.surveyed(bindings, soon)
    health = [target.observe(binding).health.code for binding in bindings]
    assert health == [HealthCode.HEALTHY] * 59 + [HealthCode.MISSING]
    assert len(world.known.requests) == 2  # the list, and the one that it did not show


def test_an_export_says_where_the_alias_led(world: World) -> None:
    binding = world.binding()
    world.target.create(binding, world.one)
    document = world.target.export(binding)
    live = live_from_export({"$reconciler": {}, **document}, binding)
    assert live.served == world.target.ref(binding, world.one)
    with pytest.raises(UnreadableError, match="it is no export of aliases/churn@other"):
        live_from_export(document, world.binding(alias="other"))


NOT_MLFLOW = [
    pytest.param(LOGIN, UnreadableError, id="login page"),
    pytest.param(Reply(302), UnreadableError, id="redirect"),
    pytest.param(Reply(200, b"[]"), UnreadableError, id="list"),
    pytest.param(Reply(200, b"{}"), UnreadableError, id="empty object"),
    pytest.param(Reply(200, b'{"registered_model": {"name"'), UnreadableError, id="cut off"),
    pytest.param(
        Reply(200, b'{"registered_model": {"name": "other"}}'), UnreadableError, id="foreign"
    ),
    pytest.param(Reply(404, b"<html>no such page</html>"), UnreadableError, id="404 of a proxy"),
    pytest.param(Reply(404, b'{"error_code": "NOT_FOUND"}'), UnreadableError, id="404 of others"),
    pytest.param(Reply(401, b"You are not authenticated"), UnauthorizedError, id="401"),
    pytest.param(Reply(403, b"{}"), UnauthorizedError, id="403"),
    pytest.param(Reply(429, b"{}"), UnavailableError, id="429"),
    pytest.param(Reply(500, b"{}"), UnavailableError, id="500"),
    pytest.param(Reply(503, b"<html>"), UnavailableError, id="503"),
    pytest.param(Reply(lost=True), UnreachableError, id="no answer"),
]


@pytest.mark.parametrize(("reply", "error"), NOT_MLFLOW)
def test_what_is_no_answer_of_mlflow_is_never_taken_for_absence(
    world: World, reply: Reply, error: type[WireError]
) -> None:
    world.known.instead = lambda *_: reply
    with pytest.raises(error):
        world.target.observe(world.binding())
    with pytest.raises(WireError):
        world.target.create(world.binding(), world.one)
    with pytest.raises(WireError):
        world.target.delete(world.binding().address)
    assert not world.known.models
    assert not world.known.writes


def test_a_list_that_leads_back_is_refused(world: World) -> None:
    page = b'{"registered_models": [], "next_page_token": "x"}'
    world.known.instead = lambda *_: Reply(200, page)
    with pytest.raises(UnreadableError, match="leads back"):
        world.target.owned(())


def test_a_list_without_end_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MOST_PAGES", 3)
    world.known.page = 1
    for number in range(4):
        world.known.add(f"model-{number}", {})
    with pytest.raises(UnreadableError, match="no end after 3 pages"):
        world.target.owned(())


def test_a_write_is_sent_once(world: World) -> None:
    world.known.add("churn", {}, champion="1")
    world.target.publish(world.binding(), world.one)
    writes = f"POST {API}/registered-models/alias"
    world.known.instead = lambda _, path: Reply(503) if path.endswith("/alias") else None
    with pytest.raises(UnavailableError):
        world.target.switch(world.binding(), world.one)
    assert world.known.requests.count(writes) == 1


@pytest.mark.parametrize(("user", "word"), [("", "Bearer sesame-open"), ("ann", "Basic ")])
def test_a_secret_goes_to_this_machine_and_to_bound_origins_only(
    known: Registry, user: str, word: str
) -> None:
    with Http(retries=0) as http:
        here = Mlflow(http, known.url, credential_of(known.url, "sesame-open", user, frozenset()))
        here.model("churn")
        assert known.heard[0]["Authorization"].startswith(word)
        url = "https://mlflow.invalid"
        there = Mlflow(http, url, credential_of(url, "sesame-open", user, frozenset()))
        with pytest.raises(RefusedError, match="RECONCILER_ORIGINS") as refused:
            there.model("churn")
        assert "sesame" not in refused.value.message
        bound = frozenset([("https", "mlflow.invalid", 443)])
        credential = credential_of(url, "sesame-open", user, bound)
        assert credential is not None
        assert credential.authorization(f"{url}/api").startswith(word)
