"""What is refused in a model whose files somebody else makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import Row, each, model, said_of
from tests.desired.trees import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TRAINING = MODEL[MODEL.index("  training:") : MODEL.index("  accept:")]
FILE = '  file: "made/${version}/model.onnx"\n'
METRICS = '  metrics: "made/${version}/metrics.json"\n'

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
        FILE.replace("version", "slice") + METRICS,
        "5:9: spec.file: unknown placeholder ${slice} for the binding "
        '"churn" (churn.yaml:4:9); known: version',
    ),
]


@each(FILES)
def test_a_model_of_files(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected
