"""An MLflow of this machine that lasts as long as a demo, and the server of its example."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from reconciler.errors import ConfigurationError, ReconcilerError

NEEDED = {"mlflow": "'endpoint-reconciler[mlflow]'", "sklearn": "scikit-learn"}
VERSIONS = ("0.1", "1.0")  # what register.py is given: versions 1 and 2, the second a better one
START_S = 180.0
END_S = 20.0


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[dict[str, str]]:
    """No variables: the example in the folder leads to a new MLflow without authentication, in
    which two versions are registered, and to a server that follows the alias."""
    if missing := [package for name, package in NEEDED.items() if find_spec(name) is None]:
        needed = " ".join(missing)
        why = f"this demo starts an MLflow of this machine; install it: pip install {needed}"
        raise ConfigurationError(why)
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        tracking, serving = (each.getsockname()[1] for each in sockets)
    for path in (*folder.glob("*.yaml"), *folder.glob("*.py")):
        text = path.read_text(encoding="utf-8").replace(":5000", f":{tracking}")
        path.write_text(text.replace("8600", str(serving)), encoding="utf-8")
    (folder / ".reconciler").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="reconciler-mlflow-") as own,
        _running(_mlflow(Path(own), tracking), Path(own), tracking),
    ):
        register = [sys.executable, "register.py", *VERSIONS]
        done = subprocess.run(
            register, cwd=folder, env=_environ(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise ReconcilerError(f"register.py failed: {last}")
        print(done.stdout)
        with _running([sys.executable, "serve.py"], folder, serving):
            yield {}


def _mlflow(own: Path, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{own}/registry.db"]
    return [*command, "--artifacts-destination", str(own / "artifacts")]


def _environ() -> dict[str, str]:
    """Without what may lead MLflow elsewhere."""
    outside = {n: value for n, value in os.environ.items() if not n.startswith("MLFLOW_")}
    return {**outside, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "GIT_PYTHON_REFRESH": "quiet"}


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path, port: int) -> Iterator[None]:
    """A server and what it starts, which end with the block; inside, it listens."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is heard by the demo, which ends it
        )
        try:
            until = time.monotonic() + START_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").splitlines()
                    raise ReconcilerError(f"a server does not start: {' | '.join(lines[-5:])}")
                time.sleep(0.2)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
