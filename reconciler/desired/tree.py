"""The files of a tree: which are read, why a file cannot be, and how large all may become."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from reconciler.errors import ConfigurationError, Problem, printable
from reconciler.model import NO_NAME, Source

MAX_BYTES = 1024 * 1024
MOST_VALUES = 3_000_000  # about half a gigabyte, and a hundred thousand bindings
MOST_CHARACTERS = 128 * 1024 * 1024
_WHY = (
    f"the desired state would become more than {MOST_VALUES:,} values or {MOST_CHARACTERS:,} "
    "characters here; declare fewer or shorter ones"
)
# One reader ends a line there and another does not, or nothing is seen: then a reviewer reads
# another text than this program. Joiners are letters' business where they join letters.
_HIDDEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e0fff"
)
_FORBIDDEN = re.compile(
    rf"[{_HIDDEN}]|\r(?!\n)"
    "|(?<![\x80-\U0010ffff])[\u200c\u200d]|[\u200c\u200d](?![\x80-\U0010ffff])"
)
_SUSPECT = re.compile(rf"[{_HIDDEN}\r\u200c\u200d]")  # tells of nearly every text, and at once


@dataclass
class Files:
    """The texts of a tree by path below its root, sorted; and what could not be read."""

    root: Path
    display: str
    texts: dict[PurePosixPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def shown(self, below: PurePosixPath) -> str:
        """A path by which it can be found again: what the root is called, then the way below it.

        What a terminal would obey in it is escaped where it is printed.
        """
        return (self._top / below).as_posix()

    def below(self, path: str) -> PurePosixPath:
        """The path below the root that messages name so."""
        return PurePosixPath(path).relative_to(self._top)

    @cached_property
    def _top(self) -> PurePosixPath:
        return PurePosixPath(self.display)


class CannotReadError(Exception):
    """A file that must not or cannot be read; the message is for people."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    @property
    def placed(self) -> str:
        """The message behind its place in the file, where it has one: for who names the file."""
        place = f"{self.line}:{self.column}: " if self.column else f"{self.line}: "
        return f"{place if self.line else ''}{self.message}"


def read_tree(root: Path, display: str, budget: Budget) -> Files:
    """Every `*.yaml` and `*.yml` below root whose path has no name that begins with . or _."""
    files = Files(root, display)
    if not os.path.isdir(root):  # noqa: PTH112 - Path.is_dir raises where it may not look
        what = "not a folder" if os.path.lexists(root) else "no such folder"
        files.problems.append(
            Problem(
                display, 0, 0, f"{what}; name it with --services, or begin with `reconciler init`"
            )
        )
        return files
    if _leads_out(root):
        message = "a link that leaves the repository; put the folder itself here"
        files.problems.append(Problem(display, 0, 0, message))
        return files
    inside = root.resolve()
    for below, is_link in _names(files, inside, PurePosixPath()):
        path = root / below
        try:
            files.texts[below] = read_text(path, inside) if is_link else _text(path)
        except CannotReadError as exc:
            place = Problem(files.shown(below), exc.line, exc.column, exc.message)
            files.problems.append(place)
        else:
            budget.take(Source(files.shown(below), 1, 1), 10, len(files.texts[below]))
    return files


def _leads_out(root: Path) -> bool:
    """Whether a link on the way to the root leads out of the repository that holds the link.

    Where none does, out of the folder that a person stands in: what is checked may be anybody's
    branch, and its links must not lead to files of the machine.
    """
    here = Path.cwd()
    at = Path(here.anchor)
    for part in (here / root).parts[1:]:
        there = (at / part).resolve()
        if (at / part).is_symlink():
            around = (above for above in (at, *at.parents) if (above / ".git").exists())
            top = next(around, here if at.is_relative_to(here) else None)
            if top is not None and not there.is_relative_to(top):
                return True
        at = there
    return False


def beside(folder: PurePosixPath, name: str) -> PurePosixPath:
    """The path of a file that a document in `folder` names; CannotReadError if it leads out."""
    below = PurePosixPath(name)
    if below.is_absolute() or ".." in below.parts:
        raise CannotReadError("leaves the folder; name a file beside or below this one")
    return folder / below


def read_text(path: Path, inside: Path, most_mib: int = 1) -> str:
    """The text of a file that is not too long; CannotReadError if it is not to be had."""
    try:
        if not path.resolve().is_relative_to(inside):
            raise CannotReadError("a link that leaves the tree; put the file itself here")
    except OSError as exc:
        raise CannotReadError(f"cannot be read: {exc.strerror}") from exc
    except (RuntimeError, ValueError) as exc:  # what pathlib makes of ELOOP; a NUL in the name
        raise CannotReadError("cannot be read: no path to a file") from exc
    return _text(path, most_mib)


