"""The files of a folder of code: which they are, and when they are looked through again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.platforms import code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
        assert code.files_of(folder) == ["train.py"]
        return
    with pytest.raises(ConfigurationError, match=r"git is not installed.*; install it"):
        code.files_of(folder)
