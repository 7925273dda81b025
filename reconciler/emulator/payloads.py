"""Definitions too large for a body: their parts lie in a blob (§3.10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.emulator.definitions import PARTS
from reconciler.emulator.messages import is_object, member, parsed
from reconciler.emulator.shapes import check_properties, refused
from reconciler.emulator.world import canonical, localised

if TYPE_CHECKING:
    from reconciler.emulator.core import Core
    from reconciler.emulator.messages import Request
    from reconciler.emulator.world import Json, WebService

CONTAINER = "azuremlassetscontainer"


def taken_in(core: Core, properties: Json) -> Json:
    """The properties of a write with the parts of its blob inline; Refused when it is unreadable.

    What was recorded after such a write was an inline definition, so the blob is not remembered.
    """
    kept = {name: v for name, v in properties.items() if not name.startswith("payloads")}
    if str(properties.get("payloadsInBlobStorage", "")).casefold() != "true":
        return kept
    uri = str(member(properties.get("payloadsLocation") or {}, "uri", ""))
    place, _, sas = canonical(uri, core.blobs.accounts).partition("?")
    base, _, relative = place.removeprefix("blob://").partition("/")
    content = core.read_location(f"blob://{base}/", unquote(relative), sas)
    try:
        document = parsed(content)
    except ValueError as exc:
        raise refused("RequestBodyInvalid", "The payload is not JSON.") from exc
    if not is_object(document):
        raise refused("RequestBodyInvalid", "The payload is not a JSON object.")
    parts = {name: member(document, name) for name in PARTS if member(document, name) is not None}
    check_properties(parts, core.now())
    return {**kept, **parts}


def shown(core: Core, request: Request, service: WebService, document: Json) -> Json:
    """A GET's document, its parts in a blob when they are large and the switch says so [U]."""
    properties = document["properties"]
    parts = {name: properties[name] for name in PARTS if name in properties}
    account = member(properties.get("storageAccount") or {}, "name", "")
    content = json.dumps(localised(parts, request)).encode()
    if core.options.payloads != "blob" or not account or len(content) <= core.options.payload_limit:
        return document
    name = f"{service.id}.payload.json"
    core.write_blob(f"{account}/{CONTAINER}/{name}", content)
    sas = core.fresh_sas(account, CONTAINER, name)
    rest = {key: value for key, value in properties.items() if key not in PARTS}
    rest["payloadsInBlobStorage"] = True
    rest["payloadsLocation"] = {"uri": f"blob://{account}/{CONTAINER}/{name}{sas}"}
    return {**document, "properties": rest}
