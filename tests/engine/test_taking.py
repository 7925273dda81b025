"""Files that somebody else made are taken into the store whole, once, and as they belong together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.engine.taking import Taking
from reconciler.errors import RefusedError, UnavailableError, UnreadableError
from reconciler.model import METRICS, MODEL, Recipe
from reconciler.platforms.contract import JobState, Order
from reconciler.stores.contract import Access
from reconciler.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path


class Files:
    """A folder with a model and its metrics, and the store that takes them in."""

    def __init__(self, folder: Path) -> None:
        for name in ("data", "store"):
            (folder / name).mkdir()
        self.data, self.store = FolderStore(folder / "data"), FolderStore(folder / "store")
        self.offer("first")
        self.taking = Taking(self.data, self.store)
        reads = {role: self.data.grant(role, Access.READ, 60) for role in (METRICS, MODEL)}
        writes = {role: self.store.grant(role, Access.WRITE, 60) for role in (METRICS, MODEL)}
        self.order = Order(
            "ab" * 32, 1, Recipe("file", outputs=tuple((r, r) for r in writes)), reads, writes, 60
        )

    def offer(self, text: str) -> None:
        for role in (METRICS, MODEL):
            self.data.put(role, f"{role} {text}".encode())

    def start(self) -> None:
        self.taking.start(self.order.job, self.order)

    @property
    def state(self) -> JobState:
        return self.taking.look(self.order.job).state

    @property
    def taken(self) -> list[str]:
        found = [self.store.get(role) for role in (METRICS, MODEL)]
        return [file.content.decode() for file in found if file is not None]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_second_start_changes_nothing(files: Files) -> None:
    assert files.state is JobState.NOT_STARTED
    files.start()
    files.offer("second")
    files.start()
    assert files.state is JobState.FINISHED
    assert files.taken == ["metrics first", "model first"]


def test_metrics_of_another_model_are_not_taken(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, late = files.store.put_file, ["second"]

    def meanwhile(name: str, path: Path) -> str:
        if late:
            files.offer(late.pop())
        return put(name, path)

    monkeypatch.setattr(files.store, "put_file", meanwhile)
    with pytest.raises(UnavailableError, match="changed while it was copied"):
        files.start()
    assert files.state is JobState.NOT_STARTED
    files.start()
    assert files.taken == ["metrics second", "model second"]


def test_what_was_deleted_from_the_store_is_taken_again(files: Files) -> None:
    files.start()
    (files.store.root / MODEL).unlink()
    assert files.state is JobState.NOT_STARTED
    files.start()
    assert files.taken == ["metrics first", "model first"]


@pytest.mark.parametrize("role", [MODEL, METRICS])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            r"is a pointer of Git LFS .*\(git lfs pull\)",
        ),
        (b"", "it is empty.*; write it again"),
    ],
)
def test_a_pointer_of_git_lfs_or_nothing_is_not_taken_for_the_file(
    files: Files, role: str, content: bytes, why: str
) -> None:
    files.data.put(role, content)
    with pytest.raises(RefusedError, match=why):
        files.start()
    assert files.state is JobState.NOT_STARTED


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({MODEL: 3})])
def test_a_damaged_note_is_named(files: Files, content: str) -> None:
    files.store.put(f"_taken/{files.order.job}.json", content.encode())
    with pytest.raises(UnreadableError, match=r"_taken/rc-.* in the store is damaged"):
        files.taking.look(files.order.job)
