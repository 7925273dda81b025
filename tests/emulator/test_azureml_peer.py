"""The scoring host beside Microsoft's own inference server, where that is installed.

Its licence allows no more than to try it: put `azmlinfsrv` of azureml-inference-server-http on the PATH.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.emulator.azureml import SEED, Wire

pytestmark = pytest.mark.live
FILES = SEED.parent / "files"
COMPARED = ("content-type", "x-ms-run-function-failed", "x-ms-server-version")
START_S = 60


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the real server on the seed's script and model."""
    program = shutil.which("azmlinfsrv")
    if program is None:
        pytest.skip("azmlinfsrv is not on the PATH: pip install azureml-inference-server-http")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = FILES / "models/churn/1"
    command = [
        program,
        "--entry_script",
        SEED.parents[1] / "scoring/score.py",
        "--model_dir",
        model,
    ]
    environ = {**os.environ, "AZUREML_MODEL_DIR": str(model)}
    folder = tmp_path_factory.mktemp("peer")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=folder, env=environ, stdout=log, stderr=log
        )
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while not _healthy(url):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "the server never became healthy"
        yield url
    finally:
        process.terminate()
        process.wait()


def _healthy(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).text == "Healthy"
    except requests.RequestException:
        return False


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"rows": [{"months": 1, "calls": 2}]}', {"x-ms-client-request-id": "mine"}),
        (b'{"rows": [{"months": 1, "calls": 2}]}', {"x-request-id": "theirs"}),
        (b'{"rows": []}', {"x-ms-request-id": "old"}),
        (b'{"rows": [{}]}', {}),
        (b"no JSON", {}),
        (b"", {}),
        (b"\xff", {"x-ms-client-request-id": "mine"}),
        (b"{}", {"x-request-id": "a" * 120}),
    ],
)
def test_answers_are_those_of_the_real_server(
    peer: str, wire: Wire, content: bytes, headers: dict[str, str]
) -> None:
    theirs = requests.post(f"{peer}/score", content, headers=headers, timeout=30)
    key = {"Authorization": "Bearer local-churn-key"}
    uri = wire.get("onlineEndpoints/churn")["properties"]["scoringUri"]
    ours = wire.session.post(uri, content, headers={**headers, **key})
    assert ours.content == theirs.content
    assert _seen(ours) == _seen(theirs)
    if theirs.status_code == 200:
        assert ours.status_code == 200
    else:  # the host in front of the server tells what it answered
        assert ours.status_code == 424
        assert ours.headers["ms-azureml-model-error-statuscode"] == str(theirs.status_code)
        assert ours.headers["ms-azureml-model-error-reason"] == theirs.reason


def _seen(answer: requests.Response) -> dict[str, Any]:
    """What does not differ by chance: ids that were sent come back, others are only there."""
    ids = {
        name: value if len(value) < 30 else "made up"
        for name, value in answer.headers.items()
        if name.lower().endswith("request-id")
    }
    named = {name: answer.headers[name] for name in COMPARED if name in answer.headers}
    return {**named, **ids, "timed": "x-ms-run-fn-exec-ms" in answer.headers}
