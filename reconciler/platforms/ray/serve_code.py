"""The code of an application, on its way to the cluster: a package with our builder in it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.platforms.ray import builder
from reconciler.platforms.ray.package import Package, package_of
from reconciler.platforms.ray.serve_config import BUILDER

if TYPE_CHECKING:
    from reconciler.platforms.ray.cluster import Cluster
    from reconciler.platforms.ray.serve_config import Application


def code_of(folder: Path, *, built: bool) -> Package:
    """The package of a folder, with our builder where that serves it; RefusedError where the files
    cannot be sent, ConfigurationError where there are none."""
    return package_of(folder, {f"{BUILDER}.py": Path(builder.__file__)} if built else {})


class Packages:
    """The packages of one cluster, each looked for once in a run, and sent if it is not there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._guard = threading.Lock()
        self._placed: dict[tuple[str, bool], str] = {}

    def place(self, application: Application) -> str:
        """The URI of the application's code on the cluster."""
        key = application.folder, application.is_built
        with self._guard:
            if key not in self._placed:
                package = code_of(Path(key[0]), built=key[1])
                if not self.is_there(package.uri):
                    client = self._cluster.writing()
                    client.put(_route(package.uri), "sending the code", content=package.content)
                self._placed[key] = package.uri
        return self._placed[key]

    def is_there(self, uri: str) -> bool:
        """Whether the cluster has a package."""
        found = self._cluster.reading().find(_route(uri), "looking for the code")
        return found is not None


def _route(uri: str) -> str:
    return f"/api/packages/{uri.replace('://', '/')}"
