"""The code of an application, on its way to the cluster: a package with our builder in it."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ConfigurationError
from reconciler.platforms.ray.serve_config import BUILDER

if TYPE_CHECKING:
    from reconciler.platforms.ray.cluster import Cluster
    from reconciler.platforms.ray.serve_config import Application

MOST_BYTES = 100 * 1024 * 1024  # what the dashboard takes in one request (measured: 413 above)
_WHEN = (1980, 1, 1, 0, 0, 0)


def digest_of(folder: Path, *, built: bool) -> str:
    """64 hex over the package of a folder."""
    return hashlib.sha256(package_of(folder, built=built)).hexdigest()


def package_of(folder: Path, *, built: bool) -> bytes:
    """The package of a folder, of equal bytes for equal files; with our builder where it serves."""
    from reconciler.platforms.code import files_of

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        for name in files_of(folder):
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ConfigurationError(f"{path} leads out of {folder}; copy what it leads to")
            _add(package, name, path.read_bytes())
        if built:
            _add(package, f"{BUILDER}.py", Path(__file__).with_name("builder.py").read_bytes())
    if len(content.getvalue()) > MOST_BYTES:
        raise ConfigurationError(f"the code in {folder} is larger than 100 MiB")
    return content.getvalue()


def _add(package: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    package.writestr(entry, content)


class Packages:
    """The packages of one cluster, each sent once in a run, if the cluster does not have it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._guard = threading.Lock()
        self._placed: dict[tuple[str, bool], str] = {}

    def place(self, application: Application) -> str:
        """The URI of the application's code on the cluster."""
        key = application.folder, application.is_built
        with self._guard:
            if key not in self._placed:
                content = package_of(Path(key[0]), built=key[1])
                uri = f"gcs://_ray_pkg_{hashlib.sha256(content).hexdigest()}.zip"
                if not self.is_there(uri):
                    client = self._cluster.writing()
                    client.put(_route(uri), "sending code to Ray", content=content)
                self._placed[key] = uri
        return self._placed[key]

    def is_there(self, uri: str) -> bool:
        """Whether the cluster has a package."""
        found = self._cluster.reading().find(_route(uri), "looking for a package of Ray")
        return found is not None


def _route(uri: str) -> str:
    return f"/api/packages/{uri.replace('://', '/')}"
