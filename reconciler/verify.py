"""Pure: what was asked of an endpoint and what came back -> Health."""

from __future__ import annotations

import difflib

from reconciler.model import Health, HealthCode, Probe, Score


def judge_score(probe: Probe, score: Score) -> Health:
    """HEALTHY when the answer has rows, every declared column, and no empty cell in them."""
    if not score.rows:
        return Health(HealthCode.DEGRADED, "the endpoint answered the probe with no rows")
    if missing := missing_columns(probe, score):
        return Health(HealthCode.DEGRADED, missing)
    wanted = [score.columns.index(column) for column in probe.columns]
    if any(row[at] in ("", "None", "nan", "NaN") for row in score.rows for at in wanted):
        return Health(HealthCode.DEGRADED, "the answer to the probe has empty cells")
    return Health(HealthCode.HEALTHY, f"scored {len(score.rows)} rows")


def missing_columns(probe: Probe, score: Score) -> str:
    """Which declared columns the answer lacks, in words; "" when it has them all."""
    columns = score.columns
    missing = [column for column in probe.columns if column not in columns]
    if not missing:
        return ""
    listed = ", ".join(f'"{column}"' for column in columns)
    close = difflib.get_close_matches(missing[0], columns, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    named = ", ".join(f'"{column}"' for column in missing)
    return f"the answer has no column {named} (it has {listed}){hint}"


def same_answer_warning(before: Score | None, after: Score) -> str | None:
    """A warning when the swap changed no answer; equal answers are no proof of failure (§5)."""
    if before is None or before != after:
        return None
    return "the endpoint answers the probe exactly as before the swap"
