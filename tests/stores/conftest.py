"""An empty store of each kind. A new kind adds one line to KINDS."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import emulator
from reconciler.cli.demo import read_env_file
from reconciler.http.client import Http
from reconciler.model import SecretName, StoreUrl
from reconciler.stores import Opening, open_store
from tests.door import Door
from tests.stores.azurite import ACCOUNT, Azurite, azurite
from tests.stores.buckets import KEY, Google, google_key, new_bucket, opening, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.stores.contract import Store

EMULATED = Path("services/local/_emulator")
KINDS = (
    "az://mllocal/models",
    "az://mllocal/models/below",
    "az-token://mllocal/models",
    pytest.param("azurite", marks=pytest.mark.live),
    "folder",
    "s3",
    "s3/below/it",
    "gs",
)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of a server of S3: moto's."""
    with s3_server() as url:
        yield url


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A server of Azure Blob storage: Azurite."""
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    kind, _, prefix = request.param.partition("/")
    with Http(backoff_s=0) as http:
        if kind == "folder":
            yield open_store(StoreUrl(str(tmp_path)), "", Opening(http, time.time, tmp_path))
        elif kind == "s3":
            url = request.getfixturevalue("s3")
            at = StoreUrl(f"s3://{new_bucket(url)}/{prefix}".rstrip("/"), endpoint=url)
            yield open_store(at, KEY, opening(http, url))
        elif kind == "azurite":
            server = request.getfixturevalue("azure")
            at = StoreUrl(f"az://{ACCOUNT}/{server.new_container()}", SecretName("KEY"), server.url)
            yield open_store(at, server.key, opening(http, server.url.removesuffix(f"/{ACCOUNT}")))
        elif kind == "gs":
            with Google() as google:
                at = StoreUrl(f"gs://{google.bucket}", endpoint=google.url)
                yield open_store(at, google_key(google.url), opening(http, google.url))
        else:
            yield emulated(request.param, http, tmp_path)


def emulated(name: str, http: Http, folder: Path) -> Store:
    """A container of the emulator, which is met through a door of this process."""
    cloud = emulator.Cloud(emulator.Options())
    cloud.seed(EMULATED / "seed.yaml")
    for blob in list(cloud._core.blobs.accounts["mllocal"].containers["models"]):
        del cloud._core.blobs.accounts["mllocal"].containers["models"][blob]
    url = "http://127.0.0.1:8400"
    http.mount(url, Door(emulator.InProcessAdapter(cloud)))
    key = read_env_file(EMULATED / "emulator.env")["LOCAL_STORE_KEY"]
    opening = Opening(http, time.time, folder, url)
    if name.startswith("az-token:"):
        return open_store(StoreUrl(name.replace("-token", "")), "", opening)
    return open_store(StoreUrl(name, SecretName("LOCAL_STORE_KEY")), key, opening)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask each kind of store, where a test takes one."""
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", KINDS, indirect=True)
