"""The files that a training or an application runs: what git tracks in a folder, as it lies there.

Outside of a repository it is every file that is not hidden.

As it lies there, but for what the settings of one clone make of it. With `core.autocrlf` git checks
out CRLF where the commit has LF, and with `core.fileMode=false` it ignores execute bits. So such
line ends are read as LF and such bits are the index's, in the digest and in what is sent or copied
alike. `eol=crlf` in .gitattributes is no setting of a clone, and stays.

The digest is part of the training key, so it must say what runs and nothing else. Names, contents
and execute bits count, since each changes what a command does. Times, owners and the order of a
directory do not: two clones of one commit would be two versions, and each would train.

Tracked files and not all files, because a folder in use fills up. A `__pycache__`, a notebook's
checkpoint or a data set that is only ignored would make each machine's version another one. What is
read is the working tree and not the commit: a person who tries a change must be able to train it,
and whoever plans from a tree with uncommitted changes is told so elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO

from reconciler import git
from reconciler.errors import ConfigurationError

# A text that git checked out with CRLF, as a line of `ls-files --eol` shows it. Not where an
# attribute says so to every clone, nor where git takes the file for no text, as with Git LFS.
_TURNED = re.compile(r"i/lf +w/(?:crlf|mixed) +attr/(?!.*(?:-text|eol=))")


@dataclass(frozen=True)
class File:
    """A file of the code: whether it is a program, and whether its line ends are read as LF."""

    path: Path
    runs: bool
    as_lf: bool = False

    def open(self) -> IO[bytes]:
        """Its content, as every clone has it."""
        if not self.as_lf:
            return self.path.open("rb")
        return io.BytesIO(self.path.read_bytes().replace(b"\r\n", b"\n"))


def file_at(path: Path) -> File:
    """A file as it lies there."""
    return File(path, os.access(path, os.X_OK))


def digest_of(folder: Path, files: Mapping[str, File] | None = None) -> str:
    """64 hex over the names, the contents and the execute bits of the files that git tracks, or of
    those that are given."""
    digest = hashlib.sha256()
    for name, file in (files or files_of(folder)).items():
        if file.path.is_symlink():
            kind, content = "link", os.fsencode(file.path.readlink())
        else:
            kind, content = "run" if file.runs else "file", _content(file)
        digest.update(os.fsencode(f"{kind} {len(content)} {name}\0") + content)
    return digest.hexdigest()


def digest_seen(folder: Path) -> str:
    """The digest of a folder in the state that is seen: a fleet of one folder reads it once."""
    return _digest_of(folder, state_of(folder))


def state_of(folder: Path) -> object:
    """A value that differs where any file of the folder has changed; no content is read."""
    return tuple(sorted(_states(str(folder))))


def _states(folder: str) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(OSError):  # whoever reads the files says what is wrong with one
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from _states(entry.path)
            else:
                seen = entry.stat(follow_symlinks=entry.is_file())
                yield entry.path, seen.st_mtime_ns, seen.st_size


@lru_cache(maxsize=64)
def _digest_of(folder: Path, _: object) -> str:
    return digest_of(folder)


def copy_to(folder: Path, place: Path) -> str:
    """Copy the files to a folder that is not there; the digest of what was copied."""
    place.mkdir(parents=True)
    files = files_of(folder)
    for name, file in files.items():
        copy = place / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file.path, copy, follow_symlinks=False)
        if file.as_lf:
            with file.open() as content:
                copy.write_bytes(content.read())
        if not copy.is_symlink() and os.access(copy, os.X_OK) != file.runs:
            mode = copy.stat().st_mode
            copy.chmod(mode | 0o111 if file.runs else mode & ~0o111)
    return digest_of(place, {name: file_at(place / name) for name in files})


def files_of(folder: Path) -> dict[str, File]:
    """The files below the folder by name, sorted; ConfigurationError where there are none."""
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for some names
        raise ConfigurationError(f"there is no folder {folder}; correct the path of the code")
    found = _tracked(folder)
    if found is None:
        every = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        hidden = (".", "__pycache__")
        shown = (p for p in every if not any(part.startswith(hidden) for part in p.parts))
        found = {str(path): file_at(folder / path) for path in shown}
    if not found:
        raise ConfigurationError(
            f"git tracks no file in {folder}; add them (git add {folder}), or correct the path of "
            "the code"
        )
    return dict(sorted(found.items()))


def why_not_files(folder: Path) -> str:
    """Why storage, which keeps files only, cannot take the folder, by a link in it; "" where it
    can."""
    return _why_not_files(folder, state_of(folder))


@lru_cache(maxsize=64)
def _why_not_files(folder: Path, _: object) -> str:
    link = next((name for name, file in files_of(folder).items() if file.path.is_symlink()), "")
    return (
        f"{link} is a symbolic link; put the file itself there, as storage has none" if link else ""
    )


def _tracked(folder: Path) -> dict[str, File] | None:
    """The files that git tracks below the folder; None where it is in no repository.

    ConfigurationError where git cannot tell, such as in a folder of another user, or in a clone on
    a machine without git: every file in place of the tracked ones would be another version, and
    would take what nobody committed.
    """
    if shutil.which("git") is None:
        whole = folder.resolve()
        clone = next((top for top in (whole, *whole.parents) if (top / ".git").exists()), None)
        if clone is None:
            return None
        why = f"git is not installed, and only git knows which files the clone {clone} tracks"
        raise ConfigurationError(f"{why}; install it")
    done = git.run(folder, "ls-files", "-z", "--cached", "--stage", "--eol", "--", ".")
    try:
        return None if git.outside(done) else _listed(folder, os.fsdecode(git.good(done)))
    except ConfigurationError as exc:  # told as one problem, on one line
        raise ConfigurationError(exc.message.replace("\n", "; ")) from exc


def _listed(folder: Path, listing: str) -> dict[str, File]:
    """The files of git's listing, and of the submodules in it that are fetched."""
    files, by_index = dict[str, File](), dict[str, File]()
    for entry in listing.split("\0")[:-1]:
        staged, ends, name = entry.split("\t", 2)
        mode, path = staged.partition(" ")[0], folder / name
        if mode == "160000" and (path / ".git").exists():
            files |= {f"{name}/{below}": file for below, file in (_tracked(path) or {}).items()}
            continue
        files[name] = file = replace(file_at(path), as_lf=bool(_TURNED.match(ends)))
        if mode.startswith("100") and file.runs != (mode == "100755") and path.exists():
            by_index[name] = replace(file, runs=not file.runs)
    if by_index:
        asked = ("config", "--type=bool", "--default=true", "core.fileMode")
        if git.good(git.run(folder, *asked)).strip() == b"false":
            files |= by_index
    return files


def _content(file: File) -> bytes:
    """The bytes of a tracked file; ConfigurationError where it is gone or not readable."""
    path = file.path
    if path.is_dir():
        raise ConfigurationError(
            f"{path} is a submodule that is not fetched; fetch it (git submodule update --init)"
        )
    try:
        with file.open() as content:
            return content.read()
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise ConfigurationError(
            f"{path} is tracked by git and cannot be read ({why.lower()}); restore it "
            f"(git checkout -- {path})"
        ) from exc
