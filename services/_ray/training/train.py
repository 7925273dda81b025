"""Trains a classifier of wines on a CSV, and measures it on rows that it has not seen."""

import argparse
import csv
import json
from pathlib import Path

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

arguments = argparse.ArgumentParser()
for name in ("data", "c", "model", "metrics"):
    arguments.add_argument(f"--{name}", required=True)
given = arguments.parse_args()

rows = list(csv.DictReader(Path(given.data).read_text("utf-8").splitlines()))
wines = [row.pop("wine") for row in rows]
values = [[float(value) for value in row.values()] for row in rows]
known, unseen, of_known, of_unseen = train_test_split(
    values, wines, test_size=0.3, random_state=0, stratify=wines
)

model = make_pipeline(StandardScaler(), LogisticRegression(C=float(given.c), max_iter=1000))
model.fit(known, of_known)
joblib.dump(model, given.model)
metrics = {
    "AUC": roc_auc_score(of_unseen, model.predict_proba(unseen), multi_class="ovr"),
    "Accuracy": accuracy_score(of_unseen, model.predict(unseen)),
    "Rows": len(rows),
}
Path(given.metrics).write_text(json.dumps(metrics), "utf-8")
print(f"trained on {len(known)} wines, measured on {len(unseen)}: {metrics}")
