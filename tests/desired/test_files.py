"""What is refused in a model whose files somebody else makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.desired import load
from reconciler.errors import ConfigurationError
from reconciler.platforms import platforms
from tests.desired.changes import Row, each, model, said_of
from tests.desired.trees import MODEL, write

if TYPE_CHECKING:
    from pathlib import Path

TRAINING = MODEL[MODEL.index("  training:") : MODEL.index("  accept:")]
FILE = '  file: "made/${version}/model.onnx"\n'
METRICS = '  metrics: "made/${version}/metrics.json"\n'

LOCAL = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: store, local: {}}
---
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: churn}
spec: {path: churn.json, create: true, model: {name: churn, version: "1"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: churn}
spec:
  training:
    engine: local
    code: code
    command: python train.py {outputs.model}
    outputs: {}
"""

FILES = [
    model("a file with its metrics is fine", TRAINING, FILE + METRICS),
    model(
        "neither training nor file",
        TRAINING,
        "",
        '4:1: spec: "training" is missing, or "file"',
    ),
    model(
        "both",
        TRAINING,
        TRAINING + FILE,
        "4:1: spec: training and file are both here; take one out",
    ),
    model(
        "metrics of a training",
        TRAINING,
        TRAINING + METRICS,
        "10:3: spec.metrics: metrics are of a file; a training has them among its outputs",
    ),
    model(
        "gates without metrics",
        TRAINING,
        FILE,
        "6:3: spec.accept: gates are judged by the metrics; name their file in spec.metrics",
    ),
    model(
        "a placeholder that nothing fills",
        TRAINING,
        FILE.replace("model", "${slice}") + METRICS,
        "5:9: spec.file: unknown placeholder ${slice} for the binding "
        '"churn" (churn.yaml:4:9); known: version',
    ),
    model(
        "one file for every version",
        TRAINING,
        FILE.replace("${version}", "latest") + METRICS,
        '5:9: spec.file: "made/latest/model.onnx" is the same file for every version; write '
        "${version} where the version stands in its path",
    ),
    model(
        "one file of metrics for every version",
        TRAINING,
        FILE + METRICS.replace("${version}", "latest"),
        '6:12: spec.metrics: "made/latest/metrics.json" is the same file for every version; write '
        "${version} where the version stands in its path",
    ),
]


@each(FILES)
def test_a_model_of_files(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected


@pytest.mark.parametrize(
    ("outputs", "role", "said"),
    [
        ("{model: m.bin, metrics: m.json}", "", ""),
        ("{model: manifest.json}", "model", '"manifest.json" is the manifest already'),
        ("{model: m.json, metrics: M.json}", "metrics", '"M.json" is the model already'),
    ],
)
def test_no_two_files_of_a_version_are_called_alike(
    tmp_path: Path, outputs: str, role: str, said: str
) -> None:
    written = LOCAL.replace("outputs: {}", f"outputs: {outputs}")
    write(tmp_path, {"home.yaml": written, "code/train.py": ""})
    try:
        load(tmp_path, platforms())
    except ConfigurationError as exc:
        (problem,) = exc.problems
        assert said in problem.message
        assert f"outputs.{role}" in problem.message
    else:
        assert not said
