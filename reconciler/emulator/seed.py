"""A seed file -> a first world: accounts with files, workspaces, services and their first models.

The format is the emulator's own; `services/local/_emulator/seed.yaml` explains it by example.
The first model of a predictive service is fitted here, on the file that the seed names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.emulator import definitions, learning
from reconciler.emulator.arm import service_key
from reconciler.emulator.world import ClassicService, Endpoint, Experiment, WebService, Workspace

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

# The same safe loader in C where PyYAML was built with it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FIRST_MODELS = "azuremlassetscontainer"
MODULE = "aml://module/506153734175476c4f62416c57734963.{family}.v1-default-1743"


def plant(core: Core, path: Path) -> None:
    """Make the world that the seed file describes; ValueError, naming the file, if it is wrong."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), LOADER)
        _plant(core, document, path.parent)
    except (KeyError, TypeError, AttributeError, yaml.YAMLError, learning.LearningError) as exc:
        raise ValueError(f"{path} is not a seed: {type(exc).__name__}: {exc}") from exc


def _plant(core: Core, document: Json, folder: Path) -> None:
    for name, account in document["storage"].items():
        _storage(core, name, account, folder)
    for entry in document["experiments"]:
        core.world.experiments[entry["name"]] = Experiment(**entry)
    for entry in document["workspaces"]:
        core.world.workspaces[entry["id"]] = Workspace(**entry)
    for entry in document.get("webServices", []):
        _web_service(core, entry, folder)
    for entry in document.get("classicServices", []):
        _classic_service(core, entry, folder)


def _storage(core: Core, name: str, account: Json, folder: Path) -> None:
    core.blobs.add_account(name, account["key"])
    for container, files in account["containers"].items():
        core.blobs.add_container(name, container)
        root = folder / files["folder"] if files else None
        for file in sorted(root.rglob("*")) if root else []:
            if file.is_file():
                blob = file.relative_to(root).as_posix()
                core.blobs.put(name, container, blob, file.read_bytes())


def _first_model(core: Core, entry: Json, folder: Path, account: str) -> tuple[str, bytes]:
    """Fit the model that was deployed by hand; its blob path and bytes."""
    experiment = core.world.experiments[entry["experiment"]]
    model, _ = experiment.fit((folder / entry["file"]).read_bytes(), experiment.parameters)
    name = hashlib.md5(model, usedforsecurity=False).hexdigest() + ".ilearner"
    core.blobs.put(account, FIRST_MODELS, name, model)
    return f"{FIRST_MODELS}/{name}", model


def _keys(entry: Json) -> dict[str, str]:
    primary = entry.get("key") or definitions.new_key()
    return {"primary": primary, "secondary": definitions.new_key()}


# --- New services -------------------------------------------------------------------------------


def _web_service(core: Core, entry: Json, folder: Path) -> None:
    now = core.now()
    service = WebService(
        subscription=entry["subscription"],
        group=entry["resourceGroup"],
        name=entry["name"],
        id=entry["id"],
        location=definitions.display(entry["location"]),
        properties={},
        tags=dict(entry.get("tags") or {}),
        keys=_keys(entry),
        created=now,
        modified=now,
        experiment=entry.get("experiment", ""),
    )
    account = entry["storage"]
    features = _features(folder / entry["columns"], entry["label"])
    if "model" in entry:
        path, model = _first_model(core, entry["model"], folder, account)
        service.model = core.world.keep_model(model)
        service.properties = _predictive(entry, account, path, features)
    else:
        service.properties = _training(entry, account, features)
    key = service_key(service.subscription, service.group, service.name)
    core.world.services[key] = service


def _features(file: Path, label: str) -> list[str]:
    header = file.read_text(encoding="utf-8").partition("\n")[0]
    return [name for name in header.strip().split(",") if name != label]


def _common(entry: Json, account: str, features: list[str]) -> Json:
    columns = {name: {"type": "Number", "format": "Double"} for name in features}
    return {
        "packageType": "Graph",
        "title": entry["title"],
        "description": entry.get("description", ""),
        "readOnly": False,
        "exposeSampleData": True,
        "realtimeConfiguration": {"maxConcurrentCalls": 4},
        "diagnostics": {"level": "None"},
        "storageAccount": {"name": account, "key": "known to the service only"},
        "machineLearningWorkspace": {"id": entry["workspace"]},
        "commitmentPlan": {"id": f"/subscriptions/{entry['subscription']}/commitmentPlans/plan"},
        "input": _port("input1", columns),
        "parameters": {},
    }


def _port(name: str, columns: Json) -> Json:
    return {"type": "object", "properties": {name: {"type": "object", "properties": columns}}}


