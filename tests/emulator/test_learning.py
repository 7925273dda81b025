"""The emulator's experiments learn, tell the truth about it, and refuse what is not theirs."""

import csv
import io
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reconciler.emulator.learning import (
    REGRESSION,
    TWO_CLASS,
    Experiment,
    LearningError,
    fit,
    load,
    score,
)
from tests import make_local_data

LOCAL = Path(__file__).parents[2] / "services" / "local"
DATA = LOCAL / "_emulator" / "data"
CANCER = Experiment(
    "breast-cancer",
    TWO_CLASS,
    "diagnosis",
    positive="malignant",
    parameters={"Regularization": "1.0"},
)
DIABETES = Experiment("diabetes", REGRESSION, "progression", parameters={"Regularization": "1.0"})
SLICES = ["young", "middle", "senior"]
TABLES = ["breast-cancer", *(f"diabetes/{name}" for name in SLICES)]

SMALL = Experiment("small", TWO_CLASS, "y", parameters={"Regularization": "1.0", "Note": ""})
LEARNT = 4  # a row that seed 7 does not hold out
ROWS = [f"{n},{n * n % 7},{'no' if n % 3 else 'yes'}" for n in range(24)]


def small(rows: list[str] = ROWS, header: str = "a,b,y") -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def experiment_of(table: str) -> Experiment:
    return CANCER if table == "breast-cancer" else DIABETES


def data(table: str, version: str) -> bytes:
    return (DATA / table / f"{version}.csv").read_bytes()


def metrics(table: str, version: str) -> dict[str, float]:
    evaluation = fit(experiment_of(table), data(table, version), {})[1]
    names, values = csv.reader(io.StringIO(evaluation.decode(), newline=""))
    return dict(zip(names, map(float, values), strict=True))


def table_of(csv_bytes: bytes) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(csv_bytes.decode(), newline=""))
    return header, rows


def parts(csv_bytes: bytes) -> tuple[list[list[float]], list[str]]:
    _, rows = table_of(csv_bytes)
    return [[float(cell) for cell in row[:-1]] for row in rows], [row[-1] for row in rows]


# Fitting


@pytest.mark.parametrize("table", TABLES)
def test_fitting_twice_gives_the_same_bytes(table: str) -> None:
    experiment, rows = experiment_of(table), data(table, "2026-10")
    assert fit(experiment, rows, {}) == fit(experiment, rows, {})


@pytest.mark.parametrize("table", TABLES)
def test_every_version_of_the_data_gives_another_model(table: str) -> None:
    versions = ["initial", "2026-10", "2026-11"]
    models = [fit(experiment_of(table), data(table, version), {})[0] for version in versions]
    assert len(set(models)) == 3
    counts = [load(model).training_rows for model in models]
    assert counts == sorted(set(counts))


def test_stated_defaults_change_nothing() -> None:
    assert fit(SMALL, small(), {"Regularization": "1.0"}) == fit(SMALL, small(), {})


def test_a_parameter_no_learner_reads_changes_nothing() -> None:
    assert fit(SMALL, small(), {"Note": "monthly"}) == fit(SMALL, small(), {})


def test_more_regularization_gives_smaller_coefficients() -> None:
    mild, strong = (load(fit(SMALL, small(), {"Regularization": v})[0]) for v in ("0.1", "100"))
    assert sum(map(abs, strong.coefficients)) < sum(map(abs, mild.coefficients))


def test_line_ends_byte_order_mark_and_blank_lines_change_nothing() -> None:
    foreign = b"\xef\xbb\xbf" + small().replace(b"\n", b"\r\n") + b"\r\n"
    assert fit(SMALL, foreign, {}) == fit(SMALL, small(), {})


def test_the_label_may_be_any_column() -> None:
    turned = [",".join(reversed(row.split(","))) for row in ROWS]
    assert load(fit(SMALL, small(turned, "y,b,a"), {})[0]).features == ("b", "a")


def test_the_positive_class_comes_second() -> None:
    assert load(fit(SMALL, small(), {})[0]).classes == ("no", "yes")
    assert load(fit(replace(SMALL, positive="no"), small(), {})[0]).classes == ("yes", "no")


def test_a_constant_feature_is_no_obstacle() -> None:
    rows = [f"5,{row}" for row in ROWS]
    model = load(fit(SMALL, small(rows, "five,a,b,y"), {})[0])
    assert model.coefficients[0] == 0


# Metrics


