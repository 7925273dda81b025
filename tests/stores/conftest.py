"""An empty store of each kind. A new kind adds one line to KINDS."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import emulator
from reconciler.cli.demo import read_env_file
from reconciler.http.client import Http
from reconciler.stores import Opening, open_store
from tests.door import Door

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.stores.contract import Store

EMULATED = Path("services/local/_emulator")
KINDS = ("az://mllocal/models", "az://mllocal/models/below", "folder")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "folder":
        with Http() as http:
            yield open_store(str(tmp_path), "", Opening(http, time.time, tmp_path))
        return
    cloud = emulator.Cloud(emulator.Options())
    cloud.seed(EMULATED / "seed.yaml")
    for name in list(cloud._core.blobs.accounts["mllocal"].containers["models"]):
        del cloud._core.blobs.accounts["mllocal"].containers["models"][name]
    url = "http://127.0.0.1:8400"
    with Http(backoff_s=0) as http:
        http.mount(url, Door(emulator.InProcessAdapter(cloud)))
        key = read_env_file(EMULATED / "emulator.env")["LOCAL_STORE_KEY"]
        yield open_store(request.param, key, Opening(http, time.time, tmp_path, url))
