"""Online endpoints of Azure Machine Learning: a plan reads lists, and no deployment by itself.

ARM has no list of the deployments of all endpoints, so each endpoint costs one request. A
subscription may read 250 times at once, and 25 times more in each second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reconciler.cli import compose, session, stopping
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.model import Model
from reconciler.platforms.arm_marks import with_mark
from tests.benchmarks import bounds
from tests.benchmarks.cloud.definitions import SUBSCRIPTION
from tests.benchmarks.cloud.online import PAGE
from tests.benchmarks.planning import figures
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rows import Row, Setting, judged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUDGET, REFILLED = 250, 25
_TREE = f"""\
apiVersion: reconciler/v1
kind: Environment
metadata: {{name: online}}
spec:
  store: store
  data: data
  azureml: {{cloud: emulator, subscription: {SUBSCRIPTION}, resourceGroup: ml, workspace: prod}}
  limits: {{parallel: PARALLEL, changes: "100%"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {{name: m}}
spec: {{file: "${{version}}.bin"}}
---
apiVersion: reconciler/v1
kind: OnlineEndpoint
forEach: {{n: {{from: "00001", to: "LAST"}}}}
metadata: {{name: "e-${{n}}"}}
spec:
  endpoint: "e-${{n}}"
  instanceType: Standard_DS3_v2
  environment: python:1
  model: {{name: m, version: "1"}}
"""


def endpoints(setting: Setting) -> Iterator[Row]:
    """A no-op plan of many endpoints with two deployments each."""
    count, folder = setting.small, setting.folder / "online"
    for name in ("store", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / "1.bin").write_text("a model")
    text = _TREE.replace("LAST", f"{count:05}").replace("PARALLEL", str(setting.in_flight))
    (folder / "all.yaml").write_text(text, encoding="utf-8")
    host = setting.cloud.url
    setting.cloud.control("world", {"host": host, "online": _serving(folder, host)})
    run([*reconciler(), "train", "--yes", "-f", str(folder)], setting.cloud)
    setting.cloud.control("latency", {"latency_s": setting.latency_s})
    command = [*reconciler(), "plan", "-f", str(folder), "--detailed-exitcode"]
    costs = [run(command, setting.cloud) for _ in range(setting.repeats)]
    cost = sorted(costs, key=lambda cost: cost.after_start_s)[setting.repeats // 2]
    pages = math.ceil(count / PAGE)
    floor_s = pages * setting.latency_s + bounds.reads(count, setting.in_flight, setting.latency_s)
    what = f"no-op plan, {count:,} online endpoints of two deployments"
    kept = {"floor_s": floor_s, **figures(cost)}
    said = f"{cost.after_start_s:.2f} s"
    yield judged(
        f"{what}: wall ÷ floor", cost.after_start_s / floor_s, 1.3, said=said, figures=kept
    )
    # The program also asks whether an emulator answers, which is no request of ARM.
    asked = sum(n for kind, n in (cost.requests or {}).items() if "unknown" not in kind)
    throttled_s = max(asked - BUDGET, 0) / REFILLED
    said = f"{asked:,}; {throttled_s:.0f} s at {REFILLED} reads per second"
    yield judged(f"{what}: requests ÷ lists", asked / (count + pages), 1.0, said=said)


def _serving(folder: Path, url: str) -> dict[str, dict[str, Any]]:
    """What each endpoint serves in a world that agrees with what is declared."""
    wanted = compose.load(folder)["online"]
    with session.client(wanted.environment, 16, stopping.Stop()) as http:
        world = compose.connect(wanted, http, environ={EMULATOR_VARIABLE: url})
        found = {}
        for binding in wanted.bindings:
            model = Model(world.ledger.ref(binding.version), binding.version)
            ref = world.targets[binding.kind].ref(binding, model).url
            below, _, deployment = ref.partition("/models/")[2].partition("/deployments/")
            scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml"
            scope += "/providers/Microsoft.MachineLearningServices/workspaces/prod"
            name = str(binding.address).rpartition("/")[2]
            tags = with_mark({}, f"online@{world.store.uri}", protect=False)
            model_id = f"{scope}/models/{below}"
            found[name] = {"deployment": deployment, "model": model_id, "tags": tags}
    return found
