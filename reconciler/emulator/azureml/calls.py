"""One request about one resource: where it is, what is asked of it, and how answers look."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from reconciler.emulator.azureml.records import Resource
from reconciler.emulator.messages import (
    Refused,
    Request,
    Response,
    answer,
    is_object,
    json_object,
    member,
)
from reconciler.emulator.world import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.azureml.records import Json
    from reconciler.emulator.core import Core

PROVIDER = "Microsoft.MachineLearningServices"
_DURATION = re.compile(r"PT(?:(?P<m>[0-9]+)M)?(?:(?P<s>[0-9.]+)S)?")


@dataclass(frozen=True)
class Call:
    """A request below a workspace or a registry; `kinds` and `names` alternate in the path.

    A collection has one kind more than names. `action` is what is posted, in lower case.
    """

    core: Core
    request: Request
    scope: Resource
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    action: str = ""

    @property
    def id(self) -> str:
        """The id of the resource, or of the collection, as it was asked for."""
        pairs = [part for pair in zip(self.kinds, self.names, strict=False) for part in pair]
        return "/".join((self.scope.id, *pairs, *self.kinds[len(self.names) :]))

    @property
    def found(self) -> Resource | None:
        """The resource, None when it is not there."""
        return self.core.world.resources.get(self.id)

    @property
    def there(self) -> Resource:
        """The resource; Refused with 404."""
        return found_at(self.core, self.id)

    @property
    def parent(self) -> Resource:
        """The resource above; Refused with 404."""
        return found_at(self.core, above(self.id))

    @property
    def region(self) -> str:
        """The region of the workspace."""
        return str(self.scope.body["location"])

    def document(self) -> Json:
        """The body of a write, whose `properties` are an object."""
        document = json_object(self.request)
        if not is_object(document.get("properties", {})):
            raise bad("properties must be an object.")
        return document

    def new(self, document: Json, state: str = "Succeeded") -> Resource:
        """A new resource with this body, kept in the world."""
        now = self.core.now()
        made = Resource(self.id, document, now, now, state)
        self.core.world.resources[self.id] = made
        return made


def above(ident: str) -> str:
    """The id of the resource that another one is below of."""
    return ident.rpartition("/")[0].rpartition("/")[0]


def found_at(core: Core, ident: str) -> Resource:
    """The resource with an id; Refused with 404."""
    resource = core.world.resources.get(ident)
    if resource is None:
        collection, _, name = ident.rpartition("/")
        what = collection.rpartition("/")[2]
        raise Refused(404, "NotFound", f"There is no {what} {name}.", ("NotFound", ident))
    return resource


def bad(message: str, code: str = "BadArgument") -> Refused:
    """400 in the words of a user's error."""
    return Refused(400, "UserError", message, (code, message))


def part(document: Json, name: str) -> Json:
    """A member that is an object, without its nulls; {} without one."""
    value = document.get(name)
    if value is not None and not is_object(value):
        raise bad(f"{name} must be an object.")
    return {key: item for key, item in (value or {}).items() if item is not None}


def flat_texts(document: Json, name: str) -> dict[str, str]:
    """A member that maps names to texts, {} without one.

    Microsoft's own client sends a number among them, and null for nothing, so both are taken.
    """
    value = member(document, name) or {}
    scalars = str | int | float | None
    if not is_object(value) or not all(isinstance(item, scalars) for item in value.values()):
        raise bad(f"{name} must be an object of texts.")
    return {
        key: item if isinstance(item, str) else json.dumps(item)
        for key, item in value.items()
        if item is not None
    }


def seconds(duration: Any) -> float:
    """The seconds of an ISO 8601 duration of minutes and seconds; Refused for anything else."""
    match = _DURATION.fullmatch(str(duration))
    if match is None or str(duration) == "PT":
        raise bad(f"{duration} is no duration such as PT5S.")
    return 60 * int(match["m"] or 0) + float(match["s"] or 0)


def shown_id(call: Call, ident: str) -> str:
    """An id as answers show it: what is in a registry has a short one."""
    parts = ident.split("/")
    if parts[7] != "registries" or len(parts) == 9 or call.core.options.registry_ids == "arm":
        return ident
    return f"azureml://registries/{'/'.join(parts[8:])}"


def envelope(call: Call, resource: Resource) -> Json:
    """The envelope that every resource shows around its properties; times differ in shape, as was
    recorded."""
    segments = resource.id.split("/")
    kinds = "/".join(segments[7::2])
    ident = shown_id(call, resource.id)
    if call.core.options.arm_ids == "varied":
        kinds = kinds.lower()
        ident = ident.replace("/resourceGroups/", "/resourcegroups/", 1)
    return {
        "id": ident,
        "name": resource.name,
        "type": f"{PROVIDER}/{kinds}",
        "systemData": {
            "createdAt": iso(resource.created),
            "createdBy": "Somebody",
            "createdByType": "User",
            "lastModifiedAt": iso(resource.modified, 6).replace("Z", "+00:00"),
            "lastModifiedBy": "Somebody",
            "lastModifiedByType": "User",
        },
    }


def page(call: Call, shown: Callable[[Resource], Json], wanted: list[Resource]) -> Response:
    """A page of a list, with a `nextLink` that leads on; the last one is as the switch says."""
    request, size = call.request, call.core.options.page_size
    for name in ("$top", "count"):
        if (given := request.parameters.get(name, "")).isdecimal():
            size = max(1, min(size, int(given)))
    after = _unpacked(request.parameters.get("$skip", ""))
    seen = call.core.now() - call.core.options.list_s
    rest = [each for each in wanted if each.name.casefold() > after and each.created <= seen]
    document: dict[str, Any] = {"value": [shown(resource) for resource in rest[:size]]}
    if len(rest) > size:
        pairs = [(n, v) for n, v in parse_qsl(request.query) if n.casefold() != "$skip"]
        pairs.append(("$skip", _packed(rest[size - 1].name)))
        query = urlencode(pairs, safe="$", quote_via=quote)
        document["nextLink"] = f"{request.base}{request.path}?{query}"
    elif (last := call.core.options.last_page) != "omitted":
        document["nextLink"] = None if last == "null" else ""
    return answer(200, document)


def _packed(name: str) -> str:
    return base64.urlsafe_b64encode(name.casefold().encode()).decode()


def _unpacked(skip: str) -> str:
    try:
        return base64.urlsafe_b64decode(skip).decode()
    except (binascii.Error, ValueError) as exc:
        raise bad("The $skip is not one of this list.") from exc
