"""Documents that the schema accepts, as the values of the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler.desired.columns import column_problems, columns_of
from reconciler.desired.nodes import Document, problem
from reconciler.desired.part import Part, secret_name
from reconciler.desired.rollout import rollout
from reconciler.desired.schema import hint_of, is_a
from reconciler.desired.tree import Budget
from reconciler.errors import ConfigurationError, Problem
from reconciler.model import (
    MANIFEST_FILE,
    METRICS,
    MODEL,
    MOST_BINDINGS,
    Address,
    Auth,
    Binding,
    Environment,
    Recipe,
    Rule,
    RuleKind,
    StoreUrl,
    Version,
    seconds,
)
from reconciler.near import near
from reconciler.platforms.platform import Engine, How, Kind, Platform
from reconciler.stores.kinds import has_containers, needless

FILE = "file"
REGISTRY, PUBLISH = "registry", "publish"
PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}|\$\{")


def environment(
    document: Document, platforms: Mapping[str, Platform], root: Path, below: PurePosixPath
) -> tuple[Environment | None, list[Problem]]:
    """The environment that a document declares; None, and why, where a part of it cannot be."""
    spec = document.data["spec"]
    limits = spec.get("limits", {})
    connections: dict[str, object] = {}
    problems: list[Problem] = []
    for name, platform in platforms.items():
        if name in spec:
            try:
                connections[name] = platform.connection(Part(document, ("spec", name), root, below))
            except ConfigurationError as exc:
                problems += exc.problems
    store, data = _store(document, "store"), _store(document, "data")
    for trail, declared in (("store", store), ("data", data)):
        for part, why in needless(declared).items() if declared is not None else ():
            written = document.data["spec"][trail]
            if isinstance(written, dict) and part in written:
                place = document.at_key("spec", trail, part)
                problems.append(problem(place, f"spec.{trail}.{part}: {why}; take it out"))
    if problems or store is None:
        return None, problems
    where = [platforms[name].where(each) or name for name, each in connections.items()]
    if where and store.parts[0] and all(platforms[name].here for name in connections):
        where.append(f"store {store.url}")
    places = [f"{name} {platforms[name].place(each)}" for name, each in connections.items()]
    made = Environment(
        name=document.data["metadata"]["name"],
        store=store,
        data=data or store,
        connections=connections,
        where=", ".join(dict.fromkeys(where)),
        places="; ".join(places),
        parallel=limits.get("parallel", 8),
        most_changes_percent=int(limits.get("changes", "30%").removesuffix("%")),
        most_deletes_percent=int(limits.get("deletes", "10%").removesuffix("%")),
        most_bindings=limits.get("bindings", MOST_BINDINGS),
        most_retrains=limits.get("retrains", 40),
        rollout=rollout(document),
        root=root.as_posix(),
        source=document.at("metadata", "name"),
    )
    return made, []


def _store(document: Document, name: str) -> StoreUrl | None:
    """The store of that name; what is in the account or bucket of `store` is opened as it is."""
    store = document.data["spec"].get(name)
    if store is None:
        return None
    if isinstance(store, dict):
        key = secret_name(document, "spec", name, "key") if "key" in store else None
        auth = Auth(store.get("auth", Auth.DEFAULT))
        return StoreUrl(store["url"], key, store.get("endpoint", ""), store.get("region", ""), auth)
    home = _store(document, "store") if name != "store" else None
    made = StoreUrl(store)
    alike = home is not None and home.parts[:2] == made.parts[:2]
    return replace(home, url=store) if home is not None and alike else made


def _flat(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)


def training(model: Document) -> Mapping[str, Any]:
    """How versions are made. Of a model that somebody else makes: how its versions are taken in."""
    spec = model.data["spec"]
    if REGISTRY in spec:
        outputs = {MODEL: MODEL, METRICS: f"{METRICS}.json"}
        return {"engine": REGISTRY, "parameters": {"version": "${version}"}, "outputs": outputs}
    if FILE not in spec:
        block: Mapping[str, Any] = spec["training"]
        return block
    inputs = {MODEL: spec[FILE], **({METRICS: spec[METRICS]} if METRICS in spec else {})}
    return {"engine": FILE, "inputs": inputs, "outputs": {name: name for name in inputs}}


def _trail(model: Document, group: str, name: str) -> tuple[str, ...]:
    """Where an input or parameter is written."""
    if FILE not in model.data["spec"]:
        return "spec", "training", group, name
    return "spec", FILE if name == MODEL else name


def registry_of(model: Document, known: Iterable[str]) -> str:
    """The registry that a model's versions come from; "" where it names none, or several."""
    named = [name for name in known if name in model.data["spec"].get(REGISTRY, ())]
    return named[0] if len(named) == 1 else ""


