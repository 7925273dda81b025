"""The folds below a comment's head, which lose their middle where there is no room for all.

Only whole lines of our own are taken out, so that no fence and no tag stays open. Text of
others never begins a line.

Each fold may take an equal share of the room, or an eighth where there are more than eight of them,
and of those the ones in the middle go. One endpoint with ten thousand changed fields would
otherwise push out the details of all others, or a thousand folds would get three lines each. Within
a fold the middle goes: the beginning says what kind of lines they are, and the end that they go on
to there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from reconciler.render.cells import counted, cut, visible
from reconciler.render.markdown import Details

_TOO_MUCH = "the comment would be too long"
_MOST_CELLS = 500  # of one text
_MOST_SHARES = 8  # where not all fit, one may take so large a part of the room
_SMALLEST_SHARE = 1_000  # but this much


def short(text: str) -> str:
    """The text as far as it is shown in a comment."""
    return cut(visible(text), _MOST_CELLS)


def folded(details: Sequence[Details], room: int) -> list[str]:
    """The folds that fit the room together, and a note in the place of those that do not."""
    whole = [fold.text for fold in details]
    if length("\n\n".join(whole)) <= room:
        return whole
    share = max(room // min(len(details), _MOST_SHARES), _SMALLEST_SHARE)
    return without_middle(
        [_shortened(fold, share) for fold in details],
        room,
        lambda n: f"*The details of {n:,} more are left out: {_TOO_MUCH}.*",
    )


def _shortened(details: Details, room: int) -> str:
    """The fold without the middle of its lists, where they do not fit the room."""
    if length(details.text) <= room:
        return details.text
    left = room - length(replace(details, items=(), diff=details.diff[:1]).text) - 4
    most = left // 2 if details.diff else left
    items = tuple(without_middle(details.items, most, lambda n: f"- *{_left_out(n)}*", "\n"))
    left -= length("\n".join(items))
    diff = tuple(without_middle(details.diff, left, lambda n: f"# {_left_out(n)}", "\n"))
    return replace(details, items=items, diff=diff).text


def _left_out(count: int) -> str:
    return f"{counted(count, 'line')} left out: {_TOO_MUCH}"


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
