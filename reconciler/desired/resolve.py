"""Valid documents -> environments with their bindings: meaning, references, uniqueness."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.desired.schema import did_you_mean
from reconciler.desired.tree import MOST_BYTES, inside
from reconciler.errors import Problem
from reconciler.model import (
    Address,
    Binding,
    CloudName,
    Desired,
    Environment,
    Probe,
    Recipe,
    Rule,
    RuleKind,
    SecretName,
    Source,
    Store,
    TrainingService,
    Version,
    Workspace,
)

if TYPE_CHECKING:
    from reconciler.desired.nodes import Document
    from reconciler.desired.nodes import Path as At

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DEFAULT_TIMEOUT = "2h"


@dataclass
class _Found:
    """What is being put together, and what went wrong on the way."""

    root: Path
    references: bool
    problems: list[Problem] = field(default_factory=list)
    environments: dict[Path, tuple[Environment, Document]] = field(default_factory=dict)
    models: dict[str, Document] = field(default_factory=dict)
    bindings: dict[str, list[tuple[Binding, Document]]] = field(default_factory=dict)


def resolve(
    root: Path,
    documents: Iterable[Document],
    kinds: Mapping[str, Callable[[Mapping[str, Any], Environment], Address]],
    *,
    references: bool,
) -> tuple[dict[str, Desired], list[Problem]]:
    """The desired state by environment, and the problems; without `references`, none of those."""
    found = _Found(root, references)
    by_kind: dict[str, list[Document]] = {}
    for document in documents:
        by_kind.setdefault(document.value["kind"], []).append(document)
    _add_environments(found, by_kind.get("Environment", []))
    _add_models(found, by_kind.get("Model", []))
    for kind, make in kinds.items():
        for document in by_kind.get(kind, []):
            _add_binding(found, kind, document, make)
    _check_unique(found)
    return _desired(found), found.problems


def _place(document: Document, at: At) -> Source:
    line, column = document.places[at]
    return Source(document.path, line, column)


NAME: At = ("metadata", "name")


# --- environments -------------------------------------------------------------------------------


def _add_environments(found: _Found, documents: list[Document]) -> None:
    names: dict[str, Document] = {}
    for document in documents:
        folder, name = Path(document.path).parent, document.value["metadata"]["name"]
        if folder in found.environments:
            other = found.environments[folder][1]
            why = f"this folder has an environment already, at {_place(other, NAME)}"
            found.problems.append(document.problem(NAME, why))
        elif name in names:
            why = f'environment "{name}" is declared at {_place(names[name], NAME)} too'
            found.problems.append(document.problem(NAME, why))
        elif (made := _environment(found, document)) is not None:
            found.environments[folder] = (made, document)
        names.setdefault(name, document)


def _environment(found: _Found, document: Document) -> Environment | None:
    spec = document.value["spec"]
    workspace = _workspace(document, spec.get("workspace"))
    region = spec.get("region") or (workspace.region if workspace else "")
    if not region:
        why = 'spec: "region" is missing, and there is no workspace to take it from'
        found.problems.append(document.problem(("spec",), why))
        return None
    store = spec["store"]
    return Environment(
        name=document.value["metadata"]["name"],
        cloud=CloudName(spec.get("cloud", "emulator")),
        subscription=spec["subscription"],
        resource_group=spec["resourceGroup"],
        region=region,
        store=Store(
            store["account"], store["container"], _secret(document, ("spec", "store", "key"))
        ),
        workspace=workspace,
        training_services={
            name: _training_service(document, name, service)
            for name, service in spec.get("trainingServices", {}).items()
        },
        auth=spec.get("auth", "default"),
        parallel=spec.get("limits", {}).get("parallel", 8),
        source=_place(document, NAME),
    )


def _workspace(document: Document, spec: dict[str, Any] | None) -> Workspace | None:
    if spec is None:
        return None
    return Workspace(spec["id"], spec["region"], _secret(document, ("spec", "workspace", "token")))


def _training_service(document: Document, name: str, spec: dict[str, Any]) -> TrainingService:
    at: At = ("spec", "trainingServices", name)
    return TrainingService(name, spec["url"], _secret(document, (*at, "key")), _place(document, at))


def _secret(document: Document, at: At) -> SecretName:
    value: Any = document.value
    for part in at:
        value = value[part]
    return SecretName(value.removeprefix("env:"), _place(document, at))


# --- models -------------------------------------------------------------------------------------


def _add_models(found: _Found, documents: list[Document]) -> None:
    for document in documents:
        name = document.value["metadata"]["name"]
        if name in found.models:
            why = f'model "{name}" is declared at {_place(found.models[name], NAME)} too'
            found.problems.append(document.problem(NAME, why))
        found.models.setdefault(name, document)


def _recipe(found: _Found, model: Document, binding: Document) -> Recipe:
    training = model.value["spec"]["training"]
    wanted = binding.value["spec"]["model"]
    known = {"version": wanted["version"], **wanted.get("with", {})}
    used: set[str] = set()
    filled = {}
    for part in ("inputs", "parameters"):
        filled[part] = tuple(
            (name, _filled(found, model, binding, ("spec", "training", part, name), known, used))
            for name in training.get(part, {})
        )
    for name in sorted(set(wanted.get("with", {})) - used):
        why = f'model "{wanted["name"]}" has no placeholder ${{{name}}} for this argument'
        at: At = ("spec", "model", "with", name)
        found.problems.append(binding.problem(at, why, key=True))
    outputs = tuple((port, role) for role, port in training["outputs"].items())
    return Recipe(training["service"], filled["inputs"], filled["parameters"], outputs)


def _filled(
    found: _Found,
    model: Document,
    binding: Document,
    at: At,
    known: Mapping[str, str],
    used: set[str],
) -> str:
    text = model.written[at]
    for name in _PLACEHOLDER.findall(text):
        used.add(name)
        if name not in known:
            hint = did_you_mean(name, list(known)) or f"; known: {', '.join(known)}"
            who = f"{binding.value['metadata']['name']} ({_place(binding, ('spec', 'model'))})"
            why = f"unknown placeholder ${{{name}}} for binding {who}{hint}"
            found.problems.append(model.problem(at, why))
    result = _PLACEHOLDER.sub(lambda match: known.get(match[1], match[0]), text)
    if at[2] == "inputs" and any(p in ("", ".", "..") for p in result.split("/")):
        why = f'"{result}" is not a blob, container/path'
        found.problems.append(model.problem(at, why))
    return result


def _rules(model: Document) -> tuple[Rule, ...]:
    return tuple(
        Rule(rule["metric"], kind, Decimal(rule[kind.value]))
        for rule in model.value["spec"].get("accept", [])
        for kind in RuleKind
        if kind.value in rule
    )


# --- bindings -----------------------------------------------------------------------------------


def _add_binding(
    found: _Found,
    kind: str,
    document: Document,
    make: Callable[[Mapping[str, Any], Environment], Address],
) -> None:
    environment = _environment_of(found, document)
    if environment is None:
        return
    spec, name = document.value["spec"], document.value["metadata"]["name"]
    try:
        address = make(spec, environment)
    except ValueError as exc:
        found.problems.append(document.problem(("spec",), str(exc)))
        return
    model = _model_of(found, document, environment)
    if model is None:
        return
    wanted = spec["model"]
    binding = Binding(
        name=name,
        kind=kind,
        address=address,
        version=Version(wanted["name"], wanted["version"], tuple(wanted.get("with", {}).items())),
        recipe=_recipe(found, model, document),
        asset=spec.get("asset", spec.get("resource")),
        accept=_rules(model),
        probe=_probe(found, document),
        timeout_s=_seconds(model.value["spec"]["training"].get("timeout", _DEFAULT_TIMEOUT)),
        labels=tuple(sorted(document.value["metadata"].get("labels", {}).items())),
        source=_place(document, NAME),
    )
    found.bindings.setdefault(environment.name, []).append((binding, document))


def _environment_of(found: _Found, document: Document) -> Environment | None:
    folder = Path(document.path).parent
    for above in (folder, *folder.parents):
        if above in found.environments:
            return found.environments[above][0]
    if found.references:
        why = "no environment applies here; put an Environment into this folder or above it"
        found.problems.append(document.problem(NAME, why))
    return None


def _model_of(found: _Found, document: Document, environment: Environment) -> Document | None:
    at: At = ("spec", "model", "name")
    name = document.value["spec"]["model"]["name"]
    model = found.models.get(name)
    if model is None:
        hint = did_you_mean(name, sorted(found.models)) or _listed(found.models)
        if found.references:
            found.problems.append(document.problem(at, f'there is no model "{name}"{hint}'))
        return None
    service = model.value["spec"]["training"]["service"]
    known = environment.training_services
    if service not in known and found.references:
        hint = did_you_mean(service, sorted(known)) or _listed(known)
        why = f'environment {environment.name} has no training service "{service}"{hint}'
        found.problems.append(model.problem(("spec", "training", "service"), why))
    return model


def _listed(known: Iterable[str]) -> str:
    return f"; there is: {', '.join(sorted(known)) or 'none'}"


def _seconds(text: str) -> float:
    return int(text[:-1]) * _UNITS[text[-1]]


def _probe(found: _Found, document: Document) -> Probe | None:
    verify = document.value["spec"].get("verify")
    if verify is None:
        return None
    at: At = ("spec", "verify", "request")
    path = Path(document.path).parent / verify["request"]
    why = ""
    if not inside(found.root, path):
        why = f"{verify['request']} is outside of the tree; put the file below {found.root}"
    elif not path.is_file():
        why = f"there is no file {path}"
    elif path.stat().st_size > MOST_BYTES:
        why = f"{path} is larger than 1 MiB"
    else:
        try:
            request = json.loads(path.read_bytes())
            if isinstance(request, dict):
                text = json.dumps(request, separators=(",", ":"), ensure_ascii=False)
                return Probe(text, tuple(verify.get("columns", ())))
            why = f"{path} holds no JSON object"
        except (ValueError, RecursionError) as exc:
            why = f"{path} is not JSON: {exc}"
    found.problems.append(document.problem(at, why))
    return None


# --- uniqueness ---------------------------------------------------------------------------------


def _check_unique(found: _Found) -> None:
    for bindings in found.bindings.values():
        names: dict[str, Document] = {}
        addresses: dict[str, tuple[Binding, Document]] = {}
        for binding, document in bindings:
            if binding.name in names:
                why = f'"{binding.name}" is declared at {_place(names[binding.name], NAME)} too'
                found.problems.append(document.problem(NAME, why))
            names.setdefault(binding.name, document)
            address = str(binding.address).casefold()
            if address in addresses:
                other, its = addresses[address]
                why = f"{binding.address} is bound by {other.name} at {_place(its, NAME)} too"
                found.problems.append(document.problem(("spec",), why))
            addresses.setdefault(address, (binding, document))


def _desired(found: _Found) -> dict[str, Desired]:
    result = {}
    for environment, document in found.environments.values():
        bindings = [binding for binding, _ in found.bindings.get(environment.name, [])]
        if not bindings and found.references and not found.problems:
            why = f"environment {environment.name} has no bindings; add one to its folder"
            found.problems.append(document.problem(NAME, why))
        ordered = tuple(sorted(bindings, key=lambda binding: str(binding.address)))
        result[environment.name] = Desired(environment, ordered)
    if not result and found.references and not found.problems:
        why = "there is no Environment; add an environment.yaml to a folder"
        found.problems.append(Problem(str(found.root), 0, 0, why))
    return result
