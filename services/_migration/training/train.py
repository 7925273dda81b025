"""Trains a classifier of tumours, and measures it on rows that it has not seen."""

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
for name in ("data", "model", "metrics"):
    arguments.add_argument(f"--{name}", required=True)
given = arguments.parse_args()

rows = list(csv.DictReader(Path(given.data).read_text("utf-8-sig").splitlines()))
labels = [row.pop("diagnosis") for row in rows]
values = [[float(value) for value in row.values()] for row in rows]
# Split Data of the experiment in Studio has this share and seed: so answers can be compared.
known, unseen, of_known, of_unseen = train_test_split(
    values, labels, test_size=0.25, random_state=7, stratify=labels
)

classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
classifier.fit(known, of_known)
joblib.dump({"columns": list(rows[0]), "classifier": classifier}, given.model)
metrics = {
    "AUC": roc_auc_score(of_unseen, classifier.predict_proba(unseen)[:, 1]),
    "Accuracy": accuracy_score(of_unseen, classifier.predict(unseen)),
}
Path(given.metrics).write_text(json.dumps(metrics), "utf-8")
print(f"trained on {len(known)} rows, measured on {len(unseen)}: {metrics}")
