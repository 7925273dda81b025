"""Scripted trouble, and clients that are trouble themselves."""

from __future__ import annotations

import io
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from reconciler import emulator
from reconciler.emulator import Fault
from tests.emulator.conftest import API, SEED, Client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[emulator.Server]:
    cloud = emulator.Cloud()
    cloud.seed(SEED)
    served = emulator.serve(cloud, 0)
    served.start()
    yield served
    served.stop()


def spoken(server: emulator.Server, *sent: bytes, end: bool = False) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    address = server.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        for part in sent:
            connection.sendall(part)
        if end:
            connection.shutdown(socket.SHUT_WR)
        said = b""
        while part := connection.recv(65536):
            said += part
        return said


HEALTH = b"GET /_emulator/health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
JSON = b"POST /_emulator/faults HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
PUT = b"PUT /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (PUT + b"Content-Length: -5\r\n\r\n", b"400"),
        (PUT + b"Content-Length: many\r\n\r\n", b"400"),
        (PUT + b"Content-Length: 99999999999\r\n\r\n", b"413"),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400"),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", b"413"),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"400"),
    ],
)
def test_a_body_without_an_end_is_refused_and_the_connection_closed(
    server: emulator.Server, request_bytes: bytes, status: bytes
) -> None:
    said = spoken(server, request_bytes, HEALTH + b"\r\n")
    assert said.startswith(b"HTTP/1.1 " + status)
    assert said.count(b"HTTP/1.1") == 1


def test_half_a_body_is_never_believed(server: emulator.Server) -> None:
    half = JSON + b"Content-Length: 999\r\n\r\n"
    fault = json.dumps({"route": "arm.list", "kind": "reset"}).encode()
    assert spoken(server, half, fault, end=True) == b""
    url = f"{server.url}/subscriptions/x/providers/Microsoft.MachineLearning/webServices?{API}"
    assert requests.get(url, headers={"Authorization": "Bearer x"}).status_code == 200


def test_chunks_and_their_trailers_are_one_body(server: emulator.Server) -> None:
    body = b'{"route": "x", "kind": "reset"}'
    chunks = b"5;x=y\r\n" + body[:5] + b"\r\n" + b"%x\r\n" % len(body[5:]) + body[5:] + b"\r\n"
    head = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    last = HEALTH + b"Connection: close\r\n\r\n"
    said = spoken(server, head + chunks + b"0\r\nTrailer: y\r\n\r\n", last)
    assert [line[9:12] for line in said.split(b"\r\n") if line[:5] == b"HTTP/"] == [b"204", b"200"]


def test_a_server_can_serve_from_the_thread_it_was_made_in() -> None:
    server = emulator.serve(emulator.Cloud(), 0)

    def stop() -> None:
        assert requests.get(f"{server.url}/_emulator/health").json()["status"] == "ok"
        server.stop()

    other = threading.Thread(target=stop)
    other.start()
    server.serve_forever()
    other.join()


def test_a_stale_read_is_the_first_one_again(client: Client) -> None:
    fault = {"route": "classic.endpoint.get", "kind": "stale", "times": 3}
    assert client.send("POST", "/_emulator/faults", json=fault).status_code == 204
    endpoint = client.management("young")
    token = client.workspace["token"]

    def description() -> str:
        return str(client.send("GET", endpoint, token=token).json()["Description"])

    first = description()
    change = {"Description": "another", "ThrottleLevel": "Low"}
    assert client.send("PUT", endpoint, token=token, json=change).ok
    client.clock.advance(600)
    assert [description(), description(), description()] == [first, first, "another"]


def test_a_delay_lets_a_standing_clock_pass_and_answers_all_the_same(client: Client) -> None:
    fault = {"route": "arm.get", "kind": "delay", "delay_s": 45}
    assert client.send("POST", "/_emulator/faults", json=fault).status_code == 204
    before = client.clock()
    answer = client.send("GET", f"{client.arm('breast-cancer-predictive')}?{API}")
    assert answer.json()["name"] == "breast-cancer-predictive"
    assert client.clock() - before == 45


