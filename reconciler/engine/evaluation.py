"""Pure: what a training job measured -> metrics, from JSON or an evaluation CSV, by content.

The CSV is what Studio's Evaluate Model writes (STUDIO_PROTOCOL.md §4.5).
"""

from __future__ import annotations

import csv
import io
import math
from itertools import islice

from reconciler.errors import UnreadableError
from reconciler.strict_json import parse_json

MOST_BYTES = 1024 * 1024  # of the two lines that are read


def parse_metrics(content: bytes) -> dict[str, float]:
    """Metric by name, from a JSON object of numbers, or from an evaluation CSV.

    Raises UnreadableError where there is no metric at all, or a JSON value is no finite number.
    """
    if not content[:MOST_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return parse_evaluation(content)
    try:
        document = parse_json(content, unique=True)
    except ValueError as exc:
        raise UnreadableError(f"its metrics are not JSON: {exc}") from exc
    for name, value in document.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnreadableError(f'its metric "{name}" is not a number')
    if not document:
        raise UnreadableError("its metrics hold no number")
    return {name: float(value) for name, value in document.items()}


def parse_evaluation(content: bytes) -> dict[str, float]:
    """Metric by name, from a header line and the first value line.

    Cells that are not finite numbers are left out: a gate on them is inconclusive, not passed.
    Raises UnreadableError when there is no header, no value line, or no metric at all. Both lines
    are in the first MiB; whatever follows them is not looked at.
    """
    if len(content) > MOST_BYTES:
        content = content[:MOST_BYTES].rpartition(b"\n")[0]
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        rows = list(islice(filter(None, lines), 2))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise UnreadableError("the evaluation is not a CSV in UTF-8") from exc
    if len(rows) < 2:
        raise UnreadableError("the evaluation has no header line followed by a value line")
    if len(rows[0]) != len(rows[1]):
        raise UnreadableError(
            f"the evaluation has {len(rows[0])} columns and {len(rows[1])} values"
        )
    metrics = {name.strip(): _number(cell) for name, cell in zip(rows[0], rows[1], strict=True)}
    numbers = {name: value for name, value in metrics.items() if value is not None}
    if not numbers:
        raise UnreadableError("the evaluation holds no number")
    return numbers


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
