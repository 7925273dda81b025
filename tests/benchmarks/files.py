"""A fleet of model files in folders: no network at all, so the whole process counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.planning import figures
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rows import Row, Setting, judged

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCUMENTS = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: files}
spec: {store: store, data: data, local: {}, limits: {parallel: 16, changes: "100%"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: m}
spec:
  training:
    engine: local
    command: "cp {inputs.d} {outputs.model}"
    inputs: {d: d.csv}
    outputs: {model: m.bin}
---
apiVersion: reconciler/v1
kind: ModelFile
forEach: {n: {from: "000001", to: "LAST"}}
metadata: {name: "f-${n}"}
spec: {path: "serving/${n}.json", create: true, model: {name: m, version: "1"}}
"""


def model_files(setting: Setting) -> Iterator[Row]:
    """Many pointers of one environment, and their records, in folders of this machine."""
    count, folder = setting.small, setting.folder / "files"
    for name in ("store", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / "d.csv").write_text("x")
    (folder / "all.yaml").write_text(_DOCUMENTS.replace("LAST", f"{count:06}"), encoding="utf-8")
    run([*reconciler(), "apply", "--yes", "-f", str(folder)])
    command = [*reconciler(), "plan", "-f", str(folder), "--detailed-exitcode"]
    costs = sorted((run(command) for _ in range(setting.repeats)), key=lambda cost: cost.wall_s)
    cost = costs[setting.repeats // 2]
    yield judged(
        f"no-op plan, {count:,} model files in a folder store, whole process",
        cost.wall_s,
        1.0,
        unit=" s",
        said=f"{cost.cpu_s:.2f} s CPU",
        figures=figures(cost),
    )
