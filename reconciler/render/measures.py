"""Numbers for people: as short as tells them apart, in gates and in what endpoints scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from reconciler.model import Judgement, Proof, Score
from reconciler.render.cells import listed

_SIGNS = {True: "✓", False: "✗", None: "?"}


def number(value: float, digits: int = 3) -> str:
    """A number with at least so many significant digits, never without its integer digits."""
    exact = Decimal(repr(float(value)))
    if not exact.is_finite():
        return str(value)
    if exact and not -5 < exact.adjusted() < 15:
        return f"{value:.{digits}g}"
    places = max(0, digits - 1 - exact.adjusted()) if exact else 0
    text = f"{exact:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def numbers(*values: float) -> list[str]:
    """The numbers as short as lets different ones look different."""
    for digits in range(3, 17):
        texts = [number(value, digits) for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return [number(value, 17) for value in values]


def gate(judgement: Judgement) -> str:
    """`AUC 0.913 → 0.921 (+0.008) ✓ noWorseThanLive 0.01`, and why if that needs words."""
    rule = judgement.rule
    bound = f"{rule.kind} {rule.bound}"
    if judgement.pending:
        return f"{rule.metric}  known after training   {bound}"
    measured = _measured(judgement)
    text = " ".join(listed([rule.metric, measured, _SIGNS[judgement.passed], bound]))
    return f"{text}: {judgement.message}" if judgement.message else text


def fleet_gate(judgements: Sequence[Judgement]) -> str:
    """One gate of several bindings: its words where they are equal, or the range of its values."""
    texts = listed(map(gate, judgements))
    if len(texts) == 1:
        return texts[0]
    rule = judgements[0].rule
    pairs = [(j.candidate, j.live) for j in judgements if j.candidate is not None]
    deltas = [candidate - live for candidate, live in pairs if live is not None]
    signs = listed(_SIGNS[judgement.passed] for judgement in judgements)
    measured = _span([candidate for candidate, _ in pairs])
    change = _span(deltas, _difference)
    bound = f"{rule.kind} {rule.bound}"
    delta = f"({change})" if change else ""
    return " ".join(listed([rule.metric, measured, delta, "".join(signs), bound]))


def _span(values: Iterable[float], as_text: Callable[[float], str] = number) -> str:
    """`0.91…0.95`; "" without a number."""
    finite = [value for value in values if math.isfinite(value)]
    return "…".join(listed([as_text(min(finite)), as_text(max(finite))])) if finite else ""


def gate_color(judgement: Judgement) -> str:
    """Green, red, or dim for a gate that says nothing yet."""
    if judgement.pending:
        return "dim"
    return {True: "green", False: "red", None: "yellow"}[judgement.passed]


def _measured(judgement: Judgement) -> str:
    """The figures of a judgement, live and candidate, as short as still tells them apart."""
    live, candidate = judgement.live, judgement.candidate
    if candidate is None:
        return "" if live is None else f"{number(live)} → unknown"
    bound = float(judgement.rule.bound)
    if live is None:
        return numbers(candidate, bound)[0]
    was, now, _ = numbers(live, candidate, bound)
    return f"{was} → {now} ({_difference(candidate - live)})"


def _difference(value: float) -> str:
    """The difference with its sign; what floats add beyond twelve decimals is dropped."""
    text = number(round(value, 12) + 0.0)
    return text if text.startswith("-") else f"+{text}"


def scored(proof: Proof) -> str:
    """`scored malignant 0.93 → malignant 0.98`, from the first rows; "" without a score."""
    if proof.after is None:
        return ""
    after = _telling(proof.after)
    beside = f", in agreement with {proof.agrees_with}" if proof.agrees_with else ""
    if proof.before is None:
        return f"scored {' '.join(_figures(after, after))}{beside}"
    before = _telling(proof.before)
    columns = " ".join(_figures(before, after)), " ".join(_figures(after, before))
    return f"scored {columns[0] or 'no rows'} → {columns[1] or 'no rows'}{beside}"


def _telling(score: Score) -> list[str]:
    """The first row's scored cells; all its cells where no column says that it was scored."""
    if not score.rows:
        return []
    named = list(zip(score.columns, score.rows[0], strict=False))
    return [cell for column, cell in named if column.lower().startswith("scored")] or [
        cell for _, cell in named
    ]


def _figures(cells: list[str], others: list[str]) -> list[str]:
    if len(cells) != len(others):
        others = cells
    return [_figure(cell, other) for cell, other in zip(cells, others, strict=True)]


def _figure(cell: str, other: str) -> str:
    """The cell; a fraction as short as still tells it from the cell beside it."""
    try:
        return numbers(float(cell), float(other))[0] if "." in cell else cell
    except ValueError:
        return cell
