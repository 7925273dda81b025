"""How long text is for GitHub, and what is taken out of the middle of what is too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def length(text: str) -> int:
    """UTF-16 units, the most that anybody counts a text as; half a character is one of them."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def without_middle(
    parts: Sequence[str], room: int, note: Callable[[int], str], between: str = "\n\n"
) -> list[str]:
    """The parts, or as many from both ends as fit the room around a note of how many are missing.

    The room counts what stands between the parts too. [] where not even the note fits.
    """
    gap = length(between)
    sizes = [length(part) + gap for part in parts]
    if sum(sizes) <= room:
        return list(parts)
    left = room - length(note(len(parts))) - gap
    if left < 0:
        return []
    first, last, taken = 0, len(parts), [0, 0]
    while first < last:
        side = int(taken[1] < taken[0])
        size = sizes[last - 1] if side else sizes[first]
        if sum(taken) + size > left:
            break
        taken[side] += size
        first, last = (first, last - 1) if side else (first + 1, last)
    return [*parts[:first], note(last - first), *parts[last:]]
