"""The twins of Azure ML: a small workspace of this process, and the one of the emulator, which runs
what it deploys."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

from reconciler.cli import compose
from tests.azureml.server import served
from tests.azureml.standin import SUBSCRIPTION, URL, WORKSPACE, Standin
from tests.twins.contract import sha256
from tests.twins.local import DOCUMENTS, Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.http.client import Http
    from tests.twins.contract import Twin

CONNECTION = f"azureml: {{cloud: emulator, subscription: {SUBSCRIPTION}, resourceGroup: ml, workspace: prod}}"
ENDPOINT = """\
apiVersion: reconciler/v1
kind: OnlineEndpoint
metadata: {name: m}
spec:
  endpoint: churn-m
  create: true
  instanceType: Standard_DS3_v2
  instances: 1
  environment: sklearn:3
  code: code
  model: {name: m, version: "2026-10"}
  verify: {request: probe.json, answer: /rows, columns: [text]}
"""


class Endpoints(Home):
    """Versions that are trained here, registered in a workspace, and served by its endpoints."""

    def __init__(self, folder: Path, workspace: Standin) -> None:
        super().__init__(folder)
        self._clock.least_s = 1.0  # most of the time passes in the workspace, which is no process
        self.workspace = workspace
        workspace.answers = self._scored
        workspace.add("theirs", "blue")
        workspace.assets["/environments/sklearn/versions/3"] = {"properties": {}}
        (self.folder / "code").mkdir()
        (self.folder / "code" / "score.py").write_text("def run(data): ...\n")
        connected = DOCUMENTS.replace("local: {}", f"local: {{}}, {CONNECTION}")
        text = (connected + ENDPOINT).replace("HERE", str(self.folder))
        (self.folder / "all.yaml").write_text(text)

    def mount(self, http: Http) -> None:
        if self.workspace.url == URL:
            http.mount(URL, self.workspace)

    @property
    def environ(self) -> dict[str, str]:
        return {compose.EMULATOR_VARIABLE: self.workspace.url}

    def _scored(self, _: str, content: bytes) -> tuple[int, Any]:
        good = self._good is None or sha256(content) in self._good
        return 200, {"rows": [{"text" if good else "wrong": content.decode()}]}

    def answer(self, name: str) -> tuple[str, bytes]:
        endpoint = self.binding(name).address.name  # type: ignore[attr-defined]
        serving = self.workspace.serving(endpoint) if endpoint in self.workspace.endpoints else ""
        if not serving:
            raise FileNotFoundError(name)
        tags = self.workspace.deployments[endpoint, serving]["tags"]
        version = tags["reconciler-version"].rpartition("/")[2]
        return version, self.workspace.content(endpoint, serving)

    def put_back(self, version: str) -> None:
        binding = self.binding()
        target = self.world().targets[binding.kind]
        endpoint = binding.address.name  # type: ignore[attr-defined]
        serving = self.workspace.serving(endpoint)
        old = copy.deepcopy(self.workspace.deployments[endpoint, serving])
        path = f"/models/m/versions/{version}-"
        (model,) = [known for known in self.workspace.assets if known.startswith(path)]
        old["tags"]["reconciler-version"] = f"m/{version}"
        self.workspace.add(endpoint, "by-hand", 0, model=f"{WORKSPACE}{model}")
        self.workspace.deployments[endpoint, "by-hand"]["tags"] = old["tags"]
        self.workspace.endpoints[endpoint]["properties"]["traffic"] = {"by-hand": 100}
        assert target.can.stage

    def undeclared(self) -> object:
        return copy.deepcopy(
            [self.workspace.endpoints["theirs"], self.workspace.deployments["theirs", "blue"]]
        )

    def unmark(self) -> None:
        tags = self.workspace.endpoints["churn-m"]["tags"]
        tags.pop("managed-by")
        tags.pop("reconciler-environment")

    def set_by_hand(self, number: int) -> str:
        self.workspace.deployments["theirs", "blue"]["sku"]["capacity"] = number
        return "settings.instances"

    def declare_another(self) -> str:
        text = ENDPOINT.replace("{name: m}\n", "{name: other}\n", 1).replace("churn-m", "churn-o")
        (self.folder / "other.yaml").write_text(text)
        return "other"


@contextlib.contextmanager
def endpoints(folder: Path, _: object, apart: bool) -> Iterator[Twin]:
    """With a store in a folder."""
    workspace = Standin()
    with served(workspace) if apart else contextlib.nullcontext():
        made = Endpoints(folder, workspace)
        yield made
        made.close()
