"""Azurite, Microsoft's own emulator of storage, which .ci/run installs with npm below .venv."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ACCOUNT = "devaccount1"
MAIN = Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js"
STARTS_S = 60.0


@dataclass(frozen=True)
class Azurite:
    """A server with one account."""

    url: str
    key: str = field(repr=False)

    def new_container(self) -> str:
        """The name of a container that was just made."""
        from azure.storage.blob import BlobServiceClient

        name = f"c-{secrets.token_hex(6)}"
        BlobServiceClient(self.url, self.key, api_version="2021-12-02").create_container(name)
        return name


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """A server of its own, in memory; skipped without Node or Azurite, but not in CI."""
    node = shutil.which("node")
    if node is None or not MAIN.exists():
        missing = f"there is no {MAIN}; npm install --prefix .venv/azurite azurite@3.35.0"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    server = subprocess.Popen(
        [str(node), str(MAIN), *where, "--inMemoryPersistence", "--silent", "--disableTelemetry"],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        until = time.monotonic() + STARTS_S
        while not _listens(port):
            assert server.poll() is None, "Azurite ended"
            assert time.monotonic() < until, "Azurite does not listen"
            time.sleep(0.05)
        yield Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}", key)
    finally:
        server.terminate()
        server.wait(30)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
