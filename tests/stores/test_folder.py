"""A folder as a store: what is only true of files and processes of this machine."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    RefusedError,
    RejectedError,
    StoppedError,
    UnauthorizedError,
    UnavailableError,
)
from reconciler.ledger import Ledger
from reconciler.model import Version
from reconciler.stores import folder
from reconciler.stores.alive import OURS
from reconciler.stores.contract import Access, name_in
from reconciler.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def temporary_files(store: FolderStore) -> list[str]:
    return [path.name for path in (store.root / OURS).iterdir() if path.name != "lock"]


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of Python with the package at hand."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


# --- what every store does, briefly ---------------------------------------------------------


def test_what_was_written_is_read(store: FolderStore) -> None:
    etag = store.put_if_absent("churn/1/manifest.json", b"{}")
    stored = store.get("churn/1/manifest.json")
    assert stored is not None
    assert (stored.content, stored.etag) == (b"{}", etag)
    assert store.head("churn/1/manifest.json") == stored.properties
    assert stored.properties.modified is not None
    assert abs(stored.properties.modified.timestamp() - time.time()) < 10
    assert temporary_files(store) == []


def test_what_is_not_there_is_none(store: FolderStore) -> None:
    store.put("a/b", b"x")
    for name in ("x", "a/x", "a", "a/b/c"):
        assert store.get(name) is None
        assert store.head(name) is None


def test_a_name_is_created_once(store: FolderStore) -> None:
    store.put_if_absent("a", b"1")
    for content in (b"1", b"2"):
        with pytest.raises(ConflictError, match="it exists already"):
            store.put_if_absent("a", content)
    assert temporary_files(store) == []


def test_only_the_etag_that_is_there_is_replaced(store: FolderStore) -> None:
    first = store.put("a", b"1")
    second = store.replace("a", b"2", first)
    for etag, name in ((first, "a"), (second, "b")):
        with pytest.raises(ConflictError, match="another run changed it"):
            store.replace(name, b"3", etag)
    stored = store.get("a")
    assert stored is not None
    assert stored.content == b"2"


def test_the_same_content_written_again_has_another_etag_and_the_same_fingerprint(
    store: FolderStore,
) -> None:
    first = store.put("a", b"1")
    before = store.head("a")
    store.put("a", b"2")
    third = store.put("a", b"1")
    after = store.head("a")
    assert before is not None
    assert after is not None
    assert first != third
    assert before.fingerprint == after.fingerprint


def test_a_list_is_sorted_by_the_whole_name_and_begins_with_the_prefix(store: FolderStore) -> None:
    names = ["a/1/m.json", "a/1.json", "a/10/m.bin", "a/2/m.json", "ab.json", "b/x"]
    for name in names:
        store.put(name, name.encode())
    assert [blob.name for blob in store.list()] == sorted(names)
    assert [blob.name for blob in store.list("a")] == sorted(n for n in names if n[0] == "a")
    assert [blob.name for blob in store.list("a/1")] == ["a/1.json", "a/1/m.json", "a/10/m.bin"]
    assert list(store.list("x/y/")) == []
    shown = {blob.name: blob for blob in store.list("a/1")}
    assert shown["a/1.json"].content == b"a/1.json"
    assert shown["a/1.json"].properties == store.head("a/1.json")
    assert shown["a/10/m.bin"].content is None
    assert shown["a/10/m.bin"].properties.size == len("a/10/m.bin")


def test_a_reader_refuses_every_write_and_makes_nothing(store: FolderStore) -> None:
    reader = store.reading()
    for write in (
        lambda: reader.put("a", b""),
        lambda: reader.put_if_absent("a", b""),
        lambda: reader.replace("a", b"", "x"),
    ):
        with pytest.raises(RuntimeError, match="a write in a command that only reads"):
            write()
    assert reader.get("a") is None
    assert list(reader.list()) == []
    assert list(store.root.iterdir()) == []


def test_a_place_is_the_path_and_needs_no_grant(store: FolderStore) -> None:
    place = store.grant("a b/model.bin", Access.WRITE, 60)
    assert place.uri == f"{store.uri}/a%20b/model.bin"
    assert place.grant == ""


def test_nothing_is_written_once_a_run_is_halted(store: FolderStore) -> None:
    halted = FolderStore(store.root, lambda: "the lock was lost")
    with pytest.raises(StoppedError, match="nothing was written: the lock was lost"):
        halted.put("a", b"")
    assert store.get("a") is None


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/.", "a\nb"])
def test_a_name_that_leaves_the_folder_is_refused(store: FolderStore, name: str) -> None:
    for do in (store.get, store.head, lambda name: store.put(name, b"")):
        with pytest.raises(RefusedError, match="is not the name of a file"):
            do(name)
    assert list(store.root.iterdir()) == []


def test_what_begins_with_a_dot_is_no_file_of_the_store(store: FolderStore) -> None:
    for name in (f"{OURS}/lock", "a/.b"):
        with pytest.raises(RefusedError, match="begins with a dot"):
            store.put(name, b"")
    store.put("a/b", b"")
    (store.root / "a" / ".b").touch()
    (store.root / ".jobs").mkdir()
    (store.root / ".jobs" / "x").touch()
    assert [file.name for file in store.list()] == ["a/b"]


def test_a_symbolic_link_is_not_followed(store: FolderStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = FolderStore(tmp_path / "inside")
    inside.root.mkdir()
    (inside.root / "link").symlink_to(outside)
    for do in (
        lambda: inside.get("link/a"),
        lambda: inside.put("link/a", b""),
        lambda: inside.put("link", b""),
        lambda: list(inside.list()),
    ):
        with pytest.raises(RefusedError, match="is a symbolic link"):
            do()
    assert list(outside.iterdir()) == []


def test_a_name_that_no_file_can_have_is_an_error(store: FolderStore) -> None:
    store.put("a", b"")
    for name in ("a/b", "x" * 300):
        with pytest.raises(RejectedError, match="use another name"):
            store.put(name, b"")
    store.put("c/d", b"")
    with pytest.raises(RejectedError, match="use another name"):
        store.put("c", b"")


# --- disks ----------------------------------------------------------------------------------


def test_a_folder_that_is_missing_is_an_error_and_not_an_empty_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "not" / "mounted")
    for do in (
        lambda: store.get("a"),
        lambda: store.head("a"),
        lambda: list(store.list()),
        lambda: list(store.list("models/")),
        lambda: store.put("a", b""),
    ):
        with pytest.raises(
            ConfigurationError, match=r"not exist; mount it or make it \(mkdir.*spec.data"
        ):
            do()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="is not a folder"):
        FolderStore(tmp_path / "file").get("a")


@pytest.mark.parametrize(
    ("number", "error", "fix"),
    [
        (errno.EROFS, UnauthorizedError, "read-only file system; mount it for writing"),
        (errno.EACCES, UnauthorizedError, "give this user access"),
        (errno.ENOSPC, UnavailableError, "no space left on device; free some space"),
        (errno.EIO, UnavailableError, "input/output error"),
    ],
)
def test_a_disk_that_takes_no_writes_is_told_with_its_fix(
    store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
    fix: str,
) -> None:
    store.put("a", b"old")

    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(error, match=fix):
        store.put("a", b"new")
    stored = store.get("a")
    assert stored is not None
    assert stored.content == b"old"
    assert temporary_files(store) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_must_not_be_read_is_not_taken_for_absent(store: FolderStore) -> None:
    store.put("a/b", b"x")
    (store.root / "a").chmod(0)
    try:
        for do in (lambda: store.get("a/b"), lambda: list(store.list("a/"))):
            with pytest.raises(UnauthorizedError, match="permission denied"):
                do()
    finally:
        (store.root / "a").chmod(0o755)


def test_a_file_system_without_hard_links_keeps_its_word(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    store.put_if_absent("a", b"1")
    with pytest.raises(ConflictError):
        store.put_if_absent("a", b"2")
    stored = store.get("a")
    assert stored is not None
    assert stored.content == b"1"
    assert temporary_files(store) == []


def test_a_file_system_without_locks_is_refused(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder.fcntl, "flock", flock)
    with pytest.raises(ConfigurationError, match="has no locks"):
        store.put("a", b"")


# --- processes ------------------------------------------------------------------------------

CREATE = """
    import sys
    from pathlib import Path
    from reconciler.errors import ConflictError
    from reconciler.stores.folder import FolderStore
    store, me = FolderStore(Path(sys.argv[1])), sys.argv[2]
    for number in range(50):
        try:
            store.put_if_absent(f"claims/{number}.json", me.encode())
            print(number)
        except ConflictError:
            pass