def _text(path: Path, most_mib: int = 1) -> str:
    """The text of a file that is known to be inside the tree."""
    most = most_mib * MAX_BYTES
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CannotReadError("not a file")
        if status.st_size > most:
            limit = f"{most_mib} MiB ({most:,}) is the limit"
            message = f"{status.st_size:,} bytes; {limit}; make it smaller, or split it"
            raise CannotReadError(message)
        return _decoded(path.read_bytes())
    except CannotReadError:
        raise
    except FileNotFoundError:
        raise CannotReadError("no such file; correct its name, or add it") from None
    except OSError as exc:
        raise CannotReadError(f"cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL in the name
        raise CannotReadError("cannot be read: no path to a file") from exc


def _decoded(data: bytes) -> str:
    """The text of a file; CannotReadError with line and column for what is no plain UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        # exc.object: the data without a byte order mark, which exc.start does not count
        lines = exc.object[: exc.start].decode("utf-8", "replace").split("\n")
        message = f"byte 0x{exc.object[exc.start]:02x} is not UTF-8; save the file as UTF-8"
        raise CannotReadError(message, len(lines), len(lines[-1]) + 1) from exc
    if text.startswith("version https://git-lfs.github.com/spec/"):
        raise CannotReadError("a pointer of Git LFS and not the file; fetch that (git lfs pull)")
    if wrong := forbidden(text):
        line, column, message = wrong
        raise CannotReadError(message, line, column)
    return text


def forbidden(text: str) -> tuple[int, int, str] | None:
    """Line, column and complaint about the first character that people and programs read unlike.

    Lines are counted as git does.
    """
    match = _FORBIDDEN.search(text) if _SUSPECT.search(text) else None
    if match is None:
        return None
    if match[0] == "\0" and "\0" in text[:2]:
        return 1, 1, "this is UTF-16; save the file as UTF-8"
    before = text[: match.start()]
    line, column = before.count("\n") + 1, match.start() - before.rfind("\n")
    if match[0] == "\r":
        return line, column, "a carriage return alone ends no line for git; end lines with LF"
    return line, column, f"the character U+{ord(match[0]):04X} is not allowed; take it out"


def _names(
    files: Files, inside: Path, folder: PurePosixPath
) -> Iterator[tuple[PurePosixPath, bool]]:
    """The paths to read and whether each is a link, sorted: what the operating system lists first
    must not matter. Folders that are links are not entered, so all else is inside the tree."""
    try:
        with os.scandir(files.root / folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as exc:
        message = f"cannot be read: {exc.strerror}"
        files.problems.append(Problem(files.shown(folder), 0, 0, message))
        return
    for entry in entries:
        below = folder / entry.name
        if entry.name.startswith((".", "_")):
            continue
        if NO_NAME.search(entry.name):
            message = "its name holds a line end or is not text; rename it"
            files.problems.append(Problem(printable(files.shown(below)), 0, 0, message))
            continue
        is_folder = os.path.isdir(entry)  # noqa: PTH112 - DirEntry.is_dir raises on loops
        if is_folder and entry.is_symlink():
            # A link inside the tree would declare everything twice, or lead round in circles.
            leaves = not (files.root / below).resolve().is_relative_to(inside)
            what = "a link that leaves the tree" if leaves else "a link to a folder"
            files.problems.append(
                Problem(files.shown(below), 0, 0, f"{what}; put the folder itself here")
            )
        elif is_folder:
            yield from _names(files, inside, below)
        elif entry.name.lower().endswith((".yaml", ".yml")):
            yield below, entry.is_symlink()


class Budget:
    """The rest of the budget for one tree.

    A few hundred kilobytes can stand for gigabytes: a long text of a `forEach`, a placeholder that
    is repeated in a model, a list of empty lists. A validation of somebody else's branch must not
    fill the machine, so whatever multiplies takes from here first.
    """

    def __init__(self) -> None:
        self._values = MOST_VALUES
        self._characters = MOST_CHARACTERS

    def take(self, where: Source, values: int, characters: int = 0) -> None:
        """Make room for so many more; ConfigurationError where there is none."""
        self._values -= values
        self._characters -= characters
        if self._values < 0 or self._characters < 0:
            problem = Problem(where.path, where.line, where.column, _WHY, rule="file")
            raise ConfigurationError([problem])

    def take_json(self, where: Source, text: str) -> None:
        """Make room for what a JSON text may hold, by its separators; each value has about two."""
        self.take(where, sum(map(text.count, ",[{")) // 2, len(text))
