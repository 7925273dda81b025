"""ModelFile: a pointer or a copy that somebody else's server follows."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import (
    ConflictError,
    RefusedError,
    StoppedError,
    UnreadableError,
)
from reconciler.model import Expectation, HealthCode, Model, ModelRef, Probe, Score, Version
from reconciler.platforms.answers import score_of
from reconciler.platforms.contract import DONE, Left, OperationState
from reconciler.platforms.local.model_file import ModelFiles, live_from_export
from reconciler.platforms.local.pointer import FileAddress, address
from reconciler.stores.folder import FolderStore

MARK = "home@file:///store"


@dataclass
class Binding:
    address: FileAddress
    probe: Probe | None = None


class World:
    """A store with two versions, and a folder in which pointers lie."""

    def __init__(self, root: Path) -> None:
        (root / "store").mkdir()
        self.root = root
        self.store = FolderStore(root / "store")
        self.halted = ""
        self.target = ModelFiles(root, MARK, self.store, None, lambda: self.halted)  # type: ignore[arg-type]
        self.one, self.two = self.model("1"), self.model("2")

    def model(self, version: str) -> Model:
        content = f"model {version}".encode()
        self.store.put(f"churn/{version}/model.bin", content)
        ref = ModelRef(f"{self.store.uri}/churn/{version}/model.bin")
        return Model(ref, Version("churn", version), hashlib.sha256(content).hexdigest())

    def binding(self, path: str = "serving/churn.json", **spec: Any) -> Any:
        return Binding(address({"path": path, **spec}, self.root, "store"))

    def pointer(self, path: str = "serving/churn.json") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.root / path).read_text())
        return document


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("path", ["serving/churn.json", "store:pointers/churn.json"])
def test_a_pointer_is_made_and_switched(world: World, path: str) -> None:
    binding = world.binding(path)
    assert world.target.observe(binding).health.code is HealthCode.MISSING
    assert world.target.create(binding, world.one) == ""
    live = world.target.observe(binding)
    assert (live.served, live.health.code, live.ours) == (world.one.ref, HealthCode.HEALTHY, True)
    assert world.target.switch(binding, world.two) == ""
    assert world.target.observe(binding).served == world.two.ref
    with pytest.raises(ConflictError, match="is there by now"):
        world.target.create(binding, world.one)


def test_two_paths_to_one_file_are_one_place(world: World) -> None:
    (world.root / "link").symlink_to("serving")
    paths = ("serving/x.json", f"{world.root}/serving/x.json", "link/x.json")
    places = {world.target.observe(world.binding(path)).place for path in paths}
    assert len(places) == 1
    world.target.create(world.binding(paths[0]), world.one)
    assert {world.target.observe(world.binding(path)).place for path in paths} == places
    assert world.target.observe(world.binding("store:serving/x.json")).place not in places


def test_a_pointer_says_what_a_server_needs(world: World) -> None:
    world.target.create(world.binding(), world.one)
    said = world.pointer()
    assert said["version"] == "1"
    assert said["path"] == str(world.root / "store" / "churn" / "1" / "model.bin")
    assert said["sha256"] == world.one.sha256
    assert world.target.export(world.binding()) == said
    exported = live_from_export({"$reconciler": {}, **said}, world.binding())
    assert exported.served == world.one.ref


@pytest.mark.parametrize(
    "edit",
    [
        lambda said: said | {"version": "9"},
        lambda said: said | {"path": "/tmp/other.bin"},
        lambda _: {},
        lambda said: [said],
    ],
)
def test_a_pointer_that_was_edited_by_hand_is_seen(world: World, edit: Any) -> None:
    binding = world.binding()
    world.target.create(binding, world.one)
    (world.root / "serving" / "churn.json").write_text(json.dumps(edit(world.pointer())))
    live = world.target.observe(binding)
    assert live.served is None
    assert live.model_text == "edited by hand"
    assert "serving/churn.json was edited by hand: it says" in live.warnings[0]
    world.target.switch(binding, world.two)
    assert world.target.observe(binding).served == world.two.ref


def test_a_pointer_to_a_model_that_is_gone_is_degraded(world: World) -> None:
    binding = world.binding()
    world.target.create(binding, world.one)
    (world.root / "store" / "churn" / "1" / "model.bin").unlink()
    health = world.target.observe(binding).health
    assert health.code is HealthCode.DEGRADED
    assert "which is gone" in health.message


def test_a_copy_is_the_model_and_is_known_again(world: World) -> None:
    binding = world.binding("serving/model.bin", copy=True)
    world.target.create(binding, world.one)
    copy = world.root / "serving" / "model.bin"
    assert copy.read_bytes() == b"model 1"
    assert world.target.observe(binding).served == world.one.ref
    world.target.switch(binding, world.two)
    assert copy.read_bytes() == b"model 2"
    copy.write_bytes(b"model 2")  # somebody put back what was there
    assert world.target.observe(binding).served == world.two.ref
    copy.write_bytes(b"model 3")
    live = world.target.observe(binding)
    assert live.served is None
    assert live.model_text == "changed by hand"
    assert "serving/model.bin was changed by hand: its sha256 is" in live.warnings[0]
    copy.unlink()
    assert "is gone, and its pointer is there" in world.target.observe(binding).warnings[0]


def test_a_copy_replaces_no_file_of_somebody_else(world: World) -> None:
    binding = world.binding("model.bin", copy=True)
    (world.root / "model.bin").write_bytes(b"made by hand")
    live = world.target.observe(binding)
    assert live.health.code is HealthCode.MISSING
    assert "model.bin is there without a pointer" in live.warnings[0]
    with pytest.raises(RefusedError, match=r"model.bin is there, and no pointer .* move it away"):
        world.target.create(binding, world.one)
    assert (world.root / "model.bin").read_bytes() == b"made by hand"
    (world.root / "model.bin").write_bytes(b"model 1")  # as a run leaves it that was cut off
    assert world.target.create(binding, world.one) == ""
    assert world.target.observe(binding).served == world.one.ref


def test_what_was_not_evaluated_is_not_copied(world: World) -> None:
    world.store.put("churn/1/model.bin", b"written again")
    binding = world.binding("serving/model.bin", copy=True)
    with pytest.raises(RefusedError, match="is not the file that was evaluated"):
        world.target.create(binding, world.one)
    assert not (world.root / "serving" / "model.bin").exists()


def test_a_server_is_told_to_reload(world: World) -> None:
    binding = world.binding(reload=f"{sys.executable} -c \"open('told', 'a').write('x')\"")
    assert world.target.create(binding, world.one) == ""
    assert (world.root / "told").read_text() == "x"
    assert world.target.observe(binding).served == world.one.ref
    assert world.pointer()["reload"] == "done"


@pytest.mark.parametrize(
    ("command", "why"), [("no-such-program", "is not there"), ("false", "false: exit code 1")]
)
def test_a_server_that_cannot_be_told_still_serves_the_previous_model(
    world: World, command: str, why: str
) -> None:
    world.target.create(world.binding(), world.one)
    binding = world.binding(reload=command)
    progress = world.target.progress(world.target.switch(binding, world.two))
    assert (progress.state, progress.left) == (OperationState.FAILED, Left.CANDIDATE_DECLARED)
    assert why in progress.words
    live = world.target.observe(binding)
    assert (live.served, live.configured) == (world.one.ref, world.two.ref)
    assert world.target.progress("") is DONE
    world.target.switch(binding, world.one)  # back, and again the server cannot be told
    live = world.target.observe(binding)
    assert (live.served, live.configured) == (world.one.ref, None)


def test_a_reload_may_leave_a_server_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.platforms.local.model_file.RELOAD_S", 3.0)
    binding = world.binding(reload="sh -c 'sleep 5 & exit 0'")  # which keeps its output open
    assert world.target.create(binding, world.one) == ""
    assert world.pointer()["reload"] == "done"


def test_a_reload_has_a_session_of_its_own(world: World) -> None:
    code = f"import os; open('{world.root}/told', 'w').write(str(os.getsid(0)))"
    binding = world.binding(reload=f'{sys.executable} -c "{code}"')
    assert world.target.create(binding, world.one) == ""
    assert int((world.root / "told").read_text()) != os.getsid(0)


def test_a_run_that_lost_its_lock_writes_no_pointer(world: World) -> None:
    binding = world.binding()
    world.target.create(binding, world.one)
    world.halted = "the lock was lost"
    for write in (
        lambda: world.target.switch(binding, world.two),
        lambda: world.target.delete(binding.address),
    ):
        with pytest.raises(StoppedError, match="the lock was lost"):
            write()
    assert world.pointer()["version"] == "1"


def test_only_our_own_pointer_is_deleted(world: World) -> None:
    binding = world.binding()
    world.target.create(binding, world.one)
    other = ModelFiles(world.root, "other@x", world.store, None)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="does not carry this environment's mark"):
        other.delete(binding.address)
    assert other.observe(binding).keep is not None
    assert world.target.delete(binding.address) == ""
    assert world.target.delete(binding.address) == ""
    assert world.target.observe(binding).health.code is HealthCode.MISSING


def test_a_path_that_leads_out_is_refused() -> None:
    for path in ("../x.json", "a/../../x.json", "."):
        with pytest.raises(ValueError, match="leads out of the environment's folder"):
            address({"path": path}, Path("/srv"), "store")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("./a//b.json", "files/%2Fsrv%2Fa%2Fb.json"),
        (".a/b.json", "files/%2Fsrv%2F.a%2Fb.json"),
        ("/srv/a/b.json", "files/%2Fsrv%2Fa%2Fb.json"),
        ("store:a/b.json", "files/store%3Aa%2Fb.json"),
    ],
)
def test_a_record_is_filed_by_the_whole_path(path: str, key: str) -> None:
    assert address({"path": path}, Path("/srv"), "store").key == key


def test_a_long_path_is_filed_by_a_name_that_every_file_system_takes() -> None:
    long, other = (address({"path": f"{n}/" + "x/" * 200}, Path("/srv"), "store") for n in "ab")
    assert len(long.key) < 200
    assert long.id != other.id


@pytest.mark.parametrize("name", ["../x", "a/.b", "a//b", "", "_locks/home.json"])
def test_a_name_that_the_store_keeps_for_itself_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="names no file of the store that is free"):
        address({"path": f"store:{name}"}, Path("/srv"), "store")


def test_a_folder_that_cannot_be_made_is_no_bug_of_ours(world: World) -> None:
    (world.root / "file").touch()
    with pytest.raises(RefusedError, match=r"the folder .*/file cannot be made: file exists"):
        world.target.create(world.binding("file/churn.json"), world.one)


# --- answers --------------------------------------------------------------------------------

PROBE = Probe("{}", ("y",), (Expectation("y", at_least=Decimal(0)),))


@pytest.mark.parametrize(
    ("document", "rows", "score"),
    [
        ({"predictions": [1.5, 2]}, "/predictions", Score(("y",), (("1.5",), ("2",)))),
        ({"predictions": [[1], [2]]}, "/predictions", Score(("y",), (("1",), ("2",)))),
        ([{"y": 1, "z": None}], "", Score(("y", "z"), (("1", ""),))),
        ({"a": [{"b/c": "text"}]}, "/a/0/b~1c", Score(("y",), (("text",),))),
        ({"y": 3}, "", Score(("y",), (("3",),))),
        ({"rows": []}, "/rows", Score(("y",), ())),
        ([{"y": 1, "z": 2}, {"z": 4, "y": 3}], "", Score(("y", "z"), (("1", "2"), ("3", "4")))),
    ],
)
def test_rows_are_found_in_any_json(document: Any, rows: str, score: Score) -> None:
    assert score_of(document, rows, "", PROBE).score == score


def test_an_answer_may_name_the_version_that_gave_it() -> None:
    assert score_of({"v": 2, "y": 1}, "/y", "/v", PROBE).model == "2"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"y": 1}, "has no /rows"),
        ({"rows": [[1, 2]]}, "2 cells, and spec.verify names 1 columns"),
        ({"rows": [{"y": 1}, {"x": 1}]}, "different columns"),
    ],
)
def test_an_answer_without_the_part_is_unreadable(document: Any, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        score_of(document, "/rows", "", PROBE)
