"""Orders for jobs of a cluster, in a folder that has code, data and a store."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from reconciler.http.client import Http
from reconciler.model import METRICS, MODEL, Recipe, SecretName
from reconciler.platforms.code import digest_of
from reconciler.platforms.contract import Order
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.connection import Ray, credential_of
from reconciler.platforms.ray.jobs import RayJobs
from reconciler.stores.contract import Place
from reconciler.stores.folder import FolderStore

COMMAND = (
    "python train.py --data {inputs.train} --model {outputs.model} --metrics {outputs.metrics}"
)
TRAIN = """\
import argparse, json, pathlib
parser = argparse.ArgumentParser()
for name in ("data", "model", "metrics"):
    parser.add_argument(f"--{name}", type=pathlib.Path)
told = parser.parse_args()
told.model.write_text("trained on " + told.data.read_text())
told.metrics.write_text(json.dumps({"AUC": 0.9}))
print("trained")
"""


class Home:
    """A tree with `training/train.py`, a file of data and an empty store."""

    def __init__(self, root: Path, train: str = TRAIN) -> None:
        self.root = root
        self.code = root / "training"
        self.code.mkdir()
        (self.code / "train.py").write_text(train)
        (root / "store").mkdir()
        (root / "train.csv").write_text("a,b")
        self.store = FolderStore(root / "store")
        self.git("init", "-q")
        self.git("add", ".")

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.root, check=True, capture_output=True)

    def jobs(self, url: str, token: str, **fields: Any) -> RayJobs:
        """The engine, connected to a cluster."""
        told = Ray(url, SecretName("RAY_TOKEN"), **fields)
        credential = credential_of(told, lambda _: token, frozenset())
        client = Client(Http(threads=4, backoff_s=0), told, credential)
        return RayJobs(Cluster(client, self.store), self.store.uri)

    def order(self, attempt: int = 1, *, key: str = "ab" * 32, **fields: Any) -> Order:
        """An order whose manifest names it as the last attempt."""
        how = {"command": COMMAND, **fields}
        recipe = Recipe(
            "ray",
            inputs=(("train", "train.csv"),),
            outputs=((MODEL, "model.txt"), (METRICS, "metrics.json")),
            how=tuple(how.items()),
            code=digest_of(self.code),
            folder=str(self.code),
        )
        store = self.root / "store" / "churn" / key[:4]
        order = Order(
            key,
            attempt,
            recipe,
            inputs={"train": Place((self.root / "train.csv").as_uri(), "sig=of-the-data")},
            outputs={
                MODEL: Place((store / "model.txt").as_uri(), "sig=of-the-model"),
                METRICS: Place((store / "metrics.json").as_uri(), "sig=of-the-metrics"),
            },
            timeout_s=60.0,
            labels={"model": "churn", "version": "1"},
        )
        store.mkdir(parents=True, exist_ok=True)
        attempts = [{"job": self.job(order), "failure": ""}]
        (store / "manifest.json").write_text(json.dumps({"attempts": attempts}))
        return order

    def job(self, order: Order) -> str:
        """The id of the job that makes it."""
        return order.job_of(self.store.uri)

    def made(self, name: str, key: str = "ab" * 32) -> Path:
        """Where an output belongs."""
        return self.root / "store" / "churn" / key[:4] / name
