"""The twin of Azure ML over the emulator, which runs the code that it deploys; met on its wire."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import requests

from reconciler import emulator
from reconciler.cli import compose, stopping
from tests.azureml.standin import URL, WORKSPACE, Standin
from tests.door import Door
from tests.lab import START
from tests.twins.azureml import Endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.http.client import Http
    from tests.twins.contract import Twin

SEED = """\
storage:
  mlstorage:
    key: z/04m27O7xkdx8sAlZALT/jHJ1uK+hpbaCEzhl673NKpAa1mHIrndOfSTAvH15WZym7vo3FvG/UsT1s6JNdNXQ==
    containers:
      workspace: {folder: files}
experiments: []
workspaces: []
azureml:
  - subscription: 00000000-0000-4000-8000-000000000001
    resourceGroup: ml
    workspace: prod
    region: westeurope
    storage: mlstorage
    container: workspace
    resources:
      - at: environments/sklearn/versions/3
        body: {properties: {image: "mcr.microsoft.com/azureml/minimal-py312-inference:latest"}}
      - at: computes/cpu
        body: {properties: {computeType: AmlCompute}}
      - at: onlineEndpoints/theirs
        body: {tags: {team: other}, properties: {authMode: Key}}
"""
# It answers with the model, and below "wrong" where the twin calls that one bad.
SCORE = """\
import hashlib, os, pathlib

def init():
    global content
    found = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*")
    (path,) = [path for path in found if path.is_file()]
    content = path.read_bytes()

def run(data):
    good = pathlib.Path("HERE/good")
    is_good = not good.exists() or hashlib.sha256(content).hexdigest() in good.read_text()
    return {"rows": [{"text" if is_good else "wrong": content.decode()}]}
"""
TRAINING = """\
    engine: azureml
    command: sh train.sh {inputs.d} {outputs.model} {outputs.metrics}
    code: training
    environment: sklearn:3
    compute: cpu
    inputs: {d: "${version}.csv"}
    parameters: {v: "${version}"}