def test_the_metrics_of_a_classification_are_those_of_scikit_learn() -> None:
    rows, labels = parts(data("breast-cancer", "2026-10"))
    truth = [label == "malignant" for label in labels]
    train, held, train_truth, held_truth = train_test_split(
        rows, truth, test_size=0.25, random_state=7, stratify=labels
    )
    learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    learner.fit(train, train_truth)
    guesses = learner.predict(held)
    assert metrics("breast-cancer", "2026-10") == pytest.approx(
        {
            "AUC": roc_auc_score(held_truth, learner.decision_function(held)),
            "Accuracy": accuracy_score(held_truth, guesses),
            "Precision": precision_score(held_truth, guesses),
            "Recall": recall_score(held_truth, guesses),
            "F-Score": f1_score(held_truth, guesses),
        },
        abs=1e-6,
    )


def test_the_metrics_of_a_regression_are_those_of_scikit_learn() -> None:
    rows, labels = parts(data("diabetes/young", "2026-11"))
    train, held, train_truth, truth = train_test_split(
        rows, [float(label) for label in labels], test_size=0.25, random_state=7
    )
    guesses = make_pipeline(StandardScaler(), Ridge()).fit(train, train_truth).predict(held)
    mean = [sum(truth) / len(truth)] * len(truth)
    absolute, determination = mean_absolute_error(truth, guesses), r2_score(truth, guesses)
    assert metrics("diabetes/young", "2026-11") == pytest.approx(
        {
            "Mean Absolute Error": absolute,
            "Root Mean Squared Error": root_mean_squared_error(truth, guesses),
            "Relative Absolute Error": absolute / mean_absolute_error(truth, mean),
            "Relative Squared Error": 1 - determination,
            "Coefficient of Determination": determination,
        },
        abs=1e-5,
    )


def test_the_classifier_gets_better_with_more_data() -> None:
    older, newer = (metrics("breast-cancer", version) for version in ("2026-10", "2026-11"))
    assert 0.95 < older["AUC"] <= newer["AUC"]


@pytest.mark.parametrize("name", SLICES)
def test_the_regressions_get_better_with_more_data(name: str) -> None:
    versions = ("initial", "2026-10", "2026-11")
    first, older, newer = (
        metrics(f"diabetes/{name}", version)["Root Mean Squared Error"] for version in versions
    )
    assert 90 > first > older > newer


def test_an_evaluation_is_one_header_line_and_one_value_line() -> None:
    evaluation = fit(SMALL, small(), {})[1].decode()
    assert evaluation.startswith("AUC,Accuracy,Precision,Recall,F-Score\r\n")
    assert evaluation.count("\r\n") == 2


def test_relative_errors_of_equal_labels_are_not_a_number() -> None:
    rows = [f"{n},{n * n % 7},{int(n == LEARNT)}" for n in range(24)]
    evaluation = fit(replace(SMALL, task=REGRESSION), small(rows), {})[1].decode()
    assert evaluation.endswith(",NaN,NaN,NaN\r\n")


# Data and parameters that are refused

