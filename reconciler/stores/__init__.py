"""Where models, manifests, records and the lock live. One file per kind of store, one line here.

The module of a kind has `open_at(rest, key, opening)`: the store at what follows the scheme, opened
by the value of its key ("" where it has none).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.http.client import Http
    from reconciler.stores.contract import Store

KINDS = {
    "az": "reconciler.stores.azure_blob",
    "file": "reconciler.stores.folder",
}


@dataclass(frozen=True)
class Opening:
    """What stores are opened with: a client, a clock, and where things are on this machine.

    A path that is not absolute begins at `folder`. `emulator` is the base URL of the emulator, ""
    where stores are in their clouds. `halted` says why nothing may be written any more, "" while it
    may; the client is told the same.
    """

    http: Http
    clock: Callable[[], float]
    folder: Path
    emulator: str = ""
    halted: Callable[[], str] = str


def open_store(url: str, key: str, opening: Opening) -> Store:
    """The store at `az://account/container`, `file:///…` or the path of a folder."""
    scheme, separator, rest = url.partition("://")
    kind = KINDS.get(scheme if separator else "file")
    if kind is None:
        known = ", ".join(f"{name}://" for name in KINDS)
        raise ConfigurationError(f"{url}: no store is called {scheme}; write one of {known}")
    store: Store = import_module(kind).open_at(rest if separator else url, key, opening)
    return store
