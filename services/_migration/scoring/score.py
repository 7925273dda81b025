"""Answers the requests that clients of the Studio web service send, with its old columns."""

import json
import os
from pathlib import Path

import joblib

model = {}


def init():
    """Load the file of the model, wherever it lies in the folder of the deployment."""
    (path,) = Path(os.environ["AZUREML_MODEL_DIR"]).rglob("model.joblib")
    model.update(joblib.load(path))


def run(text):
    """The class of each row, and the chance of the second one."""
    table = json.loads(text)["Inputs"]["input1"]
    places = [table["ColumnNames"].index(name) for name in model["columns"]]
    rows = [[float(row[place]) for place in places] for row in table["Values"]]
    classifier = model["classifier"]
    answers = zip(classifier.predict(rows), classifier.predict_proba(rows)[:, 1], strict=True)
    return {
        "rows": [
            {"Scored Labels": str(label), "Scored Probabilities": round(float(chance), 6)}
            for label, chance in answers
        ]
    }