"""
TRAIN = """\
cp "$1" "$2"
echo '{"AUC": 0.9}' > "$3"
"""
API = "?api-version=2024-04-01"


class Clock:
    """Jobs and containers are real processes, so a wait is short and counts in full."""

    def __init__(self, clock: emulator.ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock()

    def wait(self, seconds: float) -> None:
        time.sleep(0.002)
        self._clock.advance(max(seconds, 0.05))


class Emulated(Endpoints):
    """Endpoints of an emulated workspace."""

    def __init__(self, folder: Path, *, apart: bool) -> None:
        """`apart`: other processes reach it, in a time that passes for all of them."""
        self.manual = None if apart else emulator.ManualClock(START)
        options = emulator.Options(speed=200.0) if apart else emulator.Options()
        self.cloud = emulator.Cloud(options, clock=self.manual or time.time)
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "nothing").write_text("")
        (folder / "seed.yaml").write_text(SEED)
        self.cloud.seed(folder / "seed.yaml")
        door = emulator.serve(self.cloud, 0) if apart else None
        self.url, self.http = URL, requests.Session()
        if door is not None:
            door.start()
            self.url = door.url
        else:
            self.http.mount(URL, emulator.InProcessAdapter(self.cloud))
        super().__init__(folder, Standin())
        self.door = door
        (self.folder / "code" / "score.py").write_text(SCORE.replace("HERE", str(folder)))
        self.good_file = folder / "good"

    def close(self) -> None:
        super().close()
        for name in self._all("/onlineEndpoints"):
            self._ask("DELETE", f"/onlineEndpoints/{name}")
        self.pass_time(3600)
        if self.door is not None:
            self.door.stop()

    @property
    def engine_clock(self) -> Any:
        return Clock(self.manual) if self.manual else stopping.SystemClock(stopping.Stop())

    def pass_time(self, seconds: float) -> None:
        if self.manual:
            self.engine_clock.wait(seconds)
        else:
            time.sleep(min(seconds / 200, 1.0))

    @property
    def environ(self) -> dict[str, str]:
        return {compose.EMULATOR_VARIABLE: self.url}

    def mount(self, http: Http) -> None:
        if self.door is None:
            http.mount(URL, Door(emulator.InProcessAdapter(self.cloud)))

    def spoil(self) -> None:
        digests = [self.digest_of(binding.name) for binding in self.desired().bindings]
        self.good_file.write_text(" ".join(digests))

    def mend(self) -> None:
        self.good_file.unlink()

    def answer(self, name: str) -> tuple[str, bytes]:
        endpoint = self.binding(name).address.name  # type: ignore[attr-defined]
        self.pass_time(600)
        there = self._ask("GET", f"/onlineEndpoints/{endpoint}")
        if there.status_code != 200:
            raise FileNotFoundError(name)
        traffic = there.json()["properties"]["traffic"]
        serving = [deployment for deployment, share in traffic.items() if share == 100]
        if not serving:
            raise FileNotFoundError(name)
        path = f"/onlineEndpoints/{endpoint}/deployments/{serving[0]}"
        deployment = self._ask("GET", path).json()
        model = deployment["properties"]["model"].partition("/models/")[2]
        uri = self._ask("GET", f"/models/{model}").json()["properties"]["modelUri"]
        content = self.cloud._core.blobs.get("mlstorage", "workspace", uri.partition("/paths/")[2])
        assert content is not None
        return deployment["tags"]["reconciler-version"].rpartition("/")[2], content

    def put_back(self, version: str) -> None:
        endpoint = self.binding().address.name  # type: ignore[attr-defined]
        path = f"/onlineEndpoints/{endpoint}"
        self.pass_time(3600)  # until what was retired is gone
        there = self._ask("GET", path).json()
        (name,) = [each for each in self._all("/models/m/versions") if each.startswith(version)]
        (serving,) = there["properties"]["traffic"]
        made = self._ask("GET", f"{path}/deployments/{serving}").json()
        made["properties"]["model"] = f"{WORKSPACE}/models/m/versions/{name}"
        made["tags"]["reconciler-version"] = f"m/{version}"
        self._done(self._ask("PUT", f"{path}/deployments/by-hand", json=made))
        there["properties"]["traffic"] = {"by-hand": 100}
        self._done(self._ask("PUT", path, json=there))
        for _ in range(50):  # the old traffic is shown for a while
            self.pass_time(10)
            if self._ask("GET", path).json()["properties"]["traffic"] == {"by-hand": 100}:
                return
        raise AssertionError("the traffic never shows")

    def undeclared(self) -> object:
        return self._ask("GET", "/onlineEndpoints/theirs").json()

    def unmark(self) -> None:
        path = f"/onlineEndpoints/{self.binding().address.name}"  # type: ignore[attr-defined]
        there = self._ask("GET", path).json()
        there["tags"].pop("managed-by")
        there["tags"].pop("reconciler-environment")
        self._done(self._ask("PUT", path, json=there))

    # --- the wire ---------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, **how: Any) -> requests.Response:
        headers = {"Authorization": "Bearer by-hand"}
        return self.http.request(
            method, f"{self.url}{WORKSPACE}{path}{API}", headers=headers, **how
        )

    def _all(self, path: str) -> list[str]:
        return [item["name"] for item in self._ask("GET", path).json()["value"]]

    def _done(self, answer: requests.Response) -> None:
        assert answer.status_code in (200, 201), answer.text
        url = answer.headers["Azure-AsyncOperation"]
        headers = {"Authorization": "Bearer by-hand"}
        for _ in range(200):
            self.pass_time(10)
            status = self.http.get(url, headers=headers).json()["status"]
            if status in ("Succeeded", "Failed"):
                assert status == "Succeeded"
                return
            time.sleep(0.05)
        raise AssertionError("an operation has no end")


class Trained(Emulated):
    """The same, trained by jobs of the workspace, which write into a store in its datastore."""

    def __init__(self, folder: Path, *, apart: bool) -> None:
        super().__init__(folder, apart=apart)
        path = self.folder / "all.yaml"
        text = path.read_text().replace("store: store", "store: az://mlstorage/workspace")
        before, rest = text.split("    engine: local\n")
        path.write_text(before + TRAINING + "    outputs:" + rest.partition("    outputs:")[2])
        (self.folder / "training").mkdir()
        (self.folder / "training" / "train.sh").write_text(TRAIN)

    def starts(self) -> list[str]:
        listed = self._ask("GET", "/jobs").json()["value"]
        return [job["properties"]["properties"]["reconciler.outputs"] for job in listed]


@contextlib.contextmanager
def trained(folder: Path, _: object, apart: bool) -> Iterator[Twin]:
    """With a store in a container of Blob storage."""
    made = Trained(folder, apart=apart)
    yield made
    made.close()


@contextlib.contextmanager
def endpoints(folder: Path, _: object, apart: bool) -> Iterator[Twin]:
    """With a store in a folder."""
    made = Emulated(folder, apart=apart)
    yield made
    made.close()
