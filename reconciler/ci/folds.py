"""What is folded away below a comment's head, and loses its middle where there is no room for all.

What is taken out are whole lines of our own, so that no fence and no tag stays open. Text of
others never begins a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.ci.fit import length, without_middle
from reconciler.model import Change, Proof
from reconciler.render import words
from reconciler.render.cells import counted, cut, listed, visible
from reconciler.render.fleets import Fleet
from reconciler.render.markdown import NAMELESS, diff_lines, escaped, fenced, html, shown_name

_MOST_CELLS = 500  # of one text
_MOST_NAME = 100  # of the name in a title
_MOST_SHARES = 8  # where not all fit, one may take so large a part of the room
_SMALLEST_SHARE = 1_000  # but this much


@dataclass(frozen=True)
class Details:
    """A title, items that are Markdown, and lines of a diff."""

    title: str
    items: tuple[str, ...]
    diff: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The fold with everything."""
        return self._folded(self.items, self.diff)

    def shortened(self, room: int) -> str:
        """The fold without the middle of its lists, where they do not fit the room."""
        if length(self.text) <= room:
            return self.text
        left = room - length(self._folded((), self.diff[:1])) - 4
        items = without_middle(self.items, left // 2 if self.diff else left, _lines_left_out, "\n")
        left -= length("\n".join(items))
        return self._folded(items, without_middle(self.diff, left, _left_out_of_diff, "\n"))

    def _folded(self, items: Sequence[str], diff: Sequence[str]) -> str:
        head = f"<details><summary>{html(self.title) or NAMELESS}</summary>"
        fence = "\n".join(fenced(diff)) if diff else ""
        return "\n\n".join(listed([head, "\n".join(items), fence, "</details>"]))


def folded(details: Sequence[Details], room: int) -> list[str]:
    """The folds that fit the room together, and a note in the place of those that do not."""
    whole = [each.text for each in details]
    if length("\n\n".join(whole)) <= room:
        return whole
    share = max(room // min(len(details), _MOST_SHARES), _SMALLEST_SHARE)
    shorter = [each.shortened(share) for each in details]
    return without_middle(shorter, room, _folds_left_out)


def details_of_changes(fleet: Fleet[Change]) -> Details:
    """Where each member is, why, what to be warned of, and every field that differs."""
    sources = (f" ({each.source})" if each.source.path else "" for each in fleet.members)
    places = zip(fleet.members, sources, strict=True)
    items = [_place(each.name, f"{each.address}{source}") for each, source in places]
    items += bullets("why", _whys(fleet))
    items += bullets("warning", fleet.first.warnings)
    items += bullets("gate", _own_gates(fleet))
    diffs = listed(line for each in fleet.members for line in diff_lines(each.diffs))
    return Details(_title(fleet), tuple(items), tuple(map(_short, diffs)))


def details_of_proofs(fleet: Fleet[Proof]) -> Details:
    """Where each member is, what it scored, and how they all are."""
    items = [
        _place(each.name, ", ".join(listed([each.address, words.scored(each)])))
        for each in fleet.members
    ]
    health = fleet.first.health
    items += bullets("health", [": ".join(listed([health.code.value, health.message]))])
    items += bullets("warning", fleet.first.warnings)
    return Details(_title(fleet), tuple(items))


def bullets(what: str, texts: Iterable[str]) -> tuple[str, ...]:
    """`- what: text` for each, escaped."""
    return tuple(f"- {what}: {escaped(_short(text))}" for text in listed(texts))


def _whys(fleet: Fleet[Change]) -> list[str]:
    """The one reason of all, or each with its name."""
    if len({each.why for each in fleet.members}) == 1:
        return [fleet.first.why]
    return [f"{each.name}: {each.why}" for each in fleet.members]


def _own_gates(fleet: Fleet[Change]) -> list[str]:
    """What the gates said of each member, where the head has no more than ranges."""
    if len({each.gates for each in fleet.members}) == 1:
        return []
    return [f"{each.name}: {words.gate(j)}" for each in fleet.members for j in each.gates]


def _title(fleet: Fleet[Change] | Fleet[Proof]) -> str:
    return " ".join(listed([cut(visible(fleet.first.name), _MOST_NAME), fleet.count]))


def _place(name: str, place: str) -> str:
    return f"- **{shown_name(_short(name))}**, {escaped(_short(place))}"


def _short(text: str) -> str:
    return cut(visible(text), _MOST_CELLS)


def _lines_left_out(count: int) -> str:
    return f"- *{counted(count, 'line')} left out: there is more than a comment may hold*"


def _left_out_of_diff(count: int) -> str:
    return f"# {counted(count, 'line')} left out"


def _folds_left_out(count: int) -> str:
    return f"*The details of {count:,} more are left out: there is more than a comment may hold.*"