"""

COUNT = """
    import sys
    from pathlib import Path
    from reconciler.errors import ConflictError
    from reconciler.stores.folder import FolderStore
    store, added = FolderStore(Path(sys.argv[1])), 0
    while added < 25:
        stored = store.get("count")
        try:
            store.replace("count", str(int(stored.content) + 1).encode(), stored.etag)
            added += 1
        except ConflictError:
            pass
"""


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed


def test_of_eight_processes_one_creates_each_file(store: FolderStore) -> None:
    printed = ended([run(CREATE, store.root, number) for number in range(8)])
    assert Counter(" ".join(printed).split()) == {str(number): 1 for number in range(50)}
    assert [blob.name for blob in store.list()] == sorted(f"claims/{n}.json" for n in range(50))


def test_eight_processes_lose_no_update(store: FolderStore) -> None:
    store.put("count", b"0")
    ended([run(COUNT, store.root) for _ in range(8)])
    stored = store.get("count")
    assert stored is not None
    assert stored.content == b"200"
    assert temporary_files(store) == []


STOPPED = """
    import os, sys
    from pathlib import Path
    from reconciler.stores import folder
    store = folder.FolderStore(Path(sys.argv[1]))
    def stop(temporary, path):
        print("here", flush=True)
        sys.stdin.read()
        real(temporary, path)
    real, Path.replace = Path.replace, stop
    store.put("a", b"new")
