"""The twin of Ray: its stand-in, whose applications answer with what their models hold."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.ray.serve_standin import ServeStandin
from tests.ray.standin import TOKEN
from tests.twins.local import DOCUMENTS, Home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.twins.contract import Twin

APPLICATION = """\
apiVersion: reconciler/v1
kind: ServeApplication
metadata: {name: m}
spec:
  application: m
  code: code
  replicas: 1
  model: {name: m, version: "2026-10"}
  verify: {request: probe.json, answer: /rows, columns: [text]}
"""
THEIRS = {
    "name": "theirs",
    "route_prefix": "/theirs",
    "import_path": "theirs:app",
    "runtime_env": {"env_vars": {"PASSWORD": "hunter2"}},
    "args": {"rate": 0.5},
}


class Applications(Home):
    """Versions that are trained here, and served by applications of a cluster."""

    def __init__(self, folder: Path, cluster: ServeStandin) -> None:
        super().__init__(folder)
        self.cluster = cluster
        cluster.serve.declare([THEIRS])
        (self.folder / "code").mkdir()
        (self.folder / "code" / "serve.py").write_text("def load(path): ...\n")
        at = f"http://127.0.0.1:{self.server.server_port}"
        ray = f'ray: {{url: "{cluster.url}", token: env:RAY_TOKEN, serve: "{at}"}}'
        connected = DOCUMENTS.replace("local: {}", f"local: {{}}, {ray}")
        text = (connected + APPLICATION).replace("HERE", str(self.folder))
        (self.folder / "all.yaml").write_text(text)

    @property
    def environ(self) -> dict[str, str]:
        return {"RAY_TOKEN": TOKEN}

    def answer(self, name: str) -> tuple[str, bytes]:
        shown = self.cluster.serve.applications.get(name)
        if shown is None or not shown.serves:
            raise FileNotFoundError(name)
        model = shown.serves["args"]["model"]
        return model["version"], Path(unquote(urlsplit(model["uri"]).path)).read_bytes()

    def undeclared(self) -> object:
        return copy.deepcopy(self.cluster.serve.applications["theirs"])

    def declare_another(self) -> str:
        text = APPLICATION.replace("{name: m}\n", "{name: other}\n")
        text = text.replace("application: m\n", "application: other\n")
        (self.folder / "other.yaml").write_text(text)
        return "other"


@contextlib.contextmanager
def applications(folder: Path, *_: object) -> Iterator[Twin]:
    """With a store in a folder."""
    cluster = ServeStandin()
    try:
        made = Applications(folder, cluster)
        yield made
        made.close()
    finally:
        cluster.close()
