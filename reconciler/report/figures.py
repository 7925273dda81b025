"""The charts of a model: metrics with their gates, and how long its jobs took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model import Rule, RuleKind, VersionState
from reconciler.render.measures import number, numbers
from reconciler.render.times import duration
from reconciler.report.charts import Chart, Line, Point, svg
from reconciler.report.overview import Figures, ModelOf, VersionOf

_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
MOST_CHARTS = 3  # metrics of one model; the table below has all


@dataclass(frozen=True)
class Legend:
    """How a kind of mark looks, and what it means."""

    look: str
    words: str


@dataclass(frozen=True)
class Figure:
    """A chart as SVG, with its title and its legend."""

    svg: str
    title: str
    legends: tuple[Legend, ...]


def figures(model: ModelOf, id: str) -> list[Figure]:
    """The charts of a model: metrics that gates ask for, else the first ones, and its jobs."""
    made = [version for version in model.versions if version.made]
    gated = [m for m in model.metrics if any(rule.metric == m for rule, _ in model.bounds)]
    chosen = (gated or model.metrics)[:MOST_CHARTS]
    metrics = [_metric(model, made, metric, f"{id}-{at}") for at, metric in enumerate(chosen)]
    jobs = _jobs(model, made, f"{id}-jobs")
    return [figure for figure in [*metrics, jobs] if figure]


def _metric(model: ModelOf, versions: Sequence[VersionOf], metric: str, id: str) -> Figure | None:
    """The chart of one metric by version; None where no version has it."""
    values = [(v, f) for v in versions if (f := v.figures(metric))]
    bounds = [(rule, value) for rule, value in model.bounds if rule.metric == metric]
    bounds = [(rule, value) for rule, value in bounds if math.isfinite(value)]
    if not values:
        return None
    spread = any(len(set(f.values)) > 1 for _, f in values)
    main = tuple(_point(v, f.middle) for v, f in values)
    lines = [Line("main", main)]
    if spread:
        lines.append(Line("edge", tuple(Point(v.version, f.high) for v, f in values)))
        lines.append(Line("edge", tuple(Point(v.version, f.low) for v, f in values)))
    lines += [Line(_kind(rule), (Point(str(rule), value),)) for rule, value in bounds]
    title = f"{metric} of {model.name} by version"
    chart = Chart(id, title, _described(model, values, bounds), tuple(lines))
    return Figure(svg(chart), title, tuple(_legends(metric, main, bounds, spread)))


def _point(version: VersionOf, value: float) -> Point:
    refused = bool(version.made) and all(
        made.state in (VersionState.REJECTED, VersionState.NOT_ACCEPTED) for made in version.made
    )
    return Point(version.version, value, live=version.serves > 0, refused=refused)


def _legends(
    metric: str, points: Sequence[Point], bounds: Sequence[tuple[Rule, float]], spread: bool
) -> Iterable[Legend]:
    """The legend, of what the chart shows and no more."""
    yield Legend("main", f"{metric}, median of the fleet" if spread else metric)
    if spread:
        yield Legend("edge", "highest and lowest of the fleet")
    if any(point.live for point in points):
        yield Legend("live", "serves now")
    if any(point.refused and not point.live for point in points):
        yield Legend("refused", "not accepted or rejected")
    for rule, value in bounds:
        yield Legend(_kind(rule), _gate(rule, value))


def _kind(rule: Rule) -> str:
    return "gate" if rule.kind in (RuleKind.AT_LEAST, RuleKind.AT_MOST) else "moving"


def _gate(rule: Rule, value: float) -> str:
    text = str(rule)
    now = number(value)
    return f"gate: {text}" if text.endswith(f" {now}") else f"gate: {text}, now {now}"


def _described(
    model: ModelOf,
    values: Sequence[tuple[VersionOf, Figures]],
    bounds: Sequence[tuple[Rule, float]],
) -> str:
    """The chart in words, for who cannot see it."""
    parts = [
        f"{version.version}: {spanned(figure)}{' (serves now)' if version.serves else ''}"
        for version, figure in values
    ]
    gates = [_gate(rule, value) for rule, value in bounds]
    return f"{'; '.join([*parts, *gates])}. The table of versions of {model.name} has all figures."


def spanned(figure: Figures | None) -> str:
    """`0.913`; of many `0.913 (0.88…0.95)`; "" for none."""
    if figure is None:
        return ""
    if len(set(figure.values)) == 1:
        return number(figure.middle)
    low, middle, high = numbers(figure.low, figure.middle, figure.high)
    return f"{middle} ({low}…{high})"


def _jobs(model: ModelOf, versions: Sequence[VersionOf], id: str) -> Figure | None:
    """The chart of how long jobs took; None where too little is known."""
    values = [(v, f) for v in versions if (f := v.took_s)]
    if not values:
        return None
    longest_s = max(f.middle for _, f in values)
    unit, in_s = next(u for u in _UNITS if longest_s >= 2 * u[1] or u[1] == 1.0)
    title = f"How long training {model.name} took"
    # Times are kept in whole seconds: what took less than one is shown as one, as in words.
    points = tuple(_point(v, max(f.middle, 1.0) / in_s) for v, f in values)
    times = "; ".join(f"{v.version}: {duration(f.middle)}" for v, f in values)
    chart = Chart(id, title, f"{times}. In {unit}.", (Line("bar", points),))
    many = any(len(f.values) > 1 for _, f in values)
    caption = f"{'median of the jobs' if many else 'the job'}, in {unit}"
    return Figure(svg(chart), title, (Legend("bar", caption),))
