"""What strict YAML refuses, and the guesses of YAML 1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import VERSION, Row, binding, each, model, said_of, whole
from tests.desired.trees import BINDING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAME = "  name: churn\n"
BOMB = """\
a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c]
"""
DEEP = f"a: &a {'[' * 30}{']' * 30}\nb: &b {'[' * 30}*a{']' * 30}\n"

YAML = [
    binding(
        "a duplicate key names both lines",
        "    name: churn\n",
        "    name: churn\n    name: other\n",
        '9:5: "name" is in line 8 and again in line 9; keep one',
    ),
    binding(
        "a control character behind an escape is refused",
        NAME,
        f'{NAME}  labels: {{a: "x\\e[31m", b: "two\\n\\tlines", c: "\\u00fc"}}\n',
        "5:15: the character U+001B is not allowed; take its escape out",
    ),
    binding("a tab is a tab", "  name: churn", "\tname: x", "4:1: a tab; indent with spaces"),
    binding(
        "a no-break space is no space",
        "  name: churn",
        " \u00a0name: churn\n  labels: {}",
        "4:2: a blank that is no space (U+00A0); indent with spaces",
    ),
    binding(
        "a conflict of git is named where it begins",
        "kind: ",
        "<<<<<<< HEAD\nkind: ",
        "2:1: a conflict of a merge; resolve it",
    ),
    binding(
        "a tab after spaces is a tab",
        "webService: churn",
        "webService:\n  \t- churn",
        "7:3: a tab; indent with spaces",
    ),
    binding(
        "a merge key is refused and what it would bring is not called missing",
        f"    name: churn\n    version: {VERSION}",
        "    <<: {name: churn}\n    version: a",
        "8:5: a merge key (<<); write the properties out",
    ),
    binding(
        "a tag is refused", VERSION, "!secret abc", "9:14: a tag (!); write the value without it"
    ),
    binding(
        "a tag of Python is refused",
        VERSION,
        "!!python/object/apply:os.system [ls]",
        "9:14: a tag (!); write the value without it",
        "9:14: spec.model.version: a list is here; write a text",
    ),
    binding(
        "a value that contains itself is refused",
        "metadata:\n",
        "metadata: &m\n  labels: {a: *m}\n",
        "4:15: the alias *m contains itself; write the values out",
    ),
    binding(
        "an alias without an anchor is refused",
        VERSION,
        "*v",
        "9:14: the alias *v has no anchor &v before it; write the values out",
    ),
    whole(
        "many aliases are refused",
        "binding",
        f"a: &a x\nb: [{', '.join(['*a'] * 33)}]\n",
        "2:133: more than 32 aliases in one document; write the values out",
    ),
    whole(
        "an alias bomb is refused",
        "binding",
        BOMB,
        "4:12: the aliases stand for more than 2000 values; write the values out",
    ),
    whole(
        "deep nesting is refused",
        "binding",
        "[" * 60,
        "1:52: nested deeper than 50 levels; write it flatter",
    ),
    whole(
        "aliases do not hide deep nesting",
        "binding",
        DEEP,
        "2:37: nested deeper than 50 levels; write it flatter",
    ),
    binding(
        "a number as a key is refused",
        NAME,
        f"{NAME}  labels: {{1: x}}\n",
        '5:12: the key 1 is a number; write "1"',
    ),
    binding(
        "a boolean as a key is refused",
        NAME,
        f"{NAME}  labels: {{no: x}}\n",
        '5:12: the key no is a boolean; write "no"',
    ),
    binding(
        "a list as a key is refused",
        NAME,
        f"{NAME}  labels: {{[a]: x}}\n",
        "5:12: a key must be text",
    ),
    binding(
        "an empty key is refused",
        NAME,
        f"{NAME}  labels: {{? : x}}\n",
        "5:14: a key is missing here",
    ),
    whole(
        "a text that has no end is shown where it begins",
        "binding",
        'kind: WebService\nspec: "x\n\n\n',
        "2:7: not YAML: found unexpected end of stream",
    ),
    whole(
        "a mapping that has no end is shown where it begins",
        "binding",
        "kind: WebService\nspec: {a: b\n\n",
        "2:7: not YAML: did not find expected ',' or '}'",
    ),
    whole(
        "a value that never came is missed at the last character",
        "binding",
        "kind: WebService\nspec: [1,\n\n",
        "2:9: not YAML: did not find expected node content",
    ),
    binding(
        "what is not YAML says where",
        "churn-predictive",
        "churn: predictive",
        "6:20: not YAML: mapping values are not allowed in this context",
    ),
    whole(
        "bytes that are not UTF-8 say where",
        "binding",
        b"a: b\nc: \xfc\n",
        "2:4: byte 0xfc is not UTF-8; save the file as UTF-8",
    ),
    whole(
        "UTF-16 is not UTF-8",
        "binding",
        BINDING.encode("utf-16"),
        "1:1: byte 0xff is not UTF-8; save the file as UTF-8",
    ),
    whole(
        "UTF-16 without its mark is not called a control character",
        "binding",
        BINDING.encode("utf-16-be"),
        "1:1: this is UTF-16; save the file as UTF-8",
    ),
    whole(
        "a control character says where",
        "binding",
        "a: b\nc: x\x00y\n",
        "2:5: the character U+0000 is not allowed; take it out",
    ),
]

# What ends a line or is seen for one reader and not for another.
HIDDEN = [
    "\x0b",
    "\x0c",
    "\x85",
    "\xad",
    "\u061c",
    "\u200b",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
]
HIDDEN += ["\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\u3164", "\ufeff", "\U000e0041"]
HIDDEN += ["x\u200d", "x\u200c"]
YAML += [
    binding(
        f"U+{ord(char[-1]):04X} is refused, in a comment too",
        "webService: churn-predictive",
        f"webService: churn-predictive  # see{char}  adopt: true",
        f"6:{37 + len(char)}: the character U+{ord(char[-1]):04X} is not allowed; take it out",
    )
    for char in HIDDEN
]
YAML += [
    binding(
        "a carriage return alone is refused",
        "webService: churn-predictive",
        "webService: churn-predictive  # see\r  adopt: true",
        "6:38: a carriage return alone ends no line for git; end lines with LF",
    ),
    binding("joiners may join", "churn-predictive", "churn-predictive  # می\u200cخواهم 👩\u200d💻"),
    binding(
        "half of a number behind a comma is told as such",
        f"model:\n    name: churn\n    version: {VERSION}",
        "model: {name: churn, version: 1,5}",
        '7:35: a comma ends a value inside { }; quote it whole, as "1,5"',
    ),
]

NO_VERSION = (  # with quotes neither
    "is not a version; use at most 127 letters, digits, dots, dashes and underscores, and begin with "
    "a letter or digit"
)
WHY = "(versions are text, or 1.10 becomes 1.1)"
BOOLEAN = "(YAML reads it as true or false)"
WRITTEN = {
    "4": f'4 is a number; write "4" {WHY}',
    "-3": f"-3 {NO_VERSION}",
    "1.10": f'1.10 is a number; write "1.10" {WHY}',
    "007": f'007 is a number; write "007" {WHY}',
    "1_000": f'1_000 is a number; write "1_000" {WHY}',
    "0x1F": f'0x1F is a number; write "0x1F" {WHY}',
    ".inf": f".inf {NO_VERSION}",
    "1e3": f'1e3 is a number; write "1e3" {WHY}',
    "12e45": f'12e45 is a number; write "12e45" {WHY}',
    "7E+10": f"7E+10 {NO_VERSION}",
    "1.e3": f'1.e3 is a number; write "1.e3" {WHY}',
    "08": f'08 is a number; write "08" {WHY}',
    "0o17": f'0o17 is a number; write "0o17" {WHY}',
    "0O17": f'0O17 is a number; write "0O17" {WHY}',
    "0X1f": f'0X1f is a number; write "0X1f" {WHY}',
    "0.1e1_0": f'0.1e1_0 is a number; write "0.1e1_0" {WHY}',
    "-0o1": f"-0o1 {NO_VERSION}",
    ".5": f".5 {NO_VERSION}",
    "+.inf": f"+.inf {NO_VERSION}",
    ".NaN": f".NaN {NO_VERSION}",
    "y": f'y is a boolean; write "y" {BOOLEAN}',
    "N": f'N is a boolean; write "N" {BOOLEAN}',
    "no": f'no is a boolean; write "no" {BOOLEAN}',
    "On": f'On is a boolean; write "On" {BOOLEAN}',
    "2026-10-01": '2026-10-01 is a date; write "2026-10-01" (YAML reads it as a day)',
    "1:30": f"1:30 {NO_VERSION}",
    "~": '~ is null; write a text, or "" if it is to be empty',
    "null": 'null is null; write a text, or "" if it is to be empty',
    "": 'empty; write a text, or "" if it is to be empty',
    "[a]": "a list is here; write a text",
    "{a: b}": "a mapping is here; write a text",
}
GUESSES = [
    binding(
        f"a version written as {written or 'nothing'}",
        f" {VERSION}",
        f" {written}" if written else "",
        f"9:{14 if written else 13}: spec.model.version: {message}",
    )
    for written, message in WRITTEN.items()
]
GUESSES += [
    model(
        "a threshold that is a number keeps its digits",
        '"0.85"',
        "0.850",
        '11:30: spec.accept[0].atLeast: 0.850 is a number; write "0.850" '
        "(this is text, or 1.10 becomes 1.1)",
    ),
    model(
        "a parameter that YAML reads in base 60 is told as such",
        "    outputs:",
        "    parameters: {pause: 1:30}\n    outputs:",
        '8:25: spec.training.parameters.pause: 1:30 is a number in base 60; write "1:30" '
        "(YAML reads 1:30 as 90)",
    ),
]


TEXTS = ["1.10.2", "1e", "e3", "0o8", "2026-10", "v1", "0x", "1_a", "12e", "6063e25f", "a1"]
FINE = [binding(f"{text} is text", VERSION, text) for text in TEXTS]


@each(YAML + GUESSES + FINE)
def test_yaml_that_guesses_or_surprises_is_told_how_to_write_it(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected
