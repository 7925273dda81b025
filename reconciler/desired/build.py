"""Documents that the schema accepts, as the values of the model."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from reconciler.desired.nodes import problem
from reconciler.desired.schema import container_hint, is_blob_path, is_container, near, schema
from reconciler.model import (
    MOST_BINDINGS,
    Auth,
    CloudName,
    Creation,
    Environment,
    Recipe,
    Rule,
    RuleKind,
    SecretName,
    Store,
    TrainingService,
    Version,
    Workspace,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from typing import Any

    from reconciler.desired.budget import Budget
    from reconciler.desired.nodes import Document
    from reconciler.errors import Problem

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}|\$\{")


def environment(document: Document) -> Environment:
    """The environment that a document declares."""
    spec = document.data["spec"]
    workspace = _workspace(document) if "workspace" in spec else None
    limits = spec.get("limits", {})
    return Environment(
        name=document.data["metadata"]["name"],
        cloud=CloudName(spec.get("cloud", "emulator")),
        subscription=spec["subscription"],
        resource_group=spec["resourceGroup"],
        region=spec.get("region") or (workspace.region if workspace else ""),
        store=_store(document),
        workspace=workspace,
        training_services=_training_services(document),
        auth=Auth(spec.get("auth", "default")),
        parallel=limits.get("parallel", 8),
        most_changes_percent=int(limits.get("changes", "30%").removesuffix("%")),
        most_deletes_percent=int(limits.get("deletes", "10%").removesuffix("%")),
        most_bindings=limits.get("bindings", MOST_BINDINGS),
        most_retrains=limits.get("retrains", 40),
        source=document.at("metadata", "name"),
    )


def version(document: Document) -> Version:
    """The version that a binding wants."""
    said = document.data["spec"]["model"]
    return Version(said["name"], said["version"], tuple(said.get("with", {}).items()))


def creation(document: Document) -> Creation | None:
    """How an endpoint is made of which nothing more must be said; None: not at all."""
    return Creation() if document.data["spec"].get("create") is True else None


def labels(document: Document) -> tuple[tuple[str, str], ...]:
    """The labels of a document, sorted."""
    return tuple(sorted(document.data["metadata"].get("labels", {}).items()))


def settings(document: Document) -> tuple[tuple[str, str], ...]:
    """The settings that a binding owns, as texts by dotted name, sorted."""
    said = dict(_flat(document.data["spec"].get("settings", {}), ""))
    if "diagnostics.level" in said:  # owned as a whole: no expiry is a wish as well
        said.setdefault("diagnostics.expiry", "")
    return tuple(sorted(said.items()))


def _flat(said: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)


def expiry_problems(document: Document, today: date | None) -> list[Problem]:
    """What is wrong with the end of the diagnostics, which the service refuses after the swap."""
    trail = ("spec", "settings", "diagnostics", "expiry")
    if (said := document.text(*trail)) is None:
        return []
    try:
        day = datetime.fromisoformat(said).date()
        over = today is not None and day < today
        why = "it is over; write a time to come, or take it out" if over else ""
    except ValueError:
        why = "no such day; correct it"
    return [problem(document.at(*trail), f'{".".join(trail)}: "{said}": {why}')] if why else []


def attempts(model: Document) -> int:
    """How many jobs may be tried for one version."""
    said: int = model.data["spec"]["training"].get("retry", {}).get("attempts", 2)
    return said


def timeout_s(model: Document) -> float:
    """How long one training of the model may take."""
    said: str = model.data["spec"]["training"].get("timeout", "2h")
    return int(said[:-1]) * _SECONDS[said[-1]]


def max_age_s(model: Document) -> float | None:
    """How old a version of the model may become; None where nothing is said."""
    said: str | None = model.data["spec"]["training"].get("maxAge")
    return None if said is None else int(said[:-1]) * _SECONDS[said[-1]]


def rules(model: Document) -> tuple[Rule, ...]:
    """The gates of a model, in the order in which they were written."""
    return tuple(
        Rule(said["metric"], kind, Decimal(said[kind]))
        for said in model.data["spec"].get("accept", ())
        for kind in RuleKind
        if kind in said
    )


def training_problems(model: Document) -> list[Problem]:
    """What the schema cannot say about the inputs and outputs of a model."""
    return _input_problems(model) + _output_problems(model)


def _input_problems(model: Document) -> list[Problem]:
    """The inputs that the training service would refuse, whatever the binding says."""
    trail = ("spec", "training", "inputs")
    templates = model.data["spec"]["training"].get("inputs", {})
    return [
        problem(model.at(*trail, port), f"{'.'.join(trail)}.{port}: {_NO_TABLE}")
        for port, template in templates.items()
        if not (template.endswith("}") or _is_table(template))
    ]


# azure-ml-studio-protocol.md §4.8: a job with any other input is refused (InvalidBlobExtension)
_TABLES = (".csv", ".tsv", ".arff")
_NO_TABLE = "a training service reads .csv, .tsv and .arff only; write the ending of the blob"


def _is_table(path: str) -> bool:
    return path.casefold().endswith(_TABLES)


def _output_problems(model: Document) -> list[Problem]:
    trail = ("spec", "training", "outputs")
    ports = model.data["spec"]["training"]["outputs"]
    if ports.get("evaluation") == ports["model"]:
        place = model.at(*trail, "evaluation")
        message = "the port of the model; the evaluation comes from another one"
        return [problem(place, f"{'.'.join(trail)}.evaluation: {message}")]
    if model.data["spec"].get("accept") and "evaluation" not in ports:
        # Without it every gate stays inconclusive: hours of training that can never be bound.
        message = "spec.accept: gates are judged by the evaluation; name its port"
        return [problem(model.at_key("spec", "accept"), f"{message} in {'.'.join(trail)}")]
    return []


def recipe(
    model: Document, binding: Document, budget: Budget
) -> tuple[Recipe | None, list[Problem]]:
    """How the binding's version is made; None, and why, if the two do not fit together."""
    making = _Making(model, binding)
    gates = len(model.data["spec"].get("accept", ()))
    budget.take(binding.at("spec", "model"), gates + making.values, making.characters)
    training = model.data["spec"]["training"]
    inputs = tuple(making.filled("inputs"))
    parameters = tuple(making.filled("parameters"))
    if not making.problems:
        making.refuse_bad_paths(inputs)
        making.refuse_unused()
    if making.problems:
        return None, making.problems
    outputs = tuple((port, role) for role, port in training["outputs"].items())
    return Recipe(training["service"], inputs, parameters, outputs), []


class _Making:
    """One model's templates, filled with what one binding says."""

    def __init__(self, model: Document, binding: Document) -> None:
        said = binding.data["spec"]["model"]
        self._model = model
        self._binding = binding
        self._arguments: dict[str, str] = said.get("with", {})
        self._known: dict[str, str] = {**self._arguments, "version": said["version"]}
        self._used: set[str] = set()
        self._refused: set[tuple[str, ...]] = set()
        self.problems: list[Problem] = []
        if "version" in self._arguments:
            place = binding.at_key("spec", "model", "with", "version")
            message = "spec.model.with: ${version} is the model's version; name this otherwise"
            self.problems.append(problem(place, message))

    @property
    def values(self) -> int:
        """How many inputs and parameters there are."""
        return sum(1 for _ in self._templates())

    @property
    def characters(self) -> int:
        """How long those become that hold placeholders; the others are texts of the model."""
        return sum(
            len(text) + sum(len(self._known.get(m[1], "")) for m in PLACEHOLDER.finditer(text))
            for text in self._templates()
            if "${" in text
        )

    def _templates(self) -> Iterator[str]:
        training = self._model.data["spec"]["training"]
        for group in ("inputs", "parameters"):
            yield from training.get(group, {}).values()

    def filled(self, group: str) -> Iterator[tuple[str, str]]:
        """The pairs of `inputs` or `parameters` without placeholders."""
        for name, template in self._model.data["spec"]["training"].get(group, {}).items():

            def fill(found: re.Match[str], name: str = name) -> str:
                return self._value(found, (group, name))

            yield name, PLACEHOLDER.sub(fill, template)

    def _value(self, found: re.Match[str], where: tuple[str, str]) -> str:
        name = found[1]
        if name in self._known:
            self._used.add(name)
            return self._known[name]
        if (*where, found[0]) not in self._refused:  # a template may repeat one very often
            self._refused.add((*where, found[0]))
            self._refuse(found, where)
        return ""

    def _refuse(self, found: re.Match[str], where: tuple[str, str]) -> None:
        name, trail = found[1], ("spec", "training", *where)
        if name is None:
            message = "${ has no } behind it; write ${version} or ${argument}"
        else:
            hint = near(name, self._known)
            message = f"unknown placeholder {found[0]} for {self._who()}{hint}"
        said = f"{'.'.join(trail)}: {message}"
        self.problems.append(problem(self._model.at(*trail), said))

    def refuse_bad_paths(self, inputs: tuple[tuple[str, str], ...]) -> None:
        """Complain where the binding's values turn an input into something else than a path."""
        for port, path in inputs:
            if not is_blob_path(path):
                place = self._binding.at("spec", "model")
                hint = schema()["$defs"]["blobPath"]["patternErrorMessage"]
                message = f'spec.model: the input "{port}" becomes "{path}", which {hint}'
                self.problems.append(problem(place, message))
            elif not is_container(container := path.partition("/")[0]):
                place = self._model.at("spec", "training", "inputs", port)
                message = f'spec.training.inputs.{port}: "{container}" {container_hint()}'
                self.problems.append(problem(place, message))
            elif not _is_table(path):
                trail = ("spec", "training", "inputs", port)
                said = f'{".".join(trail)}: for {self._who()} it becomes "{path}"; {_NO_TABLE}'
                self.problems.append(problem(self._model.at(*trail), said))

    def refuse_unused(self) -> None:
        """Complain about arguments that change nothing: two equal models under two names."""
        for name in self._arguments:
            if name not in self._used:
                place = self._binding.at_key("spec", "model", "with", name)
                model = self._binding.data["spec"]["model"]["name"]
                message = f'spec.model.with: the model "{model}" does not use ${{{name}}}'
                self.problems.append(problem(place, message))

    def _who(self) -> str:
        name = self._binding.data["metadata"]["name"]
        return f'the binding "{name}" ({self._binding.at("metadata", "name")})'


def _workspace(document: Document) -> Workspace:
    said = document.data["spec"]["workspace"]
    token = secret_name(document, "spec", "workspace", "token")
    return Workspace(said["id"], said["region"], token)


def _store(document: Document) -> Store:
    said = document.data["spec"]["store"]
    return Store(said["account"], said["container"], secret_name(document, "spec", "store", "key"))


def _training_services(document: Document) -> dict[str, TrainingService]:
    found = {}
    for name, said in document.data["spec"].get("trainingServices", {}).items():
        trail = ("spec", "trainingServices", name)
        key = secret_name(document, *trail, "key")
        found[name] = TrainingService(name, said["url"], key, document.at_key(*trail))
    return found


def secret_name(document: Document, *trail: str) -> SecretName:
    """The secret that is named at a place of the document."""
    said = document.text(*trail) or ""
    return SecretName(said.removeprefix("env:"), document.at(*trail))
