"""Cells and lines: how wide text is, how it is cut and wrapped, what must not reach a terminal.

Everything that is printed passes `visible`: a name or a service's message may hold escape
sequences, newlines or bidirectional controls, and none of them may move a cursor, forge a line
or turn a line around. They are shown as escapes instead, so that a reader sees what was there.

Width is counted in cells and not in characters: a Chinese sign takes two, and a table that counts
characters is crooked wherever a name is not English. A combining accent is counted as if it took
one, so a row may be shorter than thought and never longer. Cutting keeps to the same count: half of
a wide sign is never printed.

Escapes are shown and not removed. A name of which the invisible part was dropped looks like another
name, and that is what whoever put it there had in mind.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
M = TypeVar("M")

NARROWEST = 20  # below this no document can be laid out; wider than this no line is too long
ROOMY = 60  # a narrower terminal gets two lines where a row does not fit one

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ASCII = {
    "→": "->",
    "✓": "ok",
    "✗": "FAILED",
    "○": "o",
    "·": "-",
    "×": "x",
    "…": "...",
    "–": "-",
    "—": "-",
}
_COLORS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
_UNUSUAL = re.compile(r"[^ -~]")
_PRINTABLE_ASCII = re.compile(r"[ -~]*\Z")

# A comparison by culture, which the runner makes, passes over what is no printable ASCII.
_PASSED_OVER = r"[^\x20-\x7e\r\n]*"
_AT_THE_START = re.compile(rf"(\A|[\r\n])([^\x21-\x7e\r\n]*):(?={_PASSED_OVER}:)")
_ANYWHERE = re.compile(rf"(#{_PASSED_OVER}#{_PASSED_OVER})\[")


def visible(text: str) -> str:
    """The text with every control, format and separator character written as an escape."""
    if _PRINTABLE_ASCII.match(text):
        return text
    return "".join(_shown(char) for char in text)


def shown(text: str) -> str:
    """The text as `visible` has it, but with blanks of any width as they are."""
    return _UNUSUAL.sub(lambda char: _shown(char[0]) if is_hidden(char[0]) else char[0], text)


def is_hidden(char: str) -> bool:
    """Whether a character controls the display instead of being displayed."""
    return unicodedata.category(char) in _HIDDEN


def _shown(char: str) -> str:
    if not is_hidden(char):
        return " " if unicodedata.category(char) == "Zs" else char
    return _SHORT.get(char) or ascii(char)[1:-1]


def ascii_text(text: str) -> str:
    """The text in ASCII: our own signs by their names, anything else as an escape."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _ASCII.get(c) or ascii(c)[1:-1] for c in text)


def disarmed(text: str) -> str:
    """The text without anything that a runner of GitHub obeys; JSON stays the JSON that it was.

    A runner obeys every line that begins with `::`, and every `##[` in the middle of one. No line
    of JSON begins with a colon, and in its strings an escape is the character itself.
    """
    text = _AT_THE_START.sub(r"\1\2\\u003a", text)
    return _ANYWHERE.sub(r"\1\\u005b", text)


