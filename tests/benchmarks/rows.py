"""A row of the table, and what the benchmarks are run with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.benchmarks.program import CloudProcess

REACHED, MISSED, COMPARED, SKIPPED = "reached", "MISSED", "", "skipped"


@dataclass(frozen=True)
class Row:
    """One line: what was measured and what it must reach ("" where it is there to compare)."""

    benchmark: str
    measured: str
    must: str = ""
    verdict: str = COMPARED
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judged(
    benchmark: str,
    value: float,
    most: float,
    *,
    unit: str = "",
    said: str = "",
    also: bool = True,
    figures: Mapping[str, Any] | None = None,
) -> Row:
    """The row of a value that must not exceed `most`; `also` is whatever else must hold."""
    verdict = REACHED if value <= most and also else MISSED
    measured = f"{value:.3g}{unit}{f' ({said})' if said else ''}"
    return Row(
        benchmark, measured, f"<= {most:g}{unit}", verdict, {"value": value, **(figures or {})}
    )


@dataclass(frozen=True)
class Setting:
    """How large, how slow, where. `cloud` is shared: each benchmark begins its own world."""

    cloud: CloudProcess
    folder: Path
    small: int = 1_000
    large: int = 10_000
    sequential: int = 20
    latency_s: float = 0.05
    job_s: float = 2.0
    in_flight: int = 64
    repeats: int = 3
    ray_jobs: int = 100
