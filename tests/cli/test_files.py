"""Files that the program writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from reconciler.console import write_file
from reconciler.errors import ConfigurationError


def test_who_reads_a_file_while_it_is_written_anew_sees_all_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_file(path, "old " * 10_000)
    with path.open() as reader:
        assert reader.read(4) == "old "
        write_file(path, "new")
        assert reader.read() == "old " * 9_999
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    write_file(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "chmod", full)  # between what is written and what replaces the file
    with pytest.raises(ConfigurationError, match="No space left on device"):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("name", ["circle", "x" * 300])
def test_a_path_that_leads_nowhere_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ConfigurationError, match=r"cannot be written: .*; choose another path"):
        write_file(tmp_path / name, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["circle"]
