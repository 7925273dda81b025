"""Pure: the metrics of a candidate and the `accept` rules of its model -> judgements.

A rule that cannot be judged is inconclusive (`passed` is None), never passed: a missing metric must
not let a model through. One exception is meant: a rule that compares with the live model passes
while the live metrics are unknown, as for the first version that this program binds; the absolute
rules beside it still hold.

Three verdicts and not two, because they ask people for different things. A failed rule says that
the model is worse than agreed: train a better one. An inconclusive one says nothing of the model:
the evaluation lacks a metric, or was made on too few rows to mean anything. Mend the evaluation.

Numbers are compared as the decimals that people wrote. A metric of 0.85 and a rule `atLeast: 0.85`
are equal here whatever a float makes of either, and `0.31 - 0.3` is a gain of exactly 0.01. Whether
less is better follows from the name of the metric (`rmse`, `loss`); a rule that names a bound needs
no such knowledge, and is the safer one for a metric with a name of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from reconciler.model import Judgement, Rule, RuleKind


def judge(
    rules: Iterable[Rule],
    metrics: Mapping[str, float],
    live: Mapping[str, float] | None,
    rows: int | None = None,
) -> tuple[Judgement, ...]:
    """One judgement per rule; `live` or `rows` are None where they are unknown."""
    return tuple(
        _judge_rows(rule, rows)
        if rule.kind is RuleKind.MIN_ROWS
        else _judge_one(rule, metrics, live)
        for rule in rules
    )


def pending(rules: Iterable[Rule]) -> tuple[Judgement, ...]:
    """The judgements of a model that is not trained yet: all inconclusive, no message."""
    return tuple(Judgement(rule, None, None, None, "") for rule in rules)


def allows(judgements: Iterable[Judgement]) -> bool:
    """Whether no rule failed and none that must be known is unknown."""
    return all(judgement.passed for judgement in judgements)


def verdict(judgements: Iterable[Judgement]) -> str:
    """`not accepted: AUC is 0.8, and must be atLeast 0.85`: why the model is not let through."""
    lost = [judgement for judgement in judgements if not judgement.passed]
    failed = any(judgement.passed is False for judgement in lost)
    return f"{'not accepted' if failed else 'inconclusive'}: " + "; ".join(map(_why_not, lost))


def _why_not(judgement: Judgement) -> str:
    if judgement.message:
        return judgement.message
    rule = judgement.rule
    against = "" if judgement.live is None else f" (live {judgement.live:g})"
    return (
        f"{rule.metric} is {judgement.candidate:g}{against}, and must be {rule.kind} {rule.bound}"
    )


def _judge_rows(rule: Rule, rows: int | None) -> Judgement:
    """Too few rows do not make a model bad; they make its metric say nothing."""
    if rows is None:
        message = f"it is not known on how many rows {rule.metric} was measured"
        return Judgement(rule, None, None, None, message)
    if rows >= rule.bound:
        return Judgement(rule, True, float(rows), None, "")
    message = f"{rule.metric} was measured on {rows} rows; at least {rule.bound} are needed"
    return Judgement(rule, None, float(rows), None, message)


def _judge_one(
    rule: Rule, metrics: Mapping[str, float], live: Mapping[str, float] | None
) -> Judgement:
    """The judgement by one metric; inconclusive where the candidate has none of that name."""
    candidate = metrics.get(rule.metric)
    now = None if live is None else live.get(rule.metric)
    if candidate is None:
        known = ", ".join(sorted(metrics)) or "none"
        message = f"the evaluation has no metric {rule.metric!r} (it has: {known})"
        return Judgement(rule, None, None, now, message)
    if rule.kind in (RuleKind.NO_WORSE_THAN_LIVE, RuleKind.BETTER_THAN_LIVE):
        return _against_live(rule, candidate, now)
    value = Decimal(repr(candidate))
    passed = value >= rule.bound if rule.kind is RuleKind.AT_LEAST else value <= rule.bound
    return Judgement(rule, passed, candidate, now, "")


def _against_live(rule: Rule, candidate: float, now: float | None) -> Judgement:
    """The judgement by the gain over the live model, positive where the candidate is better."""
    if now is None:
        message = "the live model has no known metrics; this rule applies from the next version on"
        return Judgement(rule, True, candidate, None, message)
    gain = Decimal(repr(candidate)) - Decimal(repr(now))
    if lower_is_better(rule.metric):
        gain = -gain
    better = rule.kind is RuleKind.BETTER_THAN_LIVE
    passed = gain > rule.bound if better else gain >= -rule.bound
    return Judgement(rule, passed, candidate, now, "")


def bound(rule: Rule, live: Mapping[str, float] | None) -> float | None:
    """The value of its metric that a rule asks a candidate for, where the live model has `live`.

    None where there is no such value: a rule about rows, or against unknown metrics.
    """
    if rule.kind in (RuleKind.AT_LEAST, RuleKind.AT_MOST):
        return float(rule.bound)
    now = (live or {}).get(rule.metric)
    if now is None or rule.kind is RuleKind.MIN_ROWS:
        return None
    better = rule.kind is RuleKind.BETTER_THAN_LIVE
    upwards = better != lower_is_better(rule.metric)
    return float(Decimal(repr(now)) + (rule.bound if upwards else -rule.bound))


# Studio's own regression metrics are spelt out (§4.5); evaluations of R and Python modules are not.
_LOWER = re.compile(
    r"error|loss|deviance|perplexity|(?<![a-z])(n?r?mse|rmsle|n?mae|s?mape|brier|fpr|fnr)(?![a-z])"
)


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value is the better one: all error and loss metrics."""
    return _LOWER.search(metric.lower()) is not None
