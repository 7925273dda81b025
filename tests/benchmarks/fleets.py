"""Desired state of any size, and a world of the benchmark's cloud that agrees with it, or not yet.

What the store holds of a converged fleet is written by the program's own ledger, so that it is
what a real run leaves behind, in whatever form that is.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.cli import compose, session, stopping
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.engine.world import timestamp
from reconciler.ledger import Attempt, Evaluation, Ledger, Manifest
from reconciler.model import Event, EventKind, ModelRef, Record, Score
from reconciler.platforms.arm_marks import with_mark
from tests.benchmarks.cloud.definitions import GROUP, SUBSCRIPTION
from tests.benchmarks.cloud.services import endpoint_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from reconciler.model import Binding, Desired
    from tests.benchmarks.program import CloudProcess

WORKSPACE, TRAINING = "f" * 32, "e" * 32
ACCOUNT, CONTAINER, SERVICE = "benchstore", "models", "Fleet Scoring"
SECRETS = {
    "BENCH_STORE_KEY": "YmVuY2htYXJrcy1rZWVwLW5vLXNlY3JldA==",
    "BENCH_TRAINING_KEY": "training-key-of-the-benchmarks",
    "BENCH_WORKSPACE_TOKEN": "workspace-token-of-the-benchmarks",
}
INITIAL = "azuremlassets/initial.ilearner"
_NOW = "2026-11-01T12:00:00Z"

_ENVIRONMENT = f"""\
apiVersion: reconciler/v1
kind: Environment
metadata: {{name: fleet}}
spec:
  store: {{url: az://{ACCOUNT}/{CONTAINER}, key: env:BENCH_STORE_KEY}}
  data: az://{ACCOUNT}
  studio:
    subscription: {SUBSCRIPTION}
    resourceGroup: {GROUP}
    workspace: {{id: {WORKSPACE}, region: southcentralus, token: env:BENCH_WORKSPACE_TOKEN}}
    trainingServices:
      fleet-training:
        url: /workspaces/{WORKSPACE}/services/{TRAINING}
        key: env:BENCH_TRAINING_KEY
  limits: {{parallel: PARALLEL, changes: "100%", retrains: 1000000, bindings: 1000000}}
"""
_MODEL = """\
apiVersion: reconciler/v1
kind: Model
metadata: {name: fleet}
spec:
  training:
    engine: studio
    service: fleet-training
    parameters: {URI: "https://data.example/fleet/${site}/${version}.csv"}
    outputs: {model: output1, metrics: output2}
    timeout: 1h
  accept:
    - {metric: AUC, atLeast: "0.85"}
"""
_BINDING = {
    "new": """\
apiVersion: reconciler/v1
kind: WebService
metadata: {name: "fleet-${site}"}
forEach: {site: {from: "000001", to: "LAST"}}
spec:
  webService: "fleet-${site}"
  model: {name: fleet, version: "2026-11", with: {site: "${site}"}}
  verify: {request: probe.json, columns: [Scored Labels]}
""",
    "classic": f"""\
apiVersion: reconciler/v1
kind: ClassicEndpoint
metadata: {{name: "fleet-${{site}}"}}
forEach: {{site: {{from: "000001", to: "LAST"}}}}
spec:
  webService: {SERVICE}
  endpoint: "site${{site}}"
  model: {{name: fleet, version: "2026-11", with: {{site: "${{site}}"}}}}
  verify: {{request: probe.json, columns: [Scored Labels]}}
""",
}
_PROBE = '{"Inputs": {"input1": {"ColumnNames": ["hour"], "Values": [["7"]]}}}'
# One file per binding, about 30 lines each with what people write into them.
_FILE = """\
# yaml-language-server: $schema=../../schemas/reconciler.schema.json
# Site NUMBER. The team of the region owns this file; ask it before you change
# the version, and look at the dashboard of the site after a change.
apiVersion: reconciler/v1
kind: WebService
metadata:
  name: site-NUMBER
  labels:
    team: forecasting
    region: "rNUMBER"
    tier: gold
spec:
  webService: site-NUMBER
  asset: Fleet [trained model]
  model:
    name: fleet
    version: "2026-11"
    with:
      site: "NUMBER"
  protect: false
  verify:
    request: probe.json
    columns:
      - Scored Labels
    expect:
      Scored Labels:
        atLeast: "0"
        atMost: "1000"
"""


@dataclass(frozen=True)
class Fleet:
    """How many of which kind ("new", "classic"), how large their definitions are."""

    kind: str
    count: int
    definition_bytes: int = 2_000
    parallel: int = 64


def write(folder: Path, fleet: Fleet) -> Path:
    """The folder of services that declares the fleet by one document."""
    last = f"{fleet.count:06}"
    files = {
        "environment.yaml": _ENVIRONMENT.replace("PARALLEL", str(fleet.parallel)),
        "model.yaml": _MODEL,
        "fleet.yaml": _BINDING[fleet.kind].replace("LAST", last),
        "probe.json": _PROBE,
    }
    return _written(folder, files)


def write_files(folder: Path, count: int) -> Path:
    """The folder of services that declares `count` bindings in a file each."""
    files = {f"site-{i:05}.yaml": _FILE.replace("NUMBER", f"{i:05}") for i in range(count)}
    files |= {
        "environment.yaml": _ENVIRONMENT.replace("PARALLEL", "8"),
        "model.yaml": _MODEL,
        "probe.json": _PROBE,
    }
    return _written(folder, files)


def _written(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def begin(
    cloud: CloudProcess,
    services: Path,
    fleet: Fleet,
    *,
    converged: bool,
    latency_s: float,
    job_s: float = 2.0,
) -> None:
    """Let the cloud begin a world: it serves what is declared, or the models before that."""
    wanted = compose.load(services)["fleet"]
    base = f"{cloud.url}/blob/{ACCOUNT}/"
    serving = _converged(wanted, base) if converged else dict.fromkeys(_names(wanted), INITIAL)
    world: dict[str, Any] = {
        "host": cloud.url,
        "definition_bytes": fleet.definition_bytes,
        "job_s": job_s,
        "blobs": {INITIAL: "the model before", **{path: path for path in serving.values()}},
    }
    if fleet.kind == "new":
        world["tags"] = with_mark({}, wanted.environment.mark, protect=False)
        world["new"] = {name: base + path for name, path in serving.items()}
    else:
        world["classic_service"] = SERVICE
        world["classic"] = {
            name: {"BaseLocation": base, "RelativeLocation": path} for name, path in serving.items()
        }
    cloud.control("world", world)
    if converged:
        _settle(wanted, cloud.url)
    cloud.control("latency", {"latency_s": latency_s})


def _names(wanted: Desired) -> list[str]:
    """What the services or endpoints are called in the cloud."""
    return [str(binding.address).rsplit("/", 1)[-1] for binding in wanted.bindings]


def _converged(wanted: Desired, base: str) -> dict[str, str]:
    return {
        name: f"{CONTAINER}/{binding.version.folder}/model.ilearner"
        for name, binding in zip(_names(wanted), wanted.bindings, strict=True)
    }


def _settle(wanted: Desired, url: str) -> None:
    """Write into the store what runs that made and proved every version would have left there."""
    environ = {**SECRETS, EMULATOR_VARIABLE: url}
    with session.client(wanted.environment, 16, stopping.Stop()) as http:
        world = compose.connect(wanted, http, environ=environ)
        keep = _keeper(world.ledger, ModelRef(f"{url}/blob/{ACCOUNT}/{INITIAL}"))
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(keep, wanted.bindings))


def _keeper(ledger: Ledger, before: ModelRef) -> Callable[[Binding], None]:
    answer = Score(("Scored Labels",), ((endpoint_id("before"),),))

    def keep(binding: Binding) -> None:
        version, ref = binding.version, ledger.ref(binding.version)
        job = hashlib.md5(version.folder.encode(), usedforsecurity=False).hexdigest()
        model = f"{CONTAINER}/{version.folder}/model.ilearner".encode()
        found = Evaluation({"AUC": 0.93}, hashlib.sha256(model).hexdigest(), _NOW, ref=ref)
        made = (Attempt(job, _NOW, {}, started_at=_NOW),)
        ledger.claim(
            Manifest(
                version, binding.key, binding.recipe, _NOW, "42.1", attempts=made, evaluation=found
            )
        )
        events = tuple(
            Event(_NOW, what, ref, "42.1", "c" * 40) for what in (EventKind.SWAP, EventKind.PROOF)
        )
        record = Record(ref, before, ref, True, timestamp(1_790_000_000), answer, events)
        ledger.keep_record(binding.address, record)

    return keep
