"""Experiments that really learn: CSV in, a model and its evaluation out, rows scored.

A retraining is only worth watching if the new model differs from the old one and its metrics
are earned. So the emulator fits logistic and ridge regressions. The model file is our own, a
JSON document, because a pickle fetched from blob storage would be code to run.

The error texts follow the module errors of Studio (classic): a four-digit number, then words.
"""

from __future__ import annotations

import csv as csv_format
import functools
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

TWO_CLASS = "two-class classification"
REGRESSION = "regression"
REGULARIZATION = "Regularization"
MAGIC = "ilearner"
FORMAT = 1
LEAST_ROWS = 10  # fewer would leave nothing to hold out
LEAST_PER_CLASS = 4  # so that both parts of the split see both classes
LARGEST = 1e100  # beyond it, squares overflow and the fit yields NaN


class LearningError(Exception):
    """The words of a failing module, as a job's or a request's details would show it."""


@dataclass(frozen=True)
class Experiment:
    """A kind of learning: from which column, what is learnt, and how it is judged."""

    name: str
    task: str  # TWO_CLASS or REGRESSION
    label: str
    held_out: float = 0.25  # the share of rows that the evaluation alone sees
    seed: int = 7
    positive: str = ""  # the label text that counts as positive; "" takes the last by name
    # global parameter → default
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Raise ValueError for an experiment that could never run."""
        if self.task not in (TWO_CLASS, REGRESSION):
            raise ValueError(f"{self.name}: task is {self.task!r}, not one of the two we learn")
        if not 0 < self.held_out < 1:
            raise ValueError(f"{self.name}: held_out is {self.held_out}, must be between 0 and 1")


@dataclass(frozen=True)
class Model:
    """A fitted linear model: everything that scoring needs, and nothing that runs."""

    task: str
    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]  # of the standardised features
    intercept: float
    classes: tuple[str, ...]  # (negative, positive); empty for a regression
    training_rows: int


@dataclass(frozen=True)
class Table:
    """Scored rows as RRS answers them: every cell is text (§5)."""

    columns: tuple[str, ...]
    types: tuple[str, ...]  # "String" or "Double"
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Examples:
    """Parsed training data; `labels` are class texts or numbers, after the task."""

    features: tuple[str, ...]
    rows: list[list[float]]
    labels: list[Any]


def fit(experiment: Experiment, csv: bytes, parameters: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The model file and the evaluation CSV, the same bytes for the same arguments.

    The evaluation is measured on rows that the model has not seen (§4.5). Raises LearningError
    for data or parameters that no model can be fitted to.
    """
    return _fit(experiment, csv, _regularization(experiment, parameters))


@functools.lru_cache(maxsize=16)  # a seed fits the same file for several endpoints
def _fit(experiment: Experiment, csv: bytes, weight: float) -> tuple[bytes, bytes]:
    examples = _examples(experiment, csv)
    classes = _classes(experiment, examples)
    training, held_out = _split(experiment, examples)
    model = _fitted(experiment, training, classes, weight)
    metrics = _evaluation(model, held_out)
    return _dumped(model), _evaluation_csv(metrics)


def load(model: bytes) -> Model:
    """The model in a file that `fit` wrote; LearningError for any other bytes."""
    try:
        return _model(json.loads(model.decode("utf-8"), parse_constant=_no_constant))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
        reason = str(exc) if isinstance(exc, _Malformed) else "not a model file of this format"
        raise LearningError(f"Error 0018: The trained model cannot be read: {reason}.") from exc


