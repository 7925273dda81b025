"""The request of a batch job: argument errors come at submit, execution errors later (§4.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.emulator.messages import bad_argument, is_object, member

if TYPE_CHECKING:
    from reconciler.emulator.world import Experiment, Json

DATASETS = (".csv", ".tsv", ".arff")
MODELS = (".ilearner",)
_REFERENCE = ("ConnectionString", "RelativeLocation", "BaseLocation", "SasBlobToken")
_CONTAINER = re.compile(r"[a-z0-9$-]+")


def checked(body: Json, experiment: Experiment) -> Json:
    """The job's inputs, outputs and parameters under their documented names.

    Refused with 400 for what the service would refuse at once. Member names count in any case;
    the names of ports and of global parameters are case-sensitive.
    """
    return {
        "Inputs": _inputs(body, experiment),
        "Outputs": _outputs(body, experiment),
        "GlobalParameters": _parameters(body, experiment),
    }


def _inputs(body: Json, experiment: Experiment) -> Json:
    inputs, single = _object(body, "Inputs"), member(body, "Input")
    if inputs and single:
        raise bad_argument("DuplicateInputInBatchCall", "Both Input and Inputs are given.")
    given = {experiment.input: single} if single else inputs
    if not given:
        raise bad_argument("BatchJobInputsNotSpecified", f"Input {experiment.input} is missing.")
    if len(given) > 1:
        raise bad_argument("BatchJobInputsTooManySpecified", "The service has one input.")
    if experiment.input not in given:
        names = ", ".join(sorted(given))
        raise bad_argument("InvalidInputNames", f"Inputs {names} are not known.")
    return {port: _reference(port, value, DATASETS) for port, value in given.items()}


def _outputs(body: Json, experiment: Experiment) -> Json:
    """The overrides; an output without one goes to the workspace's own storage."""
    endings = {experiment.model_output: MODELS, experiment.evaluation_output: DATASETS}
    given = _object(body, "Outputs")
    for port, value in given.items():
        if port not in endings:
            raise bad_argument("InvalidOutputOverrideName", f"There is no output {port}.")
        if value is None:
            raise bad_argument("MissingOutputOverrideSpecification", f"Output {port} is null.")
    return {port: _reference(port, value, endings[port]) for port, value in given.items()}


def _parameters(body: Json, experiment: Experiment) -> dict[str, str]:
    """The given values over the defaults; a parameter without a default is required (§1)."""
    given = {name: _cell(value) for name, value in _object(body, "GlobalParameters").items()}
    known = {*experiment.parameters, *experiment.required}
    if unknown := sorted(set(given) - known):
        raise bad_argument("UnexpectedParameter", f"Parameters {', '.join(unknown)} are not known.")
    parameters = {**experiment.parameters, **given}
    if missing := sorted(known - set(parameters)):
        raise bad_argument(
            "MissingRequiredGlobalParameters",
            f"Parameters {', '.join(missing)} have no default and no value.",
        )
    return parameters


def _cell(value: Any) -> str:
    if isinstance(value, dict | list):
        raise bad_argument("BadParameterValue", "The value of a global parameter must be text.")
    return str(value)


def _object(body: Json, name: str) -> Json:
    """The object called `name`; null and absent are alike, since C# samples send nulls."""
    value = member(body, name)
    if value is not None and not is_object(value):
        raise bad_argument("RequestBodyInvalid", f"{name} must be an object.")
    return dict(value or {})


def _reference(port: str, value: Any, endings: tuple[str, ...]) -> dict[str, str]:
    """Either an account key with a path, or base, path and SAS; "" for what is not given."""
    if not is_object(value):
        raise bad_argument("MissingInputBlobInformation", f"{port} must be a blob reference.")
    reference = {name: member(value, name) or "" for name in _REFERENCE}
    if not all(isinstance(part, str) for part in reference.values()):
        raise bad_argument("MissingInputBlobInformation", f"The parts of {port} must be text.")
    container, _, blob = reference["RelativeLocation"].lstrip("/").partition("/")
    if not container or not blob:
        raise bad_argument(
            "InputBlobRelativeLocationInvalid", f"RelativeLocation of {port} is not container/blob."
        )
    if not _CONTAINER.fullmatch(container):
        raise bad_argument("ContainerSegmentInvalid", f"{container} is no name of a container.")
    if not reference["ConnectionString"] and not reference["BaseLocation"]:
        raise bad_argument(
            "MissingInputBlobInformation",
            f"{port} needs a ConnectionString, or a BaseLocation with a SAS.",
        )
    if not blob.casefold().endswith(endings):
        raise bad_argument(
            "InvalidBlobExtension",
            f"The blob reference {port} has an invalid or missing file extension. "
            f"Supported file extensions for this port: {', '.join(endings)}",
        )
    return reference
