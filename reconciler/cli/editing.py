"""Texts written into the YAML of the desired state: shown, tried, and then written, or not."""

from __future__ import annotations

import difflib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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