"""


@pytest.fixture
def inside(store: FolderStore) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock file, and has not renamed its temporary file."""
    store.put("a", b"old")
    command = [sys.executable, "-c", textwrap.dedent(STOPPED), str(store.root)]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def test_a_writer_that_is_killed_before_the_rename_leaves_the_old_file_and_blocks_nobody(
    store: FolderStore, inside: subprocess.Popen[str]
) -> None:
    inside.send_signal(signal.SIGKILL)
    inside.wait()
    stored = store.get("a")
    assert stored is not None
    assert stored.content == b"old"
    (left,) = temporary_files(store)
    assert [blob.name for blob in store.list()] == ["a"]
    store.put("a", b"newer")
    assert temporary_files(store) == [left]
    os.utime(store.root / OURS / left, (0, 0))
    FolderStore(store.root).put("a", b"newest")
    assert temporary_files(store) == []


def test_a_writer_that_is_frozen_holds_the_others_up_and_is_told_of(
    store: FolderStore, inside: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LOCKED_S", 0.1)
    with pytest.raises(UnavailableError, match=r"another process has held .*/lock for"):
        store.put("a", b"mine")
    inside.communicate("go on")
    stored = store.get("a")
    assert stored is not None
    assert stored.content == b"new"
    store.put("a", b"mine")


@pytest.mark.parametrize("name", ["env=prod", "a,b", "a:b", "a b", "é", "100%", "a?b#c"])
def test_a_model_is_found_again_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    store = FolderStore(tmp_path / name)
    version = Version("churn", "1", (("age", "young"),))
    model = Ledger(store).model_name(version)
    assert name_in(store.base, Ledger(store).ref(version).url) == model
    assert name_in(store.base, store.grant(model, Access.READ, 60).uri) == model
    assert name_in(store.base, FolderStore(tmp_path).grant("other", Access.READ, 60).uri) is None
