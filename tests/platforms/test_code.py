"""A folder of code that many endpoints share is looked through again only where it has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.platforms import code

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


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
