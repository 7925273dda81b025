"""A folder of desired state with one alias, whose versions are files that somebody else made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from reconciler.errors import SUCCESS

ROOT = Path(__file__).parent.parent.parent

YAML = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: store, data: data, mlflow: {url: URL}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: churn}
spec:
  file: "${version}.bin"
  metrics: "${version}.json"
  accept: [{metric: auc, atLeast: "0.8"}]
---
apiVersion: reconciler/v1
kind: ModelAlias
metadata: {name: churn-champion}
spec:
  registeredModel: churn
  alias: champion
  create: true
  model: {name: churn, version: "1"}
"""


class Tree:
    """The folder, and the program run in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder / "services"
        for name in ("store", "data"):
            (self.folder / name).mkdir(parents=True)
        self.name = ""
        self.file = self.folder / "all.yaml"
        self.file.write_text(YAML.replace("URL", url))
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        self.environ = {**outside, "PYTHONPATH": str(ROOT)}
        (self.folder / "probe.json").write_text("{}")
        for version, auc in {"1": 0.9, "2": 0.95, "3": 0.7}.items():
            (self.folder / "data" / f"{version}.bin").write_text(f"model {version}")
            (self.folder / "data" / f"{version}.json").write_text(json.dumps({"auc": auc}))

    def change(self, old: str, new: str) -> None:
        """One edit of the YAML."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def run(self, *arguments: str, code: int = SUCCESS) -> str:
        """What the command prints, as one line; its exit code is `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments, "--services", "services"],
            cwd=self.folder.parent,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    def apply(self, code: int = SUCCESS) -> str:
        """What `apply` prints."""
        return self.run("apply", "--yes", code=code)