def _asset(name: str, kind: str, uri: str, **more: Any) -> Json:
    return {"name": name, "type": kind, "locationInfo": {"uri": uri, "credentials": ""}, **more}


def _predictive(entry: Json, account: str, path: str, features: list[str]) -> Json:
    """The definition of a scoring graph: model and data go into Score Model, a result comes out."""
    scored = {"Scored Labels": {"type": "String"}, "Scored Probabilities": {"type": "Number"}}
    dataset = {"Results dataset": {"type": "Dataset"}}
    return {
        **_common(entry, account, features),
        "output": _port("output1", scored),
        "assets": {
            "asset1": _asset("Score Model", "Module", MODULE.format(family="401b4f92e7244d5a")),
            "asset2": _asset("Import Data", "Module", MODULE.format(family="4e1b0fe6aded4b3f")),
            "asset3": _asset(
                entry["model"]["asset"], "Resource", f"blob://{account}/{path}", outputPorts=dataset
            ),
            "asset4": _asset(
                "Reference data",
                "Resource",
                f"blob://{account}/{FIRST_MODELS}/reference.nh.csv",
                outputPorts=dataset,
            ),
        },
        "package": {
            "nodes": {
                "node1": {"assetId": "asset1"},
                "node2": {"assetId": "asset3"},
                "node3": {"inputId": "input1"},
                "node4": {"outputId": "output1"},
                "node5": {"assetId": "asset2", "parameters": _import_parameters(account)},
            },
            "edges": [
                _edge("node2", "node1", "Results dataset", "Trained model"),
                _edge("node3", "node1", "", "Dataset"),
                _edge("node1", "node4", "Results dataset", ""),
            ],
            "graphParameters": {},
        },
    }


def _import_parameters(account: str) -> Json:
    """A module with a credential, which GET shows encrypted (§3.5)."""
    thumbprint = "0F4C8A1D5E7B9A3C2D6E8F10A2B4C6D8E0F21436"
    return {
        "Account Name": {"value": account},
        "Account Key": {"value": "known to the module only", "certificateThumbprint": thumbprint},
    }


def _edge(source: str, target: str, source_port: str, target_port: str) -> Json:
    """§3.3: no source port where the source is an input, no target port where it is an output."""
    edge = {"sourceNodeId": source, "targetNodeId": target}
    if source_port:
        edge["sourcePortId"] = source_port
    if target_port:
        edge["targetPortId"] = target_port
    return edge


def _training(entry: Json, account: str, features: list[str]) -> Json:
    """The definition of a training graph: no trained model among its assets."""
    return {
        **_common(entry, account, features),
        "output": _port("output1", {}),
        "assets": {
            "asset1": _asset("Train Model", "Module", MODULE.format(family="5cc7053e6d5d4a13")),
            "asset2": _asset("Evaluate Model", "Module", MODULE.format(family="927d65ac3b504694")),
        },
        "package": {
            "nodes": {
                "node1": {"assetId": "asset1"},
                "node2": {"assetId": "asset2"},
                "node3": {"inputId": "input1"},
                "node4": {"outputId": "output1"},
            },
            "edges": [
                _edge("node3", "node1", "", "Dataset"),
                _edge("node1", "node2", "Trained model", "Scored dataset"),
                _edge("node2", "node4", "Evaluation results", ""),
            ],
            "graphParameters": {},
        },
    }


# --- Classic services ---------------------------------------------------------------------------


def _classic_service(core: Core, entry: Json, folder: Path) -> None:
    service = ClassicService(
        id=entry["id"],
        workspace=entry["workspace"],
        name=entry["name"],
        description=entry.get("description", ""),
        created=core.now(),
        experiment=entry.get("experiment", ""),
    )
    core.world.classic[service.id] = service
    account = core.world.workspaces[service.workspace].storage
    for endpoint in entry["endpoints"]:
        made = _endpoint(core, endpoint)
        if "model" in endpoint:
            path, model = _first_model(core, endpoint["model"], folder, account)
            made.model = core.world.keep_model(model)
            made.resources = [_resource(endpoint["model"]["resource"], account, path)]
        service.endpoints[made.name] = made


def _endpoint(core: Core, entry: Json) -> Endpoint:
    return Endpoint(
        id=entry["id"],
        name=entry["name"],
        description=entry.get("description", ""),
        created=core.now(),
        keys=_keys(entry),
    )


def _resource(name: str, account: str, path: str) -> Json:
    location = {"BaseLocation": f"blob://{account}/", "RelativeLocation": path, "SasBlobToken": ""}
    return {"Name": name, "Kind": "TrainedModel", "Location": location}
