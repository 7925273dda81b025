"""The twin of Ray: its stand-in, whose applications answer with what their models hold."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.store import S3Store

from tests.ray.serve_standin import ServeStandin
from tests.ray.standin import TOKEN
from tests.stores.buckets import KEY, new_bucket, s3_server
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
        return model["version"], self.model_at(model["uri"])

    def model_at(self, uri: str) -> bytes:
        """What a replica reads."""
        return Path(unquote(urlsplit(uri).path)).read_bytes()

    def undeclared(self) -> object:
        return copy.deepcopy(self.cluster.serve.applications["theirs"])

    def unmark(self) -> None:
        shown = self.cluster.serve.applications["m"]
        shown.config["args"]["model"].pop("mark")
        shown.serves = copy.deepcopy(shown.config)

    def set_by_hand(self, number: int) -> str:
        options = {"name": "Theirs", "num_replicas": number}
        shown = self.cluster.serve.applications
        ours = [a.config for n, a in shown.items() if n != "theirs" and a.config]
        self.cluster.serve.declare([*ours, {**THEIRS, "deployments": [options]}])
        return "settings.replicas"

    def declare_another(self) -> str:
        text = APPLICATION.replace("{name: m}\n", "{name: other}\n")
        text = text.replace("application: m\n", "application: other\n")
        (self.folder / "other.yaml").write_text(text)
        return "other"


class Trained(Applications):
    """Versions that the cluster trains, too: each is what its data is."""

    def __init__(self, folder: Path, cluster: ServeStandin) -> None:
        super().__init__(folder, cluster)
        cluster.world.runs = True
        self.edit("all.yaml", "engine: local", "engine: ray")
        self.edit("all.yaml", ", metrics: m.json", "")
        self.edit("all.yaml", f"sh {self.folder}/train.sh", "sh train.sh")
        self.edit("all.yaml", " {outputs.metrics}", "")
        self.edit("all.yaml", '  accept: [{metric: AUC, atLeast: "0.8"}]\n', "")

    def starts(self) -> list[str]:
        return list(self.cluster.world.starts.elements())


class InBucket(Trained):
    """With a store in a bucket of S3, which nodes reach by themselves."""

    def __init__(self, folder: Path, cluster: ServeStandin, server: str) -> None:
        super().__init__(folder, cluster)
        self._server = server
        cluster.world.copy = self._copied
        bucket = new_bucket(server)
        ident, _, secret = KEY.partition(":")
        self._bucket = S3Store(
            bucket,
            endpoint=server,
            access_key_id=ident,
            secret_access_key=secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        at = f"s3://{bucket}/below"
        store = f'{{url: "{at}", endpoint: "{server}", key: "env:BUCKET_KEY"}}'
        self.edit("all.yaml", "store: store", f"store: {store}")

    @property
    def environ(self) -> dict[str, str]:
        bound = {"BUCKET_KEY": KEY, "RECONCILER_ORIGINS": self._server}
        return {**super().environ, **bound}

    def model_at(self, uri: str) -> bytes:
        return bytes(self._bucket.get(urlsplit(uri).path.lstrip("/")).bytes())

    def _copied(self, source: str, uri: str) -> None:
        self._bucket.put(urlsplit(uri).path.lstrip("/"), Path(source).read_bytes())


@contextlib.contextmanager
def in_bucket(folder: Path, *_: object) -> Iterator[Twin]:
    """Trained on the cluster, with a store in a bucket of S3."""
    cluster = ServeStandin()
    try:
        with s3_server() as server:
            made = InBucket(folder, cluster, server)
            yield made
            made.close()
    finally:
        cluster.close()


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
