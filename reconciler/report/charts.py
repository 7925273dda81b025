"""Charts as SVG that lives inside a page: pygal draws, the page's own style sheet paints.

What pygal adds for a file of its own is taken out: its style sheet, its scripts, comments, ids, and
whatever has a link. What is left are shapes with classes, which the page gives its theme's colours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from reconciler.render.cells import cut, number, visible

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

WIDTH, HEIGHT = 440, 230
MOST_LABELS = 6


@dataclass(frozen=True)
class Point:
    """A value of a version; `live` and `refused` say how its dot is drawn."""

    label: str
    value: float | None
    live: bool = False
    refused: bool = False


@dataclass(frozen=True)
class Line:
    """A line through the versions; `kind` says how it is drawn.

    It is main, edge, gate, moving (a gate that depends on the live model) or bar.
    """

    name: str
    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """What is drawn, and the words for those who do not see it."""

    id: str
    title: str
    description: str
    lines: tuple[Line, ...]


def line_chart(chart: Chart) -> str:
    """An `<svg>` of the lines, named by its title and description."""
    import pygal

    drawn = pygal.Line(**_how(_labels(chart.lines[0].points)), range=_range(chart.lines))
    for line in chart.lines:
        dots = line.kind == "main"
        drawn.add(line.name, [_dot(point) for point in line.points], show_dots=dots)
    return _inline(drawn.render_tree(), chart)


def bar_chart(chart: Chart) -> str:
    """An `<svg>` with a bar for each point of the only line."""
    import pygal

    (line,) = chart.lines
    drawn = pygal.Bar(**_how(_labels(line.points)), include_x_axis=True)
    drawn.add(line.name, [_dot(point) for point in line.points])
    return _inline(drawn.render_tree(), chart)


def _how(labels: list[str]) -> dict[str, Any]:
    from pygal.style import Style

    return {
        "width": WIDTH,
        "height": HEIGHT,
        "margin": 8,
        "margin_right": 28,
        "x_labels": labels,
        "style": Style(label_font_size=12, major_label_font_size=12),
        "show_legend": False,
        "js": [],
        "css": [],
        "no_prefix": True,
        "dots_size": 4.5,
        "min_scale": 3,
        "max_scale": 5,
        "truncate_label": -1,
        "value_formatter": number,
    }


def _labels(points: Sequence[Point]) -> list[str]:
    """The names of the versions, of many only some, and always the last."""
    step = math.ceil(len(points) / MOST_LABELS)
    last = len(points) - 1
    room = 22 if len(points) < 3 else 10
    return [
        cut(visible(p.label), room) if (last - at) % step == 0 else ""
        for at, p in enumerate(points)
    ]


def _range(lines: Iterable[Line]) -> tuple[float, float]:
    """A little more than the values span, so that no dot stands on the edge."""
    values = [p.value for line in lines for p in line.points if p.value is not None]
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _dot(point: Point) -> dict[str, Any]:
    kind = "live" if point.live else "refused" if point.refused else "other"
    return {"value": point.value, "node": {"class": f"dot {kind}", "r": 7 if point.live else 4.5}}


# --- from pygal's own to ours --------------------------------------------------------------

_DROPPED = {"style", "script", "defs", "desc", "title"}
_KEPT = {
    *("class", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry"),
    *("width", "height", "transform", "text-anchor"),
}
_SHAPES = {"g", "path", "rect", "circle", "text", "line", "tspan"}
_INVISIBLE = {"tooltip", "tooltip-trigger", "tooltip-overlay"}


def _inline(root: Element, chart: Chart) -> str:
    kinds = [line.kind for line in chart.lines]
    shapes = "".join(_written(child, kinds) for child in root)
    names = f"{chart.id}-title {chart.id}-desc"
    return (
        f'<svg class="chart" role="img" aria-labelledby="{names}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<title id="{chart.id}-title">{escape(visible(chart.title))}</title>'
        f'<desc id="{chart.id}-desc">{escape(visible(chart.description))}</desc>{shapes}</svg>'
    )


def _written(element: Element, kinds: Sequence[str]) -> str:
    """The element as SVG: only shapes, only the attributes that place them."""
    tag = _local(element.tag)
    if tag not in _SHAPES or _is_for_the_mouse(element):
        return ""
    attributes = "".join(_attributes(element, kinds))
    inside = "".join(_written(child, kinds) for child in element)
    if tag == "g" and not inside:
        return ""
    text = escape(element.text or "") if tag in ("text", "tspan") else ""
    return f"<{tag}{attributes}>{text}{inside}</{tag}>"


def _local(tag: object) -> str:
    """The name without its namespace; "" for comments, whose tag is a function."""
    name = tag.rpartition("}")[2] if isinstance(tag, str) else ""
    return "" if name in _DROPPED else name


def _is_for_the_mouse(element: Element) -> bool:
    """What pygal's script would show when a mouse is above a dot."""
    classes = set((element.get("class") or "").split())
    return (bool(classes & _INVISIBLE) and not classes & {"dot", "rect"}) or classes == {"value"}


def _attributes(element: Element, kinds: Sequence[str]) -> Iterator[str]:
    for name, value in element.attrib.items():
        if name not in _KEPT:
            continue
        if name == "class":
            value = _SERIES.sub(_kind_of(kinds), value)
        yield f' {name}="{escape(str(value))}"'


_SERIES = re.compile(r"serie-(\d+) color-\d+")


def _kind_of(kinds: Sequence[str]) -> Callable[[re.Match[str]], str]:
    return lambda match: f"is-{kinds[int(match[1])]}"
