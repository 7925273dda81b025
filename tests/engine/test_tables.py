"""What is wrong with the head of a table that a model is to be trained on."""

from __future__ import annotations

import pytest

from reconciler.engine import tables
from reconciler.model import Level

E, W = Level.ERROR, Level.WARNING
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
GOOD = b"age,income\n39,1\n"
LONG = b"age\n" + b"1" * 140_000 + b"\n"
LATIN = "it is not in UTF-8, and was read as Latin-1; the training must name its encoding"


@pytest.mark.parametrize(
    ("path", "content", "declared", "before", "wrong"),
    [
        ("a.csv", GOOD, (), (), []),
        ("a.csv", GOOD, ("income",), ("age", "income"), []),
        ("a.csv", b"\xef\xbb\xbf" + GOOD, ("age",), (), []),
        ("a.tsv", b"age\tincome\r\n39\t1\r\n", ("income",), (), []),
        ("a.csv", b'"a,ge","in\ncome"\n1,2\n', ("a,ge", "in\ncome"), (), []),
        ("a.csv", b" \n", (), (), [(E, "it is empty")]),
        ("a.csv", b"age,income\n", (), (), [(E, "it has a header and no rows")]),
        ("a.csv", b"PAR1\x00\x00\n", (), (), [(E, "it is not a table of text")]),
        ("a.csv", b"\xff\xfea\x00\n", (), (), [(E, "it is not a table of text")]),
        ("a.csv", "größe,ort\n1,Köln\n".encode("latin-1"), ("größe",), (), [(W, LATIN)]),
        ("a.csv", "age\nKöln\n".encode("latin-1"), ("age",), ("age",), [(W, LATIN)]),
        ("a.csv", b"\xe4ge\n\x00\n", (), (), [(E, "it is not a table of text")]),
        ("a.csv", POINTER, ("age",), (), [(E, tables.NOT_FETCHED)]),
        ("a.csv", "年\n1\n".encode("utf-16"), (), (), [(E, "it is not a table of text")]),
        ("a.csv", b"\n \r\n" + GOOD, ("age",), ("age", "income"), []),
        ("a.csv", LONG, ("age",), (), []),
        ("a.csv", b"39,1\n40,0\n", (), (), [(W, "its first line is numbers: it has no header")]),
        ("a.csv", b"a,b,a\n1,2,3\n", (), (), [(W, 'it has several columns with the name "a"')]),
        (
            "a.csv",
            b"age;income\n1;2\n",
            (),
            ("age", "income"),
            [(W, "it has one column; its cells are not separated as its ending says")],
        ),
        (
            "a.csv",
            GOOD,
            ("Age",),
            (),
            [(E, 'it has no column "Age"; did you mean "age"?')],
        ),
        (
            "a.csv",
            GOOD,
            (),
            ("age", "sex"),
            [
                (
                    W,
                    'unlike the data of the version that serves, it lacks "sex" and has the new '
                    '"income"',
                )
            ],
        ),
    ],
)
def test_the_head_of_a_table(
    path: str,
    content: bytes,
    declared: tuple[str, ...],
    before: tuple[str, ...],
    wrong: list[tables.Flaw],
) -> None:
    assert list(tables.flaws(path, content, declared, before)) == wrong


def test_a_head_that_is_cut_is_not_judged_beyond_its_end() -> None:
    header = b"a,b\n" + b"1,2\n" * (tables.MOST_HEAD // 4)
    assert list(tables.flaws("a.csv", header[: tables.MOST_HEAD], ("b",), ())) == []
    wide = b",".join([b"x"] * tables.MOST_HEAD)[: tables.MOST_HEAD]
    assert list(tables.flaws("a.csv", wide, ("b",), ())) == []


def test_rows_that_cannot_be_counted_are_not_taken_for_none() -> None:
    assert tables.data_rows("a.csv", GOOD) == 1
    assert tables.data_rows("a.csv", LONG) is None
    assert tables.fewest_rows({"a.csv": GOOD, "b.csv": b"age\n"}) == 0
    assert tables.fewest_rows({"a.csv": GOOD, "b.csv": LONG}) is None
    assert tables.fewest_rows({}) is None
