"""`.venv/bin/python -m tests.benchmarks`: every benchmark of the table, or those that are named."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import (
    applying,
    comparing,
    files,
    offline,
    online,
    planning,
    registry,
    serving,
    training,
)
from tests.benchmarks.program import cloud
from tests.benchmarks.rows import MISSED, Row, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BENCHMARKS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "startup": offline.startup,
    "definitions": comparing.definitions,
    "new": planning.new_services,
    "classic": planning.classic_endpoints,
    "files": files.model_files,
    "bucket": files.bucket_files,
    "blob": files.blob_files,
    "clusters": serving.clusters,
    "swaps": serving.swaps,
    "ray-jobs": training.ray_jobs,
    "aliases": registry.aliases,
    "online": online.endpoints,
    "growth": planning.growth,
    "apply": applying.classic_endpoints,
    "apply-new": applying.new_services,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the JSON; 1 where something was missed."""
    asked = _parser().parse_args(arguments)
    rows: list[Row] = []
    with cloud() as at, tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            at,
            Path(folder),
            small=asked.small,
            large=asked.large,
            sequential=asked.sequential,
            latency_s=asked.latency / 1000,
            job_s=asked.job,
            in_flight=asked.in_flight,
            repeats=asked.repeats,
            ray_jobs=asked.ray_jobs,
        )
        _print(Row("benchmark", "measured", "must reach", "verdict"))
        for name in asked.benchmark or BENCHMARKS:
            for row in BENCHMARKS[name](setting):
                _print(row)
                rows.append(row)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(_document(rows, setting), encoding="utf-8")
    print(f"wrote {asked.json}", file=sys.stderr)
    return int(any(row.verdict == MISSED for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "benchmark",
        nargs="*",
        choices=[*BENCHMARKS, []],
        help=", ".join(BENCHMARKS),
        metavar="NAME",
    )
    parser.add_argument("--small", type=int, default=1_000, help="bindings (1,000)")
    parser.add_argument("--large", type=int, default=10_000, help="bindings to grow to (10,000)")
    parser.add_argument("--sequential", type=int, default=20, help="endpoints of the script (20)")
    parser.add_argument("--latency", type=float, default=50, metavar="MS", help="injected (50)")
    parser.add_argument("--job", type=float, default=2, metavar="S", help="one training job (2)")
    parser.add_argument("--in-flight", type=int, default=64, help="requests at once (64)")
    parser.add_argument("--repeats", type=int, default=3, help="runs whose median counts (3)")
    parser.add_argument("--ray-jobs", type=int, default=100, help="trainings on a real Ray (100)")
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks.json"), metavar="FILE")
    return parser


def _print(row: Row) -> None:
    print(f"{row.benchmark:<62}  {row.measured:<44}  {row.must:<11}  {row.verdict}", flush=True)


def _document(rows: list[Row], setting: Setting) -> str:
    said = {k: v for k, v in vars(setting).items() if k not in ("cloud", "folder")}
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    document = {"machine": machine, "setting": said, "rows": [asdict(row) for row in rows]}
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
