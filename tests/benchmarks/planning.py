"""Plans that find nothing to do: their time, their processor time, their growth, their memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import bounds, fleets
from tests.benchmarks.fleets import Fleet
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rivals import plain_client, terraform
from tests.benchmarks.rows import SKIPPED, Row, Setting, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.program import Cost

LARGE_DEFINITION = 20_000


def plan(setting: Setting, fleet: Fleet, repeats: int = 1) -> Cost:
    """The cost of a plan of a fleet that is converged: the median of several by their time."""
    name = f"{fleet.kind}-{fleet.count}-{fleet.definition_bytes}"
    services = setting.folder / name
    if not services.exists():
        fleets.write(services, fleet)
    fleets.begin(setting.cloud, services, fleet, converged=True, latency_s=setting.latency_s)
    command = [*reconciler(), "plan", "-f", str(services), "--detailed-exitcode"]
    found = [run(command, setting.cloud) for _ in range(repeats)]
    return sorted(found, key=lambda cost: cost.after_start_s)[repeats // 2]


def new_services(setting: Setting) -> Iterator[Row]:
    """Many New services: each must be read, so the network's floor is known."""
    count = setting.small
    cost = plan(setting, Fleet("new", count, parallel=setting.in_flight), setting.repeats)
    floor_s = bounds.reads(count, setting.in_flight, setting.latency_s)
    yield judged(
        f"no-op plan, {count:,} New services: wall ÷ floor",
        cost.after_start_s / floor_s,
        1.3,
        said=f"{cost.after_start_s:.2f} s, {cost.asked:,} requests",
        figures={"floor_s": floor_s, **figures(cost)},
    )
    plain = plain_client(setting.cloud, count, setting.in_flight)
    yield Row(
        f"{count:,} GETs by a plain pooled client: wall ÷ floor",
        f"{plain.after_start_s / floor_s:.3g} ({plain.after_start_s:.2f} s, nothing done with them)",
        figures=figures(plain),
    )
    found = terraform(setting.folder / f"terraform-{count}", count)
    if found is None:
        yield Row(f"terraform plan, {count:,} resources", "not installed", verdict=SKIPPED)
        return
    yield Row(
        f"terraform plan, {count:,} resources: whole process",
        f"{found.wall_s:.2f} s wall, {found.cpu_s:.2f} s CPU, no network",
        figures={"wall_s": found.wall_s, "cpu_s": found.cpu_s},
    )
    yield Row(
        f"no-op plan, {count:,} New services: whole process",
        f"{cost.wall_s:.2f} s wall, {cost.cpu_s:.2f} s CPU",
        figures=figures(cost),
    )


def classic_endpoints(setting: Setting) -> Iterator[Row]:
    """Many endpoints of one Classic service: one list answers for all of them."""
    few, count = max(setting.small // 10, 1), setting.small
    small = plan(setting, Fleet("classic", few, parallel=setting.in_flight))
    cost = plan(setting, Fleet("classic", count, parallel=setting.in_flight), setting.repeats)
    constant = small.asked == cost.asked
    yield judged(
        f"no-op plan, {count:,} Classic endpoints of one service",
        cost.after_start_s,
        1.0,
        unit=" s",
        said=f"{cost.asked:,} requests; {few:,} endpoints: {small.asked:,}",
        also=constant,
        figures=figures(cost),
    )


def growth(setting: Setting) -> Iterator[Row]:
    """Processor time, growth and memory, of New services with definitions of 20 kB."""
    one, small, large = (
        plan(setting, Fleet("new", count, LARGE_DEFINITION, setting.in_flight), repeats)
        for count, repeats in (
            (1, setting.repeats),
            (setting.small, setting.repeats),
            (setting.large, 1),
        )
    )
    yield judged(
        "CPU per binding, no-op plan, New, 20 kB",
        1000 * (small.cpu_s - one.cpu_s) / setting.small,
        2.0,
        unit=" ms",
        figures={"start_cpu_s": one.cpu_s, **figures(small)},
    )
    for what, cost_of in (("CPU", _cpu_beyond(one)), ("time", _time)):
        pairs = [(n, cost_of(c)) for n, c in ((setting.small, small), (setting.large, large))]
        yield judged(
            f"growth of plan {what}, {setting.small:,} to {setting.large:,}: exponent",
            bounds.exponent(*pairs),
            1.1,
            said=f"{pairs[0][1]:.2f} s to {pairs[1][1]:.2f} s",
        )
    yield from _memory(setting, small, large)


def _memory(setting: Setting, small: Cost, large: Cost) -> Iterator[Row]:
    more_kib = (large.peak_kib - small.peak_kib) / (setting.large - setting.small)
    yield judged(
        f"peak memory, {setting.large:,} bindings, 20 kB",
        large.peak_kib * 1024 / 1e6,
        400,
        unit=" MB",
        figures=figures(large),
    )
    yield judged("memory per further binding, 20 kB", more_kib * 1.024, 20, unit=" kB")


def _cpu_beyond(start: Cost) -> Callable[[Cost], float]:
    return lambda cost: max(cost.cpu_s - start.cpu_s, 0.001)


def _time(cost: Cost) -> float:
    return cost.after_start_s


def figures(cost: Cost) -> dict[str, object]:
    """What is kept of a cost in the JSON."""
    return {
        "wall_s": cost.wall_s,
        "after_start_s": cost.after_start_s,
        "cpu_s": cost.cpu_s,
        "peak_kib": cost.peak_kib,
        "requests": cost.requests,
        "most_at_once": cost.most_at_once,
        "cloud_cpu_s": cost.cloud_cpu_s,
    }
