"""The twin of `tests/shelves.py`, installed as another package's: over each kind of store."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.platforms import platforms
from reconciler.stores.contract import url_of
from tests.lab import APART, Lab
from tests.stores.azurite import ACCOUNT, azurite
from tests.stores.buckets import KEY, Google, google_key, new_bucket, s3_server
from tests.twins.contract import VERSIONS, QuickClock, Twin, files_of, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from reconciler.http.client import Http

PACKAGE = Path(__file__).parent.parent / "shelves.py"
ROOT = PACKAGE.parent.parent
YAML = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: toys}
spec: {store: STORE, data: data, shelves: {folder: shelves}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: words}
spec:
  training: {engine: copies, inputs: {data: "${version}.txt"}, outputs: {model: m, metrics: x}}
  accept: [{metric: AUC, atLeast: "0.8"}]
---
"""
SHELF = """\
apiVersion: reconciler/v1
kind: Shelf
metadata: {name: top}
spec:
  shelf: top
  model: {name: words, version: "2026-10"}
  verify: {request: probe.json, columns: [text]}
"""
OTHER = {"note": "somebody else's", "colour": ["red"]}


def install(site: Path) -> None:
    """Lay the package out in a folder as pip would: one file and one entry point."""
    about = site / "shelves-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "shelves.py").write_bytes(PACKAGE.read_bytes())
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shelves\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[reconciler.platforms]\nshelves = shelves:PLATFORM\n")


class Shelves(Twin):
    """Desired state and shelves in a folder; the store is there too, unless it is said where."""

    environment, name = "toys", "top"

    def __init__(self, folder: Path, store: str = "store") -> None:
        super().__init__()
        self.services = folder / "services"
        self.folder = self.services / "toys"
        self.shelves = self.folder / "shelves"
        for made in (self.folder / "store", self.folder / "data", self.shelves):
            made.mkdir(parents=True)
        self._clock = QuickClock(0.001)
        self.write("probe.json", "{}")
        self.write("toys.yaml", YAML.replace("STORE", store) + SHELF)
        self.mend()

    def begin(self) -> None:
        """Let something else serve."""
        store = self.world().store
        store.put("before", b"before")
        self.lay(self.name)
        self.before = url_of(store.base, "before")

    def lay(self, name: str) -> None:
        before = url_of(self.world().store.base, "before")
        state = {"served": before, "told": before, **OTHER}
        (self.shelves / f"{name}.json").write_text(json.dumps(state))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    @property
    def environ(self) -> dict[str, str]:
        """A process finds the package where pip would put it."""
        return {"PYTHONPATH": f"{self.services.parent / 'site'}{os.pathsep}{ROOT}"}

    @property
    def engine_clock(self) -> Any:
        return self._clock

    def state(self, name: str = "") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.shelves / f"{name or self.name}.json").read_text())
        return found

    def digest_of(self, name: str) -> str:
        world = self.world(read_only=True)
        stored = world.store.get(self.state(name)["served"].removeprefix(world.store.base))
        assert stored is not None
        return sha256(stored.content)

    def starts(self) -> list[str]:
        return [job.read_text() for job in self.shelves.glob("rc-*")]

    def spoil(self) -> None:
        for version in VERSIONS:
            self.write(f"data/{version}.txt", f"broken {version}")

    def mend(self) -> None:
        for version in VERSIONS:
            self.write(f"data/{version}.txt", f"model {version}")

    def undeclared(self) -> object:
        return {name: self.state()[name] for name in OTHER}

    def declare_another(self) -> str:
        self.write("other.yaml", SHELF.replace("top", "other"))
        self.lay("other")
        return "other"

    def touched(self) -> object:
        lock = str(self.shelves / "lock")  # which a read takes, too
        return {name: how for name, how in files_of(self.folder).items() if name != lock}


@contextlib.contextmanager
def registered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is installed for this process, and then no more; once, for twins side by side."""
    install(folder / "site")
    if "shelves" in platforms():
        yield
        return
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        platforms.cache_clear()
        try:
            yield
        finally:
            sys.modules.pop("shelves", None)
            patch.undo()
            platforms.cache_clear()


@contextlib.contextmanager
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch, apart: bool = False) -> Iterator[Twin]:
    """With a store in a folder."""
    with registered(folder, monkeypatch):
        made = Shelves(folder)
        made.begin()
        yield made
        made.close()


class InBlob(Shelves):
    """With a store in the emulated Blob storage; time is that of the emulator."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.lab = Lab(folder / "lab", **how)
        super().__init__(folder)
        local = (self.lab.services / "local" / "environment.yaml").read_text()
        store = local[local.index("    url: az") : local.index("  data:")]
        studio = local[local.index("    cloud:") : local.index("    workspace:")]
        blocks = f"spec:\n  store:\n{store}  data: data\n  shelves: {{folder: shelves}}\n"
        text = (self.folder / "toys.yaml").read_text()
        head, rest = text.split("spec: {", 1)
        tail = rest.split("---\n", 1)[1]
        self.write(
            "toys.yaml", f"{head}{blocks}  studio:\n{studio}    region: southcentralus\n---\n{tail}"
        )

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, **self.lab.environ}

    @property
    def engine_clock(self) -> Any:
        return self.lab.engine_clock

    def mount(self, http: Http) -> None:
        self.lab.mount(http)

    def close(self) -> None:
        self.lab.close()


@contextlib.contextmanager
def blob(folder: Path, monkeypatch: pytest.MonkeyPatch, apart: bool) -> Iterator[Twin]:
    """With a store in the emulated Blob storage."""
    with registered(folder, monkeypatch):
        made = InBlob(folder, **(APART if apart else {}))
        made.begin()
        yield made
        made.close()


class InBucket(Shelves):
    """With a store of a real server, which hears its key."""

    def __init__(self, folder: Path, at: str, endpoint: str, key: str) -> None:
        self._endpoint, self._key = endpoint, key
        super().__init__(folder, f'{{url: "{at}", endpoint: "{endpoint}", key: "env:BUCKET_KEY"}}')

    @property
    def environ(self) -> dict[str, str]:
        url = urlsplit(self._endpoint)
        mine = {"BUCKET_KEY": self._key, "RECONCILER_ORIGINS": f"{url.scheme}://{url.netloc}"}
        return {**super().environ, **mine}


@contextlib.contextmanager
def s3(folder: Path, monkeypatch: pytest.MonkeyPatch, apart: bool) -> Iterator[Twin]:
    """With a store in a bucket of S3."""
    with registered(folder, monkeypatch), s3_server() as server:
        made = InBucket(folder, f"s3://{new_bucket(server)}/below", server, KEY)
        made.begin()
        yield made


@contextlib.contextmanager
def google(folder: Path, monkeypatch: pytest.MonkeyPatch, apart: bool) -> Iterator[Twin]:
    """With a store in a bucket of the stand-in of Google Cloud Storage."""
    with registered(folder, monkeypatch), Google() as server:
        at, key = f"gs://{server.bucket}/below", google_key(server.url)
        made = InBucket(folder, at, server.url, key)
        made.begin()
        yield made


@contextlib.contextmanager
def azure(folder: Path, monkeypatch: pytest.MonkeyPatch, apart: bool) -> Iterator[Twin]:
    """With a store in Azurite."""
    with registered(folder, monkeypatch), azurite(folder) as server:
        at = f"az://{ACCOUNT}/{server.new_container()}"
        made = InBucket(folder, at, server.url, server.key)
        made.begin()
        yield made
