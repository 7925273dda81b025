"""A scripted server, and a client that remembers its pauses instead of making them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from scripted_server import Answer, Server, StandIn, handler

from reconciler.http.client import Http
from reconciler.stores.azure_hosts import AZURE


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    script = StandIn(answers=[Answer()])
    server = Server(("127.0.0.1", 0), handler(script))
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield script
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def http(pauses: list[float]) -> Iterator[Http]:
    with Http(sleep=pauses.append, timeout_s=(1.0, 1.0)) as client:
        yield client.speaking(AZURE)
