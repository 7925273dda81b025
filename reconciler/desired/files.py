"""Files that documents name: JSON of bindings, and tables of generators."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.desired.nodes import Guess, read
from reconciler.desired.tree import Budget, CannotReadError, beside, read_text
from reconciler.model import Source
from reconciler.platforms.platform import Maker, Wanted
from reconciler.secrecy import looks_secret
from reconciler.strict_json import parse_json

_OTHER_MARK = re.compile(r"[;\t|]|^sep=")  # by which spreadsheets separate cells, too
Row = dict[str, str]  # by placeholder: `location`, `location.region`


class JsonFiles:
    """The JSON files that the documents of a tree name.

    Each is read once, however many bindings name it, and a text that many are made of is kept once:
    both take from the budget before they are there.
    """

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root, self._inside = root, Path(os.path.realpath(root))
        self._budget = budget
        self._made: dict[tuple[PurePosixPath, Maker], Any] = {}
        self._texts: dict[str, str] = {}

    def read(self, source: Source, folder: PurePosixPath, name: str, kind: Wanted) -> Any:
        """The value made of the object in a file; CannotReadError says why there is none."""
        below = beside(folder, name)
        key = below, kind.make
        if key not in self._made:
            try:
                self._made[key] = self._read(source, below, kind)
            except CannotReadError as exc:
                self._made[key] = exc
        if isinstance(made := self._made[key], CannotReadError):
            raise made
        return made

    def _read(self, source: Source, below: PurePosixPath, kind: Wanted) -> Any:
        """The value made of a file below the folder; CannotReadError with the place in it."""
        text = read_text(self._root / below, self._inside, kind.most_mib)
        self._budget.take_json(source, text)
        if looks_secret(text):
            raise CannotReadError(f"holds what looks like a secret; {kind.no_secrets}")
        try:
            return kind.make(read_object(text, kind.beginning))
        except ValueError as exc:
            raise CannotReadError(str(exc)) from exc

    def keep(self, source: Source, text: str) -> str:
        """The text, kept once."""
        if text not in self._texts:
            self._budget.take(source, 1, len(text))
        return self._texts.setdefault(text, text)


def read_object(text: str, beginning: str) -> dict[str, Any]:
    """The JSON object; CannotReadError if it is none. `beginning` is how a right one begins."""
    try:
        value = parse_json(text, unique=True)
    except json.JSONDecodeError as exc:
        raise CannotReadError(
            f"not JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}"
        ) from exc
    except ValueError as exc:
        raise CannotReadError(f"not JSON that a service could read: {exc}") from exc
    if not isinstance(value, dict):
        raise CannotReadError(f"not a JSON object; begin with {beginning}")
    return value


def csv_rows(text: str) -> Iterator[Row]:
    """The rows by column; CannotReadError with the line of what is wrong."""
    # Never split before the parser that knows quotes; a cell is alike whatever git checked out.
    reader = csv.reader(io.StringIO(text.replace("\r\n", "\n"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise CannotReadError("the file is empty; its first line must name the columns", 1)
        if "" in header:
            raise CannotReadError("a column has no name", 1)
        if len(header) == 1 and _OTHER_MARK.search(header[0]):
            raise CannotReadError("cells are not separated by commas; save it with commas", 1)
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise CannotReadError(f'the column "{twice}" is there twice', 1)
        for row in reader:
            if not row:
                continue
            if row[0].startswith("<<<<<<< "):
                raise CannotReadError("a conflict of a merge; resolve it", reader.line_num)
            if len(row) != len(header):
                cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
                message = f"{cells} where the header has {len(header)}"
                raise CannotReadError(message, reader.line_num)
            if not all(row):
                message = f'the cell of "{header[row.index("")]}" is empty'
                raise CannotReadError(message, reader.line_num)
            for name, cell in zip(header, row, strict=True):
                if cell.strip() != cell.strip("\n"):
                    message = f'the cell of "{name}" begins or ends with a blank; take it out'
                    raise CannotReadError(message, reader.line_num)
            yield dict(zip(header, row, strict=True))
    except csv.Error as exc:
        raise CannotReadError(f"not CSV: {exc}", reader.line_num) from exc


def yaml_rows(path: str, text: str, name: str) -> Iterator[Row]:
    """A list of texts, or of mappings of texts."""
    documents, problems, _ = read(path, text)
    if problems:
        raise CannotReadError(problems[0].message, problems[0].line, problems[0].column)
    if len(documents) != 1 or not isinstance(documents[0].data, list):
        raise CannotReadError("must be one list, of texts or of mappings of texts", 1)
    first: Row | None = None
    for index, item in enumerate(documents[0].data):
        row = {name: item} if isinstance(item, (str, int, Guess)) else item
        if not isinstance(row, dict) or not all(isinstance(v, str) for v in row.values()):
            line = documents[0].at(index).line
            raise CannotReadError("must be a text, or a mapping of texts; quote numbers", line)
        first = row if first is None else first
        if others := sorted(row.keys() ^ first.keys()):
            line = documents[0].at(index).line
            what = f'"{others[0]}" is in some entries only; give it to all, or to none'
            raise CannotReadError(what, line)
        yield row