def source_problems(model: Document, registries: Collection[str]) -> list[Problem]:
    """The problems of a model that names several sources of its versions, or none."""
    spec = model.data["spec"]
    sources = [name for name in ("training", FILE, REGISTRY) if name in spec]
    if len(sources) != 1:
        several = f"{' and '.join(sources)} are both here; take one out"
        known = ('"training"', f'"{FILE}"', *([f'"{REGISTRY}"'] if registries else []))
        why = several if sources else f"{known[0]} is missing, or {' or '.join(known[1:])}"
        return [problem(model.at_key("spec"), f"spec: {why}")]
    if sources == [REGISTRY] and not registry_of(model, registries):
        why = f"name one registry and the model there: {{{' or '.join(registries)}: NAME}}"
        return [problem(model.at_key("spec", REGISTRY), f"spec.{REGISTRY}: {why}")]
    if sources == [REGISTRY] and PUBLISH in spec:
        why = "its versions are registered already; take it out"
        return [problem(model.at_key("spec", PUBLISH), f"spec.{PUBLISH}: {why}")]
    if METRICS in spec and FILE not in spec:
        why = "metrics are of a file; a training has them among its outputs"
        return [problem(model.at_key("spec", METRICS), f"spec.{METRICS}: {why}")]
    if FILE in spec and spec.get("accept") and METRICS not in spec:
        why = "gates are judged by the metrics; name their file in spec.metrics"
        return [problem(model.at_key("spec", "accept"), f"spec.accept: {why}")]
    return [
        problem(
            model.at("spec", name),
            f'spec.{name}: "{spec[name]}" is the same file for every version; write ${{version}} '
            "where the version stands in its path",
        )
        for name in (FILE, METRICS)
        if "${version}" not in spec.get(name, "${version}")
    ]


def training_problems(block: Part, engine: Engine) -> list[Problem]:
    """The problems of a model's inputs and outputs that the schema cannot see."""
    model = block.document
    problems = [
        block.problem(why, "inputs", name)
        for name, template in block.data.get("inputs", {}).items()
        if not template.endswith("}") and (why := engine.bad_input(template))
    ]
    if model.data["spec"].get("accept") and "metrics" not in block.data["outputs"]:
        # Without it every gate stays inconclusive: hours of training that can never be bound.
        message = "spec.accept: gates are judged by the metrics; name them in spec.training.outputs"
        problems.append(problem(model.at_key("spec", "accept"), message))
    return [*problems, *column_problems(block), *engine.problems(block)]


@dataclass(frozen=True)
class Made:
    """How a binding's version is made, and what people approve of where that happens. `follow` is
    what `retrain` follows."""

    recipe: Recipe
    terms: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    follow: str = ""


def recipe(
    block: Part,
    binding: Document,
    budget: Budget,
    engine: Engine,
    environment: Environment,
    asked: Callable[[], How],
) -> tuple[Made | None, list[Problem]]:
    """How the binding's version is made; None, and why, if the two do not fit together. `asked` is
    what the engine says of the model."""
    model, spec = block.document, training(block.document)
    making = _Making(model, binding)
    gates = len(model.data["spec"].get("accept", ()))
    budget.take(binding.at("spec", "model"), gates + making.values, making.characters)
    inputs = tuple(making.filled("inputs"))
    parameters = tuple(making.filled("parameters"))
    try:
        how = asked()
    except ConfigurationError as exc:
        return None, [*exc.problems, *making.problems]
    if not making.problems:
        making.refuse_bad_paths(inputs, engine, environment.data)
        making.refuse_unused()
        making.refuse_bad_version(engine)
    if making.problems:
        return None, making.problems
    recipe = Recipe(
        engine=spec["engine"],
        place=how.place,
        inputs=inputs,
        parameters=parameters,
        outputs=tuple(spec["outputs"].items()),
        how=tuple(how.settings.items()),
        code=how.code,
        folder=how.folder,
    )
    files = how.files or {r: name for r, name in spec["outputs"].items() if "/" not in name}
    if problems := _file_problems(block, files):
        return None, problems
    return Made(recipe, tuple(how.terms.items()), tuple(files.items()), how.follow), []


def _file_problems(block: Part, files: Mapping[str, str]) -> list[Problem]:
    """Outputs lie in the folder of their version, beside its manifest: no two share a file."""
    taken, problems = {MANIFEST_FILE: "the manifest"}, []
    for role, name in files.items():
        if other := taken.get(name.casefold()):
            why = f'"{name}" is {other} already; give the {role} a file of its own'
            problems.append(block.problem(why, "outputs", role))
        taken[name.casefold()] = f"the {role}"
    return problems


