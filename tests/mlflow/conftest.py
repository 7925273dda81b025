"""A stand-in for every test, and one real MLflow for those that are marked `live`."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from reconciler.ledger import Ledger
from reconciler.ledger.lock import Holder
from reconciler.ledger.turns import Turns
from reconciler.model import Actor
from tests.mlflow.standin import Registry, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.stores.contract import Store

START_S = 120.0


class Quick:
    """A clock that makes whoever waits for a lock look again soon."""

    now = staticmethod(time.monotonic)

    def wait(self, _: float) -> None:
        time.sleep(0.01)


def run_at(store: Store) -> Turns:
    """The turns of one run, of any number."""
    holder = Holder(Actor("run"), "2026-11-23T14:09:57Z", "apply")
    return Turns(Ledger(store), Quick(), holder, lambda: False)


@pytest.fixture
def known() -> Iterator[Registry]:
    with registry() as found:
        yield found


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow with a registry in SQLite; its processes end with the session."""
    if importlib.util.find_spec("mlflow") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("MLflow is missing; pip install -e '.[mlflow]'")
        pytest.skip("MLflow is not installed; pip install -e '.[mlflow]'")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/registry.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, folder / "log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its own group: the server and its workers
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: os.PathLike[str]) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            ended = process.poll() is not None
            if ended or time.monotonic() > until:
                with open(log) as lines:  # noqa: PTH123
                    pytest.fail(f"MLflow did not start:\n{lines.read()[-2000:]}")
            time.sleep(0.2)
