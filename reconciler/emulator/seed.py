"""A seed file -> a first world: accounts with files, workspaces, services and their first models.

The format is the emulator's own: `schemas/emulator-seed.schema.json`, and by example
`services/local/_emulator/seed.yaml`. The first model of a predictive service is fitted here, on the
file that the seed names.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.emulator import definitions, learning
from reconciler.emulator.arm import service_key
from reconciler.emulator.azureml import plant as azureml
from reconciler.emulator.world import ClassicService, Endpoint, Experiment, WebService, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from reconciler.emulator.core import Core
    from reconciler.emulator.world import Json

    Trail = tuple[str | int, ...]

# The same safe loader in C where PyYAML was built with it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SCHEMA = "emulator-seed.schema.json"
FIRST_MODELS = "azuremlassetscontainer"
MODULE = "aml://module/506153734175476c4f62416c57734963.{family}.v1-default-1743"


def plant(core: Core, path: Path) -> None:
    """Make the world that the seed file describes; ValueError, with places, if it is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        document, nodes = yaml.load(text, LOADER), yaml.compose(text, LOADER)
    except yaml.MarkedYAMLError as exc:
        where = f"{path}:{exc.problem_mark.line + 1}" if exc.problem_mark else str(path)
        raise ValueError(f"{path} is not a seed: {where}: {exc.problem}") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:  # 2026-13-45 is a ValueError
        raise ValueError(f"{path} is not a seed: {exc}") from exc
    problems = _refused(document) or list(_unknown(document, path.parent))
    if problems:
        listed = (f"{_place(path, nodes, trail)}: {said}" for trail, said in problems)
        raise ValueError("\n".join([f"{path} is not a seed:", *listed]))
    _plant(core, document, path.parent)


def _refused(document: Any) -> list[tuple[Trail, str]]:
    """Where the schema refuses the document, and what belongs there; values may be secrets."""
    from jsonschema import Draft202012Validator

    beside = Path(__file__).parents[2] / "schemas" / SCHEMA
    inside = Path(__file__).parents[1] / "schemas" / SCHEMA  # of a wheel
    schema = json.loads((beside if beside.exists() else inside).read_text(encoding="utf-8"))
    found = (
        (tuple(e.absolute_path), e) for e in Draft202012Validator(schema).iter_errors(document)
    )
    return list(dict.fromkeys((trail, _said(error)) for trail, error in found))


def _said(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "required":
        missing = [name for name in wanted if name not in instance]
        return f"write {', '.join(missing)} too ({SCHEMA})"
    if error.validator == "additionalProperties":
        return f"{error.message.rpartition('(')[2].rstrip(')')}; {SCHEMA} has what may stand here"
    if error.validator == "enum":
        return f"write one of: {', '.join(wanted)}"
    if error.validator == "type":
        return f"write a value of type {wanted}"
    meant = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    return f"not as {SCHEMA} wants it ({error.validator} {wanted}). {meant}"


def _unknown(document: Json, folder: Path) -> Iterator[tuple[Trail, str]]:
    """The names of accounts, workspaces, experiments and files that are not there."""
    known = {
        "storage": set(document["storage"]),
        "workspace": {entry["id"] for entry in document["workspaces"]},
        "experiment": {entry["name"] for entry in document["experiments"]},
    }

    def look(value: Any, trail: Trail) -> Iterator[tuple[Trail, str]]:
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in members:
            here = (*trail, name)
            if isinstance(item, dict | list):
                yield from look(item, here)
            elif name in known and item not in known[name]:
                yield here, f"there is no {name} {item!r}; known: {', '.join(sorted(known[name]))}"
            elif name in ("file", "columns", "folder") and not (folder / item).exists():
                yield here, f"{folder / item} does not exist"

    for part in ("storage", "workspaces", "webServices", "classicServices"):
        yield from look(document.get(part, []), (part,))


def _place(path: Path, node: yaml.Node | None, trail: Trail) -> str:
    """`seed.yaml:12:5 experiments[0].task`."""
    for step in trail:
        if isinstance(node, yaml.MappingNode):
            node = next((below for name, below in node.value if name.value == step), node)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
    mark = node.start_mark if node else None
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}:1:1"
    named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail)
    return f"{where} {named.removeprefix('.')}".rstrip()


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
    for entry in document.get("azureml", []):
        azureml.plant(core, entry)


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
    try:
        model, _ = experiment.fit((folder / entry["file"]).read_bytes(), experiment.parameters)
    except learning.LearningError as exc:
        why = f"{experiment.name} does not fit {folder / entry['file']}: {exc}"
        raise ValueError(f"this is not a seed: {why}") from exc
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
        experiment = core.world.experiments[entry["experiment"]]
        service.properties = _training(entry, account, features, experiment)
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


def _training(entry: Json, account: str, features: list[str], experiment: Experiment) -> Json:
    """The definition of a training graph: no trained model among its assets. A parameter without a
    default has no value (§3.3)."""
    outputs = (experiment.model_output, experiment.evaluation_output)
    defaults = {name: {"value": value} for name, value in experiment.parameters.items()}
    common = _common(entry, account, features)
    return {
        **common,
        "input": _port(experiment.input, common["input"]["properties"]["input1"]["properties"]),
        "parameters": {**defaults, **{name: {} for name in experiment.required}},
        "output": {"type": "object", "properties": {name: {"type": "object"} for name in outputs}},
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
