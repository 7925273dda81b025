"""Trains a classifier of wines for each C that is given, and registers it with its metrics."""

import csv
import sys
import tempfile
from pathlib import Path

import joblib
import mlflow
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SERVER = "http://127.0.0.1:5000"
rows = list(csv.DictReader(Path("wines.csv").read_text("utf-8").splitlines()))
wines = [row.pop("wine") for row in rows]
values = [[float(value) for value in row.values()] for row in rows]
known, unseen, of_known, of_unseen = train_test_split(
    values, wines, test_size=0.3, random_state=0, stratify=wines
)

mlflow.set_tracking_uri(SERVER)
mlflow.set_experiment("wine")
client = mlflow.MlflowClient()
if not client.search_registered_models("name='wine'"):
    client.create_registered_model("wine")
for c in sys.argv[1:]:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=float(c), max_iter=1000))
    model.fit(known, of_known)
    auc = roc_auc_score(of_unseen, model.predict_proba(unseen), multi_class="ovr")
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, f"{folder}/model.joblib")
        mlflow.log_metric("AUC", auc)
        mlflow.log_artifact(f"{folder}/model.joblib", "model")
        source = mlflow.get_artifact_uri("model")
        made = client.create_model_version("wine", source, run.info.run_id)
    print(f"registered version {made.version} of wine: AUC {auc:.4f}")
