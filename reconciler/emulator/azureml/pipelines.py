"""Pipeline jobs: command steps that hand files to each other, inline or by a component.

A component is named by `componentId` of the job, for all of it, or of a step. Its specification is
the YAML that it was made of. The steps run one after the other in one process, each in a folder of
its own, in an order in which each finds what it reads.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from reconciler.emulator.azureml.assets import referred
from reconciler.emulator.azureml.calls import bad, part
from reconciler.emulator.azureml.orders import WORD, Order, filled, named, places, take_code
from reconciler.emulator.messages import is_object

if TYPE_CHECKING:
    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json


def order(call: Call, properties: Json) -> Order:
    """The order of a pipeline job; Refused with 400 for one that cannot be run."""
    made = Order()
    whole, steps = _steps(call, properties)
    words = {f"parent.{name}": word for name, word in places(call, made, whole).items()}
    commands = []
    while steps:
        ready = [name for name, step in steps.items() if not _missing(step, words, set(steps))]
        if not ready:
            raise bad(f"The steps {', '.join(steps)} wait for each other.")
        commands.append(_step(call, made, ready[0], steps.pop(ready[0]), words))
    made.command = " && ".join(commands)
    return made


def _steps(call: Call, properties: Json) -> tuple[Json, dict[str, Json]]:
    """The inputs and outputs of the whole, with what its component declares, and its steps."""
    component = _component(call, properties.get("componentId"))
    inputs = {
        name: {"jobInputType": "literal", "value": declared["default"]}
        for name, declared in part(component, "inputs").items()
        if is_object(declared) and "default" in declared
    }
    outputs = {
        name: {"jobOutputType": declared.get("type")}
        for name, declared in part(component, "outputs").items()
        if is_object(declared)
    }
    whole = {
        "inputs": {**inputs, **named(properties, "inputs")},
        "outputs": {**outputs, **named(properties, "outputs")},
    }
    if component.get("type") == "command":
        bound = {
            kind: {name: f"${{{{parent.{kind}.{name}}}}}" for name in whole[kind]}
            for kind in ("inputs", "outputs")
        }
        return whole, {"main": {**component, **bound}}
    steps = named(properties, "jobs") or named(component, "jobs")
    if not steps or not all(is_object(step) for step in steps.values()):
        raise bad("properties.jobs must be an object of steps, or componentId name a component.")
    return whole, {name: _whole_step(call, step) for name, step in steps.items()}


def _component(call: Call, ident: Any) -> Json:
    if not ident:
        return {}
    version = call.core.world.resources[referred(call, ident, "components")]
    return part(version.properties, "componentSpec")


def _whole_step(call: Call, step: Json) -> Json:
    """A step with what its component says beside its own words."""
    component = _component(call, step.get("componentId") or step.get("component"))
    own = {name: value for name, value in step.items() if value is not None and name != "type"}
    outputs = {**part(component, "outputs"), **part(step, "outputs")}
    return {**component, **own, "outputs": outputs}


def _binding(value: Any) -> str:
    """The name that an input or an output of a step is bound to, "" for nothing."""
    if is_object(value):
        value = value.get("value") or value.get("path") or value.get("uri")
    return str(value) if value is not None else ""


def _missing(step: Json, words: dict[str, str], waiting: set[str]) -> bool:
    """Whether a step reads what a step that has not been placed yet is to write."""
    texts = [_binding(value) for value in named(step, "inputs").values()]
    names = [match["name"] for text in texts for match in WORD.finditer(text)]
    return any(
        name not in words and name.split(".")[2:3] and name.split(".")[2] in waiting
        for name in names
    )


def _step(call: Call, made: Order, name: str, step: Json, words: dict[str, str]) -> str:
    """The command of a step in its folder; what it writes is known to later ones."""
    folder = f"code/{name}"
    made.folders.append(folder)
    take_code(call, made, step.get("codeId") or step.get("code"), folder)
    referred(call, step.get("environmentId") or step.get("environment"), "environments")
    own = {
        f"inputs.{key}": filled(_binding(value), words)
        for key, value in named(step, "inputs").items()
    }
    for key, value in named(step, "outputs").items():
        bound = _binding(value)
        if not WORD.fullmatch(bound):
            place = f"between/{name}/{key}"
            made.folders.append(place)
            bound, words[f"parent.jobs.{name}.outputs.{key}"] = "", "{root}/" + place
        word = filled(bound, words) if bound else words[f"parent.jobs.{name}.outputs.{key}"]
        own[f"outputs.{key}"] = words[f"parent.jobs.{name}.outputs.{key}"] = word
    command = step.get("command")
    if not isinstance(command, str) or not command:
        raise bad(f"jobs.{name}.command is missing.")
    return f"(cd {{root}}/{shlex.quote(folder)} && {filled(command, own)})"
