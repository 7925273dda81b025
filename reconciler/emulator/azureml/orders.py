"""The order of a command job: its files, its folders, and its command with every place in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.emulator.azureml.assets import referred
from reconciler.emulator.azureml.calls import bad
from reconciler.emulator.azureml.storage import DEFAULT, long_form, place_of
from reconciler.emulator.messages import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.emulator.azureml.calls import Call
    from reconciler.emulator.azureml.records import Json

INPUTS = ("literal", "uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model")
OUTPUTS = INPUTS[1:]
WORD = re.compile(r"\$\{\{\s*(?P<name>[A-Za-z0-9_.]+)\s*\}\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSET = re.compile(r"azureml:[^/:]+:[^/:]+|(?:azureml:)?/subscriptions/.+/(?:data|models)/.+")


@dataclass
class Order:
    """A job as it can be run; paths are below its root, `{root}` in the command stands for it."""

    command: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)  # of each output, below the root
    uris: dict[str, str] = field(default_factory=dict)  # where each output is to go
    variables: dict[str, str] = field(default_factory=dict)


def order(call: Call, properties: Json) -> Order:
    """The order of a command job; Refused with 400 for one that cannot be run."""
    made = Order()
    command = properties.get("command")
    if not isinstance(command, str) or not command:
        raise bad("properties.command is missing.")
    take_code(call, made, properties.get("codeId"), "code")
    words = places(call, made, properties)
    for place, word in words.items():
        kind, _, name = place.partition("s.")
        made.variables[f"AZURE_ML_{kind.upper()}_{name}"] = word
    made.command = filled(command, words)
    return made


def take_code(call: Call, made: Order, code: Any, folder: str) -> None:
    """Put the files of a code into a folder of the order, if there is one."""
    if code:
        ident = referred(call, code, "codes")
        uri = call.core.world.resources[ident].properties["codeUri"]
        files = place_of(call.core, call.scope, uri).files(call.core)
        made.files.update({f"{folder}/{path}": content for path, content in files.items()})


def places(call: Call, made: Order, properties: Json) -> dict[str, str]:
    """The texts for inputs and outputs in a command, by `inputs.NAME` and `outputs.NAME`."""
    words = {
        f"inputs.{name}": _input(call, made, name, value)
        for name, value in named(properties, "inputs").items()
    }
    for name, value in named(properties, "outputs").items():
        words[f"outputs.{name}"] = _output(call, made, name, value)
    return words


def filled(text: str, words: Mapping[str, str]) -> str:
    """The text with every place in it; Refused with 400 for one that is not declared."""
    for match in WORD.finditer(text):
        if match["name"] not in words:
            raise bad(f"The command names {match[0]}, which the job does not declare.")
    return WORD.sub(lambda match: words[match["name"]], text)


def named(properties: Json, what: str) -> Json:
    found = properties.get(what) or {}
    if not is_object(found) or not all(_NAME.fullmatch(name) for name in found):
        raise bad(f"properties.{what} must be an object whose names are words.")
    return dict(found)


def _input(call: Call, made: Order, name: str, value: Any) -> str:
    """The text for an input in the command: its value, or where its files are."""
    kind = str(value.get("jobInputType", "")).casefold() if is_object(value) else ""
    if kind not in INPUTS:
        raise bad(f"inputs.{name}.jobInputType must be one of {', '.join(INPUTS)}.")
    if kind == "literal":
        return str(value.get("value", ""))
    uri = str(value.get("uri") or "")
    if _ASSET.fullmatch(uri):
        wanted = "models" if kind.endswith("model") or "/models/" in uri else "data"
        asset = call.core.world.resources[referred(call, uri, wanted)]
        uri = asset.properties["modelUri" if wanted == "models" else "dataUri"]
    files = place_of(call.core, call.scope, uri).files(call.core)
    if not files:
        raise bad(f"inputs.{name}: there are no files at {uri.partition('?')[0]}.", "InputMissing")
    base = f"inputs/{name}"
    made.files.update({f"{base}/{path}": content for path, content in files.items()})
    single = uri.partition("?")[0].rpartition("/")[2]
    return "{root}/" + (f"{base}/{single}" if set(files) == {single} else base)


def _output(call: Call, made: Order, name: str, value: Any) -> str:
    """Where the command is to write an output; a folder but for a `uri_file`."""
    kind = str(value.get("jobOutputType", "")).casefold() if is_object(value) else ""
    if kind not in OUTPUTS:
        raise bad(f"outputs.{name}.jobOutputType must be one of {', '.join(OUTPUTS)}.")
    given = value.get("uri")
    uri = (
        str(given)
        if given
        else f"azureml://datastores/{DEFAULT}/paths/azureml/{call.names[0]}/{name}"
    )
    place_of(call.core, call.scope, uri)
    uri, single = long_form(call.core, call.scope, uri).rstrip("/"), kind == "uri_file"
    made.uris[name] = uri if single else f"{uri}/"
    made.places[name] = f"outputs/{name}/{uri.rpartition('/')[2]}" if single else f"outputs/{name}"
    made.folders.append(f"outputs/{name}")
    return "{root}/" + made.places[name]
