"""A folder of desired state with applications of a Ray cluster, and what its cluster shows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.ray.head import RealRay

ROOT = Path(__file__).parent.parent.parent
APPLICATIONS = "/api/serve/applications/"
ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {{name: {name}}}
spec:
  store: store
  data: data
  ray: {{url: "{url}", token: env:RAY_TOKEN, serve: "{serve}"}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {{name: words}}
spec: {{file: "${{version}}.json"}}
"""
BINDING = """\
---
apiVersion: reconciler/v1
kind: ServeApplication
metadata: {{name: {name}}}
spec:
  application: {name}
  code: code
  resources: {{cpus: "0.1"}}
  startTimeout: {start}
  model: {{name: words, version: "{version}"}}
  verify: {{request: probe.json, columns: [word], answer: /rows}}
"""
SERVE = """\
import json
import time


class Words:
    def __init__(self, said):
        self.said = said

    def predict(self, request):
        return {"rows": [{"word": self.said["word"]}], "asked": request}


def load(path):
    with open(path) as file:
        said = json.load(file)
    time.sleep(said.get("slow_s", 0))
    if said.get("broken"):
        raise ValueError("the words are broken")
    return Words(said)
"""


class Serving:
    """A tree of one environment; `want` declares the version of each application."""

    def __init__(self, folder: Path, url: str, token: str, serve: str, name: str = "toys") -> None:
        self.folder = folder
        self.url, self.token, self.serve = url, token, serve
        self.name = name
        for below in ("store", "data", "code"):
            (folder / below).mkdir(parents=True)
        self.versions({"1": {"word": "first"}, "2": {"word": "second"}})
        (folder / "code" / "serve.py").write_text(SERVE)
        (folder / "probe.json").write_text('{"ask": 1}')
        outside = {n: v for n, v in os.environ.items() if not n.startswith(("GITHUB_", "RAY_"))}
        self.environ = {**outside, "PYTHONPATH": str(ROOT), "RAY_TOKEN": token}

    @classmethod
    def on(cls, ray: RealRay, folder: Path, name: str = "toys") -> Serving:
        """A tree whose cluster is a real one."""
        return cls(folder, ray.url, ray.token, f"http://127.0.0.1:{ray.serve_port}", name)

    def versions(self, made: Mapping[str, Any]) -> None:
        """Let versions be there for the taking."""
        for version, said in made.items():
            (self.folder / "data" / f"{version}.json").write_text(json.dumps(said))

    def want(self, start: str = "10m", **versions: str) -> None:
        """Declare these applications, and no others."""
        text = ENVIRONMENT.format(name=self.name, url=self.url, serve=self.serve)
        for name, version in versions.items():
            text += BINDING.format(name=name, version=version, start=start)
        (self.folder / "toys.yaml").write_text(text)

    def edit(self, old: str, new: str, of: str = "") -> None:
        """Change the declaration, or that of one application only."""
        path = self.folder / "toys.yaml"
        documents = path.read_text().split("---\n")
        edited = [
            text.replace(old, new) if not of or f"name: {of}}}" in text else text
            for text in documents
        ]
        assert edited != documents
        path.write_text("---\n".join(edited))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a command of the program does there."""
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments, "--services", "."],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def apply(self, code: int = errors.SUCCESS, *more: str) -> str:
        """What an apply says that ends with this exit code, on one line."""
        ran = self.run("apply", "--yes", *more)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return " ".join((ran.stdout + ran.stderr).split())

    def plan(self, code: int = errors.SUCCESS) -> str:
        """What a plan says that ends with this exit code, on one line."""
        ran = self.run("plan", "--detailed-exitcode")
        assert ran.returncode == code, ran.stdout + ran.stderr
        return " ".join(ran.stdout.split())

    # --- the cluster, asked without the program ------------------------------------------------

    @property
    def applications(self) -> dict[str, Any]:
        """What the cluster shows."""
        found: dict[str, Any] = json.loads(self._ask("GET", self.url + APPLICATIONS))
        shown: dict[str, Any] = found["applications"]
        return shown

    def put(self, *configs: Any) -> None:
        """Declare all applications of the cluster, as another writer would; the first one says where
        they answer."""
        at = {"host": "127.0.0.1", "port": urlsplit(self.serve).port}
        body = {"proxy_location": "HeadOnly", "http_options": at, "applications": configs}
        self._ask("PUT", self.url + APPLICATIONS, json.dumps(body).encode())

    def until_running(self, name: str) -> None:
        """Wait until an application runs as it is configured."""
        end = time.monotonic() + 120
        while self.applications[name]["status"] != "RUNNING":
            assert time.monotonic() < end, self.applications[name]
            time.sleep(0.2)

    def clear(self) -> None:
        """Let no application be there."""
        if not self.applications:
            return  # and Serve, which a request would start on a port of its own, is left alone
        self.put()
        end = time.monotonic() + 120
        while self.applications:
            assert time.monotonic() < end, self.applications
            time.sleep(0.2)

    def package(self, files: Mapping[str, str]) -> str:
        """The URI of code that is sent to the cluster."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        name = f"_ray_pkg_{hashlib.sha256(content.getvalue()).hexdigest()}.zip"
        self._ask("PUT", f"{self.url}/api/packages/gcs/{name}", content.getvalue())
        return f"gcs://{name}"

    def answer(self, name: str) -> str:
        """The word that an application answers, "" where it does not."""
        try:
            return str(
                json.loads(self._ask("POST", f"{self.serve}/{name}", b"{}"))["rows"][0]["word"]
            )
        except (OSError, ValueError, KeyError):  # URLError is an OSError
            return ""

    def _ask(self, method: str, url: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            content: bytes = answer.read()
        return content


class Prober:
    """Asks an application all the time while it is open, and keeps what it answered, each answer once
    in a row. It counts all of them, and those that failed."""

    def __init__(self, serving: Serving, name: str) -> None:
        self.heard: list[str] = []
        self.asked = self.failed = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(serving, name))

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self, serving: Serving, name: str) -> None:
        while not self._end.wait(0.05):
            answer = serving.answer(name)
            self.asked += 1
            self.failed += not answer
            if self.heard[-1:] != [answer]:
                self.heard.append(answer)
