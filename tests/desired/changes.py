"""Rows of the tables: one file of the good tree changed, and exactly what is said about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.desired.trees import BINDING, ENVIRONMENT, GOOD, MODEL, complaints, write

BASE64_KEY = "A" * 86 + "=="
HEX_TOKEN = "a0885f91744d819c" * 2
VERSION = '"2026-10"'
FILES = {"binding": "churn.yaml", "model": "models/churn.yaml", "environment": "environment.yaml"}


@dataclass(frozen=True)
class Row:
    """A sentence, a file with its content (None: it is not there), and the complaints."""

    sentence: str
    path: str
    content: str | bytes | None
    expected: tuple[str, ...]


def whole(sentence: str, path: str, content: str | bytes | None, *said: str) -> Row:
    """A row with a new file; what begins with a line number is said of that file."""
    path = FILES.get(path, path)
    expected = (f"{path}:{each}" if re.match(r"\d+:", each) else each for each in said)
    return Row(sentence, path, content, tuple(expected))


def binding(sentence: str, old: str, new: str, *said: str) -> Row:
    """A row with the good binding, one thing changed."""
    return whole(sentence, "binding", _changed(BINDING, old, new), *said)


def model(sentence: str, old: str, new: str, *said: str) -> Row:
    """A row with the good model, one thing changed."""
    return whole(sentence, "model", _changed(MODEL, old, new), *said)


def environment(sentence: str, old: str, new: str, *said: str) -> Row:
    """A row with the good environment, one thing changed."""
    return whole(sentence, "environment", _changed(ENVIRONMENT, old, new), *said)


def each(rows: list[Row]) -> pytest.MarkDecorator:
    """The decorator that makes one test of every row."""
    return pytest.mark.parametrize("row", rows, ids=[row.sentence for row in rows])


def said_of(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """What loading says; the root is typed as `.`, so that rows need not repeat it."""
    monkeypatch.chdir(write(tmp_path / "services", {**GOOD, row.path: row.content}))
    return tuple(complaints(Path()))


def _changed(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new, 1)
