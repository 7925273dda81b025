"""Models and code as assets of the workspace: files in its own storage, and a version that leads
to them.

The workspace reads no store of ours. So a file is copied once into the container of the default
datastore, under a name that its content decides, and is then registered. A version cannot change,
so registering twice does no harm, and a version that is there with another content is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from reconciler.errors import NotFoundError, RefusedError, WireError
from reconciler.http.response import last_lines
from reconciler.model import Model, SecretName
from reconciler.platforms.artifacts import archive
from reconciler.platforms.azureml.endpoint_writes import KEY_TAG, MODEL_TAG, SHA256_TAG, code_name
from reconciler.platforms.azureml.workspace import Workspace, part
from reconciler.platforms.code import digest_of, files_of, why_not_files
from reconciler.platforms.members import objects, text, texts
from reconciler.stores.contract import Store, copy_file, name_in, url_of

_DATASTORE = re.compile(
    r"azureml:/(?P<workspace>/subscriptions/.+?/workspaces/[^/]+)?/?/datastores/(?P<store>[^/]+)"
    r"/paths/(?P<path>.+)",
    re.IGNORECASE,
)
_NOT_A_TAG = re.compile(r"[^A-Za-z0-9._-]+")
ARTIFACTS = "workspaceartifactstore"  # the datastore of what jobs leave
LOG = "user_logs/std_log.txt"
METRIC = "metric."  # what the properties of a version begin with that are its metrics
ROOT = "reconciler"  # the folder of the default datastore that is ours


@dataclass(frozen=True)
class Datastore:
    """The workspace's default datastore: its name, and its container as a store."""

    name: str
    files: Store

    def uri(self, path: str) -> str:
        """The URI of a file in the workspace's own spelling."""
        return f"azureml://datastores/{self.name}/paths/{path}"