WRONG_FAULTS: list[dict[str, Any]] = [
    {"times": "x"},
    {"times": True},
    {"times": None},
    {"status": "503"},
    {"status": 20},
    {"headers": [1]},
    {"headers": {"a": 1}},
    {"body": {}},
    {"route": 5},
    {"delay_s": "1"},
    {"delay_s": -1},
]


@pytest.mark.parametrize("wrong", WRONG_FAULTS, ids=str)
def test_a_fault_that_could_not_happen_is_refused_when_it_is_scripted(
    client: Client, wrong: dict[str, Any]
) -> None:
    fault = {"route": "arm.get", "kind": "status", **wrong}
    assert client.send("POST", "/_emulator/faults", json=fault).status_code == 400
    answer = client.send("GET", f"{client.arm('breast-cancer-predictive')}?{API}")
    assert answer.status_code == 200


@pytest.mark.parametrize("wrong", [{"trick": 5}, {"times": "2"}, {"of": "weather"}], ids=str)
def test_a_trick_that_could_not_happen_is_refused(client: Client, wrong: dict[str, Any]) -> None:
    trick = {"trick": "nothing", "of": "operation", **wrong}
    assert client.send("POST", "/_emulator/faults", json=trick).status_code == 400


def test_the_log_keeps_the_latest_requests_only(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.cloud.MOST_LOGGED", 3)
    for number in range(5):
        client.send("GET", f"/{number}")
    assert [entry.path for entry in client.cloud.log] == ["/2", "/3", "/4"]


# --- the in-process door ------------------------------------------------------------------------


def test_in_process_answers_are_what_requests_makes_of_sockets(client: Client) -> None:
    client.cloud.faults.script(Fault("arm.get", "status", status=429))
    path = f"{client.arm('breast-cancer-predictive')}?{API}"
    assert client.send("GET", path).reason == "Too Many Requests"
    answer = client.send("GET", path, stream=True)
    assert (answer.reason, answer.encoding, answer.ok) == ("OK", "utf-8", True)
    assert answer.headers["CONTENT-TYPE"] == answer.headers["content-type"]
    assert json.loads(b"".join(answer.iter_content(100)))["name"] == "breast-cancer-predictive"


def test_in_process_bodies_may_be_files_and_chunks(client: Client) -> None:
    fault = b'{"route": "x", "kind": "reset"}'
    kind = {"Content-Type": "application/json"}
    for body in (fault, bytearray(fault), fault.decode(), io.BytesIO(fault), iter([fault])):
        answer = client.send("POST", "/_emulator/faults", data=body, headers=kind)
        assert answer.status_code == 204


def test_in_process_drops_are_connection_errors(client: Client) -> None:
    client.cloud.faults.script(Fault("arm.get", "reset"))
    with pytest.raises(requests.ConnectionError):
        client.send("GET", f"{client.arm('breast-cancer-predictive')}?{API}")


def test_importing_the_emulator_loads_neither_scikit_learn_nor_requests() -> None:
    import subprocess
    import sys

    code = (
        "import sys, reconciler.emulator; print(sorted({'sklearn', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_writes_no_state_and_writing_does(tmp_path: Any) -> None:
    clock = emulator.ManualClock()
    client = Client(emulator.Cloud(clock=clock, state=tmp_path), clock, {})
    client.cloud.seed(SEED)
    client.seed = yaml.safe_load(SEED.read_text())
    world = tmp_path / "world.json"
    world.unlink()
    url = f"{client.arm('breast-cancer-predictive')}?{API}"
    client.send("GET", url)
    assert not world.exists()
    client.send("PATCH", url, json={"properties": {"packageType": "Graph", "title": "x"}})
    assert world.exists()
    world.unlink()
    clock.advance(60)
    client.send("GET", url)  # which settles the operation
    assert world.exists()
    client.cloud.close()
