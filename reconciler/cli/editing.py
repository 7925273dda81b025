"""Files that commands write: texts into the YAML of the desired state, which are shown, tried, and
then written or not; and new files, which are taken away again if need be."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reconciler import git
from reconciler.cli import compose
from reconciler.console import say, write_file
from reconciler.desired.cells import NewCell, Table
from reconciler.desired.edit import NewText, with_texts
from reconciler.errors import ConfigurationError
from reconciler.model import Desired


def make_edits(texts: Iterable[NewText | NewCell]) -> list[Edit]:
    """One edit per file; ConfigurationError where a version cannot be written."""
    by_path = defaultdict(list)
    for text in texts:
        by_path[text.source.path].append(text)
    return [_edit(path, group) for path, group in by_path.items()]


def loaded(services: Path, edits: Iterable[Edit], *only: str) -> dict[str, Desired]:
    """The desired state as it would be with the edits, of the environments that are asked for."""
    instead = {
        PurePosixPath(edit.path).relative_to(services.as_posix()): edit.after.decode("utf-8-sig")
        for edit in edits
    }
    return compose.loaded(services, only=only, instead=instead)


def finish(edits: Sequence[Edit], *, dry_run: bool) -> None:
    """Write every file, or none if one of them is not what was read."""
    for edit in edits:
        if content_of(edit.path) != edit.before:
            raise _changed(edit.path)
    for edit in edits:
        if not dry_run:
            write_file(Path(edit.path), edit.after, Path(edit.path).stat().st_mode & 0o7777)
        say(f"{'would write' if dry_run else 'wrote'} {edit.path}")


@dataclass(frozen=True)
class Edit:
    """A file before and after."""

    path: str
    before: bytes
    after: bytes
    texts: tuple[NewText | NewCell, ...] = ()

    def on(self, text: str) -> str:
        """Another content of the file, with the new texts in it."""
        return _with(self.path, text, self.texts)

    def __str__(self) -> str:
        """The unified diff, as git and patch read it."""
        name = self.path.lstrip("/")
        before, after = _lines(self.before), _lines(self.after)
        lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
        unended = "\n\\ No newline at end of file\n"
        return "".join(line if line.endswith("\n") else line + unended for line in lines)


def _lines(data: bytes) -> list[str]:
    return list(io.StringIO(data.decode(), newline="\n"))


def _with(path: str, text: str, texts: Iterable[NewText | NewCell]) -> str:
    every = list(texts)
    cells = [new for new in every if isinstance(new, NewCell)]
    if cells:  # the file is a table
        return Table(path, text).edited(cells)
    return with_texts(path, text, [new for new in every if isinstance(new, NewText)])


def _edit(path: str, texts: Sequence[NewText | NewCell]) -> Edit:
    before = content_of(path)
    try:
        after = _with(path, before.decode(), texts).encode()
        return Edit(path, before, after, tuple(texts))
    except UnicodeDecodeError as exc:
        raise _changed(path) from exc


def content_of(path: str) -> bytes:
    """The bytes of a file of the tree; ConfigurationError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        why = f"cannot be read: {exc.strerror}; run this again when it can"
        raise ConfigurationError.of_file(path, why) from exc


def _changed(path: str) -> ConfigurationError:
    return ConfigurationError.of_file(path, "the file was changed meanwhile; run this again")


# --- new files -----------------------------------------------------------------------------------


class Made:
    """The files that were written, each where there was none, and their folders."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._folders: list[Path] = []
        self._told: tuple[Path, list[str]] | None = None

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, or say that it is left as it is."""
        try:
            self._folders += [parent for parent in path.parents if not parent.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                self._paths.append(path)
                file.write(content)
        except FileExistsError as exc:
            if not path.exists():  # a file is where a folder must be, or a link leads nowhere
                why = f"{exc.filename} is there"
                raise ConfigurationError(f"{path} cannot be written: {why}") from exc
            same = path.is_file() and path.read_bytes() == content
            say(f"{path} is there{' already' if same else ', and is left as it is'}")
            return
        except OSError as exc:
            why = exc.strerror or str(exc)
            raise ConfigurationError(f"{path} cannot be written: {why}") from exc
        say(f"wrote {path}")

    def tell_git(self, folder: Path) -> None:
        """Let git track what was written, without its content: code that git does not track is no
        part of how a version is made. Files that git ignores stay so."""
        if self._paths and repository(folder) is not None:
            names = [str(path.resolve()) for path in self._paths]
            git.run(folder, "add", "--intent-to-add", "--", *names)
            self._told = (folder, names)

    def undo(self) -> None:
        """Take away what was written: beside it the desired state is not valid."""
        if self._told is not None:
            folder, names = self._told
            git.run(folder, "rm", "--cached", "--quiet", "--ignore-unmatch", "--", *names)
        for path in self._paths:
            path.unlink(missing_ok=True)
        for folder in sorted(self._folders, reverse=True):  # what is below comes first
            with contextlib.suppress(OSError):  # somebody put something there meanwhile
                folder.rmdir()
        if self._paths:
            count = len(self._paths)
            files = "the file" if count == 1 else f"the {count} files"
            say(f"removed {files} that this command wrote")


def repository(folder: Path) -> Path | None:
    """The root of the repository that holds a folder, None where there is none."""
    here = Path(os.path.realpath(folder))
    return next((parent for parent in (here, *here.parents) if (parent / ".git").exists()), None)
