"""Pure: the tables that models are trained on, their rows, and what is wrong at their head.

A training that fails for want of a column costs as much as one that works. The head of a table
shows it for nothing: whether the file is a text, whether it has a header, and which columns. It is
compared with the columns that the Model declares, and with those of the data that made the version
which serves. Engines differ in what they accept, so only what none of them can read is an error.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping

from reconciler.model import Level
from reconciler.near import near

ENDINGS = (".csv", ".tsv")
MOST_HEAD = 1024 * 1024  # bytes; a longer first line is not judged
MOST_POINTER = 1024  # bytes of a pointer of Git LFS, by its specification
NOT_FETCHED = "it is a pointer of Git LFS and not the file; fetch that (git lfs pull)"
_MOST_NAMED = 5
Flaw = tuple[Level, str]


def is_table(path: str) -> bool:
    """Whether the name of a file says that it is a table of text."""
    return path.casefold().endswith(ENDINGS)


def is_pointer(head: bytes) -> bool:
    """Whether a file only says where Git LFS keeps its content."""
    return head.startswith(b"version https://git-lfs.github.com/spec/")


def data_rows(path: str, content: bytes) -> int | None:
    """The rows below the header that hold something; None where they cannot be counted, as with a
    cell above the limit of the csv module."""
    try:
        rows = _rows(path, content.decode("utf-8", "replace"))
        return max(sum(any(map(str.strip, row)) for row in rows) - 1, 0)
    except csv.Error:
        return None


def fewest_rows(contents: Mapping[str, bytes]) -> int | None:
    """The data rows of the smallest of these tables; None where those of one are not known."""
    counts = [data_rows(path, content) for path, content in contents.items()]
    known = [count for count in counts if count is not None]
    return min(known, default=None) if len(known) == len(counts) else None


def columns_of(path: str, head: bytes) -> tuple[str, ...]:
    """The names in the first line of a table that is not blank; () where they cannot be read."""
    encoding = _encoding(head)
    if not encoding:
        return ()
    lines = _rows(path, codecs.getincrementaldecoder(encoding)().decode(head))
    try:
        first = next((cells for cells in lines if len(cells) > 1 or any(map(str.strip, cells))), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in first)


def _encoding(head: bytes) -> str:
    """The encoding in which a text can be read, "" for what is no text. Every byte is a letter of
    Latin-1, so only NUL bytes and the mark of UTF-16 tell other bytes apart from a text in it."""
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return "" if marked or b"\0" in head else "latin-1"
    return "utf-8-sig"


def flaws(
    path: str, head: bytes, declared: tuple[str, ...], before: tuple[str, ...]
) -> Iterator[Flaw]:
    """Flaws in the head of a table, which has at most MOST_HEAD bytes.

    `declared` are the columns that it must have, `before` those of the data that made the version
    which serves; () where that is not known.
    """
    whole, lines = len(head) < MOST_HEAD, head.lstrip().count(b"\n")
    if not head.strip():
        yield Level.ERROR, "it is empty"
        return
    if is_pointer(head):
        yield Level.ERROR, NOT_FETCHED
        return
    if not whole and not lines:
        return
    columns = columns_of(path, head)
    if not columns or "\0" in "".join(columns):
        yield Level.ERROR, "it is not a table of text"
        return
    if _encoding(head) == "latin-1":
        why = "it is not in UTF-8, and was read as Latin-1; the training must name its encoding"
        yield Level.WARNING, why
    if declared:
        for name in (name for name in declared if name not in columns):
            yield Level.ERROR, f'it has no column "{name}"{near(name, columns)}'
    if all(map(_is_number, columns)):
        yield Level.WARNING, "its first line is numbers: it has no header"
        return
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        yield Level.WARNING, f"it has several columns with the name {_listed(twice)}"
    if whole and data_rows(path, head) == 0:
        yield Level.ERROR, "it has a header and no rows"
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        yield Level.WARNING, "it has one column; its cells are not separated as its ending says"
    elif before:
        yield from _unlike(columns, before)


def _unlike(columns: tuple[str, ...], before: tuple[str, ...]) -> Iterator[Flaw]:
    lost = [name for name in before if name not in columns]
    new = [name for name in columns if name not in before]
    parts = [("lacks", lost), ("has the new", new)]
    if words := [f"{verb} {_listed(names)}" for verb, names in parts if names]:
        why = " and ".join(words)
        yield Level.WARNING, f"unlike the data of the version that serves, it {why}"


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    quoted = [f'"{name}"' for name in names[:_MOST_NAMED]]
    return ", ".join([*quoted, f"and {more} more"] if more > 0 else quoted)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(path: str, text: str) -> Iterator[list[str]]:
    delimiter = "\t" if path.casefold().endswith(".tsv") else ","
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
