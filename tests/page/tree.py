"""A page as a tree of what a browser makes of it, as far as the standard library can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = {"meta", "link", "input", "br", "img"}


@dataclass
class Tag:
    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Tag] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[Tag]:
        """The tags below, of these names or of any."""
        for child in self.children:
            if not names or child.name in names:
                yield child
            yield from child.all(*names)

    @property
    def said(self) -> str:
        """Every text in it, in the order of the tags."""
        return self.text + "".join(child.said for child in self.children)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Tag("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Tag(tag, {name: value or "" for name, value in attrs})
        assert len(made.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def tree(html: str) -> Tag:
    """The page, every tag of which is closed in its place."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.open == [parser.root]
    return parser.root