@dataclass(eq=False)
class Assets:
    """The assets of a workspace that this program makes.

    `_store` has the models; `_blobs` opens a container of a storage account; `secret` is the value
    of a secret by its name.
    """

    _workspace: Workspace
    _store: Store
    _blobs: Callable[[str, str], Store]
    secret: Callable[[SecretName], str]

    def register(self, name: str, version: str, model: Model) -> None:
        """Register a model of the store, once."""
        path = f"/models/{part(name)}/versions/{part(version)}"
        what = f"registering {name} {version}"
        asset = self._workspace.find(path, what)
        if asset is not None:
            has = texts(objects(asset, "properties"), "tags").get(SHA256_TAG, "")
            if model.sha256 and has != model.sha256:
                raise RefusedError(
                    f"{name} has a version {version} of another content; delete it, or declare "
                    "another version"
                )
            return
        file = name_in(self._store.base, model.ref.url)
        if file is None:
            raise RefusedError(
                f"{model.ref} is no model of this workspace, and not in {self._store.uri} either; "
                "it cannot be registered"
            )
        datastore = self.datastore()
        folder = model.version.folder if model.version else name
        at = f"{ROOT}/models/{quote(folder, safe='/')}/{model.sha256[:16] or version}/{_base(file)}"
        there = model.sha256 and datastore.files.head(at) is not None
        if not there and not copy_file(self._store, file, datastore.files, at, model.sha256):
            raise RefusedError(f"{model.ref} is gone from the store; it cannot be registered")
        tags = {f"reconciler-{_NOT_A_TAG.sub('-', n)}": v for n, v in model.labels.items()}
        tags |= {MODEL_TAG: folder, SHA256_TAG: model.sha256, KEY_TAG: model.key}
        body = {
            "modelType": "custom_model",
            "modelUri": datastore.uri(at),
            "tags": {tag: value[:256] for tag, value in tags.items() if value},
            "properties": {f"{METRIC}{n}": repr(v) for n, v in sorted(model.metrics.items())},
            "flavors": {},
            "isAnonymous": False,
        }
        self._workspace.write("PUT", path, what, json={"properties": body})

    def send_code(self, folder: str, digest: str) -> None:
        """Make the code asset of a folder in the state that was planned, once."""
        if not digest:
            return
        name = code_name(digest)
        path, what = f"/codes/{name}/versions/1", f"sending the code {digest[:12]}"
        if self._workspace.find(path, what) is not None:
            return
        if digest_of(Path(folder)) != digest:
            raise RefusedError(f"{folder} was changed since it was planned; plan again")
        if why := why_not_files(Path(folder)):
            raise RefusedError(f"{folder}: {why}")
        files, below = self.datastore().files, f"{ROOT}/code/{digest[:32]}"
        for each, file in files_of(Path(folder)).items():
            with file.open() as content:
                files.put(f"{below}/{each}", content.read())
        uri = url_of(files.base, below)
        self._workspace.write("PUT", path, what, json={"properties": {"codeUri": uri}})

    def uri_of(self, place: str) -> str:
        """The workspace's URI of a file in one of its datastores, by its URL; "" elsewhere."""
        for datastore in self._datastores:
            if name := name_in(datastore.files.base, place):
                return datastore.uri(name)
        return ""

    def opened(self, uri: str) -> tuple[Store, str]:
        """The container that an address of files in a datastore of the workspace leads to, and what
        their names begin with."""
        match = _DATASTORE.fullmatch(uri)
        if match is None:
            raise RefusedError(
                f"its files are at {uri or 'no place'}, and only those of a datastore can be "
                "taken; register it from a path of a datastore"
            )
        other, at = (match["workspace"] or "").casefold(), self._workspace.at
        group = f"/subscriptions/{at.subscription}/resourcegroups/{at.resource_group}"
        here = f"{group}/workspaces/{at.workspace}".casefold(), at.path.casefold()
        if other and other not in here:
            raise RefusedError(
                f"its files are in another workspace ({match['workspace']}); register it here"
            )
        return self.datastore(match["store"]).files, match["path"].rstrip("/")

    def collect(self, uri: str, place: str) -> None:
        """Bring a file below such an address into the store, or all of them as one archive."""
        name = name_in(self._store.base, place)
        source, below = self.opened(uri)
        files = files_below(source, below)
        if name is None or not files:
            raise NotFoundError(f"there are no files at {uri} that could be taken into the store")
        with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
            path = Path(folder) / "output"
            take(source, files, path)
            self._store.put_file(name, path)

    def copied(self, data: Store, place: str) -> str:
        """The workspace's URI of a copy of a file of the data, made once for its content."""
        name = name_in(data.base, place)
        known = data.head(name) if name else None
        if name is None or known is None:
            raise NotFoundError(f"there is no {place}; put it there")
        seen = hashlib.sha256(f"{data.uri}\n{name}\n{known.fingerprint}".encode()).hexdigest()[:32]
        at, datastore = f"{ROOT}/data/{seen}/{_base(name)}", self.datastore()
        if datastore.files.head(at) is None and not copy_file(data, name, datastore.files, at):
            raise NotFoundError(f"there is no {place}; put it there")
        return datastore.uri(at)

    def log_of(self, job: str) -> str:
        """The last lines of what a job wrote, which its workspace keeps as a file; "" where nobody
        may read it, or none is there."""
        with contextlib.suppress(WireError, RefusedError):
            log = self.datastore(ARTIFACTS).files.get(f"ExperimentRun/dcid.{job}/{LOG}")
            return last_lines(log.content.decode(errors="replace")) if log else ""
        return ""

    @cached_property
    def _datastores(self) -> list[Datastore]:
        """Every datastore of blobs; read once for a run."""
        listed = self._workspace.list("/datastores", "listing the datastores")
        return list(filter(None, map(self._opened, listed)))

    def datastore(self, name: str = "") -> Datastore:
        """A datastore of blobs, by its name, or the default one; RefusedError where it has none."""
        what = f"reading the datastore {name}" if name else "reading the default datastore"
        if name:
            listed = [self._workspace.read(f"/datastores/{part(name)}", what)]
        else:
            listed = self._workspace.list("/datastores", what, isDefault="true")
        for item in listed:
            if (opened := self._opened(item)) is not None:
                return opened
        raise RefusedError(f"{what}: it is in no container of blobs")

    def _opened(self, item: Mapping[str, Any]) -> Datastore | None:
        """A datastore as a store; None where it is in no container of blobs."""
        properties = objects(item, "properties")
        account, container = text(properties, "accountName"), text(properties, "containerName")
        if not (account and container):
            return None
        return Datastore(text(item, "name"), self._blobs(account, container))


def files_below(store: Store, below: str) -> dict[str, str]:
    """The names in a store of the files below a folder, by what they are called there; or of the
    one file that is all."""
    if store.head(below) is not None:
        return {below.rpartition("/")[2]: below}
    return {each.name.removeprefix(f"{below}/"): each.name for each in store.list(f"{below}/")}


def take(store: Store, files: Mapping[str, str], path: Path) -> None:
    """Write the only one of these files, or all of them as one archive, to a file; NotFoundError
    where one is gone by now, for it would be taken as empty."""

    def fetch(name: str, into: IO[bytes]) -> None:
        if store.fetch(files[name], into) is None:
            raise NotFoundError(f"{files[name]} is gone from {store.uri} while it was taken")

    if len(files) > 1:
        archive(path, files, fetch)
        return
    (name,) = files
    with path.open("wb") as into:
        fetch(name, into)


def _base(name: str) -> str:
    return quote(name.rpartition("/")[2], safe="")
