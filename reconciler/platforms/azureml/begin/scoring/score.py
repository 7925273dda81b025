"""Answers {"rows": [[…]]} with the predictions of a model that joblib wrote."""

import json
import os
from pathlib import Path

import joblib


def init():
    global model
    files = Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*")
    (path,) = (path for path in files if path.is_file())
    model = joblib.load(path)


def run(data):
    return {"predictions": model.predict(json.loads(data)["rows"]).tolist()}
