"""Charts as SVG inside the page: shapes with classes, which the page's style sheet paints.

The versions stand beside each other at equal distance, each in the middle of its own strip, so that
a single one has its place too; a gate is a line from edge to edge. Values grow upwards from the
lowest tick or, under bars, from zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from reconciler.render.cells import cut, visible
from reconciler.render.measures import numbers

WIDTH, HEIGHT = 440, 230
TOP, RIGHT, BOTTOM = 14, WIDTH - 12, HEIGHT - 26  # edges of where values are drawn
MOST_LABELS = 6
MOST_TICKS = 5
LARGEST = 1e300  # whatever is larger is drawn there: the span must be a number
_CHARACTER, _BAR = 7, 46  # how wide these are, at most


@dataclass(frozen=True)
class Point:
    """A value of a version; `live` and `refused` say how its dot is drawn."""

    label: str
    value: float
    live: bool = False
    refused: bool = False


@dataclass(frozen=True)
class Line:
    """A line through the versions; `kind` says how it is drawn.

    It is main, edge or bar; or gate or moving (a gate that depends on the live model), which have
    one point that stands for every version.
    """

    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """A drawing, and its words for those who do not see it; the first line has every label."""

    id: str
    title: str
    description: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class _Scale:
    """From a value, and from the place of a version in the row, to points of the drawing."""

    low: float
    high: float
    left: float
    count: int

    def y(self, value: float) -> float:
        """How far below the upper edge of the drawing."""
        part = (min(max(value, -LARGEST), LARGEST) - self.low) / (self.high - self.low)
        return round(BOTTOM - part * (BOTTOM - TOP), 1)

    def x(self, at: float) -> float:
        """The middle of the strip of a version."""
        return round(self.left + (at + 0.5) * self.strip, 1)

    @property
    def strip(self) -> float:
        """How wide the strip of one version is."""
        return (RIGHT - self.left) / self.count


def svg(chart: Chart) -> str:
    """An `<svg>` of the lines, named by its title and description."""
    points = chart.lines[0].points
    low, high = _range(chart.lines)
    ticks = _ticks(low, high)
    texts = numbers(*ticks)
    scale = _Scale(low, high, 14 + _CHARACTER * max(map(len, texts)), len(points))
    shapes = [*_axes(scale, ticks, texts, points)]
    for line in reversed(chart.lines):  # dots above gates
        inside = "".join(_bars(scale, line) if line.kind == "bar" else _drawn(scale, line))
        shapes.append(f'<g class="series is-{line.kind}">{inside}</g>')
    names = f"{chart.id}-title {chart.id}-desc"
    return (
        f'<svg class="chart" role="img" aria-labelledby="{names}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<title id="{chart.id}-title">{escape(visible(chart.title))}</title>'
        f'<desc id="{chart.id}-desc">{escape(visible(chart.description))}</desc>'
        f"{''.join(shapes)}</svg>"
    )


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    """A little more than the values span, so that no dot stands on the edge."""
    values = [min(max(p.value, -LARGEST), LARGEST) for line in lines for p in line.points]
    if any(line.kind == "bar" for line in lines):
        return 0.0, max(values) * 1.06
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between the two, no more than fit: multiples of 1, 2 or 5 times a power."""
    power = 10.0 ** math.floor(math.log10((high - low) / MOST_TICKS))
    step = next(
        times * power for times in (1, 2, 5, 10) if (high - low) / (times * power) <= MOST_TICKS
    )
    first = math.ceil(low / step)
    return [at * step for at in range(first, math.floor(high / step) + 1)] or [low, high]


def _axes(
    scale: _Scale, ticks: Sequence[float], texts: Sequence[str], points: Sequence[Point]
) -> Iterator[str]:
    """The guides with their numbers, and as many labels below as fit."""
    for tick, text in zip(ticks, texts, strict=True):
        y = scale.y(tick)
        yield f'<path class="guide" d="M{scale.left} {y}H{RIGHT}"/>'
        yield f'<text class="y" x="{scale.left - 6}" y="{y + 4:.1f}">{escape(text)}</text>'
    step = math.ceil(len(points) / MOST_LABELS)
    room = 22 if len(points) < 3 else 10
    for at, point in enumerate(points):
        if (len(points) - 1 - at) % step == 0:  # of many only some, and always the last
            label = escape(cut(visible(point.label), room))
            yield f'<text class="x" x="{scale.x(at)}" y="{HEIGHT - 8}">{label}</text>'


def _drawn(scale: _Scale, line: Line) -> Iterator[str]:
    """The shapes of one line: its segments, and a mark for each point."""
    places = [(scale.x(at), scale.y(point.value)) for at, point in enumerate(line.points)]
    if line.kind in ("gate", "moving"):
        yield f'<path class="line" d="M{scale.left} {places[0][1]}H{RIGHT}"/>'
        return
    steps = "".join(f"L{x} {y}" for _, (x, y) in pairwise(places))
    yield f'<path class="line" d="M{places[0][0]} {places[0][1]}{steps}"/>'
    if line.kind == "main":
        for point, (x, y) in zip(line.points, places, strict=True):
            yield f'<circle class="{_look(point)}" cx="{x}" cy="{y}" r="{6 if point.live else 4}"/>'


def _bars(scale: _Scale, line: Line) -> Iterator[str]:
    wide = min(scale.strip * 0.6, _BAR)
    for at, point in enumerate(line.points):
        y = scale.y(point.value)
        place = f'x="{scale.x(at) - wide / 2:.1f}" y="{y}" width="{wide:.1f}"'
        yield f'<rect class="{_look(point)}" {place} height="{BOTTOM - y:.1f}"/>'


def _look(point: Point) -> str:
    return f"dot {'live' if point.live else 'refused' if point.refused else 'other'}"
