"""The files that a training or an application runs: what git tracks in a folder, as it lies there.

Outside of a repository it is every file that is not hidden.

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
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from reconciler import git
from reconciler.errors import ConfigurationError


def digest_of(folder: Path, names: Sequence[str] = ()) -> str:
    """64 hex over the names, the contents and the execute bits of the files that git tracks, or of
    those that are named."""
    digest = hashlib.sha256()
    for name in names or files_of(folder):
        path = folder / name
        if path.is_symlink():
            kind, content = "link", os.fsencode(path.readlink())
        else:
            kind, content = "run" if os.access(path, os.X_OK) else "file", _content(path)
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
    names = files_of(folder)
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, place / name, follow_symlinks=False)
    return digest_of(place, names)


def files_of(folder: Path) -> list[str]:
    """The names of the files below the folder, sorted; ConfigurationError where there are none."""
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for some names
        raise ConfigurationError(f"there is no folder {folder}; correct the path of the code")
    found = _tracked(folder)
    if found is None:
        every = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        hidden = (".", "__pycache__")
        found = [str(p) for p in every if not any(part.startswith(hidden) for part in p.parts)]
    if not found:
        raise ConfigurationError(
            f"git tracks no file in {folder}; add them (git add {folder}), or correct the path of "
            "the code"
        )
    return sorted(found)


def why_not_files(folder: Path) -> str:
    """Why storage, which keeps files only, cannot take the folder, by a link in it; "" where it
    can."""
    return _why_not_files(folder, state_of(folder))


@lru_cache(maxsize=64)
def _why_not_files(folder: Path, _: object) -> str:
    link = next((name for name in files_of(folder) if (folder / name).is_symlink()), "")
    return (
        f"{link} is a symbolic link; put the file itself there, as storage has none" if link else ""
    )


def _tracked(folder: Path) -> list[str] | None:
    """The names that git tracks below the folder; None where it is in no repository.

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
    done = git.run(folder, "ls-files", "-z", "--cached", "--recurse-submodules", "--", ".")
    try:
        return None if git.outside(done) else os.fsdecode(git.good(done)).split("\0")[:-1]
    except ConfigurationError as exc:  # told as one problem, on one line
        raise ConfigurationError(exc.message.replace("\n", "; ")) from exc


def _content(path: Path) -> bytes:
    """The bytes of a tracked file; ConfigurationError where it is gone or not readable."""
    if path.is_dir():
        raise ConfigurationError(
            f"{path} is a submodule that is not fetched; fetch it (git submodule update --init)"
        )
    try:
        return path.read_bytes()
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise ConfigurationError(
            f"{path} is tracked by git and cannot be read ({why.lower()}); restore it "
            f"(git checkout -- {path})"
        ) from exc
