"""A fleet that is retrained, swapped and proved, against the bound and the sequential script."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.benchmarks import bounds, fleets
from tests.benchmarks.cloud.jobs import AT_ONCE
from tests.benchmarks.fleets import Fleet
from tests.benchmarks.planning import figures
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rivals import sequential
from tests.benchmarks.rows import MISSED, REACHED, Row, Setting, judged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.program import Cost


def classic_endpoints(setting: Setting) -> Iterator[Row]:
    """`apply` of endpoints whose versions must all be made, and the script on some of them."""
    cost = _apply(setting, "classic")
    yield _against_the_bound(setting, cost, "Classic")
    count = setting.sequential
    _begin(setting, "classic", count)
    script = sequential(setting.cloud, count)
    each_s, ours_s = script.wall_s / count, cost.wall_s / setting.small
    times = each_s / ours_s
    yield Row(
        f"the same, sequential script on {count} endpoints: per endpoint",
        f"{times:.3g} times ours ({each_s:.2f} s, ours {ours_s:.3f} s)",
        ">= 15 times",
        REACHED if times >= 15 else MISSED,
        {"value": times, "each_s": each_s, "ours_s": ours_s},
    )


def new_services(setting: Setting) -> Iterator[Row]:
    """`apply` of New services whose versions must all be made."""
    yield _against_the_bound(setting, _apply(setting, "new"), "New")


def _against_the_bound(setting: Setting, cost: Cost, kind: str) -> Row:
    bound_s = bounds.retrains(
        setting.small,
        job_s=setting.job_s,
        jobs_at_once=AT_ONCE,
        in_flight=setting.in_flight,
        latency_s=setting.latency_s,
    )
    return judged(
        f"apply of {setting.small:,} retrains, swaps, proofs, {kind}: wall ÷ bound",
        cost.after_start_s / bound_s,
        1.25,
        said=f"{cost.after_start_s:.1f} s, {cost.asked:,} requests",
        figures={"bound_s": bound_s, **figures(cost)},
    )


def _begin(setting: Setting, kind: str, count: int) -> Path:
    """The folder of services of a fleet that serves the model before."""
    fleet = Fleet(kind, count, parallel=setting.in_flight)
    services = setting.folder / f"apply-{kind}-{count}"
    if not services.exists():
        fleets.write(services, fleet)
    fleets.begin(
        setting.cloud,
        services,
        fleet,
        converged=False,
        latency_s=setting.latency_s,
        job_s=setting.job_s,
    )
    return services


def _apply(setting: Setting, kind: str) -> Cost:
    services = _begin(setting, kind, setting.small)
    report = setting.folder / "report.json"
    command = [*reconciler(), "apply", "-f", str(services), "--yes", "--report", str(report)]
    cost = run(command, setting.cloud)
    proofs = json.loads(report.read_text(encoding="utf-8"))["report"]["proofs"]
    if sum(proof["proved"] for proof in proofs) != setting.small:
        raise RuntimeError(f"{len(proofs)} proofs of {setting.small}\n{cost.err}")
    return cost
