"""Files that a command makes, each where there was none, and takes away again if need be."""

from __future__ import annotations

import contextlib
from pathlib import Path

from reconciler import git
from reconciler.console import say
from reconciler.errors import ConfigurationError


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
    here = folder.resolve()
    return next((parent for parent in (here, *here.parents) if (parent / ".git").exists()), None)
