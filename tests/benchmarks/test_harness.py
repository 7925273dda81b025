"""The harness works, on a fleet of a few: its figures say nothing here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import bounds
from tests.benchmarks.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

TINY = "--small 4 --large 6 --sequential 1 --repeats 1 --latency 1 --job 0.05 --in-flight 8 --ray-jobs 2"
ROWS = [
    ("New services: wall ÷ floor", "<= 1.3"),
    ("Classic endpoints of one service", "<= 1 s"),
    ("retrains, swaps, proofs, Classic: wall ÷ bound", "<= 1.25"),
    ("sequential script on 1 endpoints: per endpoint", ">= 15 times"),
    ("4 model files in a folder store, whole process", "<= 1 s"),
    ("4 model files, store in S3 (moto): wall ÷ floor", "<= 1.5"),
    ("4 model files, store in Google's (stand-in): wall ÷ floor", "<= 1.5"),
    ("4 model files, store in Azure Blob, whole process", "<= 1.5 s"),
    ("4 online endpoints of two deployments: wall ÷ floor", "<= 1.3"),
    ("4 online endpoints of two deployments: requests ÷ lists", "<= 1"),
    ("4 MLflow aliases of a model each: requests", "<= 2"),
    ("on 10 Ray clusters: requests of one", "<= 6"),
    ("swaps in one Ray cluster: requests that write", "<= 2"),
    ("2 trainings by Ray Jobs: wall ÷ the same jobs by Ray's client", "<= 1.1"),
    ("CPU per binding, no-op plan, New, 20 kB", "<= 2 ms"),
    ("growth of plan CPU", "<= 1.1"),
    ("growth of plan time", "<= 1.1"),
    ("peak memory", "<= 400 MB"),
    ("memory per further binding", "<= 20 kB"),
    ("--help, whole process", "<= 150 ms"),
    ("validate of 4 files, whole process", "<= 1 s"),
    ("3 MB, inline: diff cost ÷ parse cost", "<= 5 %"),
    ("3 MB, payload in a blob: diff cost ÷ parse cost", "<= 5 %"),
    ("terraform plan, 4 resources", ""),
    ("4 GETs by a plain pooled client", ""),
]


@pytest.mark.long
def test_one_command_measures_every_row_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "benchmarks.json"
    main([*TINY.split(), "--json", str(kept)])
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"]
    printed = capsys.readouterr().out
    for name, must in ROWS:
        (row,) = [row for row in rows if name in row["benchmark"]]
        assert row["must"] == must
        assert row["benchmark"] in printed


def test_the_floor_counts_whole_rounds() -> None:
    assert bounds.reads(65, 64, 0.05) == pytest.approx(0.1)


def test_what_doubles_with_its_size_grows_by_the_exponent_one() -> None:
    assert bounds.exponent((1_000, 2.0), (2_000, 4.0)) == pytest.approx(1.0)


def test_the_bound_of_an_apply_is_that_of_its_jobs_or_of_its_requests() -> None:
    by_jobs = bounds.retrains(80, job_s=2, jobs_at_once=40, in_flight=64, latency_s=0.05)
    by_requests = bounds.retrains(80, job_s=0, jobs_at_once=40, in_flight=64, latency_s=0.05)
    assert by_jobs == pytest.approx(4.0)
    assert by_requests == pytest.approx(bounds.reads(80 * bounds.FEWEST_REQUESTS, 64, 0.05))
