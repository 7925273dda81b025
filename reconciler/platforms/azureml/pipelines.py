"""A pipeline by reference: a version of a pipeline component of the workspace, run as one job.

A version of a component never changes, so its name and number are all that a recipe needs to say.
A job could also be named as the source of another one (`sourceJobId`). That is not done: what a
copy takes over of the inputs and outputs of its source is documented nowhere, and a job can be
deleted.

Step outputs are never reused (`force_rerun`): a step that is not run writes nothing to where this
job's outputs go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import RefusedError
from reconciler.model import Recipe
from reconciler.near import near
from reconciler.platforms.azureml.ids import whole_id
from reconciler.platforms.azureml.workspace import Workspace, part
from reconciler.platforms.members import flag, member, objects, text

_TEXTS = ("string", "number", "integer", "boolean")
_FILES = ("uri_file", "custom_model")


def component_of(workspace: Workspace, recipe: Recipe) -> dict[str, Any]:
    """The specification of the component that a recipe names; RefusedError where there is none, or
    it does not have what the recipe gives and takes."""
    written = dict(recipe.how)["pipeline"]
    name, _, version = written.partition(":")
    path, what = f"/components/{part(name)}/versions", f"reading the component {written}"
    component = workspace.find(f"{path}/{part(version)}", what)
    if component is None:
        listed = [text(item, "name") for item in workspace.list(path, f"{what}: its versions")]
        there = near(version, listed) or "; the workspace has no component of this name"
        raise RefusedError(f"there is no component {written}{there}; correct training.pipeline")
    spec = objects(objects(component, "properties"), "componentSpec")
    if why := "; ".join(_problems(spec, recipe)):
        raise RefusedError(f"the component {written}: {why}")
    return spec


def _problems(spec: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Problems that keep a recipe from running a component."""
    if (kind := text(spec, "type")) != "pipeline":
        return [f'it is of the type "{kind}"; only a pipeline can be run by itself']
    inputs, outputs = objects(spec, "inputs"), objects(spec, "outputs")
    problems = []
    for given, wanted in ((recipe.inputs, _FILES), (recipe.parameters, _TEXTS)):
        for name, _ in given:
            if name not in inputs:
                problems.append(f'it has no input "{name}"{near(name, inputs)}')
            elif (kind := text(objects(inputs, name), "type")) not in wanted:
                problems.append(f'its input "{name}" is a {kind}, not one of {", ".join(wanted)}')
    named = {name for name, _ in (*recipe.inputs, *recipe.parameters)}
    for name in sorted(inputs.keys() - named):
        declared = objects(inputs, name)
        if not flag(declared, "optional") and member(declared, "default") is None:
            problems.append(f'its input "{name}" has no default; give it')
    unknown = [port for _, port in recipe.outputs if port not in outputs]
    return [*problems, *(f'it has no output "{port}"{near(port, outputs)}' for port in unknown)]


def pipeline_body(
    workspace: Workspace, recipe: Recipe, inputs: Mapping[str, str], left: Mapping[str, str]
) -> dict[str, Any]:
    """The part of a body that only the job of a pipeline has: `inputs` are addresses by name, and
    `left` is where its outputs go, by role."""
    how, spec = dict(recipe.how), component_of(workspace, recipe)

    def type_of(kind: str, name: str) -> str:
        return text(objects(objects(spec, kind), name), "type")

    settings: dict[str, Any] = {"continue_on_step_failure": False, "force_rerun": True}
    if "compute" in how:
        settings["default_compute"] = f"{workspace.at.path}/computes/{part(how['compute'])}"
    files = {n: {"jobInputType": type_of("inputs", n), "uri": uri} for n, uri in inputs.items()}
    texts = {n: {"jobInputType": "literal", "value": value} for n, value in recipe.parameters}
    return {
        "jobType": "Pipeline",
        "componentId": whole_id(workspace.at, "components", how["pipeline"]),
        "inputs": files | texts,
        "outputs": {
            port: {"jobOutputType": type_of("outputs", port), "uri": left[role]}
            for role, port in recipe.outputs
        },
        "settings": settings,
    }
