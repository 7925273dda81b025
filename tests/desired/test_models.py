"""What is refused in a model, by itself and with the bindings that name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desired.changes import Row, each, model, said_of, whole
from tests.desired.trees import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ONE_BOUND = "11:7: spec.accept[0]: exactly one of atLeast, atMost, noWorseThanLive, betterThanLive, minRows is needed"
NO_PATH = "is not a path of the data; write folder/file, without a leading /, without .. or /./ and without ?"
NO_TABLE = "a training service reads .csv, .tsv and .arff only; write the ending of the blob"
WHO = 'for the binding "churn" (churn.yaml:4:9)'
INPUT = "7:22: spec.training.inputs.input1:"

MODELS = [
    model(
        "a bound that is not a number is refused",
        '"0.85"',
        "high",
        '11:30: spec.accept[0].atLeast: "high" is not a number; write for example "0.85"',
    ),
    model(
        "a bound that is not finite is refused",
        '"0.85"',
        "NaN",
        '11:30: spec.accept[0].atLeast: "NaN" is not a number; write for example "0.85"',
    ),
    model(
        "an input in what cannot be a container is refused",
        "datasets/",
        "Data Sets/",
        f'{INPUT} "Data Sets" is not a container; use 3 to 63 lower-case letters, digits and single '
        "dashes",
    ),
    model("two bounds are refused", '"0.85"', '"0.85", atMost: "1"', ONE_BOUND),
    model("no bound is refused", ', atLeast: "0.85"', "", ONE_BOUND),
    model(
        "a timeout without a unit is refused",
        "    outputs",
        '    timeout: "90"\n    outputs',
        '8:14: spec.training.timeout: "90" is not a duration; write one whole number with one unit, '
        "such as 90s, 30m or 2h",
    ),
    model(
        "columns of an input that is not there are refused",
        "    outputs",
        "    columns: {input2: [age]}\n    outputs",
        '8:23: spec.training.columns.input2: there is no such input; did you mean "input1"?',
    ),
    model(
        "columns of a file that is no table are refused",
        '${version}.csv"}\n    outputs',
        '${version}.arff"}\n    columns: {input1: [age]}\n    outputs',
        "8:23: spec.training.columns.input1: datasets/churn/${version}.arff is no table; columns are "
        "of a .csv or .tsv file",
    ),
    model(
        "outputs without the model are refused",
        "model: output1, ",
        "",
        '8:5: spec.training.outputs: "model" is missing',
    ),
    model(
        "one port for model and evaluation is refused",
        "output2",
        "output1",
        "8:40: spec.training.outputs.metrics: this is the model's port; "
        "name the port of the metrics",
    ),
    model(
        "gates without an evaluation to judge them by are refused",
        ", metrics: output2",
        "",
        "10:3: spec.accept: gates are judged by the metrics; name them in spec.training.outputs",
    ),
    whole(
        "a model that nothing uses is checked too",
        "models/second.yaml",
        MODEL.replace("name: churn", "name: second").replace("output2", "output1"),
        "8:40: spec.training.outputs.metrics: this is the model's port; "
        "name the port of the metrics",
    ),
    model(
        "one mistake in a template is said once",
        "${version}",
        "${slice}-${slice}",
        f"{INPUT} unknown placeholder ${{slice}} {WHO}; known: version",
    ),
    model(
        "an unknown placeholder is found in the model and names the binding",
        "${version}",
        "${slice}",
        f"{INPUT} unknown placeholder ${{slice}} {WHO}; known: version",
    ),
    model(
        "an unknown placeholder of a parameter brings the nearest known one",
        "    outputs",
        '    parameters: {a: "${versoin}"}\n    outputs',
        "8:21: spec.training.parameters.a: unknown placeholder ${versoin} "
        f'{WHO}; did you mean "version"?',
    ),
    model(
        "an open placeholder is refused",
        "${version}",
        "${version",
        f"{INPUT} ${{ has no }} behind it; write ${{version}} or ${{argument}}",
    ),
    model(
        "an unknown training service brings the nearest known one",
        "service: churn-training",
        "service: churn-trainer",
        '6:14: spec.training.service: the environment "prod" has no training service '
        '"churn-trainer"; did you mean "churn-training"?',
    ),
    whole(
        "two models of one name name both places",
        "models/second.yaml",
        MODEL,
        '3:18: the model "churn" is declared already (models/churn.yaml:3:18); names are unique',
    ),
]
MODELS += [
    model(
        f"the blob path {path or 'of no letters'} is refused",
        "datasets/churn/${version}.csv",
        path,
        f'{INPUT} "{path}" {NO_PATH}',
    )
    for path in [
        "/datasets/a.csv",
        "datasets/../a.csv",
        "datasets/./a.csv",
        "datasets/a.csv?x=y",
        "a//b",
        "",
    ]
]
MODELS += [
    model(
        "an input without a container is refused where the data is an account",
        "datasets/churn/${version}.csv",
        "a.csv",
        f'{INPUT} "a.csv" names no file in a container',
    ),
    model(
        "an input that no training service reads is refused",
        "datasets/churn/${version}.csv",
        "datasets/churn/${version}.txt",
        f"{INPUT} {NO_TABLE}",
    ),
    model(
        "an input that becomes one without an ending is refused",
        "datasets/churn/${version}.csv",
        "datasets/churn/${version}",
        f'{INPUT} {WHO} it becomes "datasets/churn/2026-10"; {NO_TABLE}',
    ),
]


@each(MODELS)
def test_a_model_that_cannot_be_made_is_told_why(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of(row, tmp_path, monkeypatch) == row.expected
