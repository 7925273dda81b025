"""One cell of a table gets another text, and everything else stays as it was."""

from __future__ import annotations

import pytest

from reconciler.desired.cells import NewCell, Table
from reconciler.errors import ConfigurationError

FILE = "services/home/fleet.csv"
TABLES = [
    ("plain", "name,replicas\na,2\nb,2\n", "name,replicas\na,2\nb,5\n"),
    ("no last line end", "name,replicas\nb,2", "name,replicas\nb,5"),
    ("CRLF", "name,replicas\r\nb,2\r\na,2\r\n", "name,replicas\r\nb,5\r\na,2\r\n"),
    ("a mark of byte order", "\ufeffname,replicas\nb,2\n", "\ufeffname,replicas\nb,5\n"),
    ("blanks in the head", "name , replicas\nb,2\n", "name , replicas\nb,5\n"),
    ("an empty line", "name,replicas\n\nb,2\n", "name,replicas\n\nb,5\n"),
    ("quotes", 'name,replicas,x\na,"2","1"\nb,2,"p,q"\n', 'name,replicas,x\na,"2","1"\nb,5,"p,q"\n'),
    ("lines", 'name,replicas,x\nb,2,"p\nq"\na,1,2\n', 'name,replicas,x\nb,5,"p\nq"\na,1,2\n'),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [t[1:] for t in TABLES], ids=[t[0] for t in TABLES])
def test_one_cell_changes_and_nothing_else_does(before: str, after: str) -> None:
    cell = Table(FILE, before).cell("name", "b", "replicas", "5")
    assert cell is not None
    assert cell.old == "2"
    assert Table(FILE, before).edited([cell]) == after


def test_a_text_that_needs_quotes_gets_them() -> None:
    table = Table(FILE, "name,title\nb,Ours\n")
    cell = table.cell("name", "b", "title", 'his, "hers"')
    assert cell is not None
    assert table.edited([cell]) == 'name,title\nb,"his, ""hers"""\n'
    assert cell.source.line == 2


def test_two_cells_of_a_row_and_one_of_another_change_together() -> None:
    table = Table(FILE, "name,x,y\na,1,2\nb,3,4\n")
    cells = [table.cell("name", *at, "9") for at in (("a", "x"), ("a", "y"), ("b", "y"))]
    assert table.edited([cell for cell in cells if cell]) == "name,x,y\na,9,9\nb,3,9\n"


@pytest.mark.parametrize(("row", "column"), [("c", "x"), ("a", "z"), ("a", "name")])
def test_what_is_no_cell_or_names_the_row_is_not_to_be_written(row: str, column: str) -> None:
    assert Table(FILE, "name,x\na,1\n").cell("name", row, column, "2") is None


def test_a_table_that_was_changed_meanwhile_is_left_alone() -> None:
    cell = Table(FILE, "name,x\na,1\n").cell("name", "a", "x", "2")
    assert isinstance(cell, NewCell)
    for text in ("name,x\na,7\n", "name,x\nb,1\n", "name,y\na,1\n"):
        with pytest.raises(ConfigurationError, match="changed meanwhile"):
            Table(FILE, text).edited([cell])
