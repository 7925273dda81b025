"""What sends nothing: start-up and `validate`, as whole processes."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

from tests.benchmarks import fleets
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rows import Row, Setting, judged

if TYPE_CHECKING:
    from collections.abc import Iterator


def startup(setting: Setting) -> Iterator[Row]:
    """Whole processes that send nothing."""
    bare_s = _median_wall_s([sys.executable, "-c", "pass"], 2 * setting.repeats + 1)
    yield Row("an empty Python process", f"{1000 * bare_s:.3g} ms", figures={"value": bare_s})
    help_s = _median_wall_s([*reconciler(), "--help"], 2 * setting.repeats + 1)
    yield judged(
        "--help, whole process",
        1000 * help_s,
        150,
        unit=" ms",
        said=f"{help_s / bare_s:.2g} × empty",
    )
    count = setting.small
    services = fleets.write_files(setting.folder / f"files-{count}", count)
    command = [*reconciler(), "validate", "-f", str(services)]
    valid_s = _median_wall_s(command, setting.repeats)
    yield judged(f"validate of {count:,} files, whole process", valid_s, 1.0, unit=" s")


def _median_wall_s(command: list[str], repeats: int) -> float:
    return statistics.median(run(command).wall_s for _ in range(repeats))
