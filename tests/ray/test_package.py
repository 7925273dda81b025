"""Which files of a training are sent, and that equal files are sent once."""

from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import ConfigurationError, RefusedError
from reconciler.platforms.code import digest_of
from reconciler.platforms.ray import package
from reconciler.platforms.ray.package import RUNNER, is_ignored, packed
from tests.ray.orders import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def names_in(home: Home) -> list[str]:
    home.git("add", "-A")
    content = packed(home.code, digest_of(home.code)).content
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_equal_files_make_equal_bytes_whenever_they_were_written(home: Home) -> None:
    first = packed(home.code, digest_of(home.code))
    os.utime(home.code / "train.py", (1, 1))
    assert packed(home.code, digest_of(home.code)).name == first.name
    (home.code / "train.py").write_text("other")
    assert packed(home.code, digest_of(home.code)).name != first.name


def test_a_package_holds_what_git_tracks_and_the_runner(home: Home) -> None:
    (home.code / ".gitignore").write_text("secret.txt\n")
    (home.code / "secret.txt").write_text("not for the cluster")
    assert names_in(home) == [".gitignore", RUNNER, "train.py"]


def test_without_code_a_package_holds_the_runner_alone() -> None:
    content = packed(None, "").content
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == [RUNNER]


def test_files_that_no_job_needs_stay_behind(home: Home) -> None:
    for name in ("tests/test_a.py", "notes/a.md", "notes/keep.md", "__pycache__/a.pyc"):
        (home.code / name).parent.mkdir(exist_ok=True)
        (home.code / name).write_text("x")
    (home.code / ".rayignore").write_text("# none of these\n/tests/\n*.md\n!keep.md\n")
    assert names_in(home) == [".rayignore", "notes/keep.md", RUNNER, "train.py"]


def test_a_list_of_ignored_files_is_read_as_windows_saves_it(home: Home) -> None:
    (home.code / "notes.md").write_text("x")
    (home.code / ".rayignore").write_bytes(b"\xef\xbb\xbf*.md\r\n")
    assert "notes.md" not in names_in(home)
    (home.code / ".rayignore").write_text("*.md\n", encoding="utf-16")
    with pytest.raises(ConfigurationError, match=r"\.rayignore is not UTF-8; save it as UTF-8"):
        names_in(home)


@pytest.mark.parametrize(
    ("pattern", "name", "ignored"),
    [
        ("*.csv", "a/b/c.csv", True),
        ("*.csv", "a.csv.py", False),
        ("data/", "a/data/x", True),
        ("data/", "data", False),
        ("/data", "data/x", True),
        ("/data", "a/data/x", False),
        ("a/*.py", "a/x.py", True),
        ("a/*.py", "a/b/x.py", False),
        ("**/b", "a/b/x", True),
    ],
)
def test_patterns_are_those_of_a_gitignore(pattern: str, name: str, ignored: bool) -> None:
    assert is_ignored(name, [pattern]) is ignored


def test_code_over_the_size_limit_names_its_heaviest_files(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "MOST_BYTES", 2**20)
    (home.code / "weights.bin").write_bytes(os.urandom(2**21))
    (home.code / "small.bin").write_bytes(os.urandom(100))
    with pytest.raises(RefusedError, match=r"larger than 1 MiB.*weights\.bin \(2\.0 MiB\)"):
        names_in(home)


def test_a_link_out_of_the_tree_is_refused(home: Home) -> None:
    (home.code / "outside").symlink_to("../train.csv")
    with pytest.raises(RefusedError, match="leads out of the code"):
        names_in(home)


def test_a_link_inside_the_tree_is_sent_as_the_file(home: Home) -> None:
    (home.code / "alias.py").symlink_to("train.py")
    home.git("add", "-A")
    content = packed(home.code, digest_of(home.code)).content
    read = zipfile.ZipFile(io.BytesIO(content)).read
    assert read("alias.py") == read("train.py")


def test_a_link_to_a_folder_is_refused(home: Home) -> None:
    (home.code / "more").mkdir()
    (home.code / "more" / "a.py").write_text("x")
    (home.code / "alias").symlink_to("more")
    with pytest.raises(RefusedError, match="is no file"):
        names_in(home)


def test_a_file_with_the_name_of_the_runner_is_refused(home: Home) -> None:
    (home.code / RUNNER).write_text("mine")
    with pytest.raises(RefusedError, match="taken by a file of ours"):
        names_in(home)