def cells(text: str) -> int:
    """How many terminal cells the text takes; combining characters count, so never too few."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, room: int) -> str:
    """The text, followed by blanks up to so many cells."""
    return text + " " * max(0, room - cells(text))


def cut(text: str, room: int, sign: str = "…", end: float = 0.5) -> str:
    """The text when it fits the room; else its beginning and end around the sign. `end` is the
    share of the room that the end gets."""
    if cells(text) <= room:
        return text
    left = room - cells(sign)
    if left <= 0:
        return _beginning(text, room)
    tail = _beginning(text[::-1], int(left * end))[::-1]
    return _beginning(text, left - cells(tail)) + sign + tail


def _beginning(text: str, room: int) -> str:
    taken = 0
    for place, char in enumerate(text):
        taken += _cells_of(char)
        if taken > room:
            return text[:place]
    return text


def wrap(text: str, room: int, sign: str = "…") -> list[str]:
    """The words of the text in lines that fit the room; a word that does not fit is cut, or,
    without a sign, goes on in the next line."""
    lines: list[str] = []
    line = ""
    fitting = ([cut(word, room, sign)] if sign else _parts(word, room) for word in text.split())
    for word in chain.from_iterable(fitting):
        longer = f"{line} {word}" if line else word
        if cells(longer) > room:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines


def _parts(word: str, room: int) -> list[str]:
    parts = []
    while word:
        parts.append(_beginning(word, room) or word[0])
        word = word[len(parts[-1]) :]
    return parts


def counted(count: int, what: str) -> str:
    """`1 binding`, `2,000 bindings`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def few(names: Sequence[str], most: int = 1) -> str:
    """`a, b and 3 more`: no more than so many of the names."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def alike(members: Iterable[M], key: Callable[[M], K]) -> dict[K, list[M]]:
    """The members in groups of one key, both in the order in which they come."""
    groups: dict[K, list[M]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return groups


def listed(texts: Iterable[str]) -> list[str]:
    """The texts that say something, each once, in their order."""
    return [text for text in dict.fromkeys(texts) if text]


@dataclass(frozen=True)
class Look:
    """How lines look: their width, colours, character set, and how much is told."""

    asked_width: int = 80
    color: bool = False
    ascii_only: bool = False
    verbose: bool = False

    @property
    def width(self) -> int:
        """The most cells a line may take."""
        return max(self.asked_width, NARROWEST)

    @property
    def sign(self) -> str:
        """The sign in place of text that was cut out."""
        return "..." if self.ascii_only else "…"

    def clean(self, text: str) -> str:
        """The text as it can be printed: nothing hidden, and ASCII where only ASCII works."""
        text = visible(text)
        return ascii_text(text) if self.ascii_only else text

    def cut(self, text: str, room: int) -> str:
        """The clean text, cut in the middle when it does not fit the room."""
        return cut(self.clean(text), room, self.sign)

    def line(self, text: str, color: str = "") -> str:
        """One line that fits the width, in a colour."""
        return self.paint(cut(self.clean(text).rstrip(), self.width, self.sign), color)

    def lines(
        self, text: str, indent: int = 0, color: str = "", hang: int = 0, *, whole: bool = False
    ) -> list[str]:
        """The text wrapped to the width; lines after the first are indented further by `hang`. Of a
        text that must be read `whole`, no word is cut."""
        room = self.width - indent - hang
        wrapped = wrap(self.clean(text), room, "" if whole else self.sign)
        blanks = [" " * indent] + [" " * (indent + hang)] * len(wrapped)
        return [
            self.paint(blank + line, color) for blank, line in zip(blanks, wrapped, strict=False)
        ]

    def paint(self, text: str, color: str) -> str:
        """The text between the codes of a colour, when there are colours."""
        if not (self.color and color and text):
            return text
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m"


PLAIN = Look()


def heads(
    look: Look, rows: Iterable[list[str]], gap: int = 3, *, whole: bool = False
) -> list[list[str]]:
    """The lines of each row: one with aligned columns; two where the terminal is too narrow, or,
    of rows that must stay `whole`, where a cell would be cut."""
    clean = [[look.clean(cell) for cell in row] for row in rows]
    widths = [max(map(cells, column)) for column in zip(*clean, strict=True)]
    room = look.width - gap * (len(widths) - 1)
    if sum(widths) > room and (whole or look.width < ROOMY):
        return [
            [*look.lines(first, hang=2), *look.lines(" · ".join(others), 4)]
            for first, *others in clean
        ]
    shrink(widths, room)
    aligned = (
        (pad(cut(cell, room, look.sign), room) for cell, room in zip(row, widths, strict=True))
        for row in clean
    )
    return [[(" " * gap).join(row).rstrip()] for row in aligned]


def shrink(widths: list[int], room: int) -> None:
    """Take cells from the widest columns until all fit the room."""
    while sum(widths) > room and max(widths) > 1:
        widest = widths.index(max(widths))
        others = [width for place, width in enumerate(widths) if place != widest]
        spare = max(1, widths[widest] - max(others, default=1))
        widths[widest] -= min(spare, sum(widths) - room, widths[widest] - 1)
