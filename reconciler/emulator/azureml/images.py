"""Images of containers: the files of model and code, and what runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from reconciler.emulator.azureml.containers import Image
from reconciler.emulator.azureml.failures import Failure
from reconciler.emulator.azureml.storage import place_of
from reconciler.emulator.messages import Refused

if TYPE_CHECKING:
    from reconciler.emulator.azureml.records import Json, Resource
    from reconciler.emulator.core import Core


def image(core: Core, scope: Resource, serving: Json) -> Image:
    """The image of what a deployment serves; one with a failure where something is missing."""
    downloads: list[str] = []
    *_, name, _, version = serving["model"].split("/")
    folder, files = f"azureml-models/{name}/{version}", {}
    arguments, failure = ("", ""), None
    try:
        _check_environment(core, serving["environmentId"])
        last, model = _model(core, scope, serving["model"], downloads)
        files = {f"{folder}/{path}": content for path, content in model.items()}
        arguments = ("mlflow", f"{folder}/{last}")
        if (code := serving["codeConfiguration"]) is not None:
            uri = core.world.resources[code["codeId"]].properties["codeUri"]
            arguments = ("script", f"code/{code['scoringScript']}")
            found = _files(core, scope, uri, downloads)
            files.update({f"code/{path}": content for path, content in found.items()})
            if arguments[1] not in files:
                script = code["scoringScript"]
                raise Failure("ResourceNotReady", f"The code has no scoring script {script}.")
    except Failure as exc:
        failure = exc
    variables = serving["environmentVariables"]
    return Image(files, folder, arguments, variables, tuple(downloads), failure)


def _model(
    core: Core, scope: Resource, ident: str, downloads: list[str]
) -> tuple[str, dict[str, bytes]]:
    """The name of the model's file or folder, and its files below that name."""
    uri = str(core.world.resources[ident].properties["modelUri"]).rstrip("/")
    last = uri.rpartition("/")[2]
    files = _files(core, scope, uri, downloads)
    single = set(files) == {last}
    return last, files if single else {f"{last}/{path}": c for path, c in files.items()}


def _files(core: Core, scope: Resource, uri: str, downloads: list[str]) -> dict[str, bytes]:
    place = uri.partition("?")[0]
    downloads.append(f"Downloading {place}")
    try:
        files = place_of(core, scope, uri).files(core)
    except Refused as exc:
        raise Failure("ResourceNotFound", exc.message) from exc
    downloads.append(f"Downloaded {len(files)} files.")
    if not files:
        raise Failure("ResourceNotFound", f"There are no files at {place}.")
    return files


def _check_environment(core: Core, ident: str | None) -> None:
    """Failure for an environment of which no image can be built: its conda file is no YAML."""
    if ident is None:
        return
    conda = core.world.resources[ident].properties.get("condaFile")
    try:
        document = yaml.safe_load(conda) if conda else {}
    except yaml.YAMLError as exc:
        raise Failure("ImageBuildFailure", f"The conda file cannot be read: {exc}") from exc
    if not isinstance(document, dict):
        raise Failure("ImageBuildFailure", "The conda file is no YAML object.")
