"""Pure: what was asked of an endpoint and what came back -> Health.

Services print numbers as they like: `0.5`, `0.50`, `5e-1`. So a cell is compared as text first, and
as a number second. Expected values may differ by a relative millionth, which is what printing
loses. Two endpoints may differ by as much as `within` says, and that is counted in decimals: 0.31 -
0.3 is more than 0.01 in floats, and a person who wrote 0.01 would not understand why.

A cell that is no number is in no range: `atLeast: 0` refuses a text, an empty cell and NaN. Were
NaN compared as numbers are, every comparison with it would be false, and a check that asks "is it
below?" would let it through. So each check asks whether the cell is inside, never whether it is
out.

A change of an answer breaks its readers if a column goes away or has another type. New columns and
other values break nobody: readers find columns by name, and other values are what a model is for.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from decimal import Decimal

from reconciler.model import Comparison, Expectation, Health, HealthCode, Probe, Score

EMPTY = frozenset({"", "None", "nan", "NaN"})
TOLERANCE = 1e-6  # relative: services print numbers with different numbers of digits


def judge_score(probe: Probe, score: Score) -> Health:
    """HEALTHY when the answer has rows, every declared column, and only cells as expected."""
    if not score.rows:
        return Health(HealthCode.DEGRADED, "the endpoint answered the probe with no rows")
    if missing := missing_columns(probe, score):
        return Health(HealthCode.DEGRADED, missing)
    cells = {name: _cells(score, name) for name in probe.all_columns}
    if any(cell in EMPTY for column in cells.values() for cell in column):
        return Health(HealthCode.DEGRADED, "the answer to the probe has empty cells")
    for expected in probe.expect:
        if wrong := _wrong(expected, cells[expected.column]):
            return Health(HealthCode.DEGRADED, f"{wrong} (spec.verify.expect)")
    rows = len(score.rows)
    return Health(HealthCode.HEALTHY, f"scored {rows} {'row' if rows == 1 else 'rows'}")


def disagreement(compare: Comparison, columns: Iterable[str], score: Score, other: Score) -> str:
    """Where these columns, which both answers have, are not as `compare` wants, in words; "" where
    they are."""
    if len(score.rows) != len(other.rows):
        counts = f"{len(score.rows)}, and in that of {compare.name} {len(other.rows)}"
        return f"rows in the answer: {counts}"
    for column in columns:
        pairs = zip(_cells(score, column), _cells(other, column), strict=True)
        for number, (cell, its) in enumerate(pairs, 1):
            if not _agree(cell, its, compare.within):
                apart = f", more than {compare.within} apart" if compare.within else ""
                where = f'row {number} of "{column}" is {cell!r}'
                return f"{where}, and {its!r} in the answer of {compare.name}{apart}"
    return ""


def _agree(cell: str, other: str, within: Decimal) -> bool:
    """Whether two cells are the same, or numbers that are no further apart; as decimals, because
    0.31 - 0.3 is more than 0.01 as a float."""
    try:
        return cell == other or abs(Decimal(cell) - Decimal(other)) <= within
    except ArithmeticError:  # a text, or not a number
        return False


def breaking(before: Score, after: Score) -> str:
    """The losses of a reader of the first answer in the second, in words; "" for none: each
    column is still there, and has numbers, truths or texts as before."""
    for column in before.columns:
        if column not in after.columns:
            return f'the answer lacks the column "{column}", which the previous answer has'
        was, now = _type(_cells(before, column)), _type(_cells(after, column))
        if was and now and was != now:
            return f'the column "{column}" has {now}, and had {was} in the previous answer'
    return ""


def _type(cells: tuple[str, ...]) -> str:
    """The type of the cells that are not empty; "" where all are."""
    known = [cell for cell in cells if cell not in EMPTY]
    if not known:
        return ""
    if all(cell in ("true", "false", "True", "False") for cell in known):
        return "truths"
    return "texts" if any(math.isnan(_number(cell)) for cell in known) else "numbers"


def _cells(score: Score, column: str) -> tuple[str, ...]:
    at = score.columns.index(column)
    return tuple(row[at] for row in score.rows)


def _wrong(expected: Expectation, cells: tuple[str, ...]) -> str:
    """The first cell that is not as expected, in words; "" when all are."""
    column = f'"{expected.column}"'
    if expected.values and len(cells) != len(expected.values):
        return f"rows of {column}: {len(cells)}, expected {len(expected.values)}"
    for number, cell in enumerate(cells):
        if why := _wrong_cell(expected, cell, number):
            return f"row {number + 1} of {column} is {cell!r}, and {why}"
    return ""


def _wrong_cell(expected: Expectation, cell: str, number: int) -> str:
    """Why one cell is not as expected, in words; "" where it is."""
    if expected.at_least is not None and not _number(cell) >= float(expected.at_least):
        return f"at least {expected.at_least} is expected"
    if expected.at_most is not None and not _number(cell) <= float(expected.at_most):
        return f"at most {expected.at_most} is expected"
    if expected.one_of and not any(_same(cell, allowed) for allowed in expected.one_of):
        return f"one of {', '.join(map(repr, expected.one_of))} is expected"
    if expected.values and not _same(cell, expected.values[number]):
        return f"{expected.values[number]!r} is expected"
    return ""


def _number(cell: str) -> float:
    """The cell as a number; not-a-number, which is in no range, if it is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _same(cell: str, expected: str) -> bool:
    return cell == expected or math.isclose(_number(cell), _number(expected), rel_tol=TOLERANCE)


def missing_columns(probe: Probe, score: Score) -> str:
    """Which declared columns the answer lacks, in words; "" when it has them all."""
    columns = score.columns
    missing = [column for column in probe.all_columns if column not in columns]
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
