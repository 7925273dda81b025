"""Where models, manifests, records and the lock live. One file per kind of store, and one line of
`kinds.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError
from reconciler.http.urls import Origin, named
from reconciler.model import Auth, StoreUrl
from reconciler.stores.kinds import KINDS, kind_of

if TYPE_CHECKING:
    from reconciler.http.asking import Credential
    from reconciler.http.client import Http
    from reconciler.http.origins import Origins
    from reconciler.stores.contract import Store


class _Nobody:
    """Who has no token: for whoever opens a store and asks it nothing."""

    def __init__(self, *_: object) -> None: ...

    def authorization(self, url: str) -> str:
        """None: ConfigurationError."""
        raise ConfigurationError(f"nobody signs in to {named(url)} here; name a key of the store")


@dataclass(frozen=True)
class Opening:
    """The means to open stores: a client, a clock, and where things are on this machine.

    A path that is not absolute begins at `folder`. `emulator` is the base URL of the emulator, ""
    where stores are in their clouds. `bound` are the origins that secrets may go to beside the
    hosts of a cloud. `token` signs in to Azure, for a scope. `halted` says why nothing may be
    written any more, "" while it may; the client is told the same.
    """

    http: Http
    clock: Callable[[], float]
    folder: Path
    emulator: str = ""
    bound: frozenset[Origin] = frozenset()
    token: Callable[[str, Origins, Auth], Credential] = _Nobody
    halted: Callable[[], str] = str


def open_store(at: StoreUrl, key: str, opening: Opening) -> Store:
    """The store at `az://account/container`, `s3://…`, `gs://…`, `file:///…` or a folder's path."""
    kind = kind_of(at)
    if kind is None:
        known = ", ".join(each.usage for each in KINDS.values())
        raise ConfigurationError(f"{at.url}: no store is called {at.parts[0]}; write {known}")
    store: Store = import_module(kind.module).open_at(at, key, opening)
    return store
