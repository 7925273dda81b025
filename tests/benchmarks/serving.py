"""Applications of Ray clusters: what one costs its cluster in requests, however many there are."""

from __future__ import annotations

import contextlib
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.benchmarks.fleets import SECRETS
from tests.benchmarks.planning import figures
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rows import Row, Setting, judged
from tests.ray.serve_standin import ServeStandin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLUSTERS = 10
_TREE = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {{name: "{name}"}}
spec:
  store: store
  data: data
  ray: {{url: "{url}", token: env:BENCH_WORKSPACE_TOKEN, serve: "{url}/at"}}
  limits: {{parallel: 64, changes: "100%"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {{name: "{name}"}}
spec: {{file: "${{version}}.json"}}
---
apiVersion: reconciler/v1
kind: ServeApplication
forEach: {{n: {{from: "0001", to: "{last:04}"}}}}
metadata: {{name: "a-${{n}}"}}
spec:
  application: "a-${{n}}"
  code: code
  model: {{name: "{name}", version: "{version}"}}
"""


def clusters(setting: Setting) -> Iterator[Row]:
    """A no-op plan of many applications on ten clusters, behind injected latency."""
    each = max(setting.small // CLUSTERS, 1)
    folder = setting.folder / "clusters"
    with _standins(CLUSTERS) as standins:
        for number, standin in enumerate(standins):
            _write(folder / f"c{number}", f"c{number}", standin, each)
            run([*reconciler(), "apply", "--yes", "-f", str(folder), "-e", f"c{number}"])
        for standin in standins:
            standin.latency_s = setting.latency_s
            standin.world.requests.clear()
        plan = [*reconciler(), "plan", "-f", str(folder), "--detailed-exitcode", "-e"]
        costs = [run([*plan, f"c{number}"]) for number in range(CLUSTERS)]
        asked = max(len(standin.world.requests) for standin in standins)
        writes = sum(not r.startswith("GET ") for s in standins for r in s.world.requests)
    yield judged(
        f"no-op plan, {each * CLUSTERS:,} applications on {CLUSTERS} Ray clusters: requests of one",
        asked,
        6,
        said=f"{sum(cost.wall_s for cost in costs):.1f} s",
        also=not writes,
        figures=figures(costs[0]),
    )


def swaps(setting: Setting) -> Iterator[Row]:
    """Many swaps in one cluster: they share the requests that replace its world."""
    count = max(setting.small // 5, 1)
    folder = setting.folder / "swaps"
    with _standins(1) as (standin,):
        _write(folder, "swaps", standin, count)
        run([*reconciler(), "apply", "--yes", "-f", str(folder)])
        standin.latency_s = setting.latency_s
        before = len(standin.serve.bodies)
        _write(folder, "swaps", standin, count, "2")
        began = time.monotonic()
        run([*reconciler(), "apply", "--yes", "-f", str(folder)])
        wall_s = time.monotonic() - began
        served = {a.serves["args"]["model"]["version"] for a in standin.serve.applications.values()}
        writes = len(standin.serve.bodies) - before
    yield judged(
        f"apply, {count:,} swaps in one Ray cluster: requests that write",
        writes,
        2 + count // 16,
        said=f"{wall_s:.1f} s",
        also=served == {"2"},
    )


@contextlib.contextmanager
def _standins(count: int) -> Iterator[list[ServeStandin]]:
    """Small servers that answer as Ray does."""
    with ExitStack() as ends:
        made = [ServeStandin() for _ in range(count)]
        for each in made:
            ends.callback(each.close)
            each.world.token = SECRETS["BENCH_WORKSPACE_TOKEN"]
        yield made


def _write(folder: Path, name: str, standin: ServeStandin, last: int, version: str = "1") -> None:
    for below in ("store", "data", "code"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    (folder / "code" / "serve.py").write_text("def load(path): ...\n", encoding="utf-8")
    (folder / "data" / f"{version}.json").write_text(json.dumps(version), encoding="utf-8")
    text = _TREE.format(name=name, url=standin.url, last=last, version=version)
    (folder / "all.yaml").write_text(text, encoding="utf-8")
