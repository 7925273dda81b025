"""The name that was probably meant: what a message about an unknown name ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache

MOST_HINTS = 20
_MOST_COMPARED = 100
_LONGEST_COMPARED = 200


def near(text: str, known: Iterable[str]) -> str:
    """`; did you mean "version"?`, or the names that are known, or nothing if none is."""
    by_case = _by_case(tuple(known))
    # Both the search and the list are made once per mistake, and a file can hold thousands.
    compared = list(by_case)[:_MOST_COMPARED]
    is_short = len(text) <= _LONGEST_COMPARED
    if is_short and (close := difflib.get_close_matches(text.casefold(), compared, 1, 0.6)):
        return f'; did you mean "{short(by_case[close[0]])}"?'
    listed = [short(name) for name in list(by_case.values())[:MOST_HINTS]]
    more = [f"{len(by_case) - len(listed)} more"] if len(by_case) > len(listed) else []
    return f"; known: {', '.join(listed + more)}" if by_case else ""


@lru_cache(maxsize=8)
def _by_case(known: tuple[str, ...]) -> dict[str, str]:
    """Names, sorted, by how they compare; kept, as one file can miss the same names often."""
    return {name.casefold(): name for name in sorted(known)}


def short(text: str) -> str:
    """The text, and not all of it if it is long."""
    return text if len(text) <= 80 else f"{text[:77]}…"