BAD_DATA: dict[str, tuple[bytes, str]] = {
    "bytes that are not UTF-8": (b"a,b,y\n\xff,1,no\n", "not UTF-8 at byte 6"),
    "no bytes": (b"", "there is no header"),
    "no header": (small(ROWS, "1,2,3"), "the first line is no header"),
    "a nameless column": (small(ROWS, "a,,y"), "the first line is no header"),
    "a name twice": (small(ROWS, "a,a,y"), 'Column name "a" is duplicated'),
    "an open quote": (small(['"1,2,no']), "not CSV in line 2"),
    "no label column": (small(ROWS, "a,b,c"), 'name or index "y" not found'),
    "only the label": (small(["no"] * 12, "y"), "no feature column"),
    "a word": (small([*ROWS, "1,two,no"]), 'column "b", row 25: "two" is not a number'),
    "an empty cell": (small([*ROWS, "1,,no"]), 'column "b", row 25: the value is missing'),
    "infinity": (small([*ROWS, "inf,1,no"]), 'column "a", row 25: "inf" is not a number'),
    "NaN": (small([*ROWS, "nan,1,no"]), 'column "a", row 25: "nan" is not a number'),
    "an underscore": (small([*ROWS, "1_0,1,no"]), 'row 25: "1_0" is not a number'),
    "an empty label": (small([*ROWS, "1,1,"]), 'column "y", row 25: the label is missing'),
    "a short row": (small([*ROWS, "1,1"]), "row 25 has 2 cells, the header has 3"),
    "a long row": (small([*ROWS, "1,1,no,no"]), "row 25 has 4 cells, the header has 3"),
    "few rows": (small(ROWS[:9]), "is 9, less than the allowed minimum of 10"),
    "a header only": (small([]), "is 0, less than the allowed minimum of 10"),
    "one class": (small(["1,1,no"] * 12), '"y" has a single value'),
    "three classes": (small([*ROWS, "1,1,perhaps"]), '"y" has 3 classes'),
    "a rare class": (small(["1,1,no"] * 12 + ["2,2,yes"]), "a class with less than 4 rows"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_learnt_from_is_refused(case: str) -> None:
    rows, message = BAD_DATA[case]
    with pytest.raises(LearningError) as caught:
        fit(SMALL, rows, {})
    assert message in str(caught.value)
    assert str(caught.value).startswith("Error 00")


BAD_REGRESSIONS = {
    "a word": ("1,2,high", 'column "y", row 25: "high" is not a number'),
    "an empty label": ("1,2,", 'column "y", row 25: the value is missing'),
}


@pytest.mark.parametrize("case", BAD_REGRESSIONS)
def test_a_regression_needs_numbers_for_labels(case: str) -> None:
    row, message = BAD_REGRESSIONS[case]
    with pytest.raises(LearningError) as caught:
        fit(replace(SMALL, task=REGRESSION), small(["1,2,3"] * 24 + [row]), {})
    assert message in str(caught.value)


BAD_PARAMETERS = [
    {"Regularization": "much"},
    {"Regularization": ""},
    {"Regularization": "0"},
    {"Regularization": "-1"},
    {"Regularization": "nan"},
    {"Regularisation": "1"},
]


@pytest.mark.parametrize("parameters", BAD_PARAMETERS, ids=str)
def test_a_bad_parameter_is_named(parameters: dict[str, str]) -> None:
    with pytest.raises(LearningError) as caught:
        fit(SMALL, small(), parameters)
    assert f'Parameter "{next(iter(parameters))}"' in str(caught.value)


def test_a_positive_class_that_never_occurs_is_refused() -> None:
    with pytest.raises(LearningError, match='no row of the positive class "maybe"'):
        fit(replace(SMALL, positive="maybe"), small(), {})


def test_a_held_out_share_without_room_for_both_classes_is_refused() -> None:
    with pytest.raises(LearningError, match="Error 0021"):
        fit(replace(SMALL, held_out=0.01), small(), {})


@pytest.mark.parametrize("change", [{"task": "clustering"}, {"held_out": 1.0}], ids=str)
def test_an_experiment_that_could_never_run_is_no_experiment(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="small"):
        replace(SMALL, **change)


# Scoring


def test_scores_are_the_predictions_of_scikit_learn() -> None:
    header, rows = table_of(data("breast-cancer", "2026-11"))
    features, labels = parts(data("breast-cancer", "2026-11"))
    train, _, train_labels, _ = train_test_split(
        features, labels, test_size=0.25, random_state=7, stratify=labels
    )
    learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    learner.fit(train, [label == "malignant" for label in train_labels])
    model = load(fit(CANCER, data("breast-cancer", "2026-11"), {})[0])
    table = score(model, header, rows)
    wanted = [["benign", "malignant"][int(guess)] for guess in learner.predict(features)]
    assert [row[0] for row in table.rows] == wanted
    chances = learner.predict_proba(features)[:, 1]
    assert [float(row[1]) for row in table.rows] == pytest.approx(chances, abs=1e-6)


def test_regression_scores_are_the_predictions_of_scikit_learn() -> None:
    rows = data("diabetes/senior", "2026-11")
    features, labels = parts(rows)
    train, _, truth, _ = train_test_split(
        features, [float(label) for label in labels], test_size=0.25, random_state=7
    )
    wanted = make_pipeline(StandardScaler(), Ridge()).fit(train, truth).predict(features)
    table = score(load(fit(DIABETES, rows, {})[0]), *table_of(rows))
    assert (table.columns, table.types) == (("Scored Labels",), ("Double",))
    assert [float(row[0]) for row in table.rows] == pytest.approx(wanted, abs=1e-6)


def test_two_class_scores_have_a_label_and_a_probability() -> None:
    table = score(load(fit(SMALL, small(), {})[0]), ["a", "b"], [[1, 2]])
    assert table.columns == ("Scored Labels", "Scored Probabilities")
    assert table.types == ("String", "Double")
    assert table.rows[0][0] in ("no", "yes")
    assert 0 < float(table.rows[0][1]) < 1


def test_no_rows_score_to_no_rows() -> None:
    assert score(load(fit(SMALL, small(), {})[0]), ["a", "b"], []).rows == ()


def test_order_extra_columns_and_text_for_numbers_change_no_score() -> None:
    model = load(fit(SMALL, small(), {})[0])
    plain = score(model, ["a", "b"], [[1, 2.5], [3, 4]])
    assert score(model, ["y", "b", "a"], [["?", "2.5", "1"], [None, "4", "3"]]) == plain


def test_far_outliers_do_not_overflow() -> None:
    table = score(load(fit(SMALL, small(), {})[0]), ["a", "b"], [[1e99, 0], [-1e99, 0]])
    assert sorted(float(row[1]) for row in table.rows) == [0, 1]


BAD_REQUESTS: dict[str, tuple[list[str], list[list[object]], str]] = {
    "a missing feature": (["a"], [[1]], '"b" not found'),
    "a column twice": (["a", "b", "a"], [[1, 2, 3]], '"a" is duplicated'),
    "a word": (["a", "b"], [[1, 2], [1, "two"]], 'column "b", row 2: "two" is not a number'),
    "nothing": (["a", "b"], [[None, 2]], 'column "a", row 1: the value is missing'),
    "a truth value": (["a", "b"], [[True, 2]], '"True" is not a number'),
    "a list": (["a", "b"], [[[1], 2]], '"[1]" is not a number'),
    "a short row": (["a", "b"], [[1]], "row 1 has 1 cells"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_request_that_cannot_be_scored_is_refused(case: str) -> None:
    columns, rows, message = BAD_REQUESTS[case]
    with pytest.raises(LearningError) as caught:
        score(load(fit(SMALL, small(), {})[0]), columns, rows)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes"])
def test_the_probes_fit_the_models_they_ask(name: str) -> None:
    body = json.loads((LOCAL / "probes" / f"{name}.json").read_text(encoding="utf-8"))
    table = name if name == "breast-cancer" else f"{name}/middle"
    asked = body["Inputs"]["input1"]
    answers = [
        score(
            load(fit(experiment_of(table), data(table, version), {})[0]),
            asked["ColumnNames"],
            asked["Values"],
        )
        for version in ("2026-10", "2026-11")
    ]
    assert len(answers[0].rows) == 3
    assert answers[0] != answers[1]


def test_the_script_writes_the_very_files_that_are_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_local_data, "LOCAL", tmp_path)
    monkeypatch.setattr(make_local_data, "DATA", tmp_path / "_emulator" / "data")
    make_local_data.main()
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert len(written) == 14
    for path in written:
        assert (tmp_path / path).read_bytes() == (LOCAL / path).read_bytes()


# Model files


class Trap:
    """Unpickling one of these fails the test."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("the bytes of a model were unpickled",)


def test_a_pickle_is_refused_and_never_opened() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(LearningError):
            load(pickle.dumps(Trap(), protocol))


NO_MODELS = [b"", b"PK\x03\x04", b"\xff\xfe", b"null", b"[]", b"{}", b"[" * 100_000, b"9" * 9_999]


@pytest.mark.parametrize("content", NO_MODELS, ids=lambda content: repr(content[:6]))
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(LearningError, match="trained model cannot be read"):
        load(content)


CHANGES: dict[str, dict[str, Any]] = {
    "another magic": {"magic": "onnx"},
    "a later format": {"format": 2},
    "an unknown field": {"code": "x"},
    "an unknown task": {"task": "clustering"},
    "a task that is no text": {"task": ["regression"]},
    "a task of the other kind": {"task": REGRESSION},
    "three classes": {"classes": ["a", "b", "c"]},
    "one class twice": {"classes": ["a", "a"]},
    "no features": {"features": [], "means": [], "scales": [], "coefficients": []},
    "a feature twice": {"features": ["a", "a"]},
    "features that are one text": {"features": "ab"},
    "a feature that is a number": {"features": ["a", 1]},
    "a mean too few": {"means": [1.0]},
    "a scale of zero": {"scales": [1.0, 0.0]},
    "a coefficient that is text": {"coefficients": [1.0, "2"]},
    "a coefficient that is true": {"coefficients": [1.0, True]},
    "an infinite coefficient": {"coefficients": [1.0, math.inf]},
    "no intercept": {"intercept": None},
    "an intercept without end": {"intercept": 10**400},
    "a negative count": {"training_rows": -1},
    "a count that is true": {"training_rows": True},
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_model_file_with_one_wrong_field_is_refused(case: str) -> None:
    document = json.loads(fit(SMALL, small(), {})[0])
    changed = json.dumps({**document, **CHANGES[case]}).encode()
    with pytest.raises(LearningError, match="trained model cannot be read"):
        load(changed)


def test_a_model_file_without_one_of_its_fields_is_refused() -> None:
    document = json.loads(fit(SMALL, small(), {})[0])
    for name in document:
        rest = {key: value for key, value in document.items() if key != name}
        with pytest.raises(LearningError):
            load(json.dumps(rest).encode())
