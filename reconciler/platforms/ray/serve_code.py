"""The code of an application, on its way to the cluster: a package with our builder in it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from reconciler.errors import RefusedError
from reconciler.platforms.ray import builder
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.package import Package, is_there, package_of, send
from reconciler.platforms.ray.serve_config import BUILDER, Application, short_name

LOOK_LASTS_S = 300.0  # within RAY_RUNTIME_ENV_TEMPORARY_REFERENCE_EXPIRATION_S, which is 600


def code_of(folder: Path, *, built: bool) -> Package:
    """The package of a folder, with our builder where that serves it; RefusedError where the files
    cannot be sent, ConfigurationError where there are none."""
    return package_of(folder, {f"{BUILDER}.py": Path(builder.__file__)} if built else {})


class Packages:
    """The packages of one cluster, each looked for before it is used, and sent if it is not there.

    Ray drops a package that nothing uses, such as that of a candidate that was taken back, but not
    within ten minutes of a look at it. `now` is a clock that never goes back.
    """

    def __init__(self, cluster: Cluster, now: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._now = now
        self._guard = threading.Lock()
        self._packed: dict[tuple[str, bool], Package] = {}
        self._looked: dict[tuple[str, str], float] = {}  # by the session of the cluster, and URI

    def place(self, application: Application, planned: str) -> str:
        """The URI of the application's code on the cluster. `planned` is the short digest that
        people approved, "" where nobody asks; RefusedError where the files have another by now."""
        key = application.folder, application.is_built
        with self._guard:
            if key not in self._packed:
                self._packed[key] = code_of(Path(key[0]), built=key[1])
            package = self._packed[key]
            if planned not in ("", short_name(package.uri)):
                raise RefusedError(
                    f"the files below {key[0]} changed since this was planned; plan again"
                )
            now, seen = self._now(), (self._cluster.session, package.uri)
            if now - self._looked.get(seen, -math.inf) > LOOK_LASTS_S:
                send(self._cluster.writing(), package)
                self._looked[self._cluster.session, package.uri] = now
        return package.uri

    def is_there(self, uri: str) -> bool:
        """Whether the cluster has a package."""
        return is_there(self._cluster.reading(), uri)
