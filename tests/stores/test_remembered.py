"""Answers of a store that were heard once: what follows from them, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import NotKnownError
from reconciler.offline.stores import Heard, Memory, Remembered
from reconciler.stores.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    for number in (1, 3):
        store.put(f"churn/{number}/manifest.json", b"{}")
    store.put("churn/3/model.bin", b"model")
    return store


def test_a_list_that_was_not_heard_to_its_end_shows_that_nothing_is_absent(
    store: FolderStore,
) -> None:
    kept = Memory()
    next(Heard(store, kept).list("churn/"))
    then = Remembered(store, kept)
    assert then.head("churn/1/manifest.json") is not None
    with pytest.raises(NotKnownError):
        then.head("churn/2/manifest.json")
    with pytest.raises(NotKnownError):
        list(then.list("churn/"))
    assert len(list(Heard(store, kept).list("churn/"))) == 3
    then = Remembered(store, kept)
    assert then.head("churn/2/manifest.json") is None
    assert [file.name for file in then.list("churn/3/")] == [
        "churn/3/manifest.json",
        "churn/3/model.bin",
    ]
    with pytest.raises(NotKnownError):
        then.get("other/1/manifest.json")


def test_only_our_own_documents_are_kept_whole(store: FolderStore) -> None:
    kept = Memory()
    heard = Heard(store, kept)
    for name in ("churn/1/manifest.json", "churn/3/model.bin"):
        assert heard.get(name) == store.get(name)
    then = Remembered(store, kept)
    assert then.get("churn/1/manifest.json").content == b"{}"  # type: ignore[union-attr]
    assert then.head("churn/3/model.bin").fingerprint.startswith("sha256:")  # type: ignore
    with pytest.raises(NotKnownError, match=r"the content of churn/3/model\.bin of file:///"):
        then.get("churn/3/model.bin")


def test_what_was_absent_is_absent_and_what_no_list_told_is_not_known(store: FolderStore) -> None:
    kept = Memory()
    heard = Heard(store, kept)
    assert heard.get("churn/2/manifest.json") is None
    assert len(list(heard.list())) == 3
    then = Remembered(store, kept)
    assert then.head("churn/2/manifest.json") is None
    with pytest.raises(NotKnownError, match="the fingerprint of"):  # a list does not read models
        then.head("churn/3/model.bin")


def test_what_is_remembered_is_not_written(store: FolderStore) -> None:
    with pytest.raises(RuntimeError, match="only reads"):
        Remembered(store, Memory()).put("a", b"")
