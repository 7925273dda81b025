"""Cells changed inside a CSV file: the text of one cell, and no other byte of other lines.

A row whose cells have no quotes keeps its spelling; another one is written again as a whole. Then
the new text is read again, and must say what the old one said but for those cells.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.desired.files import csv_rows
from reconciler.desired.nodes import problem
from reconciler.desired.tree import CannotReadError
from reconciler.errors import ConfigurationError, Problem
from reconciler.model import Source

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class NewCell:
    """The row of a table whose column `key` has `row` gets `new` in another column, not `old`."""

    source: Source
    key: str
    row: str
    column: str
    old: str
    new: str


@dataclass(frozen=True)
class _Record:
    """A row of a table, and the first and the last but one of its lines."""

    begin: int
    end: int
    cells: list[str]


class Table:
    """A CSV file, whose rows can be found by the text of a column."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
        self._text = text.removeprefix(self._mark)
        self._lines = list(io.StringIO(self._text, newline=""))
        reader, begin = csv.reader(self._lines, strict=True), 0
        self._records = list[_Record]()
        try:
            self._rows = list(csv_rows(self._text))
            for cells in reader:
                self._records += [_Record(begin, reader.line_num, cells)] if cells else []
                begin = reader.line_num
        except CannotReadError as exc:
            found = Problem(path, exc.line, exc.column, exc.message)
            raise ConfigurationError([found]) from exc
        self._head = [name.strip() for name in self._records[0].cells]
        self._numbers: dict[str, dict[str, int]] = {}  # of rows, by column and text

    def cell(self, key: str, row: str, column: str, new: str) -> NewCell | None:
        """The change of a cell; None where there is no such cell, or where it names the row."""
        number = self._number(key, row)
        if number is None or column == key or column not in self._head:
            return None
        place = self._source(number)
        return NewCell(place, key, row, column, self._rows[number][column], new)

    def place(self, key: str, row: str) -> Source | None:
        """Where a row begins; None where there is no such row."""
        number = self._number(key, row)
        return None if number is None else self._source(number)

    def _source(self, number: int) -> Source:
        return Source(self._path, self._records[number + 1].begin + 1, 1)

    def edited(self, cells: Iterable[NewCell]) -> str:
        """The text with other cells; ConfigurationError where it is not what the cells came of."""
        expected = [dict(row) for row in self._rows]
        by_row = defaultdict[int, list[NewCell]](list)
        for cell in cells:
            number = self._number(cell.key, cell.row)
            if number is None or expected[number].get(cell.column) != cell.old:
                why = "the file was changed meanwhile; run this again"
                if number is not None and by_row[number]:
                    why = f"{cell.column} is also that of another field, which drifted otherwise"
                raise ConfigurationError([problem(cell.source, why)])
            expected[number][cell.column] = cell.new
            by_row[number].append(cell)
        lines = list(self._lines)
        for number, changed in by_row.items():
            record = self._records[number + 1]
            lines[record.begin] = self._written(record, changed)
            lines[record.begin + 1 : record.end] = [""] * (record.end - record.begin - 1)
        after = "".join(lines)
        if list(csv_rows(after)) != expected:
            raise AssertionError("a cell was edited, and another one changed")
        return self._mark + after

    def _number(self, key: str, row: str) -> int | None:
        if key not in self._numbers:
            self._numbers[key] = {r[key]: n for n, r in enumerate(self._rows) if key in r}
        return self._numbers[key].get(row)

    def _written(self, record: _Record, changed: Iterable[NewCell]) -> str:
        """The record of a table with its changed cells, quoted as the others are."""
        raw = "".join(self._lines[record.begin : record.end])
        line = raw.rstrip("\r\n")
        plain = line.split(",") if '"' not in raw else []
        cells = list(record.cells)
        for cell in changed:
            at = self._head.index(cell.column)
            cells[at] = cell.new
            plain[at : at + 1] = [_row([cell.new])] if plain else []
        return (",".join(plain) if plain else _row(cells)) + raw[len(line) :]


def _row(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)  # so it puts line ends into quotes
    return out.getvalue().removesuffix("\r\n")
