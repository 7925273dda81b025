"""The parts of the page in words: what is planned, charts of models, what a run did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model import (
    Action,
    Change,
    Failure,
    FieldDiff,
    Plan,
    Proof,
    Report,
    Rule,
    RuleKind,
    VersionState,
)
from reconciler.render import words
from reconciler.render.cells import counted, listed, number, numbers
from reconciler.render.fleets import (
    Fleet,
    before_of,
    failure_fleets,
    failure_of,
    fleets,
    gates_of,
    proof_fleets,
    whys_of,
    work_of,
)
from reconciler.render.risk import risk
from reconciler.render.times import duration
from reconciler.report.charts import Chart, Line, Point, svg
from reconciler.report.overview import Figures, ModelOf, VersionOf

MOST_LISTED = 30  # members or fields of one change
MOST_CHARTS = 3  # metrics of one model; the table below has all
MOST_CHARTED = 40  # models
TONES = {"red": "bad", "cyan": "busy", "green": "good", "yellow": "warn", "dim": "calm"}


# --- the plan ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """What is to be said of one change, or of a fleet of changes that are alike."""

    mark: str
    tone: str
    what: str
    name: str
    versions: str
    risk: str
    whys: tuple[str, ...]
    gates: tuple[str, ...]
    warnings: tuple[str, ...]
    members: tuple[Change, ...]
    diffs: tuple[tuple[str, FieldDiff], ...]
    left_out: int


def planned(plan: Plan) -> list[Planned]:
    """What there is to do, in the way, or to be warned of; what needs a person first."""
    return [_planned(fleet) for fleet in fleets(filter(words.worth_showing, plan.changes))]


def _planned(fleet: Fleet[Change]) -> Planned:
    change, members = fleet.first, fleet.members
    diffs = [(one.name, diff) for one in members for diff in one.diffs]
    whys = whys_of(fleet)
    return Planned(
        mark=change.action.value,
        tone=TONES[words.COLORS[change.action]],
        what=work_of(fleet),
        name=_named(fleet),
        versions=words.versions(before_of(fleet), change.after),
        risk="" if change.action is Action.NOOP else risk(change),
        whys=tuple(whys[:MOST_LISTED]),
        gates=tuple(gates_of(fleet)),
        warnings=tuple(listed(change.warnings)),
        members=members[:MOST_LISTED],
        diffs=tuple(diffs[:MOST_LISTED]),
        left_out=max(0, len(members) - MOST_LISTED),
    )


def _named(fleet: Fleet[Change] | Fleet[Proof] | Fleet[Failure]) -> str:
    """`a`, or `a, b, … z ×26`."""
    return f"{fleet.name} {fleet.count}".rstrip()


# --- models --------------------------------------------------------------------------------


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
    found = [_metric(model, made, metric, f"{id}-{at}") for at, metric in enumerate(chosen)]
    jobs = _jobs(model, made, f"{id}-jobs")
    return [figure for figure in [*found, jobs] if figure]


def _metric(model: ModelOf, versions: Sequence[VersionOf], metric: str, id: str) -> Figure | None:
    shown = [(v, f) for v in versions if (f := v.figures(metric))]
    bounds = [(rule, value) for rule, value in model.bounds if rule.metric == metric]
    bounds = [(rule, value) for rule, value in bounds if math.isfinite(value)]
    if not shown:
        return None
    spread = any(len(set(f.values)) > 1 for _, f in shown)
    main = tuple(_point(v, f.middle) for v, f in shown)
    lines = [Line("main", main)]
    if spread:
        lines.append(Line("edge", tuple(Point(v.version, f.high) for v, f in shown)))
        lines.append(Line("edge", tuple(Point(v.version, f.low) for v, f in shown)))
    lines += [Line(_kind(rule), (Point(str(rule), value),)) for rule, value in bounds]
    title = f"{metric} of {model.name} by version"
    chart = Chart(id, title, _described(model, shown, bounds), tuple(lines))
    return Figure(svg(chart), title, tuple(_legends(metric, main, bounds, spread)))


def _point(version: VersionOf, value: float) -> Point:
    refused = bool(version.made) and all(
        one.state in (VersionState.REJECTED, VersionState.NOT_ACCEPTED) for one in version.made
    )
    return Point(version.version, value, live=version.serves > 0, refused=refused)


def _legends(
    metric: str, points: Sequence[Point], bounds: Sequence[tuple[Rule, float]], spread: bool
) -> Iterable[Legend]:
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
    said = str(rule)
    shown = number(value)
    return f"gate: {said}" if said.endswith(f" {shown}") else f"gate: {said}, now {shown}"


def _described(
    model: ModelOf,
    shown: Sequence[tuple[VersionOf, Figures]],
    bounds: Sequence[tuple[Rule, float]],
) -> str:
    told = [
        f"{version.version}: {spanned(figure)}{' (serves now)' if version.serves else ''}"
        for version, figure in shown
    ]
    gates = [_gate(rule, value) for rule, value in bounds]
    return f"{'; '.join([*told, *gates])}. The table of versions of {model.name} has all figures."


def spanned(figure: Figures | None) -> str:
    """`0.913`; of many `0.913 (0.88…0.95)`; "" for none."""
    if figure is None:
        return ""
    if len(set(figure.values)) == 1:
        return number(figure.middle)
    low, middle, high = numbers(figure.low, figure.middle, figure.high)
    return f"{middle} ({low}…{high})"


def _jobs(model: ModelOf, versions: Sequence[VersionOf], id: str) -> Figure | None:
    shown = [(v, f) for v in versions if (f := v.took_s)]
    if not shown:
        return None
    unit, in_s = _unit(max(f.middle for _, f in shown))
    title = f"How long training {model.name} took"
    # Times are kept in whole seconds: what took less than one is shown as one, as in words.
    points = tuple(_point(v, max(f.middle, 1.0) / in_s) for v, f in shown)
    told = "; ".join(f"{v.version}: {duration(f.middle)}" for v, f in shown)
    chart = Chart(id, title, f"{told}. In {unit}.", (Line("bar", points),))
    many = any(len(f.values) > 1 for _, f in shown)
    said = f"{'median of the jobs' if many else 'the job'}, in {unit}"
    return Figure(svg(chart), title, (Legend("bar", said),))


def _unit(seconds: float) -> tuple[str, float]:
    if seconds >= 2 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if seconds >= 120 else ("seconds", 1.0)


# --- what a run did ------------------------------------------------------------------------


@dataclass(frozen=True)
class Proved:
    """What is to be said of one proof or of many alike."""

    proved: bool
    name: str
    model: str
    read_back: str
    scored: str
    health: str


@dataclass(frozen=True)
class Ran:
    """What a run did: sentences, failures, proofs."""

    summary: str
    said: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    proofs: tuple[Proved, ...]


def ran(report: Report) -> Ran:
    """What a run did, alike things in one line."""
    failures = [
        (_named(fleet), failure_of(fleet, report))
        for fleet in failure_fleets(report.failures, report.done)
    ]
    failures += [(name, reached) for name, _, reached in words.unproved(report)]
    warnings = [f"{name}: {said}" for name, said in words.report_warnings(report)]
    return Ran(
        summary=words.report_summary(report),
        said=tuple(
            listed([words.stopped(report), *words.left(report), words.forced(report), *warnings])
        ),
        failures=tuple(failures),
        proofs=tuple(map(_proved, proof_fleets(report.proofs))),
    )


def _proved(fleet: Fleet[Proof]) -> Proved:
    proof = fleet.first
    scored = listed(words.scored(each).removeprefix("scored ") for each in fleet.members)
    return Proved(
        proved=proof.proved,
        name=_named(fleet),
        model=proof.model,
        read_back=words.read_back(proof),
        scored=scored[0] if len(scored) == 1 else counted(len(scored), "answer") if scored else "",
        health=words.ailing(proof) or proof.health.code.value,
    )
