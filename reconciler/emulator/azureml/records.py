"""Records of a workspace of Azure Machine Learning v2: resources by their ARM ids."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Resource:
    """One resource. `body` is what was put, with what the service keeps beside it in `kept`.

    `id` is written as it was first put; ids count in any case, so the key of a resource is its id
    in lower case.
    """

    id: str
    body: Json
    created: float
    modified: float
    state: str = "Succeeded"
    kept: Json = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> Json:
        """The `properties` of the body."""
        found: Json = self.body.setdefault("properties", {})
        return found


@dataclass
class Work:
    """A long-running operation: what it does to its target when its time has come."""

    id: str
    kind: str  # as in its URL: oe, oeidp, od, odidp
    what: str  # of which effect it is
    target: str  # the key of a resource
    workspace: str  # the key of its workspace
    started: float
    due: float
    trick: str = ""
    change: Json = field(default_factory=dict)
    status: str = ""  # "" while it runs
    looks: int = 0
    error: Json = field(default_factory=dict)
    ended: float = 0.0


class Resources(MutableMapping[str, Resource]):
    """Resources by their ids in any case; a collection is found without reading the others."""

    def __init__(self) -> None:
        self._below: dict[str, dict[str, Resource]] = {}
        self._of_kind: dict[str, dict[str, dict[str, Resource]]] = {}

    def __getitem__(self, ident: str) -> Resource:
        collection, _, name = ident.casefold().rpartition("/")
        return self._below[collection][name]

    def __setitem__(self, ident: str, resource: Resource) -> None:
        collection, _, name = ident.casefold().rpartition("/")
        if collection not in self._below:
            self._below[collection] = {}
            kind = collection.rpartition("/")[2]
            self._of_kind.setdefault(kind, {})[collection] = self._below[collection]
        self._below[collection][name] = resource

    def __delitem__(self, ident: str) -> None:
        collection, _, name = ident.casefold().rpartition("/")
        del self._below[collection][name]

    def __iter__(self) -> Iterator[str]:
        return (f"{above}/{name}" for above, found in self._below.items() for name in found)

    def __len__(self) -> int:
        return sum(map(len, self._below.values()))

    def listed(self, collection: str) -> list[Resource]:
        """The resources of a collection, in the order of their names."""
        found = self._below.get(collection.casefold(), {})
        return [found[name] for name in sorted(found)]

    def named(self, kind: str, name: str = "") -> list[Resource]:
        """The resources of a kind in all scopes, or those of them with a name."""
        found = self._of_kind.get(kind.casefold(), {}).values()
        if name:
            return [each[name.casefold()] for each in found if name.casefold() in each]
        return [resource for each in found for resource in each.values()]

    def drop_below(self, ident: str) -> None:
        """Forget what is below a resource."""
        below = f"{ident.casefold()}/"
        for collection in [name for name in self._below if name.startswith(below)]:
            del self._below[collection]
            del self._of_kind[collection.rpartition("/")[2]][collection]