def binding(kind: Kind, block: Part, model: Document, made: Made, address: Address) -> Binding:
    """The binding that a document declares; its rules stand in the order they were written in."""
    document, spec, making = block.document, block.data, training(model)
    metadata, wanted = document.data["metadata"], spec["model"]
    arguments, age = tuple(wanted.get("with", {}).items()), making.get("maxAge")
    owned = dict(_flat(spec.get("settings", {}), ""))
    return Binding(
        name=metadata["name"],
        kind=document.data["kind"],
        address=address,
        version=Version(wanted["name"], wanted["version"], arguments, made.files),
        recipe=made.recipe,
        part=kind.part(block),
        accept=tuple(
            Rule(rule["metric"], bound, Decimal(rule[bound]))
            for rule in model.data["spec"].get("accept", ())
            for bound in RuleKind
            if bound in rule
        ),
        timeout_s=seconds(making.get("timeout", "2h")),
        attempts=int(making.get("retry", {}).get("attempts", 2)),
        columns=columns_of(making),
        follow=made.follow,
        publish=tuple(sorted(model.data["spec"].get(PUBLISH, {}).items())),
        max_age_s=None if age is None else seconds(age),
        rollout=rollout(model),
        absent=spec.get("state") == "absent",
        breaking=spec.get("breaking") == "allow",
        adopt=spec.get("adopt", False),
        protect=spec.get("protect", False),
        paused=spec.get("paused", False),
        settings=tuple(sorted(kind.settings(block, owned).items())),
        labels=tuple(sorted(metadata.get("labels", {}).items())),
        terms=made.terms,
        element=document.element,
        source=document.at("metadata", "name"),
    )


class _Making:
    """One model's templates, filled with what one binding says."""

    def __init__(self, model: Document, binding: Document) -> None:
        choice = binding.data["spec"]["model"]
        self._model = model
        self._binding = binding
        self._arguments: dict[str, str] = choice.get("with", {})
        self._known: dict[str, str] = {**self._arguments, "version": choice["version"]}
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
        for group in ("inputs", "parameters"):
            yield from training(self._model).get(group, {}).values()

    def filled(self, group: str) -> Iterator[tuple[str, str]]:
        """The pairs of `inputs` or `parameters` without placeholders."""
        for name, template in training(self._model).get(group, {}).items():

            def fill(match: re.Match[str], name: str = name) -> str:
                return self._value(match, (group, name))

            yield name, PLACEHOLDER.sub(fill, template)

    def _value(self, match: re.Match[str], where: tuple[str, str]) -> str:
        name = match[1]
        if name in self._known:
            self._used.add(name)
            return self._known[name]
        if (*where, match[0]) not in self._refused:  # a template may repeat one very often
            self._refused.add((*where, match[0]))
            self._refuse(match, where)
        return ""

    def _refuse(self, match: re.Match[str], where: tuple[str, str]) -> None:
        name, trail = match[1], _trail(self._model, *where)
        if name is None:
            message = "${ has no } behind it; write ${version} or ${argument}"
        else:
            hint = near(name, self._known)
            message = f"unknown placeholder {match[0]} for {self._who()}{hint}"
        text = f"{'.'.join(trail)}: {message}"
        self.problems.append(problem(self._model.at(*trail), text))

    def refuse_bad_paths(
        self, inputs: tuple[tuple[str, str], ...], engine: Engine, data: StoreUrl
    ) -> None:
        """Complain where the binding's values turn an input into something else than a path."""
        for port, path in inputs:
            trail = _trail(self._model, "inputs", port)
            first, _, rest = path.partition("/")
            if not is_a("dataPath", path):
                message = f'spec.model: the input "{port}" becomes "{path}", which '
                place = self._binding.at("spec", "model")
                self.problems.append(problem(place, message + hint_of("dataPath")))
            elif has_containers(data) and not (rest and is_a("container", first)):
                why = hint_of("container") if rest else "names no file in a container"
                text = f'{".".join(trail)}: "{first}" {why}'
                self.problems.append(problem(self._model.at(*trail), text))
            elif why := engine.bad_input(path):
                text = f'{".".join(trail)}: for {self._who()} it becomes "{path}"; {why}'
                self.problems.append(problem(self._model.at(*trail), text))

    def refuse_bad_version(self, engine: Engine) -> None:
        """Complain about a version that there cannot be."""
        if why := engine.bad_version(version := self._known["version"]):
            place = self._binding.at("spec", "model", "version")
            self.problems.append(problem(place, f'spec.model.version: "{version}" {why}'))

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
