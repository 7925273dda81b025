"""Code as one zip that Ray unpacks on its nodes, named by the hash of its bytes.

Equal files make equal bytes, so code that a cluster has is not sent again. The zip holds all that
git tracks below the folder, but for files that no program needs (`IGNORED`) and those that
`.rayignore` there names, and files of ours beside them, such as `runner.py`. Ray's dashboard takes
100 MiB; a larger package is refused before anything is sent, with the names of the files that weigh
most.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from reconciler.errors import ConfigurationError, RefusedError, UnreadableError
from reconciler.platforms.code import File, digest_of, file_at, files_of
from reconciler.platforms.ray import builder, runner
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.serve_config import BUILDER, Application, short_name

RUNNER = "reconciler_job.py"
IGNORE_FILE = ".rayignore"
IGNORED = (
    *(".git/", ".github/", ".venv/", "venv/", "__pycache__/", "*.pyc", ".DS_Store"),
    *("node_modules/", ".ipynb_checkpoints/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/"),
)
MOST_BYTES = 100 * 1024 * 1024  # of a body that the dashboard takes (aiohttp's client_max_size)
_SHOWN = 5
LOOK_LASTS_S = 300.0  # within RAY_RUNTIME_ENV_TEMPORARY_REFERENCE_EXPIRATION_S, which is 600
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip knows


@dataclass(frozen=True)
class Package:
    """A zip, and the name that its bytes give it."""

    content: bytes

    @property
    def name(self) -> str:
        """Its name in the store of the cluster."""
        return f"_ray_pkg_{hashlib.sha256(self.content).hexdigest()}.zip"

    @property
    def uri(self) -> str:
        """Its URI, as a job names it."""
        return f"gcs://{self.name}"


def is_there(client: Client, uri: str) -> bool:
    """Whether the cluster has a package. It keeps one for ten minutes after a look at it."""
    return client.find(_route(uri), "looking for the code") is not None


def send(client: Client, package: Package) -> None:
    """Have the package on the cluster; UnreadableError where that took it and does not have it."""
    if is_there(client, package.uri):
        return
    client.put(_route(package.uri), "sending the code", content=package.content)
    if not is_there(client, package.uri):
        raise UnreadableError(f"{client.ray.host} took the code, and does not have it")


def _route(uri: str) -> str:
    return f"/api/packages/{uri.replace('://', '/')}"


def packed(folder: Path | None, digest: str) -> Package:
    """The package of a folder whose files have the digest; of the runner alone where there is none.

    RefusedError where they changed meanwhile, or cannot be sent.
    """
    if folder is not None and digest_of(folder) != digest:
        raise RefusedError(f"the files below {folder} changed since this was planned; plan again")
    return package_of(folder, {RUNNER: Path(runner.__file__)})


def package_of(folder: Path | None, beside: Mapping[str, Path]) -> Package:
    """The package of a folder, with files of ours beside those in it, by their names."""
    files = {name: file_at(path) for name, path in beside.items()}
    tracked = files_of(folder) if folder is not None else {}
    plain = [file for file in tracked.values() if not file.path.is_symlink()]
    by_path = {os.path.realpath(file.path): file for file in plain}
    for name in _wanted(folder, tracked) if folder is not None else ():
        assert folder is not None
        if name in beside:
            raise RefusedError(f"{folder / name}: the name is taken by a file of ours; rename it")
        files[name] = by_path.get(str(path := _inside(folder, name)), file_at(path))
    return Package(_zipped(files, folder))


def _wanted(folder: Path, tracked: Iterable[str]) -> list[str]:
    own = folder / IGNORE_FILE
    try:
        lines = own.read_text(encoding="utf-8-sig").splitlines() if own.is_file() else []
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{own} is not UTF-8; save it as UTF-8") from exc
    patterns = [*IGNORED, *(line.strip() for line in lines if line.strip()[:1] not in ("", "#"))]
    return [name for name in tracked if not is_ignored(name, patterns)]


def is_ignored(name: str, patterns: Iterable[str]) -> bool:
    """Whether the last pattern that fits a file ignores it, as in a .gitignore.

    A pattern without a slash fits a name at any depth; one with a slash begins at the folder; one
    that ends in a slash fits folders only; `!` takes back.
    """
    ignored = False
    for pattern in patterns:
        again = pattern.startswith("!")
        if _fits(name, pattern.removeprefix("!")):
            ignored = not again
    return ignored


def _fits(name: str, pattern: str) -> bool:
    """Whether a file, or a folder above it, fits a pattern as `.gitignore` reads it."""
    parts = name.split("/")
    wanted = pattern.strip("/").removeprefix("**/")
    most = len(parts) - 1 if pattern.endswith("/") else len(parts)
    above = ["/".join(parts[:count]) for count in range(1, most + 1)]  # the file, and its folders
    if "/" in pattern.rstrip("/") and not pattern.startswith("**/"):
        return any(
            path.count("/") == wanted.count("/") and fnmatchcase(path, wanted) for path in above
        )
    return any(fnmatchcase(path.rpartition("/")[2], wanted) for path in above)


def _inside(folder: Path, name: str) -> Path:
    """The file itself; RefusedError for a link that leads out of the folder, or to a folder."""
    path, real = folder / name, Path(os.path.realpath(folder / name))
    if not real.is_relative_to(os.path.realpath(folder)):
        raise RefusedError(
            f"{path} is a link that leads out of the code, where no node could follow it; copy the "
            "file, or name it in .rayignore"
        )
    if not real.is_file():
        raise RefusedError(f"{path} is no file; a package holds files only; name it in .rayignore")
    return real


def _zipped(files: Mapping[str, File], folder: Path | None) -> bytes:
    """The files as a zip whose bytes depend on names, contents and execute bits alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o755 if file.runs else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            is_huge = file.path.stat().st_size >= 2**31
            with file.open() as content, archive.open(entry, "w", force_zip64=is_huge) as packing:
                while chunk := content.read(2**20):
                    packing.write(chunk)
                    if buffer.tell() > MOST_BYTES:
                        raise RefusedError(_too_large(files, folder))
    if buffer.tell() > MOST_BYTES:  # with its list of files
        raise RefusedError(_too_large(files, folder))
    return buffer.getvalue()


def _too_large(files: Mapping[str, File], folder: Path | None) -> str:
    sizes = ((file.path.stat().st_size, name) for name, file in files.items())
    weights = sorted(sizes, reverse=True)
    heaviest = ", ".join(f"{name} ({size / 2**20:.1f} MiB)" for size, name in weights[:_SHOWN])
    return (
        f"the code in {folder} is larger than {MOST_BYTES // 2**20} MiB, and Ray takes no more; "
        f"the heaviest files are {heaviest}; keep data and models in the store, or name files that "
        f"are not needed in {IGNORE_FILE}"
    )


# --- the code of an application, with our builder in it ----------------------------------------


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
        self._sending = threading.Lock()
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
        self.have(package)
        return package.uri

    def have(self, package: Package, *, again: bool = False) -> None:
        """Have a package on the cluster, for what will name it in the next minutes. `again`: look
        for it, whenever it was seen last."""
        with self._sending:
            now, seen = self._now(), (self._cluster.session, package.uri)
            if again or now - self._looked.get(seen, -math.inf) > LOOK_LASTS_S:
                send(self._cluster.writing(), package)
                self._looked[self._cluster.session, package.uri] = now

    def is_there(self, uri: str) -> bool:
        """Whether the cluster has a package."""
        return is_there(self._cluster.reading(), uri)