def score(model: Model, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """The scored rows, in the order of the request.

    Columns may come in any order, and those that are no feature (the label, say) are ignored.
    Raises LearningError for a feature that is missing and for a cell that is no number.
    """
    _check_unique(columns)
    places = [_place(columns, feature) for feature in model.features]
    scored = [
        _scored(model, _features(columns, places, row, number))
        for number, row in enumerate(rows, start=1)
    ]
    if model.task == REGRESSION:
        return Table(("Scored Labels",), ("Double",), tuple(scored))
    return Table(("Scored Labels", "Scored Probabilities"), ("String", "Double"), tuple(scored))


# Reading the data


def _examples(experiment: Experiment, data: bytes) -> _Examples:
    """Features and labels of every row of the CSV."""
    header, *rows = _lines(data)
    _check_unique(header)
    label = _place(header, experiment.label)
    places = [index for index in range(len(header)) if index != label]
    if not places:
        raise LearningError("Error 0020: The dataset has no feature column beside the label.")
    if len(rows) < LEAST_ROWS:
        raise LearningError(
            f"Error 0021: Number of rows in the dataset is {len(rows)}, "
            f"less than the allowed minimum of {LEAST_ROWS}."
        )
    features = [_features(header, places, row, n) for n, row in enumerate(rows, start=1)]
    labels = [_label(experiment, row[label], n) for n, row in enumerate(rows, start=1)]
    return _Examples(tuple(header[index] for index in places), features, labels)


def _lines(data: bytes) -> list[list[str]]:
    """The header and the rows of the CSV, blank lines left out; there is a header."""
    try:
        text = data.decode("utf-8-sig")  # Excel writes the mark; it is no part of a name
        read = csv_format.reader(io.StringIO(text, newline=""), strict=True)
        lines = [[cell.strip() for cell in line] for line in read if line]
    except UnicodeDecodeError as exc:
        raise _invalid(f"not UTF-8 at byte {exc.start}") from exc
    except csv_format.Error as exc:
        raise _invalid(f"not CSV in line {read.line_num}: {exc}") from exc
    if not lines:
        raise _invalid("the file is empty, there is no header")
    if not all(lines[0]) or all(map(_is_number, lines[0])):
        raise _invalid("the first line is no header, every column needs a name")
    return lines


def _check_unique(columns: Sequence[str]) -> None:
    """Raise LearningError if a column's name occurs twice."""
    for name, count in Counter(columns).items():
        if count > 1:
            raise LearningError(f'Error 0028: Column name "{name}" is duplicated.')


def _place(columns: Sequence[str], name: str) -> int:
    """The index of the column."""
    if name not in columns:
        raise LearningError(f'Error 0001: Column with name or index "{name}" not found.')
    return columns.index(name)


def _features(
    columns: Sequence[str], places: Sequence[int], row: Sequence[object], number: int
) -> list[float]:
    """The numbers at these places; `number` counts the rows from 1, the header aside."""
    if len(row) != len(columns):
        raise _invalid(f"row {number} has {len(row)} cells, the header has {len(columns)}")
    return [_number(row[place], columns[place], number) for place in places]


def _label(experiment: Experiment, cell: str, number: int) -> str | float:
    """The label of one row: its text, or its number for a regression."""
    if experiment.task == REGRESSION:
        return _number(cell, experiment.label, number)
    if not cell:
        raise _invalid(f'column "{experiment.label}", row {number}: the label is missing')
    return cell


def _number(cell: object, column: str, number: int) -> float:
    """The cell as a finite number."""
    if cell is None or cell == "":
        raise _invalid(f'column "{column}", row {number}: the value is missing')
    if not _is_number(cell):
        raise _invalid(f'column "{column}", row {number}: "{str(cell)[:40]}" is not a number')
    return float(str(cell))


def _is_number(cell: object) -> bool:
    """Whether the cell is a number, or its text, that a fit can bear."""
    try:
        return "_" not in str(cell) and abs(float(str(cell))) <= LARGEST
    except ValueError:  # "1_000" is a float for Python only
        return False


def _invalid(what: str) -> LearningError:
    """The error about data that cannot be used."""
    return LearningError(f"Error 0018: Input dataset contains invalid data: {what}.")


# Fitting


def _regularization(experiment: Experiment, parameters: Mapping[str, str]) -> float:
    """The weight of the penalty, as the parameters say, else as the experiment does, else 1.

    A parameter that the experiment declares but no learner reads changes nothing, as in Studio.
    """
    for name in parameters:
        if name not in experiment.parameters:
            raise LearningError(f'Error 0008: Parameter "{name}" is not one of this experiment.')
    text = {REGULARIZATION: "1.0", **experiment.parameters, **parameters}[REGULARIZATION]
    if not _is_number(text) or not 1e-9 <= float(text) <= 1e9:
        raise LearningError(
            f'Error 0008: Parameter "{REGULARIZATION}" value should be a number '
            f'in the range of 1E-09 to 1E+09, but is "{text}".'
        )
    return float(text)


def _classes(experiment: Experiment, examples: _Examples) -> tuple[str, ...]:
    """The negative and the positive class; nothing for a regression."""
    counts = Counter(examples.labels)
    where = f'Error 0018: Label column "{experiment.label}"'
    if len(counts) < 2:
        raise LearningError(f"{where} has a single value, there is nothing to learn.")
    if experiment.task == REGRESSION:
        return ()
    names = sorted(counts)
    positive = experiment.positive or names[-1]
    if len(names) > 2:
        raise LearningError(f"{where} has {len(names)} classes, a two-class model needs two.")
    if positive not in counts:
        raise LearningError(f'{where} has no row of the positive class "{positive}".')
    if min(counts.values()) < LEAST_PER_CLASS:
        raise LearningError(f"{where} has a class with less than {LEAST_PER_CLASS} rows.")
    names.remove(positive)
    return names[0], positive


def _split(experiment: Experiment, examples: _Examples) -> tuple[_Examples, _Examples]:
    """The training part and the held-out part; both have rows of both classes."""
    from sklearn.model_selection import train_test_split

    try:
        parts = train_test_split(
            examples.rows,
            examples.labels,
            test_size=experiment.held_out,
            random_state=experiment.seed,
            stratify=examples.labels if experiment.task == TWO_CLASS else None,
        )
    except ValueError as exc:  # a share so small, or so large, that a class gets no row
        raise LearningError(f"Error 0021: Number of rows is too small to split: {exc}") from exc
    training_rows, held_rows, training_labels, held_labels = parts
    return (
        _Examples(examples.features, training_rows, training_labels),
        _Examples(examples.features, held_rows, held_labels),
    )


def _fitted(
    experiment: Experiment, training: _Examples, classes: tuple[str, ...], weight: float
) -> Model:
    """The model that the training part yields."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(training.rows)
    rows = scaler.transform(training.rows)
    learner = _learner(experiment, weight)
    targets = [label == classes[1] for label in training.labels] if classes else training.labels
    learner.fit(rows, targets)
    return Model(
        task=experiment.task,
        features=training.features,
        means=_rounded(scaler.mean_.tolist()),
        scales=_rounded(scaler.scale_.tolist()),
        coefficients=_rounded(learner.coef_.ravel().tolist()),
        intercept=_rounded([float(learner.intercept_.item())])[0],
        classes=classes,
        training_rows=len(training.rows),
    )


def _learner(experiment: Experiment, weight: float) -> Any:
    """The estimator of the task, not yet fitted."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if experiment.task == REGRESSION:
        return Ridge(alpha=weight)
    return LogisticRegression(C=1 / weight, max_iter=5000)


def _rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    """Ten significant digits: what lies below differs with the processor's arithmetic."""
    return tuple(float(format(number, ".10g")) for number in numbers)


# Evaluating


def _evaluation(model: Model, held_out: _Examples) -> dict[str, float]:
    """The metrics of the model on rows that it has not seen."""
    margins = [_margin(model, row) for row in held_out.rows]
    if model.task == REGRESSION:
        return _regression_metrics(held_out.labels, margins)
    return _two_class_metrics([label == model.classes[1] for label in held_out.labels], margins)


def _two_class_metrics(truth: list[bool], margins: list[float]) -> dict[str, float]:
    """The figures of Evaluate Model for two classes; precision of no guess at all is 0."""
    guesses = [margin > 0 for margin in margins]
    hits = sum(guess and true for guess, true in zip(guesses, truth, strict=True))
    right = sum(guess == true for guess, true in zip(guesses, truth, strict=True))
    return {
        "AUC": _area_under_curve(truth, margins),
        "Accuracy": right / len(truth),
        "Precision": hits / (sum(guesses) or 1),
        "Recall": hits / (sum(truth) or 1),
        "F-Score": 2 * hits / (sum(guesses) + sum(truth) or 1),
    }


def _area_under_curve(truth: list[bool], margins: list[float]) -> float:
    """The chance that a positive row ranks above a negative one."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, margins))


def _regression_metrics(truth: list[float], guesses: list[float]) -> dict[str, float]:
    """The figures of Evaluate Model for numbers; the relative ones compare with the mean."""
    mean = sum(truth) / len(truth)
    errors = [guess - true for guess, true in zip(guesses, truth, strict=True)]
    absolute, squared = sum(map(abs, errors)), sum(error**2 for error in errors)
    relative_squared = _ratio(squared, sum((true - mean) ** 2 for true in truth))
    return {
        "Mean Absolute Error": absolute / len(truth),
        "Root Mean Squared Error": math.sqrt(squared / len(truth)),
        "Relative Absolute Error": _ratio(absolute, sum(abs(true - mean) for true in truth)),
        "Relative Squared Error": relative_squared,
        "Coefficient of Determination": 1 - relative_squared,
    }


def _ratio(part: float, whole: float) -> float:
    """The quotient; NaN where the held-out labels are all equal, for no figure would be true."""
    return part / whole if whole else math.nan


def _evaluation_csv(metrics: Mapping[str, float]) -> bytes:
    """One header line and one value line (§4.5)."""
    values = (_short(value) for value in metrics.values())
    return f"{','.join(metrics)}\r\n{','.join(values)}\r\n".encode()


def _short(value: float) -> str:
    """The number with up to six decimals."""
    if math.isnan(value):
        return "NaN"
    positive_zero = round(value, 6) + 0.0  # or a tiny negative number would read "-0"
    return format(positive_zero, ".6f").rstrip("0").rstrip(".")


# Scoring


def _scored(model: Model, features: Sequence[float]) -> tuple[str, ...]:
    """The output cells of one row."""
    margin = _margin(model, features)
    if model.task == REGRESSION:
        return (format(margin, ".10g"),)
    return model.classes[margin > 0], format(_sigmoid(margin), ".10g")


def _margin(model: Model, features: Sequence[float]) -> float:
    """The linear part: a regression's answer, a classification's log odds."""
    terms = zip(features, model.means, model.scales, model.coefficients, strict=True)
    return model.intercept + math.fsum((x - mean) / scale * c for x, mean, scale, c in terms)


def _sigmoid(margin: float) -> float:
    """The probability of these log odds, without overflow at either end."""
    if margin >= 0:
        return 1 / (1 + math.exp(-margin))
    return math.exp(margin) / (1 + math.exp(margin))


# The model file


class _Malformed(ValueError):
    """Says what is wrong with a document that is JSON."""


def _dumped(model: Model) -> bytes:
    """The model file; its bytes depend on the model only."""
    document = {"magic": MAGIC, "format": FORMAT, **asdict(model)}
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _model(document: Any) -> Model:
    """The model in the parsed document, every field checked."""
    if not isinstance(document, dict) or document.get("magic") != MAGIC:
        raise _Malformed(f'it does not say "magic": "{MAGIC}"')
    if type(document.get("format")) is not int or document["format"] != FORMAT:
        raise _Malformed(f"its format is {document.get('format')!r}, not {FORMAT}")
    names = {entry.name for entry in fields(Model)}
    if document.keys() != names | {"magic", "format"}:
        raise _Malformed("its fields are not those of a model")
    model = Model(
        task=document["task"],
        features=_texts(document, "features"),
        means=_numbers(document, "means"),
        scales=_numbers(document, "scales"),
        coefficients=_numbers(document, "coefficients"),
        intercept=_checked_number(document["intercept"], "intercept"),
        classes=_texts(document, "classes"),
        training_rows=document["training_rows"],
    )
    for problem in _problems(model):
        raise _Malformed(problem)
    return model


def _problems(model: Model) -> Iterator[str]:
    """Problems of the model as a whole."""
    if model.task not in (TWO_CLASS, REGRESSION):
        yield "its task is unknown"
    if len(model.classes) != (2 if model.task == TWO_CLASS else 0):
        yield "its classes do not fit its task"
    lengths = {len(model.means), len(model.scales), len(model.coefficients)}
    if lengths != {len(model.features)} or not model.features:
        yield "it does not have one mean, scale and coefficient per feature"
    if len(set(model.features)) < len(model.features) or len(set(model.classes)) == 1:
        yield "a name occurs twice"
    if not all(scale > 0 for scale in model.scales):
        yield "a scale is not positive"
    if type(model.training_rows) is not int or model.training_rows < 1:
        yield "training_rows is not a count"


def _texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The list of texts under this name."""
    if not isinstance(document[name], list):
        raise _Malformed(f"{name} is not a list")
    if not all(isinstance(value, str) and value for value in document[name]):
        raise _Malformed(f"{name} has an entry that is not text")
    return tuple(document[name])


def _numbers(document: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """The list of numbers under this name."""
    if not isinstance(document[name], list):
        raise _Malformed(f"{name} is not a list")
    return tuple(_checked_number(value, name) for value in document[name])


def _checked_number(value: object, name: str) -> float:
    """The finite number; JSON's true and 1e999 are none."""
    if type(value) not in (int, float) or not _is_number(value):
        raise _Malformed(f"{name} has an entry that is not a finite number")
    return float(str(value))


def _no_constant(name: str) -> float:
    """Never comes back: NaN and Infinity are no JSON, though Python reads them."""
    raise _Malformed(f"it contains {name}")
