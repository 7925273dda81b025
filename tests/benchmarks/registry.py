"""Aliases of many registered models: a plan reads lists of them, and none by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconciler.platforms.mlflow.alias import TAG
from tests.benchmarks.planning import figures
from tests.benchmarks.program import Cost, reconciler, run
from tests.benchmarks.rows import Row, Setting, judged
from tests.mlflow.standin import Registry, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

_TREE = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: aliases}
spec: {store: store, data: data, mlflow: {url: "URL"}, limits: {parallel: 64, changes: "100%"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: m}
spec: {file: "${version}.bin"}
---
apiVersion: reconciler/v1
kind: ModelAlias
forEach: {n: {from: "00001", to: "LAST"}}
metadata: {name: "a-${n}"}
spec: {registeredModel: "m-${n}", alias: champion, model: {name: m, version: "1"}}
"""


def aliases(setting: Setting) -> Iterator[Row]:
    """A no-op plan of as many registered models as aliases, behind injected latency."""
    few, count = max(setting.small // 10, 1), setting.small
    small, _ = _planned(setting, few)
    asked, cost = _planned(setting, count)
    yield judged(
        f"no-op plan, {count:,} MLflow aliases of a model each: requests",
        asked,
        2 + count // 1_000,
        said=f"{cost.wall_s:.2f} s with the start; {few:,} aliases: {small}",
        figures=figures(cost),
    )


def _planned(setting: Setting, count: int) -> tuple[int, Cost]:
    """The requests of a plan of aliases that lead where they must, and its cost."""
    folder = setting.folder / f"aliases-{count}"
    for name in ("store", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / "1.bin").write_text("a model")
    with registry() as known:
        text = _TREE.replace("URL", known.url).replace("LAST", f"{count:05}")
        (folder / "all.yaml").write_text(text, encoding="utf-8")
        for number in range(1, count + 1):
            _published(known, f"m-{number:05}", f"aliases@{(folder / 'store').as_uri()}")
        run([*reconciler(), "train", "--yes", "-f", str(folder)])
        known.instead = lambda *_: time.sleep(setting.latency_s)
        known.requests.clear()
        cost = run([*reconciler(), "plan", "-f", str(folder), "--detailed-exitcode"])
        return len(known.requests), cost


def _published(known: Registry, name: str, mark: str) -> None:
    """A registered model whose alias leads to what an environment published."""
    tags = {"reconciler.version": "m/1", "reconciler.mark": mark}
    listed = [{"key": key, "value": value} for key, value in tags.items()]
    known.add(name, {"tags": listed}, champion="1")
    known.set_tag({"name": name, "key": f"{TAG}champion", "value": mark})
