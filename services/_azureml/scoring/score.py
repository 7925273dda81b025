"""What a deployment runs: a logistic model in a JSON file, and rows of numbers to score."""

import json
import math
import os
from pathlib import Path

model = {}


def init():
    """Load the file of the model, wherever it lies in the folder of the deployment."""
    (path,) = Path(os.environ["AZUREML_MODEL_DIR"]).rglob("model.json")
    model.update(json.loads(path.read_text()))


def run(text):
    """The probability of each row."""
    rows = json.loads(text)["rows"]
    sums = [
        model["intercept"] + sum(w * row[name] for name, w in model["weights"].items())
        for row in rows
    ]
    return {"predictions": [1 / (1 + math.exp(-value)) for value in sums]}
