"""Trainings as Ray Jobs, and what they cost beside jobs that Ray's own client submits."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.fleets import SECRETS
from tests.benchmarks.planning import figures
from tests.benchmarks.program import reconciler, run
from tests.benchmarks.rows import SKIPPED, Row, Setting, judged
from tests.ray.head import RealRay

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1.1
_SUBMIT = Path(__file__).with_name("submit.py")
_TRAIN = "import shutil, sys\nshutil.copyfile(sys.argv[1], sys.argv[2])\n"
_TREE = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {{name: trained}}
spec:
  store: store
  data: data
  local: {{}}
  ray: {{url: "{url}", token: env:BENCH_WORKSPACE_TOKEN}}
  limits: {{parallel: 64, changes: "100%", retrains: {last}}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {{name: m}}
spec:
  training:
    engine: ray
    code: code
    command: python train.py {{inputs.d}} {{outputs.model}}
    inputs: {{d: "${{version}}.csv"}}
    outputs: {{model: m.bin}}
---
apiVersion: reconciler/v1
kind: ModelFile
forEach: {{n: {{from: "0001", to: "{last:04}"}}}}
metadata: {{name: "m-${{n}}"}}
spec: {{path: "serving/${{n}}.json", create: true, model: {{name: m, version: "${{n}}"}}}}
"""


def ray_jobs(setting: Setting) -> Iterator[Row]:
    """`train` of models by Ray Jobs, and the same commands submitted by Ray's own client."""
    count = setting.ray_jobs
    name = f"{count:,} trainings by Ray Jobs: wall ÷ the same jobs by Ray's client"
    if find_spec("ray") is None:
        why = "Ray is not installed: pip install -e '.[ray]'"
        yield Row(name, why, f"<= {MOST:g}", SKIPPED)
        return
    folder = setting.folder / "trained"
    ray = RealRay(SECRETS["BENCH_WORKSPACE_TOKEN"])
    try:
        ray.start()
        _write(folder, ray.url, count)
        submit = [sys.executable, str(_SUBMIT), ray.url, str(folder)]
        run([*submit, "1"])  # the first job of a node takes longer
        theirs_s = float(json.loads(run([*submit, str(count)]).out))
        ours = run([*reconciler(), "train", "--yes", "-f", str(folder)])
        trained = len(list((folder / "store").glob("m/*/m.bin")))
    finally:
        ray.stop()
    yield judged(
        name,
        ours.wall_s / theirs_s,
        MOST,
        said=f"{ours.wall_s:.1f} s, theirs {theirs_s:.1f} s",
        also=trained == count,
        figures={"theirs_s": theirs_s, **figures(ours)},
    )


def _write(folder: Path, url: str, last: int) -> None:
    for below in ("store", "data", "code", "serving", "theirs"):
        (folder / below).mkdir(parents=True)
    (folder / "code" / "train.py").write_text(_TRAIN, encoding="utf-8")
    for number in range(1, last + 1):
        (folder / "data" / f"{number:04}.csv").write_text(f"{number}", encoding="utf-8")
    (folder / "all.yaml").write_text(_TREE.format(url=url, last=last), encoding="utf-8")
    for words in (("init", "--quiet"), ("add", "--all")):
        subprocess.run(["git", *words], cwd=folder, check=True)
