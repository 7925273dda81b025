"""The files of a folder of code: which they are, in each clone, and when they are looked through."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.platforms import code
from reconciler.platforms.ray.package import packed
from tests.ci.gits import git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    "train.sh": b"#!/bin/sh\necho 1\n",
    "train.py": b"print(1)\nprint(2)\n",
    "windows.txt": b"a\r\nb\r\n",  # as it was committed
    "run.bat": b"@echo off\n",
    "large.csv": b"1\n",
    "picture.png": b"\x89PNG\r\n\x1a\n\0\0",
}
ATTRIBUTES = "*.bat text eol=crlf\n*.csv -text\n"  # -text: as Git LFS has it
SETTINGS = ("core.autocrlf=true", "core.eol=crlf", "core.fileMode=false")


def committed(folder: Path, files: dict[str, bytes], attributes: str) -> None:
    """A repository with one commit of these files."""
    folder.mkdir()
    git(folder, "init", "-q")
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    (folder / ".gitattributes").write_text(attributes)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Code")


def cloned(folder: Path, *settings: str) -> Path:
    """A clone in which every file is a program where git is told not to look at that."""
    options = [word for setting in settings for word in ("-c", setting)]
    local = ("-c", "protocol.file.allow=always")
    name = f"clone {len(settings)}"
    git(folder, *options, *local, "clone", "-q", *options, "../origin", name)
    config = {"GIT_CONFIG_COUNT": str(len(settings))}
    for at, setting in enumerate(settings):
        key, _, value = setting.partition("=")
        config |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    git(folder / name, *local, "submodule", "update", "--init", "-q", **config)
    if "core.fileMode=false" in settings:
        git(folder / name / "lib", "config", "core.fileMode", "false")
        for path in (folder / name).rglob("*.*"):
            path.chmod(0o755)
    return folder / name


@pytest.fixture
def clones(tmp_path: Path) -> tuple[Path, Path]:
    """Two clones of one commit: a usual one, and one that converts what it checks out."""
    committed(tmp_path / "library", {"lib.py": b"x = 1\ny = 2\n", "dos.txt": b"a\r\n"}, "")
    committed(tmp_path / "origin", FILES, ATTRIBUTES)
    local = ("-c", "protocol.file.allow=always")
    git(tmp_path / "origin", *local, "submodule", "add", "-q", "../library", "lib")
    git(tmp_path / "origin", "commit", "-qm", "Library")
    (tmp_path / "clones").mkdir()
    return cloned(tmp_path / "clones"), cloned(tmp_path / "clones", *SETTINGS)


def test_a_clone_that_converts_line_ends_and_modes_has_the_same_code(
    clones: tuple[Path, Path],
) -> None:
    usual, converted = clones
    assert (converted / "train.py").read_bytes() == b"print(1)\r\nprint(2)\r\n"
    assert (converted / "lib" / "lib.py").read_bytes() == b"x = 1\r\ny = 2\r\n"
    assert os.access(converted / "train.py", os.X_OK)
    assert code.digest_of(converted) == code.digest_of(usual)


def test_what_runs_is_what_the_digest_is_of(clones: tuple[Path, Path], tmp_path: Path) -> None:
    digest = code.digest_of(clones[0])
    for number, clone in enumerate(clones):
        copy = tmp_path / f"copy {number}"
        assert code.copy_to(clone, copy) == digest
        assert {name: (copy / name).read_bytes() for name in FILES} == {
            **FILES,
            "run.bat": b"@echo off\r\n",  # which its attribute says to every clone
        }
        assert os.access(copy / "train.sh", os.X_OK)
        assert not os.access(copy / "train.py", os.X_OK)
    assert packed(clones[0], digest).name == packed(clones[1], digest).name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.py", b"print(1)\r\nprint(3)\r\n"),
        ("large.csv", b"1\r\n"),  # whose line ends git converts nowhere
        ("windows.txt", b"a\nb\n"),
        ("picture.png", b"\x89PNG\n\x1a\n\0\0"),
    ],
)
def test_an_edit_in_such_a_clone_is_another_code(
    clones: tuple[Path, Path], name: str, content: bytes
) -> None:
    _, converted = clones
    before = code.digest_of(converted)
    (converted / name).write_bytes(content)
    assert code.digest_of(converted) != before


def test_a_new_execute_bit_counts_where_git_looks_at_it(clones: tuple[Path, Path]) -> None:
    usual, converted = clones
    before = code.digest_of(usual)
    (usual / "train.py").chmod(0o755)
    assert code.digest_of(usual) != before
    git(converted, "update-index", "--chmod=+x", "train.py")
    assert code.digest_of(converted) == code.digest_of(usual)


def test_a_link_is_looked_for_once_until_anything_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    files_of = code.files_of
    monkeypatch.setattr(code, "files_of", lambda folder: asked.append(folder) or files_of(folder))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "score.py").write_text("x = 1\n")
    assert {code.why_not_files(tmp_path) for _ in range(9)} == {""}
    assert len(asked) == 1
    changes: list[Callable[[], Any]] = [
        lambda: (tmp_path / "below" / "score.py").write_text("x = 10\n"),
        lambda: (tmp_path / "more.py").write_text(""),
        lambda: (tmp_path / "gone").symlink_to(tmp_path / "nowhere"),
        lambda: (tmp_path / "file.py").symlink_to(tmp_path / "more.py"),
    ]
    seen = {code.state_of(tmp_path)}
    for change in changes:
        change()
        seen.add(code.state_of(tmp_path))
    assert len(seen) == 1 + len(changes)
    assert "file.py is a symbolic link" in code.why_not_files(tmp_path)


@pytest.mark.parametrize("marker", ["", ".git"])
def test_without_git_the_files_of_a_clone_are_unknown_and_not_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str
) -> None:
    (tmp_path / marker).mkdir(exist_ok=True)
    folder = tmp_path / "training"
    folder.mkdir()
    (folder / "train.py").write_text("x = 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    if not marker:
        assert list(code.files_of(folder)) == ["train.py"]
        return
    with pytest.raises(ConfigurationError, match=r"git is not installed.*; install it"):
        code.files_of(folder)
